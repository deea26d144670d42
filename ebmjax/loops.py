"""The loops of the library: runs of a kernel, iterations of a solver, and maps in bounded memory.

    trajectory      runs a kernel and keeps every position, or what `observe` makes of the states
    repeat          runs a kernel and keeps the last position alone
    thinned         makes a kernel whose one step is several steps of another
    iterate         applies a function a number of times; the function takes no random numbers
    iterate_until   applies a function until a condition holds
    run_if          applies a function where it is due, such as at every hundredth step
    map_chunks      is `vmap` in bounded memory

The first two return one record, `Run`. All work under `jit` and `vmap`. Reverse-mode gradients need a static number of
steps, which `iterate` may have, and which `iterate_until` does not have.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jaxtyping import Array, Bool, Int, Key

from ebmjax.checks import (
    ArgumentError,
    as_float,
    check_arrays,
    check_callable,
    check_count,
    check_key,
    is_static,
    leading_axis,
)
from ebmjax.compiled import compiled
from ebmjax.records import record
from ebmjax.states import begun, continued
from ebmjax.types import AnyKernel, Kernel, KernelAtBeta, Numbers

S = TypeVar("S")
X = TypeVar("X")
Y = TypeVar("Y")


@record
class Run(NamedTuple):
    """The result of a run of a kernel.

    `trajectory` and `annealing` stack `positions` and `infos` along a leading axis, `repeat` keeps those of the last
    step.
    """

    state: Any
    """The kernel's state after the last step, from which a run can be continued."""
    positions: Any
    """The positions, or what `observe` returned for the states."""
    infos: Any
    """The kernel's infos, such as whether a proposal was accepted; None where the kernel has none."""


@runtime_checkable
class Observe(Protocol):
    """The part of a state that a run keeps."""

    def __call__(self, state: Any, /) -> Any:
        """Any pytree of arrays, such as the position, its energy or a mean over it."""
        ...


def position_of(state: Any) -> Any:
    """`state.position`, which runs keep by default. Raises ValueError for a state without one.

    >>> class State(NamedTuple):
    ...     position: jax.Array
    >>> position_of(State(3))
    3
    """
    if not hasattr(state, "position"):
        raise ArgumentError(f"state: got a {type(state).__name__}, wanted one with a field `position`")
    return state.position


def check_kernel(kernel: Any) -> None:
    """Raise ValueError for what has not the two functions of a kernel.

    >>> check_kernel(Kernel(lambda position, rng_key=None: position, lambda key, state: (state, None)))
    """
    if not (callable(getattr(kernel, "init", None)) and callable(getattr(kernel, "step", None))):
        raise ArgumentError(f"kernel: got a {type(kernel).__name__}, wanted two functions `init` and `step`")


def trajectory(
    key: Key[Array, ""],
    kernel: AnyKernel | KernelAtBeta,
    position: Any,
    steps: int,
    observe: Observe = position_of,
    schedule: Numbers | None = None,
) -> Run:
    """Run a kernel from a position and keep the position, or what `observe` returns, after each step.

    Args:
        key: typed random key, split into one for each step; an `init` that takes a key has another one.
        kernel: `init(position, rng_key=None) -> state`, `step(rng_key, state) -> (state, info)`. With a schedule it is
            a function of one number that returns the kernel.
        position: where to start.
        steps: how many steps, static, at least 1.
        observe: `observe(state)` is kept after each step; by default it is the position. If it is a mean or an energy
            instead, a run of a million steps takes little memory.
        schedule: a number for each step, (steps,), such as step sizes that fall: step t is that of
            `kernel(schedule[t])`. What a kernel computes from the number is computed anew, the rest of its state goes
            on.

    Returns:
        `Run(state, positions, infos)`; positions and infos have the leading axis `steps`.

    Raises:
        ValueError: a raw key, steps below 1, a schedule of another length, an argument of another kind.

    >>> class State(NamedTuple):
    ...     position: jax.Array
    >>> drift = Kernel(lambda position, rng_key=None: State(position), lambda key, state: (State(state[0] + 1), None))
    >>> trajectory(jax.random.key(0), drift, 0, 3).positions.tolist()
    [1, 2, 3]
    >>> trajectory(jax.random.key(0), drift, 0, 3, observe=lambda state: state.position % 2 == 0).positions.tolist()
    [False, True, False]
    >>> by = lambda size: Kernel(drift.init, lambda key, state: (State(state[0] + size), None))
    >>> trajectory(jax.random.key(0), by, 0.0, 3, schedule=[1.0, 0.5, 0.25]).positions.tolist()
    [1.0, 1.5, 1.75]
    """
    check_key("key", key)
    check_count("steps", steps)
    check_callable("observe", observe)
    check_arrays("position", position)
    start_key = jax.random.fold_in(key, steps)  # the steps have the keys 0 to steps - 1 of a split
    if schedule is not None:
        check_callable("kernel", kernel)
        schedule = as_float("schedule", schedule, (steps,))
        make_kernel: Any = kernel
        check_kernel(make_kernel(schedule[0]))
        return _scheduled(key, make_kernel, schedule, begun(start_key, make_kernel(schedule[0]), position), observe)
    one: Any = kernel
    check_kernel(one)
    return _trajectory(key, one.step, begun(start_key, one, position), steps, observe)


