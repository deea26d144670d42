"""The one boundary: what comes in is converted to a floating array, or refused by name, before anything is traced.

A static argument that is wrong raises `ArgumentError`, a ValueError that names the argument, what it got and what it
wanted. A traced one cannot be looked at, and passes.
"""

import math
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.types import Alphabet, Beta, Scalar


class ArgumentError(ValueError):
    """What the caller handed in is wrong; the message names the argument, what it got and what it wanted."""


def is_static(value: Any) -> bool:
    """Whether a number is known before tracing, so that a bad one can be refused by name.

    >>> is_static(1.0), jax.jit(lambda x: x if is_static(x) else -x)(1.0).item()
    (True, -1.0)
    """
    return not isinstance(value, jax.core.Tracer)


def as_scalar(name: str, value: Any) -> Float[Array, ""]:
    """The value of a user's function as a float; raise ArgumentError, naming the function, where it is not one number.

    >>> as_scalar("energy", 2).item()
    2.0
    >>> as_scalar("energy", np.ones(2))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: energy: got a value of shape (2,), wanted a scalar
    """
    if not jax.tree_util.all_leaves([value]) or np.shape(value) != ():
        raise ArgumentError(f"{name}: got a value of shape {jax.tree.map(np.shape, value)}, wanted a scalar")
    value = jnp.asarray(value)
    return value if jnp.issubdtype(value.dtype, jnp.floating) else value.astype(jnp.result_type(float))


def check_not_negative(name: str, value: Scalar) -> None:
    """Raise ArgumentError, naming the argument, for a static number that is negative or NaN.

    >>> check_not_negative("weight", -1.0)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: weight: got -1.0, wanted a number that is not negative
    """
    if is_static(value) and not float(value) >= 0:
        raise ArgumentError(f"{name}: got {float(value)}, wanted a number that is not negative")


def check_positive(name: str, value: Scalar) -> None:
    """Raise ArgumentError, naming the argument, for a static number that is not positive and finite.

    >>> check_positive("step_size", 0.0)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: step_size: got 0.0, wanted a positive finite number
    """
    if is_static(value) and not 0 < float(value) < math.inf:
        raise ArgumentError(f"{name}: got {float(value)}, wanted a positive finite number")


def check_above_zero(name: str, value: Scalar) -> None:
    """Raise ArgumentError, naming the argument, for a static number that is not above 0; infinity is allowed.

    >>> check_above_zero("bound", 0.0)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: bound: got 0.0, wanted a number above 0
    """
    if is_static(value) and not float(value) > 0:
        raise ArgumentError(f"{name}: got {float(value)}, wanted a number above 0")


def check_share(name: str, value: Scalar) -> None:
    """Raise ArgumentError, naming the argument, for a static number outside [0, 1].

    >>> check_share("restart", 1.5)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: restart: got 1.5, wanted a number in [0, 1]
    """
    if is_static(value) and not 0 <= float(value) <= 1:
        raise ArgumentError(f"{name}: got {float(value)}, wanted a number in [0, 1]")


def check_count(name: str, count: int) -> None:
    """Raise ArgumentError, naming the argument, for a number of things or steps that is below 1, or is not an integer.

    >>> check_count("steps", 0)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: steps: got 0, wanted at least 1
    """
    if not isinstance(count, (int, np.integer)):
        raise ArgumentError(f"{name}: got {count!r}, wanted an integer of at least 1")
    if count < 1:
        raise ArgumentError(f"{name}: got {count}, wanted at least 1")


def check_units(name: str, units: Any, alphabet: Alphabet) -> None:
    """Raise ArgumentError, naming the argument, for static units that hold anything but the alphabet's two values.

    >>> from ebmjax.types import SPINS
    >>> check_units("spins", np.array([1.0, 0.0]), SPINS)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: spins: got a unit of 0.0, wanted -1 or 1
    """
    for leaf in jax.tree.leaves(units):
        if is_static(leaf):
            values = np.asarray(leaf)
            foreign = values[(values != alphabet.low) & (values != alphabet.high)]
            if foreign.size:
                raise ArgumentError(
                    f"{name}: got a unit of {foreign.flat[0]}, wanted {alphabet.low:g} or {alphabet.high:g}"
                )


def leading_axis(name: str, tree: Any) -> int:
    """How many examples a pytree of arrays holds, along the leading axis that all of them share.

    Raises ArgumentError where there is no array, an axis is missing or empty, or they differ.

    >>> leading_axis("data", (np.ones((5, 2)), np.ones(5)))
    5
    """
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(tree)]
    sizes = {shape[:1] for shape in shapes}
    if len(sizes) != 1 or sizes in ({()}, {(0,)}):
        raise ArgumentError(f"{name}: got arrays of shapes {shapes}, wanted one leading axis of at least one sample")
    ((size,),) = sizes
    return size


def check_shape(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raise ArgumentError, naming the argument, where an array would otherwise broadcast into nonsense.

    >>> check_shape("y", np.ones(3), (2,))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: y: got shape (3,), wanted (2,)
    """
    if np.shape(array) != shape:
        raise ArgumentError(f"{name}: got shape {np.shape(array)}, wanted {shape}")


def check_beta(beta: Beta) -> None:
    """Raise ArgumentError for a static `beta` that is negative, NaN or not a scalar; a traced one passes.

    >>> check_beta(float("inf"))
    >>> check_beta(-1.0)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: beta: got -1.0, wanted an inverse temperature in [0, inf]
    """
    if np.shape(beta) != ():
        raise ArgumentError(f"beta: got shape {np.shape(beta)}, wanted a scalar (jax.vmap sweeps many temperatures)")
    if is_static(beta) and not float(beta) >= 0:
        raise ArgumentError(f"beta: got {float(beta)}, wanted an inverse temperature in [0, inf]")


def check_finite_beta(beta: Beta) -> None:
    """As `check_beta`; raise ArgumentError for a static infinite `beta` too, where a law needs a finite one.

    >>> check_finite_beta(float("inf"))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: beta: got inf, wanted a finite inverse temperature: at inf only the minimum is likely
    """
    check_beta(beta)
    if is_coldest(beta):
        raise ArgumentError("beta: got inf, wanted a finite inverse temperature: at inf only the minimum is likely")


def is_coldest(beta: Beta) -> bool:
    """Whether beta is known to be inf, which is worth a path of its own: a minimum costs no exponential.

    >>> is_coldest(float("inf")), is_coldest(1e9)
    (True, False)
    """
    return np.ndim(beta) == 0 and is_static(beta) and float(beta) == math.inf


def check_betas(betas: Float[Array | np.ndarray, "..."]) -> None:
    """Raise ArgumentError for a schedule that is not one axis of inverse temperatures in [0, inf].

    >>> check_betas(np.array([1.0, -2.0]))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: betas: got -2.0, wanted inverse temperatures in [0, inf]
    """
    if np.ndim(betas) != 1 or np.size(betas) == 0:
        raise ArgumentError(f"betas: got shape {np.shape(betas)}, wanted one axis of at least one inverse temperature")
    if is_static(betas):
        wrong = np.asarray(betas)[~(np.asarray(betas) >= 0)]
        if wrong.size:
            raise ArgumentError(f"betas: got {wrong[0]}, wanted inverse temperatures in [0, inf]")
