"""Contrastive losses: they lower the free energy of observed y and raise that of contrasting y.

Both take a batch `(observed, contrasting)`, two stacks of equal length. Contrasting y are wrong ones of low free
energy, found for instance by minimizing F from the data.
"""

from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float, as_number, check_callable, check_not_negative
from ebmjax.losses.functional import Loss, mean_over_samples
from ebmjax.types import ModelEnergy, Scalar


def hinge(observed: Scalar, contrasting: Scalar, margin: Scalar) -> Float[Array, ""]:
    """[m + F(observed) - F(contrasting)]⁺: zero once the difference is at least m. All in units of energy.

    Args:
        observed, contrasting: the two free energies.
        margin: m, at least 0.

    LeCun and Huang (2005), "Loss functions for discriminative training of energy-based models"; LeCun et al. (2006), "A
    tutorial on energy-based learning", eq. 11.

    >>> float(hinge(1.0, 3.0, 1.0)), float(hinge(3.0, 1.0, 1.0))
    (0.0, 3.0)
    """
    observed, contrasting = as_float("observed", observed), as_float("contrasting", contrasting)
    return jax.nn.relu(as_number("margin", margin).astype(observed.dtype) + observed - contrasting)


def log(observed: Scalar, contrasting: Scalar) -> Float[Array, ""]:
    """log(1 + exp(F(observed) - F(contrasting))): a smooth hinge with margin 0. Free energies in nats.

    LeCun et al. (2006), "A tutorial on energy-based learning", eq. 12.

    >>> round(float(log(1.0, 1.0)), 4)
    0.6931
    """
    return jax.nn.softplus(as_float("observed", observed) - as_float("contrasting", contrasting))


def hinge_loss(free_energy: ModelEnergy, margin: Scalar) -> Loss:
    """The mean hinge of F(params, observed) against F(params, contrasting), with `batch = (observed, contrasting)`.

    Args:
        free_energy: `free_energy(params, y) -> scalar`, in units of energy.
        margin: m in the same units, at least 0.

    Raises:
        ValueError: what is no function, a static negative or NaN margin; when the loss is called, a batch that is no
            pair.

    >>> import jax.numpy as jnp
    >>> loss = hinge_loss(lambda centre, y: (y - centre) ** 2, margin=1.0)
    >>> float(loss(0.0, (jnp.array([1.0, 2.0]), jnp.array([2.0, 2.0]))))
    0.5
    """
    check_not_negative("margin", margin)
    margin = as_number("margin", margin)
    return _compared(free_energy, lambda observed, contrasting: hinge(observed, contrasting, margin))


def log_loss(free_energy: ModelEnergy) -> Loss:
    """The mean log loss of F(params, observed) against F(params, contrasting), with `batch = (observed, contrasting)`.

    Args:
        free_energy: `free_energy(params, y) -> scalar`, in nats.

    Raises:
        ValueError: what is no function; when the loss is called, a batch that is no pair.

    >>> import jax.numpy as jnp
    >>> loss = log_loss(lambda centre, y: (y - centre) ** 2)
    >>> round(float(loss(0.0, (jnp.array([1.0]), jnp.array([1.0])))), 4)
    0.6931
    """
    return _compared(free_energy, log)


def _compared(free_energy: ModelEnergy, compare: Callable[[Any, Any], Array]) -> Loss:
    check_callable("free_energy", free_energy)

    def sample_loss(params: Any, pair: Any) -> Array:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ArgumentError(f"batch: got a {type(pair).__name__}, wanted a pair (observed, contrasting)")
        observed, contrasting = pair
        return compare(free_energy(params, observed), free_energy(params, contrasting))

    return mean_over_samples(sample_loss)
