"""Annealing: sample while the temperature falls, so that a low minimum is found and not the next one.

    T ← αT after every round of sampling, or any other schedule of inverse temperatures beta = 1/T

Kirkpatrick, Gelatt, Vecchi (1983), "Optimization by simulated annealing".
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.loops import repeat
from ebmjax.types import Kernel, Scalar, check_count, is_static


def annealing(
    make_kernel: Callable[[Any], Kernel], betas: Float[Array, " rounds"], key: Key[Array, ""], position: Any, steps: int
) -> tuple[Any, Any]:
    """Run `steps` steps of `make_kernel(beta)` at each beta in turn, from where the last one stopped.

    Args:
        make_kernel: `beta -> Kernel`, built inside a scan with a traced beta.
        betas: the schedule, (rounds,); it may rise, fall or repeat.
        key: typed random key.
        position: where to start.
        steps: steps at each beta, static, at least 1.

    Returns:
        `(position, infos)`: the last position, and the info of the last step at each beta, leading axis rounds.

    Raises:
        ValueError: betas that are not one axis of at least one, static ones that are negative or NaN; steps below 1.

    >>> from ebmjax.sample.gibbs import systematic
    >>> kernel = lambda beta: systematic(lambda s: -s.sum(), beta)
    >>> annealing(kernel, geometric_schedule(2.0, 0.5, 8), jax.random.key(0), -jnp.ones(4), 1)[0].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    check_betas(betas)

    def at(position, beta_and_key):
        beta, round_key = beta_and_key
        kernel = make_kernel(beta)
        state, info = repeat(kernel.step, round_key, kernel.init(position), steps)
        return state.position, info

    return jax.lax.scan(at, position, (jnp.asarray(betas), jax.random.split(key, len(betas))))


def geometric_schedule(temperature: Scalar, ratio: Scalar, rounds: int) -> Float[Array, " rounds"]:
    """The inverse temperatures of T := αT: betas = 1 / (T α^round), from round 0.

    Args:
        temperature: the first T, above 0, in units of energy.
        ratio: α, in ]0, 1].
        rounds: how many, at least 1.

    Raises:
        ValueError: a static temperature or ratio outside its range, rounds below 1.

    >>> geometric_schedule(2.0, 0.5, 3).tolist()
    [0.5, 1.0, 2.0]
    """
    if is_static(temperature) and not float(temperature) > 0:
        raise ValueError(f"temperature: got {float(temperature)}, wanted a number above 0")
    if is_static(ratio) and not 0 < float(ratio) <= 1:
        raise ValueError(f"ratio: got {float(ratio)}, wanted a number above 0 and at most 1")
    check_count("rounds", rounds)
    return 1 / (
        jnp.asarray(temperature) * jnp.asarray(ratio, jnp.result_type(float)) ** jnp.arange(rounds, dtype=float)
    )


def check_betas(betas: Float[Array | np.ndarray, "..."]) -> None:
    """Raise ValueError for a schedule that is not one axis of inverse temperatures in [0, inf].

    >>> check_betas(np.array([1.0, -2.0]))
    Traceback (most recent call last):
    ValueError: betas: got -2.0, wanted inverse temperatures in [0, inf]
    """
    if np.ndim(betas) != 1 or np.size(betas) == 0:
        raise ValueError(f"betas: got shape {np.shape(betas)}, wanted one axis of at least one inverse temperature")
    if is_static(betas):
        wrong = np.asarray(betas)[~(np.asarray(betas) >= 0)]
        if wrong.size:
            raise ValueError(f"betas: got {wrong[0]}, wanted inverse temperatures in [0, inf]")
