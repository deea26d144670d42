"""Estimators of log Z side by side, on problems where the exact answer is known

Every estimator answers with log Z, its own standard error, and a code that says whether to trust both. Here all of them
run many times on the same problems: a narrow peak, separate peaks, lattices at a transition, a spin glass, a planted
glass, and a machine that was trained. Each repetition is judged by its z-score, the deviation from the exact log Z in
units of its own standard error. Among runs that say that they converged, z-scores should have a standard deviation of
about 1. An estimator may fail on a problem; it should say so.

The unit of **work** is a sweep, one step of a kernel, which visits all units of one state. **Annealed chains** go from
a known law to the wanted one, or in both directions; **population annealing** also replaces bad chains by good ones;
chains that exchange their temperatures (**tempering**) give energies to MBAR, to stepping stones and to thermodynamic
integration; the **density of states** comes from Wang-Landau and a multicanonical run.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ebmjax.types import Estimate
from experiments.application import options
from experiments.application.options import AtLeast, Count
from experiments.application.report import Report
from experiments.spins import league_estimators as league
from experiments.spins import league_problems, league_scores
from experiments.spins.league_problems import Problem
from experiments.spins.league_scores import Score

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
    draws: Annotated[int, AtLeast(64)] = 1536
    """Draws at each of them. The first third is thrown away."""
    parts: tuple[Count, ...] = (1, 4)
    """Amounts of work: all chains or draws of a run, and a part of so many. The first one is 1."""
    density_runs: Annotated[int, AtLeast(4)] = 12
    """Runs of the density of states, which take longer."""
    walkers: Annotated[int, AtLeast(4)] = 12
    """Walkers of each of them."""
    learning: Count = 2500
    """Sweeps of Wang-Landau."""
    sweeps: Count = 6000
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
    full = league_scores.with_most_work(scores)
    _tell(report, full)
    league_scores.draw_errors(report, scores)
    league_scores.draw_spreads(report, full)


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
        config.draws,
    )  # fmt: skip
    temper_key, ends_key, anneal_key, fixed_key, adaptive_key, density_key = jax.random.split(key, 6)
    found: list[Score] = []

    def judge(name: str, estimate: Estimate, work: float) -> None:
        found.append(league_scores.judged(problem, name, estimate, work))

    positions = None
    annealed = Method.ANNEALED in config.methods
    if Method.TEMPERING in config.methods or (annealed and problem.ends is None):
        with report.stage(f"{problem.name}: tempering"):
            draw = lambda key: league.tempered(problem, sizes, key)
            runs, positions = report.compiled(draw, temper_key)
            ladder = jnp.asarray(problem.schedule(sizes.rungs))
        if Method.TEMPERING in config.methods:
            with report.stage(f"{problem.name}: estimates from its energies"):
                data = (ladder, runs, np.float32(problem.log_start))
                for part in config.parts:
                    for name, estimate in _shared(report, league.of_energies, sizes, part, *data).items():
                        judge(name, estimate, sizes.rungs * sizes.draws / part)
    if annealed:
        with report.stage(f"{problem.name}: annealed chains"):
            count = sizes.repetitions * sizes.chains // 2
            exact = problem.ends
            ends = positions if exact is None else report.compiled(lambda key: exact(key, count), ends_key)
            weigh = lambda key, ends: league.weights(problem, sizes, key, ends)
            log_weights = report.compiled(weigh, anneal_key, ends)
            data = (log_weights, np.float32(problem.log_start))
            for part in config.parts:
                for name, estimate in _shared(report, league.of_weights, sizes, part, *data).items():
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


def _shared(report: Report, function: Callable[..., Any], sizes: league.Sizes, part: int, *args: Any) -> Any:
    """`function(sizes, part, *args)` by a program that all problems share: its arguments have the same shapes."""
    key = (function, sizes, part)
    if key not in _PROGRAMS:
        _PROGRAMS[key] = report.program(lambda *args: function(sizes, part, *args), *args)
    return _PROGRAMS[key](*args)


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
            league_scores.verdict(score),
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
    silent = [score for score in scores if league_scores.verdict(score) == "errors too small"]
    judged = [score for score in scores if not np.isnan(score.spread) and score.converged >= 0.5]
    inside = [score for score in judged if league_scores.BAND[0] <= score.spread <= league_scores.BAND[1]]
    report.summary(
        pairs=len(scores),
        pairs_that_converged=len(judged),
        pairs_with_right_errors=len(inside),
        pairs_that_say_they_failed=len(said),
        pairs_with_errors_too_small=len(silent),
        standard_deviation_of_z={f"{score.problem} | {score.estimator}": score.spread for score in judged},
        error={f"{score.problem} | {score.estimator}": score.deviation for score in scores},
    )
    low, high = league_scores.BAND
    report.text(
        f"Of {len(scores)} pairs of a problem and an estimator, **{len(judged)} say that they converged**, and "
        f"{len(inside)} of these have z-scores with a standard deviation between {low} and {high}."
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
