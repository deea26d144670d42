"""What is known of an estimator in `free_energy_league`: its scores against the exact log Z, and their pictures."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from ebmjax.types import CONVERGED, RESULTS, Estimate
from experiments.application.report import Report
from experiments.drawing import plots
from experiments.spins import league_estimators as league
from experiments.spins.league_problems import Problem

BAND = (0.8, 1.3)
"""The standard deviation of z-scores of error bars that are right."""
ENOUGH = 10
"""A standard deviation is that of at least so many z-scores."""
COLORS = {
    league.AIS: ("vermillion", "v"),
    league.BOTH: ("orange", "D"),
    league.FIXED: ("green", "s"),
    league.ADAPTIVE: ("sky", "o"),
    league.MBAR: ("blue", "P"),
    league.STONES: ("purple", "^"),
    league.INTEGRATION: ("yellow", "X"),
    league.DENSITY: ("black", "*"),
}


class Score(NamedTuple):
    """One estimator on one problem, with one amount of work."""

    problem: str
    estimator: str
    work: float
    """Mean number of sweeps of a run."""
    runs: int
    deviation: float
    """Root mean square of log Z less the truth, over all runs with a finite log Z."""
    error: float
    """Mean of their own standard errors."""
    converged: float
    """Share of the runs that say so."""
    spread: float
    """Standard deviation of the z-scores of these; NaN where they are few."""
    shift: float
    """Mean of these z-scores."""
    code: str
    """The most common result."""

    @property
    def noise(self) -> float:
        """The standard error of `spread`."""
        return self.spread / np.sqrt(2 * max(1, self.converged * self.runs - 1))


def judged(problem: Problem, name: str, estimate: Estimate, work: float) -> Score:
    """The score of the runs of one estimator against the truth."""
    value, error = (np.asarray(part, np.float64) for part in (estimate.log_partition, estimate.standard_error))
    result = np.asarray(estimate.result)
    away = value - problem.truth
    known = np.isfinite(away)
    good = known & (result == CONVERGED) & (error > 0)
    z = away[good] / np.hypot(error[good], problem.truth_error)
    few = len(z) < ENOUGH
    average = lambda numbers: float(np.mean(numbers)) if numbers.size else float("nan")
    codes = np.bincount(result, minlength=len(RESULTS))
    return Score(
        problem.name,
        name,
        float(work),
        len(value),
        float(np.sqrt(average(away[known] ** 2))),
        average(error[np.isfinite(error)]),
        float(np.mean(result == CONVERGED)),
        float("nan") if few else float(z.std(ddof=1)),
        float("nan") if few else float(z.mean()),
        RESULTS[int(codes.argmax())],
    )


def with_most_work(scores: list[Score]) -> list[Score]:
    """The score with the largest amount of work, of each problem and estimator."""
    found: dict[tuple[str, str], Score] = {}
    for score in scores:
        place = (score.problem, score.estimator)
        if place not in found or score.work > found[place].work:
            found[place] = score
    return list(found.values())


def verdict(score: Score) -> str:
    """What became of an estimator: a few words for the table."""
    if score.converged < 0.5:
        return "says that it failed"
    if np.isnan(score.spread):
        return "too few runs to judge"
    low, high = BAND
    if score.spread > high or abs(score.shift) > 1:
        return "errors too small"
    return "errors too large" if score.spread < low else "right"


def _grid(count: int) -> tuple[Any, list[Axes]]:
    columns = min(4, count + 1)
    rows = -(-(count + 1) // columns)
    figure, axes = plots.panels(rows, columns, width=3.4, height=3.1)
    return figure, list(axes.flat)


def _decades(scores: list[Score], field: str) -> tuple[float, float]:
    """Limits of a logarithmic axis that hold all values and a power of ten at each end, so that both are named."""
    values = np.array([getattr(score, field) for score in scores])
    values = values[np.isfinite(values) & (values > 0)]
    return 0.8 * 10 ** np.floor(np.log10(values.min())), 1.25 * 10 ** np.ceil(np.log10(values.max()))


def draw_errors(report: Report, scores: list[Score]) -> None:
    """Error against work, a panel for each problem."""
    names = list(dict.fromkeys(score.problem for score in scores))
    figure, axes = _grid(len(names))
    shown = {}
    for panel, name in zip(axes, names, strict=False):
        for estimator, (color, marker) in COLORS.items():
            curve = sorted(
                (score for score in scores if (score.problem, score.estimator) == (name, estimator)),
                key=lambda score: score.work,
            )
            if not curve:
                continue
            work, deviation = [score.work for score in curve], [score.deviation for score in curve]
            (line,) = panel.plot(work, deviation, color=plots.PALETTE[color], linewidth=1.2)
            for score in curve:
                face = plots.PALETTE[color] if score.converged >= 0.5 else "white"
                (line,) = panel.plot(
                    score.work, score.deviation, marker, color=plots.PALETTE[color], markerfacecolor=face, markersize=6
                )
            shown[estimator] = line
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_minor_formatter(NullFormatter())
        panel.set_xlim(*_decades(scores, "work"))
        panel.set_ylim(*_decades([score for score in scores if score.problem == name], "deviation"))
        plots.label(panel, "sweeps", "error of log Z (nats)", name)
    _legend(axes[len(names) :])
    report.figure(
        "errors",
        figure,
        "The root mean square error of log Z against the work of a run. Symbols are filled where at least half of the "
        "runs say that they converged, and hollow where most say that they did not.",
    )


def _legend(axes: list[Axes]) -> None:
    """The names of all estimators in the first of these panels; none of them has axes."""
    for panel in axes:
        panel.axis("off")
    for estimator, (color, marker) in COLORS.items():
        axes[0].plot([], [], marker, color=plots.PALETTE[color], label=estimator, markersize=6)
    axes[0].legend(loc="center", frameon=False, fontsize="small")


def draw_spreads(report: Report, scores: list[Score]) -> None:
    """The standard deviation of the z-scores, a row for each problem."""
    names = list(dict.fromkeys(score.problem for score in scores))
    figure, axes = plots.one(9.5, 1.6 + 0.75 * len(names))
    axes.axvspan(*BAND, color="#dddddd", zorder=0)
    axes.axvline(1, color="#888888", linewidth=1)
    estimators = list(COLORS)
    for score in scores:
        color, marker = COLORS[score.estimator]
        row = names.index(score.problem) + (estimators.index(score.estimator) - 3.5) * 0.1
        if score.converged < 0.5 or np.isnan(score.spread):
            axes.plot(0.42, row, marker, color=plots.PALETTE[color], markerfacecolor="white", markersize=6)
        else:
            axes.errorbar(
                min(score.spread, LARGEST), row, xerr=score.noise, fmt=marker, color=plots.PALETTE[color], markersize=6
            )  # fmt: skip
    for estimator, (color, marker) in COLORS.items():
        axes.plot([], [], marker, color=plots.PALETTE[color], label=estimator, markersize=6)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xscale("log")
    ticks = (0.42, 0.6, 0.8, 1, 1.3, 2, 3, 4)
    axes.set_xticks(ticks, ["not\nconverged", *(f"{tick:g}" for tick in ticks[1:])])
    axes.set_xlim(0.38, 1.1 * LARGEST)
    axes.minorticks_off()
    axes.axvline(0.5, color="#888888", linewidth=1, linestyle=":")
    plots.label(axes, "standard deviation of z-scores", "")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize="small")
    report.figure(
        "calibration",
        figure,
        "The standard deviation of the z-scores of runs that say that they converged, with its standard error. In the "
        f"grey band, from {BAND[0]} to {BAND[1]}, error bars are right; on its right side they are too small. Hollow, "
        "at the left: most runs say that they did not converge.",
    )


LARGEST = 4.0
"""Larger standard deviations are drawn here."""
