"""Training the ellipse: cold, warm, and with contrasting samples.

Learning shapes the manifold so that the data lie low. At **zero temperature** every sample pulls the one point of the
manifold that is nearest to it; with **marginalization** it pulls all points, each by its posterior weight, so that the
manifold shrinks towards the average. Too hot, it collapses: a radius w_k is lost below the critical inverse temperature

    βc = 1 / (2 E[y_k²]),

where w_k = 0 turns from a valley of the loss into a hill. A sweep over β, trained in one compiled call, draws that
phase transition. **Contrasting** losses (hinge, log) mend the shrinking: they push up what descends from a sample.
"""

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float
from matplotlib.axes import Axes

from ebmjax import circle, free_energy, gradient, posterior, problems, train
from ebmjax.energies import ellipse
from ebmjax.learn.train import Trained
from ebmjax.losses.energy import energy_loss
from ebmjax.losses.functional import Loss, SampleLoss
from ebmjax.minimize.search import refined_search
from ebmjax.types import Beta
from experiments.application.report import Report
from experiments.drawing import beta_axis, plots
from experiments.ellipse import collapse, contrast

SAMPLES = 24  # the lecture's
SHOWN = 23  # the sample whose marginal arrows are drawn
TRUE_RADII = (2.0, 1.5)


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    start: tuple[float, float] = (1.5, 0.4)
    """Radii of the untrained ellipse."""
    latent_points: int = 48
    """Angles z on the latent circle."""
    warm_beta: float = 1.0
    """Inverse temperature of training by marginalization and of the contrasting losses."""
    betas: tuple[float, ...] = (0.1, 0.3, 0.5, 0.75, 1.0, 1.5, 10**0.5, 10.0, 100.0, math.inf)
    """Inverse temperatures of the cross-sections."""
    sweep_points: int = 160
    """Inverse temperatures of the sweep, evenly spaced in the logarithm from 0.15 to 2."""
    updates: int = 1500
    """Updates of each training, all samples in each."""
    rate: float = 0.03
    """Adam's learning rate, which falls to zero along a cosine."""
    margin: float = 1.0
    """Margin of the hinge loss, in units of energy."""
    descent_steps: tuple[int, int] = (3, 200)
    """Steps from a sample to its contrasting point: a short descent, and one to the bottom."""

    def __post_init__(self):
        if not all(0 < radius < math.inf for radius in self.start):
            raise ValueError(f"--start is {self.start}, expected two finite numbers above 0")
        if self.latent_points < 8:
            raise ValueError(f"--latent-points is {self.latent_points}, expected at least 8")
        if not (0 < self.warm_beta < math.inf):
            raise ValueError(f"--warm-beta is {self.warm_beta}, expected a finite number above 0")
        if not (self.betas and all(beta >= 0 for beta in self.betas)):
            raise ValueError(f"--betas is {self.betas}, expected inverse temperatures from 0 to inf")
        for name, value, least in (
            ("--sweep-points", self.sweep_points, 8),
            ("--updates", self.updates, 1),
            ("--descent-steps", min(self.descent_steps), 1),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}, expected at least {least}")
        if not 0 < self.rate < math.inf:
            raise ValueError(f"--rate is {self.rate}, expected a finite number above 0")
        if not 0 <= self.margin < math.inf:
            raise ValueError(f"--margin is {self.margin}, expected a finite number from 0")


QUICK = Config(sweep_points=60, updates=500, descent_steps=(3, 60))


def run(config: Config, report: Report) -> None:
    """Arrows, cross-sections, sweep and contrasting losses."""
    data = jax.jit(problems.ellipse_data, static_argnums=1)(report.key(), SAMPLES)
    angles = circle(SAMPLES).points
    even = _decode(ellipse.Params(jnp.array(TRUE_RADII)), angles)
    fit, free = partial(_fit, config), partial(_warm, config)
    swept = collapse.sweep(report, fit, free, data, even, config.sweep_points, (config.warm_beta, *config.betas))
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


def _fit(config: Config, loss: Loss, data: Array) -> Trained:
    """From the untrained radii to the end: full batches, so that nothing but the loss decides where that is."""
    learner = gradient(loss, optax.adam(optax.cosine_decay_schedule(config.rate, config.updates)))
    start = ellipse.Params(jnp.array(config.start))
    return train(jax.random.key(0), learner, start, data, batch_size=len(data), epochs=config.updates)


def _arrows(config: Config, report: Report, data: Array, warm_radii: Float[np.ndarray, "2"]) -> None:
    """Who pulls whom: the nearest point at zero temperature, every point by its weight when warm."""
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
        "through the data. Below: marginalizing, one sample (green cross) pulls all of the points, each by its "
        "posterior weight (the darker, the more). The trained ellipse is smaller than the data: it is drawn towards "
        "the average.",
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
    # No weight at all is still a shade: each of the points is pulled.
    shades = np.tile(np.array([0.835, 0.369, 0.0, 1.0]), (len(weights), 1))
    shades[:, 3] = 0.08 + 0.92 * weights / weights.max()
    plots.curve(axes, _decode(params, circle(240).points))
    plots.arrows(axes, start, np.broadcast_to(y, start.shape), color=shades)
    plots.scatter(axes, data)
    axes.plot(*np.asarray(y), "X", color=plots.PALETTE["green"], markersize=11, zorder=5, label=f"Y[{SHOWN}]")
    plots.label(axes, "y₁", "y₂", title)


def _cross_sections(config: Config, report: Report, swept: collapse.Sweep) -> None:
    """F at y1 = 0 of the manifold trained cold, and of those trained at each beta."""
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
        "Left: the free energy of the ellipse trained at zero temperature. The cold peak in the middle is rounded off "
        "as β falls, until a smooth parabola is left. Right: the same with the ellipse that was trained at that "
        "temperature; the hottest have collapsed to a point, and their curves to one: the squared distance from it.",
    )
