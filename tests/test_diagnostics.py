"""Diagnostics against chains whose effective sample size is known in closed form, and against BlackJAX's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from blackjax import diagnostics as peer

from ebmjax.diagnostics import acceptance_rate, effective_sample_size, exact_mean, law_moments, r_hat, z_scores


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
@pytest.mark.parametrize("rho", [-0.9, -0.5, 0.0, 0.5, 0.9, 0.99])
def test_effective_sample_size_is_that_of_blackjax_but_for_one_autocorrelation(rho):
    """BlackJAX follows Stan, which adds to τ the first even autocorrelation after Geyer's cut where it is positive.

    Its true value is about 0 there, and its standard error is that of late autocorrelations (Bartlett, 1946),
    √((1 + ρ²)/((1 - ρ²) N)) for this process. So τ may differ by 5 of these; where the term is not positive, both are
    equal up to rounding.
    """
    samples = jax.vmap(lambda key: autoregressive(key, rho, 4, 1000))(jax.random.split(jax.random.key(2), 20))
    ours = jax.vmap(effective_sample_size)(samples)
    theirs = peer.effective_sample_size(samples, chain_axis=1, sample_axis=2)
    total = samples[0].size
    gap = np.abs(total / np.asarray(ours) - total / np.asarray(theirs))
    assert gap.max() < 5 * np.sqrt((1 + rho**2) / (1 - rho**2) / total)
    assert np.isclose(ours, theirs, rtol=1e-5).sum() >= 5


@pytest.mark.slow
@pytest.mark.parametrize("draws", [1000, 1001])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_r_hat_is_that_of_blackjax_on_the_halves_of_each_chain(draws, shift):
    """BlackJAX's is not split: it is given the halves, without the last draw of an odd number. Equal up to rounding."""
    samples = autoregressive(jax.random.key(3), 0.7, 4, draws + 1) + shift * jnp.arange(4.0)[:, None]
    assert samples.shape == (4, draws)
    halves = samples[:, : draws // 2 * 2].reshape(8, -1)
    np.testing.assert_allclose(r_hat(samples), peer.potential_scale_reduction(halves), rtol=1e-5)
    assert (r_hat(samples) > 1.5) == (shift > 0)


@pytest.mark.slow
def test_chains_that_disagree_have_few_effective_samples():
    samples = jax.random.normal(jax.random.key(0), (4, 1000)) + 10 * jnp.arange(4.0)[:, None]
    assert effective_sample_size(samples) < 10
    assert r_hat(samples) > 5


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
    for diagnostic in (effective_sample_size, r_hat):
        with pytest.raises(ValueError, match="samples: got 3 draws"):
            diagnostic(jnp.ones((2, 3)))


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.1, 1 / 3, -1.7, 1e-21, 1e9])
@pytest.mark.parametrize("chains", [4, 64, 256])
def test_constants_that_are_not_exact_in_binary(value, chains):
    samples = jnp.full((chains, 1000), value, jnp.float32)
    assert effective_sample_size(samples) == chains * 1000
    assert jnp.isnan(r_hat(samples))
    assert z_scores(samples[..., None], jnp.array([value])) == 0
    assert z_scores(samples[..., None], jnp.array([1.1 * value])) == jnp.inf
    halves = jnp.where(jnp.arange(1000) < 500, samples, 3 * samples)
    assert r_hat(halves) == jnp.inf


@pytest.mark.slow
@pytest.mark.parametrize("unit", [1e-21, 1e-9, 1e9])
def test_diagnostics_do_not_depend_on_the_unit(unit):
    samples = jax.random.normal(jax.random.key(0), (4, 500)) + 0.5
    for diagnostic in (effective_sample_size, r_hat):
        np.testing.assert_allclose(diagnostic(samples * unit), diagnostic(samples), rtol=1e-4)
    scores = [z_scores((samples * u)[..., None], np.array([0.48 * u])) for u in (1.0, unit)]
    np.testing.assert_allclose(*scores, rtol=1e-3, atol=1e-3)


def test_samples_of_any_dtype_and_a_wrong_axis():
    spins = np.sign(np.random.default_rng(0).normal(size=(4, 300)))
    expected = effective_sample_size(jnp.asarray(spins, jnp.float32))
    for samples in (spins, spins.astype(np.int8), spins > 0, jnp.asarray(spins, jnp.bfloat16), spins.tolist()):
        np.testing.assert_allclose(effective_sample_size(samples), expected, rtol=1e-4)
    for diagnostic in (effective_sample_size, r_hat):
        for shape in ((1000,), (4, 1000, 2), (1000, 4)):
            with pytest.raises(ValueError, match=r"wanted \(chains, draws\)"):
                diagnostic(jnp.ones(shape))
    with pytest.raises(ValueError, match=r"wanted \(chains, draws, moments\)"):
        z_scores(jnp.ones((4, 100)), jnp.zeros(1))


@pytest.mark.slow
def test_ten_million_draws_in_float32():
    samples = np.random.default_rng(0).normal(size=(1, 10**7)) + 3
    exact = (samples.mean() - 3) / (samples.std() / np.sqrt(10**7))
    ours = z_scores(samples[..., None].astype(np.float32), np.array([3.0]))
    np.testing.assert_allclose(ours, exact, atol=0.02)
    assert acceptance_rate(np.ones(3 * 10**7, bool)) == 1
