"""Losses of a network that infers a code: against known codes, or the energy of the code that it finds."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp


def supervised(infer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`sample_loss(weights, (y, code)) = ½‖infer(weights, y) - code‖²`: to learn codes that are known.

    Args:
        infer: `infer(weights, y) -> z`, such as `lambda weights, y: lista(weights, y).last`.

    >>> float(supervised(lambda gain, y: gain * y)(2.0, (jnp.ones(2), jnp.ones(2))))
    1.0
    """
    return lambda weights, sample: jnp.sum(jnp.square(infer(weights, sample[0]) - sample[1])) / 2


def unsupervised(infer: Callable[[Any, Any], Any], energy: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`sample_loss(weights, y) = energy(y, infer(weights, y))`: to learn inference from the energy alone.

    Args:
        infer: `infer(weights, y) -> z`.
        energy: `energy(y, z) -> scalar`, such as `partial(sparse_coding.energy, params, l1(0.1))`.

    >>> float(unsupervised(lambda gain, y: gain * y, lambda y, z: (y - z) ** 2)(2.0, 3.0))
    9.0
    """
    return lambda weights, y: energy(y, infer(weights, y))
