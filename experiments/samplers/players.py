"""The samplers of `sampler_league`: ours, and BlackJAX's where it is installed.

Every player has the same budget: so many evaluations of the energy, with its gradient where the sampler uses it, for
the warm-up, and so many for the draws. NUTS chooses its own number of evaluations for a step; it makes one step for
every draw. BlackJAX's samplers are set up as its documentation does: `window_adaptation` for HMC and NUTS,
`mclmc_find_L_and_step_size` for MCLMC. Not played are its dense mass matrices, which it factorizes anew in every step,
longer than all else takes here, and its SMC, which has no chains, so that these gates do not fit it.
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
from ebmjax.sample.warm_up import Spread, dense, diagonal, warm_up

OURS, THEIRS = "ebmjax", "BlackJAX"
ROUNDS, RUNG_LEAPS = 5, 2
"""Rounds in which a ladder is placed, and leapfrog steps between its swaps."""
SHORTEST = 0.4
"""Step sizes that vary go from this share of the one that was found to the whole of it."""


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
    longest = leaps[-1]
    walk, one_step = _player("random walk", _our_walk, 1, 0.3), _player("MALA", _our_mala, 1, 0.57)
    players = [walk, one_step]
    for steps in leaps:
        plain = _player(f"HMC {steps}", partial(_our_hmc, steps), steps, 0.8)
        players += [plain, plain._replace(name=f"HMC {steps}, varied", draw=_varied(steps))]
    dense_one = _player("", partial(_our_hmc, longest), longest, 0.8, dense())
    players.append(dense_one._replace(name=f"HMC {longest}, dense, varied", draw=_varied(longest)))
    ladder = f"tempered HMC {RUNG_LEAPS}"
    players.append(Player(ladder, OURS, partial(_temper, RUNG_LEAPS), partial(_tempered, RUNG_LEAPS), True))
    if peer_version() is not None:
        # BlackJAX tunes neither of these, so that they begin from what ours has found
        players.append(walk._replace(package=THEIRS, draw=_drawing(_their_walk, 1)))
        players.append(one_step._replace(package=THEIRS, draw=_drawing(_their_mala, 1)))
        players += [_adaptive(f"HMC {steps}", "hmc", steps) for steps in leaps]
        players.append(_adaptive("NUTS", "nuts", 0))
        players.append(Player("MCLMC", THEIRS, _tune, _tuned))
    return players


def peer_version() -> str | None:
    """The version of BlackJAX; None where it is not installed."""
    return version("blackjax") if importlib.util.find_spec("blackjax") else None


# ---- Kernels of a step size, warmed up by `warm_up` ------------------------------------------------------------------


def _player(name, make, cost, target, spread: Spread | None = None):
    """`make(beta, energy, step_size) -> Kernel`, with `cost` evaluations in a step."""
    units = diagonal() if spread is None else spread

    def warm(problem, sizes, hottest, key, start):
        steps = sizes.warm * sizes.evaluations // cost
        found = warm_up(key, problem.energy, partial(make, problem.beta), start, steps, target, units)
        return (found.position, found.step_size, found.scale), jnp.float32(steps * cost)

    return Player(name, OURS, warm, _drawing(make, cost))


def _drawing(make, cost):
    """The draws of a kernel with the step size and the units that a warm-up has found."""

    def draw(problem, sizes, key, setup):
        position, step_size, scale = setup
        kernel = rescaled(lambda energy: make(problem.beta, energy, step_size), problem.energy, scale)
        each = max(1, sizes.evaluations // cost)
        run = trajectory(key, thinned(kernel, each), position, sizes.draws)
        diverged = _diverged(run.infos) if cost > 1 else jnp.zeros(sizes.draws, bool)
        return Drawn(run.positions, jnp.float32(sizes.draws * each * cost), diverged)

    return draw


def _varied(leaps):
    """Draws whose step sizes vary: trajectories of one length come back to where they began in some directions."""

    def draw(problem, sizes, key, setup):
        position, step_size, scale = setup
        each = max(1, sizes.evaluations // leaps)
        make = lambda size: rescaled(lambda energy: _our_hmc(leaps, problem.beta, energy, size), problem.energy, scale)
        size_key, key = jax.random.split(key)
        shares = jax.random.uniform(size_key, (sizes.draws,), minval=SHORTEST, maxval=1.0)
        run = trajectory(
            key, lambda size: thinned(make(size), each), position, sizes.draws, schedule=step_size * shares
        )
        return Drawn(run.positions, jnp.float32(sizes.draws * each * leaps), _diverged(run.infos))

    return draw


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


def _adaptive(title, name, leaps):
    return Player(title, THEIRS, partial(_adapt, name, leaps), partial(_adapted, name, leaps))


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


# ---- BlackJAX's microcanonical sampler, which has a bias that its tuning keeps small ---------------------------------

GRADIENTS = 2
"""Of a step of its default integrator."""


def _tune(problem, sizes, hottest, key, start):
    import blackjax

    density = lambda x: -problem.beta * problem.energy(x)
    start_key, tune_key = jax.random.split(key)
    # as documented, the tuning takes a third of the steps that follow it
    state, found, steps = blackjax.mclmc_find_L_and_step_size(
        mclmc_kernel=blackjax.mclmc.build_kernel(),
        num_steps=sizes.draws * sizes.evaluations // GRADIENTS,
        state=blackjax.mclmc.init(start, density, start_key),
        rng_key=tune_key,
        logdensity_fn=density,
    )
    return (state.position, found.L, found.step_size, found.inverse_mass_matrix), jnp.float32(GRADIENTS * steps)


def _tuned(problem, sizes, key, setup):
    import blackjax

    position, length, step_size, inverse_mass = setup
    kernel = blackjax.mclmc(
        lambda x: -problem.beta * problem.energy(x), length, step_size, inverse_mass_matrix=inverse_mass
    )
    each = max(1, sizes.evaluations // GRADIENTS)
    run = trajectory(key, thinned(kernel, each), position, sizes.draws)
    diverged = ~run.infos.nonans | ~(jnp.abs(run.infos.energy_change) < 1000)
    return Drawn(run.positions, jnp.float32(sizes.draws * each * GRADIENTS), diverged)


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
    betas = problem.beta * hottest ** jnp.linspace(1.0, 0.0, sizes.rungs)
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
