"""Means on a continuous axis of beta against enumeration: an Ising machine of 8 spins, with exact draws.

Each comparison is within 5 standard errors, of the estimate itself: one of a million numbers is beyond by chance. Over
300 repetitions z-scores have a standard deviation of 1 ± 0.04, and are outside 0.83 to 1.17 once in 15,000 numbers.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.marginalize.reweighting import mbar, mixture
from ebmjax.marginalize.spaces import spin_cube
from ebmjax.temperature import softmin
from ebmjax.types import CONVERGED, DIVERGED, NO_OVERLAP

SPINS, BETAS, COUNT = 8, jnp.array([0.0, 0.2, 0.4, 0.7, 1.1]), 400
STATES = np.asarray(spin_cube(SPINS).points, np.float64)
_rng = np.random.default_rng(4)
COUPLING = np.triu(_rng.normal(size=(SPINS, SPINS)), 1)
FIELD = _rng.normal(size=SPINS) / 3
LEVELS = -np.einsum("ni,ij,nj->n", STATES, COUPLING, STATES) - STATES @ FIELD
AXIS = np.linspace(0.0, 1.2, 25)


def drawn(key, count=COUNT, betas=BETAS):
    """States and energies of exact draws at every beta, by enumeration."""
    levels = jnp.asarray(LEVELS, betas.dtype)
    which = jax.random.categorical(key, -betas[:, None, None] * levels[None, None], shape=(len(betas), count))
    return which, levels[which]


def exact(beta):
    """log Z, <E>, heat capacity, F and the mean of the magnetization squared, in double precision."""
    terms = -beta * LEVELS
    log_z = np.log(np.exp(terms - terms.max()).sum()) + terms.max()
    p = np.exp(terms - log_z)
    mean = p @ LEVELS
    free = LEVELS.mean() if beta == 0 else -(log_z - SPINS * np.log(2)) / beta
    return np.array([log_z, mean, beta**2 * p @ (LEVELS - mean) ** 2, free, p @ STATES.sum(1) ** 2])


def answers(key, betas, count=COUNT):
    """Estimates and errors of the five quantities of `exact`, (betas, 5, 2), and the results."""
    which, energies = drawn(key, count)
    mixed = mixture.mixture(BETAS, energies, None, None, SPINS * np.log(2.0))
    square = jnp.asarray(STATES.sum(1) ** 2, energies.dtype)[which]

    def one(beta):
        t, f = mixture.at(mixed, beta), mixture.free_energy(mixed, beta)
        m = mixture.mean(mixed, beta, square)
        values = jnp.stack([t.log_partition, t.mean_energy, t.heat_capacity, f.value, m.value])
        errors = [t.log_partition_error, t.mean_energy_error, t.heat_capacity_error, f.standard_error, m.standard_error]
        return jnp.stack([values, jnp.stack(errors)], axis=-1), jnp.stack([t.result, f.result, m.result])

    return jax.vmap(one)(betas)


@pytest.mark.slow
def test_every_quantity_on_a_fine_axis_against_enumeration():
    values, results = jax.jit(answers, static_argnums=2)(jax.random.key(0), jnp.asarray(AXIS, jnp.float32), 2000)
    assert np.all(results == CONVERGED)
    truth = np.stack([exact(beta) for beta in AXIS])
    values, errors = np.asarray(values, np.float64)[..., 0], np.asarray(values)[..., 1]
    scale = np.abs(truth).max(axis=0)[None]
    assert np.all(np.abs(values - truth) < 5 * errors + 1e-5 * scale)
    assert np.all(errors < 0.1 * scale)


@pytest.mark.slow
def test_errors_are_those_of_repetitions():
    betas = jnp.array([0.0, 0.3, 0.55, 1.0])
    run = jax.jit(jax.vmap(lambda key: answers(key, betas)))
    values, results = run(jax.random.split(jax.random.key(1), 300))
    assert np.all(results == CONVERGED)
    truth = np.stack([exact(float(beta)) for beta in betas])
    values = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = (values[..., 0] - truth) / values[..., 1]
    scores[:, 0, [0, 2]] = np.random.default_rng(0).normal(size=(300, 2))  # exact at beta = 0: no error to compare
    assert np.all((scores.std(axis=0) > 0.83) & (scores.std(axis=0) < 1.17)), scores.std(axis=0)
    assert np.all(np.abs(scores.mean(axis=0)) < 0.4), scores.mean(axis=0)


@pytest.mark.slow
def test_derivatives_in_beta_are_the_means(x64):
    _, energies = drawn(jax.random.key(0), betas=jnp.asarray(BETAS, jnp.float64))
    mixed = mixture.mixture(np.asarray(BETAS, np.float64), energies)
    log_z = lambda beta: mixture.at(mixed, beta).log_partition
    for beta in (0.0, 0.2, 0.55, 1.1):
        t = mixture.at(mixed, beta)
        np.testing.assert_allclose(jax.grad(log_z)(beta), -t.mean_energy, rtol=1e-9)
        np.testing.assert_allclose(beta**2 * jax.grad(jax.grad(log_z))(beta), t.heat_capacity, rtol=1e-8, atol=1e-12)
        # d(beta F)/dbeta = <E>
        free = lambda beta: beta * mixture.free_energy(mixed, beta).value
        np.testing.assert_allclose(jax.grad(free)(beta), t.mean_energy, rtol=1e-7)
    cold = mixture.free_energy(mixed, 0.0)
    np.testing.assert_allclose(cold.value, mixture.at(mixed, 0.0).mean_energy, rtol=1e-9)
    np.testing.assert_allclose(cold.standard_error, mixture.at(mixed, 0.0).mean_energy_error, rtol=1e-6)
    near = mixture.free_energy(mixed, 1e-6)
    np.testing.assert_allclose(near.standard_error, cold.standard_error, rtol=1e-4)


@pytest.mark.slow
def test_it_is_the_estimate_at_the_betas_of_the_ladder():
    _, energies = drawn(jax.random.key(2))
    estimate = mbar.mbar(BETAS, energies)
    mixed = mixture.mixture(BETAS, energies)
    on_ladder = jax.vmap(lambda beta: mixture.at(mixed, beta))(BETAS)
    np.testing.assert_allclose(on_ladder.log_partition, estimate.log_partition, atol=2e-5)
    np.testing.assert_allclose(on_ladder.log_partition_error, estimate.standard_error, rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(on_ladder.effective_samples, estimate.effective_samples, rtol=1e-3)
    np.testing.assert_array_equal(mixed.estimate.log_partition, estimate.log_partition)
    C = np.asarray(mixture.covariance(mixed, BETAS))
    np.testing.assert_allclose(np.sqrt(np.diagonal(C))[1:], estimate.standard_error[1:], rtol=2e-3)
    # a later reference: the variance of a difference from the second state
    start = mbar.mbar(BETAS[1:], energies[1:]).standard_error
    differences = np.sqrt(np.diagonal(C)[1:] + C[1, 1] - 2 * C[1, 1:])
    assert np.all(differences[1:] <= np.asarray(start)[1:] * 1.02)


@pytest.mark.slow
def test_beyond_the_draws_there_is_no_overlap():
    betas = jnp.array([0.8, 1.1])
    _, energies = drawn(jax.random.key(3), 300, betas)
    mixed = mixture.mixture(betas, energies)
    assert int(mixture.at(mixed, 0.9).result) == CONVERGED
    far = mixture.at(mixed, 0.0)
    assert int(far.result) == NO_OVERLAP
    assert np.isnan(far.mean_energy_error)
    assert int(mixture.free_energy(mixed, 0.9).result) == NO_OVERLAP
    broken = jax.jit(lambda energies: mixture.at(mixture.mixture(betas, energies), 0.9).result)
    assert int(broken(energies.at[0, 0].set(jnp.nan))) == DIVERGED


@pytest.mark.slow
def test_the_free_energy_is_the_librarys():
    """F of the draws at beta = 0 alone, where all weights are equal, is the softmin of their energies."""
    energies = jnp.asarray(LEVELS, jnp.float32)
    mixed = mixture.mixture(jnp.array([0.0, 1e-30]), jnp.stack([energies, energies]))
    for beta in (0.0, 1e-4, 0.3):
        assert mixture.free_energy(mixed, beta).value == pytest.approx(
            float(softmin(energies, beta)), rel=1e-4, abs=1e-5
        )


def test_refusals():
    _, energies = drawn(jax.random.key(2))
    mixed = mixture.mixture(BETAS, energies)
    for wrong, message in (
        (lambda: mixture.at(mixed, jnp.inf), "beta: got inf"),
        (lambda: mixture.at(mixed, -1.0), "beta: got -1.0"),
        (lambda: mixture.free_energy(mixed, -1.0), "beta: got -1.0"),
        (lambda: mixture.mean(mixed, 1.0, energies[:2]), "values: got shape"),
        (lambda: mixture.mean(mixed, 1.0, energies.at[0, 0].set(jnp.nan)), "values: got a value that is not finite"),
        (lambda: mixture.covariance(mixed, [1.0, jnp.inf]), "betas: got inf"),
        (lambda: mixture.covariance(mixed, 1.0), "betas: got shape"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
