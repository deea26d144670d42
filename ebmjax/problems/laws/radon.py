"""Radon in homes: a regression whose intercepts differ from county to county, on data that are simulated."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ebmjax.numerics import matmul
from ebmjax.problems.laws.problem import Problem, normal_start
from ebmjax.problems.laws.regressions import mixed, regression
from ebmjax.records import record

COUNTIES, HOMES, SEED = 20, 160, 0
WIDE = 10.0
"""The prior standard deviation of μ, b and γ."""
GRIDS = np.linspace(-18.0, 1.5, 157), np.linspace(-0.75, 0.15, 31)
"""Values of log τ and log σ for the quadrature."""


@record
class Homes(NamedTuple):
    """Measurements of radon in homes, and what is known of homes and counties."""

    radon: Float[np.ndarray, " homes"]
    """The logarithm of the activity."""
    floor: Float[np.ndarray, " homes"]
    """1 where it was measured on the ground floor, 0 in the basement."""
    county: Float[np.ndarray, "homes counties"]
    """1 in the column of the home's county, 0 elsewhere."""
    uranium: Float[np.ndarray, " counties"]
    """The logarithm of the uranium in the soil, centred."""


def homes() -> Homes:
    """The simulated homes: 160 in 20 counties (NumPy, seed 0), by the model of `radon`.

    The true values are μ = 1.4, b = -0.7, γ = 0.7, τ = 0.3 and σ = 0.75.

    >>> homes().county.sum(axis=0).min() >= 1
    np.True_
    """
    random = np.random.default_rng(SEED)
    # one home in each county at least, and many in some of them
    shares = random.dirichlet(np.ones(COUNTIES))
    place = np.concatenate([np.arange(COUNTIES), random.choice(COUNTIES, HOMES - COUNTIES, p=shares)])
    county = np.eye(COUNTIES)[place]
    uranium = random.normal(size=COUNTIES) / 2
    uranium -= uranium.mean()
    floor = (random.uniform(size=HOMES) < 0.2).astype(float)
    effect = 0.3 * random.normal(size=COUNTIES)
    radon = 1.4 - 0.7 * floor + county @ (0.7 * uranium + effect) + 0.75 * random.normal(size=HOMES)
    return Homes(radon, floor, county, uranium)


def radon() -> Problem:
    """The posterior of (log τ, log σ, μ, b, γ, η₁, …, η₂₀), in the parametrization that is not centred.

        y ~ N(μ + b · floor + γ u_county + τ η_county, σ²),    η ~ N(0, 1)
        μ, b, γ ~ N(0, 10²),    τ and σ half-normal with scale 1

    For given τ and σ all other unknowns are normal, so that the truth is a sum over a grid of log τ and log σ.

    Gelman and Hill (2007), "Data analysis using regression and multilevel/hierarchical models", chapter 12, for the
    model. Their data are in no package, so that these are simulated.

    >>> radon().unknowns
    25
    """
    of = homes()
    fixed = np.stack([np.ones(HOMES), of.floor, of.county @ of.uranium], axis=1)

    def energy(x):
        log_between, log_within, weights, units = x[0], x[1], x[2:5], x[5:]
        array = lambda numbers: jnp.asarray(numbers, x.dtype)
        middle = matmul(array(fixed), weights) + jnp.exp(log_between) * matmul(array(of.county), units)
        away = (array(of.radon) - middle) * jnp.exp(-log_within)
        scales = (jnp.exp(2 * log_between) + jnp.exp(2 * log_within)) / 2 - log_between - log_within
        prior = scales + jnp.sum(weights**2) / (2 * WIDE**2) + jnp.sum(units**2) / 2
        return prior + jnp.sum(away**2) / 2 + HOMES * log_within

    prior = np.array([WIDE**2] * 3 + [1.0] * COUNTIES)
    scales, log_weights, means, variances = [], [], [], []
    for log_between in GRIDS[0]:
        design = np.concatenate([fixed, np.exp(log_between) * of.county], axis=1)
        for log_within in GRIDS[1]:
            noise = np.full(HOMES, np.exp(2 * log_within))
            evidence, mean, covariance = regression(design, of.radon, noise, prior)
            known = log_between + log_within - (np.exp(2 * log_between) + np.exp(2 * log_within)) / 2
            scales.append((log_between, log_within))
            log_weights.append(evidence + known)
            means.append(mean)
            variances.append(np.diag(covariance))
    truth = mixed(scales, log_weights, means, variances)
    return Problem("radon", energy, 1.0, 5 + COUNTIES, normal_start(5 + COUNTIES, 1.0), truth)
