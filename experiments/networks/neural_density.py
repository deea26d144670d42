"""A network as an energy: densities of the plane, learned by losses that never see Z

    E(y) = network(y) + w‖y‖²,    p(y) = exp(-βE(y))/Z

The same network learns the same samples in five ways. **Contrastive divergence** and **persistent chains** push the
energy down at the data and up where Langevin chains of the model go; **denoising** and **sliced score matching** fit
the slope of the log density, with no sampler at all; **noise-contrastive estimation** learns to tell the data from
noise of a known density. The plane is small enough to sum over, so that Z, and with it the divergence KL(p‖model) from
the density that the samples come from, is known to all digits that matter.

What a loss cannot see it does not learn. Score matching sees slopes where there are data: what share of them each of
several separate islands has is a matter of the slopes on the way between, where there are none. More noise puts data
there, but what is learned then is the blurred density. Chains that start from the data are cheap and quick to learn
from, and would not find a valley far from all data; chains that persist would, but they have to keep up with an energy
that moves, for which they want an optimizer without momentum. Chains that start anew from noise (`--restart 0.02`)
would find it sooner, but they come to the islands by their basins and not by their shares, and as long as they have not
mixed, the energy learns to be wrong in the other direction.
"""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from matplotlib.colors import PowerNorm

from ebmjax.loops import map_chunks
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
ISLANDS = 8  # Gaussians, evenly spaced on a circle
SHOWN_NATS = 8.0  # how far above its least value a reduced energy is told apart in colour


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    densities: tuple[Densities, ...] = (
        Densities.TWO_MOONS,
        Densities.RINGS,
        Densities.CHECKERBOARD,
        Densities.UNEQUAL_GAUSSIANS,
    )
    """What is learned."""
    losses: tuple[Losses, ...] = tuple(Losses)
    """How it is learned."""
    samples: int = 50_000
    """Samples of each density."""
    updates: int = 4000
    """Updates of each training, a batch of 500 each."""
    units: int = 128
    """Units of each of the two hidden layers."""
    beta: float = 1.0
    """Inverse temperature at which the energies are learned: it sets their unit, and changes no density."""
    restart: float = 0.0
    """Share of the persistent chains that start anew from noise at an update."""
    cells: int = 240
    """Cells along an edge of the grid on which Z and the divergences are summed, of 12 × 12 units of length."""

    def __post_init__(self):
        if not (self.densities and len(set(self.densities)) == len(self.densities)):
            raise ValueError(f"--densities is {[one.value for one in self.densities]}, expected each at most once")
        if not (self.losses and len(set(self.losses)) == len(self.losses)):
            raise ValueError(f"--losses is {[one.value for one in self.losses]}, expected each at most once")
        if not 0 < self.beta < math.inf:
            raise ValueError(f"--beta is {self.beta}, expected a finite number above 0")
        if not 0 <= self.restart <= 1:
            raise ValueError(f"--restart is {self.restart}, expected a share from 0 to 1")
        for name, value, least in (
            ("--samples", self.samples, Training.batch_size),
            ("--updates", self.updates, 1),
            ("--units", self.units, 1),
            ("--cells", self.cells, 24),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}, expected at least {least}")


QUICK = Config(
    densities=(Densities.TWO_MOONS, Densities.UNEQUAL_GAUSSIANS),
    losses=(Losses.PERSISTENT_CHAINS, Losses.DENOISING, Losses.NOISE_CONTRASTIVE),
    samples=5000,
    updates=300,
    units=64,
    cells=120,
)


def run(config: Config, report: Report) -> None:
    """Learn every density by every loss, measure, draw."""
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
        # one density after the other, compiled once
        each = lambda pair, loss=loss: learn(loss, training, *pair)
        with report.stage(f"learning {len(config.densities)} densities by {loss.value.replace('_', ' ')}"):
            learned = report.compiled(lambda keys, data, each=each: jax.lax.map(each, (keys, data)), keys, data)
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
    """Samples of every density, and its logarithm on the grid."""
    truths = [density(which) for which in config.densities]
    keys = jax.random.split(key, len(truths))
    samples = [truth.sample(key, config.samples) for truth, key in zip(truths, keys, strict=True)]
    return jnp.stack(samples), jnp.stack([map_chunks(truth.log_density, where.points, 2000) for truth in truths])


