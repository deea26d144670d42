"""Functions whose outer parameters count as constants, so that no derivative is taken through the loop of a minimizer.

The energy at the solution is then evaluated with its parameters: by the envelope theorem (Danskin, 1966) its gradient
is that of the least energy.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ebmjax.energies.regularizers import Regularizer


def without_outer_gradients(function: Callable[..., Any], *examples: Any) -> Callable[..., Any]:
    """The function with everything it closes over taken as constant, so that loops over it need no derivative.

    `examples` are arguments of the shapes and dtypes to come.

    >>> slope = jax.grad(lambda scale: without_outer_gradients(lambda z: scale * z, 1.0)(2.0))
    >>> float(slope(3.0))
    0.0
    """
    pure, constants = jax.closure_convert(function, *jax.tree.map(jnp.asarray, examples))
    constants = jax.lax.stop_gradient(constants)
    return lambda *arguments: pure(*arguments, *constants)


def regularizer_without_outer_gradients(regularizer: Regularizer, code: Array, slope: Array) -> Regularizer:
    """The same for a regularizer: `code` and `slope` have the shapes in which values and conjugates are asked for.

    >>> from ebmjax.energies.regularizers import l1
    >>> z = jnp.ones(2)
    >>> float(jax.grad(lambda weight: regularizer_without_outer_gradients(l1(weight), z, z).value(z))(3.0))
    0.0
    """
    number = jnp.zeros((), code.dtype)
    return Regularizer(
        without_outer_gradients(regularizer.value, code),
        without_outer_gradients(regularizer.prox, code, number),
        without_outer_gradients(regularizer.conjugate, slope, number),
    )
