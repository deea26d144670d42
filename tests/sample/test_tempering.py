"""Parallel tempering: every rung its own law, replicas that travel, and a ladder that is tuned."""

import os
import subprocess
import sys
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from ebmjax import posterior, spin_cube
from ebmjax.diagnostics import exact_mean, law_moments, z_scores
from ebmjax.energies import hopfield
from ebmjax.loops import trajectory
from ebmjax.sample.gibbs import State, systematic
from ebmjax.sample.tempering import tempering, tune_ladder
from ebmjax.states import continued
from ebmjax.types import Kernel
from tests.kernels import ALL, UNITS

ENERGY = partial(hopfield.energy, ALL)
BETAS = jnp.array([0.0, 0.3, 0.9, 1.7])


def ladder(betas):
    return tempering(ENERGY, lambda beta: systematic(ENERGY, beta), betas)


@pytest.fixture(scope="module")
def run():
    """64 ladders of four rungs: positions (chains, draws, rungs, units), and infos."""
    start = jax.random.rademacher(jax.random.key(0), (64, len(BETAS), UNITS), jnp.float32)
    keys = jax.random.split(jax.random.key(1), 64)
    go = jax.jit(jax.vmap(lambda key, position: trajectory(key, ladder(BETAS), position, 550)))
    state, positions, infos = go(keys, start)
    return state, positions[:, 50:], jax.tree.map(lambda x: x[:, 50:], infos)


@pytest.mark.slow
@pytest.mark.parametrize("rung", range(len(BETAS)))
def test_each_rung_has_its_own_law(run, rung):
    space = spin_cube(UNITS)
    # of all draws of the coldest rung, 0.7 are expected above 0: the bin is empty in every other run of any sampler
    edges = jnp.array([-jnp.inf, -3.0, -1.0, *([] if rung == 3 else [0.0]), jnp.inf])
    moments = lambda units: law_moments(units, ENERGY(units), edges)
    law = posterior(ENERGY, space, BETAS[rung])
    truth = jax.jit(lambda points: exact_mean(jax.vmap(moments)(points), law))(space.points)
    z = np.asarray(jax.jit(lambda draws: z_scores(jax.vmap(jax.vmap(moments))(draws), truth))(run[1][:, :, rung]))
    # 59 moments of four rungs: one beyond 5 by chance once in 7,000
    assert np.abs(z).max() < 5


@pytest.mark.slow
def test_infos_tell_the_energy_and_the_chance_of_a_swap(run):
    _, positions, infos = run
    np.testing.assert_allclose(infos.energy, jax.vmap(jax.vmap(jax.vmap(ENERGY)))(positions), atol=1e-5)
    # <min(1, exp((b - b')(E - E')))> under the product of the exact laws
    space = spin_cube(UNITS)
    energies = jax.vmap(ENERGY)(space.points)
    order = jnp.argsort(energies)
    for pair in range(3):
        laws = [np.asarray(posterior(ENERGY, space, BETAS[pair + i]), np.float64)[order] for i in (0, 1)]
        gaps = np.subtract.outer(np.asarray(energies)[order], np.asarray(energies)[order])
        step = float(BETAS[pair] - BETAS[pair + 1])
        exact = laws[0] @ np.exp(np.minimum(step * gaps, 0)) @ laws[1]
        of_chain = np.asarray(infos.acceptance[:, :, pair].mean(axis=1), np.float64)
        assert abs(of_chain.mean() - exact) < 5 * of_chain.std(ddof=1) / 8


def test_replicas_travel_and_none_is_lost(run):
    replica = np.asarray(run[0].replica)
    assert (np.sort(replica, axis=1) == np.arange(len(BETAS))).all()
    assert (replica != np.arange(len(BETAS))).any()


