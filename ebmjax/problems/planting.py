"""Spin glasses with planted ground states: the state is chosen first, and couplings then make it one of least energy.

    square_tiles    a square lattice of frustrated squares, with whole couplings
    cube_tiles      a cubic lattice of frustrated cubes, with couplings ±1
    wishart         all pairs of spins, with real couplings

How hard the tiles of a lattice are for a sampler depends on the shares of their classes.

Hamze, Jacob, Ochoa, Perera, Wang and Katzgraber (2018), "From near to eternity: spin-glass planting, tiling puzzles,
and constraint-satisfaction problems"; Perera, Hamze, Raymond, Weigel and Katzgraber (2020), "Computational hardness of
spin-glass problems with tile-planted solutions".
"""

import itertools
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, as_float, check_count, check_key, is_static
from ebmjax.compiled import compiled
from ebmjax.energies import hopfield, ising
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar


@record
class Planted(NamedTuple):
    """A lattice with a known state of least energy."""

    params: ising.Params
    """Couplings of all bonds; no field."""
    spins: Float[Array, "*lattice"]
    """The planted state, ±1. Its opposite has the same energy, and other states may."""
    energy: Scalar
    """The energy of the planted state: no state has a lower one."""


@record
class PlantedMachine(NamedTuple):
    """A glass of all pairs of spins with a known state of least energy."""

    params: hopfield.Params
    """Couplings W; no biases."""
    spins: Float[Array, " units"]
    """The planted state, ±1; its opposite has the same energy."""
    energy: Scalar
    """The energy of the planted state: no state has a lower one."""


def square_tiles(key: Key[Array, ""], shape: tuple[int, int], shares: Annotated[Numbers, "4"]) -> Planted:
    """A square lattice of tiles, periodic: every second square, like the black fields of a chessboard.

    Every bond belongs to one tile. The bonds of a tile are, in random order, one of -1, k - 1 of +1 and 4 - k of +2,
    where k = 1 … 4 is its class. Their product is negative, so that no state satisfies all four; the state with all
    spins up violates a weakest bond, so that no state of the tile is lower. k pairs ±s of states of the tile have that
    least energy. The state with all spins up therefore has the least energy of the lattice; a random gauge
    transformation J_ij → J_ij t_i t_j makes t that state. A tile of class k has the least energy k - 6.

    Args:
        key: typed random key.
        shape: rows and columns, both even; a side of 2 has two bonds between its sites.
        shares: how likely the classes C₁, C₂, C₃ and C₄ of a tile are, relative to each other; may be traced.

    Returns:
        `Planted`, with couplings of ±1 and ±2.

    Raises:
        ValueError: a bad shape, shares that are not four numbers, that are negative, or all zero.

    Hamze et al. (2018); Perera et al. (2020), classes C₁ to C₄.

    >>> planted = square_tiles(jax.random.key(0), (4, 4), [0, 1, 0, 0])
    >>> float(planted.energy), float(ising.energy(planted.params, planted.spins))
    (-32.0, -32.0)
    """
    return _prepared(key, shape, shares, _square_classes())


def cube_tiles(key: Key[Array, ""], shape: tuple[int, int, int], shares: Annotated[Numbers, "3"]) -> Planted:
    """A cubic lattice of tiles, periodic: the unit cubes whose corner has even coordinates only, or odd ones only.

    Every bond belongs to one tile, and every site to two. All bonds of a tile are +1 but for two or three of -1, which
    the state with all spins up violates and no state can do with fewer. The classes are named after the number of
    frustrated faces:

        F₂₂    two parallel bonds of one face: 2 faces; least energy -8
        F₄₂    two bonds opposite each other through the middle of the cube: 4 faces; least energy -8
        F₆     three bonds, one along each axis, that have no site in common: 6 faces; least energy -6

    Every tile is turned and mirrored at random, and a random gauge transformation hides the state. Of the three, tiles
    of class F₆ are the hardest for samplers.

    Args:
        key: typed random key.
        shape: the number of sites along each of three axes, all even.
        shares: how likely the classes F₂₂, F₄₂ and F₆ of a tile are, relative to each other; may be traced.

    Returns:
        `Planted`, with couplings of ±1.

    Raises:
        ValueError: a bad shape, shares that are not three numbers, that are negative, or all zero.

    Hamze et al. (2018), section IV.

    >>> planted = cube_tiles(jax.random.key(0), (4, 4, 4), [0, 0, 1])
    >>> float(planted.energy), float(ising.energy(planted.params, planted.spins))
    (-96.0, -96.0)
    """
    return _prepared(key, shape, shares, _cube_classes())


def wishart(key: Key[Array, ""], units: int, columns: int) -> PlantedMachine:
    """A dense glass of N spins whose ground states are a chosen state t and -t.

        E(s) = 1/2N Σ_m (w_m · s)² - 1/2N Σ_m |w_m|²,    w_m ~ N(0, 1 - t tᵀ/N)

    The columns w_m are orthogonal to t, so that no state has a lower energy than t. The fewer columns there are, the
    more states lie nearly as low.

    Args:
        key: typed random key.
        units: N, at least 2.
        columns: how many w_m there are, at least 1.

    Raises:
        ValueError: fewer than 2 units, or no column.

    Hamze, Raymond, Pattison, Biswas & Katzgraber (2020), "Wishart planted ensemble: a tunably rugged pairwise Ising
    model with a first-order phase transition".

    >>> planted = wishart(jax.random.key(0), 8, 4)
    >>> gap = hopfield.energy(planted.params, planted.spins) - planted.energy
    >>> bool(abs(gap) < 1e-5)
    True
    """
    check_key("key", key)
    check_count("units", units)
    check_count("columns", columns)
    if units < 2:
        raise ArgumentError(f"units: got {units}, wanted at least 2")
    return _wishart(key, int(units), int(columns))


