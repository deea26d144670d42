"""Any optax optimizer, also one that wants more than a gradient: the value of the function, or the function itself.

Line searches such as `optax.lbfgs()`, `optax.polyak_sgd()` and `optax.contrib.reduce_on_plateau()` take these as
keyword arguments of `update`.
"""

import inspect
from collections.abc import Callable, Collection
from typing import Any

import jax
import optax
from jaxtyping import Array, Float, PyTree

from ebmjax.checks import ArgumentError


def as_optimizer(optimizer: Any) -> optax.GradientTransformationExtraArgs:
    """An optax optimizer that may be given the value of the loss and more, whether it needs them or not.

    Raises ArgumentError for what is no `optax.GradientTransformation`.

    >>> as_optimizer(lambda params: params)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: optimizer: got a function, wanted an optimizer of optax
    """
    # a learner, too, has functions `init` and `update`
    if not isinstance(optimizer, optax.GradientTransformation):
        raise ArgumentError(f"optimizer: got a {type(optimizer).__name__}, wanted an optimizer of optax")
    return optax.with_extra_args_support(optimizer)


def updates_of(
    optimizer: optax.GradientTransformation,
    function: Callable[[Any], Float[Array, ""]],
    point: PyTree,
    value: Float[Array, ""],
    slope: PyTree,
    memory: optax.OptState,
) -> tuple[PyTree, optax.OptState]:
    """One step of an optimizer: what is added to the point, and the next memory.

    Args:
        optimizer: any of optax.
        function: `function(point) -> scalar`, which is minimized; only a line search calls it.
        point: where the optimizer stands.
        value: of the function there.
        slope: its gradient there, or what takes its place.
        memory: of the optimizer, from its `init` or the step before.

    >>> square = lambda z: z**2
    >>> optimizer = optax.polyak_sgd()
    >>> z = jax.numpy.array(1.0)
    >>> updates, memory = updates_of(optimizer, square, z, square(z), 2 * z, optimizer.init(z))
    >>> float(updates)
    -0.5
    """
    optimizer = as_optimizer(optimizer)
    # a line search hands all that it does not know to this function, and refuses what is left over
    function_of = lambda point, obj_fn=None, grad_fn=None: function(point)
    extra = {
        "value": value,
        "grad": slope,
        "value_fn": function_of,
        "obj_fn": function_of,
        "grad_fn": lambda point, _: jax.grad(function_of)(point),
    }
    taken = {name: extra[name] for name in _taken(optimizer.update, extra)}
    return optimizer.update(slope, memory, point, **taken)


def _taken(function: Callable[..., Any], names: Collection[str]) -> list[str]:
    """Which keyword arguments a function takes; a few of optax's that take some do not take all."""
    parameters = inspect.signature(function).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return [name for name in names if takes_all or name in parameters]
