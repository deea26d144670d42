"""Normal laws whose widest direction is much wider than their narrowest one, and none of them is a coordinate."""

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from ebmjax.checks import ArgumentError, check_count, check_positive
from ebmjax.numerics import matmul
from ebmjax.problems.laws.problem import Problem, exact, normal_fourth, normal_start


def gaussian(unknowns: int = 50, condition: float = 100.0, beta: float = 1.0) -> Problem:
    """E(x) = ½ ‖S⁻¹ Qᵀ (x - m)‖²: a normal law with the covariance Q S² Qᵀ / beta.

    The variances S² run from 1 to `condition` at equal ratios. Q is a rotation, drawn once (NumPy, seed 0), so that the
    units of single unknowns do not help. m runs from -1 to 1. The energy is a sum of squares of S⁻¹ Qᵀ (x - m): single
    precision loses less in it than in products with the inverse of the covariance.

    Raises ValueError for fewer than one unknown, a condition below 1, a beta that is not positive.

    >>> problem = gaussian(3, 4.0)
    >>> float(problem.energy(jnp.array([-1.0, 0.0, 1.0]))), problem.truth.means.tolist()
    (0.0, [-1.0, 0.0, 1.0])
    """
    check_count("unknowns", unknowns)
    check_positive("condition", condition)
    check_positive("beta", beta)
    if condition < 1:
        raise ArgumentError(f"condition: got {condition}, wanted at least 1")
    condition, beta = float(condition), float(beta)
    variances = np.geomspace(1, condition, unknowns)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(unknowns, unknowns)))[0]
    whitening = np.asarray(rotation.T / np.sqrt(variances)[:, None], np.float32)
    centre = np.linspace(-1, 1, unknowns)
    of_unknowns = (rotation**2 @ variances) / beta
    middle = np.asarray(centre, np.float32)

    truth = exact(centre, centre**2 + of_unknowns, normal_fourth(centre, of_unknowns), "closed form")
    start = normal_start(unknowns, 2 * float(np.sqrt(condition / beta)))
    energy = Partial(_energy, jnp.asarray(whitening), jnp.asarray(middle))
    return Problem(f"Gaussian, condition {condition:g}", energy, beta, unknowns, start, truth)


def _energy(whitening, middle, x):
    away = matmul(whitening.astype(x.dtype), x - middle.astype(x.dtype))
    return jnp.sum(away**2) / 2
