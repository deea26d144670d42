"""Ellipses fitted to the contours of coins.

The data are the outlines of the old coins in a picture that comes with scikit-image. The coins were struck by hand and
are not round. Each outline is modelled by an ellipse of five parameters: two radii, a centre and an angle. Training at
**zero temperature** moves the nearest point of the ellipse towards each point of the contour, which minimizes the mean
squared orthogonal distance. All ellipses are trained at once, by one vmapped and compiled program.

The comparison is `skimage.measure.EllipseModel`, which solves for a conic by linear algebra. It is direct and fast, but
it minimizes an algebraic distance. Its mean squared orthogonal distance cannot be smaller than the one at the end of a
training that has converged.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from skimage.measure import EllipseModel

from ebmjax import circle, gradient
from ebmjax.checks import ArgumentError
from ebmjax.energies import placed_ellipse
from ebmjax.learn.train import begin
from ebmjax.losses.energy import energy_loss
from ebmjax.minimize.search import refined_search
from experiments.application import options
from experiments.application.options import AtLeast, Count, Inside
from experiments.application.report import Report
from experiments.application.shown import one_epoch, scan_shown
from experiments.data import coin_contours
from experiments.drawing import plots


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    points: Annotated[int, AtLeast(6)] = 128
    """Points on each contour."""
    latent_points: Annotated[int, AtLeast(8)] = 32
    """Angles of the grid on which the search for the nearest point of the ellipse starts."""
    updates: Count = 400
    """Updates of the training; each uses all points."""
    rate: Annotated[float, Inside(0, 1)] = 0.01
    """Adam's learning rate, in units of a coin's radius; it decays to zero along a cosine."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(points=48, latent_points=16, updates=200)


class Fits(NamedTuple):
    """Fitted ellipses and their root mean squared orthogonal distances, in pixels; leading axis the coins."""

    params: placed_ellipse.Params
    rms: Float[np.ndarray, " coins"]


def run(config: Config, report: Report) -> None:
    """Find the contours, fit them in both ways, and draw the ellipses and their residuals."""
    with report.stage("finding the contours"):
        coins = coin_contours.load(config.points)
    contours = jnp.asarray(coins.contours)
    trained = _train_all(config, report, contours)
    distances = jax.jit(partial(_distances, config))
    ours = Fits(trained, _rms(distances(trained, contours)))
    with report.stage("fitting with scikit-image"):
        conics, own_residuals = _fit_with_skimage(coins.contours)
    theirs = Fits(conics, _rms(distances(conics, contours)))

    report.figure(
        "picture",
        _picture(coins, ours),
        "The picture with the trained ellipses. The numbers are those of the coins in the table.",
    )
    report.figure(
        "residuals",
        _residuals(ours, theirs),
        "Root mean squared orthogonal distance of the contour's points from the ellipse, for each coin, and by how "
        "many percent that of scikit-image is larger. A complete outline determines an ellipse well, so the two "
        "methods nearly agree.",
    )
    report.figure(
        "closest_and_worst",
        _close_up(coins, ours, theirs),
        "The coin that an ellipse fits best and the coin that it fits worst, with the points of their contours.",
    )
    ratios = ours.rms / theirs.rms
    centre, radii = np.asarray(ours.params.centre), np.abs(ours.params.radii)
    degrees = np.degrees(ours.params.angle) % 180
    report.table(
        "Coins (pixels; y₁ to the right, y₂ downwards)",
        ("coin", "centre y₁", "centre y₂", "radius w₁", "radius w₂", "angle (°)", "rms", "rms scikit-image", "ratio"),
        [
            (
                i,
                *(
                    round(float(x), 3)
                    for x in (*centre[i], *radii[i], degrees[i], ours.rms[i], theirs.rms[i], ratios[i])
                ),
            )
            for i in range(len(ratios))
        ],
    )
    difference = np.abs(own_residuals / theirs.rms - 1).max()
    report.text(
        "Both distances are measured by the same refined search for the nearest point. The distances that "
        f"`EllipseModel.residuals` reports for its own ellipses differ from them by a fraction of {difference:.1e} at "
        "most."
    )
    report.summary(
        coins=len(ratios),
        rms_residual=np.sqrt(np.mean(ours.rms**2)),
        rms_residual_skimage=np.sqrt(np.mean(theirs.rms**2)),
        worst_ratio=ratios.max(),
        best_ratio=ratios.min(),
    )