@compiled
def _trajectory(key, kernel_step, state, steps, observe):
    def step(state, key):
        state, info = kernel_step(key, state)
        return state, (observe(state), info)

    state, (positions, infos) = jax.lax.scan(step, state, jax.random.split(key, steps))
    return Run(state, positions, infos)


@compiled
def _scheduled(key, make_kernel, schedule, state, observe):
    def step(state, number_and_key):
        number, key = number_and_key
        state, info = make_kernel(number).step(key, continued(key, make_kernel, number, state))
        return state, (observe(state), info)

    keys = jax.random.split(key, len(schedule))
    state, (positions, infos) = jax.lax.scan(step, state, (schedule, keys))
    return Run(state, positions, infos)


def repeat(
    key: Key[Array, ""],
    kernel: AnyKernel,
    state: Any,
    steps: int,
    observe: Observe = position_of,
) -> Run:
    """Run a kernel from a state and keep the last position alone, as a burn-in does: memory does not grow with `steps`.

    Args:
        key: typed random key, split into one for each step.
        kernel: only its `step(rng_key, state) -> (state, info)` is used.
        state: a state that `kernel.init` or an earlier run returned.
        steps: how many steps, static, at least 1.
        observe: as for `trajectory`, but only of the last state.

    Returns:
        `Run(state, positions, infos)` of the last step, without a leading axis.

    Raises:
        ValueError: as in `trajectory`.

    >>> class State(NamedTuple):
    ...     position: jax.Array
    >>> double = Kernel(lambda position, rng_key=None: State(position), lambda key, state: (State(2 * state[0]), None))
    >>> int(repeat(jax.random.key(0), double, State(1), 5).positions)
    32
    """
    check_key("key", key)
    check_kernel(kernel)
    check_count("steps", steps)
    check_callable("observe", observe)
    state, info = _repeat(key, kernel.step, state, steps)
    return Run(state, observe(state), info)


@compiled
def _repeat(key, kernel_step, state, steps):
    keys = jax.random.split(key, steps)
    # the carry starts with an info of zeros, which is never returned, so that the step is compiled once
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(kernel_step, keys[0], state)[1])
    step = lambda carry, key: (kernel_step(key, carry[0]), None)
    return jax.lax.scan(step, (state, blank), keys)[0]


def thinned(kernel: AnyKernel, steps: int) -> Kernel:
    """A kernel whose one step is `steps` steps of another, with the info of the last of them.

    The positions that `trajectory` keeps are then `steps` steps apart. Raises ValueError for steps below 1, or what is
    no kernel.

    >>> class State(NamedTuple):
    ...     position: jax.Array
    >>> drift = Kernel(lambda position, rng_key=None: State(position), lambda key, state: (State(state[0] + 1), None))
    >>> trajectory(jax.random.key(0), thinned(drift, 10), 0, 3).positions.tolist()
    [10, 20, 30]
    """
    check_kernel(kernel)
    check_count("steps", steps)

    def step(rng_key, state):
        run = repeat(rng_key, kernel, state, steps)
        return run.state, run.infos

    return Kernel(kernel.init, step)


def iterate(step: Callable[[S], S], state: S, steps: int | Int[Array, ""]) -> S:
    """Apply `step(state) -> state` a number of times.

    Args:
        step: returns a state of the same structure, shapes and dtypes.
        state: any pytree of arrays.
        steps: how many times; it may be traced, and 0.

    Raises:
        ValueError: an argument of another kind.

    >>> int(iterate(lambda x: 2 * x, 1, 5))
    32
    """
    check_callable("step", step)
    check_arrays("state", state)
    if is_static(steps) and not (np.ndim(steps) == 0 and np.issubdtype(np.asarray(steps).dtype, np.integer)):
        raise ArgumentError(f"steps: got {steps!r}, wanted a whole number")
    return _iterate(step, state, steps)


@compiled
def _iterate(step, state, steps):
    return jax.lax.fori_loop(0, steps, lambda _, state: step(state), state)


