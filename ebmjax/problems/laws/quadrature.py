"""Moments of laws by sums over grids of points, in double precision."""

from typing import Any

import numpy as np
from jaxtyping import Float

from ebmjax.checks import ArgumentError


def grid_moments(points: Any, energies: Any) -> Float[np.ndarray, "3"]:
    """The means of x, x² and x⁴ under exp(-E(x))/Z, on equally spaced points that reach far into both tails.

    For a law that is smooth and vanishes at both ends, the error of such a sum falls faster than any power of the
    distance between the points.

    Args:
        points: (points,), at equal distances.
        energies: beta E at these points.

    Raises:
        ValueError: shapes that differ.

    Trefethen and Weideman (2014), "The exponentially convergent trapezoidal rule".

    >>> x = np.linspace(-10, 10, 201)
    >>> grid_moments(x, x**2 / 2).round(9).tolist()
    [0.0, 1.0, 3.0]
    """
    points, energies = np.asarray(points, np.float64), np.asarray(energies, np.float64)
    if points.ndim != 1 or points.shape != energies.shape:
        raise ArgumentError(f"energies: got shape {energies.shape}, wanted {points.shape}, as the points")
    weights = np.exp(energies.min() - energies)
    return np.asarray([weights @ points**power for power in (1, 2, 4)]) / weights.sum() + 0.0
