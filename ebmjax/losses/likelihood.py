"""Negative log-likelihood where the partition function over y can be computed: on a grid or an enumerated space.

-log p(y) = beta F(y) + log ∫ exp(-beta F(y')) dy',        p(y) = exp(-beta F(y)) / Z
"""

from collections.abc import Callable
from typing import Any

from jaxtyping import Array

from ebmjax.checks import check_finite_beta
from ebmjax.losses.functional import Loss, SampleLoss, mean_over_samples
from ebmjax.marginalize.free_energy import log_partition
from ebmjax.types import Beta, Space


def negative_log_likelihood(free_energy: SampleLoss, space: Space, beta: Beta) -> Loss:
    """Mean of -log p(y) in nats, with Z summed over a space of y.

    Args:
        free_energy: `free_energy(params, y) -> scalar`, at the same beta.
        space: the observed space, a grid that holds the data's neighbourhood, such as `product(interval, interval)`;
            its points must have the form of a sample.
        beta: inverse temperature in [0, inf).

    Returns:
        `loss(params, batch)`. Z is computed once a batch.

    Raises:
        ValueError: beta negative, NaN or infinite.

    >>> import jax.numpy as jnp
    >>> from ebmjax.marginalize.spaces import interval
    >>> nll = negative_log_likelihood(lambda mean, y: (y - mean) ** 2 / 2, interval(-8.0, 8.0, 161), 1.0)
    >>> round(float(nll(0.0, jnp.array([0.0]))), 4)  # log √(2π)
    0.9189
    """
    check_finite_beta(beta)
    data_term = mean_over_samples(free_energy)

    def loss(params: Any, batch: Any) -> Any:
        return beta * data_term(params, batch) + log_partition(lambda y: free_energy(params, y), space, beta)

    return loss


def conditional_negative_log_likelihood(
    free_energy: Callable[[Any, Any, Any], Array], space: Space, beta: Beta
) -> Loss:
    """Mean of -log p(y|x) in nats, with a Z(x) for each sample; a batch is (x, y).

    Args:
        free_energy: `free_energy(params, x, y) -> scalar`.
        space, beta: as in `negative_log_likelihood`.

    >>> import jax.numpy as jnp
    >>> from ebmjax.marginalize.spaces import interval
    >>> energy = lambda scale, x, y: (y - scale * x) ** 2 / 2
    >>> nll = conditional_negative_log_likelihood(energy, interval(-8.0, 8.0, 161), 1.0)
    >>> round(float(nll(1.0, (jnp.array([0.0, 1.0]), jnp.array([0.0, 1.0])))), 4)
    0.9189
    """
    check_finite_beta(beta)

    def sample_loss(params: Any, sample: Any) -> Any:
        x, y = sample
        return beta * free_energy(params, x, y) + log_partition(lambda y: free_energy(params, x, y), space, beta)

    return mean_over_samples(sample_loss)
