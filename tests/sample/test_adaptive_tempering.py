"""Tempering that places its rungs: the law, log Z, round trips, and what it says of ladders that do not serve."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebmjax
from ebmjax.checks import ArgumentError
from ebmjax.marginalize.reweighting.inefficiency import ladder_inefficiency
from ebmjax.marginalize.reweighting.stepping_stones import stepping_stones
from ebmjax.sample.adaptive_tempering import adaptive_tempering
from ebmjax.sample.gibbs import systematic
from ebmjax.sample.metropolis import metropolis
from ebmjax.types import CONVERGED, NOT_MIXED, TOO_FEW_TEMPERATURES

SPINS = 8
COUPLINGS = np.triu(np.random.default_rng(1).normal(size=(SPINS, SPINS)), 1)
BETAS = jnp.array([0.0, 0.05, 0.1, 0.2, 0.4, 3.0])  # far from equal steps of the barrier


def energy(spins):
    return -jnp.einsum("i,ij,j", spins, jnp.asarray(COUPLINGS, spins.dtype), spins)


def gibbs(beta):
    return systematic(energy, beta)


@partial(jax.jit, static_argnums=(1, 2))
def run(key, make_kernel, steps, betas):
    return adaptive_tempering(key, energy, make_kernel, betas, jnp.ones((len(betas), SPINS)), steps)


def exact_acceptance(betas):
    """<min(1, exp((b - b')(E - E')))> of each pair of neighbours, under the product of their laws."""
    energies = np.asarray(jax.vmap(energy)(ebmjax.spin_cube(SPINS).points), np.float64)
    laws = [np.exp(-beta * (energies - energies.min())) for beta in betas]
    laws = [law / law.sum() for law in laws]
    gaps = np.subtract.outer(energies, energies)
    ratios = [np.exp(np.minimum((low - high) * gaps, 0)) for low, high in itertools.pairwise(betas)]
    return [left @ ratio @ right for (left, right), ratio in zip(itertools.pairwise(laws), ratios, strict=True)]


def exact_barrier(beta):
    """∫ <|E - E'|>/2 db from 0 to beta, of two independent states at b."""
    return (1 - np.array(exact_acceptance(np.linspace(0, beta, 200)))).sum()


@pytest.mark.slow
def test_rungs_move_to_equal_rates_and_the_law_and_log_z_are_those_of_enumeration():
    """20 runs: acceptances within a fifth of each other where they began far apart, z-scores of log Z near 1."""
    found = jax.vmap(lambda key: run(key, gibbs, 2048, BETAS))(jax.random.split(jax.random.key(0), 20))
    assert (found.result == CONVERGED).all()
    assert (found.betas[:, 0] == 0).all()
    assert (found.betas[:, -1] == 3).all()
    spread = found.acceptance.max(axis=1) - found.acceptance.min(axis=1)
    assert (spread < 0.2).all()
    assert (np.abs(np.asarray(found.round_trips) / np.asarray(found.expected_trips) - 1) < 0.6).all()
    space = ebmjax.spin_cube(SPINS)
    truth = ebmjax.log_partition(energy, space, 3.0) - SPINS * np.log(2)
    z = (found.estimate.log_partition[:, -1] - truth) / found.estimate.standard_error[:, -1]
    assert (jnp.abs(z) < 5).all()
    assert 0.5 < z.std() < 1.6
    cold = found.positions[:, :, -1].reshape(-1, SPINS)
    truth = ebmjax.posterior(energy, space, 3.0) @ space.points
    errors = found.positions[:, :, -1].mean(axis=1).std(axis=0) / np.sqrt(20)
    assert (jnp.abs(cold.mean(axis=0) - truth) < 5 * errors + 0.01).all()
    assert (found.wanted_rungs >= 3).all()
    assert (np.asarray(found.wanted_rungs) == np.ceil(2 * np.asarray(found.barrier)) + 1).all()
    # each pair swaps as often as enumeration says, at the rungs of each run, and the barrier is the sum of refusals
    exact = np.array([exact_acceptance(betas) for betas in np.asarray(found.betas)])
    away = np.asarray(found.acceptance) - exact
    assert (np.abs(away.mean(axis=0)) < 5 * away.std(axis=0, ddof=1) / np.sqrt(20)).all()
    np.testing.assert_allclose(found.barrier, (1 - np.asarray(found.acceptance)).sum(axis=1), rtol=1e-5)
    np.testing.assert_allclose(found.barrier, exact_barrier(3.0), rtol=0.15)  # of six rungs; an integral of many


