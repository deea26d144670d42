"""Stepping stones: the ratio of neighbouring partition functions as one exponential mean, from the hotter of the two.

    Z_{k+1} / Z_k = <exp(-(beta_{k+1} - beta_k) E)>_k

Each ratio is unbiased, and so is their product, since every state serves one ratio. Its logarithm is too low in the
mean. Backwards, Z_k / Z_{k+1} = <exp((beta_{k+1} - beta_k) E)>_{k+1} is unbiased as well, which bounds log Z from above
in the mean.

Zwanzig (1954); Xie, Lewis, Fan, Kuo, Chen (2011), "Improving marginal likelihood estimation for Bayesian phylogenetic
model selection".
"""

import jax
import jax.numpy as jnp

from ebmjax.marginalize.importance_sampling import LEAST_EFFECTIVE
from ebmjax.marginalize.reweighting.draws import as_draws, if_long, inefficiency_of, result_for
from ebmjax.marginalize.reweighting.mbar import as_reference
from ebmjax.numerics import below
from ebmjax.types import CONVERGED, Estimate, Numbers

FARTHEST = 4.0
"""Up to so many standard errors, the forward and the backward ratio of a pair agree."""


def stepping_stones(
    betas: Numbers,
    energies: Numbers,
    counts: Numbers | None = None,
    inefficiency: Numbers | None = None,
    log_reference: Numbers = 0.0,
) -> Estimate:
    """log Z at every beta of a ladder, by exponential means from each state to the next colder one.

    Arguments and errors are those of `mbar`, which has smaller errors. This one has bounds.

    Returns:
        `Estimate` with one entry for each beta. The estimate is too low in the mean, that of the draws of the colder
        states is too high: each with 3 of its standard errors is a bound. `effective_samples` is the
        smallest of all means up to this beta, infinite at betas[0]. `result` is `NO_OVERLAP` from the first pair on
        where one of the two directions has fewer than 10 effective samples, or where they differ by more than 4
        standard errors, and `NOT_MIXED` as of `mbar`.

    Xie et al. (2011), eq. 7.

    >>> betas = jnp.array([1.0, 1.5, 2.0])
    >>> draws = jax.random.normal(jax.random.key(0), (3, 2000)) / jnp.sqrt(betas)[:, None]
    >>> estimate = stepping_stones(betas, draws**2 / 2)  # harmonic oscillators: log Z = -log(beta)/2 + constant
    >>> bool(abs(estimate.log_partition[2] + jnp.log(2.0) / 2) < 4 * estimate.standard_error[2])
    True
    """
    draws = as_draws(betas, energies, counts, inefficiency)
    return _stepping_stones(draws, as_reference(log_reference))


@jax.jit
def _stepping_stones(draws, reference):
    gaps = jnp.diff(draws.betas)[:, None]
    forward, forward_variance, forward_effective = _log_means(-gaps * draws.energies[:-1], draws.measure[:-1])
    backward, backward_variance, backward_effective = _log_means(gaps * draws.energies[1:], draws.measure[1:])
    tolerance = FARTHEST * jnp.sqrt(forward_variance + backward_variance)
    enough = jnp.minimum(forward_effective, backward_effective) >= LEAST_EFFECTIVE
    overlaps = enough & (jnp.abs(forward + backward) <= tolerance + 16 * jnp.finfo(gaps.dtype).eps * jnp.abs(forward))
    first = lambda value, rest: jnp.concatenate([jnp.full(1, value, rest.dtype), rest])
    reference = reference.astype(forward.dtype)
    values = first(0, jnp.cumsum(forward)) + reference
    values = jnp.where(draws.sound, values, jnp.nan)
    above = first(0, jnp.cumsum(-backward)) + reference
    joined = first(True, jnp.cumprod(overlaps.astype(jnp.int32)) > 0)
    result = result_for(draws.sound, values, joined, CONVERGED)
    summed = lambda variance: jnp.sqrt(first(0, jnp.cumsum(variance)))
    lower, upper = below(values, summed(forward_variance)), -below(-above, summed(backward_variance))
    error = jnp.where(result == CONVERGED, summed(forward_variance), jnp.nan)
    effective = first(jnp.inf, jax.lax.cummin(forward_effective))
    result = if_long(result, draws.numbers, inefficiency_of(draws))
    return Estimate(values, error, effective, lower, upper, result)


def _log_means(exponents, measure):
    """log of the weighted mean of exp(exponent) over each row, its variance, and the effective number of terms."""
    numbers = measure.sum(axis=1)
    top = jnp.max(jnp.where(measure > 0, exponents, -jnp.inf), axis=1)
    terms = jnp.where(measure > 0, jnp.exp(jnp.where(measure > 0, exponents - top[:, None], 0)), 0)
    first = jnp.sum(measure * terms, axis=1)
    relative = terms * (numbers / first)[:, None]
    exact = jnp.sum(measure > 0, axis=1).astype(exponents.dtype)
    variance = jnp.sum(measure * (relative - 1) ** 2, axis=1) / numbers**2 * (exact / (exact - 1))
    effective = first**2 / jnp.sum(measure * terms**2, axis=1)
    return top + jnp.log(first / numbers), variance, effective
