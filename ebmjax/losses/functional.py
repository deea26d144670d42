"""The loss functional: from a function of one sample to a loss of a batch.

L(F, Y) = 1/N Σₙ ℓ(F, yₙ)
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float, Key

SampleLoss = Callable[[Any, Any], Any]
"""`sample_loss(params, sample) -> scalar`; a sample is whatever one row of the data is, such as y or (x, y)."""


Loss = Callable[[Any, Any], Any]
"""`loss(params, batch) -> scalar`; a batch is samples stacked along a leading axis."""


StochasticLoss = Callable[[Key[Array, ""], Any, Any], Any]
"""`loss(key, params, batch) -> scalar`, which draws: for `ebmjax.learn.gradient.stochastic_gradient`."""


def mean_over_samples(sample_loss: SampleLoss) -> Loss:
    """The loss functional: `loss(params, batch)`, the mean of `sample_loss(params, sample)` over the batch.

    >>> import jax.numpy as jnp
    >>> float(mean_over_samples(lambda scale, y: scale * y)(2.0, jnp.array([1.0, 3.0])))
    4.0
    """

    def loss(params: Any, batch: Any) -> Float[Array, ""]:
        return jax.vmap(lambda sample: sample_loss(params, sample))(batch).mean()

    return loss
