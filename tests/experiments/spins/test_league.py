"""The exact answers of the league, each against another way to find it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import free_energy, spin_cube
from ebmjax.energies import hopfield, ising, potts
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.marginalize.elimination import exact, factors, graphs, plans
from ebmjax.problems import planting
from ebmjax.types import CONVERGED, Estimate
from experiments.data import glasses
from experiments.spins import league_estimators, league_problems, league_scores

COUNT = 4000


def slope(problem, draws):
    """<D> over draws."""
    return jax.vmap(problem.change)(draws)


def by_quadrature(problem, points, cell, t):
    """log Z and <D> at t, from points of equal cells."""
    weights = -jax.vmap(lambda x: problem.path(t, x))(points)
    share = jax.nn.softmax(weights)
    return float(jax.nn.logsumexp(weights) + np.log(cell)), float(share @ jax.vmap(problem.change)(points))


@pytest.mark.slow
def test_the_ellipse_and_the_mixture_by_quadrature():
    """At both ends of the path; the mean of D over exact draws within 5 standard errors: one in a million by chance."""
    side = np.linspace(-24, 24, 1601)
    plane = jnp.asarray(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2), jnp.float32)
    circle = jnp.asarray(2 * np.pi * (np.arange(50_000) + 0.5) / 50_000, jnp.float32)
    for problem, points, cell in (
        (league_problems.angle(), circle, 2 * np.pi / 50_000),
        (league_problems.mixture(), plane, (side[1] - side[0]) ** 2),
    ):
        rounding = 3e-7 * abs(problem.truth)
        for t, truth, drawn in ((0.0, problem.log_start, problem.starts), (1.0, problem.truth, problem.ends)):
            log_z, mean = by_quadrature(problem, points, cell, t)
            assert abs(log_z - truth) < 2e-3 + rounding
            assert drawn is not None
            values = np.asarray(slope(problem, drawn(jax.random.key(0), COUNT)), np.float64)
            assert abs(values.mean() - mean) < 5 * values.std() / np.sqrt(COUNT) + rounding


@pytest.mark.slow
def test_a_small_glass_and_a_small_planted_one_by_enumeration():
    glass = league_problems.glass(jax.random.key(0), 4)
    energy = lambda spins: glass.change(ising.split(spins.reshape(4, 4)))
    log_z = 16 * np.log(2) - float(free_energy(energy, spin_cube(16), 1.0))
    np.testing.assert_allclose(glass.truth, log_z, rtol=1e-6)
    planted = league_problems.wishart(jax.random.key(1), 8)
    log_z = 8 * np.log(2) - float(free_energy(planted.change, spin_cube(8), 1.0))
    np.testing.assert_allclose(planted.truth, log_z, rtol=1e-6)


@pytest.mark.slow
def test_the_planted_state_has_the_least_energy():
    params, state, _ = planting.wishart(jax.random.key(2), 9, 5)
    least = glasses.least_energy(params)
    np.testing.assert_allclose(hopfield.energy(params, state), least, rtol=1e-5)
    assert (params.weights == params.weights.T).all()


@pytest.mark.slow
def test_the_energy_of_sublattices_is_that_of_the_lattice():
    keys = jax.random.split(jax.random.key(3))
    params = ising.Params(jax.random.normal(keys[0], (2, 6, 6)), jnp.zeros(()))
    spins = jax.random.rademacher(keys[1], (6, 6), jnp.float32)
    found = league_problems.energy_of_parts(params, 6, ising.split(spins))
    np.testing.assert_allclose(found, ising.energy(params, spins), rtol=1e-5)


@pytest.mark.slow
def test_a_machine_by_the_sum_over_its_states():
    params = rbm.Params(jax.random.normal(jax.random.key(4), (5, 3)), jnp.linspace(-1, 1, 5), jnp.ones(3) / 2)
    problem = league_problems.from_independent(params, jnp.linspace(-0.5, 0.7, 5))
    states = (spin_cube(8).points + 1) / 2
    both = states[:, :5], states[:, 5:]
    for t, truth in ((0.0, problem.log_start), (1.0, problem.truth)):
        energies = jax.vmap(lambda visible, hidden, t=t: problem.path(t, (visible, hidden)))(*both)
        np.testing.assert_allclose(jax.nn.logsumexp(-energies), truth, rtol=1e-6)


@pytest.mark.slow
def test_sweeps_of_the_potts_lattice_leave_its_law():
    """On 4 × 4 sites with q = 3, where elimination knows the chance of equal neighbours, within 5 standard errors."""
    side, states, beta, chains = 4, 3, 0.8, 4000
    plan = plans.plan(graphs.from_edges(side**2, potts.lattice(side, side)), states)
    law = exact.marginals(plan, factors.potts(jnp.ones(2 * side**2), jnp.zeros((side**2, states))), beta)
    equal = float(jnp.trace(law.pair, axis1=1, axis2=2).mean())
    kernel = league_problems.potts_sweep(beta, side, states)
    first = jax.random.randint(jax.random.key(5), (chains, side, side), 0, states).astype(jnp.float32)
    step = jax.jit(jax.vmap(lambda key, x: kernel.step(key, kernel.init(x))[0].position))
    for key in jax.random.split(jax.random.key(6), 40):
        first = step(jax.random.split(key, chains), first)
    same = np.asarray([first == jnp.roll(first, 1, axis) for axis in (1, 2)]).mean(axis=0)
    of_chains = same.mean(axis=(1, 2))
    assert abs(of_chains.mean() - equal) < 5 * of_chains.std() / np.sqrt(chains)


def test_scores_tell_right_errors_from_wrong_ones():
    problem = league_problems.mixture()
    noise = np.random.default_rng(0).normal(size=400)

    def score(error, result):
        value, unused = jnp.asarray(problem.truth + 0.1 * noise), jnp.zeros(400)
        return league_scores.judged(
            problem,
            "MBAR",
            Estimate(value, unused + error, unused, unused, unused, jnp.full(400, result, jnp.int32)),
            1.0,
        )

    assert league_scores.verdict(score(0.1, CONVERGED)) == "right"
    assert league_scores.verdict(score(0.05, CONVERGED)) == "errors too small"
    assert league_scores.verdict(score(0.2, CONVERGED)) == "errors too large"
    assert league_scores.verdict(score(0.05, 7)) == "says that it failed"
    assert abs(score(0.1, CONVERGED).spread - 1) < 0.15


@pytest.mark.slow
def test_chains_in_both_directions_have_the_truth_between_them():
    """On the mixture: from below and from above in the mean, and the estimates within 5 of their own errors."""
    problem = league_problems.mixture()
    sizes = league_estimators.Sizes(8, 512, 48, 64, 32, 4, 8, 64)
    assert problem.ends is not None
    start_key, run_key = jax.random.split(jax.random.key(7))
    ends = problem.ends(start_key, sizes.repetitions * sizes.chains // 2)
    log_weights = jax.jit(lambda key, ends: league_estimators.weights(problem, sizes, key, ends))(run_key, ends)
    forward, backward = np.asarray(log_weights[:2]).mean(), np.asarray(log_weights[2]).mean()
    ratio = problem.truth - problem.log_start
    assert forward < ratio < -backward, (forward, ratio, -backward)
    both = league_estimators.of_weights(sizes, 1, log_weights, np.float32(problem.log_start))[league_estimators.BOTH]
    z = (np.asarray(both.log_partition) - problem.truth) / np.asarray(both.standard_error)
    assert np.abs(z).max() < 5, z
