"""The four estimators of a ladder, on harmonic oscillators: value, calibration of the error, bounds, and refusals.

z-scores have a standard deviation of 1 ± 0.04 over 300 repetitions; outside 0.83 to 1.17 they are by chance once in
15,000 numbers. Their mean is 0 ± 0.06; it is beyond 0.3 once in two million. Keys are fixed.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.marginalize.reweighting import bar, integration, mbar, mixture, stepping_stones
from ebmjax.types import CONVERGED, DIVERGED, NO_OVERLAP, TOO_FEW_TEMPERATURES
from tests import oscillators

BETAS, DIMENSIONS, COUNT, REPETITIONS = jnp.array([0.5, 0.65, 0.8, 1.0, 1.3, 1.7]), 6, 400, 300
ESTIMATORS = {
    "mbar": mbar.mbar,
    "bar": bar.bar,
    "stepping_stones": stepping_stones.stepping_stones,
    "integration": integration.thermodynamic_integration,
}
every = pytest.mark.parametrize("name", ESTIMATORS)


@functools.cache
def repeated(name):
    """Estimates from independent draws, 300 times."""
    run = lambda key: ESTIMATORS[name](BETAS, oscillators.draws(key, BETAS, COUNT, DIMENSIONS))
    return jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(3), REPETITIONS))


@pytest.mark.slow
@every
def test_the_error_is_that_of_repetitions(name):
    many = repeated(name)
    assert np.all(many.result == CONVERGED)
    away = np.asarray(many.log_partition)[:, 1:] - oscillators.log_ratio(BETAS, DIMENSIONS)[1:]
    scores = away / np.asarray(many.standard_error)[:, 1:]
    assert np.all((scores.std(axis=0) > 0.83) & (scores.std(axis=0) < 1.17)), scores.std(axis=0)
    assert np.all(np.abs(scores.mean(axis=0)) < 0.3), scores.mean(axis=0)
    assert np.all(many.log_partition[:, 0] == 0)
    assert np.all(many.standard_error[:, 0] == 0)
    assert np.all(many.effective_samples > 10)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stepping_stones", "integration"])
def test_bounds_hold(name):
    """20 draws at each of three betas far apart, so that the means of both bounds are apart by many standard errors."""
    betas, truth = BETAS[::2], oscillators.log_ratio(BETAS[::2], DIMENSIONS)[1:]
    run = lambda key: ESTIMATORS[name](betas, oscillators.draws(key, betas, 20, DIMENSIONS))
    many = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(4), 10000))
    lower, upper = np.asarray(many.lower)[:, 1:], np.asarray(many.upper)[:, 1:]
    error = lambda bound: bound.std(axis=0) / np.sqrt(10000)
    assert np.all(lower.mean(axis=0) + 5 * error(lower) < truth)
    assert np.all(upper.mean(axis=0) - 5 * error(upper) > truth)
    assert np.all(((lower < truth) & (truth < upper)).mean(axis=0) > 0.99)
    if name == "stepping_stones":  # the estimate itself is too low in the mean
        estimate = np.asarray(many.log_partition)[:, 1:]
        assert np.all(estimate.mean(axis=0) + 5 * error(estimate) < truth)


@pytest.mark.slow
def test_more_than_neighbours_overlap_and_so_mbar_has_the_least_error():
    errors = {name: np.asarray(repeated(name).standard_error)[:, -1].mean() for name in ESTIMATORS}
    assert errors["mbar"] < errors["bar"] < errors["stepping_stones"]


@pytest.mark.slow
@every
def test_counts_inefficiency_and_reference(name):
    estimator = ESTIMATORS[name]
    energies = oscillators.draws(jax.random.key(0), BETAS, COUNT, DIMENSIONS)
    counts = [100, 200, 300, 400, 150, 250]
    padded = jnp.where(jnp.arange(COUNT)[None] < jnp.array(counts)[:, None], energies, jnp.nan)
    some = estimator(BETAS, padded, counts)
    z = (some.log_partition - oscillators.log_ratio(BETAS, DIMENSIONS))[1:] / some.standard_error[1:]
    assert np.all(np.abs(np.asarray(z)) < 5)
    whole = estimator(BETAS, energies)
    twice = estimator(BETAS, jnp.concatenate([energies] * 2, axis=1), None, jnp.full(6, 2.0), 1.5)
    np.testing.assert_allclose(twice.log_partition, whole.log_partition + 1.5, atol=2e-4)  # n - 1 in a variance
    np.testing.assert_allclose(twice.standard_error, whole.standard_error, rtol=5e-3)


@pytest.mark.slow
@every
def test_another_unit_and_another_zero_of_energy(name):
    """Energies near 10⁴, in a unit in which betas are small."""
    energies = oscillators.draws(jax.random.key(1), BETAS, COUNT, DIMENSIONS)
    plain = ESTIMATORS[name](BETAS, energies)
    other = ESTIMATORS[name](BETAS / 1024, 1024 * (energies + 16))
    moved = 16 * (BETAS - BETAS[0])
    np.testing.assert_allclose(other.log_partition + moved, plain.log_partition, atol=1e-4)
    np.testing.assert_allclose(other.standard_error, plain.standard_error, rtol=1e-3)


@pytest.mark.slow
@every
def test_no_overlap_is_said(name):
    far = jnp.array([1.0, 1.2, 1e3, 1.2e3])
    energies = oscillators.draws(jax.random.key(2), far, 500, 20)
    result = ESTIMATORS[name](far, energies).result.tolist()
    code = TOO_FEW_TEMPERATURES if name == "integration" else NO_OVERLAP
    assert result[2:] == [code, code]
    assert result[0] == CONVERGED
    if name != "integration":
        assert result[1] == CONVERGED


@pytest.mark.slow
@every
def test_what_cannot_be_seen_before_tracing_is_a_code(name):
    energies = oscillators.draws(jax.random.key(0), BETAS, COUNT, DIMENSIONS)
    run = jax.jit(lambda betas, energies: ESTIMATORS[name](betas, energies).result)
    assert np.all(run(BETAS, energies) == CONVERGED)
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        assert np.all(run(BETAS, energies.at[2, 7].set(bad)) == DIVERGED)
    assert np.all(run(BETAS[::-1], energies[::-1]) == DIVERGED)
    assert np.all(run(BETAS.at[1].set(BETAS[0]), energies) == DIVERGED)


@pytest.mark.parametrize("name", [*ESTIMATORS, "mixture"])
def test_refusals(name):
    estimator = {**ESTIMATORS, "mixture": mixture.mixture}[name]
    betas, energies = [0.5, 1.0], np.ones((2, 3))
    for wrong, message in (
        (lambda: estimator([1.0, 0.5], energies), "betas: .* that rise"),
        (lambda: estimator([1.0, 1.0], energies), "betas: .* that rise"),
        (lambda: estimator([0.5, np.inf], energies), "betas: got inf"),
        (lambda: estimator([-0.5, 1.0], energies), "betas: got -0.5"),
        (lambda: estimator([0.5], energies[:1]), "betas: got 1, wanted at least 2"),
        (lambda: estimator(betas, energies[:, :1]), "energies: .* at least 2 draws"),
        (lambda: estimator(betas, np.ones((3, 3))), r"energies: got shape \(3, 3\), wanted \(2, draws\)"),
        (lambda: estimator(betas, np.array([[1, 2, np.nan], [1, 2, 3]])), "energies: got a value that is not finite"),
        (lambda: estimator(betas, energies, [1, 3]), "counts: .* from 2 to 3"),
        (lambda: estimator(betas, energies, [2, 4]), "counts: .* from 2 to 3"),
        (lambda: estimator(betas, energies, [2.5, 3]), "counts: .* whole numbers"),
        (lambda: estimator(betas, energies, [2]), "counts: got shape"),
        (lambda: estimator(betas, energies, None, [0.5, 1]), "inefficiency: .* at least 1"),
        (lambda: estimator(betas, energies, None, None, np.nan), "log_reference: got nan"),
        (lambda: estimator(betas, "energies"), "energies: got a str"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
