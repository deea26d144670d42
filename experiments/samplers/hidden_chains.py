"""A factorial hidden Markov model of bits, whose posterior is a problem of `spin_league`.

    y_t ~ N(Σ_k w_k x_tk, σ²),    P(x_tk ≠ x_(t-1)k) = p,    P(x_1k = 1) = ½

Chains k are independent before y is seen, and coupled by it. The states of all chains at one time are summed together,
from the first to the last time and back, so that means are exact.

Ghahramani and Jordan (1997), "Factorial hidden Markov models".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

NOISE, CHANGE = 0.7, 0.15
"""σ and p."""


class Model(NamedTuple):
    """The weights and the path that is seen."""

    weights: Float[Array, " chains"]
    seen: Float[Array, " steps"]


def model(key: Key[Array, ""], chains: int, steps: int) -> Model:
    """Weights drawn from a normal law, and a path drawn from the model."""
    weights_key, first_key, change_key, noise_key = jax.random.split(key, 4)
    weights = jax.random.normal(weights_key, (chains,), jnp.float32)
    changes = jax.random.bernoulli(change_key, CHANGE, (steps, chains))
    first = jax.random.bernoulli(first_key, shape=(chains,))
    bits = jnp.cumsum(jnp.concatenate([first[None], changes[1:]]).astype(jnp.int32), axis=0) % 2
    noise = NOISE * jax.random.normal(noise_key, (steps,), jnp.float32)
    return Model(weights, bits.astype(jnp.float32) @ weights + noise)


def energy(model: Model, bits: Float[Array, "steps chains"]) -> Float[Array, ""]:
    """-log p(x, y) up to a constant; of second order in the bits, and linear in each."""
    away = model.seen - bits @ model.weights
    # [x ≠ x'] = x + x' - 2 x x', linear in each bit
    changes = bits[1:] + bits[:-1] - 2 * bits[1:] * bits[:-1]
    # a bit is its own square, which keeps the energy linear in it
    own = jnp.sum((bits - bits**2) @ model.weights**2)
    return (jnp.sum(away**2) + own) / (2 * NOISE**2) + np.log((1 - CHANGE) / CHANGE) * jnp.sum(changes)


def sums(model: Model) -> tuple[Any, Any]:
    """The exact means and standard deviations of Σ_k w_k x_tk given the path, each (steps,)."""
    weights, seen = np.asarray(model.weights, np.float64), np.asarray(model.seen, np.float64)
    chains = len(weights)
    states = (np.arange(2**chains)[:, None] >> np.arange(chains)) & 1
    totals = states @ weights
    differ = (states[:, None] != states[None]).sum(axis=-1)
    moves = CHANGE**differ * (1 - CHANGE) ** (chains - differ)
    likelihoods = np.exp(-((seen[:, None] - totals) ** 2) / (2 * NOISE**2))
    forward, backward = np.empty_like(likelihoods), np.ones_like(likelihoods)
    forward[0] = likelihoods[0] / likelihoods[0].sum()
    for step in range(1, len(seen)):
        forward[step] = likelihoods[step] * (forward[step - 1] @ moves)
        forward[step] /= forward[step].sum()
    for step in range(len(seen) - 2, -1, -1):
        backward[step] = moves @ (likelihoods[step + 1] * backward[step + 1])
        backward[step] /= backward[step].sum()
    weight = forward * backward
    weight /= weight.sum(axis=1, keepdims=True)
    means = weight @ totals
    return means, np.sqrt(np.maximum(weight @ totals**2 - means**2, 0))
