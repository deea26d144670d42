"""Training the ellipse: cold, warm, and with contrasting samples.

Training changes the radii of the ellipse so that the data have a low free energy. At **zero temperature** every sample
pulls only the nearest point of the manifold. With **marginalization** at inverse temperature β it pulls all points,
each with its posterior weight, so that the manifold shrinks towards the mean of the data. At high temperature it
collapses: a radius w_k becomes zero below the critical inverse temperature

    βc = 1 / (2 E[y_k²]),

at which w_k = 0 changes from a minimum of the loss to a maximum. A sweep over β, trained by one compiled program, shows
this phase transition. **Contrasting** losses (hinge and log) act against the shrinking: they push up the free energy of
points to which gradient descent leads from the samples.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from matplotlib.axes import Axes

from ebmjax import circle, free_energy, gradient, posterior, problems, train
from ebmjax.energies import ellipse
from ebmjax.learn.train import Trained, begin
from ebmjax.losses.energy import energy_loss
from ebmjax.losses.functional import Loss, SampleLoss
from ebmjax.minimize.search import refined_search
from ebmjax.types import Beta, Learner
from experiments.application import options
from experiments.application.options import AtLeast, Between, Count, Inside, NotNegative, Positive
from experiments.application.report import Report
from experiments.application.shown import one_epoch, scan_shown
from experiments.drawing import beta_axis, plots
from experiments.ellipse import collapse, contrast

SAMPLES = 24  # as in the lecture
SHOWN = 23  # the sample for which posterior weights are drawn
TRUE_RADII = (2.0, 1.5)

Betas = Annotated[tuple[float, ...], Between(0, math.inf)]


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    start: Annotated[tuple[float, float], Inside(0, math.inf)] = (1.5, 0.4)
    """Radii of the untrained ellipse."""
    latent_points: Annotated[int, AtLeast(8)] = 48
    """Angles z on the latent circle."""
    warm_beta: Positive = 1.0
    """Inverse temperature of training by marginalization and of the contrasting losses."""
    betas: Betas = (0.1, 0.3, 0.5, 0.75, 1.0, 1.5, 10**0.5, 10.0, 100.0, math.inf)
    """Inverse temperatures of the cross-sections."""
    sweep_points: Annotated[int, AtLeast(8)] = 160
    """Number of inverse temperatures in the sweep, evenly spaced in the logarithm from 0.15 to 2."""
    updates: Count = 1500
    """Updates of each training; each uses all samples."""
    rate: Positive = 0.03
    """Adam's learning rate; it decays to zero along a cosine."""
    margin: NotNegative = 1.0
    """Margin of the hinge loss, in units of energy."""
    descent_steps: Annotated[tuple[int, int], AtLeast(1)] = (3, 200)
    """Steps of gradient descent from a sample to its contrasting point: a short descent, and one to a minimum."""

    def __post_init__(self):
        options.check(self)
        options.require(len(self.betas) > 0, "betas", self.betas, "at least one inverse temperature")


QUICK = Config(sweep_points=30, updates=250, descent_steps=(3, 60))


def run(config: Config, report: Report) -> None:
    """Train at zero temperature, at every beta of the sweep, and with contrasting losses, and draw the results."""
    data = jax.jit(problems.ellipse_data, static_argnums=1)(report.key(), SAMPLES)
    angles = circle(SAMPLES).points
    even = _decode(ellipse.Params(jnp.array(TRUE_RADII)), angles)
    fit, free = partial(_fit_all, config, report), partial(_warm, config)
    swept = collapse.sweep(fit, free, data, even, config.sweep_points, (config.warm_beta, *config.betas))
    _arrows(config, report, data, swept.trained(config.warm_beta))
    _cross_sections(config, report, swept)
    collapse.show(report, free, swept)
    contrast.show(
        report,
        fit,
        free(config.warm_beta),
        data,
        jnp.asarray(swept.trained(config.warm_beta)),
        config.margin,
        config.descent_steps,
    )


