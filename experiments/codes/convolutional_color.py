"""Colour kernels of natural pictures, and the sparse maps of where they are placed.

A colour picture is approximated by a sum of convolutions of 9 × 9 × 3 kernels with sparse maps. Each kernel has **one
map for all three channels**: E(y, z) = ½‖y - Σ Kᵢ * Zᵢ‖² + λ‖z‖₁. Most changes within a picture are equal in the three
channels. Therefore most of the learned kernels are grey edges, and a few are enough for the colours.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies.regularizers import l1
from ebmjax.minimize.codes.convolutional import convolutional_admm
from experiments.application import options
from experiments.application.options import Between, Count, Positive
from experiments.application.report import Report
from experiments.codes.learned_kernels import CROP, Plan, contrast_normalized, crops, learn, tiles
from experiments.data import natural
from experiments.data.natural import Natural
from experiments.drawing import plots

SHOWN = 128
"""Rows and columns of the picture whose maps are drawn."""
MAPS = 9
"""Number of maps that are drawn, those with the largest sums."""


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    pictures: Natural = Natural.SKIMAGE
    """The colour pictures: skimage, or a set in the folder EBMJAX_DATA."""
    images: Path | None = None
    """A folder of your own pictures, PNG or JPEG, in colour; they take the place of --pictures."""
    filters: Count = 25
    """Number of kernels."""
    size: Annotated[int, Between(3, 21)] = 9
    """Rows and columns of a kernel. Crops have 24."""
    weight: Positive = 1.0
    """λ, the weight of the code's L1 norm. The variance of the contrast-normalized pictures is about 1."""
    rate: Positive = 5e-4
    """First learning rate of gradient descent with momentum 0.9. It falls to zero along a cosine."""
    batch: Count = 8
    """Crops of 24 × 24 in an update."""
    updates: Count = 600
    """Updates of the kernels."""
    steps: Count = 25
    """Largest number of FISTA's steps for a code."""
    code_steps: Count = 200
    """Largest number of ADMM's steps for the picture whose maps are drawn."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(filters=9, updates=40, steps=10, code_steps=30)


def _read(config: Config) -> list[np.ndarray]:
    if config.images is None:
        return natural.load_color(config.pictures)
    return natural.own_color(config.images, SHOWN)


def run(config: Config, report: Report) -> None:
    """Learn the kernels and draw them, code one picture and draw its maps."""
    crop_key, learn_key = jax.random.split(report.key())
    pictures = [contrast_normalized(picture) for picture in _read(config)]
    samples = crops(crop_key, pictures, CROP, config.batch * min(config.updates, 500))
    epochs = max(1, round(config.updates * config.batch / len(samples)))
    plan = Plan(config.filters, config.size, config.weight, None, config.rate, config.batch, epochs, config.steps)
    with report.stage(f"learning {config.filters} coloured kernels"):
        trained = learn(learn_key, report, samples, plan, {})
    metrics = jax.tree.map(np.ravel, trained.metrics.learner)
    kernels = np.asarray(trained.params.kernels)
    coloured = colourfulness(kernels)
    order = np.argsort(-coloured)
    figure, axes = plots.one(width=5.6, height=5.8)
    tiles(
        axes,
        kernels[order],
        math.ceil(math.sqrt(len(kernels))),
        f"{len(kernels)} kernels of {config.size} × {config.size}",
    )
    report.figure(
        "kernels",
        figure,
        f"The kernels, the most colourful first; each is scaled by its largest value, and middle grey is zero. In "
        f"{np.sum(coloured > 0.5)} of them more than half of the power is in differences between the channels, in "
        f"{np.sum(coloured < 0.1)} less than a tenth. With the default pictures the colourful kernels have pairs of "
        "opposite colours: blue and yellow, red and green.",
    )
    shown = pictures[0][64 : 64 + SHOWN, 160 : 160 + SHOWN]
    _maps(report, config, coding.Params(trained.params.kernels), shown)
    last = slice(-max(1, len(metrics.energy) // 10), None)
    report.summary(
        energy_a_pixel=metrics.energy[last].mean() / CROP**2,
        coefficients_a_pixel=metrics.density[last].mean() * config.filters,
        colourfulness=np.sort(coloured)[::-1],
        replaced=int(metrics.replaced.sum()),
    )


def colourfulness(kernels: np.ndarray) -> np.ndarray:
    """The share of each kernel's power in differences between channels: 0 for grey, 1 where the channels sum to zero.

    >>> colourfulness(np.array([[[[1.0, 1.0, 1.0]]], [[[1.0, -1.0, 0.0]]]])).tolist()
    [0.0, 1.0]
    """
    common = kernels.shape[3] * np.square(kernels.mean(axis=3)).sum(axis=(1, 2))
    return 1 - common / np.square(kernels).sum(axis=(1, 2, 3))


def _maps(report: Report, config: Config, params: coding.Params, picture: np.ndarray) -> None:
    """Draw one picture, its reconstruction, and the maps with the largest sums."""
    solve = lambda y: convolutional_admm(params, l1(config.weight), y, max_steps=config.code_steps, tolerance=1e-2)
    with report.stage("coding a picture"):
        solution = report.compiled(solve, jnp.asarray(picture))
    maps, again = np.asarray(solution.value), np.asarray(coding.periodic(params, solution.value))
    busiest = np.argsort(-np.abs(maps).sum(axis=(1, 2)))[:MAPS]
    kernels = np.asarray(params.kernels)
    figure, axes = plots.panels(3, 1 + -(-len(busiest) // 3), width=2.3, height=2.4)
    for panel in axes.ravel():
        panel.set_axis_off()
    unit = lambda values: np.clip(0.5 + values / 6, 0, 1)
    for panel, values, title in zip(
        axes[:, 0],
        (picture, again, picture - again),
        ("picture, normalized", "reconstruction", "difference"),
        strict=True,
    ):
        panel.imshow(unit(values))
        panel.set_title(title)
    scale = np.quantile(np.abs(maps[busiest]), 0.995)
    for index, which in enumerate(busiest):
        panel = axes[index % 3, 1 + index // 3]
        panel.imshow(-maps[which], cmap="RdGy", vmin=-scale, vmax=scale, interpolation="nearest")
        kernel = kernels[which]
        inset = panel.inset_axes((0.0, 0.0, 0.24, 0.24))
        inset.imshow(0.5 + 0.5 * kernel / np.abs(kernel).max(), interpolation="nearest")
        inset.set_axis_off()
        panel.set_title(f"{np.mean(maps[which] != 0):.1%} nonzero")
    density = np.mean(maps != 0) * len(maps)
    report.figure(
        "maps",
        figure,
        "Left: a contrast-normalized picture, its reconstruction from the code, and the difference. Right: the maps "
        "with the largest sums, each with its kernel in the corner. Black is a positive coefficient, red a negative "
        f"one, white is zero. There are {density:.2f} nonzero coefficients per pixel, and a pixel has three values. "
        "The code has a periodic boundary. "
        f"It was found by ADMM in {int(solution.steps)} steps; its energy is at most "
        f"{float(solution.gap / solution.energy):.1%} too high.",
    )
