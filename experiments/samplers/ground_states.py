"""Ground states of spin glasses: how long annealing and tempering take to find them

All problems have a known least energy: cuts of a graph by elimination, lattices of frustrated tiles and a dense glass
by construction. A solver that sees a ground state with the probability p in a run of t sweeps needs

    TTS(t) = t · max(1, log(1 - 0.99) / log(1 - p(t)))

sweeps to have seen one with 99% certainty, in as many runs as that takes. The figure is the median over instances, at
the length of runs t where it is least; its range is that of 16% to 84% of bootstrapped sets of instances. A sweep
updates every unit once; all rungs of a ladder, and both ladders of a pair, count.

Rønnow et al. (2014), "Defining and detecting quantum speedup", for the definition.
"""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import numpy as np

from experiments.application import options
from experiments.application.options import AtLeast, Count
from experiments.application.report import Report
from experiments.drawing import plots
from experiments.samplers import ground_problems, ground_solvers
from experiments.samplers.ground_problems import Which
from experiments.samplers.ground_solvers import Found, Sizes

CERTAIN = 0.99


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    problems: tuple[Which, ...] = tuple(Which)
    """Which kinds of problems."""
    small: bool = False
    """Small instances."""
    instances: Annotated[int, AtLeast(2)] = 8
    """Of each kind."""
    runs: Annotated[int, AtLeast(2)] = 16
    """Of each solver on each instance."""
    lengths: tuple[Count, ...] = (32, 128, 512)
    """Sweeps of a run of annealing."""
    sweeps: Count = 8192
    """Of a run of tempering, all rungs together."""
    rungs: Annotated[int, AtLeast(2)] = 12
    """Temperatures of a ladder."""

    def __post_init__(self):
        options.check(self)
        options.require(len(self.problems) > 0, "problems", self.problems, "at least one")
        enough = self.sweeps >= 4 * self.rungs
        options.require(enough, "sweeps", self.sweeps, f"at least {4 * self.rungs}, two steps of a pair of ladders")


QUICK = Config(problems=(Which.WISHART,), small=True, instances=3, runs=4, lengths=(16,), sweeps=256, rungs=4)


class Solved(NamedTuple):
    """The time to solution of a solver, in sweeps."""

    problem: str
    solver: str
    sweeps: float
    """inf where half of the instances were not solved."""
    low: float
    high: float
    length: float
    """Of the runs that are best."""
    solved: float
    """The share of instances that were solved at all."""
    microseconds: float
    """Processor time of a sweep."""


def run(config: Config, report: Report) -> None:
    """Let all solvers look for the ground states."""
    sizes = Sizes(config.runs, config.lengths, config.sweeps, config.rungs)
    rows: list[Solved] = []
    curves: dict[str, list[Found]] = {}
    for which in config.problems:
        make_key, run_key = jax.random.split(jax.random.fold_in(report.key(), list(Which).index(which)))
        with report.stage(f"{which.value}: the instances"):
            kind = ground_problems.kind(which, make_key, config.instances, config.small)
        solvers = [ground_solvers.annealed, ground_solvers.tempered]
        solvers += [ground_solvers.tempered_pairs] if kind.clusters else []
        solvers += [ground_solvers.peer_annealed] if ground_solvers.peer_version() else []
        for place, solver in enumerate(solvers):
            with report.stage(f"{which.value}: {solver.__name__.replace('_', ' ')}"):
                found = solver(report, kind, jax.random.fold_in(run_key, place), sizes)
            row = solved(kind.name, found)
            rows.append(row)
            curves.setdefault(kind.name, []).append(found)
            report.metrics(**row._asdict())
    _tell(report, rows)
    _draw(report, curves)


def times(sweeps: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Sweeps until 99% certainty, for runs of these lengths (times,) with these shares of success (..., times).

    >>> times(np.array([10, 20]), np.array([0.9, 1.0])).round(6).tolist()
    [20.0, 20.0]
    """
    with np.errstate(divide="ignore"):
        runs = np.log(1 - CERTAIN) / np.log1p(-np.minimum(shares, CERTAIN))
    return sweeps * np.where(shares > 0, np.maximum(runs, 1), np.inf)


def solved(problem: str, found: Found) -> Solved:
    """The time to solution: the least median over instances, with the spread of bootstrapped sets of instances."""
    each = times(found.sweeps, found.shares)
    medians = np.median(each, axis=0)
    best = int(np.argmin(medians))
    random = np.random.default_rng(0)
    sets = random.integers(0, len(each), (1000, len(each)))
    # what is infinite in a half of a set makes its median infinite
    low, high = np.percentile(np.median(each[sets, best], axis=1), [16, 84], method="nearest")
    return Solved(
        problem,
        found.solver,
        float(medians[best]),
        float(low),
        float(high),
        float(found.sweeps[best]),
        float((found.shares.max(axis=1) > 0).mean()),
        1e6 * found.seconds,
    )


def _tell(report: Report, rows: list[Solved]) -> None:
    number = lambda value: f"{value:,.0f}" if np.isfinite(value) else "not found"
    version = ground_solvers.peer_version()
    gains: dict[str, float] = {}
    for name in dict.fromkeys(row.problem for row in rows):
        here = {row.solver: row for row in rows if row.problem == name}
        report.table(
            name,
            (
                "solver",
                "time to solution, sweeps",
                "range",
                "length of runs",
                "instances solved",
                "µs for a sweep",
                "ms",
            ),
            [
                (
                    row.solver,
                    number(row.sweeps),
                    f"{number(row.low)} to {number(row.high)}",
                    f"{row.length:,.0f}",
                    f"{row.solved:.0%}",
                    f"{row.microseconds:.3g}",
                    f"{row.sweeps * row.microseconds / 1000:.3g}" if np.isfinite(row.sweeps) else "-",
                )
                for row in sorted(here.values(), key=lambda row: row.sweeps)
            ],
        )
        plain, pairs = here.get("tempering"), here.get("tempering, isoenergetic")
        if plain and pairs and np.isfinite(pairs.sweeps):
            gains[name] = float(f"{plain.sweeps / pairs.sweeps:.3g}")
    report.summary(
        kinds=len(dict.fromkeys(row.problem for row in rows)),
        gain_of_isoenergetic_moves=gains,
        dwave_samplers=version or "not installed",
    )
    if version is None:
        report.text(f"{ground_solvers.PEER} is **not installed** and does not play.")


def _draw(report: Report, curves: dict[str, list[Found]]) -> None:
    figure, axes = plots.panels(1, len(curves), width=3.6, height=3.2)
    colors = list(plots.PALETTE.values())
    for panel, (name, founds) in zip(axes.flat, curves.items(), strict=True):
        for color, found in zip(colors, founds, strict=False):
            panel.plot(found.sweeps, found.shares.mean(axis=0), "-o", color=color, markersize=3, label=found.solver)
        panel.set_xscale("log")
        panel.set_ylim(-0.03, 1.03)
        plots.label(panel, "sweeps of a run", "share of runs that found it", name)
    axes.flat[0].legend(fontsize="small", frameon=False)
    report.figure(
        "success",
        figure,
        "The share of runs that have seen a ground state, against their sweeps, over all instances.",
    )