_decode = jax.jit(jax.vmap(ellipse.decode, in_axes=(None, 0)))
"""Points of the manifold at many angles."""


def _warm(config: Config, beta: Beta) -> SampleLoss:
    """F_beta(params, y) on the grid of angles."""
    space = circle(config.latent_points)
    return lambda params, y: free_energy(partial(ellipse.energy, params, y), space, beta)


def _learner(config: Config, loss: Loss) -> Learner:
    return gradient(loss, optax.adam(optax.cosine_decay_schedule(config.rate, config.updates)))


def _fit(config: Config, loss: Loss, data: Array) -> Trained:
    """Train from the untrained radii, with full batches, so that only the loss decides about the result."""
    start = ellipse.Params(jnp.array(config.start))
    return train(jax.random.key(0), _learner(config, loss), start, data, batch_size=len(data), epochs=config.updates)


def _fit_all(config: Config, report: Report, title: str, loss: collapse.LossOf, members: Any, data: Array):
    """The same for many members at once, each with data of its own: `collapse.Fit`."""
    learner = lambda member: _learner(config, partial(loss, member))

    def start(member):
        return begin(jax.random.key(0), learner(member), ellipse.Params(jnp.array(config.start)), config.updates)

    def step(progress, key, members, data):
        progress, metrics = one_epoch(key, learner(members), progress, data, len(data))
        return progress, (metrics.learner.loss[0], metrics.learner.gradient_norm[0])

    def tell(done, measured):
        median = float(np.median(measured[0][-1]))
        report.metrics(training=title, step=done + len(measured[0]), median_loss=median)
        return f"median loss {median:.4g}"

    progress, keys = jax.jit(jax.vmap(start, out_axes=(0, None)))(members)
    steps = jax.vmap(step, (0, None, 0, 0))
    progress, (_, norms) = scan_shown(report, title, steps, progress, keys, members, data, tell=tell)
    return np.asarray(progress.state.params.radii), norms[-1]


