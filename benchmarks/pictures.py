"""Data of the groups `spins` and `neural`: binary 28 × 28 pictures; and the pseudo-likelihood of an RBM."""

import importlib.util
import os

import numpy as np

FOLDER = "EBMJAX_DATA"


def source() -> str:
    """The name of the pictures that `load` returns."""
    return "MNIST" if FOLDER in os.environ else "scikit-learn's digits, enlarged and shifted"


def load(count: int) -> np.ndarray:
    """At most 60,000 pictures: float32 of 0 and 1, (count, 784).

    MNIST with a threshold of ½ where EBMJAX_DATA names a folder that has it, else enlarged digits of scikit-learn.

    Raises:
        ValueError: neither EBMJAX_DATA nor scikit-learn is there.
    """
    if FOLDER in os.environ:
        from experiments.data.images import Images, binarize, load

        pictures = load(Images.MNIST).train[:count]
        return np.asarray(binarize(pictures)).reshape(len(pictures), -1)
    if not importlib.util.find_spec("sklearn"):
        raise ValueError(f"pictures: got neither {FOLDER} nor scikit-learn, wanted one of them")
    return synthetic(count)


def synthetic(count: int) -> np.ndarray:
    """scikit-learn's 1,797 digits, enlarged three times, drawn with replacement and shifted by up to 2 pixels."""
    from sklearn.datasets import load_digits

    random = np.random.default_rng(0)
    rows, _ = load_digits(return_X_y=True)
    grey = np.asarray(rows).reshape(-1, 8, 8) / 16
    # 24 × 24 pixels, with a margin for the shifts
    large = np.pad(np.kron(grey, np.ones((3, 3))), ((0, 0), (4, 4), (4, 4))) > 0.5
    which, down, right = random.integers(0, len(grey), count), *random.integers(0, 5, (2, count))
    pictures = np.empty((count, 28, 28), np.float32)
    for row in range(5):
        for column in range(5):
            here = (down == row) & (right == column)
            pictures[here] = large[which[here], row : row + 28, column : column + 28]
    return pictures.reshape(count, 784)


def pseudo_likelihood(params: tuple[np.ndarray, np.ndarray, np.ndarray], pictures: np.ndarray) -> float:
    """Mean log pseudo-likelihood in nats per picture: pixels · log σ(F(v with one pixel flipped) - F(v)).

    F(v) = -aᵀv - Σ softplus(b + vᵀW). The pixel is drawn for each picture with a fixed seed, so that two models are
    compared on the same pixels.

    Args:
        params: weights (visible, hidden), visible bias, hidden bias.
        pictures: (n, pixels), of 0 and 1.
    """
    weights, visible, hidden = (np.asarray(part, np.float64) for part in params)
    pixel = np.random.default_rng(0).integers(0, pictures.shape[1], len(pictures))
    turn = 1 - 2 * pictures[np.arange(len(pictures)), pixel].astype(np.float64)
    inputs = pictures @ weights + hidden
    flipped = inputs + turn[:, None] * weights[pixel]
    gap = -turn * visible[pixel] + (np.logaddexp(0, inputs) - np.logaddexp(0, flipped)).sum(1)
    return float(-pictures.shape[1] * np.logaddexp(0, -gap).mean())
