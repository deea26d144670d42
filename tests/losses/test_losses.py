"""Losses by hand, and likelihoods against their closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import circle, free_energy, interval, log_partition, product
from ebmjax.energies import ellipse
from ebmjax.losses import margin
from ebmjax.losses.energy import energy_loss
from ebmjax.losses.functional import mean_over_samples
from ebmjax.losses.likelihood import conditional_negative_log_likelihood, negative_log_likelihood

squared = lambda centre, y: (y - centre) ** 2
observed, contrasting = jnp.array([1.0, 2.0, -1.0]), jnp.array([2.0, 0.0, 1.0])


def test_the_functional_is_the_mean_over_samples():
    batch = (jnp.arange(4.0), jnp.ones((4, 2)))
    loss = mean_over_samples(lambda scale, sample: scale * sample[0] + sample[1].sum())
    assert float(loss(2.0, batch)) == 5.0
    assert float(energy_loss(squared)(0.0, observed)) == 2.0


def test_the_observed_goes_down_and_the_contrasting_up():
    """F(observed) = 1, 4, 1 and F(contrasting) = 4, 0, 1 with the centre at 0."""
    pair = (observed, contrasting)
    gaps = np.array([-3.0, 4.0, 0.0])
    np.testing.assert_allclose(margin.hinge_loss(squared, 0.5)(0.0, pair), np.maximum(0.5 + gaps, 0).mean())
    np.testing.assert_allclose(margin.log_loss(squared)(0.0, pair), np.log1p(np.exp(gaps)).mean(), rtol=1e-6)
    low, high = jax.grad(margin.log, (0, 1))(1.0, 2.0)
    assert low > 0 > high  # descent lowers F(observed) and raises F(contrasting)


def test_hinge_stops_at_the_margin():
    slope = jax.grad(margin.hinge)
    assert float(slope(1.0, 3.0, 1.0)) == 0
    assert float(slope(1.0, 1.5, 1.0)) == 1
    with pytest.raises(ValueError, match="margin: got -1"):
        margin.hinge_loss(squared, -1.0)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.4, 1.0, 3.0])
def test_gaussian_likelihood(x64, beta):
    """E = (y - μ)²/2 at beta: -log p = beta(y - μ)²/2 + log(2π/beta)/2."""
    energy = lambda mean, y: (y - mean) ** 2 / 2
    nll = negative_log_likelihood(energy, interval(-20.0, 20.0, 801), beta)
    y = jnp.array([0.3, -1.0])
    truth = (beta * (y - 0.5) ** 2 / 2).mean() + jnp.log(2 * jnp.pi / beta) / 2
    np.testing.assert_allclose(nll(0.5, y), truth, rtol=1e-10)
    np.testing.assert_allclose(jax.grad(nll)(0.5, y), beta * (0.5 - y.mean()), rtol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.7, 2.0])
def test_conditional_gaussian_likelihood(x64, beta):
    energy = lambda slope, x, y: (y - slope * x) ** 2 / 2
    nll = conditional_negative_log_likelihood(energy, interval(-20.0, 20.0, 801), beta)
    x, y = jnp.array([1.0, 2.0]), jnp.array([1.5, 1.0])
    truth = (beta * (y - 0.8 * x) ** 2 / 2).mean() + jnp.log(2 * jnp.pi / beta) / 2
    np.testing.assert_allclose(nll(0.8, (x, y)), truth, rtol=1e-10)


@pytest.mark.slow
def test_likelihood_of_an_ellipse_has_the_gradient_of_data_against_model(x64):
    """∇NLL = beta (<∇F>_data - <∇F>_model), the model's average taken over the same grid of y."""
    beta = 1.7
    plane = product(interval(-5.0, 5.0, 61), interval(-5.0, 5.0, 61))
    free = lambda radii, y: free_energy(
        lambda z: ellipse.energy(ellipse.Params(radii), jnp.stack(y), z), circle(24), beta
    )
    data = (jnp.array([1.0, -0.5]), jnp.array([0.2, 1.1]))
    radii = jnp.array([1.5, 0.8])
    nll = negative_log_likelihood(free, plane, beta)
    slopes = lambda points: jax.vmap(lambda y: jax.grad(free)(radii, y))(points)
    log_density = -beta * jax.vmap(lambda y: free(radii, y))(plane.points) + plane.log_weights + plane.log_volume
    density = jnp.exp(log_density - log_partition(lambda y: free(radii, y), plane, beta))
    truth = beta * (slopes(data).mean(axis=0) - density @ slopes(plane.points))
    np.testing.assert_allclose(jax.grad(nll)(radii, data), truth, rtol=1e-8)


def test_bad_beta_is_named():
    for loss in (negative_log_likelihood, conditional_negative_log_likelihood):
        with pytest.raises(ValueError, match="beta: got -1"):
            loss(squared, interval(0.0, 1.0, 3), -1.0)


def test_bytes_are_numbers():
    pixels = np.array([[0, 3], [255, 1]], np.uint8)
    energy = lambda weight, y: weight * jnp.sum(y * y) - jnp.sum(-y)
    for batch in (pixels, jnp.asarray(pixels), pixels.astype(np.float16), pixels.astype(">f8")):
        assert energy_loss(energy)(1.0, batch) == energy_loss(energy)(1.0, pixels.astype(np.float32))
    # integers of 32 bits may be labels, and index
    table = jnp.array([1.0, 5.0])
    assert float(energy_loss(lambda table, label: table[label])(table, np.array([1, 1, 0], np.int32))) == pytest.approx(
        11 / 3
    )


def test_what_is_no_batch_is_named():
    with pytest.raises(ValueError, match="batch: got arrays of shapes"):
        energy_loss(squared)(0.0, ("pictures", "labels"))
    with pytest.raises(ValueError, match="wanted leading axes that agree"):
        energy_loss(squared)(0.0, (jnp.ones(3), jnp.ones(2)))
    with pytest.raises(ValueError, match="sample_loss: got a value of shape"):
        energy_loss(lambda centre, y: jnp.stack([y, y]))(0.0, jnp.ones(3))
    with pytest.raises(ValueError, match="wanted a pair"):
        margin.log_loss(squared)(0.0, jnp.ones(3))
