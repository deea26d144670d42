"""Long loops with a bar: a scan, a map and `ebmjax.train` in pieces, all with the same numbers as in one call.

They save where they are now and then (see `kept`), and a run that is resumed goes on from there.
"""

from collections.abc import Callable
from typing import Any, Protocol

import jax
import numpy as np
from jaxtyping import Array, Key

from ebmjax.learn.train import Trained, advance, begin
from ebmjax.types import Learner
from experiments.application import kept, spread
from experiments.application.formatting import scalars
from experiments.application.report import Report, TooLargeError

PIECES = 20


class Tell(Protocol):
    """Says what a piece has measured."""

    def __call__(self, done: int, measured: Any, /) -> str:
        """Write lines of metrics.jsonl, and return the newest measurement, for the end of the bar.

        Args:
            done: how many steps or examples there were before the piece.
            measured: what those of the piece returned, as NumPy arrays with a leading axis of them.
        """
        ...


class Write(Protocol):
    """Writes a line of metrics.jsonl."""

    def __call__(self, step: int, metrics: Any, /) -> None:
        """Write the metrics of one update, given as NumPy numbers."""
        ...


def scan_shown(
    report: Report,
    title: str,
    step: Callable[..., tuple[Any, Any]],
    state: Any,
    items: Any,
    *shared: Any,
    tell: Tell = lambda done, measured: "",
) -> tuple[Any, Any]:
    """`jax.lax.scan(step, state, items)` in about twenty pieces, with a bar that moves after each of them.

    All pieces are one program; there is a second one for the last piece if it is shorter.

    Args:
        report: the report of the run.
        title: what is in front of the bar.
        step: `step(state, item, *shared) -> (state, measured)`, a function that JAX can trace.
        state: pytree of arrays.
        items: pytree of arrays and typed keys with a leading axis: one of each for every step.
        shared: arrays that every step needs, such as a training set.
        tell: called after each piece.

    Returns:
        The last state; and what all steps measured, as NumPy arrays with a leading axis of steps.
    """
    length = piece_length(len(jax.tree.leaves(items)[0]))

    def piece(state, items, *shared):
        one = lambda state, item: step(state, item, *shared)
        return jax.lax.scan(one, state, items, unroll=len(jax.tree.leaves(items)[0]) == 1)

    return _in_pieces(report, title, piece, state, items, length, shared, tell, kept.Keeper(report))


def sweep_shown(
    report: Report,
    title: str,
    step: Callable[..., tuple[Any, Any]],
    states: Any,
    items: Any,
    own: Any,
    *shared: Any,
    tell: Tell = lambda done, measured: "",
) -> tuple[Any, Any]:
    """`scan_shown` for many members, of which each device has its part; the members know nothing of each other.

    Args:
        report, title, shared, tell: as in `scan_shown`.
        step: `step(states, item, own, *shared) -> (states, measured)`, of some of the members, such as a `jax.vmap`.
        states: pytree of arrays and keys with a leading axis of members.
        items: the same with leading axes of steps and members.
        own: what belongs to each member at every step, such as its beta, with a leading axis of members.

    Returns:
        The last states; and what was measured, as NumPy arrays with leading axes of steps and members.
    """
    length = piece_length(len(jax.tree.leaves(items)[0]))

    def piece(states, items, own, *shared):
        return spread.scanned(step, states, items, own, *shared)

    return _in_pieces(report, title, piece, states, items, length, (own, *shared), tell, kept.Keeper(report))


