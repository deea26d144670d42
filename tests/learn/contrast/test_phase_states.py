"""A contract over phases and kernels: with one step an update and fixed parameters, the law is the exact one.

The state of a kernel goes on from update to update, whatever it holds, and only what it computed from the parameters is
computed anew. A z-score beyond 5 in any of 18 moments of 8 cases happens by chance once in 12,000 runs of this file.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import Array

from ebmjax import posterior, spin_cube
from ebmjax.diagnostics import exact_mean, law_moments, z_scores
from ebmjax.energies import boltzmann, hopfield
from ebmjax.learn.contrast import boltzmann_phases, phases, replay
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.sample import annealing, gibbs, hamiltonian, langevin, metropolis, tempering
from ebmjax.sample.special import single_site
from ebmjax.states import continued
from ebmjax.types import Kernel

UNITS, CHAINS, UPDATES, BETA = 5, 64, 600, 1.3
COUPLED = np.triu(np.random.default_rng(5).normal(size=(UNITS, UNITS)), 1).astype(np.float32)
PARAMS = hopfield.Params(jnp.asarray(0.6 * (COUPLED + COUPLED.T)), jnp.linspace(-0.4, 0.3, UNITS))
LADDER = jnp.array([0.0, 0.5, BETA])


def energy(params, spins):
    return hopfield.energy(params, spins)


def at(params, beta):
    return metropolis.metropolis(partial(energy, params), beta, metropolis.flip_one)


def coins(key):
    return jax.random.rademacher(key, (UNITS,), float)


def ladder(params, betas=LADDER):
    return tempering.tempering(partial(energy, params), partial(at, params), betas)


KERNELS = {
    "systematic": (lambda params: gibbs.systematic(partial(energy, params), BETA), coins),
    "random_scan": (lambda params: gibbs.random_scan(partial(energy, params), BETA), coins),
    "metropolis": (lambda params: at(params, BETA), coins),
    "single_site": (lambda params: single_site.sweep(params, BETA), coins),
}

PHASES = {
    **{f"persistent, {name}": phases.persistent(make, start, CHAINS, 1) for name, (make, start) in KERNELS.items()},
    "persistent, tempering": phases.viewed(
        phases.persistent(ladder, lambda key: jax.vmap(coins)(jax.random.split(key, 3)), CHAINS, 1),
        lambda params, rungs: rungs[-1],
    ),
    "replay": replay.replay(KERNELS["metropolis"][0], coins, CHAINS, 1, 0.0),
    "persistent_tempering": phases.persistent_tempering(
        energy, lambda params, beta: at(params, beta), LADDER, coins, CHAINS, 1
    ),
    "free_running": boltzmann_phases.free_running(boltzmann.partition(UNITS), BETA, CHAINS, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PHASES)
def test_one_step_an_update_gives_the_exact_law(name):
    """Through the learner, at a learning rate of 0."""
    learner = contrastive(energy, phases.observed(), PHASES[name], optax.sgd(0.0))
    batch, key = jnp.ones((2, UNITS)), jax.random.key(1)

    def update(state, key):
        state, _ = learner.update(key, state, batch)
        chains = state.negative.states if name == "replay" else state.negative
        return state, chains.position.reshape(CHAINS, -1, UNITS)[:, -1]

    go = jax.jit(lambda state: jax.lax.scan(update, state, jax.random.split(key, UPDATES))[1])
    draws = go(learner.init(key, PARAMS))
    edges = jnp.array([-jnp.inf, -1.0, 0.0, jnp.inf])
    moments = lambda spins: law_moments(spins, energy(PARAMS, spins), edges)
    points = spin_cube(UNITS).points
    law = posterior(partial(energy, PARAMS), spin_cube(UNITS), BETA)
    truth = exact_mean(jax.vmap(moments)(points), law)
    sampled = jnp.swapaxes(jax.vmap(jax.vmap(moments))(draws[50:]), 0, 1)
    assert np.abs(z_scores(sampled, truth)).max() < 5


def double_well(width, spins):
    """Symmetric under a change of all signs, with a high barrier between."""
    return -width * (jnp.sum(spins) ** 2 - UNITS) / UNITS


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["persistent_tempering", "tempering in persistent", "nested"])
def test_all_pairs_of_a_ladder_take_turns_with_one_step_an_update(kind):
    """The cold rung of an odd ladder changes its sign only through swaps with both pairs."""
    betas, start = jnp.array([0.0, 1.0, 6.0]), lambda key: jnp.ones(UNITS)
    make = lambda width, beta: gibbs.systematic(partial(double_well, width), beta)
    whole = lambda width: tempering.tempering(partial(double_well, width), partial(make, width), betas)
    rungs = lambda key: jnp.ones((3, UNITS))
    phase = {
        "persistent_tempering": phases.persistent_tempering(double_well, make, betas, start, CHAINS, 1),
        "tempering in persistent": phases.persistent(whole, rungs, CHAINS, 1),
        "nested": phases.persistent(
            lambda width: tempering.tempering(
                lambda inner: double_well(width, inner[-1]),
                lambda beta: tempering.tempering(partial(double_well, width), partial(make, width), betas * beta),
                jnp.array([0.999, 1.0]),
            ),
            lambda key: jnp.ones((2, 3, UNITS)),
            CHAINS,
            1,
        ),
    }[kind]

    def update(memory, key):
        _, memory = phase.sample(key, 1.0, memory, jnp.ones((1, UNITS)))
        cold = memory.position.reshape(CHAINS, -1, UNITS)[:, -1]
        return memory, jnp.sign(cold.sum(axis=1))

    keys = jax.random.split(jax.random.key(1), 400)
    signs = jax.jit(lambda memory: jax.lax.scan(update, memory, keys)[1])(phase.init(jax.random.key(0), 1.0))
    assert (np.diff(np.asarray(signs), axis=0) != 0).sum(axis=0).mean() > 4


class Counted(NamedTuple):
    position: Array
    height: Array
    steps: Array


def counting(w):
    """A stranger's kernel: it caches the energy, counts its steps, and walks by what it has cached."""

    def step(key, state):
        height = state.height
        return Counted(state.position, height, state.steps + 1), height

    return Kernel(lambda position, rng_key=None: Counted(position, w * jnp.sum(position), jnp.int32(0)), step)


