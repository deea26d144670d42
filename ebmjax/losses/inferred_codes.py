"""Losses of a network that infers a code: its distance from known codes, or the energy of the code that it infers.

Both are losses of one sample. `ebmjax.losses.energy.energy_loss` makes the mean over a batch of them.
"""

from typing import Any, Protocol, runtime_checkable

import jax.numpy as jnp

from ebmjax.checks import ArgumentError, as_float, check_callable
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

    Raises:
        ValueError: what is no function; when the loss is called, a sample that is no pair, or a code of another shape.

    Gregor and LeCun (2010), "Learning fast approximations of sparse coding".

    >>> float(supervised(lambda gain, y: gain * y)(2.0, (jnp.ones(2), jnp.ones(2))))
    1.0
    """
    check_callable("infer", infer)

    def sample_loss(weights: Any, sample: Any) -> Any:
        if not isinstance(sample, tuple | list) or len(sample) != 2:
            raise ArgumentError(f"sample: got a {type(sample).__name__}, wanted a pair (y, code)")
        inferred = as_float("infer", infer(weights, as_float("y", sample[0])))
        return jnp.sum(jnp.square(inferred - as_float("code", sample[1], inferred.shape))) / 2

    return sample_loss


def unsupervised(infer: Infer, energy: CodeEnergy) -> SampleLoss:
    """`sample_loss(weights, y) = energy(y, infer(weights, y))`: to learn inference from the energy alone.

    Args:
        infer: `infer(weights, y) -> z`.
        energy: `energy(y, z) -> scalar`, such as `partial(sparse_coding.energy, params, l1(0.1))`.

    Returns:
        `sample_loss(weights, y) -> scalar`, in units of energy.

    Raises:
        ValueError: what is no function.

    >>> float(unsupervised(lambda gain, y: gain * y, lambda y, z: (y - z) ** 2)(2.0, 3.0))
    9.0
    """
    check_callable("infer", infer)
    check_callable("energy", energy)

    def sample_loss(weights: Any, y: Any) -> Any:
        y = as_float("y", y)
        return energy(y, infer(weights, y))

    return sample_loss
