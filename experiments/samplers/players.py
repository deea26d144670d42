"""The samplers of `sampler_league`: ours, and BlackJAX's where it is installed.

Every player has the same budget: so many evaluations of the energy, with its gradient where the sampler uses it, for
the warm-up, and so many for the draws. NUTS chooses its own number of evaluations for a step; it makes one step for
every draw.
"""

import importlib.util
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ebmjax.loops import thinned, trajectory
from ebmjax.problems.laws.problem import Problem
from ebmjax.sample.adaptive_tempering import adaptive_tempering
from ebmjax.sample.hamiltonian import hamiltonian
from ebmjax.sample.langevin import mala
from ebmjax.sample.metropolis import gaussian_step, metropolis
from ebmjax.sample.rescaled import rescaled
from ebmjax.sample.tempering import tempering
from ebmjax.sample.warm_up import warm_up

OURS, THEIRS = "ebmjax", "BlackJAX"
ROUNDS = 5
"""Rounds in which a ladder is placed."""


class Sizes(NamedTuple):
    """What all players have to spend, for each chain."""

    warm: int
    """Draws whose evaluations the warm-up may spend."""
    draws: int
    evaluations: int
    """Evaluations of one draw."""
    rungs: int
    """Of a ladder."""


class Drawn(NamedTuple):
    """The draws of one chain."""

    positions: Float[Array, "draws unknowns"]
    evaluations: Float[Array, ""]
    """Of all draws together."""
    diverged: Bool[Array, " draws"]


class Player(NamedTuple):
    """A sampler with its warm-up, for one chain."""

    name: str
    package: str
    warm: Callable[[Problem, Sizes, float | None, Key[Array, ""], Any], Any]
    """`(problem, sizes, hottest, key, start) -> (setup, evaluations)`."""
    draw: Callable[[Problem, Sizes, Key[Array, ""], Any], Drawn]
    """`(problem, sizes, key, setup) -> draws`."""
    barriers: bool = False
    """Whether it plays only where there are barriers."""


def lineup(leaps: tuple[int, ...]) -> list[Player]:
    """All players that are installed; Hamiltonian Monte Carlo once for each number of leapfrog steps."""
    players = [_player("random walk", OURS, _our_walk, 1, 0.3), _player("MALA", OURS, _our_mala, 1, 0.57)]
    players += [_player(f"HMC {steps}", OURS, partial(_our_hmc, steps), steps, 0.8) for steps in leaps]
    players.append(
        Player(f"tempered HMC {leaps[0]}", OURS, partial(_temper, leaps[0]), partial(_tempered, leaps[0]), True)
    )
    if peer_version() is not None:
        players += [_player("random walk", THEIRS, _their_walk, 1, 0.3), _player("MALA", THEIRS, _their_mala, 1, 0.57)]
        players += [
            Player(f"HMC {steps}", THEIRS, partial(_adapt, "hmc", steps), partial(_adapted, "hmc", steps))
            for steps in leaps
        ]
        players.append(Player("NUTS", THEIRS, partial(_adapt, "nuts", 0), partial(_adapted, "nuts", 0)))
    return players


def peer_version() -> str | None:
    """The version of BlackJAX; None where it is not installed."""
    return version("blackjax") if importlib.util.find_spec("blackjax") else None


# ---- Kernels of a step size, warmed up by `warm_up` ------------------------------------------------------------------


