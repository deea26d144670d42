"""The random walk of many chains: its random numbers, what one step does, and that it runs on every kind of key."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import random_bits
from ebmjax.loops import trajectory
from ebmjax.sample.special import many_walks as module
from ebmjax.sample.special.many_walks import random_walk

BETA = 1.7


def energy(x):
    return x[0] ** 4 / 4 - x[0] / 2 + (x[1] - x[0] ** 2) ** 2


def free(x):
    """No energy at all: the walk shows its noise."""
    return jnp.zeros((), x.dtype)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2, 60_000), (3, 40_001), (1, 100_001), (100_000,)])
def test_the_noise_is_standard_normal(shape):
    """Kolmogorov and Smirnov's distance; its bound is passed by chance once in a million runs, per shape."""
    kernel = random_walk(free, BETA, 1.0)
    noise = np.sort(np.ravel(kernel.step(jax.random.key(3), kernel.init(jnp.zeros(shape)))[0].position))
    law = np.asarray(jax.scipy.stats.norm.cdf(noise), np.float64)
    size = len(noise)
    ranks = np.arange(size) / size
    distance = max(np.max(law - ranks), np.max(ranks + 1 / size - law))
    assert distance < np.sqrt(np.log(2e6) / 2 / size)
    assert np.abs(noise).max() > 4
    assert len(np.unique(noise)) > 0.999 * size


def test_the_noise_of_a_step_and_of_its_chains_is_independent():
    """Correlations of coordinates, neighbouring chains and steps: 6 of them within 5 standard errors, 1 in 290,000."""
    kernel = random_walk(free, BETA, 1.0)
    _, path, _ = trajectory(jax.random.key(0), kernel, jnp.zeros((2, 20_000)), 3)
    noise = np.diff(np.asarray(path), axis=0, prepend=0)
    first, second = noise[:, 0], noise[:, 1]
    pairs = [
        (first, second),
        (first[:, 1:], first[:, :-1]),
        (second[:, 1:], first[:, :-1]),
        (first[1:], first[:-1]),
        (second[1:], first[:-1]),
        (np.square(first), np.square(second)),
    ]
    for one, other in pairs:
        one, other = one.ravel(), other.ravel()
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(len(one))


@pytest.mark.slow
def test_moves_are_accepted_by_the_rule_of_metropolis():
    """The share of accepted moves of cost c is exp(-c): a bin of 8 is 5 errors off by chance once in 200,000 runs."""
    start = jnp.tile(jnp.array([[0.3], [-0.8]]), (1, 200_000))
    kernel = random_walk(energy, BETA, 0.5)
    state, info = kernel.step(jax.random.key(0), kernel.init(start))
    cost = np.asarray(BETA * info.energy_change, np.float64)
    accepted = np.asarray(info.accepted)
    assert accepted[cost <= 0].all()
    for low in np.arange(0.0, 2.0, 0.25):
        chosen = (cost > low) & (cost <= low + 0.25)
        expected = np.exp(-cost[chosen])
        error = np.sqrt((expected * (1 - expected)).sum())
        assert abs(accepted[chosen].sum() - expected.sum()) < 5 * error
    np.testing.assert_array_equal(state.position[:, ~info.accepted], start[:, ~info.accepted])
    np.testing.assert_allclose(state.energy, jax.vmap(energy, -1)(state.position), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_it_goes_downhill_at_zero_temperature():
    _, path, _ = trajectory(jax.random.key(0), random_walk(energy, jnp.inf, 0.3), jnp.ones((2, 5)), 100)
    levels = jax.vmap(jax.vmap(energy, -1))(path)
    assert (jnp.diff(levels, axis=0) <= 0).all()
    assert (levels[-1] < levels[0]).any()


@pytest.mark.slow
def test_a_position_that_is_forbidden_is_never_entered():
    wall = lambda x: jnp.where(x[0] > 0.5, jnp.inf, jnp.sum(x**2))
    _, path, info = trajectory(jax.random.key(0), random_walk(wall, BETA, 1.0), jnp.zeros((2, 64)), 100)
    assert (path[:, 0] <= 0.5).all()
    assert 0.1 < info.accepted.mean() < 0.9


def test_every_implementation_of_a_threefry_key_walks_the_same_way():
    kernel = random_walk(energy, BETA, 0.5)
    run = jax.jit(lambda key: kernel.step(key, kernel.init(jnp.zeros((2, 7))))[0].position)
    np.testing.assert_array_equal(run(jax.random.key(3)), run(random_bits.key(3)))


@pytest.mark.slow
def test_positions_may_be_matrices_of_any_precision(x64):
    kernel = random_walk(lambda x: jnp.sum(x**2), BETA, 0.5)
    state, _ = kernel.step(jax.random.key(0), kernel.init(jnp.zeros((2, 3, 5))))
    assert state.position.dtype == jnp.float64
    assert state.position.shape == (2, 3, 5)
    assert state.energy.shape == (5,)


@pytest.mark.slow
def test_under_vmap_each_walk_is_the_same_as_alone():
    start = jnp.zeros((2, 9))
    run = lambda key, beta: trajectory(key, random_walk(energy, beta, 0.5), start, 20).positions
    keys, betas = jax.random.split(jax.random.key(0), 3), jnp.array([0.0, 0.5, BETA])
    together = jax.jit(jax.vmap(run))(keys, betas)
    np.testing.assert_allclose(together[2], jax.jit(run)(keys[2], betas[2]), rtol=1e-5, atol=1e-6)


def test_a_sweep_compiles_once():
    chex.clear_trace_counter()

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(beta, step_size):
        return trajectory(jax.random.key(0), random_walk(energy, beta, step_size), jnp.ones((2, 9)), 20).positions

    ends = [run(jnp.float32(beta), jnp.float32(step)) for beta in (0.0, 2.0, jnp.inf) for step in (0.1, 1.0)]
    assert len({tuple(np.ravel(end)) for end in ends}) == 6


def test_the_noise_is_drawn_once():
    """What makes it quick: a conditional around the draw stands in the compiled step, so that no use draws anew."""
    kernel = random_walk(energy, BETA, 0.5)
    step = lambda key, x: kernel.step(key, kernel.init(x))[0].position
    compiled = jax.jit(step).lower(jax.random.key(0), jnp.zeros((2, 8))).compile().as_text()
    assert "conditional(" in (compiled or "")


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"position: got shape \(\)"):
        random_walk(energy, BETA, 0.5).init(jnp.zeros(()))
    with pytest.raises(ValueError, match="step_size: got -1"):
        random_walk(energy, BETA, -1.0)


def test_the_direction_is_a_unit_vector():
    """Taylor's series of sine and cosine, over all angles: the radius is right to four units in the last place."""
    low = jnp.arange(0, 2**32, 99_991, dtype=jnp.uint32)
    pairs = module._direction(low)
    np.testing.assert_allclose(jnp.hypot(*pairs), 1, atol=5e-7)
    angles = np.sort(np.arctan2(*np.asarray(pairs, np.float64)))
    np.testing.assert_allclose(angles, np.linspace(-np.pi, np.pi, len(angles)), atol=2e-3)
