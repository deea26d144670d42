"""Horns at 16 temperatures, 16 seeds each, trained by one compiled program

Training lowers the mean free energy of the samples, with the latent angle z marginalized at the inverse temperature β:

    F_β(x, y) = -1/β log 1/2π ∫ exp(-β E(x, y, z)) dz

At β = ∞ this is the squared distance from the manifold, and training finds the true horn up to the noise. At a finite
β every angle contributes with its posterior weight, and the manifold shrinks towards the mean of the data. Where the
radius ρ of the data is below 1/√β, the trained radius collapses to zero. This is a phase transition, and the x at which
it happens depends on β.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax import problems
from ebmjax.energies import ellipse
from ebmjax.loops import map_chunks
from ebmjax.marginalize.free_energy import marginal
from ebmjax.types import CONVERGED
from experiments.application import options
from experiments.application.options import AtLeast, Count
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
    train_horns,
    warm,
)

COLDEST_FINITE = 1000.0


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    betas: Annotated[int, AtLeast(3)] = 16
    """Number of inverse temperatures: evenly spaced in the logarithm from 0.1 to 1000, and ∞."""
    seeds: Count = 16
    """Horns at each temperature, each with its own initialization and batches."""
    samples: Count = 400
    """Training samples, the same for all horns."""
    held_out: Count = 1000
    """New samples on which all horns are measured."""
    batch_size: Count = 32
    """Samples in each update."""
    epochs: Count = 500
    """Passes over the data."""
    rate: float = 1e-2
    """Adam's first learning rate; it decays to zero along a cosine."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(betas=6, seeds=3, held_out=300, epochs=80)


def run(config: Config, report: Report) -> None:
    """Train betas × seeds horns at once, measure all of them, and draw the results against the temperature."""
    data_key, held_out_key, seeds_key = jax.random.split(report.key(), 3)
    data = problems.horn_data(data_key, config.samples)
    held_out = problems.horn_data(held_out_key, config.held_out)
    betas = jnp.append(jnp.geomspace(0.1, COLDEST_FINITE, config.betas - 1), jnp.inf)
    keys = jax.random.split(seeds_key, config.seeds)

    flat, finite = train_horns(
        report,
        f"training {config.betas} × {config.seeds} horns with one compiled program",
        keys[np.tile(np.arange(config.seeds), config.betas)],
        warm,
        np.repeat(np.asarray(betas), config.seeds),
        data,
        config.batch_size,
        config.epochs,
        config.rate,
    )
    params = jax.tree.map(lambda leaf: leaf.reshape(config.betas, config.seeds, *leaf.shape[1:]), flat)
    compilations = report.compilations

    def measure(params):
        free = free_energies(params, held_out).mean()
        return free, radii_rmse(params), is_dead(params, free), radii(params)

    with report.stage("measuring"):
        measured = report.compiled(lambda params: map_chunks(measure, params, 8), flat)
        free, rmse, dead, learned = (
            np.asarray(leaf).reshape(config.betas, config.seeds, *leaf.shape[1:]) for leaf in measured
        )
        floor = float(jax.jit(noise_floor)(held_out))
        resolved = np.asarray(jax.jit(jax.vmap(_is_resolved))(betas))

    for row, beta in enumerate(np.asarray(betas)):
        report.metrics(
            beta=beta,
            held_out_free_energy=free[row],
            radii_rmse=rmse[row],
            dead=dead[row],
            collapsed_part=float((learned[row] < 0.25 * problems.horn_radii(X)).mean()),
            resolved_by_the_grid=resolved[row],
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
        non_finite_members=int((~finite).sum()),
        best_beta=float(betas[best]),
        betas_that_learn=[float(beta) for beta, one in zip(betas, dead, strict=True) if not one.any()],
        betas_that_fail=[float(beta) for beta, one in zip(betas, dead, strict=True) if one.all()],
        models=config.betas * config.seeds,
        training_compilations=compilations,
    )
    _write(report, free, floor, betas, resolved)
    _draw_free_energies(report, betas, free, floor, resolved)
    _draw_radii(report, betas, learned)
    _draw_horns(report, betas, params, free, data)


