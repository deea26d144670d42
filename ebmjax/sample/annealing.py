"""Simulated annealing: sample while the temperature falls, to find a low minimum instead of the nearest one.

    T ← αT after every round of sampling, or any other schedule of inverse temperatures beta = 1/T

`annealing` runs a kernel, as `trajectory` does; `tempering`, by contrast, makes a kernel.

Kirkpatrick, Gelatt, Vecchi (1983), "Optimization by simulated annealing".
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import (
    as_float,
    check_above_zero,
    check_betas,
    check_callable,
    check_count,
    check_key,
    check_share,
)
from ebmjax.compiled import compiled
from ebmjax.loops import Observe, Run, position_of, repeat
from ebmjax.states import begun, continued
from ebmjax.types import KernelAtBeta, Scalar


def annealing(
    key: Key[Array, ""],
    make_kernel: KernelAtBeta,
    betas: Any,
    position: Any,
    steps: int,
    observe: Observe = position_of,
) -> Run:
    """Run `steps` steps of `make_kernel(beta)` at each beta in turn, each from where the last one ended.

    The whole state goes on from one beta to the next; what a kernel had computed from its beta is computed anew
    (`ebmjax.states.continued`).

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
    check_key("key", key)
    check_callable("make_kernel", make_kernel)
    check_count("steps", steps)
    check_betas(betas)
    betas = as_float("betas", betas)
    start = begun(key, make_kernel(betas[0]), position)
    return _annealing(key, make_kernel, betas, start, steps, observe)


@compiled
def _annealing(key, make_kernel, betas, state, steps, observe):
    def at(state, beta_and_key):
        beta, round_key = beta_and_key
        state = continued(round_key, make_kernel, beta, state)
        run = repeat(round_key, make_kernel(beta), state, steps, observe)
        return run.state, (run.positions, run.infos)

    state, (positions, infos) = jax.lax.scan(at, state, (betas, jax.random.split(key, len(betas))))
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
    temperature, ratio = as_float("temperature", temperature, ()), as_float("ratio", ratio, ())
    return 1 / (temperature * ratio ** jnp.arange(rounds, dtype=ratio.dtype))
