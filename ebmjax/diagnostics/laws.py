"""Comparison of samples with a law that is known exactly."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float
from ebmjax.compiled import compiled
from ebmjax.diagnostics.chains import check_steps, ess_of_chains, mean

AXES = "(chains, steps, moments)"


def z_scores(draws: Any, truth: Any) -> Float[Array, " moments"]:
    """(mean - truth) / standard error of each moment, with the standard error from its effective sample size.

    For a correct sampler each score is nearly standard normal: of 55 moments one exceeds 4.5 once in 2,700 runs. For a
    moment that is the same in all draws the score is 0 where it equals the truth up to 1e-6 of the largest truth of all
    moments, else inf.

    Args:
        draws: (chains, steps, moments), at least 4 steps, in any unit.
        truth: the exact means of the moments, (moments,), in the same unit.

    Raises:
        ValueError: draws that have not the axes (chains, steps, moments), fewer than 4 steps; a truth of another
            length.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000, 3))
    >>> bool(jnp.all(jnp.abs(z_scores(draws, jnp.zeros(3))) < 4.5))
    True
    """
    draws, truth = as_float("draws", draws), as_float("truth", truth)
    if draws.ndim != 3:
        hint = "; one moment is draws[..., None]" if draws.ndim == 2 else ""
        raise ArgumentError(f"draws: got shape {draws.shape}, wanted {AXES}{hint}")
    check_steps(draws.shape, AXES)
    if truth.shape != draws.shape[-1:]:
        raise ArgumentError(f"truth: got shape {truth.shape}, wanted {draws.shape[-1:]}, one for each moment")
    return _z_scores(draws, truth.astype(draws.dtype))


@compiled
def _z_scores(draws, truth):
    count = jax.vmap(ess_of_chains, -1)(draws)
    flat = draws.reshape(-1, draws.shape[-1]).T
    # from the first draw, in units of the largest deviation: constants are exact zeros, and squares do not underflow
    first = flat[:, 0]
    apart = flat - first[:, None]
    largest = jnp.abs(apart).max(axis=1)
    unit = jnp.where(largest > 0, largest, 1)
    apart = apart / unit[:, None]
    means = mean(apart)
    error = jnp.sqrt(mean((apart - means[:, None]) ** 2) / count)
    gap = (first - truth) / unit + means
    # a truth that is 0 up to rounding is so beside the other moments
    rounding = 1e-6 * jnp.maximum(jnp.abs(first), jnp.abs(truth).max(initial=0))
    of_constant = jnp.where(jnp.abs(first - truth) <= rounding, 0, jnp.inf)
    return jnp.where(largest > 0, gap / jnp.where(error > 0, error, 1), of_constant)


def law_moments(units: Any, energies: Any, bins: Any) -> Float[Array, "*batch moments"]:
    """Moments to test a sampler of binary units: each unit, each product of two units, and the histogram of the energy.

    Args:
        units: states, (*batch, units).
        energies: the energies of the states, (*batch).
        bins: increasing edges of the histogram, (edges,). Each of the edges - 1 bins is one moment: 1 where
            low ≤ energy < high.

    Raises:
        ValueError: states without an axis of units, energies of another shape than the states, edges without an axis.

    >>> law_moments(jnp.array([1.0, -1.0]), jnp.array(0.5), jnp.array([0.0, 1.0, 2.0])).tolist()
    [1.0, -1.0, -1.0, 1.0, 0.0]
    """
    units, energies = as_float("units", units), as_float("energies", energies)
    bins = as_float("bins", bins, (None,))
    if units.ndim == 0 or energies.shape != units.shape[:-1]:
        raise ArgumentError(f"energies: got shape {energies.shape}, wanted {units.shape[:-1]}, one for each state")
    first, second = jnp.triu_indices(units.shape[-1], 1)
    lower = energies[..., None] >= jnp.expand_dims(bins[:-1], tuple(range(energies.ndim)))
    upper = energies[..., None] < jnp.expand_dims(bins[1:], tuple(range(energies.ndim)))
    histogram = (lower & upper).astype(units.dtype)
    return jnp.concatenate([units, units[..., first] * units[..., second], histogram], axis=-1)


def exact_mean(moments: Any, law: Any) -> Float[Array, " moments"]:
    """The mean of each moment under an enumerated law, such as `ebmjax.posterior` over a cube.

    Args:
        moments: (points, moments).
        law: probabilities, (points,).

    Raises:
        ValueError: moments that have not the axes (points, moments), a law of another length.

    >>> exact_mean(jnp.array([[0.0], [4.0]]), jnp.array([0.75, 0.25])).tolist()
    [1.0]
    """
    moments = as_float("moments", moments, (None, None))
    law = as_float("law", law, moments.shape[:1])
    return _sum_of_products(moments, law.astype(moments.dtype))


@compiled
def _sum_of_products(moments, law):
    # sums of blocks: a product of matrices would add up the points one by one
    return mean(moments.T * law[None]) * len(law)
