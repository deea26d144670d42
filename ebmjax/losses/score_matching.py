"""Score matching: fit the slope of the log density, in which the partition function does not appear.

    s(y) = ∇ log p(y) = -beta ∇E(y),    J = ½ mean ‖s - ∇ log p_data‖²

`score_matching` is J up to a constant, by Hyvärinen's integration by parts; `sliced_score_matching` estimates its trace
from random directions; `denoising_score_matching` matches the score of the data blurred by noise. None needs a sampler
or Z, and none sees how much weight lies in regions that are far apart: between them there are no data at which the
slope could be seen. All want an energy that is twice differentiable in y.

A loss of the second and third kind draws random numbers: `ebmjax.learn.gradient.stochastic_gradient` learns by it.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import check_count, check_finite_beta, check_positive
from ebmjax.losses.functional import Loss, StochasticLoss, mean_over_samples
from ebmjax.types import Beta, Scalar


def score_matching(energy: Callable[[Any, Any], Any], beta: Beta) -> Loss:
    """Mean of ½‖s(y)‖² + tr ∇s(y), with the trace of the Hessian exact: as many gradients as y has components.

    Args:
        energy: `energy(params, y) -> scalar`, y an array of any shape.
        beta: inverse temperature in [0, inf).

    Returns:
        `loss(params, batch)`, in squared units of the score; it may be negative.

    Raises:
        ValueError: a bad or infinite beta.

    Hyvärinen (2005), "Estimation of non-normalized statistical models by score matching", eq. 4.

    >>> loss = score_matching(lambda precision, y: precision * jnp.sum(y**2) / 2, 1.0)
    >>> float(loss(2.0, jnp.array([[1.0], [3.0]])))  # precision² mean y² / 2 - precision
    8.0
    """
    check_finite_beta(beta)

    def sample_loss(params: Any, y: Float[Array, "*shape"]) -> Float[Array, ""]:
        score = _score(energy, beta, params)
        directions = jnp.eye(y.size, dtype=y.dtype).reshape(y.size, *y.shape)
        slope, along = _slopes(score, y, directions)
        return jnp.sum(slope**2) / 2 + jnp.sum(along)

    return mean_over_samples(sample_loss)


def sliced_score_matching(energy: Callable[[Any, Any], Any], beta: Beta, projections: int = 1) -> StochasticLoss:
    """Mean of ½‖s(y)‖² + vᵀ∇s(y)v over random signs v: `score_matching` in expectation, at the cost of two gradients.

    The form of reduced variance: the square of the score is taken whole, not along v. With signs, vᵀHv has the diagonal
    of H exactly.

    Args:
        energy, beta: as for `score_matching`.
        projections: directions v for each sample, at least 1.

    Returns:
        `loss(key, params, batch)`.

    Raises:
        ValueError: a bad or infinite beta, projections below 1.

    Song, Garg, Shi, Ermon (2019), "Sliced score matching", eq. 8.

    >>> loss = sliced_score_matching(lambda precision, y: precision * jnp.sum(y**2) / 2, 1.0)
    >>> float(loss(jax.random.key(0), 2.0, jnp.array([[1.0], [3.0]])))
    8.0
    """
    check_finite_beta(beta)
    check_count("projections", projections)

    def loss(key: Key[Array, ""], params: Any, batch: Float[Array, "batch *shape"]) -> Float[Array, ""]:
        score = _score(energy, beta, params)
        signs = jax.random.rademacher(key, (len(batch), projections, *batch.shape[1:]), batch.dtype)

        def one(y, directions):
            slope, along = _slopes(score, y, directions)
            return jnp.sum(slope**2) / 2 + along.mean()

        return jax.vmap(one)(batch, signs).mean()

    return loss


def denoising_score_matching(energy: Callable[[Any, Any], Any], beta: Beta, scale: Scalar) -> StochasticLoss:
    """Mean of ½σ²‖s(ỹ) + (ỹ - y)/σ²‖² over ỹ = y + σ·noise: the score there points back to the sample.

    Its minimizer is the law of the data blurred by a Gaussian of width σ = `scale`, not the law of the data. The factor
    σ² makes the loss a pure number, ½ per component for a score of zero. Costs one gradient in y.

    Args:
        energy, beta: as for `score_matching`.
        scale: σ, above 0, in the units of y.

    Returns:
        `loss(key, params, batch)`.

    Raises:
        ValueError: a bad or infinite beta, a scale that is not above 0.

    Vincent (2011), "A connection between score matching and denoising autoencoders", eq. 9, times σ².

    >>> loss = denoising_score_matching(lambda w, y: w * jnp.sum(y**2) / 2, 2.0, 0.5)
    >>> float(loss(jax.random.key(0), 2.0, jnp.zeros((4, 3))))  # at y = 0, s(ỹ) = -4ỹ = -(ỹ - y)/σ²
    0.0
    """
    check_finite_beta(beta)
    check_positive("scale", scale)

    def loss(key: Key[Array, ""], params: Any, batch: Float[Array, "batch *shape"]) -> Float[Array, ""]:
        score = _score(energy, beta, params)
        width = jnp.asarray(scale).astype(batch.dtype)
        noise = jax.random.normal(key, batch.shape, batch.dtype)
        one = lambda y, noise: jnp.sum((width * score(y + width * noise) + noise) ** 2) / 2
        return jax.vmap(one)(batch, noise).mean()

    return loss


def _score(energy, beta, params):
    """y ↦ -beta ∇E(y)."""
    slope = jax.grad(lambda y: energy(params, y))
    return lambda y: -jnp.asarray(beta).astype(y.dtype) * slope(y)


def _slopes(score, y, directions):
    """The score at y, and vᵀ∇s(y)v for each of the directions v."""
    value, derivative = jax.linearize(score, y)
    return value, jax.vmap(lambda v: jnp.sum(v * derivative(v)))(directions)
