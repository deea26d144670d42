"""The outlines of the coins lie on the edges of the coins in the picture."""

import numpy as np
import pytest
from scipy import ndimage
from skimage import filters, measure

from ebmjax.checks import ArgumentError
from experiments.data import coin_contours


def test_the_coins_are_outlined():
    coins = coin_contours.load(96)
    assert coins.picture.shape == (303, 384)
    assert coins.picture.dtype == np.uint8
    assert coins.contours.shape == (24, 96, 2)
    assert coins.contours.dtype == np.float32
    assert coins.contours.min() >= 0
    assert (coins.contours.max(axis=(0, 1)) < [384, 303]).all()
    edges = filters.sobel(coins.picture)
    for outline in coins.contours:
        steps = np.linalg.norm(np.diff(outline, axis=0, append=outline[:1]), axis=1)
        assert steps.max() < 1.1 * np.median(steps)  # even, and closed
        assert 900 < measure.grid_points_in_poly(coins.picture.shape, outline[:, ::-1]).sum() < 4500
        # The outline lies on the picture's edges: larger, smaller or mirrored at its diagonal it would not.
        centre = outline.mean(axis=0)
        others = [1.1 * (outline - centre), 0.9 * (outline - centre), (outline - centre)[:, ::-1]]
        here, *elsewhere = (mean_along(edges, points) for points in (outline, *(other + centre for other in others)))
        assert here > max(elsewhere)


def mean_along(picture, points):
    return ndimage.map_coordinates(picture, points[:, ::-1].T, order=1).mean()


def test_coins_need_three_points_an_outline():
    with pytest.raises(ArgumentError, match="points: got 2, wanted at least 3"):
        coin_contours.load(2)
