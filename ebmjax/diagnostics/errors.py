"""Monte Carlo standard errors: how far a mean, a standard deviation or a quantile of draws may be from the truth.

They are standard deviations of the estimates over repeated runs of converged chains, in the unit of the draws.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import betainc, ndtri
from jaxtyping import Array, Float

from ebmjax.compiled import compiled
from ebmjax.diagnostics.chains import as_chains, ess_of_chains, mean, of_quantities, split
from ebmjax.diagnostics.ranks import as_probability, deviations, ess_of_quantile
from ebmjax.loops import iterate
from ebmjax.types import Scalar

RANKS = (0.1586553, 0.8413447)
"""One standard deviation of a normal law on each side, with the digits of ArviZ."""


def mean_standard_error(draws: Any) -> Float[Array, "..."]:
    """The Monte Carlo standard error of the mean, sd / √ESS, with the effective sample size of the mean.

    The method "mean" of ArviZ's `mcse`. It is 0 for a quantity that never changes. Arguments and errors are those of
    `effective_sample_size`.

    Vehtari et al. (2021), section 2.2.

    >>> draws = 3 * jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(abs(mean_standard_error(draws) / (3 / 4000**0.5) - 1) < 0.1)
    True
    """
    return _mean_error(as_chains(draws))


@compiled
def _mean_error(draws):
    def of_one(draws):
        unit, away = deviations(draws)
        variance = _mean(jnp.square(away)) * (draws.size / (draws.size - 1))
        return unit * jnp.sqrt(variance / ess_of_chains(split(draws)))

    return of_quantities(of_one, draws)


def sd_standard_error(draws: Any) -> Float[Array, "..."]:
    """The Monte Carlo standard error of the standard deviation, by the delta method from that of the variance.

        √(var((x - mean)²) / ESS) / (2 sd),    ESS that of (x - mean)²

    The method "sd" of ArviZ's `mcse`. It is NaN for a quantity that never changes. Arguments and errors are those of
    `effective_sample_size`.

    Vehtari et al. (2021), section 4.2; Kenney and Keeping (1951), section 7.6.

    >>> draws = 3 * jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(abs(sd_standard_error(draws) / (3 / 8000**0.5) - 1) < 0.1)
    True
    """
    return _sd_error(as_chains(draws))


@compiled
def _sd_error(draws):
    def of_one(draws):
        unit, away = deviations(draws)
        squares = jnp.square(away)
        variance = _mean(squares)
        spread = _mean(jnp.square(squares - variance)) / ess_of_chains(split(squares))
        return unit * jnp.sqrt(spread / variance / 4)

    return of_quantities(of_one, draws)


def quantile_standard_error(draws: Any, probability: Scalar) -> Float[Array, "..."]:
    """The Monte Carlo standard error of a quantile: half of the distance of two draws of nearby ranks.

    The share of the law below the quantile has, given the draws, the law Beta(ESS p + 1, ESS (1 - p) + 1). Its 16% and
    84% quantiles are the ranks of the two draws. The method "quantile" of ArviZ's `mcse`.

    Args:
        draws: as in `effective_sample_size`.
        probability: p of the quantile, in (0, 1), such as 0.5 for the median.

    Raises:
        ValueError: as `effective_sample_size`; a probability outside (0, 1).

    Vehtari et al. (2021), section 4.4.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(abs(quantile_standard_error(draws, 0.5) / (jnp.pi / 8000) ** 0.5 - 1) < 0.4)
    True
    """
    return _quantile_error(as_chains(draws), as_probability(probability))


@compiled
def _quantile_error(draws, probability):
    p = jnp.asarray(probability, draws.dtype)

    def of_one(draws):
        count = ess_of_quantile(draws, p)
        ranks = lambda share: beta_quantile(share, count * p + 1, count * (1 - p) + 1)
        low, high = jax.vmap(ranks)(jnp.asarray(RANKS, p.dtype))
        ordered = jnp.sort(draws.reshape(-1))
        place = lambda rank: jnp.clip(rank, 0, draws.size - 1).astype(jnp.int32)
        low = ordered[place(jnp.floor(low * draws.size - 1))]
        high = ordered[place(jnp.ceil(high * draws.size - 1))]
        return jnp.where(jnp.isnan(count), jnp.nan, (high - low) / 2)

    return of_quantities(of_one, draws)


def beta_quantile(share: Float[Array, ""], a: Float[Array, ""], b: Float[Array, ""]) -> Float[Array, ""]:
    """The x at which the distribution function of Beta(a, b) is `share`, by bisection.

    In float32 the incomplete beta function is imprecise for large a and b. Where both are above 20, the expansion of
    Cornish and Fisher (1938) takes its place, whose error there is below 1e-3 standard deviations for the shares
    near 16% and 84% that are used here.

    >>> beta_quantile(jnp.array(0.5), jnp.array(7.0), jnp.array(7.0)).round(4).item()
    0.5
    """
    half = jnp.asarray(0.5, share.dtype)

    def halve(ends):
        low, high = ends
        middle = (low + high) * half
        below = betainc(a, b, middle) < share
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    low, high = iterate(halve, (jnp.zeros_like(share), jnp.ones_like(share)), 4 + jnp.finfo(share.dtype).nmant)
    by_halves = (low + high) * half
    if share.dtype == jnp.float64:
        return by_halves
    return jnp.where(jnp.minimum(a, b) > 20, _expanded(share, a, b), by_halves)


def _expanded(share, a, b):
    """Cornish & Fisher's expansion, to the fourth cumulant."""
    total = a + b
    sd = jnp.sqrt(a / total * (b / total) / (total + 1))
    skewness = 2 * (b - a) / total / sd / (total + 2)
    kurtosis = 6 * ((a - b) ** 2 * (total + 1) / (a * b) - (total + 2)) / ((total + 2) * (total + 3))
    z = ndtri(share)
    cubes = (2 * z**3 - 5 * z) / 36
    return a / total + sd * (
        z + (z**2 - 1) * skewness / 6 + (z**3 - 3 * z) * kurtosis / 24 - cubes * jnp.square(skewness)
    )


def _mean(values):
    return mean(values.reshape(1, -1))[0]