def _player(name, package, make, cost, target):
    """`make(beta, energy, step_size) -> Kernel`, with `cost` evaluations in a step."""

    def warm(problem, sizes, hottest, key, start):
        steps = sizes.warm * sizes.evaluations // cost
        found = warm_up(key, problem.energy, partial(make, problem.beta), start, steps, target)
        return (found.position, found.step_size, found.scale), jnp.float32(steps * cost)

    def draw(problem, sizes, key, setup):
        position, step_size, scale = setup
        kernel = rescaled(lambda energy: make(problem.beta, energy, step_size), problem.energy, scale)
        each = max(1, sizes.evaluations // cost)
        run = trajectory(key, thinned(kernel, each), position, sizes.draws)
        diverged = _diverged(run.infos) if cost > 1 else jnp.zeros(sizes.draws, bool)
        return Drawn(run.positions, jnp.float32(sizes.draws * each * cost), diverged)

    return Player(name, package, warm, draw)


def _diverged(infos):
    """Whether the energy at the end of a trajectory is off by more than 1000 or not finite, as BlackJAX counts it.

    It is asked of samplers with trajectories alone: for a single step it is a refusal as any other.
    """
    return infos.diverged | ~(infos.energy_error < 1000)


def _our_walk(beta, energy, step_size):
    return metropolis(energy, beta, gaussian_step(step_size))


def _our_mala(beta, energy, step_size):
    return mala(energy, beta, step_size)


def _our_hmc(leaps, beta, energy, step_size):
    return hamiltonian(energy, beta, step_size, leaps)


def _their_walk(beta, energy, step_size):
    import blackjax

    step = lambda key, x: x + step_size * jax.random.normal(key, x.shape, x.dtype)
    return blackjax.rmh(lambda x: -beta * energy(x), step)


def _their_mala(beta, energy, step_size):
    import blackjax

    return blackjax.mala(lambda x: -beta * energy(x), step_size)


# ---- BlackJAX's own window adaptation --------------------------------------------------------------------------------


def _algorithm(name, leaps) -> Any:
    import blackjax

    return (blackjax.hmc, {"num_integration_steps": leaps}) if name == "hmc" else (blackjax.nuts, {})


def _adapt(name, leaps, problem, sizes, hottest, key, start):
    import blackjax

    algorithm, fixed = _algorithm(name, leaps)
    density = lambda x: -problem.beta * problem.energy(x)
    steps = sizes.warm * sizes.evaluations // leaps if leaps else sizes.warm
    adaptation: Any = blackjax.window_adaptation(algorithm, density, target_acceptance_rate=0.8, **fixed)
    (state, found), infos = adaptation.run(key, start, steps)
    evaluations = jnp.sum(infos.info.num_integration_steps).astype(jnp.float32)
    return (state.position, {name: value for name, value in found.items() if name not in fixed}), evaluations


def _adapted(name, leaps, problem, sizes, key, setup):
    position, found = setup
    algorithm, fixed = _algorithm(name, leaps)
    kernel = algorithm(lambda x: -problem.beta * problem.energy(x), **found, **fixed)
    each = max(1, sizes.evaluations // leaps) if leaps else 1
    run = trajectory(key, thinned(kernel, each), position, sizes.draws)
    evaluations = jnp.sum(run.infos.num_integration_steps).astype(jnp.float32) * each
    return Drawn(run.positions, evaluations, run.infos.is_divergent)


# ---- A ladder of temperatures ----------------------------------------------------------------------------------------


def _rung(leaps, problem, step_size, scale, beta):
    """The kernel of a rung: hotter, its steps are longer, as the law of a quartic well is wider."""
    longer = step_size * (problem.beta / beta) ** 0.25
    return rescaled(lambda energy: hamiltonian(energy, beta, longer, leaps), problem.energy, scale)


def _temper(leaps, problem, sizes, hottest, key, start):
    warm_key, ladder_key = jax.random.split(key)
    budget = sizes.warm * sizes.evaluations
    steps = budget // 4 // leaps
    found = warm_up(warm_key, problem.energy, partial(_our_hmc, leaps, problem.beta), start, steps, 0.8)
    betas = problem.beta * jnp.geomspace(hottest, 1.0, sizes.rungs)
    rung = partial(_rung, leaps, problem, found.step_size, found.scale)
    positions = jnp.broadcast_to(start, (sizes.rungs, *start.shape))
    # the rounds before the last one, whose length doubles, have as many steps as the last one
    last = max(2**ROUNDS, budget * 3 // 8 // (leaps * sizes.rungs))
    run = adaptive_tempering(
        ladder_key, problem.energy, rung, betas, positions, last, ROUNDS, observe=lambda state: state.turn
    )
    evaluations = jnp.float32(steps * leaps + 2 * last * leaps * sizes.rungs)
    return (run.state.position, run.betas, found.step_size, found.scale), evaluations


def _tempered(leaps, problem, sizes, key, setup):
    positions, betas, step_size, scale = setup
    kernel = tempering(problem.energy, partial(_rung, leaps, problem, step_size, scale), betas)
    cost = leaps * sizes.rungs
    draws = max(4, sizes.draws * sizes.evaluations // cost)
    run = trajectory(key, kernel, positions, draws, observe=lambda state: state.position[-1])
    last = jax.tree.map(lambda part: part[:, -1], run.infos.kernel)
    return Drawn(run.positions, jnp.float32(draws * cost), _diverged(last))
