"""Many wells: independent pairs of unknowns, each with a double well, so that the number of minima is a power of 2."""

import jax.numpy as jnp
import numpy as np

from ebmjax.checks import check_count, check_positive
from ebmjax.problems.laws.problem import Problem, exact, normal_start
from ebmjax.problems.laws.quadrature import grid_moments


def many_well(pairs: int = 16, beta: float = 1.0) -> Problem:
    """E(x) = Σ a⁴ - 6 a² - a/2 + b²/2 over pairs (a, b); all a stand first in x, then all b.

    Each pair has its wells near a = ±1.7; the right one is the deeper one. There are 2^pairs minima. Raises ValueError
    for fewer than one pair, a beta that is not positive.

    Noé, Olsson, Köhler and Wu (2019), "Boltzmann generators"; Midgley et al. (2023), "Flow annealed importance sampling
    bootstrap", for 16 pairs.

    >>> many_well(1).truth.means.round(2).tolist()
    [1.19, 0.0]
    """
    check_count("pairs", pairs)
    check_positive("beta", beta)
    pairs, beta = int(pairs), float(beta)

    def energy(x):
        a, b = x[:pairs], x[pairs:]
        return jnp.sum(a**4 - 6 * a**2 - a / 2) + jnp.sum(b**2) / 2

    reach = 3 + 3 / beta**0.25
    a = np.linspace(-reach, reach, 20_001)
    wells = grid_moments(a, beta * (a**4 - 6 * a**2 - a / 2))
    springs = np.array([0, 1 / beta, 3 / beta**2])
    means, squares, fourths = np.repeat(np.stack([wells, springs], axis=1), pairs, axis=1)
    truth = exact(means, squares, fourths, "quadrature")
    return Problem(f"many wells, {2 * pairs} unknowns", energy, beta, 2 * pairs, normal_start(2 * pairs, 2.0), truth)
