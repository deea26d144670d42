"""Truths of hierarchies that are a linear regression once a few scales are known: a sum over a grid of the scales.

    y = D(s) w + noise of variance V(s),    w ~ N(0, P),    p(s, w | y) = p(s | y) N(w; m(s), C(s))

The posterior of w for given scales s is normal, and the evidence of s is in closed form.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from ebmjax.checks import as_float
from ebmjax.problems.laws.problem import Truth, exact, normal_fourth


def regression(
    design: Any, data: Any, noise: Any, prior: Any
) -> tuple[float, Float[np.ndarray, " weights"], Float[np.ndarray, "weights weights"]]:
    """The log evidence, the posterior mean and the posterior covariance of a linear regression.

    Args:
        design: D, (data, weights).
        data: y, (data,).
        noise: variances of the noise, (data,).
        prior: prior variances of the weights, (weights,), whose prior means are 0.

    Bishop (2006), "Pattern recognition and machine learning", section 3.3.

    >>> evidence, mean, covariance = regression([[1.0]], [2.0], [1.0], [1.0])
    >>> round(evidence, 4), mean.tolist(), covariance.tolist()
    (-2.2655, [1.0], [[0.5]])
    """
    design, data, noise, prior = (np.asarray(part, np.float64) for part in (design, data, noise, prior))
    scaled = design / noise[:, None]
    precision = scaled.T @ design + np.diag(1 / prior)
    covariance = np.linalg.inv(precision)
    mean = covariance @ (scaled.T @ data)
    # yᵀ (V + D P Dᵀ)⁻¹ y, and its log determinant by that of the posterior precision
    misfit = np.sum((data - design @ mean) ** 2 / noise) + np.sum(mean**2 / prior)
    log_determinant = np.linalg.slogdet(precision)[1] + np.sum(np.log(noise)) + np.sum(np.log(prior))
    evidence = -0.5 * (misfit + log_determinant + len(data) * math.log(2 * math.pi))
    return float(evidence), mean, covariance


def mixed(scales: Any, log_weights: Any, means: Any, variances: Any) -> Truth:
    """The truth of (s, w), where s is on a grid and w is normal for each s.

    Args:
        scales: points of the grid, (points, scales).
        log_weights: of the points, (points,), up to a constant.
        means: posterior means of w at each point, (points, weights).
        variances: posterior variances, (points, weights).

    Raises ValueError for what is not numbers of these shapes.

    >>> truth = mixed([[0.0], [1.0]], [0.0, 0.0], [[0.0], [2.0]], [[1.0], [1.0]])
    >>> truth.means.tolist(), truth.squares.tolist()
    ([0.5, 1.0], [0.5, 3.0])
    """
    as_float("scales", scales, (None, None))
    scales, log_weights, means, variances = (
        np.asarray(part, np.float64) for part in (scales, log_weights, means, variances)
    )
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    both = lambda of_scales, of_weights: weights @ np.concatenate([of_scales, of_weights], axis=1)
    return exact(
        both(scales, means),
        both(scales**2, means**2 + variances),
        both(scales**4, normal_fourth(means, variances)),
        "closed forms, and quadrature of the scales",
    )