def _measure(
    training: Training, where: Grid, params: Array, true: Float[Array, "densities cells"]
) -> tuple[Float[Array, "densities cells"], Float[Array, " densities"]]:
    """Every model's log density on the grid, and its divergence from the true one."""
    energy = model_energy(training.confinement)

    def one(pair):
        log_model = log_densities(partial(energy, pair[0]), training.beta, where)
        return log_model, divergence(pair[1], log_model, where)

    return jax.lax.map(one, (params, true))


def _record(config: Config, report: Report, loss: Losses, learned: Learned, nats: np.ndarray) -> None:
    """Metrics of one loss: twenty values of it along every training, the divergence at its end."""
    values = np.asarray(learned.loss)
    diverged = np.broadcast_to(np.asarray(learned.diverged), len(values))
    for row, which in enumerate(config.densities):
        for step in range(0, values.shape[1], max(1, values.shape[1] // 20)):
            report.metrics(step=step, density=which.value, learned_by=loss.value, loss=values[row, step])
        report.metrics(
            step=values.shape[1],
            density=which.value,
            learned_by=loss.value,
            kl=nats[row],
            diverged_chains=int(diverged[row]),
        )


def _tables(config: Config, report: Report, where: Grid, true: Array, models: list, divergences: list) -> None:
    rows = [
        (loss.value.replace("_", " "), *(float(value) for value in nats))
        for loss, nats in zip(config.losses, divergences, strict=True)
    ]
    report.table("KL(p‖model) in nats", ("loss", *(NAMES[which] for which in config.densities)), rows)
    if Densities.UNEQUAL_GAUSSIANS not in config.densities:
        return
    islands = config.densities.index(Densities.UNEQUAL_GAUSSIANS)
    angle = np.arctan2(where.points[:, 1], where.points[:, 0])
    nearest = np.round(angle / (2 * np.pi / ISLANDS)).astype(int) % ISLANDS

    def shares(log_density):
        mass = np.exp(np.asarray(log_density, np.float64)) * where.area
        return np.bincount(nearest, mass, ISLANDS).tolist()

    rows = [("truth", *shares(true[islands]))]
    for loss, log_model in zip(config.losses, models, strict=True):
        rows.append((loss.value.replace("_", " "), *shares(log_model[islands])))
    report.table("Share of each Gaussian", ("loss", *(str(1 + place) for place in range(ISLANDS))), rows)
    report.text(
        "Where the islands lie, and their shape, every loss learns; how much of the probability is on each is where "
        "they part. Losses that compare probabilities across space, as noise-contrastive estimation does, get it "
        "right. A score is the same on an island whatever its share."
    )


def _pictures(
    config: Config,
    report: Report,
    where: Grid,
    true: Float[np.ndarray, "densities cells"],
    models: list[np.ndarray],
    divergences: list[np.ndarray],
) -> None:
    """Densities, and reduced energies, beside the truth."""
    edge = math.isqrt(len(where.points))
    points = np.asarray(where.points).reshape(edge, edge, 2)
    axis = points[:, 0, 0]
    kept = np.abs(axis) <= BOX
    square = lambda values: values.reshape(edge, edge)[np.ix_(kept, kept)].T
    for name, of, caption in (
        (
            "densities",
            "density",
            "The true densities and what each loss has learned of them, with KL(p‖model) in nats. One scale of colour "
            "a row.",
        ),
        (
            "energies",
            "energy",
            f"The reduced energies βE of the same, from the least of each (dark) to {SHOWN_NATS:g} nats above it "
            "(white): where there are no data, each loss leaves the energy in its own way.",
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
