"""Diagnostics against chains whose effective sample size is known; `diagnostics/test_arviz` has the peer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.diagnostics import (
    acceptance_rate,
    autocorrelation_time,
    bulk_effective_sample_size,
    effective_sample_size,
    exact_mean,
    law_moments,
    mean_standard_error,
    quantile_effective_sample_size,
    quantile_standard_error,
    r_hat,
    sd_standard_error,
    split_r_hat,
    z_scores,
)


def autoregressive(key, rho, chains, draws):
    """x' = ρ x + √(1 - ρ²) noise: standard normal, with τ = (1 + ρ) / (1 - ρ)."""
    noise = jax.random.normal(key, (draws, chains))
    step = lambda x, noise: (rho * x + jnp.sqrt(1 - rho**2) * noise,) * 2
    return jax.lax.scan(step, noise[0], noise[1:])[1].T


@pytest.mark.slow
@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9])
def test_effective_sample_size_of_autoregressive_chains(rho):
    samples = autoregressive(jax.random.key(0), rho, 16, 5000)
    exact = samples.size * (1 - rho) / (1 + rho)
    np.testing.assert_allclose(effective_sample_size(samples), exact, rtol=0.12)


@pytest.mark.slow
def test_errors_are_the_spread_of_estimates_over_repeated_runs():
    """Of 100 runs of 8 autoregressive chains: the error of a spread is 1/√200 = 7% of it, and 5 of these are allowed.

    Mean, standard deviation and 20% quantile; errors of independent draws would be too small by more than that.
    """
    rho, chains, steps, runs = 0.8, 8, 500, 100
    draws = 3 * jax.vmap(lambda key: autoregressive(key, rho, chains, steps))(jax.random.split(jax.random.key(4), runs))
    draws = jnp.moveaxis(draws, 0, -1)

    @jax.jit
    def errors(draws):
        quantile = jnp.asarray(0.2, draws.dtype)
        return mean_standard_error(draws), sd_standard_error(draws), quantile_standard_error(draws, quantile)

    flat = np.asarray(draws).reshape(-1, runs)
    spreads = np.std([flat.mean(axis=0), flat.std(axis=0), np.quantile(flat, 0.2, axis=0)], axis=1)
    np.testing.assert_allclose(np.mean(errors(draws), axis=1), spreads, rtol=0.35)
    np.testing.assert_allclose(spreads[0], 3 * np.sqrt((1 + rho) / (1 - rho) / (chains * steps)), rtol=0.35)
    assert spreads[0] > 2 * 3 / np.sqrt(chains * steps)
    time = autocorrelation_time(draws)
    np.testing.assert_allclose(np.mean(time), (1 + rho) / (1 - rho), rtol=0.1)


@pytest.mark.slow
def test_r_hat_finds_what_split_r_hat_does_not():
    """One chain of another spread, and heavy tails, which have no variance."""
    draws = jax.random.normal(jax.random.key(3), (4, 500))
    wide = draws * jnp.array([1.0, 1.0, 1.0, 4.0])[:, None]
    assert split_r_hat(wide) < 1.05 < 1.1 < r_hat(wide)
    heavy = jax.random.cauchy(jax.random.key(4), (4, 500)) + 3 * jnp.arange(4.0)[:, None]
    assert split_r_hat(heavy) < 1.05 < 1.2 < r_hat(heavy)
    assert jnp.isnan(r_hat(draws.at[0, 0].set(jnp.nan)))
    assert jnp.isnan(bulk_effective_sample_size(draws.at[0, 0].set(jnp.nan)))


@pytest.mark.slow
def test_chains_that_disagree_have_few_effective_samples():
    samples = jax.random.normal(jax.random.key(0), (4, 1000)) + 10 * jnp.arange(4.0)[:, None]
    assert effective_sample_size(samples) < 10
    assert split_r_hat(samples) > 5
    assert r_hat(samples) > 2


def test_a_quantity_that_never_changes_counts_fully():
    assert effective_sample_size(jnp.ones((3, 10))) == 30


@pytest.mark.slow
def test_z_scores_are_standard_normal_for_right_chains_and_large_for_wrong_ones():
    samples = jax.vmap(lambda key: autoregressive(key, 0.6, 8, 1000))(jax.random.split(jax.random.key(1), 200))
    samples = jnp.moveaxis(samples, 0, -1)
    z = np.asarray(jax.jit(z_scores)(samples, jnp.zeros(200)))
    # 200 standard normals: their mean square has standard deviation 0.1
    assert 0.6 < np.mean(z**2) < 1.5
    assert np.abs(z).max() < 4.5
    assert np.abs(jax.jit(z_scores)(samples, jnp.full(200, 0.2))).min() > 2


