"""A sweep over temperatures, seeds, rates or data of one shape compiles one time."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

from ebmjax import circle, free_energy, gradient, problems, train
from ebmjax.energies import ellipse, horn
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast import phases
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.losses.energy import energy_loss
from ebmjax.sample.special import restricted as rbm_sampler


def test_free_energy_traces_once_for_all_temperatures():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def free(params, y, beta):
        return free_energy(partial(ellipse.energy, params, y), circle(48), beta)

    for seed in range(3):
        for beta in (0.0, 0.1, 1.0, jnp.inf):
            free(ellipse.init(jax.random.key(seed)), jnp.full(2, float(seed)), jnp.float32(beta))


@pytest.mark.slow
@pytest.mark.optax
def test_training_traces_once_for_all_seeds_temperatures_and_rates():
    data = tuple(problems.horn_data(jax.random.key(0), 32))

    @chex.assert_max_traces(n=1)
    def run(key, beta, rate):
        free = lambda params, sample: free_energy(partial(horn.energy, params, *sample), circle(24), beta)
        learner = gradient(energy_loss(free), optax.adam(rate))
        return train(key, learner, horn.init(key), data, batch_size=8, epochs=2).metrics.learner.loss

    sweep = jax.jit(jax.vmap(jax.vmap(jax.vmap(run, (None, None, 0)), (None, 0, None)), (0, None, None)))
    for seed in range(2):
        keys = jax.random.split(jax.random.key(seed), 3)
        losses = sweep(keys, jnp.array([0.1, 1.0, 10.0, jnp.inf]), jnp.array([1e-3, 1e-2]) / (seed + 1))
        assert losses.shape == (3, 4, 2, 2, 4)
        assert jnp.isfinite(losses).all()


@pytest.mark.slow
@pytest.mark.optax
def test_a_sweep_of_samplers_and_of_contrastive_learning_traces_once():
    data = jnp.tile(jnp.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]]), (8, 1))

    @chex.assert_max_traces(n=1)
    def run(key, beta, rate):
        make_kernel = lambda params: rbm_sampler.binary(params, beta)
        cd = phases.viewed(
            phases.contrastive_divergence(make_kernel, lambda key, v: (v, jnp.zeros(2)), steps=2),
            lambda params, pair: pair[0],
        )
        free = lambda params, visible: rbm.free_energy(params, visible, beta)
        learner = contrastive(free, phases.observed(), cd, optax.sgd(rate))
        params = rbm.init(key, data.mean(axis=0), 2)
        return train(key, learner, params, data, batch_size=4, epochs=2).metrics.learner.loss

    sweep = jax.jit(jax.vmap(jax.vmap(jax.vmap(run, (None, None, 0)), (None, 0, None)), (0, None, None)))
    for seed in range(2):
        keys = jax.random.split(jax.random.key(seed), 3)
        losses = sweep(keys, jnp.array([0.0, 0.5, 2.0]), jnp.array([0.01, 0.1]) * (seed + 1))
        assert losses.shape == (3, 3, 2, 2, 4)
        assert jnp.isfinite(losses).all()
