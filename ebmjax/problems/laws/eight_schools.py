"""Eight schools: the effects of coaching in eight schools, and how far schools differ at all."""

import jax.numpy as jnp
import numpy as np

from ebmjax.problems.laws.problem import Problem, Truth, normal_start
from ebmjax.problems.laws.regressions import mixed, regression

EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)
"""Estimated effects in points of a test, and their standard errors."""
SCALE = 5.0
"""Of the priors of the mean and of the spread."""
GRID = np.linspace(-25.0, 8.0, 2001)
"""Values of log τ for the quadrature."""


def eight_schools() -> Problem:
    """The posterior of (μ, log τ, η₁, …, η₈), in the parametrization that is not centred.

        y_j ~ N(μ + τ η_j, σ_j²),    η_j ~ N(0, 1),    μ ~ N(0, 5²),    τ ~ half-Cauchy(5)

    For a given τ all other unknowns are normal, so that the truth is a sum over a grid of log τ. The priors are those
    of posteriordb.

    Rubin (1981), "Estimation in parallel randomized experiments"; Gelman et al. (2013), "Bayesian data analysis",
    section 5.5.

    >>> eight_schools().truth.means[0].round(1)
    np.float64(4.4)
    """
    effects, errors = np.array(EFFECTS), np.array(ERRORS)

    def energy(x):
        mean, log_spread, unit = x[0], x[1], x[2:]
        away = (jnp.asarray(effects, x.dtype) - mean - jnp.exp(log_spread) * unit) / jnp.asarray(errors, x.dtype)
        # the half-Cauchy law of τ, as a law of log τ
        prior = mean**2 / (2 * SCALE**2) + jnp.log1p(jnp.exp(2 * log_spread) / SCALE**2) - log_spread
        return prior + (jnp.sum(unit**2) + jnp.sum(away**2)) / 2

    schools, prior = len(effects), np.array([SCALE**2] + [1.0] * len(effects))
    log_weights, means, variances = [], [], []
    for log_spread in GRID:
        design = np.concatenate([np.ones((schools, 1)), np.exp(log_spread) * np.eye(schools)], axis=1)
        evidence, mean, covariance = regression(design, effects, errors**2, prior)
        log_weights.append(evidence - np.log1p(np.exp(2 * log_spread) / SCALE**2) + log_spread)
        means.append(mean)
        variances.append(np.diag(covariance))
    truth = mixed(GRID[:, None], log_weights, means, variances)
    # the mean stands first in the vector of unknowns, before the spread
    order = np.array([1, 0, *range(2, schools + 2)])
    truth = Truth(
        truth.means[order],
        truth.squares[order],
        truth.square_sds[order],
        truth.mean_errors[order],
        truth.square_errors[order],
        truth.source,
    )
    return Problem("eight schools", energy, 1.0, schools + 2, normal_start(schools + 2, 2.0), truth)