@pytest.mark.parametrize("kind", ["persistent", "replay"])
def test_what_depends_on_the_parameters_is_computed_anew_and_all_else_goes_on(kind):
    start = lambda key: jnp.ones(3)
    phase = {
        "persistent": phases.persistent(counting, start, 4, 1),
        "replay": replay.replay(counting, start, 4, 1, 0.0),
    }[kind]
    memory = phase.init(jax.random.key(0), jnp.float32(1.0))
    for count, w in enumerate((2.0, 5.0, -1.0), 1):
        _, memory = phase.sample(jax.random.key(count), jnp.float32(w), memory, jnp.ones((2, 3)))
        states = memory if kind == "persistent" else memory.states
        assert states.height.tolist() == [3 * w] * 4
        assert states.steps.tolist() == [count] * 4


def test_annealing_and_ladders_carry_the_states_of_their_kernels():
    run = annealing.annealing(jax.random.key(0), counting, jnp.array([1.0, 2.0, 3.0]), jnp.ones(3), 4)
    assert run.state.steps == 12
    assert run.state.height == 9
    kernel = tempering.tempering(lambda x: 0 * x.sum(), counting, jnp.array([1.0, 2.0, 3.0]))
    state = kernel.init(jnp.ones((3, 2)))
    for key in jax.random.split(jax.random.key(0), 5):
        state, _ = kernel.step(key, state)
    assert state.replicas.steps.tolist() == [5] * 3
    assert state.replica.tolist() != [0, 1, 2]
    assert state.replicas.height[state.replica].tolist() == [2.0, 4.0, 6.0]


def test_a_momentum_goes_on_where_the_energy_has_changed():
    make = lambda w: langevin.underdamped(lambda x: w * jnp.sum(x**2) / 2, 1.0, 0.1, 1.0)
    kernel = make(1.0)
    state, _ = kernel.step(jax.random.key(0), kernel.init(jnp.ones(2)))
    new = continued(jax.random.key(1), make, 3.0, state)
    assert (new.momentum == state.momentum).all()
    assert new.moving
    np.testing.assert_allclose(new.gradient, 3 * state.position, rtol=1e-6)
    np.testing.assert_allclose(new.energy, 3 * state.energy, rtol=1e-6)


@pytest.mark.slow
def test_kernels_of_blackjax_go_on():
    blackjax = pytest.importorskip("blackjax")
    make = lambda w: blackjax.ghmc(lambda x: -w * jnp.sum(x**2), 0.1, jnp.ones(2), 0.9, 0.1)
    phase = phases.persistent(make, lambda key: jnp.ones(2), 4, 1)
    memory = phase.init(jax.random.key(0), 1.0)
    new = jax.vmap(lambda state: continued(jax.random.key(5), make, 2.0, state))(memory)
    assert (new.momentum == memory.momentum).all()
    assert (new.slice == memory.slice).all()
    np.testing.assert_allclose(new.logdensity, 2 * memory.logdensity, rtol=1e-6)


def test_gradients_of_the_old_parameters_are_not_used():
    make = lambda w: hamiltonian.hamiltonian(lambda x: w * jnp.sum(x**2) / 2, 1.0, 0.2, 3)
    phase = phases.persistent(make, lambda key: jnp.ones(2), 4, 1)
    memory = phase.init(jax.random.key(0), 1.0)
    fresh = jax.vmap(lambda x: make(7.0).init(x))(memory.position)
    kept = jax.vmap(lambda state: continued(jax.random.key(5), make, 7.0, state))(memory)
    jax.tree.map(np.testing.assert_array_equal, fresh, kept)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.uint8, np.bool_, np.int32, np.float16])
def test_pictures_of_any_dtype_teach_alike(dtype):
    pictures = np.random.default_rng(0).random((16, UNITS)) > 0.5
    free = lambda params, v: -jnp.sum(params * v)
    make = lambda params: gibbs.systematic(partial(free, params), 1.0, gibbs.Alphabet(0.0, 1.0))
    negative = phases.contrastive_divergence(make, lambda key, v: v, 1)
    learner = contrastive(free, phases.observed(), negative, optax.sgd(0.1))
    key = jax.random.key(0)
    learned = [
        learner.update(key, learner.init(key, jnp.zeros(UNITS)), batch)[0].params
        for batch in (pictures.astype(dtype), jnp.asarray(pictures, jnp.float32))
    ]
    np.testing.assert_array_equal(*learned)
