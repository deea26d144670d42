"""A normal law that is bent, so that its width depends on where it is."""

import numpy as np

from ebmjax.checks import check_positive
from ebmjax.problems.laws.problem import Problem, exact, normal_start

VARIANCE, BEND = 100.0, 0.03
"""The variance of the first unknown at beta = 1, and how far the second one bends."""


def banana(beta: float = 1.0) -> Problem:
    """E(x) = x₁²/200 + ½ (x₂ - 0.03 (x₁² - 100))².

    The law of x₁ is normal with the variance 100/beta, and that of x₂, given x₁, is normal too. Raises ValueError for a
    beta that is not positive.

    Haario, Saksman and Tamminen (1999), "Adaptive proposal distribution for random walk Metropolis algorithm".

    >>> problem = banana()
    >>> float(problem.energy(np.array([10.0, 0.0]))), problem.truth.squares.round(6).tolist()
    (0.5, [100.0, 19.0])
    """
    check_positive("beta", beta)
    beta = float(beta)

    def energy(x):
        return x[0] ** 2 / (2 * VARIANCE) + (x[1] - BEND * (x[0] ** 2 - VARIANCE)) ** 2 / 2

    wide = VARIANCE / beta
    one, two, three, four = wide, 3 * wide**2, 15 * wide**3, 105 * wide**4  # the means of x₁², x₁⁴, x₁⁶, x₁⁸
    c = VARIANCE
    # powers of the middle of x₂ given x₁, b (x₁² - c)
    first = BEND * (one - c)
    second = BEND**2 * (two - 2 * c * one + c**2)
    fourth = BEND**4 * (four - 4 * c * three + 6 * c**2 * two - 4 * c**3 * one + c**4)
    squares = np.array([wide, second + 1 / beta])
    fourths = np.array([two, fourth + 6 * second / beta + 3 / beta**2])
    truth = exact([0.0, first], squares, fourths, "closed form")
    return Problem("banana", energy, beta, 2, normal_start(2, 20.0 / float(np.sqrt(beta))), truth)
