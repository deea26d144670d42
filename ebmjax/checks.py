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
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jnp.floating):
        return value
    return _as_array(name, value)


def as_float(name: str, value: Any, shape: tuple[int | None, ...] | None = None) -> Float[Array, "..."]:
    """One array of real numbers as a floating JAX array: integers and truth values become floats, halves float32.

    The dtype is float32, or what a float32 or float64 array already has.

    Args:
        name: the argument, as the user knows it.
        value: a JAX or NumPy array of any real dtype, byte order and strides, a number, or nested lists of numbers.
        shape: the shape that is wanted, with None for an axis of any length; None for an array of any shape.

    Raises:
        ArgumentError: what is not numbers, or has another shape.

    >>> as_float("visible", np.array([1, 0], np.uint8), (2,)).tolist()
    [1.0, 0.0]
    >>> as_float("visible", np.ones((5, 2)), (2,))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: visible: got shape (5, 2), wanted (2,): one example (jax.vmap takes many)
    """
    array = _as_array(name, value)
    if shape is not None and not _matches(array.shape, shape):
        wanted = str(shape).replace("None", "any")
        many = array.ndim == len(shape) + 1 and _matches(array.shape[1:], shape)
        hint = ": one example (jax.vmap takes many)" if many else ""
        raise ArgumentError(f"{name}: got shape {array.shape}, wanted {wanted}{hint}")
    return array


def as_example(
    name: str, value: Any, like: Float[Array, "..."], shape: tuple[int | None, ...] | None = None
) -> Float[Array, "..."]:
    """What a model of parameters `like` takes: as `as_float`, where integers and truth values get the dtype of `like`.

    >>> as_example("visible", np.array([1, 0], np.uint8), jnp.ones(2), (2,)).dtype.name
    'float32'
    """
    array = as_float(name, value, shape)
    floating = hasattr(value, "dtype") and jnp.issubdtype(value.dtype, jnp.floating)
    return array if floating else array.astype(like.dtype)


def as_floats(name: str, tree: Any) -> Any:
    """A pytree of real numbers as a pytree of floating JAX arrays, each leaf as in `as_float`.

    Raises ArgumentError for a leaf that is not numbers, and for a tree without leaves.

    >>> as_floats("data", (np.array([1, 2]), np.array([True])))
    (Array([1., 2.], dtype=float32), Array([1.], dtype=float32))
    """
    if not jax.tree.leaves(tree):
        raise ArgumentError(f"{name}: got {_short(tree)}, wanted at least one array")
    return jax.tree.map(lambda leaf: _as_array(name, leaf), tree)


def as_beta(beta: Any) -> Float[Array, ""] | float:
    """An inverse temperature as a floating array of its own dtype; a static infinity stays the float `math.inf`.

    The library knows `math.inf` before tracing and takes a path without exponentials there (`is_coldest`). Errors are
    those of `check_beta`.

    >>> as_beta(2), as_beta(np.inf)
    (Array(2., dtype=float32), inf)
    """
    check_beta(beta)
    return math.inf if is_coldest(beta) else _as_array("beta", beta)


def check_key(name: str, value: Any) -> None:
    """Raise ArgumentError, naming the argument, for anything but one typed random key.

    >>> check_key("key", jax.random.PRNGKey(0))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: key: got a uint32 array of shape (2,), wanted a typed key: jax.random.key(seed)
    """
    if not (isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)):
        raise ArgumentError(f"{name}: got {_short(value)}, wanted a typed key: jax.random.key(seed)")
    if value.shape != ():
        raise ArgumentError(f"{name}: got keys of shape {value.shape}, wanted one key (jax.vmap takes many)")


def check_record(name: str, value: Any, record: type) -> None:
    """Raise ArgumentError, naming the argument, for anything but a record of one of the library's classes.

    >>> from ebmjax.types import Space
    >>> check_record("space", {"points": 1}, Space)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: space: got a dict, wanted ebmjax.types.Space
    """
    if not isinstance(value, record):
        raise ArgumentError(f"{name}: got {_short(value)}, wanted {record.__module__}.{record.__qualname__}")


