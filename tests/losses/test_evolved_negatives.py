"""The loss with evolved negatives: its slope is the lecture's update, and W stays a Hopfield network's."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import ebmjax
from ebmjax.energies import hopfield
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.losses.evolved_negatives import evolved_loss
from ebmjax.minimize.evolution import evolve

UNITS, PATTERNS = 30, 12


@pytest.fixture
def patterns():
    return jax.random.rademacher(jax.random.key(0), (PATTERNS, UNITS), dtype=jnp.float32)


def negatives(params, patterns):
    return jax.vmap(lambda y: evolve(params, y, 3))(patterns)


@pytest.mark.slow
def test_its_slope_is_the_difference_of_outer_products(patterns):
    params = hopfield.hebbian(patterns)
    evolved = negatives(params, patterns)
    assert (evolved != patterns).any()
    value, slope = jax.value_and_grad(evolved_loss(lambda params, y: evolve(params, y, 3)))(params, patterns)
    np.testing.assert_allclose(
        slope.weights, -0.5 * (patterns.T @ patterns - evolved.T @ evolved) / PATTERNS, atol=1e-6
    )
    np.testing.assert_allclose(slope.bias, -(patterns - evolved).mean(axis=0), atol=1e-6)
    heights = jax.vmap(partial(hopfield.energy, params))
    np.testing.assert_allclose(value, (heights(patterns) - heights(evolved)).mean(), rtol=1e-5)
    assert value > 0


@pytest.mark.slow
def test_it_vanishes_where_the_patterns_are_fixed_points(patterns):
    value, slope = jax.value_and_grad(evolved_loss(lambda params, y: evolve(params, y, 3)))(
        hopfield.pseudo_inverse(patterns[:8]), patterns[:8]
    )
    assert value == 0
    assert not any(leaf.any() for leaf in slope)


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("optimizer", [optax.sgd(0.1), optax.adam(0.03)], ids=["sgd", "adam"])
def test_training_stores_what_hebb_cannot_and_keeps_the_form(patterns, optimizer):
    start = hopfield.hebbian(patterns)
    assert (negatives(start, patterns) != patterns).any(axis=1).sum() >= 6
    learner = ebmjax.gradient(evolved_loss(lambda params, y: evolve(params, y, 3)), optimizer)
    trained = jax.jit(lambda key: ebmjax.train(key, learner, start, patterns, batch_size=5, epochs=150))(
        jax.random.key(1)
    )
    np.testing.assert_array_equal(negatives(trained.params, patterns), patterns)
    np.testing.assert_array_equal(trained.params.weights, trained.params.weights.T)
    assert not jnp.diagonal(trained.params.weights).any()
    hopfield.check_params(trained.params)
    assert trained.metrics.learner.loss[-1].max() == 0
    assert (trained.metrics.learner.loss >= -1e-5).all()


@pytest.mark.slow
@pytest.mark.optax
def test_evolution_from_corrupted_patterns_widens_the_basins(patterns):
    """The loss takes any evolution, random ones too: here a tenth of the spins is turned first."""
    patterns = patterns[:6]
    corrupted = lambda key, y: jnp.where(jax.random.bernoulli(key, 0.1, y.shape), -y, y)

    def loss(key, params, batch):
        return evolved_loss(lambda params, y: evolve(params, corrupted(key, y), 3))(params, batch)

    learner = stochastic_gradient(loss, optax.sgd(0.02))
    start = hopfield.hebbian(patterns)
    trained = jax.jit(lambda key: ebmjax.train(key, learner, start, patterns, batch_size=6, epochs=300))(
        jax.random.key(2)
    )
    keys = jax.random.split(jax.random.key(3), 200)
    recall = lambda params: jnp.mean(
        jax.vmap(lambda key: negatives(params, corrupted(key, patterns)))(keys) == patterns[None]
    )
    assert recall(trained.params) > recall(start)
    assert recall(trained.params) > 0.97


@pytest.mark.slow
def test_no_gradient_goes_through_the_evolution(patterns):
    through = lambda params, y: jnp.tanh(hopfield.field(params, y))
    slope = jax.grad(evolved_loss(through))(hopfield.hebbian(patterns), patterns)
    negative = jax.vmap(partial(through, hopfield.hebbian(patterns)))(patterns)
    expected = -0.5 * (patterns.T @ patterns - negative.T @ negative) / PATTERNS
    expected = expected - jnp.diag(jnp.diagonal(expected))
    np.testing.assert_allclose(slope.weights, expected, atol=1e-5)


def test_a_state_of_another_shape_is_refused(patterns):
    with pytest.raises(ValueError, match=r"evolve: got a state of shape \(29,\), wanted \(30,\)"):
        evolved_loss(lambda params, y: y[1:])(hopfield.hebbian(patterns), patterns)
