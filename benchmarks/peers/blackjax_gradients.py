"""BlackJAX's side of gradients: Hamiltonian Monte Carlo and MALA, with vmapped chains and a scan."""

from collections.abc import Callable
from typing import Any

import blackjax
import jax
import jax.numpy as jnp


def hmc(log_density: Callable[[Any], Any], step_size: float, steps: int, size: int) -> Any:
    """`blackjax.hmc` with an identity mass matrix."""
    return blackjax.hmc(log_density, step_size, jnp.ones(size), steps)


def mala(log_density: Callable[[Any], Any], step_size: float) -> Any:
    """`blackjax.mala`."""
    return blackjax.mala(log_density, step_size)


def draws(algorithm: Any, steps: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """`run(key, positions)`: the positions of all chains after each step, (steps, chains, size)."""

    def run(key, positions):
        def step(states, key):
            states = jax.vmap(algorithm.step)(jax.random.split(key, len(positions)), states)[0]
            return states, states.position

        return jax.lax.scan(step, jax.vmap(algorithm.init)(positions), jax.random.split(key, steps))[1]

    return run