def check_arrays(name: str, tree: Any) -> None:
    """Raise ArgumentError, naming the path, for a leaf of a pytree that is no array and no number.

    >>> check_arrays("state", {"place": "text"})
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: state['place']: got a str, wanted a JAX or NumPy array
    """
    for path, leaf in jax.tree.leaves_with_path(tree):
        is_text = isinstance(leaf, np.ndarray | np.generic) and leaf.dtype.kind not in "biufcV"
        if is_text or not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
            place = name + jax.tree_util.keystr(path)
            raise ArgumentError(f"{place}: got {_short(leaf)}, wanted a JAX or NumPy array")


def as_number(name: str, value: Any) -> Float[Array | np.ndarray, ""]:
    """One real number that a function keeps for later: an array, which compiled functions take as an argument.

    A plain number keeps its 64 bits until it is used. Raises ArgumentError for what is no number.

    >>> as_number("weight", 2)
    array(2.)
    """
    array = as_float(name, value, ())
    return array if isinstance(value, jax.Array) else np.asarray(value, np.float64)


def as_params(params: Any, record: type) -> Any:
    """The parameters of a model, a record of floating JAX arrays; raise ArgumentError for anything but this record.

    >>> from ebmjax.types import Alphabet
    >>> as_params(Alphabet(0, 1), Alphabet)
    Alphabet(low=Array(0., dtype=float32), high=Array(1., dtype=float32))
    >>> as_params({"low": 0}, Alphabet)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: params: got a dict, wanted ebmjax.types.Alphabet
    """
    check_record("params", params, record)
    return as_floats("params", params)


def check_callable(name: str, value: Any) -> None:
    """Raise ArgumentError, naming the argument, for what is not a function.

    >>> check_callable("energy", 1.0)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: energy: got a float, wanted a function
    """
    if not callable(value):
        raise ArgumentError(f"{name}: got {_short(value)}, wanted a function")


def _number(name, value):
    """A static real number as a float."""
    if not (
        isinstance(value, int | float)
        or (isinstance(value, jax.Array | np.ndarray | np.generic) and _is_real(value.dtype))
    ):
        raise ArgumentError(f"{name}: got {_short(value)}, wanted a number")
    if np.shape(value) != ():
        raise ArgumentError(f"{name}: got shape {np.shape(value)}, wanted one number")
    return float(value)


def _is_real(dtype):
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_)


def _as_array(name, value):
    if isinstance(value, jax.Array):
        dtype = value.dtype
    elif isinstance(value, bool | int | float | np.ndarray | np.generic | list | tuple):
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise ArgumentError(f"{name}: got {_short(value)}, wanted an array of numbers ({error})") from None
        value = value.astype(value.dtype.newbyteorder("="), copy=False)
        dtype = value.dtype
    else:
        raise ArgumentError(f"{name}: got {_short(value)}, wanted a JAX or NumPy array")
    if not (
        jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.bool_)
    ):
        raise ArgumentError(f"{name}: got an array of {dtype}, wanted real numbers")
    double = dtype == np.float64 or not jnp.issubdtype(dtype, jnp.floating)
    return jnp.asarray(value, jnp.result_type(float) if double else jnp.float32)


def _matches(shape, wanted):
    return len(shape) == len(wanted) and all(w in (None, s) for s, w in zip(shape, wanted, strict=True))


