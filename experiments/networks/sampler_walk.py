"""Five samplers of a law with five wells.

The energy has five wells of unequal weight on a circle, and its law exp(-βE)/Z is known exactly on a grid. All chains
of all samplers start in the lightest well. **Metropolis** proposes random steps. **Langevin** follows the gradient,
with noise. **MALA** is Langevin with Metropolis' acceptance rule, which removes its bias. **Hamiltonian** Monte Carlo
follows a trajectory of several gradient steps before it accepts. **Tempering** runs MALA at several temperatures and
swaps the chains: hot chains cross the barriers between wells.

Within a well the gradient helps. Between wells it does not: all samplers but tempering have to wait for a rare event,
and good mixing within one well says nothing about the others. Here the effective sample size is therefore the least
one over seven quantities: both coordinates, and for each well whether the point is in it. It includes the disagreement
between chains. It is zero if no chain has found some well, and small if the share of a well is clearly wrong.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from matplotlib.ticker import NullFormatter

from ebmjax.diagnostics import acceptance_rate, effective_sample_size
from ebmjax.loops import trajectory
from ebmjax.marginalize.spaces import box
from ebmjax.sample.hamiltonian import hamiltonian
from ebmjax.sample.langevin import mala, unadjusted
from ebmjax.sample.metropolis import gaussian_step, metropolis
from ebmjax.sample.tempering import tempering
from ebmjax.types import Kernel
from experiments.application import options
from experiments.application.console import Advance
from experiments.application.options import AtLeast, Count, Inside, Positive
from experiments.application.report import Report
from experiments.drawing import plots

WELLS = 5
WEIGHTS = np.array([1.0, 2.0, 4.0, 3.0, 2.0]) / 12
RADIUS, WIDTH = 2.5, 0.38
ANGLES = 2 * np.pi * np.arange(WELLS) / WELLS + np.pi / 2
CENTRES = RADIUS * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
EDGE, CELLS = 4.5, 36  # half the width of the window, and the cells along its sides in which samples are counted
COLORS = [plots.PALETTE[name] for name in ("blue", "orange", "green", "vermillion", "purple")]


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    beta: Positive = 1.0
    """Inverse temperature of the law."""
    chains: Annotated[int, AtLeast(2)] = 256
    """Chains of each sampler, all started in the lightest well."""
    steps: Annotated[int, AtLeast(16)] = 4000
    """Steps of each chain. The first half is burn-in, which is not counted."""
    shown: Annotated[int, AtLeast(2)] = 500
    """Steps of one chain in the pictures."""
    scale: Positive = 0.7
    """Standard deviation of a step of Metropolis, in units of y."""
    step_size: Positive = 0.07
    """Step size ε of Langevin and MALA, in units of y²."""
    time_step: Positive = 0.3
    """Time step of the leapfrog integrator, in units of y."""
    leaps: Count = 6
    """Leapfrog steps in one step of Hamiltonian Monte Carlo."""
    rungs: Annotated[int, AtLeast(2)] = 5
    """Number of temperatures in tempering, from `hottest` to `beta`."""
    hottest: Annotated[float, Inside(0, 1)] = 0.1
    """Least inverse temperature in tempering, relative to `beta`."""
    repeats: Count = 3
    """Timed runs of each sampler; the fastest one counts."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(chains=64, steps=800, shown=300, repeats=1)


class Sampler(NamedTuple):
    """A kernel and how to read its positions and infos."""

    name: str
    """The name in pictures and tables."""
    kernel: Kernel
    start: Any
    """The first position."""
    point: Callable[[Any], Array] = lambda position: position
    """The point in the plane, read from a position."""
    accepted: Callable[[Any], Array | None] = lambda info: info.accepted
    """Whether the move was accepted, read from an info; None where no move is rejected."""


class Walk(NamedTuple):
    """The run of a sampler."""

    points: np.ndarray
    """Points of all chains, (chains, steps, 2)."""
    acceptance: float
    """Share of accepted moves; 1 where no move is rejected."""
    seconds: float
    """Time of the fastest run, without compilation."""


