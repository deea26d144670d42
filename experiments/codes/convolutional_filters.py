"""Convolutional kernels of natural pictures, learned with an encoder that predicts their maps.

A picture is approximated by a sum of convolutions of 9 × 9 kernels with sparse maps: E(y, z) = ½‖y - Σ Kᵢ * Zᵢ‖² +
λ‖z‖₁. An encoder Enc(y) = diag(g) tanh(K′ ⋆ y) is learned together with the kernels. It predicts the code, whose energy
has the further term ½α‖z - Enc(y)‖² (predictive sparse decomposition; Kavukcuoglu et al., 2010).

The **more kernels there are, the more specialized each can be**. A single kernel has to describe everything; several
share the edges and gratings of all directions. A kernel can be placed anywhere. Therefore no two kernels need to be
shifted copies of each other, as the atoms of patches often are.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import numpy as np

from experiments.application import options
from experiments.application.options import Between, Count, Positive
from experiments.application.report import Report
from experiments.codes.learned_kernels import CROP, Plan, crops, learn, tiles
from experiments.data import natural
from experiments.data.natural import Natural
from experiments.drawing import plots


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    pictures: Natural = Natural.SKIMAGE
    """The pictures: skimage, or a set in the folder EBMJAX_DATA."""
    images: Path | None = None
    """A folder of your own pictures, PNG or JPEG, grey or in colour; they take the place of --pictures."""
    filters: tuple[Count, ...] = (1, 4, 8, 16)
    """Numbers of kernels; each number is a learning of its own."""
    size: Annotated[int, Between(3, 21)] = 9
    """Rows and columns of a kernel. Crops have 24."""
    weight: Positive = 1.0
    """λ, the weight of the code's L1 norm. The variance of the whitened pictures is 1."""
    pull: Positive = 1.0
    """α, the weight of the encoder's term in the energy."""
    rate: Positive = 5e-4
    """First learning rate of gradient descent with momentum 0.9. It falls to zero along a cosine."""
    batch: Count = 8
    """Crops of 24 × 24 in an update."""
    updates: Count = 900
    """Updates of each learning."""
    steps: Count = 25
    """Largest number of FISTA's steps for a code."""

    def __post_init__(self):
        options.check(self)
        options.require(len(self.filters) > 0, "filters", self.filters, "at least one number")


QUICK = Config(filters=(1, 4), updates=60, steps=10)


def _read(config: Config) -> list[np.ndarray]:
    if config.images is None:
        return natural.load(config.pictures)
    return natural.own_grey(config.images, CROP)


def run(config: Config, report: Report) -> None:
    """Learn each number of kernels, and draw the decoders and encoders."""
    crop_key, learn_key = jax.random.split(report.key())
    whitened = [natural.whiten(picture) / np.float32(math.sqrt(natural.VARIANCE)) for picture in _read(config)]
    samples = crops(crop_key, whitened, CROP, config.batch * min(config.updates, 500))
    epochs = max(1, round(config.updates * config.batch / len(samples)))
    rows, decoders, encoders = [], [], []
    for filters, key in zip(config.filters, jax.random.split(learn_key, len(config.filters)), strict=True):
        plan = Plan(filters, config.size, config.weight, config.pull, config.rate, config.batch, epochs, config.steps)
        with report.stage(f"learning {filters} kernel{'s' if filters > 1 else ''}"):
            trained = learn(key, report, samples, plan, {"filters": filters})
        metrics = jax.tree.map(np.ravel, trained.metrics.learner)
        last = slice(-max(1, len(metrics.energy) // 10), None)
        rows.append(
            (
                filters,
                metrics.energy[last].mean() / CROP**2,
                metrics.density[last].mean() * filters,
                metrics.encoder[last].mean() / CROP**2,
                metrics.replaced.sum(),
            )
        )
        decoders.append(np.asarray(trained.params.decoder.kernels))
        encoders.append(np.asarray(trained.params.encoder.kernels))
    _kernels(report, config, decoders, encoders)
    report.table(
        "Means over the last tenth of the updates, and kernels that were replaced in all updates",
        (
            "kernels",
            "energy per pixel",
            "nonzero coefficients per pixel",
            "encoder's term per pixel",
            "kernels replaced",
        ),
        rows,
    )
    report.summary(energy=[row[1] for row in rows], coefficients=[row[2] for row in rows])


def _kernels(report: Report, config: Config, decoders: list[np.ndarray], encoders: list[np.ndarray]) -> None:
    figure, axes = plots.panels(2, len(decoders), width=2.6, height=2.8)
    for panels, kernels, name in zip(axes, (decoders, encoders), ("decoder", "encoder"), strict=True):
        for panel, some in zip(panels, kernels, strict=True):
            tiles(panel, some, math.ceil(math.sqrt(len(some))), f"{name}, {len(some)}")
    report.figure(
        "kernels",
        figure,
        "Decoders above, encoders below. Each kernel is scaled by its largest value, and middle grey is zero. A single "
        "kernel is a spot with a surround of the opposite sign, which can describe everything. A few kernels are "
        "edges. Coefficients have signs, so one kernel describes both polarities of an edge. More kernels have more "
        "directions and widths: edges, bars, gratings of a few stripes, and a broad kernel for smooth areas. The "
        "kernels of the encoder are narrower than those of the decoder, because they have to distinguish kernels that "
        "overlap.",
    )
