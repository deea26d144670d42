"""Predictive sparse decomposition: exact inference meets its optimality conditions, learning lowers what it should."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import train
from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import l1
from ebmjax.learn.dictionaries.predictive_decomposition import Params, decomposition
from ebmjax.minimize.codes import predictive, proximal
from ebmjax.types import CONVERGED

WEIGHT, PULL = 0.15, 0.7
DICTIONARY = sparse_coding.init(jax.random.key(0), 8, 12)
ENCODER = predictive.init(jax.random.key(1), DICTIONARY)
Y = jax.random.normal(jax.random.key(2), (8,))


def _solve(smooth, start, lipschitz):
    return proximal.fista_restarted(smooth, l1(WEIGHT), start, lipschitz, max_steps=500, tolerance=1e-5)


def test_the_solution_meets_its_optimality_conditions(x64):
    """Wᵀ(Wz - y) + α(z - Enc(y)) + λ s = 0 with s = sign(z) where z ≠ 0, |s| ≤ 1 where it is 0."""
    double = partial(jax.tree.map, lambda leaf: jnp.asarray(leaf, jnp.float64))
    params, encoder, y = double(DICTIONARY), double(ENCODER), double(Y)
    exact = lambda smooth, start, lipschitz: proximal.fista_restarted(
        smooth, l1(WEIGHT), start, lipschitz, max_steps=2000, tolerance=1e-12
    )
    solution = predictive.infer(exact, params, encoder, PULL, y)
    assert solution.result == CONVERGED
    z, W = np.asarray(solution.value), np.asarray(params.dictionary)
    guess = np.asarray(encoder.gain) * np.tanh(np.asarray(encoder.weights) @ y + np.asarray(encoder.bias))
    slope = W.T @ (W @ z - y) + PULL * (z - guess)
    assert 0 < np.count_nonzero(z) < 12
    np.testing.assert_allclose(slope[z != 0], -WEIGHT * np.sign(z[z != 0]), atol=1e-5)
    assert np.abs(slope[z == 0]).max() <= WEIGHT + 1e-5
    energy = ((y - W @ z) ** 2).sum() / 2 + WEIGHT * np.abs(z).sum() + PULL * ((z - guess) ** 2).sum() / 2
    np.testing.assert_allclose(solution.energy, energy, rtol=1e-9)


def test_without_a_pull_it_is_sparse_coding():
    smooth = predictive.held(DICTIONARY, ENCODER, 0.0, Y)
    z = jnp.linspace(-1.0, 1.0, 12)
    np.testing.assert_allclose(smooth.energy(z), sparse_coding.misfit(DICTIONARY, Y, z), rtol=1e-6)
    np.testing.assert_allclose(smooth.lipschitz, sparse_coding.lipschitz(DICTIONARY), rtol=1e-6)


def test_the_curvature_is_bounded():
    curvature = jax.hessian(predictive.held(DICTIONARY, ENCODER, PULL, Y).energy)(jnp.zeros(12))
    largest = float(jnp.linalg.eigvalsh(curvature)[-1])
    bound = float(predictive.held(DICTIONARY, ENCODER, PULL, Y).lipschitz)
    assert largest <= bound <= 1.05 * largest


def test_a_stronger_pull_comes_nearer_to_the_guess():
    guess = predictive.encode(ENCODER, Y)
    far = [
        float(jnp.linalg.norm(predictive.infer(_solve, DICTIONARY, ENCODER, pull, Y).value - guess))
        for pull in (0.0, 1.0, 100.0)
    ]
    assert far[0] > far[1] > 10 * far[2]


def _samples(count):
    truth = sparse_coding.init(jax.random.key(5), 8, 12)
    value_key, support_key = jax.random.split(jax.random.key(6))
    shape = (count, 12)
    codes = jnp.where(jax.random.bernoulli(support_key, 0.15, shape), jax.random.normal(value_key, shape), 0.0)
    return codes @ truth.dictionary.T


@pytest.mark.optax
def test_dictionary_and_encoder_learn_together():
    data = _samples(512)
    learner = decomposition(_solve, PULL, optax.adam(3e-3))
    start = Params(DICTIONARY, ENCODER)
    trained = jax.jit(lambda key: train(key, learner, start, data, 64, 40))(jax.random.key(7))
    assert trained.metrics.finite.all()
    metrics = trained.metrics.learner
    assert float(metrics.loss[-1].mean()) < 0.8 * float(metrics.loss[0].mean())
    assert float(metrics.gap[-1].mean()) < 0.3 * float(metrics.gap[0].mean())
    assert float(metrics.converged.min()) > 0.95
    lengths = jnp.linalg.norm(trained.params.dictionary.dictionary, axis=0)
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-5)
    assert not np.allclose(trained.params.dictionary.dictionary, DICTIONARY.dictionary, atol=0.05)


def test_an_update_descends_the_energy_at_codes_that_are_held():
    """With plain gradient descent the update is the gradient of ½‖y - Wz*‖² + ½α‖z* - Enc(y)‖², z* a constant."""
    batch, rate = _samples(4), 1e-2
    learner = decomposition(_solve, PULL, optax.sgd(rate))
    start = Params(DICTIONARY, ENCODER)
    state, metrics = learner.update(jax.random.key(0), learner.init(jax.random.key(1), start), batch)
    solutions = jax.vmap(lambda y: predictive.infer(_solve, DICTIONARY, ENCODER, PULL, y))(batch)
    W, (K, b, g) = DICTIONARY.dictionary, ENCODER
    z, squashed = solutions.value, jnp.tanh(batch @ K.T + b[None])
    missed = squashed * g[None] - z
    inner = PULL * missed * g[None] * (1.0 - squashed**2)
    dictionary = W + rate * (batch - z @ W.T).T @ z / 4
    np.testing.assert_allclose(
        state.params.dictionary.dictionary, dictionary / jnp.linalg.norm(dictionary, axis=0)[None], atol=1e-5
    )
    np.testing.assert_allclose(state.params.encoder.weights, K - rate * inner.T @ batch / 4, atol=1e-5)
    np.testing.assert_allclose(state.params.encoder.bias, b - rate * inner.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(state.params.encoder.gain, g - rate * PULL * (missed * squashed).mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(metrics.loss, solutions.energy.mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics.gap, (missed**2).sum(axis=1).mean() / 2, rtol=1e-3)


def test_bad_input_is_refused_by_name():
    for match, call in (
        ("y: got shape", lambda: predictive.encode(ENCODER, jnp.zeros(7))),
        ("pull: got -1", lambda: predictive.held(DICTIONARY, ENCODER, -1.0, Y)),
        ("weight: got -1", lambda: decomposition(_solve, -1.0, optax.sgd(0.1))),
        ("scale: got -1", lambda: predictive.init(jax.random.key(0), DICTIONARY, -1.0)),
    ):
        with pytest.raises(ValueError, match=match):
            call()
