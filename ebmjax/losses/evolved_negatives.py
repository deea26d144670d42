"""Energy loss with evolved negatives, for Hopfield networks: raise the energy of the states that evolution reaches.

    L(W, b) = 1/P Σ_p E(y^p) - E(y'^p),    y' = evolution from y, a constant

A gradient step is W ← W + η/(2P) (Σ yyᵀ - Σ y'y'ᵀ), b ← b + η/P (Σ y - Σ y'). It is zero when every pattern is a fixed
point of evolution. This is contrastive divergence at beta = inf: the negatives are states that the network reaches from
the patterns without noise.

Hinton (2002), "Training products of experts by minimizing contrastive divergence", for the contrast.
"""

from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float, check_callable
from ebmjax.energies import hopfield
from ebmjax.energies.hopfield import Params
from ebmjax.losses.functional import Loss, mean_over_samples


@runtime_checkable
class Evolve(Protocol):
    """Evolution of a Hopfield network, such as some sweeps of `ebmjax.minimize.evolution`."""

    def __call__(self, params: Params, y: Float[Array, " units"], /) -> Float[Array, " units"]:
        """The state that evolution reaches from y."""
        ...


def evolved_loss(evolve: Evolve) -> Loss:
    """Mean of E(y) - E(y') over a batch of patterns y, with y' the state that evolution reaches from y.

    The energy is that of ½(W + Wᵀ) with a zero diagonal, so that the gradient is symmetric with a zero diagonal to the
    last bit. W therefore stays symmetric with a zero diagonal under any optimizer that treats all entries alike, such
    as SGD and Adam. (For spins the diagonal of yyᵀ - y'y'ᵀ is zero in exact arithmetic. Its rounding error is not, and
    Adam would turn that into whole steps.)

    Args:
        evolve: `evolve(params, y) -> y'`, such as some sweeps from y, or from y with some spins flipped; no gradient
            passes through it. It may be random: close over a key, with `ebmjax.learn.gradient.stochastic_gradient`.

    Returns:
        `loss(params, batch)` for patterns of shape (patterns, units), in units of energy. It is at least 0 where
        evolution begins at y and never raises the energy.

    Raises:
        ValueError: where `evolve` returns another shape than that of y.

    >>> import jax.numpy as jnp
    >>> from ebmjax.minimize.evolution import evolve
    >>> loss = evolved_loss(lambda params, y: evolve(params, y, 2))
    >>> params = Params(-hopfield.hebbian(jnp.ones((1, 4))).weights, jnp.zeros(4))
    >>> float(loss(params, jnp.ones((1, 4))))
    2.0
    """

    check_callable("evolve", evolve)

    def sample_loss(params: Params, y: Array) -> Any:
        y = as_float("patterns", y, (None,))
        params = hopfield.symmetrized(params)
        evolved = jax.lax.stop_gradient(evolve(jax.lax.stop_gradient(params), y))
        if evolved.shape != y.shape:
            raise ArgumentError(f"evolve: got a state of shape {evolved.shape}, wanted {y.shape}, that of the pattern")
        return hopfield.energy(params, y) - hopfield.energy(params, evolved)

    return mean_over_samples(sample_loss)
