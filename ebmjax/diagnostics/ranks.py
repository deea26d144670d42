"""Diagnostics of the whole law, from ranks and quantiles: R-hat, and effective sample sizes of the bulk and the tails.

    r_hat                            do the chains agree, in the middle of the law and in its spread
    bulk_effective_sample_size       how well is the middle of the law known
    tail_effective_sample_size       how well are its 5% and 95% quantiles known
    quantile_effective_sample_size   how well is one quantile known
    sd_effective_sample_size         how well is the standard deviation known

Ranks do not change under a monotone map of a quantity, and they have a variance where the law has none.

Vehtari, Gelman, Simpson, Carpenter, Bürkner (2021), "Rank-normalization, folding, and localization: an improved R-hat
for assessing convergence of MCMC". All numbers are those of ArviZ.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_number, is_static
from ebmjax.compiled import compiled
from ebmjax.diagnostics.chains import as_chains, ess_of_chains, mean, of_quantities, r_hat_of_chains, split
from ebmjax.types import Scalar


def r_hat(draws: Any) -> Float[Array, "..."]:
    """Rank-normalized split R-hat, the one that is quoted: run longer where it is above 1.01.

        R-hat = max(R-hat of the ranks of x, R-hat of the ranks of |x - median|)

    Every chain is cut into two halves. The ranks over all draws, as normal scores, take the place of the draws. The
    second term, of the folded draws, finds chains that have the same middle but other spreads. It is the method "rank"
    of ArviZ, which gives none for a single chain, where this one compares its halves. R-hat without ranks is
    `ebmjax.diagnostics.split_r_hat`. It is NaN where all draws are equal, or a draw is NaN, and inf where each half is
    constant but they differ. Arguments and errors are those of `effective_sample_size`.

    Vehtari et al. (2021), section 4.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> wide = draws * jnp.array([[1.0], [1.0], [1.0], [3.0]])
    >>> bool(r_hat(draws) < 1.01), bool(r_hat(draws + jnp.arange(4.0)[:, None]) > 1.5), bool(r_hat(wide) > 1.1)
    (True, True, True)
    """
    return _r_hat(as_chains(draws))


@compiled
def _r_hat(draws):
    def of_one(draws):
        halves = split(draws)
        folded = jnp.abs(halves - jnp.median(halves))
        bulk, tail = jax.vmap(lambda draws: r_hat_of_chains(normal_scores(draws)))(jnp.stack([halves, folded]))
        # the folded draws of a quantity of two values are one value, and say nothing
        return jnp.where(jnp.isnan(tail), bulk, jnp.maximum(bulk, tail))

    return of_quantities(of_one, draws)


def bulk_effective_sample_size(draws: Any) -> Float[Array, "..."]:
    """The effective sample size of the ranks: how well the middle of the law is known. It should be above 400.

    The method "bulk" of ArviZ, its default: the effective sample size of the mean of the normal scores of the ranks.
    Arguments and errors are those of `effective_sample_size`.

    Vehtari et al. (2021), section 4.

    >>> draws = jax.random.cauchy(jax.random.key(0), (4, 1000))
    >>> bool(abs(bulk_effective_sample_size(draws) - 4000) < 600)
    True
    """
    return _bulk(as_chains(draws))


@compiled
def _bulk(draws):
    return of_quantities(lambda draws: ess_of_chains(normal_scores(split(draws))), draws)


def tail_effective_sample_size(draws: Any) -> Float[Array, "..."]:
    """The smaller of the effective sample sizes of the 5% and the 95% quantile: how well the tails are known.

    The method "tail" of ArviZ 0.x, and of ArviZ 1.x with `prob=(0.05, 0.95)`. Arguments and errors are those of
    `effective_sample_size`.

    Vehtari et al. (2021), section 4.3.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(abs(tail_effective_sample_size(draws) - 4000) < 600)
    True
    """
    return _tail(as_chains(draws))


@compiled
def _tail(draws):
    def of_one(draws):
        ends = jnp.asarray((0.05, 0.95), draws.dtype)
        return jnp.min(jax.vmap(lambda probability: ess_of_quantile(draws, probability))(ends))

    return of_quantities(of_one, draws)


def quantile_effective_sample_size(draws: Any, probability: Scalar) -> Float[Array, "..."]:
    """The effective sample size of a quantile: that of the mean of whether a draw is at most the quantile of all draws.

    The method "quantile" of ArviZ.

    Args:
        draws: as in `effective_sample_size`.
        probability: of the quantile, in (0, 1), such as 0.5 for the median.

    Raises:
        ValueError: as `effective_sample_size`; a probability outside (0, 1).

    Vehtari et al. (2021), section 4.3.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(abs(quantile_effective_sample_size(draws, 0.5) - 4000) < 600)
    True
    """
    return _quantile(as_chains(draws), as_probability(probability))


@compiled
def _quantile(draws, probability):
    return of_quantities(lambda draws: ess_of_quantile(draws, jnp.asarray(probability, draws.dtype)), draws)


def sd_effective_sample_size(draws: Any) -> Float[Array, "..."]:
    """The effective sample size of the standard deviation: that of the mean of (x - mean of all draws)².

    The method "sd" of ArviZ. Arguments and errors are those of `effective_sample_size`.

    Vehtari et al. (2021), section 4.2.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(abs(sd_effective_sample_size(draws) - 4000) < 600)
    True
    """
    return _sd(as_chains(draws))


@compiled
def _sd(draws):
    return of_quantities(lambda draws: ess_of_chains(split(jnp.square(deviations(draws)[1]))), draws)


def ess_of_quantile(draws: Float[Array, "chains steps"], probability: Float[Array, ""]) -> Float[Array, ""]:
    """`quantile_effective_sample_size` of checked draws of one quantity.

    >>> float(ess_of_quantile(jnp.ones((3, 10)), jnp.array(0.5)))
    30.0
    """
    ordered = jnp.sort(draws.reshape(-1))
    # the quantile lies between this draw and the next one, so that the indicator needs no interpolation
    last = jnp.floor(probability * (draws.size - 1)).astype(jnp.int32)
    below = (draws <= ordered[last]).astype(draws.dtype)
    return ess_of_chains(split(jnp.where(jnp.any(jnp.isnan(draws)), jnp.nan, below)))


def normal_scores(draws: Float[Array, "rows draws"]) -> Float[Array, "rows draws"]:
    """Φ⁻¹((r - 3/8) / (N + 1/4)) of the rank r of each draw among all N; equal draws share their mean rank.

    NaN everywhere where one draw is NaN.

    Blom (1958); Vehtari et al. (2021), eq. 14.

    >>> normal_scores(jnp.array([[5.0, 7.0, 6.0, 6.0]])).round(1).tolist()
    [[-1.0, 1.0, 0.0, 0.0]]
    """
    flat = draws.reshape(-1)
    count = flat.size
    order = jnp.argsort(flat)
    ordered = flat[order]
    change = ordered[1:] != ordered[:-1]
    places = jnp.arange(count, dtype=jnp.int32)
    edge = jnp.ones(1, bool)
    first = jax.lax.cummax(jnp.where(jnp.concatenate([edge, change]), places, 0))
    last = jax.lax.cummin(jnp.where(jnp.concatenate([change, edge]), places, count - 1), reverse=True)
    # twice the rank is whole; ranks from the nearer end, so that the upper scores are as precise as the lower ones
    twice = first + last + 2
    nearer = jnp.minimum(twice, 2 * (count + 1) - twice).astype(flat.dtype) / 2
    below = ndtri((nearer - 3 / 8) / (count + 1 / 4))
    scores = jnp.where(twice > count + 1, -below, below)
    scores = jnp.where(jnp.any(jnp.isnan(flat)), jnp.nan, scores)
    return jnp.zeros_like(flat).at[order].set(scores).reshape(draws.shape)


def deviations(draws: Float[Array, "chains steps"]) -> tuple[Float[Array, ""], Float[Array, "chains steps"]]:
    """`(unit, away)`: draws = their mean + unit · away; constants become exact zeros, with a unit of 1.

    >>> [part.tolist() for part in deviations(jnp.array([[0.0, 1.0], [3.0, 4.0]]))]
    [4.0, [[-0.5, -0.25], [0.25, 0.5]]]
    """
    apart = draws - draws[0, 0]
    largest = jnp.abs(apart).max()
    unit = jnp.where(largest > 0, largest, 1)
    apart = apart / unit
    return unit, apart - mean(apart.reshape(1, -1))[0]


def as_probability(probability: Scalar) -> Any:
    """The probability of a quantile as a number; raise ArgumentError for a static one outside (0, 1).

    >>> as_probability(1.5)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: probability: got 1.5, wanted a number in (0, 1)
    """
    number = as_number("probability", probability)
    if is_static(number) and not 0 < number < 1:
        raise ArgumentError(f"probability: got {float(number):g}, wanted a number in (0, 1)")
    return number
