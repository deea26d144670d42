"""Energy loss with evolved negatives: what a Hopfield network falls into from a pattern is pushed up.

    L(W, b) = 1/P Σ_p E(y^p) - E(y'^p),    y' = evolution from y, a constant

A step down its slope is W ← W + η/(2P) (Σ yyᵀ - Σ y'y'ᵀ), b ← b + η/P (Σ y - Σ y'). It vanishes when evolution leaves
every pattern where it is. Contrastive divergence at beta = inf, with states that the network itself prefers.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ebmjax.checks import ArgumentError
from ebmjax.energies import hopfield
from ebmjax.energies.hopfield import Params
from ebmjax.losses.functional import Loss, mean_over_samples


def evolved_loss(evolve: Callable[[Params, Array], Array]) -> Loss:
    """Mean of E(y) - E(y') over a batch of patterns y.

    W counts as ½(W + Wᵀ) without its diagonal, so that its gradient is symmetric and zero on the diagonal to the last
    bit: under any optimizer that treats entries alike, such as SGD and Adam, W stays what a Hopfield network's must be.
    (For spins the diagonal of yyᵀ - y'y'ᵀ is zero anyway; its rounding, which Adam would blow up, is not.)

    Args:
        evolve: `evolve(params, y) -> y'`, such as some sweeps from y or from y with some spins turned; no gradient goes
            through it. It can be random: close over a key, with `ebmjax.learn.gradient.stochastic_gradient`.

    Returns:
        `loss(params, batch)` with a batch of patterns, shape (patterns, units), and a loss not below 0 where evolution
        begins at y and never raises the energy.

    Raises:
        ValueError: where `evolve` returns another shape than that of y.

    >>> from ebmjax.minimize.evolution import evolve
    >>> loss = evolved_loss(lambda params, y: evolve(params, y, 2))
    >>> params = Params(-hopfield.hebbian(jnp.ones((1, 4))).weights, jnp.zeros(4))
    >>> float(loss(params, jnp.ones((1, 4))))
    2.0
    """

    def sample_loss(params: Params, y: Array) -> Any:
        params = _symmetric(params)
        evolved = jax.lax.stop_gradient(evolve(jax.lax.stop_gradient(params), y))
        if evolved.shape != y.shape:
            raise ArgumentError(f"evolve: got a state of shape {evolved.shape}, wanted {y.shape}, that of the pattern")
        return hopfield.energy(params, y) - hopfield.energy(params, evolved)

    return mean_over_samples(sample_loss)


def _symmetric(params):
    weights = 0.5 * (params.weights + params.weights.T)
    return params._replace(weights=jnp.where(jnp.eye(len(weights), dtype=bool), 0, weights))
