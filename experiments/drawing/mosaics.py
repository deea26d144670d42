"""Mosaics: many small pictures in one panel."""

import math

import numpy as np
from jaxtyping import Array, Float
from matplotlib.axes import Axes


def flat(images: Float[np.ndarray, "n rows columns"]) -> Float[np.ndarray, "n pixels"]:
    """Flatten each picture to a row of pixels."""
    return images.reshape(len(images), -1)


def mosaic(pictures: Float[Array | np.ndarray, "down across rows columns"]) -> Float[np.ndarray, "height width"]:
    """One large picture of many, with lines of NaN between them."""
    pictures = np.asarray(pictures)
    padded = np.pad(pictures, [(0, 0), (0, 0), (0, 1), (0, 1)], constant_values=np.nan)
    down, across, rows, columns = padded.shape
    return padded.transpose(0, 2, 1, 3).reshape(down * rows, across * columns)[:-1, :-1]


def strongest(
    weights: Float[Array | np.ndarray, "units pixels"], shape: tuple[int, ...], most: int = 100
) -> Float[np.ndarray, "down across rows columns"]:
    """The weights of the units of largest norm as a nearly square mosaic of pictures, the largest first.

    Args:
        weights: the weights of each unit to the pixels.
        shape: rows and columns of a picture.
        most: limit of the number of units shown. Units that would not fill a row of the mosaic are left out.

    >>> strongest(np.array([[1.0, 0.0], [0.0, 3.0]]), (2, 1))[0, :, :, 0].tolist()
    [[0.0, 3.0], [1.0, 0.0]]
    """
    weights = np.asarray(weights)
    order = np.argsort(-np.linalg.norm(weights, axis=1))
    across = math.ceil(math.sqrt(min(most, len(weights))))
    down = min(most, len(weights)) // across
    return weights[order[: down * across]].reshape(down, across, *shape)


def show(
    axes: Axes,
    pictures: Float[Array | np.ndarray, "down across rows columns"],
    title: str = "",
    down: list[str] | None = None,
    across: list[str] | None = None,
    weights: bool = False,
) -> None:
    """Draw a mosaic of pictures, in black on white, or of weights, from blue (negative) to red (positive).

    Args:
        axes: the panel.
        pictures: values from 0 (white) to 1 (black), or weights.
        title: the title of the panel.
        down: a name for each row.
        across: a name for each column.
        weights: whether the values are weights; then each picture has its own scale, symmetric about zero.
    """
    pictures = np.asarray(pictures)
    if weights:
        pictures = pictures / np.maximum(np.abs(pictures).max(axis=(2, 3), keepdims=True), 1e-12)
        axes.imshow(mosaic(pictures), cmap="RdBu_r", vmin=-1, vmax=1, interpolation="nearest")
    else:
        axes.imshow(mosaic(pictures), cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
    rows, columns = pictures.shape[2:]
    axes.set_xticks([(columns + 1) * i + columns / 2 - 0.5 for i in range(len(across or []))], across or [])
    axes.set_yticks([(rows + 1) * i + rows / 2 - 0.5 for i in range(len(down or []))], down or [])
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.set_facecolor("#e6e6e6")
    axes.set_title(title)
