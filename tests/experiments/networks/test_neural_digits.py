"""Scores, chains and completions of pictures: against another library, against enumeration, against closed forms."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from experiments.data.images import Images
from experiments.networks import digit_energies as training
from experiments.networks.neural_digits import outsiders


@pytest.mark.parametrize("levels", [3, 1000])
def test_the_area_is_that_of_scikit_learn_with_ties_and_without(levels):
    draw = np.random.default_rng(0)
    inside, outside = draw.integers(0, levels, 50).astype(float), draw.integers(1, levels + 2, 80).astype(float)
    labels = np.concatenate([np.zeros(50), np.ones(80)])
    expected = roc_auc_score(labels, np.concatenate([inside, outside]))
    assert training.auroc(inside, outside) == pytest.approx(expected, abs=1e-12)
    assert training.auroc(outside, inside) == pytest.approx(1 - expected, abs=1e-12)


def test_scores_of_a_normal_law_are_its_energies():
    draw = np.random.default_rng(1)
    train = draw.normal(size=(500, 2, 2)).astype(np.float32) @ draw.normal(size=(2, 2)).astype(np.float32)
    pictures = draw.normal(size=(7, 2, 2)).astype(np.float32)
    mean = train.reshape(500, 4).mean(axis=0)
    inverse = np.linalg.inv(np.cov(train.reshape(500, 4).T, bias=True) + 0.3**2 * np.eye(4))
    shifted = pictures.reshape(7, 4) - mean
    expected = 0.5 * np.einsum("ni,ij,nj->n", shifted, inverse, shifted)
    (found,) = training.gaussian_scores(train, 0.3, [pictures])
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_nearest_picture_and_its_distance():
    draw = np.random.default_rng(2)
    pictures, among = draw.normal(size=(5, 3, 2)), draw.normal(size=(11, 3, 2))
    distances = np.sqrt(((pictures[:, None] - among[None]) ** 2).sum(axis=(2, 3)))
    which, far = training.nearest(pictures, among)
    np.testing.assert_array_equal(which, distances.argmin(axis=1))
    np.testing.assert_allclose(far, distances.min(axis=1), rtol=1e-9)


@pytest.mark.slow
def test_completions_keep_what_is_known_and_draw_the_rest_from_its_law():
    """E couples each lower pixel to the one above it: given y, the lower one is normal, of mean y and variance 1/2.

    The bias of Langevin's steps makes the variance 1/(2 - 2ε). 400 independent draws of 2 pixels each: the mean of
    each pixel is within 5 standard errors, false alarms 1e-6; their variance within 5 of its own (√(2/n)), too.
    """
    energy = lambda y: jnp.sum((y[1] - y[0]) ** 2) + jnp.sum(y[0] ** 2)
    picture, known = jnp.array([[[1.0, -2.0], [9.0, 9.0]]]), np.array([[True, True], [False, False]])
    step_size, draws = 0.1, 400
    drawn = jax.jit(lambda key: training.completed(energy, step_size, key, known, picture, draws, 100))(
        jax.random.key(3)
    )
    assert drawn.shape == (1, draws, 2, 2)
    np.testing.assert_array_equal(drawn[0, :, 0], np.tile([1.0, -2.0], (draws, 1)))
    lower, variance = np.asarray(drawn[0, :, 1]), 1 / (2 - 2 * step_size)
    assert (abs(lower.mean(axis=0) - [1, -2]) < 5 * math.sqrt(variance / draws)).all()
    assert abs(((lower - [1, -2]) ** 2).mean() / variance - 1) < 5 * math.sqrt(2 / (2 * draws))


@pytest.mark.slow
def test_a_film_shows_its_start_and_then_chains_that_move_the_more_the_longer():
    """Without a slope a chain diffuses: n steps have a variance of 2 ε n; 3,000 pixels, 5 standard errors each."""
    starts = jnp.ones((30, 10, 10))
    flat = lambda y: 0 * jnp.sum(y)
    play = partial(training.film, flat, 0.01, moments=(0, 10, 40))
    pictures, energies = jax.jit(play)(jax.random.key(4), starts)
    assert (pictures.shape, energies.shape) == ((3, 30, 10, 10), (3, 30))
    np.testing.assert_array_equal(pictures[0], starts)
    for picture, steps in zip(pictures[1:], (10, 40), strict=True):
        assert abs(float(jnp.var(picture)) / (0.02 * steps) - 1) < 5 * math.sqrt(2 / 3000)


def test_outsiders_are_as_many_as_the_held_out_and_shuffling_moves_pixels_only():
    inside = np.random.default_rng(5).random((6, 8, 8), np.float32)
    sets = outsiders(jax.random.key(0), Images.DIGITS, inside)
    assert all(pictures.shape == inside.shape for pictures in sets.values())
    shuffled = sets["shuffled pixels"]
    assert not np.array_equal(shuffled, inside)
    np.testing.assert_array_equal(np.sort(shuffled.reshape(6, -1)), np.sort(inside.reshape(6, -1)))
    np.testing.assert_array_equal(sets["inverted"] + inside, np.ones_like(inside))
