"""Discrete energies as the walkers of a density of states see them: the energy of each state of one unit.

A unit is drawn given all others, so that a step needs the energies of the unit's values alone, which depend on its
neighbours.

`ising`     a periodic lattice of any dimension, see `energies.ising`; a bond of zero leaves an edge open
`potts`     a graph of units of q states, see `energies.potts`
`general`   any energy of few units; every step evaluates the energy once for each value
"""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from ebmjax.checks import (
    ArgumentError,
    as_float,
    as_params,
    as_scalar,
    check_callable,
    check_count,
    check_record,
    is_static,
)
from ebmjax.energies import ising as of_ising
from ebmjax.energies import potts as of_potts
from ebmjax.graphs import as_edges
from ebmjax.records import record
from ebmjax.types import Energy, Numbers


@runtime_checkable
class LocalEnergies(Protocol):
    """The energies of the values of one unit."""

    def __call__(self, terms: Any, around: Any, /) -> Any:
        """The energy of each value of a unit, up to a constant, given the values of its neighbours; of shape (values,).

        Args:
            terms: the unit's own entry of `Model.terms`.
            around: the values of the neighbours, (degree,).
        """
        ...


@record
class Model(NamedTuple):
    """An energy of units that have the same few values."""

    values: Float[Array, " values"]
    """The values of a unit, such as -1 and 1."""
    energy: Energy
    """The energy of all units, a function of an array (units,), a scalar."""
    neighbours: Int[np.ndarray, "units degree"]
    """The units on which the energies of each unit depend; known before tracing."""
    terms: PyTree[Array]
    """What each unit has of its own, such as the couplings to its neighbours; leading axis units."""
    local: LocalEnergies
    """The energies of the values of one unit."""


def log_states(model: Model) -> float:
    """log of the number of states, units · log q. Raises ValueError for anything but a `Model`.

    >>> round(math.exp(log_states(ising(of_ising.Params(jnp.array(1.0), jnp.array(0.0)), (3,)))))
    8
    """
    check_record("model", model, Model)
    return len(model.neighbours) * math.log(len(model.values))


def ising(params: of_ising.Params, shape: tuple[int, ...]) -> Model:
    """Spins ±1 on a periodic lattice, in the order of `spins.ravel()`. Each step looks at two neighbours along an axis.

    Args:
        params: couplings, one number or one for each bond, and fields, one number or one for each site.
        shape: of the lattice, at least one axis, each of 2 sites or more.

    Raises ValueError for parameters that do not fit the lattice.

    >>> model = ising(of_ising.Params(jnp.array(1.0), jnp.array(0.0)), (4,))
    >>> model.neighbours[0].tolist(), float(model.energy(jnp.ones(4)))
    ([1, 3], -4.0)
    """
    params = as_params(params, of_ising.Params)
    of_ising.check_lattice(params, shape)
    shape = tuple(shape)
    sites = np.arange(math.prod(shape), dtype=np.int32).reshape(shape)
    coupling = jnp.broadcast_to(params.coupling, (len(shape), *shape))
    neighbours, bonds = [], []
    for axis in range(len(shape)):
        neighbours += [np.roll(sites, -1, axis), np.roll(sites, 1, axis)]
        bonds += [coupling[axis], jnp.roll(coupling[axis], 1, axis)]
    table = np.stack([part.ravel() for part in neighbours], axis=1)
    terms = (jnp.stack([part.ravel() for part in bonds], axis=1), jnp.broadcast_to(params.field, shape).ravel())

    values = jnp.array([-1.0, 1.0], coupling.dtype)

    def local(terms, around):
        return -(jnp.sum(terms[0] * around) + terms[1]) * values

    energy = lambda spins: of_ising.energy(params, spins.reshape(shape))
    return Model(values, energy, table, terms, local)


def potts(params: of_potts.Params, edges: Any, units: int) -> Model:
    """Units of q states on a graph. Each step looks at as many neighbours as the largest degree of the graph.

    Args:
        params: couplings, one number or one for each edge, and fields; the last axis of the field says what q is.
        edges: pairs of units, static, such as `energies.potts.lattice`.
        units: how many units there are.

    Raises ValueError for edges, or parameters, that do not fit the units.

    >>> model = potts(of_potts.Params(jnp.array(1.0), jnp.zeros(3)), of_potts.lattice(1, 3), 3)
    >>> model.local(jax.tree.map(lambda leaf: leaf[0], model.terms), jnp.array([2.0, 2.0])).tolist()
    [-0.0, -0.0, -2.0]
    """
    check_count("units", units)
    params = as_params(params, of_potts.Params)
    edges = as_edges(edges, units)
    if not is_static(edges):
        raise ArgumentError("edges: got a traced array, wanted edges that are known before tracing")
    of_potts.check_params(params, edges, units)
    ends = np.concatenate([edges, edges[:, ::-1]])
    order = np.argsort(ends[:, 0], kind="stable")
    degrees = np.bincount(ends[:, 0], minlength=units)
    rows = ends[order, 0]
    columns = np.arange(len(ends)) - np.repeat(np.cumsum(degrees) - degrees, degrees)
    degree = max(1, int(degrees.max(initial=0)))
    # units of a smaller degree are filled up with themselves, and couplings of zero
    table = np.broadcast_to(np.arange(units, dtype=np.int32)[:, None], (units, degree)).copy()
    table[rows, columns] = ends[order, 1]
    coupling = jnp.broadcast_to(params.coupling, (len(edges),))
    bonds = jnp.zeros((units, degree), coupling.dtype).at[rows, columns].set(coupling[order % max(1, len(edges))])
    states = params.field.shape[-1]
    values = jnp.arange(states, dtype=coupling.dtype)
    terms = (bonds, jnp.broadcast_to(params.field, (units, states)))

    def local(terms, around):
        same = (around[None] == values[:, None]).astype(around.dtype)
        return -(jnp.sum(terms[0][None] * same, axis=1) + terms[1])

    energy = lambda state: of_potts.energy(params, edges, state)
    return Model(values, energy, table, terms, local)


def general(energy: Energy, values: Numbers, units: int) -> Model:
    """Any energy of an array (units,), where each unit has the same values.

    Each step evaluates the energy once for each value, so that it is for few units.

    Args:
        energy: `energy(units) -> scalar`, finite.
        values: of a unit, such as (-1, 1), at least 2 different ones.
        units: how many units there are.

    Raises ValueError for an energy that is no function, fewer than two values or equal ones, units below 1.

    >>> general(lambda s: -s.sum(), (0, 1), 3).local(jnp.array(0), jnp.zeros(3)).tolist()
    [-0.0, -1.0]
    """
    check_callable("energy", energy)
    values = as_float("values", values, (None,))
    check_count("units", units)
    if len(values) < 2 or len(np.unique(np.asarray(values))) < len(values):
        raise ArgumentError(f"values: got {np.asarray(values).tolist()}, wanted at least two different numbers")
    table = np.broadcast_to(np.arange(units, dtype=np.int32), (units, units)).copy()
    # a unit is known by its place in a mask
    terms = jnp.arange(units, dtype=jnp.int32)

    def local(place, around):
        here = jnp.arange(units) == place
        return jax.vmap(lambda value: as_scalar("energy", energy(jnp.where(here, value, around))))(values)

    return Model(values, energy, table, terms, local)
