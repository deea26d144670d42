"""Helper of `rbm`, `label_completion` and `dbm`: how restricted Boltzmann machines are trained, and for how long."""

import math
from collections.abc import Callable
from typing import NamedTuple

import optax
from jaxtyping import Array, Float, Key, PyTree

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast.centering import centering
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import Phase, observed, viewed
from ebmjax.types import Learner
from experiments.application import options
from experiments.application.report import Report
from experiments.application.watched import Row, Watched, train_watched

PREFIX = 10_000  # training pictures on which a machine is measured: the first ones


class Schedule(NamedTuple):
    """How long a machine is trained, and in what steps."""

    batch_size: int
    updates: int
    """Least number of updates."""
    rate: float
    """First learning rate; it falls linearly to zero."""
    measured: int
    """Number of measurements, at equal distances, after the one before training."""


def train_machine(
    key: Key[Array, ""],
    report: Report,
    name: str,
    negative: Phase,
    params: rbm.Params,
    data: Float[Array, "n visible"],
    schedule: Schedule,
    measure: Callable[[rbm.Params], PyTree[Array]],
    row_of: Row,
) -> Watched:
    """Train one restricted Boltzmann machine, and measure it on the way.

    Args:
        key: typed random key.
        report: of the run, which keeps the checkpoints.
        name: of this training, and of the folder of its checkpoints.
        negative: as in `learner`.
        params: initial parameters.
        data: visible units to train on.
        schedule: updates, batches and measurements.
        measure: `measure(params)`, numbers of fixed shapes.
        row_of: what metrics.jsonl says of a measurement.

    Raises:
        ValueError: params and data that do not fit together, or a batch larger than the data.
    """
    rbm.check_visible(params, data)
    epochs, updates = divided(len(data), schedule.batch_size, schedule.updates, schedule.measured)
    return train_watched(
        key,
        report,
        name,
        learner(negative, data, schedule.rate, updates),
        params,
        data,
        schedule.batch_size,
        epochs,
        schedule.measured,
        measure,
        row_of,
    )


def divided(samples: int, batch_size: int, updates: int, segments: int) -> tuple[int, int]:
    """Divide a training into segments of whole epochs: the epochs of each segment, and the updates of all.

    The updates are at least those that are asked for. Raises ValueError for a batch larger than the data.

    >>> divided(1437, 100, updates=12_000, segments=12)
    (72, 12096)
    """
    options.require(batch_size <= samples, "batch_size", batch_size, f"at most {samples}, the number of pictures")
    batches = samples // batch_size
    epochs = math.ceil(updates / (batches * segments))
    return epochs, epochs * segments * batches


def learner(negative: Phase, data: Float[Array, "n visible"], rate: float, updates: int) -> Learner:
    """Centered contrastive learning, with plain gradient steps at a rate that falls linearly to zero.

    Args:
        negative: positions (visible, hidden) under the model; the positive phase is the data.
        data: the means for centering are those of these data.
        rate: the first learning rate.
        updates: number of updates after which the rate is zero.
    """
    free_energy = lambda params, visible: rbm.free_energy(params, visible, 1.0)
    steps = optax.sgd(optax.linear_schedule(rate, 0.0, updates))
    visible = viewed(negative, lambda params, position: position[0])
    return contrastive(free_energy, observed(), visible, steps, centering(data.mean(axis=0)))
