"""The photograph of coins that comes with scikit-image, and the outlines of the coins."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy import ndimage
from skimage import data, filters, measure, morphology, segmentation

from ebmjax.checks import ArgumentError


class Coins(NamedTuple):
    """A photograph of coins and their outlines, in pixels: y1 to the right, y2 downwards."""

    picture: UInt8[np.ndarray, "height width"]
    contours: Float32[np.ndarray, "coins points 2"]


def load(points: int = 128) -> Coins:
    """Find the outlines of the 24 coins. The picture is part of scikit-image's package: nothing is downloaded.

    The light in the picture is uneven, so that no single threshold separates the coins from the background. A watershed
    of the size of the gradient does (scikit-image's gallery, "Comparing edge-based and region-based segmentation").

    Args:
        points: the number of points on each outline, evenly spaced along it.

    Raises:
        ArgumentError: fewer than 3 points.

    >>> load(96).contours.shape
    (24, 96, 2)
    """
    if points < 3:
        raise ArgumentError(f"points: got {points}, wanted at least 3 on each outline")
    picture = np.asarray(data.coins())
    # Grey values that are certainly coin (2) and certainly background (1); the watershed draws the line between them.
    markers = np.where(picture > 150, 2, np.where(picture < 30, 1, 0))
    coins = ndimage.binary_fill_holes(segmentation.watershed(filters.sobel(picture), markers) == 2)
    # The closing mends narrow breaks in a rim. The opening removes specks, and thin lines that shadows leave on rims.
    coins = ndimage.binary_closing(coins, structure=morphology.disk(2))
    coins = ndimage.binary_opening(coins, structure=morphology.disk(3))
    outlines = []
    for region in measure.regionprops(measure.label(segmentation.clear_border(coins))):
        if region.area > 500:
            # A slight blur puts the contour between the pixels; it moves a rim of radius 20 by 0.03 pixels.
            mask = filters.gaussian(np.pad(region.image, 6).astype(float), sigma=1)
            loop = max(measure.find_contours(mask, 0.5), key=len)
            outlines.append(_evenly_spaced(loop[:, ::-1] - 6 + np.array(region.bbox[1::-1]), points))
    return Coins(picture, np.stack(outlines).astype(np.float32))


def _evenly_spaced(loop: Float[np.ndarray, "n 2"], points: int) -> Float[np.ndarray, "points 2"]:
    """Points at equal distances along a closed loop, whose last point repeats its first."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(loop, axis=0), axis=1))])
    wanted = np.linspace(0.0, along[-1], points, endpoint=False)
    return np.stack([np.interp(wanted, along, loop[:, axis]) for axis in range(2)], axis=-1)