def _free_energy(config: Config, params: placed_ellipse.Params, y: Array) -> Array:
    """F_inf: the squared distance of y from the ellipse."""
    return refined_search(partial(placed_ellipse.energy, params, y), circle(config.latent_points), starts=2).energy


def _train_all(config: Config, report: Report, contours: Float[Array, "coins points 2"]) -> placed_ellipse.Params:
    """Trained ellipses in pixels. The mean losses, in units of each coin's size, go to metrics.jsonl."""
    learner = gradient(
        energy_loss(partial(_free_energy, config)),
        optax.adam(optax.cosine_decay_schedule(config.rate, config.updates)),
    )

    def start(contour):
        # Each contour is centred and scaled to size one, so that one learning rate suits all coins and parameters.
        centre = contour.mean(axis=0, keepdims=True)
        scale = jnp.sqrt(jnp.sum((contour - centre) ** 2, axis=1).mean())
        points = (contour - centre) / scale
        return *begin(jax.random.key(0), learner, placed_ellipse.init(points), config.updates), points, centre[0], scale

    def step(progress, key, points):
        progress, metrics = one_epoch(key, learner, progress, points, points.shape[0])
        return progress, metrics.learner.loss[0]

    def tell(done, losses):
        for update, row in enumerate(losses, start=done):
            if update % max(1, config.updates // 50) == 0:
                report.metrics(step=update, mean_free_energy=row.mean())
        return f"mean loss {losses[-1].mean():.4g}"

    started = jax.jit(jax.vmap(start, out_axes=(0, None, 0, 0, 0)))(contours)
    progress, keys, points, centre, scale = started
    steps = jax.vmap(step, (0, None, 0))
    title = f"training {len(contours)} ellipses at once"
    progress, _ = scan_shown(report, title, steps, progress, keys, points, tell=tell)
    (radii, offset, angle), centre, scale = jax.device_get((progress.state.params, centre, scale))
    return placed_ellipse.Params(scale[:, None] * radii, centre + scale[:, None] * offset, angle)


def _distances(config: Config, params: placed_ellipse.Params, contours: Array) -> Float[Array, "coins points"]:
    """Orthogonal distances in pixels."""
    # Both are moved to the origin, because far from it float32 would round the distances.
    moved = params._replace(centre=jnp.zeros_like(params.centre))
    over_points = jax.vmap(partial(_free_energy, config), in_axes=(None, 0))
    return jnp.sqrt(jax.vmap(over_points)(moved, contours - params.centre[:, None]))


def _rms(distances: Array) -> np.ndarray:
    return np.sqrt(np.mean(np.asarray(distances) ** 2, axis=1))


_numpy_eig = np.linalg.eig


def _eig(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`numpy.linalg.eig` as it was before NumPy 2.5, real where it can be.

    scikit-image 0.26.0 relies on that (its issue 8235, which was fixed after that release).
    """
    values, vectors = _numpy_eig(matrix)
    return (values, vectors) if np.imag(values).any() else (np.real(values), np.real(vectors))


def _fit_with_skimage(contours: np.ndarray) -> tuple[placed_ellipse.Params, np.ndarray]:
    """The ellipses of scikit-image in our parameters, and the rms of the residuals that it reports itself."""
    with patch.object(np.linalg, "eig", _eig):
        models = [EllipseModel.from_estimate(contour.astype(np.float64)) for contour in contours]
    failed = [str(index) for index, model in enumerate(models) if not model]
    if failed:
        raise ArgumentError(f"contours: got no ellipse of scikit-image for {', '.join(failed)}, wanted one for each")
    residuals = [
        np.sqrt(np.mean(model.residuals(contour.astype(np.float64)) ** 2))
        for model, contour in zip(models, contours, strict=True)
    ]
    parts = ([getattr(model, name) for model in models] for name in ("axis_lengths", "center", "theta"))
    return placed_ellipse.Params(*(jnp.asarray(np.array(part, np.float32)) for part in parts)), np.array(residuals)


def _outline(params: placed_ellipse.Params, coin: int) -> np.ndarray:
    return np.asarray(_decode(jax.tree.map(lambda leaf: leaf[coin], params), circle(180).points))


_decode = jax.jit(jax.vmap(placed_ellipse.decode, in_axes=(None, 0)))
"""Points of the manifold at many angles."""


def _picture(coins: coin_contours.Coins, fits: Fits) -> Figure:
    figure, axes = plots.one(width=9.0, height=7.4)
    axes.imshow(coins.picture, cmap="gray")
    axes.grid(visible=False)
    for coin in range(len(fits.rms)):
        plots.curve(axes, _outline(fits.params, coin), color=plots.PALETTE["orange"])
        column, row = map(float, fits.params.centre[coin])
        axes.text(column, row, str(coin), color="white", ha="center", va="center", weight="bold")
    plots.label(axes, "y₁ (pixels)", "y₂ (pixels)", f"{len(fits.rms)} ellipses, trained at zero temperature")
    return figure


def _residuals(ours: Fits, theirs: Fits) -> Figure:
    figure, axes = plots.panels(2, 1, width=8.4, height=2.9, share_x=True)
    index = np.arange(len(ours.rms))
    above, below = axes[:, 0]
    above.plot(index, theirs.rms, "s", color=plots.PALETTE["vermillion"], label="skimage.measure.EllipseModel")
    above.plot(index, ours.rms, "o", color=plots.PALETTE["blue"], markersize=4, label="trained at zero temperature")
    above.set_ylim(0, 1.35 * theirs.rms.max())
    plots.label(above, "", "rms distance (pixels)", "Orthogonal residuals of the contours")
    above.legend(ncols=2, loc="upper center")
    below.bar(index, 100 * (theirs.rms / ours.rms - 1), color=plots.PALETTE["vermillion"])
    below.axhline(0, color="black", linewidth=0.8)
    below.set_xticks(index)
    plots.label(below, "coin", "excess of scikit-image (%)")
    return figure


def _close_up(coins: coin_contours.Coins, ours: Fits, theirs: Fits) -> Figure:
    figure, axes = plots.panels(1, 2, width=5.0, height=4.9)
    for panel, coin, name in zip(
        axes[0], (int(np.argmin(ours.rms)), int(np.argmax(ours.rms))), ("best", "worst"), strict=True
    ):
        _one_coin(panel, coins, ours, theirs, coin)
        panel.set_title(f"Coin {coin}, the {name}: rms {ours.rms[coin]:.2f} and {theirs.rms[coin]:.2f} pixels")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _one_coin(axes: Axes, coins: coin_contours.Coins, ours: Fits, theirs: Fits, coin: int) -> None:
    axes.imshow(coins.picture, cmap="gray")
    axes.grid(visible=False)
    plots.curve(axes, _outline(ours.params, coin), color=plots.PALETTE["orange"], label="trained")
    axes.plot(*_outline(theirs.params, coin).T, "--", color=plots.PALETTE["sky"], label="scikit-image")
    axes.plot(*coins.contours[coin].T, ".", color=plots.PALETTE["yellow"], markersize=5, label="contour")
    reach = 1.25 * float(np.abs(ours.params.radii[coin]).max())
    column, row = map(float, ours.params.centre[coin])
    axes.set_xlim(column - reach, column + reach)
    axes.set_ylim(row + reach, row - reach)
    plots.label(axes, "y₁ (pixels)", "y₂ (pixels)")
