"""Predictive sparse decomposition: optimality conditions of exact inference, and learning lowers the energy."""

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
from ebmjax.minimize.codes.find_code import by_proximal
from ebmjax.types import CONVERGED, Solution

L1, WEIGHT = 0.15, 0.7
DICTIONARY = sparse_coding.init(jax.random.key(0), 8, 12)
ENCODER = predictive.init(jax.random.key(1), DICTIONARY)
Y = jax.random.normal(jax.random.key(2), (8,))


def _find(max_steps=500, tolerance=1e-5):
    solver = partial(proximal.fista_restarted, max_steps=max_steps, tolerance=tolerance)
    return by_proximal(solver, predictive.smooth_term)


def _params(weight=WEIGHT):
    return predictive.Params(DICTIONARY, ENCODER, weight)


@pytest.mark.slow
def test_the_solution_meets_its_optimality_conditions(x64):
    """Wᵀ(Wz - y) + α(z - Enc(y)) + λ s = 0 with s = sign(z) where z ≠ 0, |s| ≤ 1 where it is 0."""
    double = partial(jax.tree.map, lambda leaf: jnp.asarray(leaf, jnp.float64))
    params, encoder, y = double(DICTIONARY), double(ENCODER), double(Y)
    solution = _find(2000, 1e-12)(predictive.Params(params, encoder, WEIGHT), l1(L1), y, None)
    assert solution.result == CONVERGED
    z, W = np.asarray(solution.value), np.asarray(params.dictionary)
    guess = np.asarray(encoder.gain) * np.tanh(np.asarray(encoder.weights) @ y + np.asarray(encoder.bias))
    slope = W.T @ (W @ z - y) + WEIGHT * (z - guess)
    assert 0 < np.count_nonzero(z) < 12
    np.testing.assert_allclose(slope[z != 0], -L1 * np.sign(z[z != 0]), atol=1e-5)
    assert np.abs(slope[z == 0]).max() <= L1 + 1e-5
    energy = ((y - W @ z) ** 2).sum() / 2 + L1 * np.abs(z).sum() + WEIGHT * ((z - guess) ** 2).sum() / 2
    np.testing.assert_allclose(solution.energy, energy, rtol=1e-9)


@pytest.mark.slow
def test_with_a_weight_of_zero_it_is_sparse_coding():
    smooth = predictive.smooth_term(_params(0.0), Y)
    z = jnp.linspace(-1.0, 1.0, 12)
    np.testing.assert_allclose(smooth.energy(z), sparse_coding.misfit(DICTIONARY, Y, z), rtol=1e-6)
    np.testing.assert_allclose(smooth.lipschitz, sparse_coding.lipschitz(DICTIONARY), rtol=1e-6)


@pytest.mark.slow
def test_the_curvature_is_bounded():
    curvature = jax.hessian(predictive.smooth_term(_params(), Y).energy)(jnp.zeros(12))
    largest = float(jnp.linalg.eigvalsh(curvature)[-1])
    bound = float(predictive.smooth_term(_params(), Y).lipschitz)
    assert largest <= bound <= 1.05 * largest


def test_a_search_starts_where_it_is_told_and_at_the_prediction_otherwise():
    still = by_proximal(
        lambda smooth, regularizer, start, lipschitz: Solution(
            start, smooth(start), jnp.int32(0), jnp.int32(CONVERGED)
        ),
        predictive.smooth_term,
    )
    np.testing.assert_array_equal(still(_params(), l1(L1), Y, None).value, predictive.encode(ENCODER, Y))
    elsewhere = jnp.linspace(-1.0, 1.0, 12)
    solution = still(_params(), l1(L1), Y, elsewhere)
    np.testing.assert_array_equal(solution.value, elsewhere)
    np.testing.assert_allclose(solution.energy, predictive.misfit(_params(), Y, elsewhere), rtol=1e-6)


@pytest.mark.slow
def test_a_larger_weight_comes_nearer_to_the_prediction():
    guess = predictive.encode(ENCODER, Y)
    far = [
        float(jnp.linalg.norm(_find()(_params(weight), l1(L1), Y, None).value - guess)) for weight in (0.0, 1.0, 100.0)
    ]
    assert far[0] > far[1] > 10 * far[2]


def _samples(count):
    truth = sparse_coding.init(jax.random.key(5), 8, 12)
    value_key, support_key = jax.random.split(jax.random.key(6))
    shape = (count, 12)
    codes = jnp.where(jax.random.bernoulli(support_key, 0.15, shape), jax.random.normal(value_key, shape), 0.0)
    return codes @ truth.dictionary.T


@pytest.mark.slow
@pytest.mark.optax
def test_dictionary_and_encoder_learn_together():
    data = _samples(512)
    learner = decomposition(_find(), l1(L1), WEIGHT, optax.adam(3e-3))
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


@pytest.mark.slow
def test_an_update_descends_the_energy_at_codes_that_are_fixed():
    """With plain gradient descent the update is the gradient of ½‖y - Wz*‖² + ½α‖z* - Enc(y)‖², z* a constant."""
    batch, rate = _samples(4), 1e-2
    learner = decomposition(_find(), l1(L1), WEIGHT, optax.sgd(rate))
    start = Params(DICTIONARY, ENCODER)
    state, metrics = learner.update(jax.random.key(0), learner.init(jax.random.key(1), start), batch)
    solutions = jax.vmap(lambda y: _find()(_params(), l1(L1), y, None))(batch)
    W, (K, b, g) = DICTIONARY.dictionary, ENCODER
    z, squashed = solutions.value, jnp.tanh(batch @ K.T + b[None])
    missed = squashed * g[None] - z
    inner = WEIGHT * missed * g[None] * (1.0 - squashed**2)
    dictionary = W + rate * (batch - z @ W.T).T @ z / 4
    np.testing.assert_allclose(
        state.params.dictionary.dictionary, dictionary / jnp.linalg.norm(dictionary, axis=0)[None], atol=1e-5
    )
    np.testing.assert_allclose(state.params.encoder.weights, K - rate * inner.T @ batch / 4, atol=1e-5)
    np.testing.assert_allclose(state.params.encoder.bias, b - rate * inner.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(
        state.params.encoder.gain, g - rate * WEIGHT * (missed * squashed).mean(axis=0), atol=1e-5
    )
    np.testing.assert_allclose(metrics.loss, solutions.energy.mean(), rtol=1e-4)
    np.testing.assert_allclose(metrics.gap, (missed**2).sum(axis=1).mean() / 2, rtol=1e-3)


def test_bad_input_is_refused_by_name():
    for match, call in (
        ("y: got shape", lambda: predictive.encode(ENCODER, jnp.zeros(7))),
        ("weight: got -1", lambda: predictive.smooth_term(_params(-1.0), Y)),
        ("weight: got -1", lambda: predictive.misfit(_params(-1.0), Y, jnp.zeros(12))),
        ("weight: got -1", lambda: decomposition(_find(), l1(L1), -1.0, optax.sgd(0.1))),
        ("scale: got -1", lambda: predictive.init(jax.random.key(0), DICTIONARY, -1.0)),
    ):
        with pytest.raises(ValueError, match=match):
            call()
