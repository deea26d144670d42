"""What experiments with restricted Boltzmann machines share: a learner, training that is watched, mosaics."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Float, Key
from matplotlib.axes import Axes

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learning import checkpoint
from ebmjax.learning.centering import centering
from ebmjax.learning.contrastive import contrastive
from ebmjax.learning.phases import Phase, observed, viewed
from ebmjax.learning.train import advance, begin
from ebmjax.types import DIVERGED, STEP_LIMIT, Learner
from experiments.report import Report

EXPLODED = 1e3  # a coupling or bias in units of energy / kT that no learning from pictures comes near to
PREFIX = 10_000  # pictures of the training set on which a machine is measured


class Watched(NamedTuple):
    """What a training came to, and what was measured on the way."""

    params: Any
    updates: Float[np.ndarray, " measured"]
    """How many updates each measurement stands after."""
    measures: Any
    """What `measure(params)` gave, leading axis measured."""
    result: int
    """STEP_LIMIT where all was done; DIVERGED where it was stopped: then all this is from before."""


def flat(images: Float[np.ndarray, "n rows columns"]) -> Float[np.ndarray, "n pixels"]:
    """Pictures as rows of visible units."""
    return images.reshape(len(images), -1)


def divided(samples: int, batch_size: int, updates: int, segments: int) -> tuple[int, int]:
    """Epochs in each of the segments that hold so many updates or a few more, and the updates in all.

    >>> divided(1437, 100, updates=12_000, segments=12)
    (72, 12096)
    """
    if batch_size > samples:
        raise ValueError(f"--batch-size is {batch_size}, expected at most {samples}, the number of pictures")
    batches = samples // batch_size
    epochs = math.ceil(updates / (batches * segments))
    return epochs, epochs * segments * batches


def learner(negative: Phase, data: Float[Array, "n visible"], rate: float, updates: int) -> Learner:
    """Centered contrastive learning, with plain gradient steps at a rate that falls linearly to zero.

    Args:
        negative: whole positions (visible, hidden) under the model; the positive phase is the data.
        data: where the means are taken from.
        rate: the first learning rate.
        updates: after which it is zero.
    """
    free_energy = lambda params, visible: rbm.free_energy(params, visible, 1.0)
    steps = optax.sgd(optax.linear_schedule(rate, 0.0, updates))
    seen = viewed(negative, lambda params, position: position[0])
    return contrastive(free_energy, observed(), seen, steps, centering(data.mean(axis=0)))


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
    progress, keys = begin(learner, key, params, epochs_a_segment * segments)
    segment = jax.jit(lambda progress, keys, data: advance(learner, progress, keys, data, batch_size)[0])
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
    lost = jax.tree.map(lambda now, once: bool((np.isfinite(once) & ~np.isfinite(now)).any()), measured, first)
    return not any(jax.tree.leaves(lost)) and all(bool((abs(x) < EXPLODED).all()) for x in jax.tree.leaves(params))


def _put(table: Any, row: int, values: Any) -> None:
    jax.tree.map(lambda column, value: column.__setitem__(row, np.asarray(value)), table, values)


def mosaic(pictures: Float[Array | np.ndarray, "down across rows columns"]) -> Float[np.ndarray, "height width"]:
    """Pictures side by side, with lines of NaN between them."""
    pictures = np.asarray(pictures)
    padded = np.pad(pictures, [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=np.nan)
    down, across, rows, columns = padded.shape
    return padded.transpose(0, 2, 1, 3).reshape(down * rows, across * columns)[:-1, :-1]


def show(
    axes: Axes,
    pictures: Float[Array | np.ndarray, "down across rows columns"],
    title: str = "",
    down: list[str] | None = None,
    across: list[str] | None = None,
    weights: bool = False,
) -> None:
    """Draw a mosaic: ink on paper, or weights from blue (negative) to red.

    Args:
        axes: where.
        pictures: from 0 (paper) to 1 (ink), or weights.
        title: of the panel.
        down: a name for each row.
        across: a name for each column.
        weights: whether each picture has its own scale, symmetric about zero.
    """
    pictures = np.asarray(pictures)
    if weights:
        pictures = pictures / np.maximum(np.abs(pictures).max(axis=(2, 3), keepdims=True), 1e-12)
        axes.imshow(mosaic(pictures), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    else:
        axes.imshow(mosaic(pictures), cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    rows, columns = pictures.shape[2:]
    axes.set_xticks([(columns + 1) * i + columns / 2 - 0.5 for i in range(len(across or []))], across or [])
    axes.set_yticks([(rows + 1) * i + rows / 2 - 0.5 for i in range(len(down or []))], down or [])
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_facecolor("#e6e6e6")
    axes.set_title(title)
