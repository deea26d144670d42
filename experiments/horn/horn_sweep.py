"""Horns at 16 temperatures, 16 seeds each, trained in one compiled call

Training lowers the mean free energy of the samples, with the latent angle z marginalized at the inverse temperature β:

    F_β(x, y) = -1/β log 1/2π ∫ exp(-β E(x, y, z)) dz

At β = ∞ this is the squared distance from the manifold, and the horn is found down to the noise. At a finite β every
angle within reach of the temperature pulls a little, and the manifold shrinks towards the mean of the data. Where the
radius ρ of the data is below 1/√β it collapses to nothing: a phase transition that travels along the horn.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax import circle, problems
from ebmjax.energies import ellipse
from ebmjax.loops import map_chunks
from ebmjax.marginalize.free_energy import marginal
from ebmjax.types import CONVERGED
from experiments.application.report import Report
from experiments.drawing import beta_axis, plots
from experiments.horn.trained_horns import (
    ANGLES,
    X,
    free_energies,
    is_dead,
    manifold,
    noise_floor,
    radii,
    radii_rmse,
    train_horn,
    warm,
)

COLDEST_FINITE = 1000.0


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    betas: int = 16
    """Inverse temperatures: log-spaced from 0.1 to 1000, and ∞."""
    seeds: int = 16
    """Seeds at each temperature: each draws its initialization and its batches."""
    samples: int = 400
    """Training samples, the same for all."""
    held_out: int = 1000
    """Fresh samples on which all are measured."""
    batch_size: int = 32
    """Samples an update."""
    epochs: int = 500
    """Passes over the data."""
    rate: float = 1e-2
    """Adam's first learning rate; it decays to zero along a cosine."""

    def __post_init__(self):
        if self.betas < 3:
            raise ValueError(f"betas is {self.betas}, expected at least 3")
        if self.seeds < 1:
            raise ValueError(f"seeds is {self.seeds}, expected at least 1")


QUICK = Config(betas=6, seeds=3, held_out=300, epochs=80)


def run(config: Config, report: Report) -> None:
    """Train betas × seeds horns at once, measure all of them, draw what each temperature learned."""
    data_key, held_out_key, seeds_key = jax.random.split(report.key(), 3)
    data = problems.horn_data(data_key, config.samples)
    held_out = problems.horn_data(held_out_key, config.held_out)
    betas = jnp.append(jnp.geomspace(0.1, COLDEST_FINITE, config.betas - 1), jnp.inf)
    keys = jax.random.split(seeds_key, config.seeds)

    def one(beta, key):
        free = lambda params, sample: warm(params, sample, beta)
        trained = train_horn(key, free, data, config.batch_size, config.epochs, config.rate)
        return trained.params, trained.metrics.finite.all()

    with report.stage(f"training {config.betas} × {config.seeds} horns in one compiled call"):
        sweep = jax.vmap(jax.vmap(one, (None, 0)), (0, None))
        params, finite = report.compiled(sweep, betas, keys)
    compilations = report.compilations

    def measure(params):
        free = free_energies(params, held_out).mean()
        return free, radii_rmse(params), is_dead(params, free), radii(params)

    flat = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), params)
    with report.stage("measuring"):
        measured = report.compiled(lambda params: map_chunks(measure, params, 8), flat)
        free, rmse, dead, learned = (
            np.asarray(leaf).reshape(config.betas, config.seeds, *leaf.shape[1:]) for leaf in measured
        )
        floor = float(jax.jit(noise_floor)(held_out))
        seen = np.asarray(jax.jit(jax.vmap(_resolved))(betas))

    for row, beta in enumerate(np.asarray(betas)):
        report.metrics(
            beta=beta,
            held_out_free_energy=free[row],
            radii_rmse=rmse[row],
            dead=dead[row],
            collapsed_part=float((learned[row] < 0.25 * problems.horn_radii(X)).mean()),
            resolved_by_the_grid=seen[row],
        )
    medians = np.median(free, axis=1)
    best = int(np.argmin(medians))
    report.summary(
        held_out_free_energy=float(medians[-1]),
        held_out_free_energy_worst=float(free[-1].max()),
        noise_floor=floor,
        radii_rmse=float(np.median(rmse[-1])),
        radii=np.median(learned[-1], axis=0)[[0, -1]],
        dead_seeds=int(dead[-1].sum()),
        non_finite_members=int((~np.asarray(finite)).sum()),
        best_beta=float(betas[best]),
        betas_that_learn=[float(beta) for beta, one in zip(betas, dead, strict=True) if not one.any()],
        betas_that_fail=[float(beta) for beta, one in zip(betas, dead, strict=True) if one.all()],
        models=config.betas * config.seeds,
        training_compilations=compilations,
    )
    _write(report, free, floor, betas, seen)
    _draw_free_energies(report, betas, free, floor, seen)
    _draw_radii(report, betas, learned)
    _draw_horns(report, betas, params, free, data)


