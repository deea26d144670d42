"""The Sherrington-Kirkpatrick glass, and what enumeration knows of a small machine."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax import free_energy, softargmin, spin_cube
from ebmjax.energies import hopfield
from ebmjax.marginalize.free_energy import energies_of_points


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
