"""The loss functional: from a loss of one sample to the loss of a batch, and the types of both.

L(F, Y) = 1/N Σₙ ℓ(F, yₙ)

LeCun et al. (2006), "A tutorial on energy-based learning", section 2.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import as_float, as_scalar, check_callable, leading_axis


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
        leading axis, see `as_samples`.

    Raises:
        ValueError: what is no function; when the loss is called, a batch that is not numbers or has no leading axis, or
            a `sample_loss` that is not a scalar.

    >>> import jax.numpy as jnp
    >>> float(mean_over_samples(lambda scale, y: scale * y)(2.0, jnp.array([1.0, 3.0])))
    4.0
    """
    check_callable("sample_loss", sample_loss)

    def loss(params: Any, batch: Any) -> Float[Array, ""]:
        samples = as_samples("batch", batch)
        return jax.vmap(lambda sample: as_scalar("sample_loss", sample_loss(params, sample)))(samples).mean()

    return loss


def as_samples(name: str, batch: Any) -> Any:
    """A batch as JAX arrays with one leading axis: bytes, truth values and half precision become float32.

    Integers of 32 bits or more stay as they are, since they may be labels or indices.

    Raises ValueError, naming the argument, for what is not numbers, and for arrays without a common leading axis.

    >>> import numpy as np
    >>> as_samples("batch", (np.array([0, 255], np.uint8), np.array([3, 4], np.int32)))
    (Array([  0., 255.], dtype=float32), Array([3, 4], dtype=int32))
    """
    leading_axis(name, batch)
    return jax.tree.map(lambda leaf: _sample(name, leaf), batch)


def _sample(name, leaf):
    dtype = getattr(leaf, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jnp.integer) and dtype.itemsize >= 4:
        as_float(name, leaf)
        return jnp.asarray(leaf, dtype.newbyteorder("="))
    return as_float(name, leaf)
