"""The Bennett acceptance ratio between neighbours of a ladder: each pair by itself, from its draws alone.

The equation of a pair stands in `pair`; it is that of `mbar` with two states. Of all estimators from these two samples
it has the least variance. The draws of a state between two pairs serve both, and the error of a sum over pairs takes
this into account.

Bennett (1976), eq. 12; Shirts, Bair, Hooker, Pande (2003).
"""

import jax
import jax.numpy as jnp

from ebmjax.marginalize.reweighting.draws import (
    as_draws,
    if_long,
    inefficiency_of,
    means,
    result_for,
    variance_of_mean,
)
from ebmjax.marginalize.reweighting.mbar import as_reference
from ebmjax.marginalize.reweighting.pair import ratio
from ebmjax.types import CONVERGED, STEP_LIMIT, Estimate, Numbers


def bar(
    betas: Numbers,
    energies: Numbers,
    counts: Numbers | None = None,
    inefficiency: Numbers | None = None,
    log_reference: Numbers = 0.0,
) -> Estimate:
    """log Z at every beta of a ladder, summed over pairs of neighbours.

    Arguments and errors are those of `mbar`, whose standard errors are smaller where more than neighbours overlap. The
    memory is that of pairs, not of all states for all draws.

    Returns:
        `Estimate` with one entry for each beta. `effective_samples` is the number of draws that the two states of a
        pair share, the smallest of all pairs up to this beta, and infinite at betas[0]. `result` is `NO_OVERLAP` from
        the first pair on that shares fewer than 10.

    Bennett (1976), eq. 12.

    >>> betas = jnp.array([1.0, 2.0, 4.0])
    >>> draws = jax.random.normal(jax.random.key(0), (3, 2000)) / jnp.sqrt(betas)[:, None]
    >>> estimate = bar(betas, draws**2 / 2)  # harmonic oscillators: log Z = -log(beta)/2 + constant
    >>> bool(abs(estimate.log_partition[2] + jnp.log(4.0) / 2) < 4 * estimate.standard_error[2])
    True
    """
    draws = as_draws(betas, energies, counts, inefficiency)
    return _bar(draws, as_reference(log_reference))


@jax.jit
def _bar(draws, reference):
    pair = lambda array: jnp.stack([array[:-1], array[1:]], axis=1)  # (pairs, 2, ...)
    average = pair(means(draws, draws.energies))
    middle = average.mean(axis=1)
    gaps = jnp.diff(draws.betas)
    tolerance = jnp.sqrt(jnp.finfo(gaps.dtype).eps)

    def one(gap, middle, energies, measure, numbers):
        solution = ratio(gap * (energies - middle), measure, numbers, tolerance)
        return solution._replace(log_ratio=solution.log_ratio - gap * middle)

    pairs = jax.vmap(one)(gaps, middle, pair(draws.energies), pair(draws.measure), pair(draws.numbers))
    influence = pairs.share / pairs.shared[:, None, None]
    # An error of the equation of one pair is Σ (p - <p>) over both samples; divided by `shared` it is that of log Z.
    # Row k: as the hotter state of pair k, and as the colder one of pair k - 1.
    zero = jnp.zeros_like(influence[:1, 0])
    hotter = jnp.concatenate([influence[:, 0], zero]) * draws.numbers[:, None]
    colder = jnp.concatenate([zero, influence[:, 1]]) * draws.numbers[:, None]
    inner, last = variance_of_mean(draws, hotter + colder), variance_of_mean(draws, colder)
    before = jnp.concatenate([jnp.zeros(1, inner.dtype), jnp.cumsum(inner)[:-1]])
    variance = (before + last).at[0].set(0)
    first = lambda value, rest: jnp.concatenate([jnp.full(1, value, rest.dtype), rest])
    values = first(0, jnp.cumsum(pairs.log_ratio)) + reference.astype(gaps.dtype)
    values = jnp.where(draws.sound, values, jnp.nan)
    joined = first(True, jnp.cumprod(pairs.overlaps.astype(jnp.int32)) > 0)
    solved = first(True, jnp.cumprod(pairs.finished.astype(jnp.int32)) > 0)
    result = result_for(draws.sound, values, joined, jnp.where(solved, CONVERGED, STEP_LIMIT))
    known = (result == CONVERGED) | (result == STEP_LIMIT)
    error = jnp.where(known, jnp.sqrt(variance), jnp.nan)
    result = if_long(result, draws.numbers, inefficiency_of(draws))
    effective = first(jnp.inf, jax.lax.cummin(pairs.shared))
    unbounded = jnp.full_like(values, jnp.inf)
    return Estimate(values, error, effective, -unbounded, unbounded, result)
