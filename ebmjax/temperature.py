"""The actual softmax and softmin, at every inverse temperature beta in [0, inf].

    softmin_beta[E] = -1/beta log Σ w exp(-beta E),    Σ w = 1
    softmax_beta[E] = -softmin_beta[-E]

softmin is the mean at beta = 0, the minimum at beta = inf, and lies between them for every other beta; softmax is the
mean, the maximum, or between them. What deep-learning libraries call softmax is the gradient of this softmax,
`softargmax`.

beta may be static or traced, and may be 0 or inf: there too the values and the first and second derivatives are finite
and correct. A plain logsumexp loses all digits at small beta (it is 11% off at beta = 1e-6 in float32) and gives NaN at
both ends. In float32 values are right to 3e-6 for any number of energies, since long sums are pairwise.

Energies that are not finite have one meaning at every beta, 0 and inf included, for a static and a traced beta:

    +inf          a forbidden state: its share is 0. The mean, softmin at beta = 0, is then inf
    -inf          a certain state: softmin is -inf, and the certain states share all weight in proportion to w
    all +inf      no state is allowed: softmin is inf, and the shares are NaN, because there is no law
    NaN           softmin and all shares are NaN

At beta = inf a tie is an exact equality of floating numbers. Energies that are equal on paper and that were rounded
differently are no tie: all weight is then on the one that came out lowest.

Half-precision energies are computed in float32, and the result has their dtype again.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_beta, as_float, is_coldest
from ebmjax.numerics import matmul
from ebmjax.types import Beta, Numbers

LINEAR_BELOW = 0.2
"""Below this x, 1 - exp(-x) is computed by its series, above it by the subtraction."""

TAIL = -60.0
"""Weights below exp(-60) can underflow in float32: then the sum is shifted by its largest term."""

VANISHED = 128.0
"""From this x on, (1 + x) exp(-x) is negligible beside 1, in float64 too."""

LONGEST_PRODUCT = 2048
"""Up to so many terms a dot product is as exact as a pairwise sum, and faster; its error grows with their number."""


def as_betas(beta: Beta) -> Float[Array, "..."]:
    """One inverse temperature, or an array of them, such as one for each of many lattices, as a floating array.

    Errors are those of `ebmjax.checks.as_beta` for one, and those of `ebmjax.checks.as_float` for an array.

    >>> float(as_betas(jnp.inf)), as_betas(jnp.array([0, 1])).tolist()
    (inf, [0.0, 1.0])
    """
    return jnp.asarray(as_beta(beta)) if jnp.shape(beta) == () else as_float("beta", beta)


def reduced(values: Numbers, beta: Beta) -> Float[Array, "..."]:
    """beta · values, the reduced energy, where a value of 0 stays 0 at beta = inf, and an infinite one at beta = 0.

    A forbidden state is so forbidden at every temperature. The dtype is that of the values; integers become floats, and
    half precision float32. An array of betas has the shape of the values, or broadcasts with it.

    Raises ValueError for a beta that is negative or NaN.

    >>> reduced(jnp.array([-1.0, 0.0, 2.0]), jnp.inf).tolist(), reduced(jnp.array([2.0, jnp.inf]), 0.0).tolist()
    ([-inf, 0.0, inf], [0.0, inf])
    """
    values = as_float("values", values)
    beta = as_betas(beta).astype(values.dtype)
    # only where the product would be NaN: the derivative with respect to a value of 0 is beta as well
    unlimited = jnp.where((beta == 0) & jnp.isinf(values), 1, beta)
    return jnp.where(jnp.isinf(beta) & (values == 0), 0, unlimited) * values


def softmin(values: Numbers, beta: Beta, log_weights: Numbers | None = None, axis: int = -1) -> Float[Array, "..."]:
    """Free energy of a list of energies: -1/beta log Σ w exp(-beta values) along `axis`.

    Args:
        values: energies, real numbers of any dtype, at least one along `axis`; +inf forbids a state.
        beta: inverse temperature, a scalar in [0, inf], in units of 1/values.
        log_weights: logarithms of the measure w along `axis`, one-dimensional. They are normalized here. None is the
            uniform measure.
        axis: the axis that is reduced.

    Returns:
        An array of the shape of values without `axis`, in units of values. NaN where a traced beta is negative. The
        first lines of this file say what infinite energies and NaN give.

    Raises:
        ValueError: values or log_weights that are not real numbers; beta negative, NaN or not a scalar; an `axis` that
            is empty or absent; log_weights of another length.

    LeCun et al. (2006), "A tutorial on energy-based learning", eq. 8, divided by |Z|.

    >>> import jax.numpy as jnp
    >>> [float(softmin(jnp.array([1.0, 3.0]), beta)) for beta in (0.0, jnp.inf)]
    [2.0, 1.0]
    """
    values, weights, beta, dtype = _prepare(values, log_weights, beta, axis)
    return (_coldest_program(values, weights) if is_coldest(beta) else _softmin_program(values, weights, beta)).astype(
        dtype
    )


def softmax(values: Numbers, beta: Beta, log_weights: Numbers | None = None, axis: int = -1) -> Float[Array, "..."]:
    """The soft maximum, 1/beta log Σ w exp(beta values) along `axis`. Arguments and errors as in `softmin`.

    >>> import jax.numpy as jnp
    >>> [float(softmax(jnp.array([1.0, 3.0]), beta)) for beta in (0.0, jnp.inf)]
    [2.0, 3.0]
    """
    return -softmin(_negative(values), beta, log_weights, axis)


def softargmin(values: Numbers, beta: Beta, log_weights: Numbers | None = None, axis: int = -1) -> Float[Array, "..."]:
    """Boltzmann weights w exp(-beta values) / Σ w exp(-beta values) along `axis`: the gradient of `softmin`.

    At beta = 0 they are w, without the forbidden states. At beta = inf all weight is on the minimum, and exact ties
    share it in proportion to w. The result has the shape of `values`. Arguments and errors as in `softmin`.

    >>> import jax.numpy as jnp
    >>> softargmin(jnp.array([1.0, 3.0, 1.0]), jnp.inf).tolist()
    [0.5, 0.0, 0.5]
    """
    values, weights, beta, dtype = _prepare(values, log_weights, beta, axis)
    shares = _least_program(values, weights) if is_coldest(beta) else _softargmin_program(values, weights, beta)
    return jnp.moveaxis(shares.astype(dtype), -1, axis)


def softargmax(values: Numbers, beta: Beta, log_weights: Numbers | None = None, axis: int = -1) -> Float[Array, "..."]:
    """Boltzmann weights w exp(beta values) / Σ w exp(beta values) along `axis`: what others call softmax.

    Arguments and errors as in `softmin`.

    >>> import jax.numpy as jnp
    >>> softargmax(jnp.array([1.0, 3.0]), 0.0).tolist()
    [0.5, 0.5]
    """
    return softargmin(_negative(values), beta, log_weights, axis)


def _negative(values):
    """-values, in a dtype that has negative numbers."""
    return -(values if _is_narrow(values) else as_float("values", values))


def _is_narrow(values):
    """Whether these are floats of less than 32 bits, which are computed with in float32."""
    dtype = getattr(values, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4


def _prepare(values, log_weights, beta, axis):
    """Checked arguments in one dtype, the reduced axis last, the largest log-weight zero; and the dtype of the result.

    A static infinite beta stays a float.
    """
    beta = as_beta(beta)
    narrow = values.dtype if _is_narrow(values) else None
    values = as_float("values", values)
    if not isinstance(axis, int) or not -values.ndim <= axis < values.ndim:
        raise ArgumentError(f"axis: got {axis}, wanted an axis of values, whose shape is {values.shape}")
    size = values.shape[axis]
    if size == 0:
        raise ArgumentError(f"values: got shape {values.shape}, wanted at least one value along axis {axis}")
    if log_weights is None:
        log_weights = jnp.zeros(size, values.dtype)
    else:
        log_weights = as_float("log_weights", log_weights).astype(values.dtype)
        if log_weights.shape != (size,):
            raise ArgumentError(f"log_weights: got shape {log_weights.shape}, wanted ({size},), one for each value")
        log_weights = log_weights - jax.lax.stop_gradient(jnp.max(log_weights))
    if not is_coldest(beta):
        beta = jnp.asarray(beta).astype(values.dtype)
        beta = jnp.where(beta >= 0, beta, jnp.nan)
    return jnp.moveaxis(values, axis, -1), log_weights, beta, narrow or values.dtype


# ---- inside: the reduced axis is last, the largest log-weight is 0, beta is an array of the dtype of values ---------


def _finite(beta):
    """The largest number in place of inf, so that beta · 0 = 0."""
    return jnp.minimum(beta, jnp.finfo(beta.dtype).max)


def _weights(log_weights):
    """The normalized measure."""
    terms = jnp.exp(log_weights)
    return terms / jnp.sum(terms)


def _average(values, weights):
    """Σ w values over the last axis: as a product the fastest reduction on CPU, but not exact for many terms."""
    if weights.size <= LONGEST_PRODUCT:
        return matmul(values, weights)
    return jnp.sum(values * jnp.broadcast_to(weights, values.shape), axis=-1)


def _on_support(values, log_weights, elsewhere):
    """`values` where the measure is positive, `elsewhere` at points of weight zero, which do not count."""
    return jnp.where(jnp.broadcast_to(log_weights > -jnp.inf, values.shape), values, elsewhere)


def _least(values, log_weights):
    return jnp.min(_on_support(values, log_weights, jnp.inf), axis=-1)


def _above(values, log_weights):
    """The least value, a constant, and how far each value lies above it: inf where it is forbidden, 0 where certain."""
    least = jax.lax.stop_gradient(_least(values, log_weights))
    base = least[..., None]
    distance = jnp.where(jnp.isinf(base) & (values == base), 0, values - base)  # inf - inf is the distance 0
    return least, _on_support(distance, log_weights, 0)


@jax.custom_jvp
def _coldest(values, log_weights):
    return _least(values, log_weights)


@functools.partial(_coldest.defjvp, symbolic_zeros=True)
def _coldest_jvp(primals, tangents):
    value = _coldest(*primals)
    along = tangents[0]
    return value, jnp.zeros_like(value) if _is_zero(along) else _inner(_share_of_least(*primals), along)


def _is_zero(tangent):
    """Whether an argument is not differentiated: what is infinite times 0 would be NaN."""
    return isinstance(tangent, SymbolicZero)


def _share_of_least(values, log_weights):
    """The measure restricted to the least values, normalized; NaN where all are forbidden."""
    least = _least(values, log_weights)[..., None]
    lowest = math.log(jnp.finfo(values.dtype).tiny) + 2  # so that the least value has a weight that is not zero
    weights = jnp.where(log_weights > -jnp.inf, jnp.exp(jnp.maximum(log_weights, lowest)), 0)
    weights = jnp.where(values == least, jnp.broadcast_to(weights, values.shape), 0)
    total = jnp.sum(weights, axis=-1, keepdims=True)
    return weights / jnp.where(least == jnp.inf, jnp.nan, total)


@jax.custom_jvp
def _softmin(values, log_weights, beta):
    least, above = _above(values, log_weights)
    weights = _weights(log_weights)
    # At small beta the first two cumulants suffice. They do not depend on beta: a sweep over beta computes them once.
    mean = _average(jnp.where(jnp.broadcast_to(weights > 0, values.shape), values, 0), weights)
    mean = jnp.where(least == -jnp.inf, least, mean)
    spread = jnp.max(above, axis=-1)
    unit = jnp.where((spread > 0) & (spread < jnp.inf), spread, 1)  # squares of energies can overflow and underflow
    centred = (above - _average(above, weights)[..., None]) / unit[..., None]
    variance = _average(jnp.where(jnp.isfinite(centred), centred, 0) ** 2, weights)
    negligible = math.sqrt(jnp.finfo(beta.dtype).eps)
    hot = (beta == 0) | (_finite(beta) * spread < negligible)
    has_tails = jnp.min(_on_support(log_weights, log_weights, 0)) < TAIL
    excess = jax.lax.cond(has_tails, _excess_of_tails, _excess, above, log_weights, jnp.where(beta == 0, 1, beta))
    warm = jnp.where(beta == jnp.inf, least, least + excess)
    return jnp.where(hot, mean - _finite(beta) * unit * (variance * unit) / 2, warm)


def _excess(above, log_weights, beta):
    """softmin of numbers ≥ 0 whose least is 0, to a few units in the last place."""
    weights = _weights(log_weights)
    # With x = beta · above, lost = Σ w (1 - exp(-x)) and kept = Σ w exp(-x) add up to one; the smaller of the two is
    # summed without cancellation, near x = 0 from the series of 1 - exp(-x).
    x = _finite(beta) * above
    decay, linear = jnp.exp(-x), x < LINEAR_BELOW
    near = jnp.where(linear, x, 0)
    lost = _average(jnp.where(linear, near * _phi(0, -near, LINEAR_BELOW), 1 - decay), weights)
    kept = _average(decay, weights)
    log_kept = jnp.where(lost < 0.5, jnp.log1p(-jnp.minimum(lost, 0.5)), jnp.log(kept))
    return -log_kept / beta


def _excess_of_tails(above, log_weights, beta):
    """`_excess` where the least value may have almost no weight: there the sum is scaled by its largest term."""
    log_terms = jnp.broadcast_to(log_weights, above.shape) - _finite(beta) * above
    shifted = jnp.max(log_terms, axis=-1) < TAIL
    log_kept = jax.nn.logsumexp(log_terms, axis=-1) - jax.nn.logsumexp(log_weights)
    return jnp.where(shifted, -log_kept / beta, _excess(above, log_weights, beta))


def _phi(order, x, largest):
    """∫₀¹ tⁿ exp(t x) dt for |x| ≤ largest, by its series Σ xᵐ / (m! (m + n + 1))."""
    terms = next(m for m in range(40) if largest**m / math.factorial(m) < jnp.finfo(x.dtype).eps / 4)
    result = jnp.zeros_like(x)
    for m in reversed(range(terms)):
        result = result * x + 1 / (math.factorial(m) * (m + order + 1))
    return result


@functools.partial(_softmin.defjvp, symbolic_zeros=True)
def _softmin_jvp(primals, tangents):
    values, log_weights, beta = primals
    d_values, d_log_weights, d_beta = tangents
    value = _softmin(values, log_weights, beta)
    tangent = jnp.zeros_like(value)
    if not _is_zero(d_values):
        tangent = tangent + _inner(_softargmin(values, log_weights, beta), d_values)
    if _is_zero(d_log_weights) and _is_zero(d_beta):
        return value, tangent
    along_weights, along_beta = _slopes(values, log_weights, beta)
    if not _is_zero(d_log_weights):
        tangent = tangent + _inner(along_weights, jnp.broadcast_to(d_log_weights, values.shape))
    return value, tangent if _is_zero(d_beta) else tangent + along_beta * d_beta


def _inner(left, right):
    """Σ left · right over the last axis, where 0 · inf = 0 for a zero on the left."""
    return jnp.sum(jnp.where(left == 0, 0, left * right), axis=-1)


def _slopes(values, log_weights, beta):
    """dF/d log_weights = (w - p)/beta and dF/dbeta = -KL(p‖w)/beta², without a division by beta.

    With v = E - F and y = -beta v, p = w exp(y): near y = 0 the two are w v φ₀(y) and -w v² φ₁(y), and further out
    1/beta = -v/y. The Kullback-Leibler divergence is the sum of the terms p y - p + w, none of which is negative. At
    beta = 0 both are infinite where a state is forbidden or certain, so that p is not w.
    """
    cold = beta > 1e3 * math.sqrt(jnp.finfo(beta.dtype).max)  # 1/beta² underflows
    beta = jnp.where(cold, 1, beta)
    share = _softargmin(values, log_weights, beta)
    _, above = _above(values, log_weights)
    weights = jnp.broadcast_to(_weights(log_weights), above.shape)
    free = _softmin(above, log_weights, beta)[..., None]
    infinite = free == jnp.inf
    v = above - jnp.where(infinite, 0, free)
    vanished = (beta * v > VANISHED) | (v == jnp.inf)
    v = jnp.where(vanished, VANISHED / jnp.where(vanished, beta, 1), v)
    y = -beta * v
    near = jnp.abs(y) <= 1
    near_v, near_y, far_y = jnp.where(near, v, 0), jnp.where(near, y, 0), jnp.where(near, 1, y)
    far_ratio = jnp.where(near, 0, v / far_y)
    along_weights = jnp.where(near, weights * near_v * _phi(0, near_y, 1.0), (share - weights) * far_ratio)
    divergence = jnp.where(
        near, weights * near_v**2 * _phi(1, near_y, 1.0), (share * (far_y - 1) + weights) * far_ratio**2
    )
    signs = jnp.where(weights > share, jnp.inf, jnp.where(weights < share, -jnp.inf, 0))
    along_weights = jnp.where(infinite, signs, jnp.where(cold, 0, along_weights))
    along_beta = jnp.where(cold, 0, -jnp.sum(divergence, axis=-1))
    return along_weights, jnp.where(infinite[..., 0], -jnp.inf, along_beta)


@jax.custom_jvp
def _softargmin(values, log_weights, beta):
    least, above = _above(values, log_weights)
    # a difference of finite numbers that overflows does not forbid a state
    overflowed = jnp.isfinite(values) & jnp.isfinite(least)[..., None] & (above == jnp.inf)
    above = jnp.where(overflowed, jnp.finfo(beta.dtype).max, above)
    # what is above `forbidden` has no share: at beta = inf everything above the least value, otherwise what is infinite
    forbidden = jnp.where(beta == jnp.inf, 0, jnp.finfo(beta.dtype).max)
    exponent = jnp.where(above > forbidden, jnp.inf, _finite(beta) * above)
    log_terms = jnp.broadcast_to(log_weights, above.shape) - exponent
    terms = jnp.exp(log_terms - jnp.max(log_terms, axis=-1, keepdims=True))
    return terms / jnp.where(least[..., None] == jnp.inf, jnp.nan, jnp.sum(terms, axis=-1, keepdims=True))


@functools.partial(_softargmin.defjvp, symbolic_zeros=True)
def _softargmin_jvp(primals, tangents):
    values, log_weights, beta = primals
    d_values, d_log_weights, d_beta = tangents
    share = _softargmin(values, log_weights, beta)
    exponent: Any = jnp.zeros_like(share)
    if not _is_zero(d_log_weights):
        exponent = exponent + jnp.broadcast_to(d_log_weights, values.shape)
    if not _is_zero(d_values):
        cold = beta == jnp.inf  # the minimum does not move, whatever happens above it
        exponent = exponent - jnp.where(cold, 0, jnp.where(cold, 1, beta) * d_values)
    if not _is_zero(d_beta):
        _, above = _above(values, log_weights)
        exponent = exponent - jnp.where(share == 0, 0, above) * d_beta  # for an infinite value 0 · inf would be NaN
    return share, share * (exponent - _inner(share, exponent)[..., None])


# compiled once, also where they are called in a plain Python loop
_coldest_program = jax.jit(_coldest, inline=True)
_softmin_program = jax.jit(_softmin, inline=True)
_least_program = jax.jit(_share_of_least, inline=True)
_softargmin_program = jax.jit(_softargmin, inline=True)