class Scores(NamedTuple):
    """Measures of the quality of a sampler's draws."""

    effective: float
    """Effective sample size of the quantity that is estimated worst."""
    wells: float
    """Total variation of the five weights: half the sum of their absolute errors."""
    variation: float
    """Total variation between the histogram of all draws and the law, in cells of a quarter of a unit."""


def energy(y: Array) -> Array:
    """E(y) = -log Σ w_k exp(-‖y - c_k‖²/(2 σ²)): five wells on a circle, of width σ."""
    squares = jnp.sum((y[None, :] - jnp.asarray(CENTRES, y.dtype)) ** 2, axis=1)
    return -jax.nn.logsumexp(jnp.log(jnp.asarray(WEIGHTS, y.dtype)) - squares / (2 * WIDTH**2))


def well(points: np.ndarray) -> np.ndarray:
    """The well of each point (..., 2): that with the nearest centre."""
    return np.argmin(np.square(points[..., None, :] - CENTRES).sum(axis=-1), axis=-1)


def exact_law(beta: float, fine: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities of the cells, (CELLS, CELLS), and of the wells, from fine × fine points in each cell."""
    points = box(-EDGE, EDGE, CELLS * fine, 2).points
    levels = np.asarray(jax.jit(jax.vmap(energy))(points), np.float64)
    weights = np.exp(-beta * (levels - levels.min()))
    weights /= weights.sum()
    cells = weights.reshape(CELLS, fine, CELLS, fine).sum(axis=(1, 3))
    return cells, np.bincount(well(np.asarray(points)), weights, WELLS)


def samplers(config: Config) -> list[Sampler]:
    """The five samplers, all started in the lightest well."""
    beta, start = config.beta, jnp.asarray(CENTRES[0], jnp.float32)
    betas = jnp.geomspace(config.hottest * beta, beta, config.rungs)
    ladder = tempering(energy, lambda cold: mala(energy, cold, config.step_size * beta / cold), betas)
    return [
        Sampler("Metropolis", metropolis(energy, beta, gaussian_step(config.scale)), start),
        Sampler("Langevin", unadjusted(energy, beta, config.step_size), start, accepted=lambda info: None),
        Sampler("MALA", mala(energy, beta, config.step_size), start),
        Sampler("Hamiltonian", hamiltonian(energy, beta, config.time_step, config.leaps), start),
        Sampler(
            "Tempering",
            ladder,
            jnp.tile(start[None, :], (config.rungs, 1)),
            lambda position: position[-1],
            lambda info: info.kernel.accepted[-1],
        ),
    ]


def walk(config: Config, report: Report, move: Advance, key: Array, sampler: Sampler) -> Walk:
    """Run all chains: once to get their points, then again to measure the time. The bar moves after each run."""

    def chain(key):
        _, positions, infos = trajectory(key, sampler.kernel, sampler.start, config.steps)
        return jax.vmap(sampler.point)(positions), jax.vmap(sampler.accepted)(infos)

    keys = jax.random.split(key, config.chains)
    executable = report.program(jax.vmap(chain), keys)
    points, accepted = jax.block_until_ready(executable(keys))
    move(1, sampler.name)
    seconds = []
    for _ in range(config.repeats):
        begun = time.perf_counter()
        jax.block_until_ready(executable(keys))
        seconds.append(time.perf_counter() - begun)
        move(1, f"{sampler.name}: {seconds[-1]:.3g} s")
    acceptance = 1.0 if accepted is None else float(acceptance_rate(accepted))
    return Walk(np.asarray(points), acceptance, min(seconds))


def score(points: np.ndarray, cells: np.ndarray, wells: np.ndarray) -> Scores:
    """Compare draws (chains, draws, 2) with the law of the cells and of the wells."""
    inside = well(points)[..., None] == np.arange(WELLS)
    moments = np.concatenate([points, inside], axis=-1).astype(np.float32)
    sizes = np.asarray(jax.jit(jax.vmap(effective_sample_size, -1))(jnp.asarray(moments)))
    never = np.ptp(moments, axis=(0, 1)) == 0  # no draw in a well, or all draws: the effective sample size is not known
    # Where a weight is clearly wrong, count the independent draws whose standard error would be as large as the error.
    gap, spread = inside.mean(axis=(0, 1)) - wells, wells * (1 - wells)
    sure = np.square(gap) > 25 * spread / sizes[2:]
    sizes = np.concatenate([sizes[:2], np.where(sure, spread / np.maximum(np.square(gap), 1e-12), sizes[2:])])
    edges = np.linspace(-EDGE, EDGE, CELLS + 1)
    first, second = np.clip(points.reshape(-1, 2), -EDGE, EDGE).T
    counts = np.histogram2d(first, second, (edges, edges))[0]
    return Scores(
        float(np.where(never, 0, sizes).min()),
        float(np.abs(inside.mean(axis=(0, 1)) - wells).sum() / 2),
        float(np.abs(counts / counts.sum() - cells).sum() / 2),
    )


def run(config: Config, report: Report) -> None:
    """Run the samplers, compare their draws with the law, and draw the results."""
    cells, wells = exact_law(config.beta)
    exact_key, *keys = jax.random.split(report.key(), 6)
    names, walks, scores = [], [], []
    title = f"{config.chains} chains of {config.steps} steps"
    with report.bar(title, len(keys) * (1 + config.repeats)) as move:
        for key, sampler in zip(keys, samplers(config), strict=True):
            names.append(sampler.name)
            walks.append(walk(config, report, move, key, sampler))
            scores.append(score(walks[-1].points[:, config.steps // 2 :], cells, wells))
            report.metrics(
                sampler=sampler.name, acceptance=walks[-1].acceptance, seconds=walks[-1].seconds, **scores[-1]._asdict()
            )
    counted = config.chains * (config.steps - config.steps // 2)
    exact = np.random.default_rng(int(jax.random.bits(exact_key))).multinomial(counted, cells.ravel() / cells.sum())
    floor = float(np.abs(exact / counted - cells.ravel()).sum() / 2)
    per_second = [score.effective / walk.seconds for score, walk in zip(scores, walks, strict=True)]
    best = int(np.argmax(per_second))
    report.summary(
        best_sampler=names[best],
        effective_samples_per_second={name: round(rate, 1) for name, rate in zip(names, per_second, strict=True)},
        total_variation={name: round(score.variation, 4) for name, score in zip(names, scores, strict=True)},
    )
    _paths(config, report, names, walks)
    _traces(config, report, names, walks)
    report.text(
        "Both errors are total variations, between 0 and 1: of the five weights, and of the histogram in cells of a "
        f"quarter of a unit. For {counted:,} independent draws the error of the histogram is {floor:.4f}. The "
        "effective sample size is that of the quantity that is estimated worst, from the second halves of all chains. "
        "Where the share of a well is wrong by more than five standard errors, it is the number of independent draws "
        "that would have an error of this size. Seconds are the time of a whole run on this machine, without "
        f"compilation. One step of Hamiltonian Monte Carlo takes {config.leaps} gradients, one step of tempering "
        f"{2 * config.rungs}."
    )
    report.table(
        "Five samplers",
        (
            "sampler",
            "accepted",
            "seconds",
            "effective sample size",
            "effective samples per second",
            "error of the weights",
            "error of the histogram",
        ),
        [
            (name, walk.acceptance, walk.seconds, score.effective, rate, score.wells, score.variation)
            for name, walk, score, rate in zip(names, walks, scores, per_second, strict=True)
        ],
    )
    _bars(report, names, walks, scores, per_second, floor)
    _convergence(report, names, walks, wells)


def _paths(config: Config, report: Report, names: list[str], walks: list[Walk]) -> None:
    axis = np.linspace(-EDGE, EDGE, 181)
    grid = jnp.asarray(np.stack(np.meshgrid(axis, axis), axis=-1), jnp.float32)
    levels = np.asarray(jax.jit(jax.vmap(jax.vmap(energy)))(grid))
    figure, axes = plots.panels(2, 3, width=3.3, height=3.3)
    for place, panel in enumerate(axes.ravel()):
        panel.contour(axis, axis, levels, np.arange(1.0, 14.0, 1.5), colors="0.75", linewidths=0.7)
        panel.set(aspect="equal", xlim=(-EDGE, EDGE), ylim=(-EDGE, EDGE), xticks=(-4, 0, 4), yticks=(-4, 0, 4))
        if place == WELLS:
            law = np.exp(-config.beta * (levels - levels.min()))
            panel.contourf(axis, axis, law, 12, cmap="Greys")
            plots.label(panel, "y₁", "y₂", "Exact law")
            continue
        path = walks[place].points[0, : config.shown]
        panel.plot(*path.T, color=COLORS[place], linewidth=0.5, alpha=0.6)
        panel.plot(*path.T, ".", color=COLORS[place], markersize=2.5)
        panel.plot(*CENTRES[0], "x", color=plots.PALETTE["black"], markersize=7)
        plots.label(panel, "y₁", "y₂", names[place])
    report.figure(
        "paths",
        figure,
        caption=f"The first {config.shown} steps of one chain of each sampler. Contours of the energy are 1.5 apart. "
        "All chains start at the cross. The last panel is the exact law.",
    )


def _traces(config: Config, report: Report, names: list[str], walks: list[Walk]) -> None:
    figure, axes = plots.panels(WELLS, 1, width=8.0, height=1.35, share_x=True, share_y=True)
    steps = np.arange(1, config.shown + 1)
    for place, (panel, name, walk) in enumerate(zip(axes[:, 0], names, walks, strict=True)):
        for centre in CENTRES[:, 0]:
            panel.axhline(centre, color="0.85", linewidth=0.8)
        shown = walk.points[0, : config.shown, 0]
        panel.plot(steps[: len(shown)], shown, color=COLORS[place], linewidth=0.8)
        panel.set(ylim=(-EDGE, EDGE), yticks=(-3, 0, 3), xlim=(0, config.shown))
        plots.label(panel, "step" if place == WELLS - 1 else "", "y₁", name)
    report.figure(
        "traces", figure, caption="The first coordinate of the same chains. Grey lines: the centres of the wells."
    )


def _bars(
    report: Report, names: list[str], walks: list[Walk], scores: list[Scores], per_second: list[float], floor: float
) -> None:
    figure, axes = plots.panels(1, 3, width=3.3, height=3.0)
    values = ([walk.acceptance for walk in walks], per_second, [score.variation for score in scores])
    titles = ("Accepted moves", "Effective samples per second", "Error of the histogram")
    for place, (panel, value, title) in enumerate(zip(axes[0], values, titles, strict=True)):
        if place == 1:  # points instead of bars, since a logarithmic axis has no zero
            panel.scatter(np.maximum(value, 1), names, color=COLORS, s=60)
            panel.set_xscale("log")
            panel.set_xlim(0.5, 10 * max(value))
            panel.xaxis.set_minor_formatter(NullFormatter())
        else:
            panel.barh(names, value, color=COLORS)
        panel.set_ylim(WELLS - 0.4, -0.6)
        panel.grid(visible=place == 1, axis="y")
        if place:
            panel.tick_params(axis="y", labelleft=False)
        plots.label(panel, ("share of moves", "per second", "total variation")[place], "", title)
    axes[0, 2].axvline(floor, color=plots.PALETTE["black"], linestyle="--", linewidth=1)
    report.figure(
        "scores",
        figure,
        caption="The share of accepted moves says little about the quality of a sampler. Rates below 1 are drawn at 1. "
        "Dashed line: the error of as many independent draws.",
    )


def _convergence(report: Report, names: list[str], walks: list[Walk], wells: np.ndarray) -> None:
    figure, axes = plots.one()
    for name, color, walk in zip(names, COLORS, walks, strict=True):
        steps = np.unique(np.geomspace(1, walk.points.shape[1], 60).astype(int))
        shares = (well(walk.points[:, steps - 1])[..., None] == np.arange(WELLS)).mean(axis=0)
        axes.loglog(steps, np.abs(shares - wells).sum(axis=1) / 2, color=color, label=name)
    axes.legend()
    plots.label(axes, "step", "total variation of the five weights")
    report.figure(
        "convergence",
        figure,
        caption="How the chains find the other wells: the error of the five weights, estimated from all chains at one "
        "step. It cannot fall below the sampling noise of this number of chains.",
    )
