"""Classifiers of the experiment with few labels: logistic regression against scikit-learn's, pooling and draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from experiments.codes import classifiers, features
from experiments.codes.classifiers import CLASSES, balanced, logistic, ridge_path, scale_of, scaled, train_from_scratch

KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def blobs():
    """Ten overlapping clouds in four dimensions, unequal in number."""
    centre_key, label_key, noise_key = jax.random.split(KEY, 3)
    labels = jnp.minimum(jax.random.randint(label_key, (200,), 0, 12), 9)
    centres = jax.random.normal(centre_key, (CLASSES, 4))
    return centres[labels] + 0.5 * jax.random.normal(noise_key, (200, 4)), labels


@pytest.mark.slow
@pytest.mark.parametrize("ridge", [1e-1, 1e-3])
def test_logistic_regression_is_that_of_scikit_learn(blobs, ridge):
    """The same energy Σ s (-log p) + ½ρ‖V‖², within the gap, which is small; biases are weights of a constant 1."""
    inputs, labels = blobs
    inputs = jnp.concatenate([inputs, jnp.ones((200, 1))], axis=1)
    shares = jnp.full(200, 1 / 200)
    solution = logistic(inputs, labels, shares, jnp.array(ridge), jnp.zeros((5, CLASSES)))
    other = LogisticRegression(C=1 / (200 * ridge), fit_intercept=False, tol=1e-8, max_iter=2000)
    expected = other.fit(np.asarray(inputs, np.float64), labels).coef_.T
    scores = np.asarray(inputs, np.float64) @ expected
    least = np.mean(np.log(np.exp(scores).sum(1)) - scores[np.arange(200), labels]) + ridge * np.sum(expected**2) / 2
    assert 0 <= float(solution.gap) <= classifiers.TOLERANCE * float(solution.energy)
    assert -1e-5 <= float(solution.energy) - least <= float(solution.gap) + 1e-5
    agree = np.argmax(inputs @ solution.value, axis=1) == np.argmax(scores, axis=1)
    assert agree.mean() > 0.95


@pytest.mark.slow
def test_samples_without_a_share_are_not_there(blobs):
    inputs, labels = blobs
    shares = jnp.where(jnp.arange(200) < 60, 1 / 60, 0.0)
    ridges = jnp.array([1e-1, 1e-2])
    padded, _ = ridge_path(inputs, labels, shares, ridges)
    alone, gaps = ridge_path(inputs[:60], labels[:60], shares[:60], ridges)
    np.testing.assert_allclose(padded, alone, atol=1e-3)
    assert np.all(np.asarray(gaps) <= classifiers.TOLERANCE)


def test_scaled_features_have_mean_zero_and_length_one(blobs):
    inputs = 7 * blobs[0] + 3
    found = scaled(scale_of(inputs), inputs, 9)
    assert found.shape == (200, 9)
    np.testing.assert_allclose(found[:, :4].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(jnp.sum(found[:, :4] ** 2, axis=1).mean(), 1, rtol=1e-5)
    np.testing.assert_array_equal(found[:, 4], 1)
    np.testing.assert_array_equal(found[:, 5:], 0)


@pytest.mark.slow
def test_draws_hold_as_many_of_each_class(blobs):
    labels = blobs[1]
    rows = np.asarray(balanced(KEY, labels, 30))
    assert len(set(rows.tolist())) == 30
    assert np.bincount(labels[rows]).tolist() == [3] * CLASSES
    assert set(rows.tolist()) != set(np.asarray(balanced(jax.random.key(6), labels, 30)).tolist())
    with pytest.raises(ValueError, match="count: got 25, wanted a multiple of 10"):
        balanced(KEY, labels, 25)
    with pytest.raises(ValueError, match="count: got 500, wanted at most"):
        balanced(KEY, labels, 500)


@pytest.mark.slow
def test_pooling_takes_means_of_fields():
    maps = jax.random.normal(KEY, (3, 7, 8))
    found = features.pool(maps, 3)
    rows, columns = (np.array_split(np.arange(length), 3) for length in (7, 8))
    fields = (np.arange(7) * 3 // 7, np.arange(8) * 3 // 8)
    for down in range(3):
        for across in range(3):
            inside = np.asarray(maps)[:, fields[0] == down][:, :, fields[1] == across]
            np.testing.assert_allclose(found[:, down, across], inside.mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)
    assert {len(part) for part in rows} == set(np.bincount(fields[0]).tolist())
    assert {len(part) for part in columns} == set(np.bincount(fields[1]).tolist())


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("kind", ["perceptron", "network"])
def test_networks_from_scratch_learn_what_they_see(kind):
    """Ten pictures of one bright pixel each; rows beyond the count are never drawn, so that their labels stay wrong."""
    pictures = jnp.concatenate([jnp.eye(16)[:10].reshape(10, 4, 4)] * 2)
    labels = jnp.concatenate([jnp.arange(10), jnp.arange(10)[::-1]])
    if kind == "perceptron":
        init, scores = lambda key: classifiers.perceptron(key, 16, 32), classifiers.perceptron_scores
    else:
        init, scores = lambda key: classifiers.network(key, 4, 8), classifiers.network_scores
    fit = jax.jit(
        lambda key: train_from_scratch(
            key, init, scores, pictures, labels, jnp.arange(20), jnp.array(10), 10, jnp.array(300), jnp.array(1e-3)
        )
    )
    params = fit(KEY)
    found = jax.vmap(lambda picture: scores(params, picture))(pictures[:10])
    assert float(classifiers.wrong(found, labels[:10])) == 0


@pytest.mark.slow
@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("width", [3, 5])
def test_convolutions_are_those_of_jax(side, width):
    values, kernel = jax.random.normal(KEY, (side, side + 1, 2)), jax.random.normal(KEY, (width, width, 2, 3))
    half = width // 2
    expected = jax.lax.conv_general_dilated(
        values[None], kernel, (2, 2), [(half, half)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )[0]
    np.testing.assert_allclose(classifiers._convolved(values, kernel), expected, atol=1e-4)
