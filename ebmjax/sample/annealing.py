"""Annealing: sample while the temperature falls, so that a low minimum is found and not the next one.

    T ← αT after every round of sampling, or any other schedule of inverse temperatures beta = 1/T

Kirkpatrick, Gelatt, Vecchi (1983), "Optimization by simulated annealing".
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, check_betas, check_count, is_static
from ebmjax.loops import Run, position_of, repeat
from ebmjax.types import KernelAtBeta, Scalar


def annealing(
    key: Key[Array, ""],
    make_kernel: KernelAtBeta,
    betas: Float[Array, " rounds"],
    position: Any,
    steps: int,
    observe: Callable[[Any], Any] = position_of,
) -> Run:
    """Run `steps` steps of `make_kernel(beta)` at each beta in turn, from where the last one stopped.

    Args:
        key: typed random key.
        make_kernel: `beta -> Kernel`, built inside a scan with a traced beta.
        betas: the schedule, (rounds,); it may rise, fall or repeat.
        position: where to start.
        steps: steps at each beta, static, at least 1.
        observe: `observe(state)` is kept at the end of each beta: the position by default.

    Returns:
        `Run(state, positions, infos)`: the last state; positions and infos of the last step at each beta, with the
        leading axis rounds.

    Raises:
        ValueError: betas that are not one axis of at least one, static ones that are negative or NaN; steps below 1.

    >>> from ebmjax.sample.gibbs import systematic
    >>> kernel = lambda beta: systematic(lambda s: -s.sum(), beta)
    >>> run = annealing(jax.random.key(0), kernel, geometric_schedule(2.0, 0.5, 8), -jnp.ones(4), 1)
    >>> run.state.position.tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    check_betas(betas)

    def at(state, beta_and_key):
        beta, round_key = beta_and_key
        kernel = make_kernel(beta)
        run = repeat(round_key, kernel, kernel.init(state.position), steps, observe)
        return run.state, (run.positions, run.infos)

    keys = jax.random.split(key, len(betas))
    betas = jnp.asarray(betas)
    state, (positions, infos) = jax.lax.scan(at, make_kernel(betas[0]).init(position), (betas, keys))
    return Run(state, positions, infos)


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
        raise ArgumentError(f"temperature: got {float(temperature)}, wanted a number above 0")
    if is_static(ratio) and not 0 < float(ratio) <= 1:
        raise ArgumentError(f"ratio: got {float(ratio)}, wanted a number above 0 and at most 1")
    check_count("rounds", rounds)
    return 1 / (
        jnp.asarray(temperature) * jnp.asarray(ratio, jnp.result_type(float)) ** jnp.arange(rounds, dtype=float)
    )
