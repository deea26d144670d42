"""A network as an energy: densities of the plane, learned by losses that do not need Z

    E(y) = network(y) + w‖y‖²,    p(y) = exp(-βE(y))/Z

The same network learns from the same samples in five ways. **Contrastive divergence** and **persistent chains** lower
the energy at the data and raise it where Langevin chains of the model go. **Denoising** and **sliced score matching**
fit the gradient of the log density (the score), without a sampler. **Noise-contrastive estimation** learns to classify
data against noise of a known density. In the plane Z can be summed over a grid. Hence the divergence KL(p‖model) from
the true density is known to high precision.

Each loss has a weakness:

**Score matching** compares gradients where there are data. The relative weight of separate clusters depends on the
gradients between them, where there are no data, and so it is not learned. More noise puts data there, but then the
blurred density is learned.

**Contrastive divergence** starts its chains from the data. This is cheap and learns fast, but an energy valley far from
all data is not found. **Persistent chains** find it. They have to follow an energy that changes, which works best with
an optimizer without momentum. Chains that restart from noise (`--restart 0.02`) find such a valley sooner. But their
shares of the clusters are those of the basins of attraction, not those of the law, and until the chains have mixed the
energy is wrong in the other direction.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from matplotlib.colors import PowerNorm

from ebmjax.loops import map_chunks
from experiments.application import options
from experiments.application.options import AtLeast, Count, Positive, Share
from experiments.application.report import Report
from experiments.data.densities import Densities, density
from experiments.drawing import plots
from experiments.networks.learned_densities import (
    BOX,
    Grid,
    Learned,
    Losses,
    Training,
    divergence,
    grid,
    learn,
    log_densities,
    model_energy,
)

TITLES = {
    Losses.CONTRASTIVE_DIVERGENCE: "Contrastive\ndivergence",
    Losses.PERSISTENT_CHAINS: "Persistent\nchains",
    Losses.DENOISING: "Denoising\nscore matching",
    Losses.SLICED: "Sliced\nscore matching",
    Losses.NOISE_CONTRASTIVE: "Noise-contrastive\nestimation",
}
NAMES = {which: which.value.replace("_", " ") for which in Densities}
GAUSSIANS = 8  # of the density `unequal_gaussians`, evenly spaced on a circle
SHOWN_NATS = 8.0  # the range of the colour scale of reduced energies


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    densities: tuple[Densities, ...] = (
        Densities.TWO_MOONS,
        Densities.RINGS,
        Densities.CHECKERBOARD,
        Densities.UNEQUAL_GAUSSIANS,
    )
    """The densities to learn."""
    losses: tuple[Losses, ...] = tuple(Losses)
    """The losses to learn them by."""
    samples: Annotated[int, AtLeast(Training.batch_size)] = 50_000
    """Samples of each density."""
    updates: Count = 4000
    """Updates of each training, with 500 samples each."""
    units: Count = 128
    """Units in each of the two hidden layers."""
    beta: Positive = 1.0
    """Inverse temperature at which the energies are learned. It sets the unit of the energies, not the densities."""
    restart: Share = 0.0
    """Share of the persistent chains that restart from noise at each update."""
    cells: Annotated[int, AtLeast(24)] = 240
    """Cells along each side of the grid on which Z and the divergences are summed. Its sides have length 12."""

    def __post_init__(self):
        options.check(self)
        for name, chosen in (("densities", self.densities), ("losses", self.losses)):
            once = 0 < len(set(chosen)) == len(chosen)
            options.require(once, name, [one.value for one in chosen], "at least one, and none twice")


QUICK = Config(
    densities=(Densities.TWO_MOONS, Densities.UNEQUAL_GAUSSIANS),
    losses=(Losses.PERSISTENT_CHAINS, Losses.DENOISING, Losses.NOISE_CONTRASTIVE),
    samples=5000,
    updates=300,
    units=64,
    cells=120,
)


def run(config: Config, report: Report) -> None:
    """Learn every density by every loss, measure the divergences, and draw the densities."""
    data_key, learn_key = jax.random.split(report.key())
    training = Training(
        sizes=(2, config.units, config.units),
        beta=config.beta,
        confinement=Training.confinement / config.beta,
        updates=config.updates,
        restart=config.restart,
    )
    where = grid(cells=config.cells)
    with report.stage("drawing the samples"):
        data, true = report.compiled(partial(_draw, config, where), data_key)
    keys = jax.random.split(learn_key, len(config.densities))
    models, divergences = [], []
    for loss in config.losses:
        title = f"learning {len(config.densities)} densities by {loss.value.replace('_', ' ')}"
        write = partial(_write, config, report, loss)
        learned = learn(report, title, loss, training, keys, data, write)
        log_model, nats = report.compiled(partial(_measure, training, where), learned.params, true)
        models.append(np.asarray(log_model))
        divergences.append(np.asarray(nats))
        _record(config, report, loss, learned, divergences[-1])
    report.summary(
        **{
            f"kl_{which.value}_{loss.value}": float(nats[column])
            for column, which in enumerate(config.densities)
            for loss, nats in zip(config.losses, divergences, strict=True)
        }
    )
    _tables(config, report, where, true, models, divergences)
    _pictures(config, report, where, np.asarray(true), models, divergences)


def _draw(
    config: Config, where: Grid, key: Key[Array, ""]
) -> tuple[Float[Array, "densities samples 2"], Float[Array, "densities cells"]]:
    """Samples of every density, and the log density on the grid."""
    truths = [density(which) for which in config.densities]
    keys = jax.random.split(key, len(truths))
    samples = [truth.sample(key, config.samples) for truth, key in zip(truths, keys, strict=True)]
    return jnp.stack(samples), jnp.stack([map_chunks(truth.log_density, where.points, 2000) for truth in truths])


def _measure(
    training: Training, where: Grid, params: Array, true: Float[Array, "densities cells"]
) -> tuple[Float[Array, "densities cells"], Float[Array, " densities"]]:
    """The log density of every model on the grid, and its divergence from the true density."""
    energy = model_energy(training.confinement)

    def one(pair):
        log_model = log_densities(partial(energy, pair[0]), training.beta, where)
        return log_model, divergence(pair[1], log_model, where)

    return jax.lax.map(one, (params, true))


def _write(config: Config, report: Report, loss: Losses, update: int, losses: np.ndarray) -> None:
    """Record about twenty losses during each training."""
    if update % max(1, config.updates // 20) == 0:
        for which, value in zip(config.densities, losses, strict=True):
            report.metrics(step=update, density=which.value, learned_by=loss.value, loss=value)


def _record(config: Config, report: Report, loss: Losses, learned: Learned, nats: np.ndarray) -> None:
    """Record the divergences at the end of one loss."""
    for row, which in enumerate(config.densities):
        report.metrics(
            step=learned.loss.shape[1],
            density=which.value,
            learned_by=loss.value,
            kl=nats[row],
            diverged_chains=int(learned.diverged[row]),
        )


def _tables(config: Config, report: Report, where: Grid, true: Array, models: list, divergences: list) -> None:
    rows = [
        (loss.value.replace("_", " "), *(float(value) for value in nats))
        for loss, nats in zip(config.losses, divergences, strict=True)
    ]
    report.table("KL(p‖model) in nats", ("loss", *(NAMES[which] for which in config.densities)), rows)
    if Densities.UNEQUAL_GAUSSIANS not in config.densities:
        return
    row = config.densities.index(Densities.UNEQUAL_GAUSSIANS)
    angle = np.arctan2(where.points[:, 1], where.points[:, 0])
    nearest = np.round(angle / (2 * np.pi / GAUSSIANS)).astype(int) % GAUSSIANS

    def shares(log_density):
        mass = np.exp(np.asarray(log_density, np.float64)) * where.area
        return np.bincount(nearest, mass, GAUSSIANS).tolist()

    rows = [("truth", *shares(true[row]))]
    for loss, log_model in zip(config.losses, models, strict=True):
        rows.append((loss.value.replace("_", " "), *shares(log_model[row])))
    report.table("Probability of each Gaussian", ("loss", *(str(1 + place) for place in range(GAUSSIANS))), rows)
    report.text(
        "Every loss learns the places and the shapes of the Gaussians. The losses differ in the probability of each. "
        "Noise-contrastive estimation compares probabilities of distant points, and so it learns them. The score "
        "within a Gaussian is the same whatever its probability, so score matching does not."
    )


def _pictures(
    config: Config,
    report: Report,
    where: Grid,
    true: Float[np.ndarray, "densities cells"],
    models: list[np.ndarray],
    divergences: list[np.ndarray],
) -> None:
    """Draw the learned densities and the reduced energies beside the true ones."""
    edge = math.isqrt(len(where.points))
    points = np.asarray(where.points).reshape(edge, edge, 2)
    axis = points[:, 0, 0]
    kept = np.abs(axis) <= BOX
    square = lambda values: values.reshape(edge, edge)[np.ix_(kept, kept)].T
    for name, of, caption in (
        (
            "densities",
            "density",
            "The true densities and the learned ones, with KL(p‖model) in nats. The panels of a row share one colour "
            "scale.",
        ),
        (
            "energies",
            "energy",
            f"The reduced energies βE of the same models, from the least value of each (dark) to {SHOWN_NATS:g} nats "
            "above it (white). Where there are no data, the energy depends on the loss.",
        ),
    ):
        figure, axes = plots.panels(
            len(config.densities), 1 + len(config.losses), width=2.15, height=2.3, share_x=True, share_y=True
        )
        for row, which in enumerate(config.densities):
            columns = [true[row], *(log_model[row] for log_model in models)]
            top = float(np.exp(true[row]).max())
            for column, log_density in enumerate(columns):
                panel = axes[row, column]
                if of == "density":
                    panel.pcolormesh(
                        axis[kept],
                        axis[kept],
                        square(np.exp(log_density)),
                        cmap="magma",
                        norm=PowerNorm(0.6, 0.0, top),
                        rasterized=True,
                    )
                else:
                    above = np.minimum(log_density.max() - log_density, SHOWN_NATS)
                    panel.pcolormesh(
                        axis[kept],
                        axis[kept],
                        square(above),
                        cmap="Blues_r",
                        vmin=0,
                        vmax=SHOWN_NATS,
                        rasterized=True,
                    )
                panel.set_aspect("equal")
                panel.grid(False)
                panel.set_xticks((-4, 0, 4))
                panel.set_yticks((-4, 0, 4))
                heading = "Truth\n" if column == 0 else TITLES[config.losses[column - 1]]
                under = "" if column == 0 else f"{divergences[column - 1][row]:.3f} nats"
                panel.set_title("\n".join([heading, under] if row == 0 else [under]), fontsize=9.5)
            axes[row, 0].set_ylabel(f"{NAMES[which]}\ny₂")
        for panel in axes[-1]:
            panel.set_xlabel("y₁")
        report.figure(name, figure, caption)
