"""Training with measurements and checkpoints at intervals, which stops when it diverges."""

from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from ebmjax.learn import checkpoint
from ebmjax.learn.train import advance, begin
from ebmjax.types import DIVERGED, STEP_LIMIT, Learner
from experiments.application.formatting import scalars
from experiments.application.report import Report

EXPLODED = 1e3
"""A training diverges when a parameter exceeds this: couplings and biases, in units of kT, stay far below it."""


class Measure(Protocol):
    """Measures a model during its training."""

    def __call__(self, params: Any, /) -> PyTree[Array]:
        """Return numbers, in arrays whose shapes do not depend on the parameters."""
        ...


class Row(Protocol):
    """What metrics.jsonl says of one measurement."""

    def __call__(self, measured: Any, /) -> dict[str, Any]:
        """Return numbers by their names.

        Args:
            measured: the result of `measure(params)`, as NumPy arrays.
        """
        ...


class Watched(NamedTuple):
    """The result of a training, and what was measured during it."""

    params: Any
    updates: Float[np.ndarray, " measured"]
    """The number of updates before each measurement."""
    measures: Any
    """The results of `measure(params)`, with a leading axis of measurements."""
    result: int
    """STEP_LIMIT after all updates; DIVERGED if the training was stopped: then all fields are from before."""


def train_watched(
    key: Key[Array, ""],
    report: Report,
    name: str,
    learner: Learner,
    params: Any,
    data: Float[Array, "n visible"],
    batch_size: int,
    epochs_a_segment: int,
    segments: int,
    measure: Measure,
    row_of: Row,
) -> Watched:
    """Train as `ebmjax.train` does, in segments, with a measurement before the first and after each of them.

    A bar shows the share done, the time left and the newest measurement. Each measurement becomes a line of
    metrics.jsonl at once: `row_of(measured)` after the name of the training and the number of updates.

    A checkpoint is saved after each segment, and a run that is resumed continues from the last one, with the lines of
    all measurements before it. If a segment leaves
    a parameter above `EXPLODED`, or a measurement that was finite is not any more, training stops, keeps the state from
    before that segment, and the report says so.

    Args:
        key: typed random key.
        report: the report of the run, which has the folder of the checkpoints.
        name: the name of this training and of the folder of its checkpoints.
        learner: the learner to run.
        params: initial parameters.
        data: the training set.
        batch_size: samples per update.
        epochs_a_segment: passes over the data in each segment.
        segments: the number of segments.
        measure: what to measure.
        row_of: what to write of it.

    Raises:
        ArgumentError: the checkpoints cannot be written. Other errors as in `ebmjax.train`.
    """
    folder = report.checkpoints / name
    progress, keys = begin(key, learner, params, epochs_a_segment * segments)
    segment = lambda progress, keys, data: advance(keys, learner, progress, data, batch_size)[0]
    first = jax.tree.map(np.asarray, measure(params))
    table = jax.tree.map(lambda value: np.zeros((segments + 1, *value.shape), value.dtype), first)
    done, (progress, table) = checkpoint.restore(folder, (progress, table)) or (0, (progress, table))
    table = jax.tree.map(np.array, table)
    _put(table, 0, first)
    result = STEP_LIMIT
    updates = np.arange(segments + 1) * epochs_a_segment * (len(data) // batch_size)
    tell = lambda row, measured: report.metrics(training=name, step=int(updates[row]), **row_of(measured))
    if done < segments:
        segment = report.program(segment, progress, keys[:epochs_a_segment], data)
    with report.bar(f"{name}: {updates[-1]:,} updates", segments) as step:
        step(done)
        for row in range(done + 1):
            tell(row, jax.tree.map(lambda column: column[row], table))  # at once
        for row in range(done, segments):
            after = segment(progress, keys[row * epochs_a_segment : (row + 1) * epochs_a_segment], data)
            measured = jax.tree.map(np.asarray, measure(after.state.params))
            if not (after.alive and _is_sound(after.state.params, measured, first)):
                report.diverged(name, int(updates[row]))
                result, segments = DIVERGED, row
                break
            progress = after
            _put(table, row + 1, measured)
            checkpoint.save(folder, row + 1, (progress, table))
            tell(row + 1, measured)
            step(1, scalars(measured))
    table = jax.tree.map(lambda column: column[: segments + 1], table)
    return Watched(progress.state.params, updates[: segments + 1], table, result)


def _is_sound(params: Any, measured: Any, first: Any) -> bool:
    """Whether all parameters are below `EXPLODED`, and all measurements are finite that were finite at first.

    A measurement that was NaN at first is one that this model does not have.
    """
    # NumPy, because JAX would compile a program for every shape of a parameter
    measured, params = jax.tree.map(np.asarray, (measured, params))
    lost = jax.tree.map(lambda now, once: bool((np.isfinite(once) & ~np.isfinite(now)).any()), measured, first)
    return not any(jax.tree.leaves(lost)) and all(bool((abs(x) < EXPLODED).all()) for x in jax.tree.leaves(params))


def _put(table: Any, row: int, values: Any) -> None:
    jax.tree.map(lambda column, value: column.__setitem__(row, np.asarray(value)), table, values)
