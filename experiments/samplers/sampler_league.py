"""Samplers of continuous laws side by side, on problems whose moments are known

Which sampler, and is it right? Here ours and BlackJAX's draw from the same laws: normal laws that are narrow in some
directions, a banana, a funnel, posteriors of regressions and hierarchies, a path of volatilities, 25 modes, the angle
of an ellipse from hot to cold, and 65,536 wells. Their moments are known in closed form or by quadrature, but for
two of them by a long run. All samplers start at the same points and have the same number of evaluations of the energy
(with its gradient, where they use it) for the warm-up, and the same again for the draws. NUTS chooses its own number.

**Gates.** A sampler passes if R-hat < 1.01 and the bulk effective sample size is at least 400, both for the worst
unknown, if no kept trajectory diverged (to an energy that is off by more than 1000), and if all means agree with the
truth: the largest |z| stays below a bound that a right sampler exceeds in 0.27% of problems, 3 for one unknown,
and 3.9 for 30. A sampler that fails a gate is listed as failing.

**Protocol A** is the smallest bulk effective sample size over unknowns, for 1000 evaluations and for a second of
drawing. **Protocol B** is the number of evaluations of a chain after which the error of the mean of x² stays below 0.1
standard deviations of x², root mean square over chains; in the mean over unknowns, and for the worst one. Both count
the draws alone; the evaluations of the warm-up stand beside them.

Step sizes and units are found by `warm_up` for each chain by itself, and by BlackJAX's window adaptation for its HMC
and NUTS. It has none for its random walk and MALA, which `warm_up` tunes too. For times of one core, run it on one core
(`taskset -c 0`).
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import numpy as np
from jaxtyping import Array, Key

from experiments.application import options
from experiments.application.options import AtLeast, Count
from experiments.application.report import Report
from experiments.samplers import league_laws, league_scores
from experiments.samplers.league_laws import Entry, Which
from experiments.samplers.league_scores import Curve, Score
from experiments.samplers.players import OURS, Player, Sizes, lineup, peer_version


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    problems: tuple[Which, ...] = tuple(Which)
    """From which laws to draw."""
    samplers: tuple[str, ...] = ()
    """Samplers by the beginnings of their names, such as "HMC"; all of them by default."""
    chains: Annotated[int, AtLeast(8)] = 64
    """Chains of each sampler, a multiple of 4."""
    warm_up: Annotated[int, AtLeast(40)] = 1000
    """Draws whose evaluations the warm-up may spend."""
    draws: Annotated[int, AtLeast(40)] = 1000
    """Draws of each chain that are kept."""
    leaps: tuple[Count, ...] = (4, 16)
    """Leapfrog steps of Hamiltonian Monte Carlo, which plays once with each number. The ladder takes the first one."""
    evaluations: Count = 16
    """Evaluations from one draw to the next, a multiple of all leaps."""
    rungs: Annotated[int, AtLeast(2)] = 12
    """Temperatures of a ladder."""
    repeats: Count = 3
    """Timed runs of each sampler; the fastest one counts."""

    def __post_init__(self):
        options.check(self)
        options.require(len(self.problems) > 0, "problems", self.problems, "at least one")
        options.require(self.chains % league_scores.GROUPS == 0, "chains", self.chains, "a multiple of 4")
        fits = bool(self.leaps) and all(self.evaluations % leaps == 0 for leaps in self.leaps)
        options.require(fits, "leaps", self.leaps, f"divisors of {self.evaluations}, the evaluations of a draw")
        known = all(any(each.name.startswith(name) for each in lineup(self.leaps)) for name in self.samplers)
        names = sorted({each.name for each in lineup(self.leaps)})
        options.require(known, "samplers", self.samplers, f"beginnings of {', '.join(names)}")


QUICK = Config(
    problems=(Which.BANANA, Which.ELLIPSE_1),
    samplers=("HMC",),
    chains=32,
    warm_up=500,
    draws=1000,
    leaps=(8,),
    evaluations=8,
    repeats=1,
)


def run(config: Config, report: Report) -> None:
    """Let all samplers draw from all laws, and judge the draws."""
    scores: list[Score] = []
    curves: list[Curve] = []
    tables: list[Callable[[], None]] = []
    for which, key in zip(config.problems, jax.random.split(report.key(), len(config.problems)), strict=True):
        with report.stage(f"{which.value}: the law and its truth"):
            entry = league_laws.entry(which)
        found = []
        for player, player_key in zip(*_playing(config, entry, key), strict=True):
            with report.stage(f"{which.value}: {player.name} ({player.package})"):
                score, curve = _played(config, report, entry, player, player_key)
            report.metrics(**score._asdict())
            found.append(score)
            curves += [] if curve is None else [curve]
        scores += found
        tables.append(lambda entry=entry, found=found: league_scores.table(report, entry.problem, found))
    _tell(report, scores)
    if curves:
        league_scores.draw_errors(report, curves)
    for table in tables:
        table()


def _playing(config: Config, entry: Entry, key: Key[Array, ""]) -> tuple[list[Player], Any]:
    players = [
        player
        for player in lineup(config.leaps)
        if (entry.hottest is not None or not player.barriers)
        and (not config.samplers or any(player.name.startswith(name) for name in config.samplers))
    ]
    return players, jax.random.split(key, len(players))


def _played(
    config: Config, report: Report, entry: Entry, player: Player, key: Key[Array, ""]
) -> tuple[Score, Curve | None]:
    problem = entry.problem
    sizes = Sizes(config.warm_up, config.draws, config.evaluations, config.rungs)
    start_key, warm_key, draw_key = (jax.random.split(each, config.chains) for each in jax.random.split(key, 3))

    def warm(start_key, warm_key):
        return player.warm(problem, sizes, entry.hottest, warm_key, problem.start(start_key))

    # compiled programs return NumPy arrays here, so that the next program begins from values
    setup, warm_evaluations = report.compiled(jax.vmap(warm), start_key, warm_key)
    program = report.program(jax.vmap(lambda key, setup: player.draw(problem, sizes, key, setup)), draw_key, setup)
    drawn, seconds = None, []
    for _ in range(config.repeats):
        begun = time.perf_counter()
        drawn = jax.block_until_ready(program(draw_key, setup))
        seconds.append(time.perf_counter() - begun)
    assert drawn is not None
    measured = jax.tree.map(np.asarray, league_scores.MEASURE(drawn.positions))
    return league_scores.judged(
        problem,
        (player.name, player.package),
        np.asarray(drawn.positions),
        measured,
        int(np.sum(np.asarray(drawn.diverged))),
        (float(np.mean(warm_evaluations)), float(np.mean(np.asarray(drawn.evaluations)))),
        min(seconds),
    )


def _tell(report: Report, scores: list[Score]) -> None:
    names = list(dict.fromkeys(score.problem for score in scores))
    passed = [score for score in scores if not score.failures]
    best: dict[str, str] = {}
    ratios: dict[str, float] = {}
    for name in names:
        here = [score for score in passed if score.problem == name]
        if here:
            first = max(here, key=lambda score: score.per_thousand)
            best[name] = f"{first.sampler} ({first.package})"
        ours, theirs = (
            [score.per_second for score in here if (score.package == OURS) == mine] for mine in (True, False)
        )
        if ours and theirs:
            ratios[name] = round(max(ours) / max(theirs), 2)
    installed = peer_version()
    report.summary(
        problems=len(names),
        pairs=len(scores),
        pairs_that_pass=len(passed),
        best_for_an_evaluation=best,
        best_of_ours_over_best_of_blackjax_per_second=ratios,
        blackjax=installed or "not installed",
    )
    report.text(
        f"Of {len(scores)} pairs of a law and a sampler, **{len(passed)} pass all gates**. "
        + ("BlackJAX is **not installed**, so that only our samplers play. " if installed is None else "")
        + f"Times are those of {_cores()} of this machine."
    )
    failing = [score for score in scores if score.failures]
    listed = lambda mine: _listed([score for score in failing if (score.package == OURS) == mine])
    report.text("**Ours that fail:** " + listed(True) + ".")
    report.text("**BlackJAX's that fail:** " + listed(False) + ".")


def _listed(scores: list[Score]) -> str:
    names: dict[str, list[str]] = {}
    for score in scores:
        names.setdefault(score.problem, []).append(f"{score.sampler} ({'; '.join(score.failures)})")
    return ". ".join(f"{problem}: {', '.join(each)}" for problem, each in names.items()) or "none"


def _cores() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return "one core" if usable == 1 else f"{usable} cores"
