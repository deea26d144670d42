"""Convolutional kernels of natural pictures, learned with an encoder that foresees their maps.

A picture is the sum of kernels of 9 × 9, each standing at few places: E(y, z) = ½‖y - Σ Kᵢ * Zᵢ‖² + λ‖z‖₁. An encoder
Enc(y) = diag(g) tanh(K′ ⋆ y) learns beside the decoder to foresee the code, whose energy has the term ½α‖z - Enc(y)‖²
as well (predictive sparse decomposition; Kavukcuoglu et al., 2010).

With **more kernels each can afford to be more special**: one has to serve everywhere, several divide the edges and
gratings of all directions among them. As a kernel may stand anywhere, no two need to be copies of each other at
another place, as the atoms of patches are.
"""

import math
from dataclasses import dataclass

import jax
import numpy as np

from experiments.application.report import Report
from experiments.codes.learned_kernels import CROP, Plan, crops, learn, tiles
from experiments.data import natural
from experiments.data.natural import Natural
from experiments.drawing import plots


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    pictures: Natural = Natural.SKIMAGE
    """Set of pictures; all but skimage need the folder EBMJAX_DATA."""
    filters: tuple[int, ...] = (1, 4, 8, 16)
    """Numbers of kernels, each learned by itself."""
    size: int = 9
    """Rows and columns of a kernel."""
    weight: float = 1.0
    """λ, the weight of the code's L1 norm; whitened pictures have unit variance."""
    pull: float = 1.0
    """α, the weight of the encoder's term."""
    rate: float = 5e-4
    """Rate of gradient descent with momentum 0.9, which falls to zero along a cosine."""
    batch: int = 8
    """Crops of 24 × 24 in an update."""
    updates: int = 900
    """Updates of each learning."""
    steps: int = 25
    """FISTA's steps for a code, at most."""

    def __post_init__(self):
        for name, value, least in (
            ("--filters", min(self.filters, default=0), 1),
            ("--size", self.size, 3),
            ("--batch", self.batch, 1),
            ("--updates", self.updates, 1),
            ("--steps", self.steps, 1),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}, expected at least {least}")
        if self.size > 21:
            raise ValueError(f"--size is {self.size}, expected at most 21, as crops have 24 rows")
        for name, value in (("--weight", self.weight), ("--pull", self.pull), ("--rate", self.rate)):
            if not 0 < value < math.inf:
                raise ValueError(f"{name} is {value}, expected a finite number above 0")


QUICK = Config(filters=(1, 4), updates=60, steps=10)


def run(config: Config, report: Report) -> None:
    """Learn each number of kernels, draw decoders beside encoders, and one picture coded."""
    crop_key, learn_key = jax.random.split(report.key())
    whitened = [
        natural.whiten(picture) / np.float32(math.sqrt(natural.VARIANCE)) for picture in natural.load(config.pictures)
    ]
    samples = crops(crop_key, whitened, CROP, config.batch * min(config.updates, 500))
    epochs = max(1, round(config.updates * config.batch / len(samples)))
    rows, decoders, encoders = [], [], []
    for filters, key in zip(config.filters, jax.random.split(learn_key, len(config.filters)), strict=True):
        plan = Plan(filters, config.size, config.weight, config.pull, config.rate, config.batch, epochs, config.steps)
        with report.stage(f"learning {filters} kernel{'s' if filters > 1 else ''}"):
            trained = report.compiled(lambda key, samples, plan=plan: learn(key, samples, plan), key, samples)
        metrics = jax.tree.map(np.ravel, trained.metrics.learner)
        for step in range(0, len(metrics.energy), max(1, len(metrics.energy) // 50)):
            report.metrics(step=step, filters=filters, energy=metrics.energy[step], density=metrics.density[step])
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
        "The last tenth of learning",
        ("kernels", "energy a pixel", "coefficients a pixel", "encoder's term a pixel", "kernels replaced"),
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
        "Decoders above, encoders below, each kernel in its own contrast, grey is zero. One kernel alone is a spot "
        "with a surround of the other sign, which serves everywhere. A few are edges; their codes have signs, so that "
        "each serves both polarities. More of them take further directions and widths: edges, bars, and gratings of a "
        "few stripes; a broad one carries what is smooth. The encoder's kernels are narrower than the decoder's that "
        "they belong to: they tell apart what the decoder's overlapping kernels share.",
    )