@pytest.mark.slow
def test_equal_energies_always_swap_and_pairs_take_turns():
    flat = lambda spins: 0 * spins.sum()
    kernel = tempering(flat, lambda beta: systematic(flat, beta), jnp.array([0.1, 0.2, 0.3, 0.4]))
    state = kernel.init(jnp.ones((4, 3)))
    state, info = kernel.step(jax.random.key(0), state)
    assert state.replica.tolist() == [1, 0, 3, 2]
    assert info.acceptance.tolist() == [1, 1, 1]
    state, _ = kernel.step(jax.random.key(1), state)
    assert state.replica.tolist() == [1, 3, 0, 2]


def test_a_coldest_rung_may_be_at_zero_temperature():
    """It takes what is lower and what is level, and nothing else; no NaN where energies are equal."""
    energy = lambda position: position[0]
    stay = lambda beta: Kernel(State, lambda key, state: (state, None))
    kernel = tempering(energy, stay, jnp.array([1.0, jnp.inf]))
    for hot, cold, swapped in ((0.0, 1.0, True), (1.0, 1.0, True), (1.0, 0.0, False)):
        state, info = kernel.step(jax.random.key(0), kernel.init(jnp.array([[hot], [cold]])))
        assert state.replica.tolist() == ([1, 0] if swapped else [0, 1])
        assert info.acceptance.tolist() == [float(swapped)]


class Witness(NamedTuple):
    """A chain that stays where it is, and tells which beta it is given."""

    position: Array
    log_density: Array
    sum_of_betas: Array


def witness(scale, beta):
    begin = lambda position, rng_key=None: Witness(position, -beta * scale * jnp.sum(position), jnp.float32(0))

    def step(rng_key, state):
        return state._replace(sum_of_betas=state.sum_of_betas + beta), (beta, state.log_density)

    return Kernel(begin, step)


