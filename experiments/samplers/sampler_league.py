"""Samplers of continuous laws side by side, on problems whose moments are known

Which sampler, and is it right? Here ours and BlackJAX's draw from the same laws: normal laws that are narrow in some
directions, a banana, a funnel, posteriors of regressions and hierarchies, a path of volatilities, 25 modes, the angle
of an ellipse from hot to cold, and 65,536 wells. Their moments are known in closed form or by quadrature, but for
one of them by a long run. All samplers start at the same points and have the same number of evaluations of the energy
(with its gradient, where they use it) for the warm-up, and the same again for the draws. NUTS chooses its own number.

**Gates.** A sampler passes if R-hat < 1.01 and the bulk effective sample size is at least 400, both for the worst
unknown, if no kept trajectory diverged (to an energy that is off by more than 1000), and if all means agree with the
truth: the largest |z| stays below a bound that a right sampler exceeds in 0.27% of problems, 3 for one unknown,
and 3.9 for 30. A sampler that fails a gate is listed as failing.

**Protocol A** is the smallest bulk effective sample size over unknowns, for 1000 evaluations and for a second of
drawing, in processor time. **Protocol B** is the number of evaluations of a chain after which the error of the mean of
x² stays below 0.1 standard deviations of x², root mean square over chains; in the mean over unknowns, and for the worst
one. Both count the draws alone; the evaluations of the warm-up stand beside them.

Step sizes and units are found by `warm_up` for each chain by itself, and by BlackJAX's window adaptation for its HMC
and NUTS. It has none for its random walk and MALA, which `warm_up` tunes too. "Dense" samplers move in units in which
the unknowns are uncorrelated; the step sizes of "varied" ones differ from draw to draw. For times of one core, run it
on one core (`taskset -c 0`).
"""

from dataclasses import dataclass
from typing import Annotated

import jax
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Key

from experiments.application import options
from experiments.application.options import AtLeast, Count
from experiments.application.report import Report
from experiments.samplers import league_laws, league_runs, league_scores
from experiments.samplers.league_laws import Entry, Which
from experiments.samplers.league_runs import Match
from experiments.samplers.league_scores import Curve, Score
from experiments.samplers.players import THEIRS, Player, Sizes, lineup, peer_version


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    problems: tuple[Which, ...] = tuple(Which)
    """From which laws to draw."""
    samplers: tuple[str, ...] = ()
    """Samplers by the beginnings of their names, such as "HMC"; all of them by default."""
    chains: Annotated[int, AtLeast(8)] = 32
    """Chains of each sampler, a multiple of 4."""
    warm_up: Annotated[int, AtLeast(40)] = 400
    """Draws whose evaluations the warm-up may spend."""
    draws: Annotated[int, AtLeast(40)] = 1000
    """Draws of each chain that are kept."""
    leaps: tuple[Count, ...] = (8,)
    """Leapfrog steps of Hamiltonian Monte Carlo, which plays with each number; in dense units with the last one."""
    evaluations: Count = 16
    """Evaluations from one draw to the next, a multiple of all leaps."""
    rungs: Annotated[int, AtLeast(2)] = 12
    """Temperatures of a ladder."""
    repeats: Count = 1
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
    problems=(Which.ELLIPSE_1,), samplers=("MALA",), chains=8, warm_up=100, draws=500, evaluations=16, repeats=1
)


def run(config: Config, report: Report) -> None:
    """Let all samplers draw from all laws, and judge the draws."""
    keys = [jax.random.fold_in(report.key(), list(Which).index(which)) for which in config.problems]

    def match_of(number: int) -> Match:
        entry = league_laws.entry(config.problems[number])
        players = _playing(config, entry)
        player_keys = jax.random.split(keys[number], len(players))
        source = "none" if entry.problem.truth is None else entry.problem.truth.source
        return Match(
            f"{entry.problem.name}: {entry.problem.unknowns} unknowns, truth: {source}",
            [(player.name, player.package) for player in players],
            lambda place: _played(config, report, entry, players[place], player_keys[place]),
        )

    scores, curves, tables = league_runs.played(report, [which.value for which in config.problems], match_of)
    league_runs.tell(report, scores, {THEIRS: peer_version()})
    if curves:
        league_scores.draw_errors(report, curves)
    for title, found in tables:
        league_scores.table(report, title, found)


def _playing(config: Config, entry: Entry) -> list[Player]:
    return [
        player
        for player in lineup(config.leaps)
        if (entry.hottest is not None or not player.barriers)
        and (not config.samplers or any(player.name.startswith(name) for name in config.samplers))
    ]


def _played(
    config: Config, report: Report, entry: Entry, player: Player, key: Key[Array, ""]
) -> tuple[Score, Curve | None]:
    problem = entry.problem
    sizes = Sizes(config.warm_up, config.draws, config.evaluations, config.rungs)
    start_key, warm_key, draw_key = (jax.random.split(each, config.chains) for each in jax.random.split(key, 3))
    # what differs between the laws of one family is an argument, so that they share their programs
    energy = problem.energy if isinstance(problem.energy, Partial) else Partial(problem.energy)
    numbers = energy, np.float32(problem.beta), np.float32(1.0 if entry.hottest is None else entry.hottest)
    starts = jax.tree.map(np.asarray, jax.jit(jax.vmap(problem.start))(start_key))

    def warm(numbers, keys, starts):
        energy, beta, hottest = numbers
        law = problem._replace(energy=energy, beta=beta)
        return jax.vmap(lambda key, start: player.warm(law, sizes, hottest, key, start))(keys, starts)

    def draw(numbers, keys, setup):
        energy, beta, _ = numbers
        law = problem._replace(energy=energy, beta=beta)
        return jax.vmap(lambda key, setup: player.draw(law, sizes, key, setup))(keys, setup)

    # compiled programs return NumPy arrays here, so that the next program begins from values
    setup, warm_evaluations = report.compiled(warm, numbers, warm_key, starts)
    program = report.program(draw, numbers, draw_key, setup)
    drawn, seconds = league_runs.timed(program, (numbers, draw_key, setup), config.repeats)
    measured = jax.tree.map(np.asarray, league_scores.MEASURE(drawn.positions))
    return league_scores.judged(
        problem.name,
        league_scores.of_unknowns(problem.truth),
        (player.name, player.package),
        np.asarray(drawn.positions),
        measured,
        int(np.sum(np.asarray(drawn.diverged))),
        (float(np.mean(warm_evaluations)), float(np.mean(np.asarray(drawn.evaluations)))),
        seconds,
    )