def iterate_until(
    step: Callable[[S], S], state: S, done: Callable[[S], Bool[Array, ""]], max_steps: int
) -> tuple[S, Int[Array, ""], Bool[Array, ""]]:
    """Apply `step` until `done(state)` holds, at most `max_steps` times.

    Args:
        step: returns a state of the same structure, shapes and dtypes.
        state: any pytree of arrays.
        done: the condition; if it holds at the start, no step is taken.
        max_steps: the limit, at least 1.

    Returns:
        `(state, steps, finished)`: the last state, how many steps were taken, and whether the condition holds there.

    Raises:
        ValueError: max_steps below 1, an argument of another kind.

    >>> halve = lambda x: x / 2
    >>> state, steps, finished = iterate_until(halve, 1.0, lambda x: x < 0.2, 10)
    >>> float(state), int(steps), bool(finished)
    (0.125, 3, True)
    """
    check_callable("step", step)
    check_arrays("state", state)
    check_callable("done", done)
    check_count("max_steps", max_steps)
    return _iterate_until(step, jax.tree.map(jnp.asarray, state), done, max_steps)


@compiled
def _iterate_until(step, state, done, max_steps):
    def unfinished(carry):
        state, steps = carry
        return ~done(state) & (steps < max_steps)

    state, steps = jax.lax.while_loop(unfinished, lambda carry: (step(carry[0]), carry[1] + 1), (state, jnp.int32(0)))
    return state, steps, done(state)


def run_if(due: Bool[Array, ""], function: Callable[[], Y], otherwise: Y) -> Y:
    """`function()` where it is due, else `otherwise`: `lax.cond` that stays a conditional under `jax.vmap`.

    Under `jax.vmap` a `lax.cond` computes both branches for every member at every step. This one computes the function
    only if it is due for at least one member, such as for a measurement of all members at every hundredth update.

    Args:
        due: whether to compute.
        function: takes nothing, and returns a pytree of arrays. It may close over traced arrays.
        otherwise: a pytree of the same structure, shapes and dtypes.

    Raises ValueError for a function that is none, or that returns something else than `otherwise` has.

    >>> [float(run_if(jnp.array(due), lambda: jnp.array(2.0), jnp.array(0.0))) for due in (True, False)]
    [2.0, 0.0]
    """
    check_callable("function", function)
    check_arrays("otherwise", otherwise)
    return _run_if(due, function, otherwise)


@compiled
def _run_if(due, function, otherwise):
    program, shapes = jax.make_jaxpr(function, return_shape=True)()
    form = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), shapes)
    wanted = jax.tree.map(lambda leaf: (jnp.shape(leaf), jnp.result_type(leaf)), otherwise)
    if form != wanted:
        raise ArgumentError(f"otherwise: got {wanted}, wanted {form}, the shapes and dtypes of the function")
    outputs, structure = jax.tree.flatten(otherwise)
    compute = lambda constants: jaxpr_as_fun(ClosedJaxpr(program.jaxpr, constants))()
    return jax.tree.unflatten(structure, _conditional(compute)(due, program.consts, outputs))


def _conditional(compute):
    @jax.custom_batching.custom_vmap
    def choose(due, constants, otherwise):
        return jax.lax.cond(due, compute, lambda constants: otherwise, constants)

    @choose.def_vmap
    def choose_of_many(size, batched, due, constants, otherwise):
        axes = [0 if of_many else None for of_many in batched[1]]
        many = jax.vmap(compute, in_axes=(axes,), axis_size=size)
        spread = lambda leaf, of_many: leaf if of_many else jnp.broadcast_to(leaf, (size, *jnp.shape(leaf)))
        otherwise = [spread(*pair) for pair in zip(otherwise, batched[2], strict=True)]
        new = _conditional(many)(jnp.any(due) if batched[0] else due, constants, otherwise)
        if batched[0]:
            of = lambda new, old: jnp.where(due.reshape(-1, *(1,) * (old.ndim - 1)), new, old)
            new = [of(*pair) for pair in zip(new, otherwise, strict=True)]
        return new, [True] * len(new)

    return choose


def map_chunks(function: Callable[[X], Y], examples: X, chunk: int) -> Y:
    """`jax.vmap(function)` in bounded memory: `chunk` examples at a time.

    Args:
        function: of one example.
        examples: a pytree of arrays with the leading axis N, which need not be a multiple of `chunk`.
        chunk: how many examples are evaluated together, at least 1.

    Returns:
        results, stacked along a leading axis N.

    Raises:
        ValueError: chunk below 1, examples without a common leading axis, an argument of another kind.

    >>> import jax.numpy as jnp
    >>> map_chunks(jnp.sum, jnp.ones((5, 3)), 2).tolist()
    [3.0, 3.0, 3.0, 3.0, 3.0]
    """
    check_callable("function", function)
    check_count("chunk", chunk)
    check_arrays("examples", examples)
    leading_axis("examples", examples)
    return _map_chunks(function, examples, chunk)


@compiled
def _map_chunks(function, examples, chunk):
    return jax.lax.map(function, examples, batch_size=chunk)
