"""Logistic regression: the posterior of the weights that separate two classes."""

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.checks import ArgumentError, as_float, check_positive
from ebmjax.numerics import matmul
from ebmjax.problems.laws.problem import Problem, normal_start
from ebmjax.types import Numbers


def logistic_regression(
    features: Annotated[Numbers, "samples features"], labels: Annotated[Numbers, " samples"], prior_sd: float = 1.0
) -> Problem:
    """E(w) = Σ softplus(f) - label · f + ‖w‖² / (2 s²),    f = w₀ + features · (w₁, w₂, …).

    Args:
        features: (samples, features); standardized ones fit the prior.
        labels: 0 or 1, (samples,).
        prior_sd: s, the standard deviation of the normal prior of each weight, the intercept among them.

    Returns:
        The problem, whose truth is None: only a long run has it.

    Raises:
        ValueError: features and labels of other shapes, labels that are neither 0 nor 1, a prior that is not positive.

    >>> problem = logistic_regression([[1.0], [-1.0]], [1.0, 0.0])
    >>> round(float(problem.energy(jnp.zeros(2))), 4)
    1.3863
    """
    features = np.asarray(as_float("features", features, (None, None)))
    labels = np.asarray(as_float("labels", labels, (len(features),)))
    check_positive("prior_sd", prior_sd)
    if not np.isin(labels, (0, 1)).all():
        raise ArgumentError("labels: got other numbers, wanted 0 and 1")
    design = np.concatenate([np.ones_like(features[:, :1]), features], axis=1)
    # Σ label · f is linear in the weights
    linear = np.asarray(labels.astype(np.float64) @ design.astype(np.float64), np.float32)
    precision = 1 / float(prior_sd) ** 2

    def energy(x):
        field = matmul(jnp.asarray(design, x.dtype), x)
        return jnp.sum(jax.nn.softplus(field)) - jnp.sum(jnp.asarray(linear, x.dtype) * x) + precision / 2 * x @ x

    unknowns = design.shape[1]
    return Problem("logistic regression", energy, 1.0, unknowns, normal_start(unknowns, float(prior_sd)), None)
