"""Machines that learn from pictures binarized by chance, and keep running means of their parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.gradient import gradient
from ebmjax.likelihoods import restricted
from experiments.spins.likelihood_training import KEPT, Gradient, Method, Plan, binarized_afresh, learner, smoothed


def means():
    """A learner whose parameters are the mean of the last batch."""
    return gradient(lambda mean, seen: jnp.sum((mean[None] - seen) ** 2, axis=-1).mean(), optax.sgd(0.5))


def test_grey_pictures_are_binarized_afresh_in_every_update():
    grey = jnp.tile(jnp.array([0.0, 0.3, 1.0, 0.8]), (4000, 1))
    learns = binarized_afresh(means())
    start = learns.init(jax.random.key(0), jnp.zeros(4))
    first, _ = learns.update(jax.random.key(1), start, grey)
    second, _ = learns.update(jax.random.key(2), start, grey)
    # five standard errors of a mean over 4,000 pictures: false alarms in two of a million
    np.testing.assert_allclose(first.params, grey[0], atol=5 * 0.5 / np.sqrt(4000))
    assert first.params[0] == 0  # black and white stay as they are
    np.testing.assert_allclose(first.params[2], 1, rtol=1e-6)
    assert first.params[1] != second.params[1]


def test_the_parameters_are_running_means():
    learns = smoothed(means(), updates_an_epoch=2)
    state = learns.init(jax.random.key(0), jnp.zeros(1))
    for _ in range(2):  # the learner inside is at one after its first update
        state, _ = learns.update(jax.random.key(1), state, jnp.ones((3, 1)))
    np.testing.assert_allclose(state.params, [1 - KEPT], rtol=1e-5)
    np.testing.assert_allclose(state.inner.params, [1.0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "gradient"), [*((method, Gradient.CENTERED) for method in Method), (Method.PCD, Gradient.PLAIN)]
)
def test_every_method_raises_the_exact_likelihood(method, gradient):
    patterns = jnp.array([[1.0, 1, 0, 0, 1, 0], [0.0, 0, 1, 1, 0, 1]])
    data = jnp.tile(patterns, (30, 1))
    plan = Plan(20, 300, 0.2, 1e-4, 20, 2, 4, 1)
    learns = learner(method, gradient, plan, data.mean(axis=0), 3, 300, 3)

    @jax.jit
    def trained(key, params):
        step = lambda state, key: (learns.update(key, state, data)[0], None)
        return jax.lax.scan(step, learns.init(key, params), jax.random.split(key, 300))[0].params

    before = rbm.init(jax.random.key(0), data.mean(axis=0), 3)
    likelihood = lambda params: float(
        restricted.log_likelihoods(params, patterns, 1.0, restricted.log_partition(params, 1.0)).log_partition.mean()
    )
    after = trained(jax.random.key(1), before)
    # independent pixels reach -6 log 2 = -4.2, and the truth is -log 2 = -0.7
    assert likelihood(before) < -4
    assert likelihood(after) > -2.5