def _resolved(beta):
    """Whether 48 angles alone resolve the marginal at the horn's mouth: what the library's `marginal` says of it."""
    params = ellipse.Params(problems.horn_radii(jnp.array(1.0)))
    y = ellipse.decode(params, jnp.array(0.8)) + problems.NOISE
    return marginal(lambda z: ellipse.energy(params, y, z), ANGLES, beta, tolerance=1e-2).result == CONVERGED


def _write(report, free, floor, betas, seen):
    unresolved = [beta for beta, good in zip(np.asarray(betas), seen, strict=True) if not good]
    report.text(
        f"All {free.size} horns were trained by one call of one compiled program. At zero temperature the median "
        f"held-out free energy is **{np.median(free[-1]):.4f}**; the true horn has {floor:.4f} on the same samples."
    )
    if unresolved:
        report.text(
            f"From β = {unresolved[0]:.2g} on, the {len(circle(48).points)} angles of the grid are further apart than "
            "the peak of exp(-βE) at the mouth is wide. There training adds the minimum itself to the grid, with the "
            "mass that the grid misses; the marginal is then good to a part of 1/β. Hollow points in the figure."
        )


def _draw_free_energies(report, betas, free, floor, seen):
    figure, axes = plots.one(7.2, 4.4)
    positions, colors = beta_axis.positions(betas), beta_axis.colors(betas)
    jitter = np.linspace(-0.12, 0.12, free.shape[1]) if free.shape[1] > 1 else np.zeros(1)
    width = np.min(np.diff(positions))
    for position, values, color, good in zip(positions, free, colors, seen, strict=True):
        face = color if good else "white"
        axes.scatter(
            position + width * jitter, values, s=16, facecolor=[face], edgecolor=[color], linewidth=0.9, zorder=3
        )
    axes.plot(positions, np.median(free, axis=1), color=plots.PALETTE["black"], linewidth=1.2, label="median seed")
    axes.axhline(floor, color=plots.PALETTE["vermillion"], linestyle="--", label="true horn, the noise floor")
    axes.scatter([], [], s=16, color=plots.PALETTE["blue"], label="one seed")
    axes.scatter([], [], s=16, facecolor="white", edgecolor=plots.PALETTE["blue"], label="48 angles alone too coarse")
    axes.set_yscale("log")
    beta_axis.draw(axes, betas)
    plots.label(axes, "inverse temperature β of training", "held-out mean F∞ (squared units of y)")
    axes.legend()
    report.figure(
        "free_energies",
        figure,
        "How well the manifold is found, by the temperature that it was trained at: mean squared distance of held-out "
        "samples from it. Hot training shrinks the horn, cold training reaches the noise.",
    )


def _draw_radii(report, betas, learned):
    figure, panels = plots.panels(1, 2, width=4.6, height=4.0)
    shown = np.unique([0, 1, 2, 3, len(betas) // 2, len(betas) - 1])  # what changes, changes at the hot end
    colors = beta_axis.colors(betas)
    truth = np.asarray(problems.horn_radii(X))
    for axis, name in enumerate(("f₁", "f₂")):
        panel = panels[0, axis]
        panel.plot(X, truth[:, axis], "--", color=plots.PALETTE["black"], linewidth=2.2, label="true")
        for row in shown:
            middle = np.median(learned[row, :, :, axis], axis=0)
            panel.plot(X, middle, color=colors[row], label=beta_axis.label(float(betas[row])))
        hottest = 1 / math.sqrt(float(betas[0]))
        panel.axhline(hottest, color=colors[0], linewidth=0.9, linestyle=":")
        panel.annotate("1/√β, hottest", (0.02, hottest), (0.02, hottest * 1.06), fontsize=8.5, color=colors[0])
        panel.set_yscale("symlog", linthresh=1)
        panel.set_ylim(0, 20)
        panel.set_yticks([0, 0.5, 1, 2, 5, 10, 15], ["0", "0.5", "1", "2", "5", "10", "15"])
        plots.label(panel, "observed x", f"radius |{name}(x)| (units of y)", "median over seeds")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(7, len(labels)))
    report.figure(
        "radii",
        figure,
        "The radii learned at several temperatures. A radius is lost where the data's own is below 1/√β (dotted: for "
        "the hottest β); above that, it is the shorter the hotter the training.",
    )


def _draw_horns(report, betas, params, free, data):
    rows = [0, min(range(len(betas)), key=lambda row: abs(math.log(min(float(betas[row]), 1e9)))), len(betas) - 1]
    figure, axes = plots.spatial(3, width=4.4, height=4.4)
    for panel, row in zip(axes, rows, strict=True):
        middle = int(np.argsort(free[row])[free.shape[1] // 2])
        surface = jax.jit(manifold)(jax.tree.map(lambda leaf, row=row, middle=middle: leaf[row, middle], params))
        plots.horn_surface(panel, X, surface, color=beta_axis.colors(betas)[row])
        plots.horn_points(panel, data.x, data.y, color=plots.PALETTE["black"])
        panel.set_title(beta_axis.label(float(betas[row])))
    report.figure("horns", figure, "The horn learned hot, warm and cold, with the training samples.")