@compiled
def _wishart(key, units, columns):
    state_key, columns_key = jax.random.split(key)
    planted = jax.random.rademacher(state_key, (units,), jnp.float32)
    free = jax.random.normal(columns_key, (units, columns), jnp.float32)
    across = np.float32(np.sqrt(units / (units - 1))) * (free - jnp.outer(planted, planted @ free) / units)
    couplings = -across @ across.T / units
    couplings = (couplings + couplings.T) / 2
    params = hopfield.Params(couplings - jnp.diag(jnp.diag(couplings)), jnp.zeros(units, jnp.float32))
    return PlantedMachine(params, planted, jnp.trace(couplings) / 2)


# A tile is the unit cell of a site, its corner of least coordinates. Bond (axis, offset) of a tile leads along the axis
# from the corner at this offset, which is 0 along the axis itself.


def _bonds(dimensions):
    """The bonds of a tile: pairs of an axis and an offset."""
    offsets = list(itertools.product((0, 1), repeat=dimensions))
    return [(axis, offset) for axis in range(dimensions) for offset in offsets if offset[axis] == 0]


def _square_classes():
    """The bonds of all forms of the classes C₁ to C₄: (classes, forms, bonds)."""
    bonds = [[-1.0] + [1.0] * (k - 1) + [2.0] * (4 - k) for k in (1, 2, 3, 4)]
    return np.array([list(itertools.permutations(kind)) for kind in bonds])


def _cube_classes():
    """The bonds of all 48 forms of the classes F₂₂, F₄₂ and F₆: (classes, forms, bonds)."""
    broken = (
        [(0, (0, 0, 0)), (0, (0, 1, 0))],
        [(0, (0, 0, 0)), (0, (0, 1, 1))],
        [(0, (0, 0, 0)), (1, (1, 0, 1)), (2, (0, 1, 0))],
    )
    bonds = _bonds(3)
    forms = [
        [_turned(bond, axes, flips) for bond in bonds]
        for axes in itertools.permutations(range(3))
        for flips in itertools.product((0, 1), repeat=3)
    ]
    return np.array([[[-1.0 if bond in kind else 1.0 for bond in form] for form in forms] for kind in broken])


def _turned(bond, axes, flips):
    """The bond that the isometry x'_k = x_axes[k], or 1 minus it where flipped, moves to another place."""
    axis, offset = bond
    moved = [offset[source] ^ flip for source, flip in zip(axes, flips, strict=True)]
    along = axes.index(axis)
    moved[along] = 0
    return along, tuple(moved)


def _prepared(key, shape, shares, classes):
    check_key("key", key)
    dimensions = {4: 2, 12: 3}[classes.shape[-1]]
    if not isinstance(shape, tuple | list) or len(shape) != dimensions:
        raise ArgumentError(f"shape: got {shape!r}, wanted the number of sites along each of {dimensions} axes")
    for axis, side in enumerate(shape):
        check_count(f"shape[{axis}]", side)
        if side % 2:
            raise ArgumentError(f"shape[{axis}]: got {side}, wanted an even number")
    shares = as_float("shares", shares, (len(classes),))
    if is_static(shares) and not (bool(jnp.all(shares >= 0)) and bool(jnp.any(shares > 0))):
        raise ArgumentError(f"shares: got {np.asarray(shares).tolist()}, wanted none below 0 and one above 0")
    return _planted(key, tuple(int(side) for side in shape), shares, jnp.asarray(classes, jnp.float32))


@compiled
def _planted(key, shape, shares, classes):
    class_key, form_key, spins_key = jax.random.split(key, 3)
    kind = jax.random.categorical(class_key, jnp.log(shares), shape=shape)
    form = jax.random.randint(form_key, shape, 0, classes.shape[1])
    tiles = classes[kind, form]  # one for each site; those of sites that are no corner of a tile are not used
    bonds, place = _bonds(len(shape)), np.indices(shape)
    spins = jax.random.rademacher(spins_key, shape, classes.dtype)
    couplings = []
    for axis in range(len(shape)):
        # the corner of the tile of this bond has coordinates of one parity, that of the place along the axis
        offset = (place - place[axis]) % 2
        number = np.zeros(shape, int)
        for index, (along, corner) in enumerate(bonds):
            if along == axis:
                number[(offset == np.reshape(corner, (-1, *[1] * len(shape)))).all(axis=0)] = index
        couplings.append(tiles[(*(place - offset), number)])
    turned = [bond * spins * jnp.roll(spins, -1, axis) for axis, bond in enumerate(couplings)]
    params = ising.Params(jnp.stack(turned), jnp.zeros((), classes.dtype))
    return Planted(params, spins, -jnp.sum(jnp.stack(couplings)))
