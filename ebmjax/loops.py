"""The loops of the library: runs of a kernel, iterations of a solver, and maps in bounded memory.

    trajectory      a run of a kernel that keeps what is observed after each step
    repeat          a run of a kernel that keeps the last step alone
    thinned         a kernel whose step is several
    iterate         a fixed number of steps without random numbers
    iterate_until   steps until a condition holds
    map_chunks      `vmap` in bounded memory

The first two answer with one record, `Run`. All are pure: they work under `jit`, `vmap` and `grad`, the last only where
the number of steps is static.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key

from ebmjax.checks import check_count
from ebmjax.types import AnyKernel, Kernel


class Run(NamedTuple):
    """What a run of a kernel leaves behind.

    `trajectory` and `annealing` stack `positions` and `infos` along a leading axis, `repeat` keeps those of the last
    step.
    """

    state: Any
    """The kernel's state after the last step, from which a run can go on."""
    positions: Any
    """The positions, or what `observe` makes of the states."""
    infos: Any
    """What the kernel reports of a step, such as whether a proposal was accepted."""


def position_of(state: Any) -> Any:
    """`state.position`: what runs observe unless they are told otherwise.

    >>> class State(NamedTuple):
    ...     position: jax.Array
    >>> position_of(State(3))
    3
    """
    return state.position


def trajectory(
    key: Key[Array, ""],
    kernel: AnyKernel,
    position: Any,
    steps: int,
    observe: Callable[[Any], Any] = position_of,
) -> Run:
    """Run a kernel from a position and keep what is observed after each step.

    Args:
        key: typed random key, split once a step.
        kernel: `init(position, rng_key=None) -> state`, `step(rng_key, state) -> (state, info)`.
        position: where to start.
        steps: how many steps, static, at least 1.
        observe: `observe(state)` is kept after each step: the position by default. A mean or an energy instead keeps a
            run of a million steps small.

    Returns:
        `Run(state, positions, infos)`; positions and infos have the leading axis `steps`.

    Raises:
        ValueError: steps below 1.

    >>> class State(NamedTuple):
    ...     position: jax.Array
    >>> drift = Kernel(lambda position, rng_key=None: State(position), lambda key, state: (State(state[0] + 1), None))
    >>> trajectory(jax.random.key(0), drift, 0, 3).positions.tolist()
    [1, 2, 3]
    >>> trajectory(jax.random.key(0), drift, 0, 3, observe=lambda state: state.position % 2 == 0).positions.tolist()
    [False, True, False]
    """
    check_count("steps", steps)

    def step(state, key):
        state, info = kernel.step(key, state)
        return state, (observe(state), info)

    state, (positions, infos) = jax.lax.scan(step, kernel.init(position), jax.random.split(key, steps))
    return Run(state, positions, infos)


def repeat(
    key: Key[Array, ""],
    kernel: AnyKernel,
    state: Any,
    steps: int,
    observe: Callable[[Any], Any] = position_of,
) -> Run:
    """Run a kernel from a state and keep the last step alone: memory does not grow with `steps`.

    Args:
        key: typed random key, split once a step.
        kernel: of which only `step(rng_key, state) -> (state, info)` is used.
        state: as of `kernel.init`, or of an earlier run.
        steps: how many steps, static, at least 1.
        observe: as for `trajectory`, of the last state.

    Returns:
        `Run(state, positions, infos)` of the last step, without a leading axis.

    Raises:
        ValueError: steps below 1.

    >>> class State(NamedTuple):
    ...     position: jax.Array
    >>> double = Kernel(lambda position, rng_key=None: State(position), lambda key, state: (State(2 * state[0]), None))
    >>> int(repeat(jax.random.key(0), double, State(1), 5).positions)
    32
    """
    check_count("steps", steps)
    keys = jax.random.split(key, steps)
    # an info to begin with, never seen, so that the step is compiled once
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(kernel.step, keys[0], state)[1])
    step = lambda carry, key: (kernel.step(key, carry[0]), None)
    state, info = jax.lax.scan(step, (state, blank), keys)[0]
    return Run(state, observe(state), info)


def thinned(kernel: AnyKernel, steps: int) -> Kernel:
    """The kernel whose step is `steps` steps of another, and whose info is that of the last of them.

    Draws of `trajectory` are then `steps` apart. Raises ValueError for steps below 1.

    >>> class State(NamedTuple):
    ...     position: jax.Array
    >>> drift = Kernel(lambda position, rng_key=None: State(position), lambda key, state: (State(state[0] + 1), None))
    >>> trajectory(jax.random.key(0), thinned(drift, 10), 0, 3).positions.tolist()
    [10, 20, 30]
    """
    check_count("steps", steps)

    def step(rng_key, state):
        run = repeat(rng_key, kernel, state, steps)
        return run.state, run.infos

    return Kernel(kernel.init, step)


def iterate(step: Callable[[Any], Any], state: Any, steps: int | Int[Array, ""]) -> Any:
    """Apply `step(state) -> state` a number of times, which may be traced.

    >>> int(iterate(lambda x: 2 * x, 1, 5))
    32
    """
    return jax.lax.fori_loop(0, steps, lambda _, state: step(state), state)


def iterate_until(
    step: Callable[[Any], Any], state: Any, done: Callable[[Any], Bool[Array, ""]], max_steps: int
) -> tuple[Any, Int[Array, ""], Bool[Array, ""]]:
    """Apply `step` until `done(state)` holds, at most `max_steps` times.

    Returns:
        `(state, steps, finished)`: `finished` is False where the limit came first.

    Raises:
        ValueError: max_steps below 1.

    >>> halve = lambda x: x / 2
    >>> state, steps, finished = iterate_until(halve, 1.0, lambda x: x < 0.2, 10)
    >>> float(state), int(steps), bool(finished)
    (0.125, 3, True)
    """
    check_count("max_steps", max_steps)
    state = jax.tree.map(jnp.asarray, state)

    def unfinished(carry):
        state, steps = carry
        return ~done(state) & (steps < max_steps)

    state, steps = jax.lax.while_loop(unfinished, lambda carry: (step(carry[0]), carry[1] + 1), (state, jnp.int32(0)))
    return state, steps, done(state)


def map_chunks(function: Callable[[Any], Any], examples: Any, chunk: int) -> Any:
    """`jax.vmap(function)` in bounded memory: `chunk` examples at a time.

    Args:
        function: of one example.
        examples: arrays with the leading axis N, which need not be a multiple of `chunk`.
        chunk: examples evaluated together, at least 1.

    Returns:
        results, stacked along a leading axis N.

    Raises:
        ValueError: chunk below 1.

    >>> import jax.numpy as jnp
    >>> map_chunks(jnp.sum, jnp.ones((5, 3)), 2).tolist()
    [3.0, 3.0, 3.0, 3.0, 3.0]
    """
    check_count("chunk", chunk)
    return jax.lax.map(function, examples, batch_size=chunk)
