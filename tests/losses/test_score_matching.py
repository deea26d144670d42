"""Score matching on Gaussian models, where every minimizer has a closed form.

A z-score compares the mean of independent replicas with the truth, in standard errors of that mean. At most 6 of them
in a test: one exceeds LIMIT by chance in 24,000 runs; keys are fixed.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from ebmjax.energies import neural
from ebmjax.losses.score_matching import denoising_score_matching, score_matching, sliced_score_matching

BETA = 0.7
SCALE = 0.6
LIMIT = 4.5
REPLICAS = 2000


class Params(NamedTuple):
    """E(y) = ½ yᵀKy - bᵀy with K made symmetric."""

    matrix: Array
    pull: Array


def energy(params, y):
    return y @ params.matrix @ y / 2 - params.pull @ y


def data():
    random = np.random.default_rng(0)
    return jnp.asarray(random.normal(size=(40, 2)) @ np.array([[1.0, 0.4], [0.0, 0.5]]) + np.array([0.5, -1.0]))


def fitted(blur=0.0):
    """The Gaussian of the data's mean and covariance, at temperature 1/beta, the data blurred or not."""
    mean, covariance = np.mean(data(), axis=0), np.cov(np.asarray(data()).T, bias=True)
    precision = np.linalg.inv(covariance + blur**2 * np.eye(2))
    return Params(jnp.asarray(precision / BETA), jnp.asarray(precision @ mean / BETA))


def elsewhere():
    return Params(jnp.array([[1.5, 0.3], [0.3, 0.8]]), jnp.array([0.2, -0.4]))


def components(slope):
    return np.concatenate([np.asarray(leaf).reshape(len(leaf), -1) for leaf in slope], axis=1)


def replicas(loss, params):
    one = lambda key: jax.grad(partial(loss, key))(params, data())
    return components(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), REPLICAS)))


def z_scores(estimates, truth):
    return (estimates.mean(axis=0) - truth) / (estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates)))


@pytest.mark.slow
def test_the_loss_is_the_formula(x64):
    """½ beta² mean ‖Ky - b‖² - beta tr K."""
    params = elsewhere()
    scores = np.asarray(data()) @ np.asarray(params.matrix) - np.asarray(params.pull)
    truth = BETA**2 * np.mean(np.sum(scores**2, axis=1)) / 2 - BETA * np.trace(params.matrix)
    np.testing.assert_allclose(score_matching(energy, BETA)(params, data()), truth, rtol=1e-12)


@pytest.mark.slow
def test_the_trace_is_that_of_the_hessian_of_a_network(x64):
    params = jax.tree.map(lambda leaf: leaf.astype(float), neural.init(jax.random.key(0), (3, 8)))
    y = jax.random.normal(jax.random.key(1), (5, 3))
    slope = jax.vmap(lambda y: BETA * jax.grad(neural.energy, 1)(params, y))(y)
    trace = jax.vmap(lambda y: jnp.trace(BETA * jax.hessian(neural.energy, 1)(params, y)))(y)
    truth = jnp.mean(jnp.sum(slope**2, axis=1) / 2 - trace)
    np.testing.assert_allclose(score_matching(neural.energy, BETA)(params, y), truth, rtol=1e-10)


@pytest.mark.slow
def test_the_minimizer_is_the_fitted_gaussian(x64):
    """The loss is convex in K and b: where its gradient vanishes is the minimum."""
    slope = jax.grad(score_matching(energy, BETA))
    for leaf in slope(fitted(), data()):
        np.testing.assert_allclose(leaf, 0, atol=1e-12)
    assert jnp.abs(slope(elsewhere(), data()).matrix).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("projections", [1, 3])
def test_slices_have_the_exact_gradient_in_expectation(x64, projections):
    truth = jax.grad(score_matching(energy, BETA))(elsewhere(), data())
    estimates = replicas(sliced_score_matching(energy, BETA, projections), elsewhere())
    exact = components([leaf[None] for leaf in truth])[0]
    random = estimates.std(axis=0) > 1e-9  # signs have the diagonal of the Hessian exactly, and b has no part in it
    assert random.tolist() == [False, True, True, False, False, False]
    np.testing.assert_allclose(estimates[:, ~random], np.tile(exact[~random], (REPLICAS, 1)), rtol=1e-9)
    assert np.abs(z_scores(estimates, exact)[random]).max() < LIMIT
    # the off-diagonal part of the trace is a mean over 40 samples and so many slices of ±beta
    np.testing.assert_allclose(estimates.std(axis=0)[1], BETA / np.sqrt(40 * projections), rtol=0.06)


@pytest.mark.slow
def test_denoising_fits_the_blurred_gaussian(x64):
    """Covariance plus σ² I, exactly; the data's own covariance is not where its gradient vanishes."""
    loss = denoising_score_matching(energy, BETA, SCALE)
    assert np.abs(z_scores(replicas(loss, fitted(SCALE)), 0.0)).max() < LIMIT
    assert np.abs(z_scores(replicas(loss, fitted()), 0.0)).max() > 10 * LIMIT


@pytest.mark.slow
def test_denoising_of_a_flat_energy_is_half_a_component(x64):
    flat = Params(jnp.zeros((2, 2)), jnp.zeros(2))
    loss = denoising_score_matching(energy, BETA, SCALE)
    values = jax.vmap(lambda key: loss(key, flat, data()))(jax.random.split(jax.random.key(0), REPLICAS))
    assert abs(np.mean(values) - 1) < LIMIT * np.std(values) / np.sqrt(REPLICAS)


@pytest.mark.slow
def test_samples_may_be_pictures():
    """Any shape of y: the trace is over all of its components."""
    energy = lambda w, y: w * jnp.sum(y**2) / 2
    pictures = jnp.ones((4, 3, 2))
    assert float(score_matching(energy, 2.0)(1.5, pictures)) == 9 * 6 / 2 - 3 * 6
    assert float(sliced_score_matching(energy, 2.0, 2)(jax.random.key(0), 1.5, pictures)) == 9 * 6 / 2 - 3 * 6
    assert denoising_score_matching(energy, 2.0, 0.1)(jax.random.key(0), 1.5, pictures).shape == ()


@pytest.mark.slow
def test_scale_and_beta_may_be_traced():
    loss = lambda beta, scale: denoising_score_matching(energy, beta, scale)(jax.random.key(0), elsewhere(), data())
    together = jax.jit(jax.vmap(loss))(jnp.array([0.5, 2.0]), jnp.array([0.1, 0.3]))
    np.testing.assert_allclose(together[1], loss(2.0, 0.3), rtol=1e-5)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan])
def test_scale_is_checked(scale):
    with pytest.raises(ValueError, match="noise_scale: got"):
        denoising_score_matching(energy, BETA, scale)


def test_projections_and_beta_are_checked():
    with pytest.raises(ValueError, match="projections: got 0"):
        sliced_score_matching(energy, BETA, 0)
    for make in (score_matching, sliced_score_matching, partial(denoising_score_matching, noise_scale=1.0)):
        with pytest.raises(ValueError, match="beta: got -1"):
            make(energy, -1.0)
