"""An ellipse or a horn fitted to your own points.

A file of points with the columns y1,y2 is fitted by an **ellipse** with any centre and angle. A file with the columns
x,y1,y2 is fitted by a **horn**: an ellipse for each x, around a common axis, whose radii a small network predicts. Both
are trained at zero temperature: training minimizes the mean free energy F_∞, which is the squared distance of a point
from the manifold, in the squared units of the file. Rows that are held out of the training show how well the fit
describes other points.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from jaxtyping import Array, Float, Key, PyTree
from matplotlib.figure import Figure

from ebmjax import circle, gradient
from ebmjax.checks import ArgumentError
from ebmjax.energies import ellipse, horn, placed_ellipse
from ebmjax.learn.train import begin
from ebmjax.loops import map_chunks
from ebmjax.losses.energy import energy_loss
from ebmjax.losses.functional import SampleLoss
from ebmjax.minimize.descent import newton
from ebmjax.minimize.search import refined_search
from ebmjax.types import Energy
from experiments.application import options
from experiments.application.options import AtLeast, Count
from experiments.application.report import Report
from experiments.application.shown import one_epoch, scan_shown
from experiments.data import csv_points
from experiments.drawing import plots

ENOUGH_TO_HOLD_OUT = 8  # rows; an ellipse has five parameters
LEAST_TRAINED = 5
CHUNK = 4096  # rows evaluated together
COLORS = {"training": plots.PALETTE["black"], "held out": plots.PALETTE["vermillion"]}


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    data: Path
    """A CSV file with the columns y1,y2 (an ellipse) or x,y1,y2 (a horn), and at least 3 rows."""
    held_out: float = 0.2
    """Fraction of the rows that is held out of the training. From files of fewer than 8 rows none is held out."""
    latent_points: Annotated[int, AtLeast(8)] = 48
    """Angles of the grid on which the search for the nearest point of the manifold starts."""
    ellipse_updates: Count = 10_000
    """Updates of an ellipse, from each of five starts."""
    horn_updates: Count = 20_000
    """Updates of a horn, from each seed."""
    horn_seeds: Count = 4
    """Horns trained at once, each from other random parameters. The one of least training free energy is shown."""

    def __post_init__(self):
        options.check(self)
        options.require(0 <= self.held_out < 1, "held_out", self.held_out, "a fraction in [0, 1)")


QUICK = Config(data=tyro.MISSING, ellipse_updates=1000, horn_updates=4000)


class PlacedHorn(NamedTuple):
    """A horn around its own axis, which is at the same y for all x."""

    horn: horn.Params
    axis: Float[Array, "2"]


@dataclass(frozen=True)
class Units:
    """The shift and scale that bring the points of the file to mean zero and size one, for training."""

    centre: Float[np.ndarray, "2"]
    scale: float
    x_low: float = 0.0
    x_range: float = 1.0

    def inward(self, values: Float[np.ndarray, "rows columns"]) -> PyTree[Array]:
        """Rows of the file as samples for training: y, or (x, y)."""
        y = jnp.asarray((values[:, -2:] - self.centre) / self.scale, jnp.float32)
        return y if values.shape[1] == 2 else (jnp.asarray((values[:, 0] - self.x_low) / self.x_range, jnp.float32), y)

    def outward(self, y: Array | np.ndarray) -> Float[np.ndarray, "*batch 2"]:
        """Points of the plane in the units of the file."""
        return np.asarray(y, np.float64) * self.scale + self.centre


def run(config: Config, report: Report) -> None:
    """Read the file, split its rows, train, and draw the fit."""
    points = csv_points.read(config.data)
    values = np.asarray(points.values, np.float64)
    split_key, train_key = jax.random.split(report.key())
    rows = _split(config, split_key, values)
    units = _units(config, rows["training"])
    report.text(
        f"`{config.data.name}` has {len(values)} rows of {','.join(points.columns)}: "
        f"{len(rows['training'])} for training, {len(rows['held out'])} held out."
    )
    if not len(rows["held out"]):
        report.text("**No row was held out**, so nothing is known about how well the fit describes other points.")
    fit = _fit_ellipse if points.columns == csv_points.ELLIPSE else _fit_horn
    fit(config, report, train_key, rows, units)


def _split(config: Config, key: Key[Array, ""], values: np.ndarray) -> dict[str, np.ndarray]:
    """Split the rows at random into training and held-out rows; of at least 8 rows at least one is held out."""
    wanted = round(config.held_out * len(values))
    if config.held_out > 0 and len(values) >= ENOUGH_TO_HOLD_OUT:
        wanted = min(max(1, wanted), len(values) - LEAST_TRAINED)
    else:
        wanted = 0
    order = np.asarray(jax.random.permutation(key, len(values)))
    return {"training": values[order[wanted:]], "held out": values[order[:wanted]]}


def _units(config: Config, values: np.ndarray) -> Units:
    # NumPy adds the rows one after another: in single precision the mean of ten million is wrong in its first digits
    centre = values[:, -2:].mean(axis=0, dtype=np.float64).astype(np.float32)
    scale = float(np.sqrt(np.mean(np.sum((values[:, -2:] - centre) ** 2, axis=1), dtype=np.float64)))
    if scale <= 1e-6 * np.abs(centre).max():  # float32 could not distinguish the points
        raise ArgumentError(f"{config.data}: got points that are all the same, wanted points around an ellipse")
    if values.shape[1] == 2:
        return Units(centre, scale)
    low, high = float(values[:, 0].min()), float(values[:, 0].max())
    if high - low <= 1e-6 * max(abs(low), abs(high)):
        raise ArgumentError(
            f"{config.data}: got the same x in all rows, wanted different ones (or no column x, for an ellipse)"
        )
    return Units(centre, scale, low, high - low)


def _nearest(config: Config, energy: Energy, exact: bool) -> Array:
    """F_inf with a refined angle: to full precision if `exact`, else by a few steps from the best grid angle."""
    space = circle(config.latent_points)
    if exact:
        return refined_search(energy, space).energy
    return refined_search(energy, space, partial(newton, max_steps=3), starts=1).energy


def _mean_free_energy(free: SampleLoss, params: PyTree[Array], samples: PyTree[Array]) -> Array:
    """Mean free energy over any number of samples, in bounded memory."""
    return map_chunks(lambda sample: free(params, sample), samples, CHUNK).mean()


def _train_best(
    report: Report,
    title: str,
    free: Callable[[bool], SampleLoss],
    starts: PyTree[Array],
    samples: PyTree[Array],
    batch: int,
    updates: int,
):
    """Train from all starts at once, and keep the fit of least mean free energy on the training rows.

    `free(exact)` is the free energy of one sample.

    Returns:
        The parameters of that fit, and its mean free energy in the scaled units of the training.
    """
    batch = min(batch, len(jax.tree.leaves(samples)[0]))
    batches = len(jax.tree.leaves(samples)[0]) // batch
    epochs = math.ceil(updates / batches)
    learner = gradient(energy_loss(free(False)), optax.adam(optax.cosine_decay_schedule(1e-2, epochs * batches)))

    def step(progress, key, samples):
        progress, metrics = one_epoch(key, learner, progress, samples, batch)
        return progress, metrics.learner.loss.mean()

    def tell(done, losses):
        for epoch, row in enumerate(losses, start=done):
            if epoch % max(1, epochs // 50) == 0:
                report.metrics(step=epoch * batches, relative_loss=row)
        return f"least loss {losses[-1].min():.4g}"

    start = lambda params: begin(jax.random.key(report.seed), learner, params, epochs)
    progress, keys = jax.jit(jax.vmap(start, out_axes=(0, None)))(starts)
    steps = jax.vmap(step, (0, None, None))
    progress, _ = scan_shown(report, title, steps, progress, keys, samples, tell=tell)
    params = jax.device_get(progress.state.params)
    last = report.compiled(jax.vmap(partial(_mean_free_energy, free(True)), (0, None)), params, samples)
    # Of several perfect fits the first is taken, which for an ellipse started from the moments of the points.
    best = int(np.argmin(np.where(np.isfinite(last), np.maximum(last, 1e-10), np.inf)))
    return jax.tree.map(lambda leaf: leaf[best], params), float(last[best])


def _held_out(free: SampleLoss, params: PyTree[Array], units: Units, values: np.ndarray) -> float | None:
    """Mean free energy of the held-out rows, in squared units of the file; None if there are no rows."""
    if not len(values):
        return None
    return float(jax.jit(partial(_mean_free_energy, free))(params, units.inward(values))) * units.scale**2


def _summarize(report: Report, rows: dict[str, np.ndarray], trained: float, held_out: float | None) -> None:
    report.summary(
        held_out_free_energy=held_out,
        train_free_energy=trained,
        rms_distance=math.sqrt(trained if held_out is None else held_out),
        rows_for_training=len(rows["training"]),
        rows_held_out=len(rows["held out"]),
    )


def _fit_ellipse(config: Config, report: Report, key: Key[Array, ""], rows: dict[str, np.ndarray], units: Units):
    def free(exact):
        return lambda params, y: _nearest(config, partial(placed_ellipse.energy, params, y), exact)

    samples = units.inward(rows["training"])
    title = "training from five starts"
    params, least = _train_best(report, title, free, _starts(samples), samples, 256, config.ellipse_updates)
    held_out = _held_out(free(True), params, units, rows["held out"])
    radii = np.abs(np.asarray(params.radii, np.float64)) * units.scale
    angle = math.degrees(float(params.angle)) + (90 if radii[1] > radii[0] else 0)
    _summarize(report, rows, least * units.scale**2, held_out)
    report.summary(radii=np.sort(radii)[::-1], centre=units.outward(params.centre), angle_degrees=angle % 180)
    if len(rows["training"]) < LEAST_TRAINED:
        report.text("Fewer than five points do not determine an ellipse. This is one of many ellipses through them.")
    if radii.min() < 1e-3 * radii.max():
        report.text("The fitted ellipse is flat: the points lie nearly on a line.")
    report.figure(
        "fit",
        _ellipse_figure(free(True), params, units, rows),
        "Left: the points and the fitted ellipse. Right: its free energy, which is the squared distance from it: cold "
        "(0) on the ellipse, hot from half the mean radius on.",
    )


def _starts(points: Float[Array, "samples 2"]) -> placed_ellipse.Params:
    """Five starts: the moments of the points, and circles on both sides of them, for points on a short arc.

    The points have mean zero and size one.
    """
    moments = placed_ellipse.init(points)
    along = jnp.stack([jnp.cos(moments.angle), jnp.sin(moments.angle)])
    across = jnp.stack([-along[1], along[0]])
    centres = jnp.stack([moments.centre, across, -across, 2 * across, -2 * across])
    radii = jnp.stack([moments.radii, *(jnp.full(2, radius) for radius in (1.0, 1.0, 2.0, 2.0))])
    # A radius of zero would have the gradient zero, and would not be trained.
    return placed_ellipse.Params(jnp.maximum(radii, 1e-3), centres, jnp.full(len(radii), moments.angle))


def _ellipse_figure(free: SampleLoss, params: placed_ellipse.Params, units: Units, rows: dict) -> Figure:
    angles = jnp.linspace(0, 2 * jnp.pi, 361)
    manifold = units.outward(jax.jit(jax.vmap(partial(placed_ellipse.decode, params)))(angles))
    everything = np.concatenate([manifold, *rows.values()])
    low, high = everything.min(axis=0), everything.max(axis=0)
    # A margin all round, and no window narrower than two thirds of its other side.
    reach = np.maximum((high - low) / 2, (high - low).max() / 3) + 0.2 * (high - low).max()
    y1, y2 = (np.linspace(a, b, 121) for a, b in zip((low + high) / 2 - reach, (low + high) / 2 + reach, strict=True))
    plane = np.stack(np.meshgrid(y1, y2, indexing="ij"), axis=-1)
    heights = jax.jit(jax.vmap(partial(free, params)))(units.inward(plane.reshape(-1, 2)))
    # The distance of half the mean radius counts as hot, so that the scale suits any units.
    hot = (float(np.abs(params.radii).mean()) / 2) ** 2
    figure, axes = plots.panels(1, 2, width=5.4, height=4.6)
    plots.curve(axes[0, 0], manifold, closed=False, label="fitted ellipse")
    for name, values in rows.items():
        if len(values):
            plots.scatter(axes[0, 0], values, color=COLORS[name], label=name)
    plots.label(axes[0, 0], "y₁ (units of the file)", "y₂ (units of the file)", "Points and manifold")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    image = plots.cold_warm_map(
        axes[0, 1], y1, y2, np.asarray(heights).reshape(plane.shape[:2]) / hot, title="Free energy F∞", colorbar=False
    )
    bar = figure.colorbar(image, ax=axes[0, 1], extend="max", shrink=0.8, ticks=[0, 0.5, 1])
    unit = hot * units.scale**2
    bar.ax.set_yticklabels(["0 cold", f"{unit / 2:.3g} warm", f"≥ {unit:.3g} hot"])
    bar.set_label("F∞ (squared units of the file)")
    axes[0, 1].plot(*manifold.T, color="white", linewidth=1)
    plots.label(axes[0, 1], "y₁ (units of the file)", "y₂ (units of the file)")
    for panel in axes[0]:
        panel.set_xlim(y1[0], y1[-1])
        panel.set_ylim(y2[0], y2[-1])
    return figure


def _fit_horn(config: Config, report: Report, key: Key[Array, ""], rows: dict[str, np.ndarray], units: Units):
    def free(exact):
        def of_sample(params, sample):
            # At one x a horn is an ellipse, so the network is evaluated once, not for each angle.
            x, y = sample
            slice_at_x = ellipse.Params(params.horn.predictor(x))
            return _nearest(config, partial(ellipse.energy, slice_at_x, y - params.axis), exact)

        return of_sample

    samples = units.inward(rows["training"])
    keys = jax.random.split(key, config.horn_seeds)
    starts = jax.vmap(lambda key: PlacedHorn(horn.init(key), jnp.zeros(2)))(keys)
    title = f"training {config.horn_seeds} horns"
    params, least = _train_best(report, title, free, starts, samples, 32, config.horn_updates)
    held_out = _held_out(free(True), params, units, rows["held out"])
    x = np.linspace(0, 1, 51)
    radii = np.asarray(jax.jit(jax.vmap(params.horn.predictor))(jnp.asarray(x, jnp.float32)))
    radii = np.abs(radii) * units.scale
    x = units.x_low + units.x_range * x
    axis = units.outward(params.axis)
    _summarize(report, rows, least * units.scale**2, held_out)
    report.summary(axis=axis, radii_at_least_x=radii[0], radii_at_largest_x=radii[-1])
    report.figure(
        "fit", _horn_figure(x, radii, axis, rows), "The fitted horn, the training points and the held-out points."
    )
    figure, axes = plots.one()
    plots.lines(axes, x, radii.T, ("radius along y₁", "radius along y₂"))
    plots.label(axes, "x (units of the file)", "radius (units of the file)", "Radii of the fitted horn")
    report.figure(
        "radii",
        figure,
        "The absolute values of the radii that the network predicts; training finds them up to their sign.",
    )


def _horn_figure(x: np.ndarray, radii: np.ndarray, axis: np.ndarray, rows: dict) -> Figure:
    angles = np.asarray(circle(48).points)
    rings = axis + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    figure, axes = plots.spatial()
    plots.horn_surface(axes[0], x, rings, label="fitted horn")
    for name, values in rows.items():
        if len(values):
            plots.horn_points(axes[0], values[:, 0], values[:, 1:], color=COLORS[name], label=name)
    axes[0].legend(loc="upper left")
    return figure
