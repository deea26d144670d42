"""Ising model: spins on a periodic lattice of any dimension, coupled to their nearest neighbours.

    E(s) = -Σ_<ij> J_ij s_i s_j - Σ_i h_i s_i,    s ∈ {-1, +1}

There is one coupling for all bonds, or one for each bond: `coupling[axis]` at a site is the coupling to its next
neighbour along that axis, across the periodic boundary for the last site. A ring of two sites has two bonds.

Ising (1925); Onsager (1944), "Crystal statistics I".
"""

import itertools
import math
from typing import Annotated, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from ebmjax.checks import ArgumentError, as_example, as_params, check_count
from ebmjax.energies import hopfield
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar

Sublattices = tuple[Shaped[Array, "*half_and_rest"], ...]
"""The four sublattices of a square lattice, or the 2ⁿ of one with n axes, see `split`."""

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


def split(spins: Annotated[Numbers, "*lattice_and_rest"], axes: int = 2) -> Sublattices:
    """The sublattices of a square lattice, or of one with more axes, by the parities of row, column and so on.

    A square lattice has four: (0, 0), (0, 1), (1, 0), (1, 1), and a cubic one eight. Those whose parities have an even
    sum are one colour of the checkerboard, the others the other colour. The two neighbours of each site along an axis
    lie in the sublattice with the other parity there: one at the same index, and one at an index moved by one.

    Args:
        spins: an array whose first `axes` axes are those of the lattice.
        axes: how many axes the lattice has, static.

    Raises:
        ValueError: an odd side, or fewer axes than asked for.

    >>> [part.item() for part in split(jnp.arange(4).reshape(2, 2))]
    [0, 1, 2, 3]
    """
    check_count("axes", axes)
    shape = spins.shape[:axes]
    if len(shape) < axes:
        raise ArgumentError(f"spins: got shape {spins.shape}, wanted a lattice of {axes} axes")
    if any(side % 2 for side in shape):
        sides = " by ".join(str(side) for side in shape)
        raise ArgumentError(f"spins: got a lattice of {sides}, wanted even sides for a checkerboard")
    parities = itertools.product((0, 1), repeat=axes)
    return tuple(spins[tuple(slice(parity, None, 2) for parity in place)] for place in parities)


def join(sublattices: Sublattices) -> Shaped[Array, "*lattice_and_rest"]:
    """The lattice from its four sublattices, or its 2ⁿ where it has n axes: the inverse of `split`.

    >>> join(split(jnp.arange(16).reshape(4, 4))).ravel().tolist() == list(range(16))
    True
    """
    axes = len(sublattices).bit_length() - 1
    half, rest = sublattices[0].shape[:axes], sublattices[0].shape[axes:]
    grid = jnp.stack(sublattices).reshape(*[2] * axes, *half, *rest)
    beside = jnp.moveaxis(grid, range(axes), range(1, 2 * axes, 2))
    return beside.reshape(*[2 * side for side in half], *rest)


def sublattices_in_turn(axes: int) -> list[int]:
    """The numbers of the sublattices of `split`, those of one colour of the checkerboard before those of the other.

    >>> sublattices_in_turn(2)
    [0, 3, 1, 2]
    """
    return sorted(range(2**axes), key=lambda index: index.bit_count() % 2)


def sublattice_beside(index: int, axis: int, axes: int) -> tuple[int, bool]:
    """The sublattice with both neighbours, along an axis, of the sites of sublattice `index`; whether these are odd.

    The neighbour before an odd site has the same index in that sublattice, and the one after it has the next index. The
    neighbour after an even site has the same index, and the one before it has the index before.

    >>> sublattice_beside(1, 0, 2), sublattice_beside(1, 1, 2)
    ((3, False), (0, True))
    """
    bit = 1 << (axes - 1 - axis)
    return index ^ bit, bool(index & bit)


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
