"""Thermodynamic integration: log Z as the integral of its derivative over beta.

    log Z(beta_k) - log Z(beta_0) = -∫ <E>_beta d beta,    d<E>/d beta = -Var_beta(E)

The draws give the integrand and its slope at every beta, so that each interval of length h has the corrected trapezoid
rule, which is exact for cubic polynomials:

    -h/2 (<E>_k + <E>_{k+1}) + h²/12 (Var_k - Var_{k+1})

The distributions of neighbours need not overlap, as long as <E> is smooth on the scale of the ladder. Whether it is, is
seen from the same rule with every other beta left out. Since <E> falls with beta, the rectangles on both sides are
bounds.

Kirkwood (1935); Gelman and Meng (1998), section 3; Friel, Hurn, Wyse (2014) for the corrected rule.
"""

import jax
import jax.numpy as jnp

from ebmjax.marginalize.reweighting.draws import as_draws, if_long, inefficiency_of, means, variance_of_mean
from ebmjax.marginalize.reweighting.mbar import as_reference
from ebmjax.numerics import below
from ebmjax.types import CONVERGED, DIVERGED, TOO_FEW_TEMPERATURES, Estimate, Numbers

TOLERATED = 0.5
"""The error of the quadrature may be this share of the standard error: together they are then 12% larger than one."""


def thermodynamic_integration(
    betas: Numbers,
    energies: Numbers,
    counts: Numbers | None = None,
    inefficiency: Numbers | None = None,
    log_reference: Numbers = 0.0,
) -> Estimate:
    """log Z at every beta of a ladder, by the corrected trapezoid rule for its derivative.

    Arguments and errors are those of `mbar`, which has no error of quadrature.

    Returns:
        `Estimate` with one entry for each beta. The standard error is that of the draws. The bounds are sums of
        rectangles, with 3 of their own standard errors. `effective_samples` are the independent draws at this beta.
        `result` is `TOO_FEW_TEMPERATURES` where the error of the quadrature, estimated by leaving out every other beta,
        is more than half of the standard error, and `NOT_MIXED` as of `mbar`.

    Friel, Hurn, Wyse (2014), eq. 9.

    >>> betas = jnp.array([1.0, 1.2, 1.4, 1.6, 1.8])
    >>> draws = jax.random.normal(jax.random.key(0), (5, 2000)) / jnp.sqrt(betas)[:, None]
    >>> estimate = thermodynamic_integration(betas, draws**2 / 2)  # log Z = -log(beta)/2 + constant
    >>> bool(abs(estimate.log_partition[-1] + jnp.log(1.8) / 2) < 4 * estimate.standard_error[-1])
    True
    """
    draws = as_draws(betas, energies, counts, inefficiency)
    return _integrate(draws, as_reference(log_reference))


@jax.jit
def _integrate(draws, reference):
    h = jnp.diff(draws.betas)
    average = means(draws, draws.energies)
    away = draws.energies - average[:, None]
    spread = means(draws, away**2)
    exact = jnp.sum(draws.measure > 0, axis=1).astype(h.dtype)
    spread = spread * (exact / (exact - 1))  # without bias
    zero = jnp.zeros(1, h.dtype)
    rule = lambda step, a, b, u, v: -step / 2 * (a + b) + step**2 / 12 * (u - v)
    steps = rule(h, average[:-1], average[1:], spread[:-1], spread[1:])
    total = jnp.concatenate([zero, jnp.cumsum(steps)])

    # what the mean over the draws of state k contributes: as the left end of an interval and as its right end
    left, right = jnp.concatenate([h, zero])[:, None], jnp.concatenate([zero, h])[:, None]
    as_left, as_right = -left / 2 * away + left**2 / 12 * away**2, -right / 2 * away - right**2 / 12 * away**2
    inner, last = variance_of_mean(draws, as_left + as_right), variance_of_mean(draws, as_right)
    variance = jnp.concatenate([zero, jnp.cumsum(inner)[:-1] + last[1:]])
    error = jnp.sqrt(variance)
    values = total + reference.astype(h.dtype)
    quadrature = _quadrature_error(h, average, spread, steps, rule)
    tolerance = TOLERATED * error[1:] + 16 * jnp.finfo(h.dtype).eps * jnp.abs(total[1:])
    fine = jnp.concatenate([zero == 0, quadrature <= tolerance])
    fine = jnp.cumprod(fine.astype(jnp.int32)) > 0
    values = jnp.where(draws.sound, values, jnp.nan)
    result = jnp.where(jnp.isfinite(values), jnp.where(fine, CONVERGED, TOO_FEW_TEMPERATURES), DIVERGED)
    result = if_long(result.astype(jnp.int32), draws.numbers, inefficiency_of(draws))
    summed = lambda terms: jnp.concatenate([zero, jnp.cumsum(terms)])
    rectangles = lambda heights: summed(-h * heights) + reference.astype(h.dtype)
    lower = below(rectangles(average[:-1]), jnp.sqrt(summed(variance_of_mean(draws, left * away)[:-1])))
    upper = -below(-rectangles(average[1:]), jnp.sqrt(summed(variance_of_mean(draws, right * away)[1:])))
    return Estimate(values, error, draws.numbers, lower, upper, result)


def _quadrature_error(h, average, spread, steps, rule):
    """An estimate of the error of the sum up to each beta but the first.

    The error of one interval is c h⁵ with the fourth derivative of <E> in c. Two neighbouring intervals as one have
    c (h₁ + h₂)⁵ in place of c (h₁⁵ + h₂⁵), so that their difference gives c. A single interval has no neighbour: there
    the whole correction of the trapezoid counts as error.
    """
    if len(h) == 1:
        return jnp.abs(h**2 / 12 * (spread[:-1] - spread[1:]))
    coarse = rule(h[:-1] + h[1:], average[:-2], average[2:], spread[:-2], spread[2:])
    # the powers of h relative to the whole, which do not underflow
    share = h[:-1] / (h[:-1] + h[1:])
    fine = share**5 + (1 - share) ** 5
    both = (coarse - steps[:-1] - steps[1:]) / (1 - fine)
    # an inner interval belongs to two pairs, whose estimates are averaged; noise cancels in a sum with signs
    of_left, of_right = both * share**5 / 2, both * (1 - share) ** 5 / 2
    of_left, of_right = of_left.at[0].mul(2), of_right.at[-1].mul(2)
    zero = jnp.zeros(1, h.dtype)
    return jnp.abs(jnp.cumsum(jnp.concatenate([of_left, zero]) + jnp.concatenate([zero, of_right])))
