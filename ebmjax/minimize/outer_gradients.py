"""Make the parameters of a function constants to differentiation, so that the loop of a minimizer needs no derivative.

After the loop, a minimizer evaluates the original energy at the solution. By the envelope theorem (Danskin, 1966) the
gradient of that value with respect to the parameters is the gradient of the least energy.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ebmjax.checks import as_float, check_callable
from ebmjax.energies.regularizers import Regularizer, check_regularizer


def without_outer_gradients(function: Callable[..., Any], *examples: Any) -> Callable[..., Any]:
    """The same function, with everything that it closes over constant to differentiation.

    Args:
        function: any function of arrays.
        examples: arguments of the shapes and dtypes with which it will be called.

    Raises ValueError for what is no function.

    >>> slope = jax.grad(lambda scale: without_outer_gradients(lambda z: scale * z, 1.0)(2.0))
    >>> float(slope(3.0))
    0.0
    """
    check_callable("function", function)
    pure, constants = jax.closure_convert(function, *jax.tree.map(jnp.asarray, examples))
    constants = jax.lax.stop_gradient(constants)
    return lambda *arguments: pure(*arguments, *constants)


def regularizer_without_outer_gradients(regularizer: Regularizer, code: Array, slope: Array) -> Regularizer:
    """`without_outer_gradients` of the three functions of a regularizer.

    Args:
        regularizer: any regularizer.
        code: an array of the shape and dtype of the argument of `value` and `prox`.
        slope: the same for `conjugate`.

    Raises ValueError for anything but a `Regularizer` and two arrays of numbers.

    >>> from ebmjax.energies.regularizers import l1
    >>> z = jnp.ones(2)
    >>> float(jax.grad(lambda weight: regularizer_without_outer_gradients(l1(weight), z, z).value(z))(3.0))
    0.0
    """
    check_regularizer(regularizer)
    code, slope = as_float("code", code), as_float("slope", slope)
    number = jnp.zeros((), code.dtype)
    return Regularizer(
        without_outer_gradients(regularizer.value, code),
        without_outer_gradients(regularizer.prox, code, number),
        without_outer_gradients(regularizer.conjugate, slope, number),
    )
