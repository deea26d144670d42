"""What experiments with restricted Boltzmann machines share: a learner, and how long it learns."""

import math

import optax
from jaxtyping import Array, Float

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast.centering import centering
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import Phase, observed, viewed
from ebmjax.types import Learner

PREFIX = 10_000  # pictures of the training set on which a machine is measured


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
