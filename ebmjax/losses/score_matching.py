"""Score matching: fit the gradient of the log density, in which the partition function does not appear.

    s(y) = ∇ log p(y) = -beta ∇E(y),    J = ½ mean ‖s - ∇ log p_data‖²

`score_matching` is J up to a constant, by Hyvärinen's integration by parts. It costs as many gradients as y has
components: take it for a few of them. `sliced_score_matching` estimates its trace from random directions: take it for
many. `denoising_score_matching` matches the score of the data plus noise, at the cost of one gradient: take it where
the law of slightly noisy data is good enough.

None needs a sampler or Z. None learns how the probability is shared between regions that are far apart, because there
are no data between them to fit the gradient at. All need an energy that is twice differentiable in y.

The second and third draw random numbers: learn by them with `ebmjax.learn.gradient.stochastic_gradient`.
"""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import (
    as_float,
    as_number,
    as_scalar,
    check_callable,
    check_count,
    check_finite_beta,
    check_positive,
)
from ebmjax.losses.functional import Loss, StochasticLoss, mean_over_samples
from ebmjax.types import Beta, ModelEnergy, Numbers, Scalar


def score_matching(energy: ModelEnergy, beta: Beta) -> Loss:
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
    check_callable("energy", energy)
    check_finite_beta(beta)
    beta = as_number("beta", beta)

    def sample_loss(params: Any, y: Any) -> Float[Array, ""]:
        y = as_float("y", y)
        score = _score(energy, beta, params)
        directions = jnp.eye(y.size, dtype=y.dtype).reshape(y.size, *y.shape)
        slope, along = _slopes(score, y, directions)
        return jnp.sum(slope**2) / 2 + jnp.sum(along)

    return mean_over_samples(sample_loss)


def sliced_score_matching(energy: ModelEnergy, beta: Beta, projections: int = 1) -> StochasticLoss:
    """Mean of ½‖s(y)‖² + vᵀ∇s(y)v over random signs v: `score_matching` in expectation, at the cost of two gradients.

    This is the form of reduced variance: ‖s‖² is exact, and only the trace is estimated. With random signs, vᵀHv
    contains the diagonal of H exactly.

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
    check_callable("energy", energy)
    check_finite_beta(beta)
    beta = as_number("beta", beta)
    check_count("projections", projections)

    def loss(key: Key[Array, ""], params: Any, batch: Annotated[Numbers, "batch *shape"]) -> Float[Array, ""]:
        batch = as_float("batch", batch)
        score = _score(energy, beta, params)
        signs = jax.random.rademacher(key, (len(batch), projections, *batch.shape[1:]), batch.dtype)

        def one(y, directions):
            slope, along = _slopes(score, y, directions)
            return jnp.sum(slope**2) / 2 + along.mean()

        return jax.vmap(one)(batch, signs).mean()

    return loss


def denoising_score_matching(energy: ModelEnergy, beta: Beta, noise_scale: Scalar) -> StochasticLoss:
    """Mean of ½σ²‖s(ỹ) + (ỹ - y)/σ²‖² over ỹ = y + σ·noise: the score at ỹ is fitted to point back to y.

    Its minimizer is the law of ỹ, the data plus Gaussian noise of standard deviation σ, not the law of the data. The
    factor σ² makes the loss a pure number, ½ per component for a score of zero. It costs one gradient in y.

    Args:
        energy, beta: as for `score_matching`.
        noise_scale: σ, above 0, in the units of y.

    Returns:
        `loss(key, params, batch)`.

    Raises:
        ValueError: a bad or infinite beta, a noise_scale that is not positive and finite.

    Vincent (2011), "A connection between score matching and denoising autoencoders", eq. 9, times σ².

    >>> loss = denoising_score_matching(lambda w, y: w * jnp.sum(y**2) / 2, 2.0, 0.5)
    >>> float(loss(jax.random.key(0), 2.0, jnp.zeros((4, 3))))  # at y = 0, s(ỹ) = -4ỹ = -(ỹ - y)/σ²
    0.0
    """
    check_callable("energy", energy)
    check_finite_beta(beta)
    beta = as_number("beta", beta)
    check_positive("noise_scale", noise_scale)
    noise_scale = as_number("noise_scale", noise_scale)

    def loss(key: Key[Array, ""], params: Any, batch: Annotated[Numbers, "batch *shape"]) -> Float[Array, ""]:
        batch = as_float("batch", batch)
        score = _score(energy, beta, params)
        width = noise_scale.astype(batch.dtype)
        noise = jax.random.normal(key, batch.shape, batch.dtype)
        one = lambda y, noise: jnp.sum((width * score(y + width * noise) + noise) ** 2) / 2
        return jax.vmap(one)(batch, noise).mean()

    return loss


def _score(energy, beta, params):
    """y ↦ -beta ∇E(y)."""
    slope = jax.grad(lambda y: as_scalar("energy", energy(params, y)))
    return lambda y: -beta.astype(y.dtype) * slope(y)


def _slopes(score, y, directions):
    """The score at y, and vᵀ∇s(y)v for each of the directions v."""
    value, derivative = jax.linearize(score, y)
    return value, jax.vmap(lambda v: jnp.sum(v * derivative(v)))(directions)
