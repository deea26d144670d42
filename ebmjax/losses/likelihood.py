"""Negative log-likelihood where the partition function over y can be computed: on a grid or an enumerated space.

-log p(y) = beta F(y) + log ∫ exp(-beta F(y')) dy',        p(y) = exp(-beta F(y)) / Z

LeCun et al. (2006), "A tutorial on energy-based learning", section 2.2.4.
"""

from typing import Any, Protocol, runtime_checkable

from ebmjax.checks import check_finite_beta
from ebmjax.losses.functional import Loss, mean_over_samples
from ebmjax.marginalize.free_energy import log_partition
from ebmjax.types import Beta, ModelEnergy, Space


@runtime_checkable
class ConditionalEnergy(Protocol):
    """An energy, or a free energy, of y given x, whose parameters are still open."""

    def __call__(self, params: Any, x: Any, y: Any, /) -> Any:
        """The energy of one pair, a scalar."""
        ...


def negative_log_likelihood(free_energy: ModelEnergy, space: Space, beta: Beta) -> Loss:
    """Mean of -log p(y) in nats, with Z summed over a space of y.

    Args:
        free_energy: `free_energy(params, y) -> scalar`, at the same beta.
        space: the space of y, such as `product(interval, interval)`. It must hold all states of noticeable probability,
            and its points must have the form of a sample.
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


def conditional_negative_log_likelihood(free_energy: ConditionalEnergy, space: Space, beta: Beta) -> Loss:
    """Mean of -log p(y|x) in nats, with a Z(x) for each sample; a batch is (x, y).

    Args:
        free_energy: `free_energy(params, x, y) -> scalar`, at the same beta.
        space, beta: as in `negative_log_likelihood`.

    Returns:
        `loss(params, (x, y))`.

    Raises:
        ValueError: beta negative, NaN or infinite.

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
