"""The few records that every part of the library shares, and what can be checked before tracing.

Data are NamedTuples, so that they are pytrees: they pass through `jit`, `vmap` and `scan` as they are.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

Scalar = Float[Array | np.ndarray, ""] | np.floating | float | int
"""One real number: a zero-dimensional array or a plain number."""

Beta = Array | np.ndarray | np.floating | float | int
"""An inverse temperature in [0, inf], a scalar; `ebmjax.temperature.check_beta` says what is wrong with another."""

Energy = Callable[[Any], Any]
"""A scalar function of the one thing that is not known."""

Proposal = Callable[[Key[Array, ""], Any], Any]
"""`propose(key, position) -> position`, with q(x'|x) = q(x|x')."""

CONVERGED = 0
STEP_LIMIT = 1
DIVERGED = 2
TOO_COARSE = 3
TWO_CYCLE = 4
RESULTS = ("converged", "step limit reached", "diverged", "grid too coarse", "cycle of two states")
"""What a result code means: `RESULTS[int(solution.result)]`."""


class Alphabet(NamedTuple):
    """The two values of a binary unit."""

    low: float
    high: float


SPINS = Alphabet(-1.0, 1.0)
BITS = Alphabet(0.0, 1.0)


class Space(NamedTuple):
    """A set to search, or to integrate over: N points of a normalized measure.

    `points` may be any pytree of arrays with the leading axis N. `logsumexp(log_weights) == 0`, so that sums over the
    space are averages; `log_volume` = log |Z| turns an average back into a sum or an integral.
    """

    points: PyTree[Array]
    log_weights: Float[Array, " points"]
    log_volume: Float[Array, ""]


class Kernel(NamedTuple):
    """A Markov step: `init(position) -> state`, `step(key, state) -> (state, info)`.

    `state` is what the next step needs and has a field `position`; `info` is what a person wants to know.
    """

    init: Callable[[Any], Any]
    step: Callable[[Key[Array, ""], Any], tuple[Any, Any]]


class Learner(NamedTuple):
    """A way of learning: `init(key, params) -> state`, `update(key, state, batch) -> (state, metrics)`.

    `state` has a field `params` and holds whatever else has to be remembered from one update to the next.
    """

    init: Callable[[Key[Array, ""], Any], Any]
    update: Callable[[Key[Array, ""], Any, Any], tuple[Any, Any]]


class Solution(NamedTuple):
    """What every minimizer returns.

    `result` is one of `CONVERGED`, `STEP_LIMIT`, `DIVERGED`, `TWO_CYCLE`; a solver never raises inside jit. `gap` is a
    certificate: the energy is at most that far above the least one. It is infinite where a minimizer has none.
    """

    value: PyTree[Array]
    energy: Float[Array, ""]
    steps: Int[Array, ""]
    result: Int[Array, ""]
    gap: Float[Array, ""] | float = math.inf


class Marginal(NamedTuple):
    """A free energy with an estimate of its own error: `result` is `CONVERGED` or `TOO_COARSE`."""

    free_energy: Float[Array, ""]
    error: Float[Array, ""]
    result: Int[Array, ""]


class Gaussian(NamedTuple):
    """A normal law of one vector with a diagonal covariance, such as what an encoder says of a code.

    The logarithm of the variance may be any number, so a network can put it out.
    """

    mean: Float[Array, "*batch size"]
    log_variance: Float[Array, "*batch size"]


def is_static(value: Any) -> bool:
    """Whether a number is known before tracing, so that a bad one can be refused by name.

    >>> is_static(1.0), jax.jit(lambda x: x if is_static(x) else -x)(1.0).item()
    (True, -1.0)
    """
    return not isinstance(value, jax.core.Tracer)


def as_scalar(name: str, value: Any) -> Float[Array, ""]:
    """The value of a user's function as a float; raise ValueError, naming the function, where it is not one number.

    >>> as_scalar("energy", 2).item()
    2.0
    >>> as_scalar("energy", np.ones(2))
    Traceback (most recent call last):
    ValueError: energy: got a value of shape (2,), wanted a scalar
    """
    if not jax.tree_util.all_leaves([value]) or np.shape(value) != ():
        raise ValueError(f"{name}: got a value of shape {jax.tree.map(np.shape, value)}, wanted a scalar")
    value = jnp.asarray(value)
    return value if jnp.issubdtype(value.dtype, jnp.floating) else value.astype(jnp.result_type(float))


def check_not_negative(name: str, value: Scalar) -> None:
    """Raise ValueError, naming the argument, for a static number that is negative or NaN.

    >>> check_not_negative("weight", -1.0)
    Traceback (most recent call last):
    ValueError: weight: got -1.0, wanted a number that is not negative
    """
    if is_static(value) and not float(value) >= 0:
        raise ValueError(f"{name}: got {float(value)}, wanted a number that is not negative")


def check_positive(name: str, value: Scalar) -> None:
    """Raise ValueError, naming the argument, for a static number that is not positive and finite.

    >>> check_positive("step_size", 0.0)
    Traceback (most recent call last):
    ValueError: step_size: got 0.0, wanted a positive finite number
    """
    if is_static(value) and not 0 < float(value) < math.inf:
        raise ValueError(f"{name}: got {float(value)}, wanted a positive finite number")


def check_count(name: str, count: int) -> None:
    """Raise ValueError, naming the argument, for a number of things or steps that is below 1, or is not an integer.

    >>> check_count("steps", 0)
    Traceback (most recent call last):
    ValueError: steps: got 0, wanted at least 1
    """
    if not isinstance(count, (int, np.integer)):
        raise ValueError(f"{name}: got {count!r}, wanted an integer of at least 1")
    if count < 1:
        raise ValueError(f"{name}: got {count}, wanted at least 1")


def check_units(name: str, units: Any, alphabet: Alphabet) -> None:
    """Raise ValueError, naming the argument, for static units that hold anything but the alphabet's two values.

    >>> check_units("spins", np.array([1.0, 0.0]), SPINS)
    Traceback (most recent call last):
    ValueError: spins: got a unit of 0.0, wanted -1 or 1
    """
    for leaf in jax.tree.leaves(units):
        if is_static(leaf):
            values = np.asarray(leaf)
            foreign = values[(values != alphabet.low) & (values != alphabet.high)]
            if foreign.size:
                raise ValueError(
                    f"{name}: got a unit of {foreign.flat[0]}, wanted {alphabet.low:g} or {alphabet.high:g}"
                )


def check_shape(name: str, array: Any, shape: tuple[int, ...]) -> None:
    """Raise ValueError, naming the argument, where an array would otherwise broadcast into nonsense.

    >>> check_shape("y", np.ones(3), (2,))
    Traceback (most recent call last):
    ValueError: y: got shape (3,), wanted (2,)
    """
    if np.shape(array) != shape:
        raise ValueError(f"{name}: got shape {np.shape(array)}, wanted {shape}")
