"""Neal's funnel: the logarithm of the width of all other unknowns is an unknown itself."""

import math

import jax.numpy as jnp
import numpy as np

from ebmjax.checks import ArgumentError, check_count, check_positive
from ebmjax.problems.laws.problem import Problem, exact, normal_fourth, normal_start

WIDTH = 3.0
"""The standard deviation of the first unknown at beta = 1."""


def funnel(unknowns: int = 10, beta: float = 1.0) -> Problem:
    """E(v, x) = v²/18 + ½ exp(-v) ‖x‖² + ½ n v, with n = unknowns - 1.

    At beta = 1, v is normal with standard deviation 3 and x, given v, with the variance exp(v): steps that fit the
    mouth, where v is large, are refused in the neck. The law of v is normal at any beta, with the variance 9/beta and
    the mean 9 n (1 - beta)/(2 beta). Raises ValueError for fewer than 2 unknowns, a beta that is not positive.

    Neal (2003), "Slice sampling", section 8.

    >>> problem = funnel(3)
    >>> float(problem.energy(jnp.array([0.0, 1.0, 1.0]))), problem.truth.squares.round(1).tolist()
    (1.0, [9.0, 90.0, 90.0])
    """
    check_count("unknowns", unknowns)
    check_positive("beta", beta)
    if unknowns < 2:
        raise ArgumentError(f"unknowns: got {unknowns}, wanted at least 2")
    others, beta = int(unknowns) - 1, float(beta)

    def energy(x):
        return x[0] ** 2 / (2 * WIDTH**2) + jnp.exp(-x[0]) * jnp.sum(x[1:] ** 2) / 2 + others * x[0] / 2

    variance = WIDTH**2 / beta
    middle = variance * others * (1 - beta) / 2
    square = math.exp(middle + variance / 2) / beta
    fourth = 3 * math.exp(2 * middle + 2 * variance) / beta**2
    means = np.array([middle] + [0.0] * others)
    squares = np.array([middle**2 + variance] + [square] * others)
    fourths = np.array([float(normal_fourth(middle, variance))] + [fourth] * others)
    truth = exact(means, squares, fourths, "closed form")
    return Problem("funnel", energy, beta, others + 1, normal_start(others + 1, 3.0), truth)
