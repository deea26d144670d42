"""Negative log-likelihood where the partition function over y can be computed: on a grid or an enumerated space.

-log p(y) = beta F(y) + log ∫ exp(-beta F(y')) dy',        p(y) = exp(-beta F(y)) / Z

LeCun et al. (2006), "A tutorial on energy-based learning", section 2.2.4.
"""

from typing import Any, Protocol, runtime_checkable

from ebmjax.checks import ArgumentError, as_number, as_scalar, check_callable, check_finite_beta, check_record
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
        ValueError: what is no function or no `Space`; beta negative, NaN or infinite.

    >>> import jax.numpy as jnp
    >>> from ebmjax.marginalize.spaces import interval
    >>> nll = negative_log_likelihood(lambda mean, y: (y - mean) ** 2 / 2, interval(-8.0, 8.0, 161), 1.0)
    >>> round(float(nll(0.0, jnp.array([0.0]))), 4)  # log √(2π)
    0.9189
    """
    check_callable("free_energy", free_energy)
    check_record("space", space, Space)
    check_finite_beta(beta)
    beta = as_number("beta", beta)
    data_term = mean_over_samples(free_energy)

    def loss(params: Any, batch: Any) -> Any:
        mean = data_term(params, batch)
        log_z = log_partition(lambda y: free_energy(params, y), space, beta)
        return beta.astype(mean.dtype) * mean + log_z

    return loss


def conditional_negative_log_likelihood(free_energy: ConditionalEnergy, space: Space, beta: Beta) -> Loss:
    """Mean of -log p(y|x) in nats, with a Z(x) for each sample; a batch is (x, y).

    Args:
        free_energy: `free_energy(params, x, y) -> scalar`, at the same beta.
        space, beta: as in `negative_log_likelihood`.

    Returns:
        `loss(params, (x, y))`.

    Raises:
        ValueError: what is no function or no `Space`; beta negative, NaN or infinite.

    >>> import jax.numpy as jnp
    >>> from ebmjax.marginalize.spaces import interval
    >>> energy = lambda scale, x, y: (y - scale * x) ** 2 / 2
    >>> nll = conditional_negative_log_likelihood(energy, interval(-8.0, 8.0, 161), 1.0)
    >>> round(float(nll(1.0, (jnp.array([0.0, 1.0]), jnp.array([0.0, 1.0])))), 4)
    0.9189
    """
    check_callable("free_energy", free_energy)
    check_record("space", space, Space)
    check_finite_beta(beta)
    beta = as_number("beta", beta)

    def sample_loss(params: Any, sample: Any) -> Any:
        if not isinstance(sample, tuple | list) or len(sample) != 2:
            raise ArgumentError(f"batch: got a {type(sample).__name__}, wanted a pair (x, y)")
        x, y = sample
        value = as_scalar("free_energy", free_energy(params, x, y))
        return beta.astype(value.dtype) * value + log_partition(lambda y: free_energy(params, x, y), space, beta)

    return mean_over_samples(sample_loss)
