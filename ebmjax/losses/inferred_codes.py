"""Losses of a network that infers a code: its distance from known codes, or the energy of the code that it infers.

Both are losses of one sample. `ebmjax.losses.energy.energy_loss` makes the mean over a batch of them.
"""

from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp

from ebmjax.losses.functional import SampleLoss


@runtime_checkable
class Infer(Protocol):
    """A network that infers the code of one y, such as `lambda weights, y: lista(weights, y).last`."""

    def __call__(self, weights: Any, y: Any, /) -> Any:
        """The code z of y, an array."""
        ...


@runtime_checkable
class CodeEnergy(Protocol):
    """An energy of y and its code, with its parameters fixed."""

    def __call__(self, y: Any, z: Any, /) -> Any:
        """The energy, a scalar."""
        ...


def supervised(infer: Infer) -> SampleLoss:
    """`sample_loss(weights, (y, code)) = ½‖infer(weights, y) - code‖²`: to learn codes that are known.

    Args:
        infer: `infer(weights, y) -> z`, such as `lambda weights, y: lista(weights, y).last`.

    Returns:
        `sample_loss(weights, (y, code)) -> scalar`, in the units of the code squared.

    Gregor and LeCun (2010), "Learning fast approximations of sparse coding".

    >>> float(supervised(lambda gain, y: gain * y)(2.0, (jnp.ones(2), jnp.ones(2))))
    1.0
    """
    return lambda weights, sample: jnp.sum(jnp.square(infer(weights, sample[0]) - sample[1])) / 2


def unsupervised(infer: Infer, energy: CodeEnergy) -> SampleLoss:
    """`sample_loss(weights, y) = energy(y, infer(weights, y))`: to learn inference from the energy alone.

    Args:
        infer: `infer(weights, y) -> z`.
        energy: `energy(y, z) -> scalar`, such as `partial(sparse_coding.energy, params, l1(0.1))`.

    Returns:
        `sample_loss(weights, y) -> scalar`, in units of energy.

    >>> float(unsupervised(lambda gain, y: gain * y, lambda y, z: (y - z) ** 2)(2.0, 3.0))
    9.0
    """
    return lambda weights, y: energy(y, infer(weights, y))
