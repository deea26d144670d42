"""BlackJAX both ways: its kernels run in our loops, ladders and phases, our kernels in its loop, each with its law.

BlackJAX takes a log-density, which is -beta E: the one place where beta enters. Its algorithms are pairs (init, step),
as ours are. Its adaptations tune its kernels for our loops, and our kernels. A z-score beyond 5 in any of 6 moments of
11 continuous cases, or of 55 moments of spins, happens by chance once in 14,000 runs of this file.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import posterior, spin_cube
from ebmjax.diagnostics import exact_mean, law_moments, z_scores
from ebmjax.energies import hopfield
from ebmjax.learn.contrast import phases
from ebmjax.loops import trajectory
from ebmjax.sample import gibbs, langevin, metropolis
from ebmjax.sample.hamiltonian import hamiltonian
from ebmjax.sample.tempering import tempering
from tests.kernels import ALL, UNITS

blackjax = pytest.importorskip("blackjax")
pytestmark = pytest.mark.optax  # written for standard dtype promotion, as optax is

BETA = 1.7
CHAINS, DRAWS = 64, 400
CENTRE = np.array([0.5, -1.0])
PRECISION = np.array([[2.0, 0.8], [0.8, 0.7]])


def energy(x):
    shifted = x - jnp.asarray(CENTRE, x.dtype)
    return shifted @ jnp.asarray(PRECISION, x.dtype) @ shifted / 2


def log_density(beta):
    return lambda x: -beta * energy(x)


MAKERS = {
    "nuts": lambda beta: blackjax.nuts(log_density(beta), 0.5, jnp.ones(2)),
    "mala": lambda beta: blackjax.mala(log_density(beta), 0.2),
    "rmh": lambda beta: blackjax.rmh(log_density(beta), lambda key, x: x + 0.9 * jax.random.normal(key, x.shape)),
}


def scores(points, beta):
    """Of both means, the three second moments and the energy."""
    covariance = np.linalg.inv(beta * PRECISION)
    second = covariance + np.outer(CENTRE, CENTRE)
    truth = np.array([*CENTRE, second[0, 0], second[1, 1], second[0, 1], 1 / beta])
    moments = lambda x: jnp.array([x[0], x[1], x[0] ** 2, x[1] ** 2, x[0] * x[1], energy(x)])
    return np.abs(z_scores(jax.vmap(jax.vmap(moments))(points), jnp.float32(truth)))


def starts():
    return jax.random.normal(jax.random.key(2), (CHAINS, 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
def test_they_run_in_our_loops(name):
    run = lambda key, x: trajectory(key, MAKERS[name](BETA), x, DRAWS).positions[40:]
    points = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), CHAINS), starts())
    assert scores(points, BETA).max() < 5
    assert scores(points, 1.0).max() > 10


@pytest.mark.slow
def test_they_are_rungs_of_our_ladders():
    """A kernel is made inside a vmap, with a traced temperature; the hot rung has its own law too."""
    betas = jnp.array([0.4, BETA])
    ladder = tempering(energy, MAKERS["mala"], betas)
    run = lambda key, x: trajectory(key, ladder, jnp.stack([x, x]), DRAWS).positions[40:]
    points = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), CHAINS), starts())
    assert scores(points[:, :, 1], BETA).max() < 5
    assert scores(points[:, :, 0], 0.4).max() < 5


@pytest.mark.slow
def test_they_are_chains_of_our_persistent_phase():
    """One draw of very many chains; the parameter is a shift of the energy, and stands still."""
    make_kernel = lambda shift: blackjax.hmc(
        lambda x: -BETA * energy(x - shift), 0.4, jnp.ones(2), num_integration_steps=3
    )
    phase = phases.persistent(make_kernel, lambda key: jax.random.normal(key, (2,)), chains=4096, steps=20)
    shift = jnp.array([1.0, 2.0])
    memory = phase.init(jax.random.key(0), shift)
    draws = []
    for key in jax.random.split(jax.random.key(1), 4):
        positions, memory = jax.jit(phase.sample)(key, shift, memory, None)
        draws.append(positions - shift[None])
    assert scores(jnp.stack(draws, axis=1), BETA).max() < 5


OURS = {
    "metropolis": lambda beta: metropolis.metropolis(energy, beta, metropolis.gaussian_step(0.9)),
    "mala": lambda beta: langevin.mala(energy, beta, 0.2),
    "hamiltonian": lambda beta: hamiltonian(energy, beta, 0.4, 3),
    "tempering": lambda beta: tempering(energy, lambda b: langevin.mala(energy, b, 0.2), beta * jnp.array([1.0, 0.4])),
}


def run_in_blackjax(kernel, key, position, steps):
    """Positions of every step, by BlackJAX's own loop."""
    run = blackjax.util.run_inference_algorithm
    keep = lambda state, info: (state.position, info)
    return run(key, kernel, steps, initial_position=position, transform=keep)[1][0]


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_ours_run_in_their_loop(name):
    ladder = name == "tempering"
    kernel = OURS[name](BETA)
    place = lambda x: jnp.stack([x, x]) if ladder else x
    run = lambda key, x: run_in_blackjax(kernel, key, place(x), DRAWS)[40:]
    points = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), CHAINS), starts())
    points = points[:, :, 0] if ladder else points
    assert scores(points, BETA).max() < 5
    assert scores(points, 1.0).max() > 10