def map_shown(
    report: Report,
    title: str,
    function: Callable[..., Any],
    examples: Any,
    chunk: int,
    *shared: Any,
    tell: Tell = lambda done, measured: "",
) -> Any:
    """`ebmjax.loops.map_chunks(function, examples, chunk)` in about twenty pieces, with a bar as in `scan_shown`.

    Several devices, of one process or of all, share the examples of each piece.

    Args:
        report, title, shared, tell: as in `scan_shown`.
        function: `function(example, *shared)`, a function that JAX can trace.
        examples: pytree of arrays and typed keys with a leading axis: one of each for every example.
        chunk: how many examples are evaluated together, at least 1; half as many, or a quarter of them, and so on,
            where the program would need more memory than there is, which a line says.

    Returns:
        The results, as NumPy arrays with a leading axis of examples.

    Raises:
        TooLargeError: not even one example at a time fits into memory.
    """
    keeper = kept.Keeper(report)
    while True:
        length = chunk * piece_length(max(1, len(jax.tree.leaves(examples)[0]) // chunk))
        piece = lambda state, rows, *shared, chunk=chunk: (
            state,
            spread.mapped(function, rows, chunk, *shared),
        )
        try:
            return _in_pieces(report, title, piece, None, examples, length, shared, tell, keeper)[1]
        except TooLargeError as error:
            if chunk == 1:
                raise
            report.progress(f"{title}: {error} with {chunk} at a time, so it is done {chunk // 2} at a time")
            chunk = chunk // 2


def _in_pieces(
    report: Report,
    title: str,
    piece: Callable[..., tuple[Any, Any]],
    state: Any,
    items: Any,
    length: int,
    shared: tuple[Any, ...],
    tell: Tell,
    keeper: kept.Keeper,
) -> tuple[Any, Any]:
    """`piece(state, items, *shared) -> (state, measured)` for `length` items at a time; a shorter one may be last."""
    rows, restored = _on_host(items)
    total, state = len(rows[0]), kept.strong(state)
    cut = lambda first: [row[first : first + length] for row in rows]
    whole = spread.program(lambda state, rows, *shared: piece(state, restored(rows), *shared))
    size_of = lambda first: min(length, total - first)
    shapes = jax.eval_shape(whole, state, cut(0), *shared)[1]
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((total, *leaf.shape[1:]), leaf.dtype), shapes)
    done, state, table = spread.agreed(keeper.found(state, shapes))
    pieces = range(done, total, length)
    firsts = {size_of(first): first for first in pieces}
    state, shared = spread.given((state, shared))
    programs = {size: report.program(whole, state, spread.given(cut(first)), *shared) for size, first in firsts.items()}
    with report.bar(title, total) as move:
        for first in range(0, done, length):  # told again piece by piece, for the same lines of metrics.jsonl
            size = size_of(first)
            move(size, tell(first, jax.tree.map(lambda leaf: leaf[first : first + size], table)))
        for first in pieces:
            size = size_of(first)
            # a piece that measures nothing would be told to be done before it is computed
            state, measured = jax.block_until_ready(programs[size](state, spread.given(cut(first)), *shared))
            measured = jax.tree.map(np.asarray, measured)
            jax.tree.map(lambda rows, new: rows.__setitem__(slice(first, first + size), new), table, measured)
            keeper.keep(first + size, spread.taken(state), table, first + size == total)
            move(size, tell(first, measured))
    return spread.taken(state), table


def piece_length(total: int) -> int:
    """The number of steps in each of about twenty pieces; of similar lengths one that leaves no remainder.

    >>> [piece_length(total) for total in (7, 60, 500, 1667)]
    [1, 3, 25, 83]
    """
    wanted = max(1, total // PIECES)
    similar = range(-(-wanted // 2), 2 * wanted + 1)
    return min(similar, key=lambda length: (total % length > 0, abs(length - wanted), -length))


def _on_host(items: Any) -> tuple[list[np.ndarray], Callable[[Any], Any]]:
    """The leaves as NumPy arrays, whose slices compile nothing, and the function that makes the pytree of them again.

    Typed keys, which NumPy does not know, become their words.
    """
    leaves, structure = jax.tree.flatten(items)
    keyed = [jax.random.key_impl(leaf) if kept.is_key(leaf) else None for leaf in leaves]
    rows = [np.asarray(jax.random.key_data(leaf) if kept.is_key(leaf) else leaf) for leaf in leaves]

    def restored(rows):
        made = [
            row if of is None else jax.random.wrap_key_data(row, impl=of) for row, of in zip(rows, keyed, strict=True)
        ]
        return jax.tree.unflatten(structure, made)

    return rows, restored


def train_shown(
    key: Key[Array, ""],
    report: Report,
    learner: Learner,
    params: Any,
    data: Any,
    batch_size: int,
    epochs: int,
    every: int,
    write: Write,
) -> Trained:
    """Train as `ebmjax.train` does; a bar shows the share done, the time left and the newest metrics.

    Args:
        key: typed random key.
        report: the report of the run.
        learner, params, data, batch_size, epochs: as in `ebmjax.train`.
        every: updates from one line of metrics.jsonl to the next, at least 1; the first update has one too.
        write: called with the number of the update, from 1, and the learner's metrics in it.

    Errors are those of `ebmjax.train`.
    """
    progress, keys = begin(key, learner, params, epochs)

    def tell(done, metrics):
        batches = metrics.finite.shape[1]
        flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), metrics.learner)
        for row in range(metrics.finite.size):
            update = done * batches + row + 1
            if update == 1 or update % every == 0:
                write(update, jax.tree.map(lambda leaf: leaf[row], flat))
        return scalars(jax.tree.map(lambda leaf: leaf[-1].mean(axis=0), metrics.learner))

    title = f"{epochs} pass{'es' if epochs > 1 else ''} over the data"
    step = lambda progress, key, data: one_epoch(key, learner, progress, data, batch_size)
    progress, metrics = scan_shown(report, title, step, progress, keys, data, tell=tell)
    return Trained(progress.state.params, progress.state, metrics)


def one_epoch(key: Key[Array, ""], learner: Learner, progress: Any, data: Any, batch_size: int) -> tuple[Any, Any]:
    """One epoch of `ebmjax.learn.train.advance`: the progress after it, and metrics with a leading axis of batches."""
    progress, metrics = advance(key[None], learner, progress, data, batch_size)
    return progress, jax.tree.map(lambda leaf: leaf[0], metrics)
