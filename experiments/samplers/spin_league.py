"""Samplers of discrete laws side by side, on problems whose means are known

Which sampler for spins, bits and Potts states, and is it right? Here ours, and thrml's where it is installed, draw from
the same laws: independent spins, Ising lattices above, at and below their transition, a Potts lattice, a spin glass, a
trained restricted Boltzmann machine, the hidden bits of a factorial Markov model, and a network. The means of a few
quantities of each law are known in closed form, by enumeration, or by exact draws of an elimination.

**Gates** and **protocol A** are those of `sampler_league`, for these quantities: R-hat < 1.01 and a bulk effective
sample size of at least 400 for the worst of them, and no mean that is off by more than a bound that a right sampler
exceeds in 0.27% of problems. **Protocol B** is the number of evaluations of a chain after which the error of the means
of the quantities stays below 0.1 standard deviations. An evaluation is work that goes once through all terms of the
energy; what a step of each sampler costs stands in `spin_players`. Seconds are processor time.

R-hat compares chains that began at random: a sampler that stays in the well in which it began fails by it.
"""

from dataclasses import dataclass
from typing import Annotated

import jax
import numpy as np
from jaxtyping import Array, Key

from experiments.application import options
from experiments.application.options import AtLeast, Count
from experiments.application.report import Report
from experiments.samplers import league_runs, league_scores, spin_laws, spin_peers
from experiments.samplers.league_runs import Match
from experiments.samplers.league_scores import Curve, Score
from experiments.samplers.spin_laws import SpinLaw, Which
from experiments.samplers.spin_players import Sizes, lineup


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    problems: tuple[Which, ...] = tuple(Which)
    """From which laws to draw."""
    samplers: tuple[str, ...] = ()
    """Samplers by the beginnings of their names, such as "Gibbs"; all of them by default."""
    chains: Annotated[int, AtLeast(32)] = 32
    """Chains of each sampler, a multiple of 32."""
    warm_up: Annotated[int, AtLeast(40)] = 2000
    """Evaluations of a chain before its first draw."""
    draws: Annotated[int, AtLeast(40)] = 500
    """Draws of each chain that are kept; fewer of samplers whose steps cost more than `evaluations`."""
    evaluations: Count = 16
    """Evaluations from one draw to the next."""
    rungs: Annotated[int, AtLeast(2)] = 10
    """Temperatures of a ladder."""
    repeats: Count = 1
    """Timed runs of each sampler; the fastest one counts."""

    def __post_init__(self):
        options.check(self)
        options.require(len(self.problems) > 0, "problems", self.problems, "at least one")
        options.require(self.chains % 32 == 0, "chains", self.chains, "a multiple of 32")


QUICK = Config(problems=(Which.BERNOULLI,), samplers=("chromatic",), warm_up=100, draws=100, evaluations=2)


def run(config: Config, report: Report) -> None:
    """Let all samplers draw from all laws, and judge the draws."""
    sizes = Sizes(config.warm_up, config.draws, config.evaluations, config.rungs)
    keys = [jax.random.fold_in(report.key(), list(Which).index(which)) for which in config.problems]

    def match_of(number: int) -> Match:
        law_key, play_key = jax.random.split(keys[number])
        law = spin_laws.law(config.problems[number], law_key)
        names = [(entrant.name, entrant.package) for entrant in lineup(law, sizes)]
        chosen = [
            place
            for place, (name, _) in enumerate(names)
            if not config.samplers or any(name.startswith(each) for each in config.samplers)
        ]

        def play(number: int) -> tuple[Score, Curve | None]:
            place = chosen[number]
            return _played(config, report, law, sizes, place, jax.random.fold_in(play_key, place))

        title = f"{law.name}: {len(law.known.means)} quantities, truth: {law.known.source}"
        return Match(title, [names[place] for place in chosen], play)

    scores, curves, tables = league_runs.played(report, [which.value for which in config.problems], match_of)
    league_runs.tell(report, scores, {spin_peers.THRML: spin_peers.thrml_version()})
    league_scores.draw_errors(report, curves)
    for title, found in tables:
        league_scores.table(report, title, found)


def _played(
    config: Config, report: Report, law: SpinLaw, sizes: Sizes, place: int, key: Key[Array, ""]
) -> tuple[Score, Curve | None]:
    start_keys, warm_keys, draw_keys = (jax.random.split(each, config.chains) for each in jax.random.split(key, 3))
    # beta is an argument, so that lattices that differ in nothing else share their programs
    at = lambda beta: lineup(law._replace(beta=beta), sizes)[place]
    warm = lambda beta, start_keys, keys: at(beta).warm(keys, jax.vmap(law.start)(start_keys))
    draw = lambda beta, keys, setup: at(beta).draw(keys, setup)
    beta = np.float32(law.beta)
    # compiled programs return NumPy arrays here, so that the next program begins from values
    setup = report.compiled(warm, beta, start_keys, warm_keys)
    program = report.program(draw, beta, draw_keys, setup)
    observed, seconds = league_runs.timed(program, (beta, draw_keys, setup), config.repeats)
    measured = jax.tree.map(np.asarray, league_scores.MEASURE(observed))
    entrant = lineup(law, sizes)[place]
    work = float(config.warm_up), float(entrant.evaluations)
    name = entrant.name, entrant.package
    return league_scores.judged(law.name, law.known, name, np.asarray(observed), measured, 0, work, seconds)
