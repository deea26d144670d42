"""The loss functional: from a loss of one sample to the loss of a batch, and the types of both.

L(F, Y) = 1/N Σₙ ℓ(F, yₙ)

LeCun et al. (2006), "A tutorial on energy-based learning", section 2.
"""

from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Float, Key


@runtime_checkable
class SampleLoss(Protocol):
    """The loss of one sample."""

    def __call__(self, params: Any, sample: Any, /) -> Any:
        """The loss of one sample, a scalar; a sample is whatever one row of the data is, such as y or (x, y)."""
        ...


@runtime_checkable
class Loss(Protocol):
    """The loss of a batch, for `ebmjax.learn.gradient.gradient`."""

    def __call__(self, params: Any, batch: Any, /) -> Any:
        """The loss of a batch, a scalar; a batch is samples stacked along a leading axis."""
        ...


@runtime_checkable
class StochasticLoss(Protocol):
    """The loss of a batch that draws random numbers, for `ebmjax.learn.gradient.stochastic_gradient`."""

    def __call__(self, key: Key[Array, ""], params: Any, batch: Any, /) -> Any:
        """The loss of a batch for the random numbers of this key, a scalar."""
        ...


def mean_over_samples(sample_loss: SampleLoss) -> Loss:
    """The loss functional: `loss(params, batch)`, the mean of `sample_loss(params, sample)` over the batch.

    Args:
        sample_loss: `sample_loss(params, sample) -> scalar`.

    Returns:
        `loss(params, batch) -> scalar`, in the units of `sample_loss`. The batch is any pytree of arrays with one
        leading axis.

    >>> import jax.numpy as jnp
    >>> float(mean_over_samples(lambda scale, y: scale * y)(2.0, jnp.array([1.0, 3.0])))
    4.0
    """

    def loss(params: Any, batch: Any) -> Float[Array, ""]:
        return jax.vmap(lambda sample: sample_loss(params, sample))(batch).mean()

    return loss