@pytest.mark.slow
def test_replicas_keep_their_places_and_what_depends_on_beta_follows_their_rungs():
    """A kernel that moves nothing: rungs travel; two ladders at once."""
    betas = jnp.array([0.1, 0.2, 0.4, 0.7, 1.0])
    kernel = tempering(lambda x: jnp.sum(x), partial(witness, 1.0), betas)
    start = jax.random.normal(jax.random.key(5), (2, 5, 3))
    run = jax.vmap(lambda key, x: trajectory(key, kernel, x, 30, observe=lambda state: state))
    final, states, infos = run(jax.random.split(jax.random.key(0)), start)
    replica = np.asarray(states.replica)
    assert len(np.unique(replica[0], axis=0)) > 5
    assert (replica[0] != replica[1]).any()
    np.testing.assert_array_equal(states.replicas.position, np.broadcast_to(start[:, None], (2, 30, 5, 3)))
    on_rungs = np.take_along_axis(np.asarray(start)[:, None], replica[..., None], axis=2)
    for position, at in ((states.position, np.s_[:]), (final.position, np.s_[:, -1])):
        np.testing.assert_array_equal(position, on_rungs[at])
    np.testing.assert_allclose(infos.energy, on_rungs.sum(axis=3), rtol=1e-5, atol=1e-6)
    # infos are of the steps before the swaps, in the order of the betas
    before = np.concatenate([np.broadcast_to(np.arange(5), (2, 1, 5)), replica[:, :-1]], axis=1)
    given, log_density = infos.kernel
    np.testing.assert_array_equal(given, np.broadcast_to(betas, given.shape))
    sums = np.take_along_axis(np.asarray(start).sum(axis=2)[:, None], before, axis=2)
    np.testing.assert_allclose(log_density, -np.asarray(betas) * sums, rtol=1e-5, atol=1e-6)
    visited = np.asarray(betas)[np.argsort(before, axis=2)].sum(axis=1)
    np.testing.assert_allclose(final.replicas.sum_of_betas, visited, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("nested", [False, True])
def test_a_new_law_reaches_each_replica_at_the_beta_of_its_rung(nested):
    betas, energy = jnp.array([0.1, 0.4, 1.0]), lambda x: jnp.sum(x)
    inner = lambda scale, factor: tempering(energy, partial(witness, scale), betas * factor)
    factors = jnp.array([0.5, 0.9, 1.0, 1.1])
    outer = lambda scale: tempering(lambda x: jnp.sum(x[-1]), partial(inner, scale), factors)
    make = outer if nested else lambda scale: inner(scale, 1.0)
    start = jax.random.normal(jax.random.key(5), (2, 4, 3, 7) if nested else (2, 3, 7))
    run = jax.vmap(lambda key, x: trajectory(key, make(1.0), x, 9).state)
    old = run(jax.random.split(jax.random.key(1)), start)
    assert (old.replica != jnp.arange(4 if nested else 3)[None]).any()
    new = jax.vmap(lambda state: continued(jax.random.key(0), make, 3.0, state))(old)
    np.testing.assert_array_equal(new.position, old.position)
    np.testing.assert_array_equal(new.replica, old.replica)
    ladder = lambda state: np.asarray(jax.vmap(lambda of, replica: of[replica])(state, new.replica))
    held, at = new.replicas, betas
    if nested:
        # the inner ladders by the outer rungs, then their replicas by the inner ones
        replica = ladder(held.replica)
        found = np.take_along_axis(ladder(held.replicas.log_density), replica, axis=2)
        at = factors[:, None] * betas[None]
    else:
        found = ladder(held.log_density)
    np.testing.assert_allclose(found, -3 * np.asarray(at) * np.asarray(new.position).sum(axis=-1), rtol=1e-5, atol=1e-6)


ON_DEVICES = """
from functools import partial
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from ebmjax.energies import hopfield
from ebmjax.loops import trajectory
from ebmjax.sample.gibbs import systematic
from ebmjax.sample.tempering import tempering

energy = partial(hopfield.energy, hopfield.Params(jnp.asarray(np.eye(6, k=1) + np.eye(6, k=-1)), jnp.ones(6) / 3))
kernel = tempering(energy, lambda beta: systematic(energy, beta), jnp.linspace(0, 2, 8))
start = jax.random.rademacher(jax.random.key(0), (8, 6), float)
go = jax.jit(lambda key, x: trajectory(key, kernel, x, 40))
whole = go(jax.random.key(1), start)
for devices in (2, 4):
    sharding = NamedSharding(Mesh(np.array(jax.devices()[:devices]), ("rungs",)), PartitionSpec("rungs"))
    split = go(jax.random.key(1), jax.device_put(start, sharding))
    jax.tree.map(np.testing.assert_array_equal, whole, split)
    assert split.state.replicas.position.sharding.is_equivalent_to(sharding, 2), split.state.replicas.position.sharding
"""


@pytest.mark.slow
def test_replicas_on_several_devices_make_the_same_run():
    """The same bits on 1, 2 and 4 simulated devices, on which the replicas stay."""
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", ON_DEVICES], env=environment, check=True)


@pytest.mark.slow
def test_a_tuned_ladder_is_refused_equally_everywhere():
    def acceptance(betas):
        start = jax.random.rademacher(jax.random.key(0), (32, len(BETAS), UNITS), jnp.float32)
        go = jax.vmap(lambda key, position: trajectory(key, ladder(betas), position, 300).infos.acceptance)
        return go(jax.random.split(jax.random.key(1), 32), start)[:, 50:].mean(axis=(0, 1))

    acceptance = jax.jit(acceptance)
    betas = jnp.array([0.0, 0.05, 0.1, 3.0])
    before = acceptance(betas)
    for _ in range(4):
        betas = tune_ladder(betas, acceptance(betas))
    after = acceptance(betas)
    assert float(betas[0]) == 0
    np.testing.assert_allclose(betas[-1], 3.0, rtol=1e-6)
    assert (jnp.diff(betas) > 0).all()
    assert np.ptp(after) < 0.1 < np.ptp(before)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ladder(jnp.array([1.0])), "betas: got 1 rung"),
        (lambda: ladder(jnp.array([1.0, -1.0])), "betas: got -1"),
        (lambda: ladder(BETAS).init(jnp.ones((3, UNITS))), r"position: got shape \(3, 10\)"),
        (lambda: tune_ladder(BETAS, jnp.ones(4)), r"acceptance: got shape \(4,\)"),
    ],
)
def test_bad_ladders_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