def _short(value):
    """What somebody handed in, in a few words."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        kind = "" if isinstance(value, jax.Array | np.ndarray) else f" ({type(value).__name__})"
        return f"a {value.dtype} array of shape {tuple(value.shape)}{kind}"
    return f"a {type(value).__name__}" if value is not None else "None"


def check_not_negative(name: str, value: Scalar) -> None:
    """Raise ArgumentError, naming the argument, for a static number that is negative or NaN.

    >>> check_not_negative("weight", -1.0)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: weight: got -1.0, wanted a number that is not negative
    """
    if is_static(value) and not _number(name, value) >= 0:
        raise ArgumentError(f"{name}: got {float(value)}, wanted a number that is not negative")


def check_positive(name: str, value: Scalar) -> None:
    """Raise ArgumentError, naming the argument, for a static number that is not positive and finite.

    >>> check_positive("step_size", 0.0)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: step_size: got 0.0, wanted a positive finite number
    """
    if is_static(value) and not 0 < _number(name, value) < math.inf:
        raise ArgumentError(f"{name}: got {float(value)}, wanted a positive finite number")


def check_above_zero(name: str, value: Scalar) -> None:
    """Raise ArgumentError, naming the argument, for a static number that is not above 0; infinity is allowed.

    >>> check_above_zero("bound", 0.0)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: bound: got 0.0, wanted a number above 0
    """
    if is_static(value) and not _number(name, value) > 0:
        raise ArgumentError(f"{name}: got {float(value)}, wanted a number above 0")


def check_share(name: str, value: Scalar) -> None:
    """Raise ArgumentError, naming the argument, for a static number outside [0, 1].

    >>> check_share("restart", 1.5)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: restart: got 1.5, wanted a number in [0, 1]
    """
    if is_static(value) and not 0 <= _number(name, value) <= 1:
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
    """Raise ArgumentError, naming the argument, for static units that hold anything but two values.

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
                low, high = alphabet
                raise ArgumentError(f"{name}: got a unit of {foreign.flat[0]}, wanted {low:g} or {high:g}")


def leading_axis(name: str, tree: Any) -> int:
    """How many examples a pytree of arrays holds; raise ArgumentError for axes that are missing, empty, or differ.

    >>> leading_axis("data", (np.ones((5, 2)), np.ones(5)))
    5
    >>> leading_axis("y", (np.ones((5, 2)), np.ones(4)))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: y: got arrays of shapes (5, 2) at [0] and (4,) at [1], wanted leading axes that agree
    """
    shapes = {jax.tree_util.keystr(path): np.shape(leaf) for path, leaf in jax.tree.leaves_with_path(tree)}
    if not shapes:
        raise ArgumentError(f"{name}: got no array, wanted at least one, with a leading axis of samples")
    (first, shape), *others = shapes.items()
    for path, other in [(first, shape), *others]:
        got = f"{name}: got arrays of shapes {other}{f' at {path}' if path else ''}"
        if not other:
            raise ArgumentError(f"{got}, wanted a leading axis of samples")
        if not other[0]:
            raise ArgumentError(f"{got}, wanted at least one sample along the leading axis")
        if other[0] != shape[0]:
            both = f"{shape} at {first} and {other} at {path}"
            raise ArgumentError(f"{name}: got arrays of shapes {both}, wanted leading axes that agree")
    return shape[0]


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
    if not isinstance(beta, jax.Array | np.ndarray | np.number | float | int):
        raise ArgumentError(f"beta: got {_short(beta)}, wanted an inverse temperature in [0, inf]")
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
    return np.ndim(beta) == 0 and is_static(beta) and not isinstance(beta, str) and float(beta) == math.inf


def check_betas(betas: Any) -> None:
    """Raise ArgumentError for a schedule that is not one axis of inverse temperatures in [0, inf].

    >>> check_betas(np.array([1.0, -2.0]))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: betas: got -2.0, wanted inverse temperatures in [0, inf]
    """
    betas = _as_array("betas", betas)
    if np.ndim(betas) != 1 or np.size(betas) == 0:
        raise ArgumentError(f"betas: got shape {np.shape(betas)}, wanted one axis of at least one inverse temperature")
    if is_static(betas):
        wrong = np.asarray(betas)[~(np.asarray(betas) >= 0)]
        if wrong.size:
            raise ArgumentError(f"betas: got {wrong[0]}, wanted inverse temperatures in [0, inf]")