def _arrows(config: Config, report: Report, data: Array, warm_radii: Float[np.ndarray, "2"]) -> None:
    """Draw which points each sample pulls: the nearest at zero temperature, all by their weights at a finite one."""
    space = circle(config.latent_points)
    nearest = lambda params, y: refined_search(partial(ellipse.energy, params, y), space, starts=1)
    cold = energy_loss(lambda params, y: nearest(params, y).energy)
    with report.stage("training at zero temperature"):
        trained = report.compiled(lambda data: _fit(config, cold, data), data)
    pulled = jax.jit(jax.vmap(lambda params, y: ellipse.decode(params, nearest(params, y).value), in_axes=(None, 0)))
    untrained, warm = ellipse.Params(jnp.array(config.start)), ellipse.Params(jnp.asarray(warm_radii))
    figure, axes = plots.panels(2, 2, width=4.9, height=4.0, share_x=True, share_y=True)
    for panel, params, title in zip(axes[0], (untrained, trained.params), ("untrained", "trained"), strict=True):
        _cold_arrows(panel, params, pulled(params, data), data, f"Zero temperature, {title}: {_named(params)}")
    for panel, params, title in zip(axes[1], (untrained, warm), ("untrained", "trained"), strict=True):
        beta = beta_axis.label(config.warm_beta)
        _warm_arrows(config, panel, params, data, f"Marginal at {beta}, {title}: {_named(params)}")
    axes[0, 0].set_xlim(-2.6, 2.6)
    axes[0, 0].set_ylim(-2.1, 2.1)
    named = {}
    for panel in axes[:, 0]:
        handles, labels = panel.get_legend_handles_labels()
        named |= dict(zip(labels, handles, strict=True))
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=len(named))
    report.figure(
        "arrows",
        figure,
        "Above: at zero temperature each sample pulls the nearest point of the manifold, and the trained ellipse goes "
        "through the data. Below: with marginalization each sample, such as the one at the green cross, pulls all "
        "points, each with its posterior weight (a darker arrow is a larger weight). The trained ellipse is smaller "
        "than the data, because it is pulled towards their mean.",
    )
    losses = np.asarray(trained.metrics.learner.loss[:, 0])
    for step in range(0, len(losses), max(1, len(losses) // 50)):
        report.metrics(step=step, zero_temperature_loss=losses[step])
    report.summary(
        radii_zero_temperature=np.abs(trained.params.radii),
        radii_marginal=warm.radii,
        free_energy_zero_temperature=losses[-1],
    )


def _named(params: ellipse.Params) -> str:
    first, second = np.abs(np.asarray(params.radii))
    return f"({first:.2f}, {second:.2f})"


def _cold_arrows(axes: Axes, params: ellipse.Params, nearest: Array, data: Array, title: str) -> None:
    plots.curve(axes, _decode(params, circle(240).points), label="manifold")
    plots.arrows(axes, nearest, data)
    axes.plot(*np.asarray(nearest).T, "x", color=plots.PALETTE["vermillion"], markersize=5, label="nearest to a sample")
    plots.scatter(axes, data, label="samples")
    plots.label(axes, "y₁", "y₂", title)


def _warm_arrows(config: Config, axes: Axes, params: ellipse.Params, data: Array, title: str) -> None:
    space = circle(config.latent_points)
    y = data[SHOWN]
    weigh = jax.jit(lambda params, y: posterior(partial(ellipse.energy, params, y), space, config.warm_beta))
    weights = np.asarray(weigh(params, y))
    start = np.asarray(_decode(params, space.points))
    # Even the smallest weight gets a visible shade, because every point is pulled.
    shades = np.tile(np.array([0.835, 0.369, 0.0, 1.0]), (len(weights), 1))
    shades[:, 3] = 0.08 + 0.92 * weights / weights.max()
    plots.curve(axes, _decode(params, circle(240).points))
    plots.arrows(axes, start, np.broadcast_to(y, start.shape), color=shades)
    plots.scatter(axes, data)
    axes.plot(*np.asarray(y), "X", color=plots.PALETTE["green"], markersize=11, zorder=5, label=f"Y[{SHOWN}]")
    plots.label(axes, "y₁", "y₂", title)


def _cross_sections(config: Config, report: Report, swept: collapse.Sweep) -> None:
    """F along y1 = 0 of the ellipse trained at zero temperature, and of those trained at each beta."""
    y2 = np.linspace(-2.5, 2.5, 201)
    line = np.stack([np.zeros_like(y2), y2], axis=1).astype(np.float32)
    own = np.stack([swept.trained(beta) for beta in config.betas])
    cold = np.broadcast_to(swept.trained(math.inf), own.shape)

    @jax.jit
    def sections(radii, betas):
        section = lambda radii, beta: jax.vmap(lambda y: _warm(config, beta)(ellipse.Params(radii), y))(line)
        return jax.vmap(section)(radii, betas)

    betas = np.array(config.betas, np.float32)
    colors = beta_axis.colors(config.betas)
    figure, axes = plots.panels(1, 2, width=5.4, height=4.4, share_y=True)
    titles = ("One ellipse, trained at β = ∞", "Each trained at its own β")
    for panel, radii, title in zip(axes[0], (cold, own), titles, strict=True):
        plots.lines(panel, y2, sections(radii, betas), [beta_axis.label(beta) for beta in config.betas], colors)
        panel.get_legend().remove()
        plots.label(panel, "y₂", "free energy Fβ", f"{title}: F at y₁ = 0")
        panel.tick_params(labelleft=True)
    axes[0, 1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    report.figure(
        "cross_sections",
        figure,
        "Left: the free energy of the ellipse trained at zero temperature. As β falls, the sharp peak in the middle "
        "becomes round and disappears. Right: the same for ellipses that were each trained at the β of their curve. "
        "At the smallest β they have collapsed to a point, and the curve is the squared distance from that point.",
    )