@pytest.mark.slow
def test_what_a_run_says_is_what_its_draws_say_and_other_rounds_are_the_same_program():
    """One program for short runs of one round and of three, of falling betas, and of a ladder with a gap."""
    start, compiled = jnp.ones((3, SPINS)), []
    observe = lambda state: (state.position, state.replica)
    temper = lambda betas, rounds: adaptive_tempering(
        jax.random.key(1), energy, gibbs, jnp.array(betas), start, 256, rounds, observe
    )
    first = temper([0.0, 0.1, 3.0], 1)
    jax.monitoring.register_event_duration_secs_listener(lambda event, _, **__: compiled.append(event))
    tuned, falling, gap = temper([0.0, 0.1, 3.0], 3), temper([3.0, 0.1, 0.0], 3), temper([0.0, 0.01, 100.0], 1)
    assert not [event for event in compiled if "backend_compile" in event]
    assert first.betas.tolist() == pytest.approx([0.0, 0.1, 3.0])
    assert tuned.betas[1] > 0.15
    assert falling.betas[1] > 0.15
    for run in (first, tuned, falling, gap):
        position, replica = run.positions
        np.testing.assert_allclose(jax.vmap(jax.vmap(energy))(position), run.energies, rtol=1e-5, atol=1e-5)
        np.testing.assert_array_equal(run.state.position, position[-1])
        assert (np.sort(replica, axis=1) == np.arange(3)).all()  # also in the first row, which no step has skipped
        assert len(np.unique(np.asarray(position).reshape(256, -1), axis=0)) > 128  # no row is blank
        np.testing.assert_allclose(run.barrier, (1 - np.asarray(run.acceptance)).sum(), rtol=1e-5)
        assert int(run.wanted_rungs) == np.ceil(2 * float(run.barrier)) + 1
        rising = np.argsort(run.betas)
        ladder, energies, replicas = run.betas[rising], run.energies.T[rising], replica.T[rising]
        inefficiency = ladder_inefficiency(ladder, energies, replicas)
        log_partition = stepping_stones(ladder, energies, inefficiency=inefficiency).log_partition
        np.testing.assert_allclose(run.estimate.log_partition, log_partition, rtol=1e-4, atol=1e-4)
        assert int(run.round_trips) == trips(np.asarray(replica))
        assert (int(run.result) == TOO_FEW_TEMPERATURES) == bool((run.acceptance < 0.1).any())
    assert int(gap.result) == TOO_FEW_TEMPERATURES
    assert tuned.round_trips > 0


def trips(replica):
    """How often a replica came back to the first rung after it had been at the first and then at the last one."""
    count = 0
    for number in range(replica.shape[1]):
        ends = [row[0] == number for row in replica if number in (row[0], row[-1])]
        ends = [end for end, _ in itertools.groupby(ends)]
        count += max(0, sum(ends) - 1)
    return count


@pytest.mark.slow
def test_too_few_rungs_and_a_rung_that_does_not_mix_say_so():
    """Two rungs at a distance of many barriers; a ladder that swaps well, with a kernel that does not move.

    Falling betas give the same verdicts.
    """
    deep = lambda spins: 6 * energy(spins)
    cold = adaptive_tempering(
        jax.random.key(0), deep, lambda beta: systematic(deep, beta), jnp.array([0.0, 10.0]), jnp.ones((2, SPINS)), 512
    )
    assert int(cold.result) == TOO_FEW_TEMPERATURES
    assert int(cold.wanted_rungs) > 2
    still = lambda beta: metropolis(lambda spins: jnp.sum(spins) * 1e6, beta, lambda key, spins: spins)
    apart = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], size=(8, SPINS)), jnp.float32)
    stuck = adaptive_tempering(jax.random.key(0), energy, still, jnp.linspace(0, 0.8, 8), apart, 4096)
    assert int(stuck.result) == NOT_MIXED
    # of 512 steps, one run in ten says that it is too short
    falling = run(jax.random.key(3), gibbs, 2048, BETAS[::-1])
    assert int(falling.result) == CONVERGED
    assert (jnp.diff(falling.betas) < 0).all()


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("steps", {"steps": 63}),
        ("betas", {"betas": jnp.array([0.0, jnp.inf])}),
        ("position", {"position": jnp.ones((3, 2))}),
    ],
)
def test_bad_input_is_refused_by_name(name, changed):
    right = {"betas": jnp.array([0.0, 1.0]), "position": jnp.ones((2, 2)), "steps": 64}
    pair = lambda spins: -spins[0] * spins[1]
    with pytest.raises(ArgumentError, match=rf"^{name}: "):
        adaptive_tempering(jax.random.key(0), pair, lambda beta: systematic(pair, beta), **(right | changed))
