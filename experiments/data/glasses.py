"""Spin glasses with known ground states: by enumeration if they are small, by construction if they are large."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax import free_energy, softargmin, spin_cube
from ebmjax.energies import hopfield, ising
from ebmjax.marginalize.free_energy import energies_of_points

TILE = (-1.0, 1.0, 2.0, 2.0)
"""The four bonds of a tile before they are shuffled: with all spins up, only the weakest is violated."""


def sherrington_kirkpatrick(key: Key[Array, ""], units: int) -> hopfield.Params:
    """Couplings J_ij ~ N(0, 1/N) between all pairs of N spins, without a field; below T = 1 it is a spin glass.

    Sherrington & Kirkpatrick (1975), "Solvable model of a spin-glass".
    """
    upper = jnp.triu(jax.random.normal(key, (units, units)), 1) / np.sqrt(units)
    return hopfield.Params(upper + upper.T, jnp.zeros(units))


def least_energy(params: hopfield.Params) -> Float[Array, ""]:
    """The energy of the ground state, by enumeration; without a field, one state of each pair ±s is enough."""
    return free_energy(_halved(params), spin_cube(params.bias.shape[0] - 1), jnp.inf)


def mean_energies(params: hopfield.Params, betas: Float[Array, " betas"]) -> Float[Array, " betas"]:
    """The mean energy in equilibrium at each inverse temperature, by enumeration as in `least_energy`."""
    heights = energies_of_points(_halved(params), spin_cube(params.bias.shape[0] - 1))
    return jax.lax.map(lambda beta: softargmin(heights, beta) @ heights, betas)


def _halved(params):
    return lambda spins: hopfield.energy(params, jnp.concatenate([jnp.ones(1), spins]))


def planted(key: Key[Array, ""], side: int) -> ising.Params:
    """A square lattice of frustrated tiles with periodic boundary, whose ground state has the energy `planted_energy`.

    Every second plaquette is a tile, like the black fields of a chessboard, so that every bond belongs to exactly one
    tile. The bonds of a tile are -1, 1, 2, 2 in random order. Their product is negative, so that no state satisfies all
    four. With all spins up only a weakest bond is violated, which is the least energy of every tile. A random gauge
    transformation, J_ij → J_ij t_i t_j with spins t, then makes t the ground state.

    Hamze et al. (2018), "From near to eternity: spin-glass planting, tiling puzzles, and constraint-satisfaction
    problems".
    """
    order_key, spins_key = jax.random.split(key)
    shuffle = lambda key: jax.random.permutation(key, jnp.array(TILE))
    bonds = jax.vmap(shuffle)(jax.random.split(order_key, side**2)).reshape(side, side, 4)
    black = jnp.asarray(np.indices((side, side)).sum(axis=0) % 2 == 0)
    # a black site owns the tile to its lower right; the bonds of a white site belong to the tiles of its neighbours
    down = jnp.where(black, bonds[..., 0], jnp.roll(bonds[..., 1], 1, 1))
    right = jnp.where(black, bonds[..., 2], jnp.roll(bonds[..., 3], 1, 0))
    spins = jax.random.rademacher(spins_key, (side, side), bonds.dtype)
    turned = [bond * spins * jnp.roll(spins, -1, axis) for axis, bond in enumerate((down, right))]
    return ising.Params(jnp.stack(turned), jnp.zeros(()))


def planted_energy(side: int) -> float:
    """The energy of the ground state of `planted`: each of the side²/2 tiles has its least energy."""
    return -sum(TILE) * side**2 / 2


def planted_wishart(key: Key[Array, ""], units: int, columns: int) -> tuple[hopfield.Params, Float[Array, " units"]]:
    """A dense glass of N spins whose ground states are a chosen state t and -t; and this state.

        E(s) = 1/2N Σ_m (w_m · s)² - 1/2N Σ_m |w_m|²,    w_m ~ N(0, 1 - t tᵀ/N)

    The columns w_m are orthogonal to t, so that no state has a lower energy than t. The fewer columns there are, the
    more states lie nearly as low.

    Hamze, Raymond, Pattison, Biswas & Katzgraber (2020), "Wishart planted ensemble: a tunably rugged pairwise Ising
    model with a first-order phase transition".
    """
    state_key, columns_key = jax.random.split(key)
    planted = jax.random.rademacher(state_key, (units,), jnp.float32)
    free = jax.random.normal(columns_key, (units, columns))
    across = np.sqrt(units / (units - 1)) * (free - jnp.outer(planted, planted @ free) / units)
    couplings = -across @ across.T / units
    couplings = (couplings + couplings.T) / 2
    return hopfield.Params(couplings - jnp.diag(jnp.diag(couplings)), jnp.zeros(units)), planted
