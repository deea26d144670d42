"""The modern Hopfield network is the library's free energy over its patterns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebmjax
from ebmjax.energies import modern_hopfield
from ebmjax.energies.modern_hopfield import energy, free_energy, retrieve
from ebmjax.marginalize.spaces import weighted

BETAS = [0.0, 0.3, 2.0, 50.0, jnp.inf]


def patterns_and_state(seed, count=6, units=10):
    first, second = jax.random.split(jax.random.key(seed))
    return jax.random.normal(first, (count, units)), jax.random.normal(second, (units,))


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS)
def test_it_is_the_free_energy_over_the_patterns(beta, x64):
    patterns, state = patterns_and_state(0)
    space = weighted(patterns, jnp.zeros(len(patterns)))
    whole = ebmjax.free_energy(lambda pattern: energy(pattern, state), space, beta)
    np.testing.assert_allclose(free_energy(patterns, state, beta), whole, rtol=1e-12)
    np.testing.assert_allclose(
        retrieve(patterns, state, beta),
        ebmjax.posterior(lambda pattern: energy(pattern, state), space, beta) @ patterns,
        rtol=1e-12,
    )


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.3, 2.0, 50.0])
def test_it_is_the_energy_of_the_paper(beta, x64):
    """Ramsauer et al., eq. 2: -lse(beta, Xᵀξ) + ½ ξᵀξ + log(P)/beta + ½ M²; and eq. 3, attention."""
    patterns, state = patterns_and_state(1)
    overlaps = beta * patterns @ state
    largest = jnp.max(jnp.linalg.norm(patterns, axis=1))
    theirs = -jax.nn.logsumexp(overlaps) / beta + 0.5 * state @ state + jnp.log(6.0) / beta + 0.5 * largest**2
    np.testing.assert_allclose(free_energy(patterns, state, beta), theirs - 0.5 * largest**2, rtol=1e-12)
    np.testing.assert_allclose(retrieve(patterns, state, beta), jax.nn.softmax(overlaps) @ patterns, rtol=1e-12)


@pytest.mark.parametrize("beta", BETAS)
def test_retrieval_is_a_step_down_the_slope(beta, x64):
    patterns, state = patterns_and_state(2)
    slope = jax.grad(lambda state: free_energy(patterns, state, beta))(state)
    np.testing.assert_allclose(retrieve(patterns, state, beta), state - slope, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_free_energy_never_rises_under_retrieval():
    patterns, _ = patterns_and_state(3, 20, 8)
    starts = 2 * jax.random.normal(jax.random.key(4), (40, 8))

    def descend(beta, state):
        step = lambda state, _: (retrieve(patterns, state, beta), free_energy(patterns, state, beta))
        return jax.lax.scan(step, state, None, length=15)[1]

    betas = jnp.array(BETAS)
    heights = jax.jit(jax.vmap(jax.vmap(descend, (None, 0)), (0, None)))(betas, starts)
    assert (jnp.diff(heights, axis=2) <= 1e-5 * (1 + jnp.abs(heights[:, :, :1]))).all()
    assert (heights[:, :, 0] > heights[:, :, -1] + 0.1).any(axis=1).all()


def test_one_update_recalls_far_more_patterns_than_units():
    """1,000 random patterns of 64 spins, 10 of them turned: overlap 44 of the right one against 5 σ = 40 of others."""
    patterns = jax.random.rademacher(jax.random.key(5), (1000, 64), dtype=jnp.float32)
    start = patterns[:20].at[:, :10].multiply(-1)
    recalled = jax.jit(jax.vmap(retrieve, (None, 0, None)))(patterns, start, jnp.float32(jnp.inf))
    np.testing.assert_array_equal(recalled, patterns[:20])
    warm = jax.vmap(retrieve, (None, 0, None))(patterns, start, 1.0)
    np.testing.assert_allclose(warm, patterns[:20], atol=0.1)


def test_the_coldest_and_the_hottest_update():
    patterns = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]])
    np.testing.assert_array_equal(retrieve(patterns, jnp.array([1.0, 0.0]), jnp.inf), [1.0, 0.0])
    np.testing.assert_allclose(retrieve(patterns, jnp.array([1.0, 0.0]), 0.0), patterns.mean(axis=0), rtol=1e-6)


def test_faults_are_named():
    patterns, state = patterns_and_state(6)
    with pytest.raises(ValueError, match=r"beta: got -1\.0"):
        free_energy(patterns, state, -1.0)
    with pytest.raises(ValueError, match=r"patterns: got shape \(10,\), wanted \(patterns, units\)"):
        modern_hopfield.retrieve.__wrapped__(state, state, 1.0)
    with pytest.raises(ValueError, match=r"state: got shape \(10,\), wanted \(9,\)"):
        modern_hopfield.energy.__wrapped__(state[1:], state)
