"""Coloured kernels of natural pictures, and the sparse maps that tell where they stand.

A coloured picture is the sum of coloured kernels of 9 × 9 × 3, each with **one sparse map shared by the three
channels**: E(y, z) = ½‖y - Σ Kᵢ * Zᵢ‖² + λ‖z‖₁. Nothing tells the kernels what colour is, but much of what changes in a
picture changes in all three channels together: so a few kernels suffice for colours, and the others are edges in shades
of grey.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies.regularizers import l1
from ebmjax.minimize.codes.convolutional import convolutional_admm
from experiments.application.report import Report
from experiments.codes.learned_kernels import CROP, Plan, contrast_normalized, crops, learn, tiles
from experiments.data import natural
from experiments.data.natural import Natural
from experiments.drawing import plots

SHOWN = 128
"""Rows and columns of the picture whose maps are drawn."""
MAPS = 9
"""Maps that are drawn, those in most use."""


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    pictures: Natural = Natural.SKIMAGE
    """Set of pictures, in colour; all but skimage need the folder EBMJAX_DATA."""
    filters: int = 25
    """How many kernels."""
    size: int = 9
    """Rows and columns of a kernel."""
    weight: float = 1.0
    """λ, the weight of the code's L1 norm; pictures of even contrast have about unit variance."""
    rate: float = 5e-4
    """Rate of gradient descent with momentum 0.9, which falls to zero along a cosine."""
    batch: int = 8
    """Crops of 24 × 24 in an update."""
    updates: int = 600
    """Updates of the kernels."""
    steps: int = 25
    """FISTA's steps for a code, at most."""
    code_steps: int = 200
    """ADMM's steps for the picture whose maps are drawn, at most."""

    def __post_init__(self):
        for name, value, least in (
            ("--filters", self.filters, 1),
            ("--size", self.size, 3),
            ("--batch", self.batch, 1),
            ("--updates", self.updates, 1),
            ("--steps", self.steps, 1),
            ("--code-steps", self.code_steps, 1),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}, expected at least {least}")
        if self.size > 21:
            raise ValueError(f"--size is {self.size}, expected at most 21, as crops have 24 rows")
        for name, value in (("--weight", self.weight), ("--rate", self.rate)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is {value}, expected a finite number above 0")


QUICK = Config(filters=9, updates=40, steps=10, code_steps=30)


def run(config: Config, report: Report) -> None:
    """Learn, draw the kernels, code one picture and draw its maps."""
    crop_key, learn_key = jax.random.split(report.key())
    pictures = [contrast_normalized(picture) for picture in natural.load_color(config.pictures)]
    samples = crops(crop_key, pictures, CROP, config.batch * min(config.updates, 500))
    epochs = max(1, round(config.updates * config.batch / len(samples)))
    plan = Plan(config.filters, config.size, config.weight, None, config.rate, config.batch, epochs, config.steps)
    with report.stage(f"learning {config.filters} coloured kernels"):
        trained = report.compiled(lambda key, samples: learn(key, samples, plan), learn_key, samples)
    metrics = jax.tree.map(np.ravel, trained.metrics.learner)
    for step in range(0, len(metrics.energy), max(1, len(metrics.energy) // 50)):
        report.metrics(step=step, energy=metrics.energy[step], density=metrics.density[step])
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
        f"The kernels, each in its own contrast about grey, the most colourful first. {np.sum(coloured > 0.5)} have "
        f"more than half of their square in differences between the channels, {np.sum(coloured < 0.1)} less than a "
        "tenth. With the default pictures the colourful ones set opposite colours side by side: blue and yellow, "
        "red and green.",
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
    """The part of each kernel's square that is not common to the channels: 0 for grey, 1 where they add up to nothing.

    >>> colourfulness(np.array([[[[1.0, 1.0, 1.0]]], [[[1.0, -1.0, 0.0]]]])).tolist()
    [0.0, 1.0]
    """
    common = kernels.shape[3] * np.square(kernels.mean(axis=3)).sum(axis=(1, 2))
    return 1 - common / np.square(kernels).sum(axis=(1, 2, 3))


def _maps(report: Report, config: Config, params: coding.Params, picture: np.ndarray) -> None:
    """One picture, its reconstruction, and the maps in most use."""
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
        ("picture, even contrast", "reconstruction", "what is left"),
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
        panel.set_title(f"{np.mean(maps[which] != 0):.1%} not zero")
    density = np.mean(maps != 0) * len(maps)
    report.figure(
        "maps",
        figure,
        f"Left: a picture, each pixel less its surroundings' mean over their deviation; what the code gives back; and "
        f"the difference. Right: the maps of the kernels in most use, each kernel in its map's corner; black where it "
        f"stands as it is, red where it is turned into its negative, white where nothing stands. There are "
        f"{density:.2f} coefficients a pixel, for three numbers a pixel. This code takes the picture to close on "
        f"itself (ADMM, {int(solution.steps)} steps, certified to {float(solution.gap / solution.energy):.1%}).",
    )
