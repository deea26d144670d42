"""The loops of the library: every scan, while and chunked map over steps goes through these four."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key

from ebmjax.types import Kernel, check_count


def trajectory(kernel: Kernel, key: Key[Array, ""], position: Any, steps: int) -> tuple[Any, tuple[Any, Any]]:
    """Run a kernel and keep every position.

    Args:
        kernel: `init(position) -> state`, `step(key, state) -> (state, info)`.
        key: typed random key, split once a step.
        position: where to start.
        steps: how many steps, static, at least 1.

    Returns:
        `(state, (positions, infos))`: the last state; positions and infos after each step, leading axis `steps`.

    Raises:
        ValueError: steps below 1.

    >>> import jax
    >>> from typing import NamedTuple
    >>> class State(NamedTuple):
    ...     position: jax.Array
    >>> drift = Kernel(State, lambda key, state: (State(state.position + 1), None))
    >>> trajectory(drift, jax.random.key(0), 0, 3)[1][0].tolist()
    [1, 2, 3]
    """
    check_count("steps", steps)

    def step(state, key):
        state, info = kernel.step(key, state)
        return state, (state.position, info)

    return jax.lax.scan(step, kernel.init(position), jax.random.split(key, steps))


def repeat(
    step: Callable[[Key[Array, ""], Any], tuple[Any, Any]], key: Key[Array, ""], state: Any, steps: int
) -> tuple[Any, Any]:
    """Apply `step(key, state) -> (state, info)` `steps` times and keep only the last state and the last info.

    Memory does not grow with `steps`. Raises ValueError for steps below 1.

    >>> import jax
    >>> double = lambda key, x: (2 * x, -x)
    >>> [int(x) for x in repeat(double, jax.random.key(0), 1, 5)]
    [32, -16]
    """
    check_count("steps", steps)
    keys = jax.random.split(key, steps)
    # an info to begin with, never seen, so that the step is compiled once
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(step, keys[0], state)[1])
    return jax.lax.scan(lambda carry, key: (step(key, carry[0]), None), (state, blank), keys)[0]


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
