"""BlackJAX's side of the group `neural`: its Rosenbluth-Metropolis-Hastings kernels, with vmapped chains and a scan."""

from collections.abc import Callable
from typing import Any

import blackjax
import jax
import jax.numpy as jnp


def rmh(log_density: Callable[[Any], Any], scale: float) -> Any:
    """`blackjax.rmh` with a symmetric Gaussian proposal."""
    return blackjax.rmh(log_density, lambda key, x: x + scale * jax.random.normal(key, x.shape))


def additive(log_density: Callable[[Any], Any], scale: float, size: int) -> Any:
    """`blackjax.additive_step_random_walk` with its own Gaussian step."""
    step = blackjax.mcmc.random_walk.normal(jnp.full(size, scale))
    return blackjax.additive_step_random_walk(log_density, step)


def positions_after(algorithm: Any, steps: int) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """`run(key, positions)`: the positions (chains, size) of all chains after the steps."""

    def run(key, positions):
        def step(states, key):
            return jax.vmap(algorithm.step)(jax.random.split(key, len(positions)), states)[0], None

        states = jax.vmap(algorithm.init)(positions)
        return jax.lax.scan(step, states, jax.random.split(key, steps))[0].position

    return run
