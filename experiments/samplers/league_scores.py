"""What `sampler_league` measures of draws: the gates, both protocols, and the picture of errors."""

import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.ticker import NullFormatter

from ebmjax import diagnostics
from ebmjax.problems.laws.problem import Truth
from experiments.application.report import Report
from experiments.drawing import plots
from experiments.samplers.players import OURS

R_HAT, LEAST_ESS, Z = 1.01, 400.0, 3.0
"""The gates. Z is that of a single mean; for several it is the larger number that is exceeded as rarely."""
CLOSE = 0.1
"""Errors of second moments below this, in standard deviations of x², are small enough for protocol B."""
GROUPS = 4
"""Groups of chains, whose effective sample sizes say how far those of all chains may be trusted."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


class Known(NamedTuple):
    """What is known of the law of the quantities that are drawn."""

    source: str
    means: np.ndarray
    mean_errors: np.ndarray
    """Standard errors of `means`: 0 where they are exact."""
    moments: Callable[[np.ndarray], np.ndarray]
    """What protocol B averages, such as the squares of the quantities."""
    moment_means: np.ndarray
    moment_sds: np.ndarray


class Measured(NamedTuple):
    """What diagnostics say of draws, (unknowns,) each; they are computed in a compiled program."""

    r_hat: Any
    ess: Any
    group_ess: Any
    """The effective sample sizes of each group of chains, (groups, unknowns)."""
    error: Any
    """Standard errors of the means."""


class Score(NamedTuple):
    """One sampler on one problem."""

    problem: str
    sampler: str
    package: str
    failures: tuple[str, ...]
    """The gates that it failed, with the numbers; empty for a sampler that passed."""
    r_hat: float
    ess: float
    """The smallest bulk effective sample size of all unknowns, of all chains together."""
    diverged: int
    z: float
    """The largest |z| of a mean; NaN without a truth."""
    warm_up: float
    """Evaluations of the warm-up of a chain."""
    evaluations: float
    """Evaluations of the draws of a chain."""
    seconds: float
    """Processor time of the draws of all chains, without compilation."""
    per_thousand: float
    """Protocol A: `ess` for 1000 evaluations of all chains together."""
    spread: float
    """Its standard error, from groups of chains."""
    per_second: float
    mean_work: float
    """Protocol B: evaluations of a chain until the error, in the mean over unknowns, stays small; else inf."""
    worst_work: float
    """The same for the unknown with the largest error."""


class Curve(NamedTuple):
    """The error of second moments in the mean over unknowns, against evaluations."""

    problem: str
    sampler: str
    package: str
    work: np.ndarray
    error: np.ndarray
    passed: bool


def measure(positions: Any) -> Measured:
    """The diagnostics of draws (chains, draws, unknowns)."""
    groups = positions.reshape(GROUPS, -1, *positions.shape[1:])
    return Measured(
        diagnostics.r_hat(positions),
        diagnostics.bulk_effective_sample_size(positions),
        jax.vmap(diagnostics.bulk_effective_sample_size)(groups),
        diagnostics.mean_standard_error(positions),
    )


def bound(unknowns: int) -> float:
    """The |z| that the largest of so many independent normal scores exceeds as rarely as a single one exceeds 3.

    >>> round(bound(1), 3), round(bound(100), 2)
    (3.0, 4.2)
    """
    normal = statistics.NormalDist()
    return normal.inv_cdf(1 - normal.cdf(-Z) / unknowns)


def of_unknowns(truth: Truth | None) -> Known | None:
    """What the truth of a law of continuous unknowns says: their means, and the means of their squares."""
    if truth is None:
        return None
    return Known(truth.source, truth.means, truth.mean_errors, np.square, truth.squares, truth.square_sds)


def moment_errors(positions: np.ndarray, known: Known) -> np.ndarray:
    """The error of the means of the moments so far, in their standard deviations, root mean square over chains.

    The result has the shape (draws, unknowns).

    Hoffman and Sountsov (2022), "Tuning-free generalized Hamiltonian Monte Carlo"; Robnik et al. (2023),
    "Microcanonical Hamiltonian Monte Carlo", eq. 20.
    """
    total = np.zeros((positions.shape[1], positions.shape[2]))
    counts = np.arange(1, positions.shape[1] + 1)[:, None]
    for chain in positions:  # one after the other, so that double precision takes little memory
        so_far = np.cumsum(known.moments(chain.astype(np.float64)), axis=0) / counts
        total += ((so_far - known.moment_means) / known.moment_sds) ** 2
    return np.sqrt(total / len(positions))


def work_until_close(errors: np.ndarray, work: np.ndarray) -> float:
    """The work after which the errors stay below `CLOSE`; inf where the last one does not.

    >>> work_until_close(np.array([0.5, 0.05, 0.2, 0.09, 0.08]), np.array([10.0, 20.0, 30.0, 40.0, 50.0]))
    40.0
    """
    high = np.flatnonzero(~(errors < CLOSE))
    first = high[-1] + 1 if high.size else 0
    return float(work[first]) if first < len(errors) else float("inf")


def judged(
    problem: str,
    known: Known | None,
    name: tuple[str, str],
    positions: np.ndarray,
    measured: Measured,
    diverged: int,
    work: tuple[float, float],
    seconds: float,
) -> tuple[Score, Curve | None]:
    """The score of draws (chains, draws, unknowns), and the curve of their errors where there is a truth.

    Args:
        problem: the name of the law.
        known: what is known of it.
        name: of the sampler, and of its package.
        positions: (chains, draws, unknowns).
        measured: what `measure` said of them.
        diverged: how many steps diverged.
        work: evaluations of a chain in the warm-up, and for the draws.
        seconds: of the draws of all chains.
    """
    sampler, package = name
    warm_up, evaluations = work
    chains, draws, unknowns = positions.shape
    # a quantity that never moves has no R-hat and, by convention, the size of all draws: it fails by its R-hat
    r_hat = float(np.max(measured.r_hat)) if np.isfinite(measured.r_hat).all() else float("inf")
    ess = float(np.min(measured.ess)) if np.isfinite(measured.ess).all() else 0.0
    z, mean_work, worst_work, curve = float("nan"), float("nan"), float("nan"), None
    along = np.arange(1, draws + 1) * evaluations / draws
    if known is not None:
        means = positions.mean(axis=(0, 1), dtype=np.float64)
        error = np.hypot(measured.error, known.mean_errors)
        scores = np.abs(means - known.means) / np.maximum(error, 1e-300)
        z = float(np.max(np.where(np.isfinite(scores), scores, np.inf)))
        errors = moment_errors(positions, known)
        mean_errors = np.sqrt(np.mean(errors**2, axis=1))
        mean_work = work_until_close(mean_errors, along)
        worst_work = work_until_close(errors.max(axis=1), along)
    failures = gates(r_hat, ess, diverged, z, unknowns)
    if known is not None:
        curve = Curve(problem, sampler, package, along, mean_errors, not failures)
    per_thousand = 1000 * ess / (chains * evaluations)
    of_groups = np.min(measured.group_ess, axis=1)
    spread = float(np.std(of_groups, ddof=1) * np.sqrt(GROUPS) / max(of_groups.sum(), 1e-9)) * per_thousand
    score = Score(
        problem, sampler, package, failures, r_hat, ess, diverged, z, warm_up, evaluations, seconds,
        per_thousand, spread, ess / seconds, mean_work, worst_work,
    )  # fmt: skip
    return score, curve


def thinned(curve: Curve) -> Curve:
    """The points of a curve that are drawn: 40 or less, at about equal ratios of their work.

    >>> thinned(Curve("", "", "", np.arange(1000.0), np.ones(1000), True)).work[-1]
    np.float64(999.0)
    """
    shown = np.unique(np.geomspace(1, len(curve.work), 40).astype(int)) - 1
    return curve._replace(work=curve.work[shown], error=curve.error[shown])


def gates(r_hat: float, ess: float, diverged: int, z: float, unknowns: int) -> tuple[str, ...]:
    """The gates that these numbers fail, in words.

    >>> gates(1.02, 1000.0, 3, 2.0, 1), gates(1.0, 1000.0, 0, float("nan"), 1)
    (('R-hat 1.02', '3 divergences'), ())
    """
    failed = []
    if not r_hat < R_HAT:
        failed.append(f"R-hat {r_hat:.4g}")
    if not ess >= LEAST_ESS:
        failed.append(f"ESS {ess:.0f}")
    if diverged:
        failed.append(f"{diverged} divergence{'s' if diverged > 1 else ''}")
    if z >= bound(unknowns):  # NaN, without a truth, passes
        failed.append(f"|z| {z:.1f}")
    return tuple(failed)


def ranked(scores: list[Score]) -> list[Score]:
    """Samplers that passed, by their effective samples for an evaluation; then those that failed, ours first."""
    return sorted(
        scores,
        key=lambda score: (bool(score.failures), score.package != OURS and bool(score.failures), -score.per_thousand),
    )


def table(report: Report, title: str, scores: list[Score]) -> None:
    """The table of one problem."""
    work = lambda value, last: "-" if np.isnan(value) else f"{value:,.0f}" if np.isfinite(value) else f"> {last:,.0f}"
    rows = [
        (
            "-" if score.failures else str(place),
            f"{score.sampler} ({score.package})",
            f"{score.per_thousand:.3g} ± {score.spread:.1g}",
            f"{score.per_second:,.0f}",
            work(score.mean_work, score.evaluations),
            work(score.worst_work, score.evaluations),
            f"{score.r_hat:.4f}",
            f"{score.ess:,.0f}",
            "-" if np.isnan(score.z) else f"{score.z:.1f}",
            f"{score.warm_up:,.0f}",
            "fails: " + ", ".join(score.failures) if score.failures else "passes",
        )
        for place, score in enumerate(ranked(scores), 1)
    ]
    report.table(
        title,
        (
            "rank", "sampler", "ESS for 1000 evaluations", "ESS per second", "evaluations to 0.1, mean", "worst",
            "R-hat", "bulk ESS", "largest |z|", "warm-up", "gates",
        ),
        rows,
    )  # fmt: skip


def draw_errors(report: Report, curves: list[Curve]) -> None:
    """Errors of protocol B against evaluations, a panel for each problem."""
    names = list(dict.fromkeys(curve.problem for curve in curves))
    samplers = list(dict.fromkeys((curve.sampler, curve.package) for curve in curves))
    columns = min(4, len(names) + 1)
    figure, axes = plots.panels(-(-(len(names) + 1) // columns), columns, width=3.4, height=3.1)
    colors = list(plots.PALETTE.values())
    look = {
        # the second round of colours has other markers
        sampler: (
            colors[place % len(colors)],
            MARKERS[(place + place // len(colors)) % len(MARKERS)],
            "-" if sampler[1] == OURS else "--",
        )
        for place, sampler in enumerate(samplers)
    }
    panels = list(axes.flat)
    for panel, name in zip(panels, names, strict=False):
        for curve in (curve for curve in curves if curve.problem == name):
            color, marker, line = look[curve.sampler, curve.package]
            panel.plot(curve.work, curve.error, line, color=color, linewidth=1.2)
            face = color if curve.passed else "white"
            panel.plot(curve.work[-1], curve.error[-1], marker, color=color, markerfacecolor=face, markersize=6)
        panel.axhline(CLOSE, color="#888888", linewidth=1, linestyle=":")
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.yaxis.set_minor_formatter(NullFormatter())
        plots.label(panel, "evaluations of a chain", "error (sd)", name)
    for panel in panels[len(names) :]:
        panel.axis("off")
    for sampler, (color, marker, line) in look.items():
        panels[len(names)].plot([], [], line, marker=marker, color=color, label=f"{sampler[0]} ({sampler[1]})")
    panels[len(names)].legend(loc="center", frameon=False, fontsize="small")
    report.figure(
        "errors",
        figure,
        "The error of one chain's mean of what protocol B averages, in its standard deviations, root mean square over "
        "chains and quantities, against the evaluations of its draws. Symbols are filled where the sampler passes all "
        "gates. Lines of peers are dashed. Dotted: the error of protocol B.",
    )


MEASURE = jax.jit(measure, compiler_options={"xla_backend_optimization_level": 1})
"""One program for all draws of the same shape; to optimize it further takes longer than it saves."""
