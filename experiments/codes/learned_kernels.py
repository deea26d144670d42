"""What the experiments on convolutional kernels share: pictures of even contrast, learning on crops, and drawing."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Float, Float32, Key
from matplotlib.axes import Axes
from scipy.ndimage import gaussian_filter

from ebmjax import train
from ebmjax.energies import convolutional_encoder
from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies.regularizers import Regularizer, l1
from ebmjax.learn.dictionaries import convolutional_dictionary as dictionary
from ebmjax.learn.train import Trained
from ebmjax.minimize.codes.find_code import by_proximal, convolutional_term
from ebmjax.minimize.codes.proximal import fista_restarted
from ebmjax.types import Solution
from experiments.data import natural

CROP = 24
"""Rows and columns of a crop."""


class Plan(NamedTuple):
    """How kernels are learned: their number and size, λ, α (None: no encoder), the descent's rate, and how long."""

    filters: int
    size: int
    weight: float
    pull: float | None
    rate: float
    batch: int
    epochs: int
    max_steps: int


def contrast_normalized(
    picture: Float[np.ndarray, "rows columns *channels"], deviation: float = 4.0
) -> Float32[np.ndarray, "rows columns *channels"]:
    """Each pixel less the mean about it, over the deviation about it: edges in shade and in light count alike.

    Means are Gaussian, of `deviation` pixels, each channel's own; the deviation is that of all channels together, and
    nowhere taken as less than its median over the picture, so that noise in plain areas is not blown up.

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
    """Square crops, drawn like patches.

    >>> crops(jax.random.key(0), natural.load(natural.Natural.SKIMAGE), 32, 3).shape
    (3, 32, 32)
    """
    return natural.patches(key, pictures, size, count).reshape(count, size, size, *pictures[0].shape[2:])


def solve(max_steps: int) -> Callable[[coding.Params, Regularizer, Any, Any], Solution]:
    """FISTA on full maps, for a learner: each pixel of a crop has all of its neighbours."""

    term = partial(convolutional_term, reconstruction=coding.valid)
    return by_proximal(partial(fista_restarted, max_steps=max_steps, tolerance=1e-3), term)


def beginning(key: Key[Array, ""], filters: int, size: int, channels: tuple[int, ...]) -> dictionary.Coder:
    """Noise under a Gaussian window, so that what is learned stands in the middle; an encoder that guesses little."""
    across = np.exp(-np.square(np.arange(size) - (size - 1) / 2) / (2 * (size / 6) ** 2))
    window = (across[:, None] * across[None, :]).reshape(1, size, size, *(1,) * len(channels))
    noise = coding.init(key, filters, (size, size, *channels)).kernels
    decoder = coding.normalized(coding.Params(noise * window.astype(np.float32)))
    return dictionary.Coder(decoder, convolutional_encoder.Encoder(decoder.kernels / 10, jax.numpy.ones(filters)))


def learn(key: Key[Array, ""], crops: Float[Array, "samples rows columns *channels"], plan: Plan) -> Trained:
    """Kernels and encoder, learned together from crops: `params` is a `Coder`; without an encoder, the kernels'."""
    init_key, train_key = jax.random.split(key)
    start = beginning(init_key, plan.filters, plan.size, crops.shape[3:])
    updates = plan.epochs * (len(crops) // plan.batch)
    descent = optax.sgd(optax.cosine_decay_schedule(plan.rate, updates), momentum=0.9)
    code = solve(plan.max_steps)
    if plan.pull is None:
        learner = dictionary.convolutional(code, l1(plan.weight), descent, coding.valid)
        return train(train_key, learner, start.decoder, crops, plan.batch, plan.epochs)
    learner = dictionary.predictive(code, l1(plan.weight), plan.pull, descent, reconstruction=coding.valid)
    return train(train_key, learner, start, crops, plan.batch, plan.epochs)


def tiles(axes: Axes, kernels: Float[np.ndarray, "filters rows columns *channels"], columns: int, title: str) -> None:
    """Kernels in a grid, each in its own contrast: of grey ones grey is zero, of coloured ones the middle of each."""
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
