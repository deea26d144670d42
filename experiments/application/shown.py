"""Training with a bar: `ebmjax.train` in pieces of some epochs, with the same numbers."""

from typing import Any, Protocol

import jax
import numpy as np
from jaxtyping import Array, Key

from ebmjax.learn.train import Metrics, Trained, advance, begin
from ebmjax.types import Learner
from experiments.application.formatting import scalars
from experiments.application.report import Report

PIECES = 20


class Write(Protocol):
    """Writes a line of metrics.jsonl."""

    def __call__(self, step: int, metrics: Any, /) -> None:
        """Write the metrics of one update, given as NumPy numbers."""
        ...


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
    length = max(1, epochs // PIECES)
    piece = lambda keys, progress, data: advance(keys, learner, progress, data, batch_size)
    programs = {
        size: report.program(piece, keys[:size], progress, data) for size in {length, epochs % length} if size > 0
    }
    parts: list[Metrics] = []
    updates = 0
    with report.bar(f"{epochs} pass{'es' if epochs > 1 else ''} over the data", epochs) as step:
        for first in range(0, epochs, length):
            these = keys[first : first + length]
            progress, metrics = programs[len(these)](these, progress, data)
            metrics = jax.tree.map(np.asarray, metrics)  # on the host, where nothing has to be compiled
            flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), metrics.learner)
            for row in range(metrics.finite.size):
                updates += 1
                if updates == 1 or updates % every == 0:
                    write(updates, jax.tree.map(lambda leaf: leaf[row], flat))  # at once
            parts.append(metrics)
            step(len(these), scalars(jax.tree.map(lambda leaf: np.mean(leaf[-1], axis=0), metrics.learner)))
    metrics = jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
    return Trained(progress.state.params, progress.state, metrics)
