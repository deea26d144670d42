"""Noise-contrastive estimation: learn the energy and its partition function by telling data from noise.

    G(y) = log p_model(y) - log p_noise(y) - log ν,    log p_model(y) = -beta E(y) - log Z
    L = mean softplus(-G(data)) + ν mean softplus(G(noise))

log Z is one more parameter: among all unnormalized functions the best classifier is the normalized density. The noise
has to be known, and has to be close to the data; where it never falls, nothing is learned.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import check_count, check_finite_beta
from ebmjax.losses.functional import StochasticLoss
from ebmjax.types import Beta


def noise_contrastive(
    energy: Callable[[Any, Any], Any],
    beta: Beta,
    noise_log_density: Callable[[Any], Any],
    draw_noise: Callable[[Key[Array, ""], int], Any],
    ratio: int = 1,
) -> StochasticLoss:
    """`loss(key, (params, log_partition), batch)`: the logistic loss of telling the batch from fresh noise, in nats.

    Args:
        energy: `energy(params, y) -> scalar`.
        beta: inverse temperature in [0, inf).
        noise_log_density: `noise_log_density(y) -> scalar` of one y, in nats, normalized: an error of it becomes one of
            the learned energy.
        draw_noise: `draw_noise(key, count) -> count samples of the noise`, stacked.
        ratio: ν, noise samples for each of the data, at least 1.

    Returns:
        A loss of the pair (params, log_partition), where log_partition is a scalar that learns log Z, in nats.

    Raises:
        ValueError: a bad or infinite beta, ratio below 1.

    Gutmann and Hyvärinen (2012), "Noise-contrastive estimation of unnormalized statistical models", eq. 8.

    >>> log_density = lambda y: -(y**2) / 2 - jnp.log(2 * jnp.pi) / 2
    >>> loss = noise_contrastive(lambda w, y: w * y**2, 1.0, log_density, jax.random.normal, ratio=1)
    >>> value = loss(jax.random.key(0), (jnp.array(0.5), jnp.log(2 * jnp.pi) / 2), jnp.ones(3))
    >>> bool(jnp.isclose(value, 2 * jnp.log(2)))  # the model is the noise: a coin is as good
    True
    """
    check_finite_beta(beta)
    check_count("ratio", ratio)

    def loss(key: Key[Array, ""], params: tuple[Any, Float[Array, ""]], batch: Any) -> Float[Array, ""]:
        of_energy, log_partition = params

        def logit(y):
            value = energy(of_energy, y)
            reduced = jnp.asarray(beta).astype(value.dtype) * value
            return -reduced - log_partition - noise_log_density(y) - jnp.log(jnp.asarray(ratio, value.dtype))

        noise = draw_noise(key, ratio * len(jax.tree.leaves(batch)[0]))
        of_data = jax.nn.softplus(-jax.vmap(logit)(batch)).mean()
        of_noise = jax.nn.softplus(jax.vmap(logit)(noise)).mean()
        return of_data + jnp.asarray(ratio, of_noise.dtype) * of_noise

    return loss
