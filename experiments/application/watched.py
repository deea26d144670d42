"""Training that is watched: measured now and then, saved where it is, stopped where it goes wrong."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.learn import checkpoint
from ebmjax.learn.train import advance, begin
from ebmjax.types import DIVERGED, STEP_LIMIT, Learner
from experiments.application.report import Report

EXPLODED = 1e3  # a coupling or bias in units of energy / kT that no learning from pictures comes near to


class Watched(NamedTuple):
    """What a training came to, and what was measured on the way."""

    params: Any
    updates: Float[np.ndarray, " measured"]
    """How many updates each measurement stands after."""
    measures: Any
    """What `measure(params)` gave, leading axis measured."""
    result: int
    """STEP_LIMIT where all was done; DIVERGED where it was stopped: then all this is from before."""


def train_watched(
    report: Report,
    name: str,
    learner: Learner,
    key: Key[Array, ""],
    params: Any,
    data: Float[Array, "n visible"],
    batch_size: int,
    epochs_a_segment: int,
    segments: int,
    measure: Callable[[Any], Any],
) -> Watched:
    """`ebmjax.train` with a measurement before it and after each of some segments, and a checkpoint there.

    In a run that is resumed it goes on from the last checkpoint. After a segment that leaves a parameter above
    `EXPLODED` or a measurement that is finite no more, it stops with what was good before, and the report says so.

    Args:
        report: of the run, which keeps the checkpoints.
        name: of this training, and of the folder of its checkpoints.
        learner: of what kind it is.
        key: typed random key.
        params: initial parameters.
        data: to train on.
        batch_size: samples an update.
        epochs_a_segment: passes over the data between two measurements; all alike, so that they compile once.
        segments: how many of them.
        measure: `measure(params)`, numbers of fixed shapes.
    """
    folder = report.checkpoints / name
    progress, keys = begin(key, learner, params, epochs_a_segment * segments)
    segment = jax.jit(lambda progress, keys, data: advance(keys, learner, progress, data, batch_size)[0])
    first = jax.tree.map(np.asarray, measure(params))
    table = jax.tree.map(lambda value: np.zeros((segments + 1, *value.shape), value.dtype), first)
    done, (progress, table) = checkpoint.restore(folder, (progress, table)) or (0, (progress, table))
    table = jax.tree.map(np.array, table)
    _put(table, 0, first)
    result = STEP_LIMIT
    updates = np.arange(segments + 1) * epochs_a_segment * (len(data) // batch_size)
    for row in range(done, segments):
        after = segment(progress, keys[row * epochs_a_segment : (row + 1) * epochs_a_segment], data)
        measured = measure(after.state.params)
        if not (after.alive and _is_sound(after.state.params, measured, first)):
            report.diverged(name, int(updates[row]))
            result, segments = DIVERGED, row
            break
        progress = after
        _put(table, row + 1, measured)
        checkpoint.save(folder, row + 1, (progress, table))
    table = jax.tree.map(lambda column: column[: segments + 1], table)
    return Watched(progress.state.params, updates[: segments + 1], table, result)


def _is_sound(params: Any, measured: Any, first: Any) -> bool:
    """Whether no parameter has exploded, and what was finite once still is: a NaN may stand for no answer."""
    # numpy, which compiles nothing: every shape of a parameter would be a program of its own
    measured, params = jax.tree.map(np.asarray, (measured, params))
    lost = jax.tree.map(lambda now, once: bool((np.isfinite(once) & ~np.isfinite(now)).any()), measured, first)
    return not any(jax.tree.leaves(lost)) and all(bool((abs(x) < EXPLODED).all()) for x in jax.tree.leaves(params))


def _put(table: Any, row: int, values: Any) -> None:
    jax.tree.map(lambda column, value: column.__setitem__(row, np.asarray(value)), table, values)
