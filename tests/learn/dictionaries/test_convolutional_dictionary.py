"""Learners of kernels: energies fall, norms stay, the dead are replaced, planted kernels are found."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax.energies import convolutional_encoder
from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies.regularizers import l1
from ebmjax.learn.dictionaries import convolutional_dictionary as learning
from ebmjax.learn.train import train
from ebmjax.minimize.codes.convolutional import convolutional_admm

SOLVE = partial(convolutional_admm, max_steps=30)


def planted(channels=()):
    """Pictures of a few copies of two kernels, and the kernels."""
    keys = jax.random.split(jax.random.key(3), 3)
    truth = coding.init(keys[0], 2, (3, 3, *channels))
    where = jax.random.bernoulli(keys[1], 0.05, (24, 2, 12, 12))
    codes = jnp.where(where, jax.random.normal(keys[2], where.shape), 0)
    return truth, jax.vmap(coding.periodic, (None, 0))(truth, codes)


def start(channels=()):
    return coding.init(jax.random.key(5), 2, (3, 3, *channels))


def norms(params):
    return np.linalg.norm(np.asarray(params.kernels).reshape(len(params.kernels), -1), axis=1)


def likeness(params, truth):
    return np.abs(np.sum(np.asarray(params.kernels * truth.kernels).reshape(2, -1), axis=1))


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "colour"])
def test_planted_kernels_come_back_from_noise(channels):
    truth, pictures = planted(channels)
    noisy = coding.normalized(coding.Params(truth.kernels + start(channels).kernels))
    assert likeness(noisy, truth).min() < 0.8
    learner = learning.convolutional(SOLVE, l1(0.01), optax.adam(0.01))
    trained = jax.jit(lambda key: train(key, learner, noisy, pictures, 8, 40))(jax.random.key(0))
    assert trained.metrics.finite.all()
    energy = trained.metrics.learner.energy
    assert energy[-1].mean() < 0.7 * energy[0].mean()
    np.testing.assert_allclose(norms(trained.params), 1, rtol=1e-5)
    assert likeness(trained.params, truth).min() > 0.98


@pytest.mark.slow
def test_a_step_lowers_the_energy_of_its_batch():
    _, pictures = planted()
    learner = learning.convolutional(SOLVE, l1(0.02), optax.sgd(0.01))
    key = jax.random.key(0)
    state, before = learner.update(key, learner.init(key, start()), pictures)
    _, after = learner.update(key, state, pictures)
    assert after.energy < before.energy
    assert 0 < after.density < 0.5
    assert after.encoder == 0
    np.testing.assert_allclose(norms(state.params), 1, rtol=1e-6)


@pytest.mark.slow
def test_the_metrics_are_of_the_batch():
    _, pictures = planted()
    learner = learning.convolutional(SOLVE, l1(0.02), optax.sgd(0.01))
    key = jax.random.key(0)
    _, metrics = learner.update(key, learner.init(key, start()), pictures)
    codes = jax.vmap(lambda y: SOLVE(start(), l1(0.02), y))(pictures)
    np.testing.assert_allclose(metrics.energy, codes.energy.mean(), rtol=1e-5)
    np.testing.assert_allclose(metrics.density, (np.asarray(codes.value) != 0).mean(), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("encoded", [False, True], ids=["alone", "encoder"])
def test_dead_kernels_are_replaced(encoded):
    """A flat kernel has nothing to do in pictures of a fine chessboard, until its patience is over."""
    chessboard = jnp.asarray(np.indices((12, 12)).sum(axis=0) % 2 * 2.0 - 1, jnp.float32)
    pictures = chessboard[None] * jnp.array([1.0, 0.5, 2.0])[:, None, None]
    fine = jnp.array([[1.0, -1.0], [-1.0, 1.0]])
    params = coding.normalized(coding.Params(jnp.stack([fine, jnp.ones((2, 2))])))
    key = jax.random.key(0)
    if encoded:
        learner = learning.predictive(SOLVE, l1(0.1), 1.0, optax.sgd(0.0), patience=2)
        state = learner.init(key, learning.init_coder(params))
    else:
        learner = learning.convolutional(SOLVE, l1(0.1), optax.sgd(0.0), patience=2)
        state = learner.init(key, params)
    decoder = lambda state: state.params.decoder if encoded else state.params
    state, metrics = learner.update(key, state, pictures)
    assert metrics.replaced == 0
    np.testing.assert_allclose(decoder(state).kernels, params.kernels, rtol=1e-6)
    np.testing.assert_array_equal(state.idle, [0, 1])
    state, metrics = learner.update(key, state, pictures)
    assert metrics.replaced == 1
    np.testing.assert_array_equal(state.idle, [0, 0])
    np.testing.assert_allclose(decoder(state).kernels[0], params.kernels[0], rtol=1e-6)
    np.testing.assert_allclose(norms(decoder(state)), 1, rtol=1e-5)
    # what the shrunken code leaves over is a chessboard too
    np.testing.assert_allclose(np.abs(decoder(state).kernels[1]), 0.5, atol=1e-3)
    assert abs(decoder(state).kernels[1].sum()) < 1e-3
    if encoded:
        np.testing.assert_array_equal(state.params.encoder.kernels[1], state.params.decoder.kernels[1])
        assert state.params.encoder.gain[1] == 1


@pytest.mark.slow
def test_a_black_batch_replaces_nothing():
    """No kernel is used, but there is no piece to replace it by either."""
    learner = learning.convolutional(SOLVE, l1(0.1), optax.sgd(0.1), patience=1)
    key = jax.random.key(0)
    state, metrics = learner.update(key, learner.init(key, start()), jnp.zeros((2, 8, 8)))
    assert metrics.replaced == 0
    np.testing.assert_allclose(state.params.kernels, start().kernels, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.optax
def test_the_encoder_learns_to_foresee_the_code():
    _, pictures = planted()
    learner = learning.predictive(SOLVE, l1(0.02), 0.5, optax.adam(0.02))
    key = jax.random.key(0)
    trained = jax.jit(lambda key: train(key, learner, learning.init_coder(start()), pictures, 8, 60))(key)
    metrics = trained.metrics.learner
    assert trained.metrics.finite.all()
    assert metrics.encoder[-1].mean() < 0.3 * metrics.encoder[0].mean()
    assert metrics.energy[-1].mean() < 0.5 * metrics.energy[0].mean()
    np.testing.assert_allclose(norms(trained.params.decoder), 1, rtol=1e-5)
    # the guess alone explains most of a picture
    guess = jax.vmap(lambda y: convolutional_encoder.encode(trained.params.encoder, y))(pictures)
    left = jnp.asarray(jax.vmap(partial(coding.misfit, trained.params.decoder))(pictures, guess))
    assert left.mean() < 0.25 * (pictures**2).sum(axis=(1, 2)).mean() / 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: learning.convolutional(SOLVE, l1(0.1), optax.sgd(0.1), patience=0), "patience: got 0"),
        (lambda: learning.predictive(SOLVE, l1(0.1), 0.0, optax.sgd(0.1)), "weight: got 0.0"),
        (lambda: learning.predictive(SOLVE, l1(0.1), -1.0, optax.sgd(0.1)), "weight: got -1.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
