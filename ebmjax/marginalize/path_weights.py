"""log Z at the end of a path from the weights of independent chains, those of `annealed` in one direction or in both.

    log Z(t_K) ≈ log Z(t_0) + log 1/n Σ_i w_i

Weights of several runs, on other machines say, are judged together here.

Neal (2001), "Annealed importance sampling"; Bennett (1976), "Efficient estimation of free energy differences from Monte
Carlo data".
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ebmjax.checks import ArgumentError, as_float
from ebmjax.marginalize.importance_sampling import LEAST_EFFECTIVE
from ebmjax.marginalize.reweighting.pair import ratio
from ebmjax.numerics import below
from ebmjax.types import (
    CONVERGED,
    DIVERGED,
    NO_OVERLAP,
    NOT_MIXED,
    TOO_FEW_TEMPERATURES,
    Estimate,
    Numbers,
    Scalar,
)

CROSSED = 4
"""Bounds that are out of order by more than this many standard errors are no bounds: one in 30,000 by chance."""


def estimate_of_weights(log_weights: Numbers, log_partition: Scalar) -> Estimate:
    """log Z at the end of a path from the weights of independent chains, such as those of several runs of `annealed`.

    Args:
        log_weights: log w of each chain, (chains,), at least 2.
        log_partition: log Z at the start of the path.

    Returns:
        `Estimate`, as of `annealed_importance`.

    Raises:
        ValueError: weights that are no row of at least 2 numbers, a log_partition that is not a scalar.

    Neal (2001), eqs. 8 to 11.

    >>> round(float(estimate_of_weights(jnp.log(jnp.array([1.0, 3.0])), 0.0).log_partition), 5)  # log 2
    0.69315
    """
    return _estimated(_row("log_weights", log_weights), as_float("log_partition", log_partition, ()))


def estimate_of_reverse(back: Numbers, log_partition: Scalar) -> Estimate:
    """log Z at the end of a path from the weights of independent chains that go back from draws of its law there.

        log Z(t_K) ≈ log Z(t_0) - log 1/n Σ_i w_i

    Args:
        back: log w of each chain, (chains,), at least 2.
        log_partition: log Z at the start of the path, where the chains end.

    Returns:
        `Estimate`, which is too high in the mean: `upper` is a bound, `lower` is not. The codes are those of
        `annealed_importance`.

    Raises:
        ValueError: weights that are no row of at least 2 numbers, a log_partition that is not a scalar.

    Grosse, Ghahramani & Adams (2015), section 3.

    >>> round(float(estimate_of_reverse(jnp.log(jnp.array([1.0, 3.0])), 0.0).log_partition), 5)  # -log 2
    -0.69315
    """
    return _back(_row("back", back), as_float("log_partition", log_partition, ()))


def estimate_of_both(forward: Numbers, back: Numbers, log_partition: Scalar) -> Estimate:
    """log Z at the end of a path from the weights of independent chains in both directions.

    Args:
        forward: log w of the chains from the start of the path to its end, (chains,), at least 2.
        back: log w of the chains from its end to its start, at least 2, as many or not.
        log_partition: log Z at the start of the path.

    Returns:
        `Estimate`, as of `bidirectional`.

    Raises:
        ValueError: weights that are no row of at least 2 numbers, a log_partition that is not a scalar.

    Bennett (1976), eqs. 10 and 12.

    >>> forward, back = jnp.array([0.5, 0.7, 0.6]), jnp.array([-0.6, -0.5, -0.7])
    >>> round(float(estimate_of_both(forward, back, 0.0).log_partition), 3)
    0.6
    """
    rows = _row("forward", forward), _row("back", back)
    return _between(*rows, as_float("log_partition", log_partition, ()))


@jax.jit
def _estimated(log_weights, log_partition):
    mean, error, effective = log_mean(log_weights)
    value, none = log_partition.astype(mean.dtype) + mean, jnp.full_like(mean, jnp.inf)
    return Estimate(value, error, effective, below(value, error), none, result_of_weights(log_weights, effective))


@jax.jit
def _back(log_weights, log_partition):
    found = _estimated(log_weights, -log_partition)
    return found._replace(log_partition=-found.log_partition, lower=-found.upper, upper=-found.lower)


def result_of_weights(log_weights: Float[Array, " n"], effective: Float[Array, ""]) -> Int[Array, ""]:
    """How far the mean of independent weights can be trusted, taken as those of a normal law of log w.

    The error of the mean of w is estimated from w², whose own relative variance is about exp(4 var(log w)) / n.

    >>> result_of_weights(jnp.full(20, 0.7), jnp.array(20.0)).item()
    0
    """
    count = log_weights.shape[0]
    some = jnp.isfinite(log_weights)
    weights = jnp.where(some, log_weights, 0)
    mean = jnp.sum(weights) / jnp.maximum(jnp.sum(some.astype(weights.dtype)), 1)
    variance = jnp.sum(jnp.where(some, jnp.square(weights - mean), 0)) / (count - 1)
    wide = (effective < LEAST_EFFECTIVE) | (jnp.exp(jnp.minimum(4 * variance, 80)) > count)
    result = jnp.where(wide, TOO_FEW_TEMPERATURES, CONVERGED)
    result = jnp.where(jnp.any(some), result, NO_OVERLAP)
    return jnp.where(_is_broken(log_weights), DIVERGED, result).astype(jnp.int32)


@jax.jit
def _between(forward, back, log_partition):
    low, low_error, _ = log_mean(forward)
    high, high_error, _ = log_mean(back)
    value, error, shared = _ratio(forward, back)
    # in the mean low ≤ log ratio ≤ -high; draws of the end that have not mixed turn this around
    crossed = low + high > CROSSED * jnp.hypot(low_error, high_error)
    result = jnp.where(shared < LEAST_EFFECTIVE, TOO_FEW_TEMPERATURES, jnp.where(crossed, NOT_MIXED, CONVERGED))
    result = jnp.where(jnp.isfinite(low) & jnp.isfinite(high), result, NO_OVERLAP)
    result = jnp.where(_is_broken(forward) | _is_broken(back), DIVERGED, result).astype(jnp.int32)
    at = lambda log_ratio: log_partition.astype(log_ratio.dtype) + log_ratio
    return Estimate(at(value), error, shared, below(at(low), low_error), -below(-at(-high), high_error), result)


def log_mean(log_weights: Float[Array, " n"]) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """log 1/n Σ w, its standard error, and the effective number of draws (Σw)² / Σw².

    >>> mean, error, effective = log_mean(jnp.log(jnp.array([1.0, 3.0])))
    >>> round(mean.item(), 5), round(error.item(), 5), round(effective.item(), 5)
    (0.69315, 0.5, 1.6)
    """
    largest = jnp.max(log_weights)
    unit = jnp.where(jnp.isfinite(largest), largest, 0)
    weights = jnp.exp(log_weights - unit)
    first, second, count = jnp.sum(weights), jnp.sum(jnp.square(weights)), len(log_weights)
    effective = jnp.where(second > 0, first**2 / jnp.where(second > 0, second, 1), 0)
    # by linearization the variance of the logarithm of a mean is its relative variance
    variance = jnp.maximum(count / jnp.where(effective > 0, effective, jnp.nan) - 1, 0) / (count - 1)
    return jnp.log(first / count) + unit, jnp.sqrt(variance), effective


def _ratio(forward, back):
    """log Z(t_K) / Z(t_0) from the weights of both directions, its standard error, and the paths that both share."""
    sizes = len(forward), len(back)
    # what is as likely on the way there as on the way back has log w = -log w'; a row that is shorter is filled up
    filled = lambda values, fill: jnp.pad(values, (0, max(sizes) - len(values)), constant_values=fill)
    differences = jnp.stack([filled(-forward, 0), filled(back, 0)])
    measure = jnp.stack([filled(jnp.ones_like(forward), 0), filled(jnp.ones_like(back), 0)])
    numbers = jnp.asarray(sizes, differences.dtype)
    pair = ratio(differences, measure, numbers, 1e-3)
    variance = 1 / pair.shared - 1 / numbers[0] - 1 / numbers[1]
    # two sets of n paths that agree share n / 2
    return pair.log_ratio, jnp.sqrt(jnp.maximum(variance, 0)), 2 * pair.shared


def _row(name, log_weights):
    log_weights = as_float(name, log_weights, (None,))
    if len(log_weights) < 2:
        raise ArgumentError(f"{name}: got {len(log_weights)} chain, wanted at least 2, for a standard error")
    return log_weights


def _is_broken(log_weights):
    return jnp.any(jnp.isnan(log_weights) | (log_weights == jnp.inf))
