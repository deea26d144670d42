"""Shared by the experiments with convolutional kernels: contrast normalization, learning on crops, and drawing."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Float, Float32, Key
from matplotlib.axes import Axes
from scipy.ndimage import gaussian_filter

from ebmjax.energies import convolutional_encoder
from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies.regularizers import Regularizer, l1
from ebmjax.learn.dictionaries import convolutional_dictionary as dictionary
from ebmjax.learn.train import Trained
from ebmjax.minimize.codes.find_code import by_proximal, convolutional_term
from ebmjax.minimize.codes.proximal import fista_restarted
from ebmjax.types import Solution
from experiments.application.report import Report
from experiments.application.shown import train_shown
from experiments.data import natural

CROP = 24
"""Rows and columns of a crop."""


class Plan(NamedTuple):
    """How kernels are learned."""

    filters: int
    """Number of kernels."""
    size: int
    """Rows and columns of a kernel."""
    weight: float
    """λ, the weight of the code's L1 norm."""
    pull: float | None
    """α, the weight of the encoder's term in the energy; None for no encoder."""
    rate: float
    """First learning rate of the gradient descent."""
    batch: int
    """Crops in an update."""
    epochs: int
    """Passes over the crops."""
    max_steps: int
    """Largest number of FISTA's steps for a code."""


def contrast_normalized(
    picture: Float[np.ndarray, "rows columns *channels"], deviation: float = 4.0
) -> Float32[np.ndarray, "rows columns *channels"]:
    """Each pixel minus its local mean, divided by its local standard deviation: dark edges count like bright ones.

    Local averages have a Gaussian window whose standard deviation is `deviation` pixels. Each channel has its own mean;
    the standard deviation is common to all channels. Where it is below its median over the picture, the median is used,
    so that noise in plain areas is not amplified.

    Jarrett et al. (2009), "What is the best multi-stage architecture for object recognition?".

    >>> picture = natural.load(natural.Natural.SKIMAGE)[0]
    >>> contrast_normalized(picture).shape
    (512, 512)
    """
    axes = (deviation, deviation, *(0,) * (picture.ndim - 2))
    centred = picture - gaussian_filter(picture, axes)
    power = np.square(centred) if picture.ndim == 2 else np.square(centred).mean(axis=2)
    spread = np.sqrt(gaussian_filter(power, deviation))
    spread = np.maximum(spread, np.median(spread))
    return (centred / (spread if picture.ndim == 2 else spread[..., None])).astype(np.float32)


def crops(
    key: Key[Array, ""], pictures: Sequence[Float[np.ndarray, "..."]], size: int, count: int
) -> Float32[np.ndarray, "count size size *channels"]:
    """Square crops of the pictures at random places.

    >>> crops(jax.random.key(0), natural.load(natural.Natural.SKIMAGE), 32, 3).shape
    (3, 32, 32)
    """
    return natural.patches(key, pictures, size, count).reshape(count, size, size, *pictures[0].shape[2:])


def solve(max_steps: int) -> Callable[[coding.Params, Regularizer, Any, Any], Solution]:
    """FISTA for a learner. Maps are larger than the crop, so that each of its pixels is covered by all kernel "
    "places."""

    term = partial(convolutional_term, reconstruction=coding.valid)
    return by_proximal(partial(fista_restarted, max_steps=max_steps, tolerance=1e-3), term)


def beginning(key: Key[Array, ""], filters: int, size: int, channels: tuple[int, ...]) -> dictionary.Coder:
    """Decoder: noise times a Gaussian window, so that kernels are learned in the middle. Encoder: a tenth of it."""
    across = np.exp(-np.square(np.arange(size) - (size - 1) / 2) / (2 * (size / 6) ** 2))
    window = (across[:, None] * across[None, :]).reshape(1, size, size, *(1,) * len(channels))
    noise = coding.init(key, filters, (size, size, *channels)).kernels
    decoder = coding.normalized(coding.Params(noise * window.astype(np.float32)))
    return dictionary.Coder(decoder, convolutional_encoder.Encoder(decoder.kernels / 10, jax.numpy.ones(filters)))


def learn(
    key: Key[Array, ""],
    report: Report,
    crops: Float[np.ndarray, "samples rows columns *channels"],
    plan: Plan,
    about: dict[str, Any],
) -> Trained:
    """Learn kernels from crops, and an encoder if the plan has one: then `params` is a `Coder`, else the kernels'.

    The energy and the density of every fiftieth part of the updates become lines of metrics.jsonl, with what is `about`
    the training.
    """
    init_key, train_key = jax.random.split(key)
    start = beginning(init_key, plan.filters, plan.size, crops.shape[3:])
    updates = plan.epochs * (len(crops) // plan.batch)
    descent = optax.sgd(optax.cosine_decay_schedule(plan.rate, updates), momentum=0.9)
    code = solve(plan.max_steps)
    if plan.pull is None:
        learner, params = dictionary.convolutional(code, l1(plan.weight), descent, coding.valid), start.decoder
    else:
        learner = dictionary.predictive(code, l1(plan.weight), plan.pull, descent, reconstruction=coding.valid)
        params = start
    write = lambda step, told: report.metrics(step=step, **about, energy=told.energy, density=told.density)
    every = max(1, updates // 50)
    return train_shown(train_key, report, learner, params, crops, plan.batch, plan.epochs, every, write)


def tiles(axes: Axes, kernels: Float[np.ndarray, "filters rows columns *channels"], columns: int, title: str) -> None:
    """Draw kernels in a grid, each scaled by its largest absolute value; middle grey is zero."""
    filters, rows, wide = kernels.shape[:3]
    down = -(-filters // columns)
    sheet = np.ones((down * (rows + 1) + 1, columns * (wide + 1) + 1, *kernels.shape[3:]))
    for index, kernel in enumerate(kernels):
        row, column = divmod(index, columns)
        shown = 0.5 + 0.5 * kernel / max(float(np.abs(kernel).max()), 1e-12)
        top, left = row * (rows + 1) + 1, column * (wide + 1) + 1
        sheet[top : top + rows, left : left + wide] = shown
    axes.imshow(sheet, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title)
    axes.set_axis_off()
