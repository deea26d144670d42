"""Estimators of `free_energy_league`: many repetitions of each in one compiled program.

Estimates of less work come from a part of the same chains or draws, so that they need no other program.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from ebmjax.loops import trajectory
from ebmjax.marginalize.annealed import annealed
from ebmjax.marginalize.density_of_states import multicanonical, thermal
from ebmjax.marginalize.path_weights import estimate_of_both, estimate_of_weights
from ebmjax.marginalize.population import adaptive_population_annealing, population_annealing
from ebmjax.marginalize.reweighting.inefficiency import ladder_inefficiency
from ebmjax.marginalize.reweighting.integration import thermodynamic_integration
from ebmjax.marginalize.reweighting.mbar import mbar
from ebmjax.marginalize.reweighting.stepping_stones import stepping_stones
from ebmjax.sample.tempering import tempering
from ebmjax.types import Estimate
from experiments.spins.league_problems import Problem

AIS, BOTH = "AIS, forward", "AIS, both directions"
FIXED, ADAPTIVE = "population annealing, fixed", "population annealing, adaptive"
MBAR, STONES, INTEGRATION = "MBAR", "stepping stones", "thermodynamic integration"
DENSITY = "density of states"
ESTIMATORS = (AIS, BOTH, FIXED, ADAPTIVE, MBAR, STONES, INTEGRATION, DENSITY)

BURN = 1 / 3
"""This share of the draws of a tempering run is thrown away: a spin glass comes to rest slowly."""


class Sizes(NamedTuple):
    """How much every repetition does. A sweep is one step of a kernel, which visits all units once."""

    repetitions: int
    chains: int
    """Annealed chains: forward all of them, or half of them in each direction."""
    temperatures: int
    """Of annealed chains, each with one sweep."""
    members: int
    """Of a population."""
    groups: int
    steps: int
    """Temperatures of a population that follows a fixed schedule, each with one sweep."""
    rungs: int
    draws: int
    """Draws that each rung of a tempering run records, one after each sweep."""


# ---- Annealed chains -------------------------------------------------------------------------------------------------


def weights(problem: Problem, sizes: Sizes, key: Key[Array, ""], ends: PyTree[Array]) -> Float[Array, "3 chains"]:
    """log w of two halves of all chains that go forward, and of as many that come back from `ends`."""
    start_key, run_key = jax.random.split(key)
    half = sizes.repetitions * sizes.chains // 2
    starts = problem.starts(start_key, 2 * half)
    together = lambda start, end: jnp.concatenate([start.reshape(2, half, *start.shape[1:]), end[None]])
    schedule = jnp.asarray(problem.schedule(sizes.temperatures + 1))
    schedules = jnp.stack([schedule, schedule, schedule[::-1]])
    run = lambda key, schedule, starts: annealed(key, problem.path, problem.make_kernel, schedule, starts)
    keys = jax.random.split(run_key, 3)
    return jax.vmap(run)(keys, schedules, jax.tree.map(together, starts, ends)).log_weights


def of_weights(sizes: Sizes, part: int, log_weights: Float[Array, "3 chains"], log_start: Any) -> dict[str, Estimate]:
    """Estimates at one amount of work, from the chains of `weights` dealt out to repetitions."""
    dealt = log_weights.reshape(3, sizes.repetitions * part, -1)
    forward = jnp.concatenate([dealt[0], dealt[1]], axis=1)
    return {
        AIS: jax.vmap(estimate_of_weights, (0, None))(forward, log_start),
        BOTH: jax.vmap(estimate_of_both, (0, 0, None))(dealt[0], dealt[2], log_start),
    }


# ---- Populations -----------------------------------------------------------------------------------------------------


def populations(problem: Problem, sizes: Sizes, key: Key[Array, ""]) -> Estimate:
    """Population annealing along a fixed schedule, one for each repetition."""

    def one(key):
        start_key, run_key = jax.random.split(key)
        starts = problem.starts(start_key, sizes.members)
        schedule = problem.schedule(sizes.steps + 1)
        return population_annealing(
            run_key, problem.path, problem.make_kernel, schedule, starts, problem.log_start, 1, sizes.groups
        ).estimate

    return jax.vmap(one)(jax.random.split(key, sizes.repetitions))


MOST_LINKS = 300


def adaptive_populations(
    problem: Problem, sizes: Sizes, key: Key[Array, ""], share: Any
) -> tuple[Estimate, Int[Array, " runs"]]:
    """Population annealing that finds its schedule, one for each repetition, and the number of its steps."""

    def one(key):
        start_key, run_key = jax.random.split(key)
        starts, ends = problem.starts(start_key, sizes.members), jnp.array([0.0, 1.0])
        found = adaptive_population_annealing(
            run_key, problem.path, problem.make_kernel, ends, starts, problem.log_start, share, MOST_LINKS, 1,
            sizes.groups,
        )  # fmt: skip
        return found.estimate, found.links

    return jax.vmap(one)(jax.random.split(key, sizes.repetitions))


# ---- Tempering -------------------------------------------------------------------------------------------------------


class Tempered(NamedTuple):
    """What is kept of the tempering runs."""

    energies: Float[Array, "runs rungs draws"]
    """D of the draws of all rungs."""
    replicas: Int[Array, "runs rungs draws"]
    """Which replica was there."""


def tempered(problem: Problem, sizes: Sizes, key: Key[Array, ""]) -> tuple[Tempered, PyTree[Array]]:
    """Tempering runs, and positions of the last rung, chains / 2 of each run."""
    ladder = jnp.asarray(problem.schedule(sizes.rungs))
    first = int(BURN * sizes.draws)
    kept = np.linspace(first, sizes.draws - 1, sizes.chains // 2).astype(np.int32)
    # positions are states of few values; those of problems with exact draws are not needed
    last = lambda state: None if problem.ends else jax.tree.map(lambda leaf: leaf[-1].astype(jnp.int8), state.position)
    observe = lambda state: (state.replica, last(state))

    def one(key):
        start_key, run_key = jax.random.split(key)
        kernel = tempering(problem.change, problem.make_kernel, ladder)
        found = trajectory(run_key, kernel, problem.starts(start_key, sizes.rungs), sizes.draws, observe=observe)
        replicas, positions = found.positions
        kept_positions = jax.tree.map(lambda leaf: leaf[kept].astype(jnp.float32), positions)
        return Tempered(found.infos.energy.T, replicas.T), kept_positions

    runs, positions = jax.vmap(one)(jax.random.split(key, sizes.repetitions))
    return runs, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), positions)


def of_energies(
    sizes: Sizes, part: int, ladder: Float[Array, " rungs"], runs: Tempered, log_start: Any
) -> dict[str, Estimate]:
    """Estimates at one amount of work, from the first draws of each tempering run."""
    count = sizes.draws // part
    used, replicas = (leaf[:, :, int(BURN * count) : count] for leaf in runs)
    inefficiency = jax.vmap(ladder_inefficiency, (None, 0, 0))(ladder, used, replicas)
    found = {}
    for name, method in {MBAR: mbar, STONES: stepping_stones, INTEGRATION: thermodynamic_integration}.items():
        one = partial(method, ladder, log_reference=log_start)
        each = jax.vmap(lambda energies, inefficiency, one=one: one(energies, inefficiency=inefficiency))
        found[name] = jax.tree.map(lambda leaf: leaf[:, -1], each(used, inefficiency))
    return found


# ---- The density of states -------------------------------------------------------------------------------------------


def densities(
    problem: Problem, repetitions: int, walkers: int, learning: int, sweeps: int, key: Key[Array, ""]
) -> Estimate:
    """log Z from a density of states, one for each repetition."""
    assert problem.levels is not None
    model, energies, beta = problem.levels

    def one(key):
        found = multicanonical.density_of_states(key, model, energies, walkers, learning, sweeps)
        return thermal.log_partition(found, beta)

    return jax.vmap(one)(jax.random.split(key, repetitions))
