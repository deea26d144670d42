"""Contrastive losses: push the free energy of data down and that of contrasting points up.

Both act on a pair of batches `(observed, contrasting)` of equal length: y⁻ that are wrong and too low, found for
instance by minimizing F from the data.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import check_not_negative
from ebmjax.losses.functional import Loss, SampleLoss, mean_over_samples
from ebmjax.types import Scalar


def hinge(observed: Scalar, contrasting: Scalar, margin: Scalar) -> Float[Array, ""]:
    """[m + F(observed) - F(contrasting)]⁺: zero once the gap is at least m. All in units of energy.

    LeCun & Huang (2005); LeCun et al. (2006), eq. 11.

    >>> float(hinge(1.0, 3.0, 1.0)), float(hinge(3.0, 1.0, 1.0))
    (0.0, 3.0)
    """
    return jax.nn.relu(jnp.asarray(margin + observed - contrasting))


def log(observed: Scalar, contrasting: Scalar) -> Float[Array, ""]:
    """log(1 + exp(F(observed) - F(contrasting))): a hinge with a soft corner and no margin.

    LeCun et al. (2006), eq. 12.

    >>> round(float(log(1.0, 1.0)), 4)
    0.6931
    """
    return jax.nn.softplus(jnp.asarray(observed - contrasting))


def hinge_loss(free_energy: SampleLoss, margin: float) -> Loss:
    """The mean hinge of F(params, observed) against F(params, contrasting), with `batch = (observed, contrasting)`.

    Raises ValueError for a static negative or NaN margin.

    >>> loss = hinge_loss(lambda centre, y: (y - centre) ** 2, margin=1.0)
    >>> float(loss(0.0, (jnp.array([1.0, 2.0]), jnp.array([2.0, 2.0]))))
    0.5
    """
    check_not_negative("margin", margin)
    return _contrast(free_energy, lambda observed, contrasting: hinge(observed, contrasting, margin))


def log_loss(free_energy: SampleLoss) -> Loss:
    """The mean log loss of F(params, observed) against F(params, contrasting), with `batch = (observed, contrasting)`.

    >>> loss = log_loss(lambda centre, y: (y - centre) ** 2)
    >>> round(float(loss(0.0, (jnp.array([1.0]), jnp.array([1.0])))), 4)
    0.6931
    """
    return _contrast(free_energy, log)


def _contrast(free_energy: SampleLoss, compare: Any) -> Loss:
    def sample_loss(params: Any, pair: Any) -> Array:
        observed, contrasting = pair
        return compare(free_energy(params, observed), free_energy(params, contrasting))

    return mean_over_samples(sample_loss)