@pytest.mark.slow
def test_z_scores_of_constants():
    samples = jnp.stack([jnp.ones((2, 8)), jnp.ones((2, 8))], axis=-1)
    assert z_scores(samples, jnp.array([1.0, 0.5])).tolist() == [0, jnp.inf]


def test_law_moments_and_their_exact_mean():
    units = jnp.array([[1.0, 1.0], [1.0, -1.0]])
    moments = law_moments(units, jnp.array([0.0, 2.0]), jnp.array([-1.0, 1.0, 3.0]))
    np.testing.assert_array_equal(moments, [[1, 1, 1, 1, 0], [1, -1, -1, 0, 1]])
    np.testing.assert_allclose(exact_mean(moments, jnp.array([0.25, 0.75])), [1, -0.5, -0.5, 0.25, 0.75])


def test_acceptance_and_short_chains():
    assert acceptance_rate(jnp.array([[True, False], [False, False]])) == 0.25
    for steps in (1, 3):
        for diagnostic in (effective_sample_size, r_hat, split_r_hat, mean_standard_error, autocorrelation_time):
            with pytest.raises(
                ValueError, match=rf"draws: got {steps} steps of 2 chains, wanted \(chains, steps, ...\)"
            ):
                diagnostic(jnp.ones((2, steps)))
    for diagnostic in (quantile_effective_sample_size, quantile_standard_error):
        with pytest.raises(ValueError, match="probability: got 1"):
            diagnostic(jnp.ones((2, 8)), 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.1, 1 / 3, -1.7, 1e-21, 1e9])
@pytest.mark.parametrize("chains", [4, 64, 256])
def test_constants_that_are_not_exact_in_binary(value, chains):
    samples = jnp.full((chains, 1000), value, jnp.float32)
    assert effective_sample_size(samples) == chains * 1000
    assert jnp.isnan(split_r_hat(samples))
    assert z_scores(samples[..., None], jnp.array([value])) == 0
    assert z_scores(samples[..., None], jnp.array([1.1 * value])) == jnp.inf
    halves = jnp.where(jnp.arange(1000) < 500, samples, 3 * samples)
    assert split_r_hat(halves) == jnp.inf


@pytest.mark.slow
@pytest.mark.parametrize("unit", [1e-21, 1e-9, 1e9])
def test_diagnostics_do_not_depend_on_the_unit(unit):
    samples = jax.random.normal(jax.random.key(0), (4, 500)) + 0.5
    for diagnostic in (effective_sample_size, split_r_hat):
        np.testing.assert_allclose(diagnostic(samples * unit), diagnostic(samples), rtol=1e-4)
    scores = [z_scores((samples * u)[..., None], np.array([0.48 * u])) for u in (1.0, unit)]
    np.testing.assert_allclose(*scores, rtol=1e-3, atol=1e-3)


def test_samples_of_any_dtype_and_a_wrong_axis():
    spins = np.sign(np.random.default_rng(0).normal(size=(4, 300)))
    expected = effective_sample_size(jnp.asarray(spins, jnp.float32))
    for samples in (spins, spins.astype(np.int8), spins > 0, jnp.asarray(spins, jnp.bfloat16), spins.tolist()):
        np.testing.assert_allclose(effective_sample_size(samples), expected, rtol=1e-4)
    for diagnostic in (effective_sample_size, r_hat):
        for shape in ((1000,), (1000, 4), (4, 1000, 0)):
            with pytest.raises(ValueError, match=r"wanted \(chains, steps, ...\)"):
                diagnostic(jnp.ones(shape))
    with pytest.raises(ValueError, match=r"wanted \(chains, steps, moments\)"):
        z_scores(jnp.ones((4, 100)), jnp.zeros(1))


@pytest.mark.slow
def test_ten_million_draws_in_float32():
    samples = np.random.default_rng(0).normal(size=(1, 10**7)) + 3
    exact = (samples.mean() - 3) / (samples.std() / np.sqrt(10**7))
    ours = z_scores(samples[..., None].astype(np.float32), np.array([3.0]))
    np.testing.assert_allclose(ours, exact, atol=0.02)
    assert acceptance_rate(np.ones(3 * 10**7, bool)) == 1
