"""Other people's kernels drop in: blackjax's run in our loops, ladders and phases as they are, with the right law.

blackjax takes a log-density, which is -beta E: the one place where beta enters. Its algorithms are pairs (init, step),
as ours are. A z-score beyond 5 in any of 6 moments of 5 cases happens by chance once in 58,000 runs of this file.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.diagnostics import z_scores
from ebmjax.learn.contrast import phases
from ebmjax.loops import trajectory
from ebmjax.sample.tempering import tempering

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


@pytest.mark.parametrize("name", MAKERS)
def test_they_run_in_our_loops(name):
    run = lambda key, x: trajectory(key, MAKERS[name](BETA), x, DRAWS).positions[40:]
    points = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), CHAINS), starts())
    assert scores(points, BETA).max() < 5
    assert scores(points, 1.0).max() > 10


def test_they_are_rungs_of_our_ladders():
    """A kernel is made inside a vmap, with a traced temperature; the hot rung has its own law too."""
    betas = jnp.array([0.4, BETA])
    ladder = tempering(energy, MAKERS["mala"], betas)
    run = lambda key, x: trajectory(key, ladder, jnp.stack([x, x]), DRAWS).positions[40:]
    points = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(0), CHAINS), starts())
    assert scores(points[:, :, 1], BETA).max() < 5
    assert scores(points[:, :, 0], 0.4).max() < 5


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
