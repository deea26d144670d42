"""Population annealing against enumeration and elimination: log Z on the way, honest errors, families.

Numbers are held against the truth within 5 standard errors: a false alarm has a probability of 6e-7 for each number
compared (1e-5 where the error is that of 32 groups).
"""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import log_partition, posterior, spin_cube
from ebmjax.checks import ArgumentError
from ebmjax.marginalize.annealed import tempered
from ebmjax.marginalize.elimination import exact, factors, graphs, plans
from ebmjax.marginalize.population import adaptive_population_annealing, population_annealing
from ebmjax.sample.gibbs import State, chromatic, systematic
from ebmjax.sample.metropolis import flip_one, metropolis
from ebmjax.types import (
    CONVERGED,
    DIVERGED,
    NO_OVERLAP,
    NOT_MIXED,
    SPINS,
    TOO_FEW_TEMPERATURES,
    Kernel,
)

UNITS = 7
COUPLINGS = np.triu(np.random.default_rng(0).normal(size=(UNITS, UNITS)), 1)
FIELD = np.random.default_rng(1).normal(size=UNITS)
BETA, LINKS = 0.8, 8
SCHEDULE = np.linspace(0, BETA, LINKS + 1)


def energy(spins):
    return -spins @ jnp.asarray(COUPLINGS, spins.dtype) @ spins - jnp.asarray(FIELD, spins.dtype) @ spins


def kernel(beta):
    return systematic(energy, beta)


def hot(key, members):
    return jax.random.rademacher(key, (members, UNITS), float)


VOLUME = UNITS * math.log(2)
SPACE = spin_cube(UNITS)
TRUTH = np.array([float(log_partition(energy, SPACE, beta)) for beta in SCHEDULE])
LAWS = np.stack([np.asarray(posterior(energy, SPACE, beta)) for beta in SCHEDULE])
MEAN_ENERGY = LAWS @ np.asarray(jax.vmap(energy)(SPACE.points))


@jax.jit
def fixed(key):
    start, key = jax.random.split(key)
    return population_annealing(key, tempered(energy), kernel, SCHEDULE, hot(start, 1024), VOLUME)


@jax.jit
def adaptive(key):
    start, key = jax.random.split(key)
    ends = jnp.array([0.0, BETA])
    return adaptive_population_annealing(key, tempered(energy), kernel, ends, hot(start, 1024), VOLUME, max_links=30)


@pytest.mark.slow
def test_log_z_the_mean_energy_and_draws_on_the_way_to_the_last_law():
    found = fixed(jax.random.key(0))
    assert np.all(found.on_the_way.result == CONVERGED)
    assert int(found.estimate.result) == CONVERGED
    log_z, error = np.asarray(found.on_the_way.log_partition), np.asarray(found.on_the_way.standard_error)
    assert np.all(np.abs(log_z - TRUTH) <= 5 * error + 1e-5)
    assert 0 < error[-1] < 0.1
    assert log_z[-1] == float(found.estimate.log_partition)
    np.testing.assert_allclose(found.estimate.lower, log_z[-1] - 3 * error[-1], rtol=1e-6)
    assert np.all(np.abs(np.asarray(found.slope) - MEAN_ENERGY) < 5 * np.asarray(found.slope_error))
    assert np.all(np.asarray(found.slope_error) < 0.03 * MEAN_ENERGY.std() * UNITS)
    np.testing.assert_array_equal(found.schedule, np.asarray(SCHEDULE, np.float32))
    # the magnetization of each spin; the effective number of draws is that of families
    wanted = LAWS[-1] @ np.asarray(SPACE.points)
    away = np.asarray(found.positions).mean(axis=0) - wanted
    assert np.all(np.abs(away) < 5 * np.sqrt((1 - wanted**2) / float(found.estimate.effective_samples)))


@pytest.mark.slow
def test_errors_are_those_of_repetitions_and_a_fixed_schedule_has_no_bias():
    """The standard deviation of 100 z-scores is within 3 of its own errors, 0.07, of 1.05."""
    for run in (fixed, adaptive):
        found = jax.lax.map(run, jax.random.split(jax.random.key(1), 100))
        assert np.all(found.estimate.result == CONVERGED)
        scores = (np.asarray(found.estimate.log_partition) - TRUTH[-1]) / np.asarray(found.estimate.standard_error)
        assert 0.8 < scores.std() < 1.3
        assert abs(scores.mean()) < 0.5
        if run is fixed:
            ratio = np.exp(np.asarray(found.estimate.log_partition) - TRUTH[-1])
            assert abs(ratio.mean() - 1) < 5 * ratio.std() / 10
            scores = (np.asarray(found.slope) - MEAN_ENERGY[None]) / np.asarray(found.slope_error)
            assert np.all((scores.std(axis=0) > 0.75) & (scores.std(axis=0) < 1.4))
        else:
            links, schedule = np.asarray(found.links), np.asarray(found.schedule)
            assert np.all((links > 3) & (links < 30))
            assert np.all(schedule[:, -1] == np.float32(BETA))


