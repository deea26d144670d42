"""Noise-contrastive estimation: its minimum is the precision and the partition function of a Gaussian."""

from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.losses.noise_contrastive import noise_contrastive

BETA = 0.7
SIGMA, NOISE = 0.8, 1.5


def quantiles(count, width):
    """`count` points that stand for a centred normal law without any randomness."""
    return jnp.asarray([NormalDist(0, width).inv_cdf((i + 0.5) / count) for i in range(count)])


def log_noise(y):
    return -(y**2) / (2 * NOISE**2) - jnp.log(2 * jnp.pi * NOISE**2) / 2


def draw(key, count):
    return quantiles(count, NOISE)


def energy(w, y):
    return w * y**2 / 2


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1, 3])
def test_the_minimum_is_precision_and_log_partition(x64, ratio):
    """Logistic regression in (w, log Z), solved by Newton from w = 1 and log Z = 0."""
    loss = noise_contrastive(energy, BETA, log_noise, draw, ratio)
    batch = quantiles(2000, SIGMA)
    of = lambda pair: loss(jax.random.key(0), (pair[0], pair[1]), batch)
    slope, curvature = jax.jit(jax.grad(of)), jax.jit(jax.hessian(of))
    pair = jnp.array([1.0, 0.0])
    for _ in range(12):
        pair = pair - jnp.linalg.solve(curvature(pair), slope(pair))
    assert jnp.abs(slope(pair)).max() < 1e-10
    # quantiles of 2,000 points lack the law's tails: a thousandth of the variance
    np.testing.assert_allclose(pair[0], 1 / (BETA * SIGMA**2), rtol=4e-3)
    np.testing.assert_allclose(pair[1], np.log(2 * np.pi * SIGMA**2) / 2, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [1, 4])
def test_a_model_that_is_the_noise_is_a_coin_of_known_odds(x64, ratio):
    """G = -log ν everywhere, for the density that is as likely as the noise: log(1 + ν) + ν log(1 + 1/ν)."""
    loss = noise_contrastive(energy, BETA, log_noise, draw, ratio)
    params = (jnp.array(1 / (BETA * NOISE**2)), jnp.log(2 * jnp.pi * NOISE**2) / 2)
    truth = np.log1p(ratio) + ratio * np.log1p(1 / ratio)
    np.testing.assert_allclose(loss(jax.random.key(0), params, jnp.arange(5.0)), truth, rtol=1e-12)


def test_noise_is_drawn_anew_for_each_key_and_as_often_as_asked():
    counts = []

    def draw(key, count):
        counts.append(count)
        return NOISE * jax.random.normal(key, (count,))

    loss = noise_contrastive(energy, BETA, log_noise, draw, 3)
    first, second = (loss(jax.random.key(seed), (1.0, jnp.array(0.0)), jnp.ones(4)) for seed in range(2))
    assert counts == [12, 12]
    assert first != second


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="ratio: got 0"):
        noise_contrastive(energy, BETA, log_noise, draw, 0)
    with pytest.raises(ValueError, match="beta: got -1"):
        noise_contrastive(energy, -1.0, log_noise, draw)
