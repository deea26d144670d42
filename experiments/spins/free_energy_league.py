"""Estimators of log Z side by side, on problems where the exact answer is known

Every estimator answers with log Z, its own standard error, and a code that says whether to trust both. Here all of them
run many times on the same problems: a narrow peak, separate peaks, lattices at a transition, a spin glass, a planted
glass, and a machine that was trained. Each repetition is judged by its z-score, the deviation from the exact log Z in
units of its own standard error. Among runs that say that they converged, z-scores should have a standard deviation of
about 1. An estimator may fail on a problem; it should say so.

The unit of **work** is a sweep, one step of a kernel, which visits all units of one state. **Annealed chains** go from
a known law to the wanted one, or in both directions; **population annealing** also replaces bad chains by good ones;
chains at several temperatures that exchange their positions (**tempering**) give energies to MBAR, to stepping stones
and to thermodynamic integration; the **density of states** comes from Wang-Landau and a multicanonical run.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key
from matplotlib.axes import Axes

from ebmjax.types import CONVERGED, RESULTS, Estimate
from experiments.application import options
from experiments.application.options import AtLeast, Count
from experiments.application.report import Report
from experiments.drawing import plots
from experiments.spins import league_estimators as league
from experiments.spins import league_problems
from experiments.spins.league_problems import Problem

GROUPS = 32  # of a population, from which its error comes


class Which(enum.Enum):
    """The problems, by their names on the command line."""

    ELLIPSE = "ellipse"
    MIXTURE = "mixture"
    ISING = "ising"
    GLASS = "glass"
    POTTS = "potts"
    WISHART = "wishart"
    RBM = "rbm"


class Method(enum.Enum):
    """The ways to draw, by their names on the command line."""

    ANNEALED = "annealed"
    POPULATION = "population"
    TEMPERING = "tempering"
    DENSITY = "density"


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    problems: tuple[Which, ...] = tuple(Which)
    """Whose log Z is wanted."""
    methods: tuple[Method, ...] = tuple(Method)
    """How to draw. Each way serves one or several estimators."""
    repetitions: Annotated[int, AtLeast(4)] = 48
    """Runs of each estimator."""
    chains: Annotated[int, AtLeast(16)] = 128
    """Annealed chains of a run: all forward, or a half in each direction. A multiple of 8."""
    temperatures: Annotated[int, AtLeast(8)] = 64
    """Steps of the annealed chains, each with one sweep."""
    members: Annotated[int, AtLeast(64)] = 512
    """Members of a population, a multiple of 32."""
    steps: Annotated[int, AtLeast(4)] = 16
    """Steps of a population with a fixed schedule."""
    shares: tuple[options.Share, ...] = (0.4, 0.7)
    """Of the population that an adaptive schedule keeps in each step, from less work to more."""
    rungs: Annotated[int, AtLeast(4)] = 24
    """Temperatures of a tempering run."""
    draws: Annotated[int, AtLeast(64)] = 1024
    """Draws at each of them. The first fifth is thrown away."""
    parts: tuple[Count, ...] = (1, 4)
    """Amounts of work: all chains or draws of a run, and a part of so many. The first one is 1."""
    density_runs: Annotated[int, AtLeast(4)] = 16
    """Runs of the density of states, which take longer."""
    walkers: Annotated[int, AtLeast(4)] = 16
    """Walkers of each of them."""
    learning: Count = 1000
    """Sweeps of Wang-Landau."""
    sweeps: Count = 1500
    """Sweeps of the multicanonical run."""

    def __post_init__(self):
        options.check(self)
        options.require(len(self.problems) > 0, "problems", self.problems, "at least one")
        options.require(self.chains % 8 == 0, "chains", self.chains, "a multiple of 8")
        options.require(self.members % GROUPS == 0, "members", self.members, f"a multiple of {GROUPS}")
        good = self.parts[:1] == (1,) and all(self.chains // 2 % part == 0 for part in self.parts)
        options.require(good, "parts", self.parts, f"1, then divisors of {self.chains // 2}, half of the chains")


QUICK = Config(
    problems=(Which.ELLIPSE, Which.MIXTURE),
    methods=(Method.ANNEALED, Method.TEMPERING),
    repetitions=12,
    temperatures=32,
    rungs=8,
    draws=128,
    parts=(1,),
)

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


def run(config: Config, report: Report) -> None:
    """Run all estimators on all problems, and judge their errors and what they say of them."""
    keys = jax.random.split(report.key(), len(config.problems))
    scores: list[Score] = []
    for which, key in zip(config.problems, keys, strict=True):
        problem_key, key = jax.random.split(key)
        with report.stage(f"{which.value}: the problem and its exact log Z"):
            problem = _problem(which, problem_key)
        scores += _scores(config, report, problem, key)
    for score in scores:
        report.metrics(**score._asdict())
    full = _with_most_work(scores)
    _tell(report, full)
    _draw_errors(report, scores)
    _draw_spreads(report, full)


def _problem(which: Which, key: Key[Array, ""]) -> Problem:
    makers: dict[Which, Callable[[], Problem]] = {
        Which.ELLIPSE: league_problems.angle,
        Which.MIXTURE: league_problems.mixture,
        Which.ISING: league_problems.lattice,
        Which.GLASS: lambda: league_problems.glass(key),
        Which.POTTS: league_problems.potts_lattice,
        Which.WISHART: lambda: league_problems.wishart(key),
        Which.RBM: lambda: league_problems.machine(key),
    }
    return makers[which]()


def _scores(config: Config, report: Report, problem: Problem, key: Key[Array, ""]) -> list[Score]:
    sizes = league.Sizes(
        config.repetitions, config.chains, config.temperatures, config.members, GROUPS, config.steps, config.rungs,
        config.draws, config.parts,
    )  # fmt: skip
    temper_key, ends_key, anneal_key, fixed_key, adaptive_key, density_key = jax.random.split(key, 6)
    found: list[Score] = []

    def judge(name: str, estimate: Estimate, work: float) -> None:
        found.append(_judged(problem, name, estimate, work))

    positions = None
    annealed = Method.ANNEALED in config.methods
    if Method.TEMPERING in config.methods or (annealed and problem.ends is None):
        with report.stage(f"{problem.name}: tempering"):
            draw = lambda key: league.tempered_energies(problem, sizes, key)
            energies, positions = report.compiled(draw, temper_key)
            ladder = jnp.asarray(problem.schedule(sizes.rungs))
            of_ladder = _shared(report, league.of_energies, sizes, ladder, energies, np.float32(problem.log_start))
        if Method.TEMPERING in config.methods:
            for name, estimates in of_ladder.items():
                for part, estimate in zip(config.parts, estimates, strict=True):
                    judge(name, estimate, sizes.rungs * sizes.draws / part)
    if annealed:
        with report.stage(f"{problem.name}: annealed chains"):
            count = sizes.repetitions * sizes.chains // 2
            exact = problem.ends
            ends = positions if exact is None else report.compiled(lambda key: exact(key, count), ends_key)
            weigh = lambda key, ends: league.weights(problem, sizes, key, ends)
            log_weights = report.compiled(weigh, anneal_key, ends)
            of_chains = _shared(report, league.of_weights, sizes, log_weights, np.float32(problem.log_start))
        for name, estimates in of_chains.items():
            for part, estimate in zip(config.parts, estimates, strict=True):
                judge(name, estimate, sizes.chains * sizes.temperatures / part)
    if Method.POPULATION in config.methods:
        with report.stage(f"{problem.name}: populations"):
            fixed = report.compiled(lambda key: league.populations(problem, sizes, key), fixed_key)
            judge(league.FIXED, fixed, sizes.members * sizes.steps)
            adapt = lambda key, share: league.adaptive_populations(problem, sizes, key, share)
            program = report.program(adapt, adaptive_key, np.float32(0))
            for share in config.shares:
                estimate, links = program(adaptive_key, np.float32(share))
                judge(league.ADAPTIVE, estimate, sizes.members * float(np.mean(links)))
    if Method.DENSITY in config.methods and problem.levels is not None:
        runs, walkers, learning, sweeps = config.density_runs, config.walkers, config.learning, config.sweeps
        with report.stage(f"{problem.name}: density of states"):
            dense = lambda key: league.densities(problem, runs, walkers, learning, sweeps, key)
            judge(league.DENSITY, report.compiled(dense, density_key), walkers * (learning + sweeps))
    return found


_PROGRAMS: dict[Any, Any] = {}


def _shared(report: Report, function: Callable[..., Any], sizes: league.Sizes, *args: Any) -> Any:
    """`function(sizes, *args)` by a program that all problems share, since its arguments have the same shapes."""
    key = (function, sizes)
    if key not in _PROGRAMS:
        _PROGRAMS[key] = report.program(lambda *args: function(sizes, *args), *args)
    return _PROGRAMS[key](*args)


def _judged(problem: Problem, name: str, estimate: Estimate, work: float) -> Score:
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


def _with_most_work(scores: list[Score]) -> list[Score]:
    """The score with the largest amount of work, of each problem and estimator."""
    found: dict[tuple[str, str], Score] = {}
    for score in scores:
        place = (score.problem, score.estimator)
        if place not in found or score.work > found[place].work:
            found[place] = score
    return list(found.values())


def _verdict(score: Score) -> str:
    """What became of an estimator: one word for the table."""
    if score.converged < 0.5:
        return "says that it failed"
    if np.isnan(score.spread):
        return "too few runs to judge"
    low, high = BAND
    if score.spread - 2 * score.noise > high or abs(score.shift) > 1:
        return "errors too small"
    return "errors too large" if score.spread + 2 * score.noise < low else "right"


def _tell(report: Report, scores: list[Score]) -> None:
    number = lambda value: "-" if np.isnan(value) else f"{value:.2f}"
    rows = [
        (
            score.problem,
            score.estimator,
            f"{score.work:,.0f}",
            f"{score.deviation:.4f}",
            f"{score.error:.4f}",
            number(score.spread),
            number(score.shift),
            f"{score.converged:.0%}",
            "" if score.converged == 1 else score.code,
            _verdict(score),
        )
        for score in scores
    ]
    report.table(
        "Errors of log Z in nats, root mean square and as the estimators say; z-scores of runs that say CONVERGED, "
        "standard deviation and mean; the share of these runs, and the most common result",
        ("problem", "estimator", "sweeps", "error", "own error", "sd of z", "mean z", "converged", "result", "verdict"),
        rows,
    )
    said = [score for score in scores if score.converged < 0.5]
    silent = [score for score in scores if _verdict(score) == "errors too small"]
    judged = [score for score in scores if not np.isnan(score.spread) and score.converged >= 0.5]
    inside = [score for score in judged if BAND[0] <= score.spread <= BAND[1]]
    report.summary(
        pairs=len(scores),
        pairs_that_converged=len(judged),
        pairs_with_right_errors=len(inside),
        pairs_that_say_they_failed=len(said),
        pairs_with_errors_too_small=len(silent),
        standard_deviation_of_z={f"{score.problem} | {score.estimator}": score.spread for score in judged},
        error={f"{score.problem} | {score.estimator}": score.deviation for score in scores},
    )
    report.text(
        f"Of {len(scores)} pairs of a problem and an estimator, **{len(judged)} say that they converged**, and "
        f"{len(inside)} of these have z-scores with a standard deviation between {BAND[0]} and {BAND[1]}."
    )
    report.text("**Failed, and said so:** " + _listed(said) + ".")
    report.text("**Said that it converged, with errors that are too small:** " + _listed(silent) + ".")
    report.text(
        "Where draws of the last law are exact, chains go back from them; on the Ising and the Potts lattice they go "
        "back from the coldest chain of the tempering run. A forward estimate with few chains in the right mode can be "
        "right on average; it says `too few temperatures`, because its weights spread too far for their own error."
    )


def _listed(scores: list[Score]) -> str:
    names: dict[str, list[str]] = {}
    for score in scores:
        names.setdefault(score.problem, []).append(score.estimator)
    return "; ".join(f"{problem}: {', '.join(each)}" for problem, each in names.items()) or "none"


def _grid(count: int) -> tuple[Any, list[Axes]]:
    columns = min(4, count + 1)
    rows = -(-(count + 1) // columns)
    figure, axes = plots.panels(rows, columns, width=3.4, height=3.1)
    return figure, list(axes.flat)


def _draw_errors(report: Report, scores: list[Score]) -> None:
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


def _draw_spreads(report: Report, scores: list[Score]) -> None:
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
