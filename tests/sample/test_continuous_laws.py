"""Every sampler of continuous unknowns against exact laws in the plane, at two temperatures, neither of them 1.

Six moments are compared: both means, the three second moments, and the energy. A z-score beyond 5 in any of 6 moments
of 24 cases happens by chance once in 12,000 runs of this file, were they normal.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.diagnostics import z_scores
from ebmjax.loops import trajectory
from ebmjax.sample import metropolis
from tests.continuous import CONTINUOUS, draws

CHAINS, DRAWS, BURN_IN = 64, 600, 60
BETAS = (0.6, 1.7)
CENTRE = np.array([0.5, -1.0])
PRECISION = np.array([[2.0, 0.8], [0.8, 0.7]])


def gaussian(x):
    shifted = x - jnp.asarray(CENTRE, x.dtype)
    return shifted @ jnp.asarray(PRECISION, x.dtype) @ shifted / 2


def banana(x):
    """Bent and with a tail lighter than a normal one: no Gaussian."""
    return x[0] ** 4 / 4 - x[0] / 2 + (x[1] - x[0] ** 2) ** 2


def moments(energy, x):
    return jnp.array([x[0], x[1], x[0] ** 2, x[1] ** 2, x[0] * x[1], energy(x)])


def gaussian_moments(covariance):
    second = covariance + np.outer(CENTRE, CENTRE)
    return np.array([*CENTRE, second[0, 0], second[1, 1], second[0, 1], np.trace(PRECISION @ covariance) / 2])


def grid_moments(energy, beta):
    """By the trapezoidal rule, which converges exponentially here: the energy is beyond 40/beta at the edge."""
    axes = np.linspace(-6.0, 6.0, 401), np.linspace(-14.0, 22.0, 1201)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    levels = banana(points.T)
    weights = np.exp(-beta * (levels - levels.min()))
    first, second = points.T
    values = np.stack([first, second, first**2, second**2, first * second, levels])
    return values @ weights / weights.sum()


@cache
def sampler(name, energy):
    """Compiled once for both temperatures."""
    example = CONTINUOUS[name]
    run = lambda key, points, beta: draws(example, energy, beta, key, points, BURN_IN + DRAWS)[:, BURN_IN:]
    return jax.jit(run)


@jax.jit
def gaussian_scores(points, truth):
    return z_scores(jax.vmap(jax.vmap(lambda x: moments(gaussian, x)))(points), truth)


@jax.jit
def banana_scores(points, truth):
    return z_scores(jax.vmap(jax.vmap(lambda x: moments(banana, x)))(points), truth)


def sampled(name, energy, beta):
    starts = jax.random.normal(jax.random.key(2), (CHAINS, 2))
    return sampler(name, energy)(jax.random.key(1), starts, jnp.float32(beta))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTINUOUS)
def test_samplers_have_the_law_of_a_gaussian(name):
    example = CONTINUOUS[name]
    for beta in BETAS:
        points = sampled(name, gaussian, beta)
        truth = gaussian_moments(example.covariance(beta * PRECISION))
        z = np.abs(gaussian_scores(points, jnp.float32(truth)))
        assert z.max() < 5, f"beta {beta}: the worst moment is {z.max():.1f} standard errors off"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, example in CONTINUOUS.items() if example.exact])
def test_samplers_have_a_law_that_is_not_gaussian(name):
    for beta in BETAS:
        points = sampled(name, banana, beta)
        z = np.abs(banana_scores(points, jnp.float32(grid_moments(banana, beta))))
        assert z.max() < 5, f"beta {beta}: the worst moment is {z.max():.1f} standard errors off"


@pytest.mark.slow
def test_the_bias_of_the_unadjusted_walk_is_seen():
    """The test above can fail: these draws do not have the Boltzmann law, and there are enough of them to show it."""
    z = gaussian_scores(
        sampled("unadjusted", gaussian, 1.7), jnp.float32(gaussian_moments(np.linalg.inv(1.7 * PRECISION)))
    )
    assert np.abs(z).max() > 10


@pytest.mark.parametrize("name", CONTINUOUS)
def test_samplers_refuse_a_negative_temperature(name):
    with pytest.raises(ValueError, match=r"betas?: got -"):
        CONTINUOUS[name].make(gaussian, -1.0)


@pytest.mark.parametrize("name", ["unadjusted", "mala", "underdamped", "hamiltonian"])
def test_a_slope_needs_a_finite_temperature(name):
    with pytest.raises(ValueError, match="beta: got inf, wanted a finite"):
        CONTINUOUS[name].make(gaussian, jnp.inf)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unadjusted", "mala", "underdamped", "hamiltonian", "random_walk", "metropolis"])
@pytest.mark.parametrize("kind", [jnp.int32, jnp.uint8, jnp.bool_, jnp.float16, jnp.bfloat16])
def test_positions_become_floats(name, kind):
    kernel = CONTINUOUS[name].make(lambda x: jnp.sum(x), 1.0)
    walked = [kernel.step(jax.random.key(0), kernel.init(jnp.ones((2, 3), dtype)))[0] for dtype in (kind, jnp.float32)]
    assert walked[0].position.dtype == jnp.float32
    jax.tree.map(np.testing.assert_array_equal, *walked)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unadjusted", "mala", "underdamped", "hamiltonian", "random_walk", "metropolis"])
@pytest.mark.parametrize("height", [jnp.inf, jnp.nan])
def test_a_chain_does_not_start_where_it_cannot_be(name, height):
    """Refused by name; where the start is traced, the info says it at every step until the chain has left."""
    energy = lambda x: jnp.where(jnp.all(jnp.abs(x) < 5), jnp.sum(x**2) / 2, height)
    kernel = CONTINUOUS[name].make(energy, 1.0)
    with pytest.raises(ValueError, match="position: got an energy of"):
        kernel.init(jnp.full((2, 1), 100.0))
    infos = jax.jit(lambda x: trajectory(jax.random.key(0), kernel, x, 50).infos)(jnp.full((2, 1), 100.0))
    assert (infos.diverged if name in ("unadjusted", "underdamped") else infos.forbidden).all()
    near = jax.jit(lambda x: trajectory(jax.random.key(0), kernel, x, 50).infos)(jnp.full((2, 1), 0.1))
    if name in ("mala", "hamiltonian", "random_walk", "metropolis"):
        assert not near.forbidden.any()


@pytest.mark.slow
def test_metropolis_of_integers_that_are_indices():
    table = jnp.array([0.0, 1.0, 0.5, 2.0])
    kernel = metropolis.metropolis(lambda i: table[i], 1.3, lambda key, i: (i + jax.random.randint(key, (), 1, 4)) % 4)
    run = lambda key: trajectory(key, kernel, jnp.int8(2), 400).positions[50:]
    draws = np.asarray(jax.vmap(run)(jax.random.split(jax.random.key(0), 64)))
    law = np.exp(-1.3 * np.asarray(table)) / np.exp(-1.3 * np.asarray(table)).sum()
    scores = z_scores(draws[..., None] == np.arange(4), law)
    assert np.abs(scores).max() < 4.5


@pytest.mark.slow
def test_rare_moves_are_accepted_as_often_as_they_should_be():
    """exp(-17) of 2^27 draws is 5.6; of uniform numbers with 23 bits none would be accepted."""
    count = jax.jit(lambda key: metropolis.accepts(key, jnp.full(2**22, 17.0)).sum())
    accepted = sum(int(count(jax.random.key(i))) for i in range(32))
    assert 0 < accepted < 20
