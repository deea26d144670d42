"""Cold, warm and hot: the free energy of an ellipse at every temperature.

The energy E(y, z) is the squared distance of y from the point at angle z of an ellipse. Its minimum over z is the
**cold** free energy F_∞. It is zero on the ellipse, and has a sharp peak in the middle, where opposite points of the
ellipse are equally near. Marginalizing over z at a finite inverse temperature β gives the **warm** free energy F_β. Its
peak is round, and the smaller β is, the flatter it is, until the middle is the only minimum. The **hot** limit β = 0 is
the average of the energy over z: ‖y‖² plus a constant, which is the mean squared error.

The setting is that of Canziani & LeCun (NYU Deep Learning, week 15): radii 2 and 1.5, 48 latent angles.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.axes import Axes

from ebmjax import circle, free_energy, posterior, problems
from ebmjax.energies import ellipse
from ebmjax.loops import iterate
from ebmjax.marginalize.free_energy import energies_of_points
from ebmjax.minimize.search import refined_search
from experiments.application import options
from experiments.application.options import AtLeast, Between, Inside
from experiments.application.report import Report
from experiments.drawing import beta_axis, plots

SAMPLES = 24  # the lecture has Y[0] … Y[23], and shows two of them
SHOWN = (23, 10)

GOLDEN_Y2 = (0.0, 1.0, 1.5, 2.0)
GOLDEN = {  # F_β at (0, y2) for radii (2, 1.5) and 48 angles, rounded to three decimals
    0.1: (3.106, 3.872, 4.835, 6.188),
    0.3: (3.068, 3.348, 3.795, 4.552),
    1.0: (2.942, 2.035, 1.916, 2.264),
    10**0.5: (2.683, 1.013, 0.798, 1.076),
    10.0: (2.449, 0.550, 0.311, 0.569),
    math.inf: (2.25, 0.25, 0.0, 0.25),
}

Betas = Annotated[tuple[float, ...], Between(0, math.inf)]


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    radii: Annotated[tuple[float, float], Inside(0, math.inf)] = (2.0, 1.5)
    """The two radii of the ellipse, in the units of y."""
    latent_points: Annotated[int, AtLeast(4)] = 48
    """Angles z on the latent circle."""
    step: Annotated[float, Between(0.005, 1)] = 0.025
    """Spacing of the grid over y in the maps and cross-sections (0.25 in the lecture)."""
    betas: Betas = (0.1, 0.3, 1.0, 10**0.5, 10.0, math.inf)
    """Inverse temperatures of the cross-sections."""
    map_betas: Betas = (10**0.5, 1.0, 0.1)
    """Inverse temperatures of the warm maps."""

    def __post_init__(self):
        options.check(self)
        options.require(len(self.betas) > 0, "betas", self.betas, "at least one inverse temperature")
        options.require(len(self.map_betas) > 0, "map_betas", self.map_betas, "at least one inverse temperature")


QUICK = Config(step=0.25)


def run(config: Config, report: Report) -> None:
    """Draw maps, weights and cross-sections, and compare the free energies with reference values and limits."""
    params = ellipse.Params(jnp.array(config.radii))
    data = problems.ellipse_data(report.key(), SAMPLES)
    _maps(config, report, params, data)
    _weights(config, report, params, data)
    _warm_maps(config, report, params)
    _cross_sections(config, report, params)
    _golden_table(report)
    _limits(config, report, params, data)


def _free_energy(params: ellipse.Params, points: int, y: Float[Array, "2"], beta: Array | float) -> Array:
    return free_energy(partial(ellipse.energy, params, y), circle(points), beta)


def _plane(config: Config) -> tuple[np.ndarray, np.ndarray, Array]:
    """A grid over y1 in [-3, 3] and y2 in [-2, 2] as in the lecture, or wider for a larger ellipse: axes and points."""
    half = [max(least, math.ceil(2 * radius + 1) / 2) for least, radius in zip((3.0, 2.0), config.radii, strict=True)]
    y1, y2 = (np.linspace(-end, end, 2 * round(end / config.step) + 1) for end in half)
    return y1, y2, jnp.asarray(np.stack(np.meshgrid(y1, y2, indexing="ij"), axis=-1), jnp.float32)


def _over_plane(function, plane: Array) -> Array:
    return jax.vmap(jax.vmap(function))(plane)


def _maps(config: Config, report: Report, params: ellipse.Params, data: Array) -> None:
    """F_inf over the plane, its cross-section, and the error of a minimum over the grid of angles alone."""
    y1, y2, plane = _plane(config)
    space = circle(config.latent_points)

    def cold_and_refined(plane):
        cold = _over_plane(lambda y: _free_energy(params, config.latent_points, y, jnp.inf), plane)
        refined = _over_plane(lambda y: refined_search(partial(ellipse.energy, params, y), space).energy, plane)
        return cold, refined

    cold, refined = report.compiled(cold_and_refined, plane)
    excess = np.asarray(cold - refined)
    manifold = jax.vmap(partial(ellipse.decode, params))(circle(240).points)

    figure, axes = plots.panels(1, 2, width=5.4, height=3.6)
    plots.cold_warm_map(axes[0, 0], y1, y2, refined, title="F∞(y): squared distance from the ellipse")
    axes[0, 0].plot(*np.asarray(manifold).T, color="white", linewidth=0.8)
    plots.scatter(axes[0, 0], data)
    _grid_excess(axes[0, 1], y1, y2, excess, manifold, config)
    report.figure(
        "cold_map",
        figure,
        f"Left: the cold free energy with refined angles, and the {SAMPLES} samples. It is the squared distance from "
        f"the ellipse, and has a ridge in the middle. Right: the error of the minimum over {config.latent_points} "
        "angles alone. It is always too high, most for y between the directions of two angles.",
    )

    middle = len(y1) // 2
    figure, axes = plots.one()
    axes.plot(y2, np.asarray(refined)[middle], color=plots.PALETTE["blue"])
    for radius in (-config.radii[1], config.radii[1]):
        axes.axvline(radius, color="#777777", linestyle=":", linewidth=1.2)
    plots.label(axes, "y₂", "free energy F∞", "Cross-section at y₁ = 0 (dotted: the ellipse)")
    report.figure(
        "cold_cross_section",
        figure,
        "The cold free energy along y₁ = 0. It consists of two parabolas, one for each side of the ellipse, which meet "
        "in a peak.",
    )
    report.summary(grid_excess_max=excess.max())
    report.text(
        f"The minimum over {config.latent_points} angles alone is at most {excess.max():.4f} above the refined "
        "minimum. For a circle of radius r and a y at the distance R from its centre, the error with n angles is up to "
        "(π/n)² r R. A larger manifold therefore needs a finer grid."
    )


def _grid_excess(axes: Axes, y1: np.ndarray, y2: np.ndarray, excess: np.ndarray, manifold: Array, config: Config):
    image = axes.pcolormesh(y1, y2, excess.T, cmap="cividis", shading="nearest", vmin=0)
    axes.figure.colorbar(image, ax=axes, shrink=0.8, label="F∞ on the grid − F∞ refined")
    axes.grid(visible=False)
    plots.curve(axes, manifold, color="white")
    plots.label(axes, "y₁", "y₂", f"Error of {config.latent_points} angles alone")


def _weights(config: Config, report: Report, params: ellipse.Params, data: Array) -> None:
    """exp(-E(y', z)) at beta = 1: the weight of each point of the ellipse for a given y'."""
    space = circle(config.latent_points)
    # The first angle is repeated at 2π, because the angle is periodic.
    z = np.append(np.asarray(space.points), 2 * np.pi)
    points = jax.vmap(partial(ellipse.decode, params))(space.points)
    manifold = jax.vmap(partial(ellipse.decode, params))(circle(240).points)
    shown = {f"Y[{index}]": data[index] for index in SHOWN} | {"the origin": jnp.zeros(2)}

    figure, axes = plots.panels(2, len(shown), width=4.3, height=3.1)
    rows = []
    for (name, y), on_ellipse, over_z in zip(shown.items(), axes[0], axes[1], strict=True):
        energy = partial(ellipse.energy, params, y)
        unnormalized = np.exp(-np.asarray(energies_of_points(energy, space)))
        share = np.asarray(posterior(energy, space, 1.0))
        free = float(free_energy(energy, space, 1.0))
        # The last entry is the number of angles of equal weight that would have the same sum of squared weights.
        rows.append((f"y' = {name}", float(y[0]), float(y[1]), unnormalized.max(), free, 1 / np.sum(share**2)))

        plots.curve(on_ellipse, manifold, color="#bbbbbb")
        image = on_ellipse.scatter(*np.asarray(points).T, c=unnormalized, cmap="viridis", s=34, zorder=3, vmin=0)
        on_ellipse.plot(*np.asarray(y), "x", color=plots.PALETTE["vermillion"], markersize=9, markeredgewidth=2.4)
        on_ellipse.figure.colorbar(image, ax=on_ellipse, shrink=0.8, label="exp(−E)")
        plots.label(on_ellipse, "y₁", "y₂", f"y' = {name} (cross)")
        over_z.plot(z, np.append(unnormalized, unnormalized[0]), color=plots.PALETTE["blue"], marker=".")
        over_z.set_xticks(np.pi * np.arange(0, 2.5, 0.5), ["0", "π/2", "π", "3π/2", "2π"])
        over_z.set_ylim(bottom=0)
        plots.label(over_z, "latent angle z (radians)", "exp(−E(y', z))", f"F₁(y') = {free:.3f}")
    report.figure(
        "weights",
        figure,
        "exp(−βE(y', z)) at β = 1 on the ellipse (above) and against the angle (below). For a y' on the ellipse only "
        "the points near it have a large weight. For the origin all points have some weight, and those on the shorter "
        "axis the largest. Each panel has its own scale.",
    )
    report.table("Weights at β = 1", ("point", "y₁", "y₂", "largest exp(−E)", "F₁", "effective number of angles"), rows)


def _warm_maps(config: Config, report: Report, params: ellipse.Params) -> None:
    """F_beta over the plane: as beta falls, the minima move to the middle until there is only one."""
    y1, y2, plane = _plane(config)
    betas = jnp.array(config.map_betas)
    evaluate = jax.vmap(lambda beta: _over_plane(lambda y: _free_energy(params, config.latent_points, y, beta), plane))
    values = np.asarray(report.compiled(evaluate, betas))
    figure, axes = plots.panels(1, len(betas), width=4.3, height=3.2)
    for index, (panel, beta, value) in enumerate(zip(axes[0], config.map_betas, values, strict=True)):
        least = value.min()
        image = plots.cold_warm_map(
            panel,
            y1,
            y2,
            value - least,
            title=f"{beta_axis.label(beta)}, least F = {least:.3f}",
            contours=(0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 4.0, 8.0),
            colorbar=index == len(betas) - 1,
        )
        if image.colorbar:
            image.colorbar.set_label("F − least F")
    report.figure(
        "warm_maps",
        figure,
        "Warm free energies, each above its own least value. As β falls, the ridge in the middle becomes lower. Below "
        "a critical β the origin is the only minimum. Contours are drawn at 0.1, 0.25, 0.5, 0.75, 1, 2, 4 and 8.",
    )
    report.summary(single_bowl_below_beta=_single_minimum_below(config, params))


def _single_minimum_below(config: Config, params: ellipse.Params) -> float:
    """The beta at which the origin changes from a minimum of F_beta to a saddle: its smaller curvature is zero."""
    curvatures = jax.jit(jax.hessian(partial(_free_energy, params, config.latent_points)))

    def halve(ends):
        low, high = ends
        middle = jnp.sqrt(low * high)
        minimum = jnp.linalg.eigvalsh(curvatures(jnp.zeros(2), middle))[0] > 0
        return jnp.where(minimum, middle, low), jnp.where(minimum, high, middle)

    # On the axes F'' = 2 - 4 beta w² <cos²>, so the critical beta is of the order 1/w².
    scale = 1 / max(config.radii) ** 2
    low, _ = jax.jit(lambda ends: iterate(halve, ends, 40))((jnp.array(scale / 8), jnp.array(scale * 8)))
    return float(low)


def _cross_sections(config: Config, report: Report, params: ellipse.Params) -> None:
    """F_beta along y1 = 0 at every beta of the options, in one compiled call."""
    _, y2, _ = _plane(config)
    line = jnp.stack([jnp.zeros(len(y2)), jnp.asarray(y2, jnp.float32)], axis=1)
    section = _sections(params, config.latent_points)
    values = report.compiled(section, line, jnp.array(config.betas))
    figure, axes = plots.one(width=7.4, height=4.6)
    plots.lines(axes, y2, values, [beta_axis.label(beta) for beta in config.betas], beta_axis.colors(config.betas))
    # Beside the curves, so that it covers none of them.
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    plots.label(axes, "y₂", "free energy Fβ", "Cross-sections at y₁ = 0, from hot to cold")
    report.figure(
        "cross_sections",
        figure,
        "The free energy along y₁ = 0. It does not increase with β: the average (hot) is above the marginal (warm), "
        "which is above the minimum (cold). The sharp peak of the cold curve becomes round, and disappears as β falls.",
    )


def _sections(params: ellipse.Params, latent_points: int):
    return jax.vmap(
        jax.vmap(partial(_free_energy, params, latent_points), in_axes=(0, None)), in_axes=(None, 0)
    )  # (line, betas) -> (betas, line)


def _golden_table(report: Report) -> None:
    """Compare the reference values with ours, always in the setting of the lecture."""
    line = jnp.stack([jnp.zeros(len(GOLDEN_Y2)), jnp.array(GOLDEN_Y2)], axis=1)
    section = jax.jit(_sections(ellipse.Params(jnp.array([2.0, 1.5])), 48))
    measured = np.asarray(section(line, jnp.array(list(GOLDEN))))
    rows = [
        (beta_axis.label(beta), f"{y2:g}", reference, float(value))
        for (beta, references), values in zip(GOLDEN.items(), measured, strict=True)
        for y2, reference, value in zip(GOLDEN_Y2, references, values, strict=True)
    ]
    report.table(
        "Fβ at (0, y₂) for radii (2, 1.5) and 48 angles: reference and measured values",
        ("inverse temperature", "y₂", "reference", "measured"),
        rows,
    )
    report.summary(golden_deviation=np.abs(measured - np.array(list(GOLDEN.values()))).max())


def _limits(config: Config, report: Report, params: ellipse.Params, data: Array) -> None:
    """F_beta at fixed y as a function of beta, between the average and the minimum of the energy."""
    space = circle(config.latent_points)
    betas = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 61), [np.inf]])
    shown = {f"Y[{SHOWN[0]}]": data[SHOWN[0]], "the origin": jnp.zeros(2)}
    sweep = jax.jit(jax.vmap(partial(_free_energy, params, config.latent_points), in_axes=(None, 0)))
    colors = (plots.PALETTE["blue"], plots.PALETTE["vermillion"])

    figure, axes = plots.one(width=7.4, height=4.4)
    hot, warm, cold = 0.0, 0.0, 0.0
    for (name, y), color in zip(shown.items(), colors, strict=True):
        free = np.asarray(sweep(y, jnp.asarray(betas, jnp.float32)))
        # The reference is the definition, evaluated in double precision.
        heights = np.asarray(energies_of_points(partial(ellipse.energy, params, y), space), np.float64)
        finite = betas[1:-1, None]
        marginal = -np.log(np.mean(np.exp(-finite * (heights - heights.min())), axis=1)) / finite[:, 0] + heights.min()
        hot = max(hot, abs(free[0] - heights.mean()))
        warm = max(warm, np.abs(free[1:-1] - marginal).max())
        cold = max(cold, abs(free[-1] - heights.min()))
        places = beta_axis.positions(betas)
        axes.plot(places[1:-1], free[1:-1], color=color, label=f"Fβ at y' = {name}")
        axes.plot(places[[0, -1]], free[[0, -1]], "o", color=color)
        for height, style in ((heights.mean(), "--"), (heights.min(), ":")):
            axes.axhline(height, color=color, linestyle=style, linewidth=1.1)
    beta_axis.draw(axes, betas)
    axes.set_ylabel("free energy Fβ(y')")
    axes.set_title("hot: the average (dashed)  ·  warm: the marginal  ·  cold: the minimum (dotted)")
    axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.75))  # where there are no lines
    report.figure(
        "limits",
        figure,
        "The free energy of a single y' from β = 0 to β = ∞. It falls from the average of the energy over z (dashed) "
        "to its minimum (dotted). At the origin the minimum is not zero, because no point of the ellipse lies there.",
    )
    report.summary(
        hot_minus_average=float(hot),
        warm_minus_marginal=float(warm),
        cold_minus_minimum=float(cold),
    )