def _is_resolved(beta):
    """Whether 48 angles alone resolve the marginal at the horn's mouth, judged by the library's `marginal`."""
    params = ellipse.Params(problems.horn_radii(jnp.array(1.0)))
    y = ellipse.decode(params, jnp.array(0.8)) + problems.NOISE
    return marginal(lambda z: ellipse.energy(params, y, z), ANGLES, beta, tolerance=1e-2).result == CONVERGED


def _write(report, free, floor, betas, resolved):
    unresolved = [beta for beta, good in zip(np.asarray(betas), resolved, strict=True) if not good]
    report.text(
        f"All {free.size} horns were trained by one compiled program. At zero temperature the median "
        f"of the mean held-out free energies is **{np.median(free[-1]):.4f}**. That of the true horn is {floor:.4f} on "
        "the same samples."
    )
    if unresolved:
        report.text(
            f"From β = {unresolved[0]:.2g} on, the distance between two of the {len(ANGLES.points)} angles of the grid "
            "is larger than the width of the peak of exp(-βE) at the mouth. Training adds the minimum itself to the "
            "grid, with the mass of the peak that the grid misses. The error of the marginal is then a small part of "
            "1/β. The figure shows these temperatures with hollow points."
        )


def _draw_free_energies(report, betas, free, floor, resolved):
    figure, axes = plots.one(7.2, 4.4)
    positions, colors = beta_axis.positions(betas), beta_axis.colors(betas)
    jitter = np.linspace(-0.12, 0.12, free.shape[1]) if free.shape[1] > 1 else np.zeros(1)
    width = np.min(np.diff(positions))
    for position, values, color, good in zip(positions, free, colors, resolved, strict=True):
        face = color if good else "white"
        axes.scatter(
            position + width * jitter, values, s=16, facecolor=[face], edgecolor=[color], linewidth=0.9, zorder=3
        )
    axes.plot(positions, np.median(free, axis=1), color=plots.PALETTE["black"], linewidth=1.2, label="median seed")
    axes.axhline(floor, color=plots.PALETTE["vermillion"], linestyle="--", label="true horn, the noise floor")
    axes.scatter([], [], s=16, color=plots.PALETTE["blue"], label="one seed")
    axes.scatter(
        [], [], s=16, facecolor="white", edgecolor=plots.PALETTE["blue"], label="48 angles alone are too coarse"
    )
    axes.set_yscale("log")
    beta_axis.draw(axes, betas)
    plots.label(axes, "inverse temperature β of training", "held-out mean F∞ (squared units of y)")
    axes.legend()
    report.figure(
        "free_energies",
        figure,
        "Mean squared distance of held-out samples from the manifold, against the inverse temperature of training. At "
        "small β the horn shrinks; at large β the distance reaches the noise floor.",
    )


def _draw_radii(report, betas, learned):
    figure, panels = plots.panels(1, 2, width=4.6, height=4.0)
    shown = np.unique([0, 1, 2, 3, len(betas) // 2, len(betas) - 1])  # the radii change most at the hot end
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
        panel.annotate("1/√β, smallest β", (0.02, hottest), (0.02, hottest * 1.06), fontsize=8.5, color=colors[0])
        panel.set_yscale("symlog", linthresh=1)
        panel.set_ylim(0, 20)
        panel.set_yticks([0, 0.5, 1, 2, 5, 10, 15], ["0", "0.5", "1", "2", "5", "10", "15"])
        plots.label(panel, "observed x", f"radius |{name}(x)| (units of y)", "median over seeds")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(7, len(labels)))
    report.figure(
        "radii",
        figure,
        "The radii learned at several inverse temperatures. A radius is nearly zero where that of the data is below "
        "1/√β (dotted line: for the smallest β). Elsewhere the radius is smaller for a smaller β.",
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
    report.figure(
        "horns",
        figure,
        "The horns learned at a high temperature, a middle one and zero temperature, and the training samples.",
    )