@pytest.mark.slow
def test_ours_of_spins_run_in_their_loop():
    """Against the enumerated law of ten units: all means and products, 55 moments."""
    spin_energy = partial(hopfield.energy, ALL)
    kernel = gibbs.systematic(spin_energy, BETA)
    space = spin_cube(UNITS)
    moments = lambda spins: law_moments(spins, spin_energy(spins), jnp.array([-jnp.inf, jnp.inf]))[:55]
    spins = jax.random.rademacher(jax.random.key(2), (CHAINS, UNITS), jnp.float32)
    run = lambda key, s: jax.vmap(moments)(run_in_blackjax(kernel, key, s, DRAWS)[40:])
    sampled = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), CHAINS), spins)
    truth = lambda beta: exact_mean(jax.vmap(moments)(space.points), posterior(spin_energy, space, beta))
    assert np.abs(z_scores(sampled, truth(BETA))).max() < 5
    assert np.abs(z_scores(sampled, truth(1.0))).max() > 10


@pytest.mark.slow
def test_both_loops_make_the_same_chain():
    """BlackJAX splits one key for `init` off; from there on the keys, the steps and the numbers are the same."""
    key, start = jax.random.key(5), jnp.array([0.3, -0.8])
    theirs = run_in_blackjax(OURS["hamiltonian"](BETA), key, start, 30)
    ours = trajectory(jax.random.split(key)[0], OURS["hamiltonian"](BETA), start, 30).positions
    np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-6)  # positions are of order 1, some of them near 0


@pytest.mark.slow
def test_their_window_adaptation_tunes_a_kernel_for_our_loop():
    """Step size and mass are found from a step size that is far too small, and the tuned kernel has the right law."""
    warmup = blackjax.window_adaptation(
        blackjax.hmc, log_density(BETA), num_integration_steps=3, initial_step_size=1e-3, target_acceptance_rate=0.8
    )
    (_, tuned), _ = warmup.run(jax.random.key(3), jnp.zeros(2), num_steps=500)
    kernel = blackjax.hmc(log_density(BETA), **tuned)
    run = lambda key, x: trajectory(key, kernel, x, DRAWS)
    chains = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), CHAINS), starts())
    assert scores(chains.positions[:, 40:], BETA).max() < 5
    assert 0.6 < chains.infos.acceptance_rate.mean() < 0.97
    assert tuned["step_size"] > 0.1


@pytest.mark.slow
def test_their_dual_averaging_tunes_our_step_size():
    """The acceptance rate min(1, exp(-Δ)) of our info is all that it needs, and the step size may be traced."""
    target = 0.7
    init, update, final = blackjax.adaptation.step_size.dual_averaging_adaptation(target)

    def step(carry, key):
        position, averaging = carry
        kernel = hamiltonian(energy, BETA, jnp.exp(averaging.log_step_size), 3)
        state, info = kernel.step(key, kernel.init(position))
        rate = jnp.exp(jnp.minimum(-info.energy_error, 0))
        return (state.position, update(averaging, jnp.where(info.diverged, 0, rate))), None

    @jax.jit
    def tune(key):
        averaging = jax.tree.map(lambda leaf: jnp.asarray(leaf), init(1e-3))
        return final(jax.lax.scan(step, (jnp.zeros(2), averaging), jax.random.split(key, 1500))[0][1])

    step_size = tune(jax.random.key(4))
    run = lambda key, x: trajectory(key, hamiltonian(energy, BETA, step_size, 3), x, DRAWS)
    chains = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), CHAINS), starts())
    rate = jnp.exp(jnp.minimum(-chains.infos.energy_error, 0)).mean()
    assert abs(rate - target) < 0.08
    assert scores(chains.positions[:, 40:], BETA).max() < 5
