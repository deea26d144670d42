"""Spin glasses whose ground states are known: small ones are enumerated, large ones are built around them."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax import free_energy, softargmin, spin_cube
from ebmjax.energies import hopfield, ising
from ebmjax.marginalize.free_energy import energies_of_points

TILE = (-1.0, 1.0, 2.0, 2.0)
"""Bonds of a tile before they are shuffled: with all spins up, only the weakest is violated."""


def sherrington_kirkpatrick(key: Key[Array, ""], units: int) -> hopfield.Params:
    """Every pair of spins is coupled, J_ij ~ N(0, 1/N), without an outer field: the spin glass below T = 1."""
    upper = jnp.triu(jax.random.normal(key, (units, units)), 1) / np.sqrt(units)
    return hopfield.Params(upper + upper.T, jnp.zeros(units))


def least_energy(params: hopfield.Params) -> Float[Array, ""]:
    """The ground state's energy, over all states; one of each pair ±s is enough without a field."""
    return free_energy(_halved(params), spin_cube(params.bias.shape[0] - 1), jnp.inf)


def mean_energies(params: hopfield.Params, betas: Float[Array, " betas"]) -> Float[Array, " betas"]:
    """<E> in equilibrium at each inverse temperature, over all states, as in `least_energy`."""
    heights = energies_of_points(_halved(params), spin_cube(params.bias.shape[0] - 1))
    return jax.lax.map(lambda beta: softargmin(heights, beta) @ heights, betas)


def _halved(params):
    return lambda spins: hopfield.energy(params, jnp.concatenate([jnp.ones(1), spins]))


def planted(key: Key[Array, ""], side: int) -> ising.Params:
    """A square lattice of frustrated tiles, and so with a ground state that is known: `planted_energy`.

    Every second plaquette, like the black fields of a chessboard, is a tile, and every bond belongs to exactly one. The
    bonds of a tile are -1, 1, 2, 2 in random order. Their product is negative, so that no state satisfies all four;
    with all spins up the weakest alone is violated, and no tile can do better. At last all spins are turned at random,
    J_ij → J_ij t_i t_j, and t is the ground state.

    Hamze et al. (2018), "From near to eternity: spin-glass planting, tiling puzzles, and constraint-satisfaction
    problems".
    """
    order_key, spins_key = jax.random.split(key)
    shuffle = lambda key: jax.random.permutation(key, jnp.array(TILE))
    bonds = jax.vmap(shuffle)(jax.random.split(order_key, side**2)).reshape(side, side, 4)
    black = jnp.asarray(np.indices((side, side)).sum(axis=0) % 2 == 0)
    # a site with an even sum owns all bonds of the tile to its lower right; the others' bonds belong to neighbours
    down = jnp.where(black, bonds[..., 0], jnp.roll(bonds[..., 1], 1, 1))
    right = jnp.where(black, bonds[..., 2], jnp.roll(bonds[..., 3], 1, 0))
    spins = jax.random.rademacher(spins_key, (side, side), bonds.dtype)
    turned = [bond * spins * jnp.roll(spins, -1, axis) for axis, bond in enumerate((down, right))]
    return ising.Params(jnp.stack(turned), jnp.zeros(()))


def planted_energy(side: int) -> float:
    """The ground state's energy of `planted`: each of the side²/2 tiles at its least."""
    return -sum(TILE) * side**2 / 2
