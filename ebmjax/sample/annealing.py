"""Simulated annealing: sample while the temperature falls, to find a low minimum instead of the nearest one.

    T ← αT after every round of sampling, or any other schedule of inverse temperatures beta = 1/T

`annealing` runs a kernel, as `trajectory` does; `tempering`, by contrast, makes a kernel.

Kirkpatrick, Gelatt, Vecchi (1983), "Optimization by simulated annealing".
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import check_above_zero, check_betas, check_count, check_share
from ebmjax.loops import Observe, Run, position_of, repeat
from ebmjax.types import KernelAtBeta, Scalar


def annealing(
    key: Key[Array, ""],
    make_kernel: KernelAtBeta,
    betas: Float[Array, " rounds"],
    position: Any,
    steps: int,
    observe: Observe = position_of,
) -> Run:
    """Run `steps` steps of `make_kernel(beta)` at each beta in turn, each from the position where the last one ended.

    Args:
        key: typed random key.
        make_kernel: `beta -> Kernel`, called inside a scan with a traced beta.
        betas: the schedule, (rounds,), in [0, inf]; it may rise, fall or repeat.
        position: where to start.
        steps: steps of the kernel at each beta, static, at least 1.
        observe: `observe(state)` is kept at the end of each round; by default it is the position.

    Returns:
        `Run(state, positions, infos)`: the last state, and the positions and infos of the last step at each beta, with
        the leading axis rounds.

    Raises:
        ValueError: betas that are not one axis of at least one number, static ones that are negative or NaN, steps
            below 1.

    Kirkpatrick et al. (1983).

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
    """The inverse temperatures of the schedule T ← αT: beta = 1 / (T α^round), round = 0, 1, …

    Args:
        temperature: the first T, above 0, in units of energy.
        ratio: α, in (0, 1].
        rounds: how many temperatures, at least 1.

    Returns:
        rising inverse temperatures, (rounds,).

    Raises:
        ValueError: a static temperature or ratio outside its range, rounds below 1.

    Kirkpatrick et al. (1983).

    >>> geometric_schedule(2.0, 0.5, 3).tolist()
    [0.5, 1.0, 2.0]
    """
    check_above_zero("temperature", temperature)
    check_above_zero("ratio", ratio)
    check_share("ratio", ratio)
    check_count("rounds", rounds)
    return 1 / (
        jnp.asarray(temperature) * jnp.asarray(ratio, jnp.result_type(float)) ** jnp.arange(rounds, dtype=float)
    )
