"""Noise-contrastive estimation: learn the energy and its partition function by classifying data against noise.

    G(y) = log p_model(y) - log p_noise(y) - log ν,    log p_model(y) = -beta E(y) - log Z
    L = mean softplus(-G(data)) + ν mean softplus(G(noise))

log Z is one more parameter: among all unnormalized functions the best classifier is the normalized density. The density
of the noise must be known, and the noise must be close to the data: the energy is not learned in a region that the
noise does not reach.

Gutmann and Hyvärinen (2012), "Noise-contrastive estimation of unnormalized statistical models".
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import (
    ArgumentError,
    as_float,
    as_number,
    as_scalar,
    check_callable,
    check_count,
    check_finite_beta,
    leading_axis,
)
from ebmjax.losses.functional import StochasticLoss, as_samples
from ebmjax.types import Beta, ModelEnergy


@runtime_checkable
class LogDensity(Protocol):
    """The logarithm of a normalized density."""

    def __call__(self, y: Any, /) -> Any:
        """The log density of one y in nats, a scalar."""
        ...


@runtime_checkable
class DrawNoise(Protocol):
    """A sampler of the noise."""

    def __call__(self, key: Key[Array, ""], count: int, /) -> Any:
        """Independent samples, `count` of them, stacked along a leading axis."""
        ...


def noise_contrastive(
    energy: ModelEnergy,
    beta: Beta,
    noise_log_density: LogDensity,
    draw_noise: DrawNoise,
    ratio: int = 1,
) -> StochasticLoss:
    """`loss(key, (params, log_partition), batch)`: the logistic loss of the batch against fresh noise, in nats.

    Args:
        energy: `energy(params, y) -> scalar`.
        beta: inverse temperature in [0, inf).
        noise_log_density: `noise_log_density(y) -> scalar` of one y, in nats, normalized: its error becomes an error of
            the learned energy.
        draw_noise: `draw_noise(key, count) -> count samples of the noise`, stacked.
        ratio: ν, noise samples for each sample of the data, at least 1.

    Returns:
        A loss of the pair (params, log_partition), where log_partition is a scalar that learns log Z, in nats.

    Raises:
        ValueError: a bad or infinite beta, ratio below 1; when the loss is called, a batch without a leading axis.

    Gutmann and Hyvärinen (2012), eq. 8.

    >>> log_density = lambda y: -(y**2) / 2 - jnp.log(2 * jnp.pi) / 2
    >>> loss = noise_contrastive(lambda w, y: w * y**2, 1.0, log_density, jax.random.normal, ratio=1)
    >>> value = loss(jax.random.key(0), (jnp.array(0.5), jnp.log(2 * jnp.pi) / 2), jnp.ones(3))
    >>> bool(jnp.isclose(value, 2 * jnp.log(2)))  # the model is the noise: a fair coin classifies as well
    True
    """
    check_finite_beta(beta)
    check_count("ratio", ratio)
    for name, function in (("energy", energy), ("noise_log_density", noise_log_density), ("draw_noise", draw_noise)):
        check_callable(name, function)
    beta = as_number("beta", beta)

    def loss(key: Key[Array, ""], params: tuple[Any, Float[Array, ""]], batch: Any) -> Float[Array, ""]:
        if not isinstance(params, tuple | list) or len(params) != 2:
            raise ArgumentError(f"params: got a {type(params).__name__}, wanted a pair (params, log_partition)")
        energy_params, log_partition = params[0], as_float("log_partition", params[1], ())
        batch = as_samples("batch", batch)

        def logit(y):
            value = as_scalar("energy", energy(energy_params, y))
            # not `temperature.reduced`: its gradient is zero where the energy is zero, and beta is finite here
            nats = beta.astype(value.dtype) * value
            return (
                -nats
                - log_partition
                - as_scalar("noise_log_density", noise_log_density(y))
                - jnp.log(jnp.asarray(ratio, value.dtype))
            )

        noise = draw_noise(key, ratio * leading_axis("batch", batch))
        of_data = jax.nn.softplus(-jax.vmap(logit)(batch)).mean()
        of_noise = jax.nn.softplus(jax.vmap(logit)(noise)).mean()
        return of_data + jnp.asarray(ratio, of_noise.dtype) * of_noise

    return loss
