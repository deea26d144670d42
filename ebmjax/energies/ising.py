"""Ising model: spins on a periodic lattice of any dimension, coupled to their nearest neighbours.

    E(s) = -Σ_<ij> J_ij s_i s_j - Σ_i h_i s_i,    s ∈ {-1, +1}

There is one coupling for all bonds, or one for each bond: `coupling[axis]` at a site is the coupling to its next
neighbour along that axis, across the periodic boundary for the last site. A ring of two sites has two bonds.

Ising (1925); Onsager (1944), "Crystal statistics I".
"""

import math
from typing import Annotated, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from ebmjax.checks import ArgumentError, as_example, as_params
from ebmjax.energies import hopfield
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar

Sublattices = tuple[Shaped[Array, "half_rows half_columns *rest"], ...]
"""The four sublattices of a square lattice, see `split`."""

CRITICAL_BETA = math.log1p(math.sqrt(2)) / 2
"""β_c J of the square lattice: 0.440687."""


@record
class Params(NamedTuple):
    """Couplings and the external field, in units of energy."""

    coupling: Float[Array, "*bonds"]
    """J, a scalar, or of shape (dimensions, *lattice): one coupling for each bond."""
    field: Float[Array, "*sites"]
    """h, a scalar, or of the shape of the lattice."""


def check_lattice(params: Params, lattice: tuple[int, ...]) -> None:
    """Raise ValueError unless the lattice has at least one axis, each of at least 2 sites, and the parameters fit it.

    >>> check_lattice(Params(jnp.ones((2, 4, 4)), jnp.zeros(())), (4, 6))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: coupling: got shape (2, 4, 4), wanted () or (2, 4, 6)
    """
    if len(lattice) == 0 or min(lattice) < 2:
        raise ArgumentError(
            f"spins: got a lattice of shape {lattice}, wanted at least one axis, each of 2 sites or more"
        )
    for name, array, full in (
        ("coupling", params.coupling, (len(lattice), *lattice)),
        ("field", params.field, lattice),
    ):
        if jnp.shape(array) not in ((), full):
            raise ArgumentError(f"{name}: got shape {jnp.shape(array)}, wanted () or {full}")


def _prepared(params, spins):
    """Floating parameters, and spins on a lattice that they fit."""
    params = as_params(params, Params)
    spins = as_example("spins", spins, params.coupling)
    check_lattice(params, spins.shape)
    return params, spins


def energy(params: Params, spins: Annotated[Numbers, "*lattice"]) -> Scalar:
    """E(s) of one lattice, a scalar. Raises ValueError for parameters that do not fit the lattice.

    >>> float(energy(Params(jnp.array(1.0), jnp.array(0.5)), jnp.ones((4, 4))))
    -40.0
    """
    params, spins = _prepared(params, spins)
    bonds = jnp.stack([spins * jnp.roll(spins, -1, axis) for axis in range(spins.ndim)])
    return -(jnp.sum(params.coupling * bonds) + jnp.sum(params.field * spins))


def local_field(params: Params, spins: Annotated[Numbers, "*lattice"]) -> Float[Array, "*lattice"]:
    """Σ_j J_ij s_j + h_i at every site: half the energy gap E(s_i = -1) - E(s_i = +1).

    Raises ValueError for parameters that do not fit the lattice.

    >>> local_field(Params(jnp.array(1.0), jnp.array(0.0)), jnp.array([1.0, 1.0, -1.0, 1.0])).tolist()
    [2.0, 0.0, 2.0, 0.0]
    """
    params, spins = _prepared(params, spins)
    coupling = jnp.broadcast_to(params.coupling, (spins.ndim, *spins.shape))
    field = jnp.broadcast_to(params.field, spins.shape)
    for axis in range(spins.ndim):
        ahead = coupling[axis] * jnp.roll(spins, -1, axis)
        behind = jnp.roll(coupling[axis] * spins, 1, axis)
        field = field + ahead + behind
    return field


def checkerboard_colors(lattice: tuple[int, ...]) -> Int[np.ndarray, "*lattice"]:
    """The colour 0 or 1 of every site, such that neighbours differ. Raises ValueError for a lattice with an odd side.

    >>> checkerboard_colors((4,)).tolist()
    [0, 1, 0, 1]
    """
    if any(side % 2 for side in lattice):
        raise ArgumentError(f"lattice: got shape {lattice}, wanted even sides: around an odd one two colours must meet")
    return np.indices(lattice).sum(axis=0) % 2


def split(spins: Annotated[Numbers, "rows columns *rest"]) -> Sublattices:
    """The four sublattices of a square lattice, by the parities of row and column: (0, 0), (0, 1), (1, 0), (1, 1).

    The first and the last are one colour of the checkerboard, the second and the third the other colour. The four
    neighbours of each site of a sublattice lie in the two sublattices of the other colour: at the same index in both,
    and at an index moved by one in both. Raises ValueError for an odd side.

    >>> [part.item() for part in split(jnp.arange(4).reshape(2, 2))]
    [0, 1, 2, 3]
    """
    rows, columns = spins.shape[:2]
    if rows % 2 or columns % 2:
        raise ArgumentError(f"spins: got a lattice of {rows} by {columns}, wanted even sides for a checkerboard")
    return spins[::2, ::2], spins[::2, 1::2], spins[1::2, ::2], spins[1::2, 1::2]


def join(sublattices: Sublattices) -> Shaped[Array, "rows columns *rest"]:
    """The lattice from its four sublattices: the inverse of `split`.

    >>> join(split(jnp.arange(16).reshape(4, 4))).ravel().tolist() == list(range(16))
    True
    """
    rows, columns, *rest = sublattices[0].shape
    grid = jnp.stack(sublattices).reshape(2, 2, rows, columns, *rest)
    return jnp.moveaxis(grid, (0, 1), (1, 3)).reshape(2 * rows, 2 * columns, *rest)


def to_boltzmann(params: Params, lattice: tuple[int, ...]) -> hopfield.Params:
    """The same energy as a Boltzmann machine of the flattened lattice: W is a matrix with an entry for each bond.

    Raises ValueError for parameters that do not fit the lattice.

    >>> to_boltzmann(Params(jnp.array(1.0), jnp.array(0.0)), (3,)).weights.tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    params = as_params(params, Params)
    check_lattice(params, lattice)
    sites = np.arange(math.prod(lattice)).reshape(lattice)
    coupling = jnp.broadcast_to(params.coupling, (len(lattice), *lattice))
    weights = jnp.zeros((sites.size, sites.size), coupling.dtype)
    for axis in range(len(lattice)):
        ahead = np.roll(sites, -1, axis).ravel()
        weights = weights.at[sites.ravel(), ahead].add(coupling[axis].ravel())
    return hopfield.Params(weights + weights.T, jnp.broadcast_to(params.field, lattice).ravel())
