"""Helper of `ellipse_training`: training with contrasting losses.

A contrasting loss pushes the free energy of the samples down, and pushes the free energy of contrasting points up. Here
gradient descent on F over y leads from each sample to its contrasting point.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array
from matplotlib.figure import Figure

from ebmjax import circle
from ebmjax.energies import ellipse
from ebmjax.losses.functional import SampleLoss
from ebmjax.losses.margin import hinge_loss, log_loss
from ebmjax.minimize.descent import gradient_descent
from ebmjax.types import Scalar
from experiments.application.report import Report
from experiments.drawing import plots
from experiments.ellipse.collapse import Fit

STEP_SIZE = 0.5  # ∇F = 2 (y - <decoded z>): a step of this size goes to the posterior mean (mean shift)
PLANE = np.linspace(-3, 3, 121), np.linspace(-2.5, 2.5, 101)
AXIS = np.linspace(-2.8, 2.8, 225)


class Outcome(NamedTuple):
    """An ellipse that was trained with one loss, and its free energies F."""

    radii: Array
    negatives: Array
    """The contrasting points."""
    observed: Array
    """Mean F of the samples."""
    contrasting: Array
    """Mean F of the contrasting points."""
    plane: Array
    """F on the grid PLANE."""
    axes: Array
    """F along both axes, at the places AXIS."""


def descend(free: Callable[[Array], Array], starts: Array, steps: Scalar, limit: int) -> Array:
    """The end of `steps` steps of gradient descent on F over y from each start.

    `limit` is static and not less than `steps`. Later steps have the step size zero, so that short and long descents
    are one compiled program. The derivative of the result is zero.
    """
    optimizer = optax.sgd(lambda step: jnp.where(jnp.asarray(step) < steps, STEP_SIZE, 0.0))
    return jax.vmap(lambda y: gradient_descent(free, y, optimizer, limit, 1e-5).value)(starts)


def show(
    report: Report, fit: Fit, free: SampleLoss, data: Array, energy_radii: Array, margin: float, depths: Sequence[int]
) -> None:
    """Train with hinge and log losses, and draw the free energies beside that of the energy loss.

    Args:
        report: of the run.
        fit: see `collapse.Fit`.
        free: a warm free energy, `free(params, y)`.
        data: samples (N, 2).
        energy_radii: radii after training with the energy loss and the same free energy.
        margin: margin of the hinge loss.
        depths: numbers of steps of a short and of a long descent.
    """
    short, long = depths
    limit = max(depths)
    hinge, log = hinge_loss(free, margin), log_loss(free)

    def loss(member, params, batch):
        """A mixture of hinge and log loss against points some steps of descent away."""
        share_of_hinge, steps = member
        pair = (batch, descend(partial(free, params), batch, steps, limit))
        return share_of_hinge * hinge(params, pair) + (1 - share_of_hinge) * log(params, pair)

    contrasting = f"Hinge loss, {short} steps down", f"Log loss, {short} steps down", f"Hinge loss, {long} steps down"
    shares, steps = np.array([1.0, 0.0, 1.0], np.float32), np.array([short, short, long])
    same_data = np.repeat(np.asarray(data)[None], len(shares), axis=0)
    trained, _ = fit("training with contrasting losses", loss, (shares, steps), same_data)
    names = ("Energy loss", *contrasting)
    radii = np.concatenate([np.asarray(energy_radii)[None], np.abs(trained)])
    outcomes = _outcomes(free, data, radii, np.array([short, *steps]), limit)
    report.figure(
        "contrast",
        _maps(names, data, outcomes),
        "Free energies above their least value after training; the samples (black); and the contrasting points at the "
        "end of descent from each sample (green crosses), which hinge and log loss push up.",
    )
    report.figure(
        "contrast_cross_sections",
        _sections(names, outcomes),
        "Free energies above their least value on the two axes; the dotted lines mark the true ellipse. With the "
        "energy loss alone the minima of F lie inside the data. With contrasting points close to the samples, the "
        "minima move outwards to the samples.",
    )
    _results(report, names, outcomes)


def _outcomes(free: SampleLoss, data: Array, radii: np.ndarray, steps: np.ndarray, limit: int) -> list[Outcome]:
    """One outcome for each row of `radii`, all in one compiled call."""
    plane = np.stack(np.meshgrid(*PLANE, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)
    axes = np.concatenate([np.outer(AXIS, direction) for direction in np.eye(2)]).astype(np.float32)

    def look(radii, steps):
        params = ellipse.Params(radii)
        negatives = descend(partial(free, params), data, steps, limit)
        heights = jax.vmap(partial(free, params))(jnp.concatenate([data, negatives, plane, axes]))
        observed, contrasting, on_plane, on_axes = jnp.split(heights, np.cumsum([len(data), len(data), len(plane)]))
        shape = (len(PLANE[0]), len(PLANE[1]))
        return Outcome(
            radii, negatives, observed.mean(), contrasting.mean(), on_plane.reshape(shape), on_axes.reshape(2, -1)
        )

    stacked = jax.tree.map(np.asarray, jax.jit(jax.vmap(look))(radii, steps))
    return [Outcome(*row) for row in zip(*stacked, strict=True)]


def _maps(names: Sequence[str], data: Array, outcomes: Sequence[Outcome]) -> Figure:
    figure, axes = plots.panels(2, 2, width=5.0, height=3.75)
    green = plots.PALETTE["green"]
    angles = np.asarray(circle(240).points)
    unit = np.stack([np.cos(angles), np.sin(angles)])
    for panel, name, one in zip(axes.flat, names, outcomes, strict=True):
        title = f"{name}: ({one.radii[0]:.2f}, {one.radii[1]:.2f})"
        image = plots.cold_warm_map(panel, *PLANE, one.plane - one.plane.min(), title=title, colorbar=False)
        panel.plot(*(one.radii[:, None] * unit), color="white", linewidth=1.4)
        plots.arrows(panel, data, one.negatives, color=green)
        panel.plot(*one.negatives.T, "x", color=green, markersize=6, markeredgewidth=1.8)
        plots.scatter(panel, data)
    bar = figure.colorbar(image, ax=axes, extend="max", shrink=0.6, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.ax.set_yticklabels(["0 cold", "0.25", "0.5 warm", "0.75", "≥ 1 hot"])
    bar.set_label("F − least F")
    return figure


def _sections(names: Sequence[str], outcomes: Sequence[Outcome]) -> Figure:
    figure, axes = plots.panels(1, 2, width=5.4, height=4.2, share_y=True)
    styles = ("-", "-", "--", "-")
    colors = [plots.PALETTE[name] for name in ("black", "blue", "orange", "purple")]
    for k, (panel, true_radius) in enumerate(zip(axes[0], (2.0, 1.5), strict=True)):
        for name, one, style, color in zip(names, outcomes, styles, colors, strict=True):
            panel.plot(AXIS, one.axes[k] - one.axes[k].min(), style, color=color, label=name)
        for radius in (-true_radius, true_radius):
            panel.axvline(radius, color="#777777", linestyle=":", linewidth=1.3)
        plots.label(panel, f"y{'₁₂'[k]}", "F − least F on the line", f"On the axis y{'₂₁'[k]} = 0")
        panel.tick_params(labelleft=True)
    axes[0, 1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _results(report: Report, names: Sequence[str], outcomes: Sequence[Outcome]) -> None:
    gaps = [float(one.observed - one.contrasting) for one in outcomes]
    report.table(
        "Losses compared at the same temperature (the true radii are 2 and 1.5)",
        ("loss", "w₁", "w₂", "mean F of the samples", "mean F of the contrasting points", "gap"),
        [
            (name, *map(float, one.radii), float(one.observed), float(one.contrasting), gap)
            for name, one, gap in zip(names, outcomes, gaps, strict=True)
        ],
    )
    report.text(
        "At β = ∞ contrasting points would have no effect: descent from a sample ends on the manifold, where F is zero "
        "for all radii, and so is its gradient. At a finite β the minima of F lie **inside** the manifold, at the "
        "posterior mean of its points, and there F depends on the radii. Pushing the minima up moves them outwards "
        "until they lie at the samples. The radii are then larger than those of the data.\n\n"
        "The free energy of a contrasting point is never above that of its sample, so the margin is never reached and "
        "the hinge is always active. The gap is small for every sample, so the log loss weights all samples by about "
        "one half. Therefore both losses end at the same radii. The length of the descent, however, matters. After a "
        "few steps each contrasting point is at the bottom of the valley of F beside its sample. After many steps the "
        "points have moved along the valley to its few deepest places. Pushing those places up makes the valley level "
        "and the ellipse a circle, which is no better description of the data."
    )
    for name, one, gap in zip(("energy", "hinge", "log", "hinge_to_the_bottom"), outcomes, gaps, strict=True):
        report.summary(**{f"radii_{name}": one.radii, f"gap_{name}": gap})
