"""A mixture of 25 normal laws on a grid, between which no local sampler moves."""

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.checks import check_positive
from ebmjax.problems.laws.problem import Problem, exact, normal_fourth, normal_start

SIDE = 5


def mixture(distance: float = 4.0, width: float = 0.4) -> Problem:
    """E(x) = -log Σ_k w_k exp(-‖x - c_k‖² / (2 width²)), 25 centres c_k on a square grid about 0.

    The weights differ, w_ij ∝ 1 + i + 2 j with i and j from 0 to 4, so that the means show which modes are missed.
    Raises ValueError for a distance or a width that is not positive.

    >>> mixture().truth.means.round(3).tolist()
    [1.143, 2.286]
    """
    check_positive("distance", distance)
    check_positive("width", width)
    first, second = np.divmod(np.arange(SIDE**2), SIDE)
    centres = float(distance) * (np.stack([first, second], axis=1) - (SIDE - 1) / 2)
    weights = (1.0 + first + 2 * second) / np.sum(1.0 + first + 2 * second)
    log_weights, places = np.asarray(np.log(weights), np.float32), np.asarray(centres, np.float32)
    variance = float(width) ** 2

    def energy(x):
        squares = jnp.sum((x[None, :] - jnp.asarray(places, x.dtype)) ** 2, axis=1)
        return -jax.nn.logsumexp(jnp.asarray(log_weights, x.dtype) - squares / (2 * variance))

    truth = exact(
        weights @ centres,
        weights @ (centres**2 + variance),
        weights @ normal_fourth(centres, variance),
        "closed form",
    )
    return Problem("25 modes", energy, 1.0, 2, normal_start(2, 2 * float(distance)), truth)