def still(t):
    """A kernel that stays where it is."""
    return Kernel(lambda position, rng_key=None: State(position), lambda rng_key, state: (state, None))


@pytest.mark.slow
def test_families_are_those_of_the_members_that_were_chosen():
    """Members that never move, each at a place of its own: places are ancestors, and Z is a mean over the starts."""
    members, groups = 64, 4
    places = jnp.arange(float(members))
    path = lambda t, x: 3 * t * jnp.sin(x)
    found = population_annealing(jax.random.key(0), path, still, [0.0, 1.0], places, 2.0, groups=groups)
    np.testing.assert_array_equal(found.positions, found.families.ancestor)
    w = np.exp(-3 * np.sin(np.arange(members)))
    assert abs(float(found.estimate.log_partition) - 2 - math.log(w.mean())) < 1e-5
    # within each group every member has as many descendants as its weight says, rounded up or down
    of_group = w.reshape(groups, -1)
    expected = (of_group / of_group.mean(axis=1, keepdims=True)).reshape(-1)
    relative = np.repeat(of_group.mean(axis=1) / w.mean(), members // groups)
    ends = [sum(relative * f(expected)) / members for f in (np.floor, np.ceil)]
    assert ends[0] < 1 < ends[1]
    square = [members * np.sum((relative * f(expected) / members) ** 2) for f in (np.floor, np.ceil)]
    rho = np.asarray(found.families.mean_square)
    assert rho[0] == 1
    assert square[0] < rho[1] < square[1]
    assert np.sum(expected >= 1) <= int(found.families.surviving) <= np.sum(expected > 0)
    assert 1 < float(found.families.entropic) < rho[1]
    # the mean of du/dt is that of the members, weighted
    assert abs(float(found.slope[0]) - 3 * np.sin(np.arange(members)).mean()) < 1e-5


@pytest.mark.slow
def test_what_went_wrong_is_told():
    """Members that never move; one compiled program, with the numbers of each case."""

    def run(starts, slope, limit=2.0, beyond=0.0):
        slope, limit, beyond = jnp.array([slope, limit, beyond])
        path = lambda t, x: slope * t * x.sum() + jnp.where(t > limit, beyond, 0)
        return population_annealing(jax.random.key(0), path, still, [0.0, 0.5, 1.0], starts, 0.0, groups=16)

    spread = jax.random.normal(jax.random.key(1), (4096, 1))
    nowhere = run(spread, 0.1, 0.2, jnp.inf)
    assert int(nowhere.estimate.result) == NO_OVERLAP
    assert nowhere.on_the_way.result.tolist() == [CONVERGED, NO_OVERLAP, NO_OVERLAP]
    assert int(run(spread, 0.1, 0.7, jnp.nan).estimate.result) == DIVERGED
    # one in 50 is the ancestor of all, yet the groups agree
    few = (jnp.arange(4096) % 50 == 0).astype(spread.dtype)[:, None]
    found = run(few, -20.0)
    assert int(found.estimate.result) == NOT_MIXED
    assert float(found.estimate.effective_samples) < 100
    assert int(run(spread, 5.0).estimate.result) == TOO_FEW_TEMPERATURES


@pytest.mark.slow
def test_a_bound_of_steps_that_is_too_small_is_told_and_unused_steps_do_nothing():
    start, key = jax.random.split(jax.random.key(1))
    ends = jnp.array([0.0, BETA])
    few = adaptive_population_annealing(key, tempered(energy), kernel, ends, hot(start, 1024), VOLUME, max_links=4)
    assert int(few.estimate.result) == TOO_FEW_TEMPERATURES
    assert np.isnan(few.estimate.log_partition)
    assert int(few.links) == 4
    assert np.all(few.on_the_way.result == CONVERGED)
    enough = adaptive(jax.random.key(1))
    links = int(enough.links)
    assert 4 < links < 30
    assert np.all(np.asarray(enough.schedule)[links:] == np.float32(BETA))
    assert np.all(np.asarray(enough.on_the_way.log_partition)[links:] == float(enough.estimate.log_partition))
    np.testing.assert_allclose(few.schedule, enough.schedule[:5], rtol=1e-6)


@pytest.mark.slow
def test_states_that_are_forbidden_are_left_behind():
    """At beta = 0 every state is a start, those of energy inf among them; log Z jumps there."""
    law = lambda s: jnp.where(s[0] + s[1] == 0, jnp.inf, energy(s))

    def make_kernel(beta):
        inner = metropolis(energy, beta, flip_one)

        def step(rng_key, state):
            new, info = inner.step(rng_key, state)
            return jax.tree.map(lambda a, b: jnp.where(law(new.position) < jnp.inf, a, b), new, state), info

        return Kernel(inner.init, step)

    found = adaptive_population_annealing(
        *(jax.random.key(0), tempered(law), make_kernel, jnp.array([0.0, BETA]), hot(jax.random.key(1), 2048), VOLUME),
        steps=10,
        max_links=30,
    )
    assert int(found.estimate.result) == CONVERGED
    truth = float(log_partition(law, SPACE, BETA))
    assert abs(float(found.estimate.log_partition) - truth) < 5 * float(found.estimate.standard_error) < 0.5


@pytest.mark.slow
def test_a_spin_glass_against_elimination():
    side, beta = 6, 1.1
    sites = np.arange(side * side).reshape(side, side)
    pairs = (sites[:, :-1], sites[:, 1:]), (sites[:-1], sites[1:])
    edges = np.concatenate([np.stack(pair).reshape(2, -1).T for pair in pairs])
    first, second = edges.astype(np.int32).T
    couplings = np.random.default_rng(2).normal(size=len(edges)).astype(np.float32)
    terms = factors.binary(SPINS, couplings, jnp.zeros(side * side))
    truth = float(exact.log_partition(plans.plan(graphs.from_edges(side * side, edges)), terms, beta).log_partition)
    glass = lambda s: -jnp.sum(couplings * s[first] * s[second])
    colors = np.add.outer(np.arange(side), np.arange(side)).reshape(-1) % 2
    make_kernel = lambda beta: chromatic(glass, beta, colors)
    starts = jax.random.rademacher(jax.random.key(0), (4096, side * side), float)
    found = adaptive_population_annealing(
        jax.random.key(1), tempered(glass), make_kernel, [0.0, beta], starts, side * side * math.log(2), steps=5
    )
    assert int(found.estimate.result) == CONVERGED
    assert abs(float(found.estimate.log_partition) - truth) < 5 * float(found.estimate.standard_error) < 0.5


@pytest.mark.slow
def test_a_sweep_over_keys_and_ends_compiles_once():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def swept(keys, betas):
        run = lambda key, beta: adaptive_population_annealing(
            *(key, tempered(energy), kernel, beta * jnp.array([0.0, 1.0]), hot(key, 256), VOLUME), max_links=20
        )
        return jax.vmap(run)(keys, betas)

    betas = SCHEDULE[[1, 4, 7]]
    swept(jax.random.split(jax.random.key(1), 3), betas + 0.1)
    many = swept(jax.random.split(jax.random.key(0), 3), betas)
    assert np.all(abs(many.estimate.log_partition - TRUTH[[1, 4, 7]]) < 5 * many.estimate.standard_error)
    assert len(set(many.links.tolist())) > 1


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("schedule: got one that goes back", {"schedule": [0.0, 0.5, 0.4]}),
        ("schedule: got 1 value", {"schedule": [0.0]}),
        ("starts: got 50 members, wanted a multiple of 32 groups", {"starts": jnp.ones((50, UNITS))}),
        ("starts: got 32 members, wanted .* at least 2 in each", {"starts": jnp.ones((32, UNITS))}),
        ("groups: got 1", {"groups": 1}),
        ("steps", {"steps": 0}),
    ],
)
def test_bad_input_is_refused_by_name(name, change):
    arguments = {
        **{"path": tempered(energy), "make_kernel": kernel, "schedule": [0.0, 0.5], "starts": jnp.ones((64, UNITS))},
        **{"log_partition": 0.0, **change},
    }
    with pytest.raises(ArgumentError, match=name):
        population_annealing(jax.random.key(0), **arguments)
