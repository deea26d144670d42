"""The actual softmax and softmin, at every inverse temperature beta in [0, inf].

    softmin_beta[E] = -1/beta log Σ w exp(-beta E),    Σ w = 1
    softmax_beta[E] = -softmin_beta[-E]

softmin is the mean at beta = 0, the minimum at beta = inf, and lies between them for every other beta; softmax is the
mean, the maximum, or between them. What deep-learning libraries call softmax is the gradient of this softmax,
`softargmax`.

beta may be static or traced, and may be 0 or inf: there too the values and the first and second derivatives are finite
and correct. A plain logsumexp loses all digits at small beta (it is 11% off at beta = 1e-6 in float32) and gives NaN at
both ends.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from ebmjax.checks import ArgumentError, check_beta, is_coldest
from ebmjax.numerics import matmul
from ebmjax.types import Beta

Values = Num[Array | np.ndarray, "..."]
LogWeights = Num[Array | np.ndarray, "..."]

LINEAR_BELOW = 0.2
"""Below this x, 1 - exp(-x) is computed by its series, above it by the subtraction."""

TAIL = -60.0
"""Weights below exp(-60) can underflow in float32: then the sum is shifted by its largest term."""

VANISHED = 128.0
"""From this x on, (1 + x) exp(-x) is negligible beside 1, in float64 too."""


def reduced(values: Values, beta: Beta) -> Float[Array, "..."]:
    """beta · values, the reduced energy, with inf · 0 = 0, so that a value of 0 stays 0 at beta = inf.

    >>> reduced(jnp.array([-1.0, 0.0, 2.0]), jnp.inf).tolist()
    [-inf, 0.0, inf]
    """
    values = jnp.asarray(values)
    beta = jnp.asarray(beta).astype(values.dtype)
    # only where the product would be NaN: the derivative with respect to a value of 0 is beta as well
    return jnp.where(jnp.isinf(beta) & (values == 0), 0, beta) * values


def softmin(values: Values, beta: Beta, log_weights: LogWeights | None = None, axis: int = -1) -> Float[Array, "..."]:
    """Free energy of a list of energies: -1/beta log Σ w exp(-beta values) along `axis`.

    Args:
        values: energies, at least one along `axis`; +inf forbids a state.
        beta: inverse temperature, a scalar in [0, inf], in units of 1/values.
        log_weights: logarithms of the measure w along `axis`, one-dimensional. They are normalized here. None is the
            uniform measure.
        axis: the axis that is reduced.

    Returns:
        An array of the shape of values without `axis`, in units of values. NaN where a traced beta is negative.

    Raises:
        ValueError: beta negative, NaN or not a scalar; an `axis` that is empty or absent; log_weights of another
            length.

    LeCun et al. (2006), "A tutorial on energy-based learning", eq. 8, divided by |Z|.

    >>> import jax.numpy as jnp
    >>> [float(softmin(jnp.array([1.0, 3.0]), beta)) for beta in (0.0, jnp.inf)]
    [2.0, 1.0]
    """
    coldest = is_coldest(beta)
    values, weights, beta = _prepare(values, log_weights, beta, axis)
    return _coldest(values, weights) if coldest else _softmin(values, weights, beta)


def softmax(values: Values, beta: Beta, log_weights: LogWeights | None = None, axis: int = -1) -> Float[Array, "..."]:
    """The soft maximum, 1/beta log Σ w exp(beta values) along `axis`. Arguments and errors as in `softmin`.

    >>> import jax.numpy as jnp
    >>> [float(softmax(jnp.array([1.0, 3.0]), beta)) for beta in (0.0, jnp.inf)]
    [2.0, 3.0]
    """
    return -softmin(-jnp.asarray(values), beta, log_weights, axis)


def softargmin(
    values: Values, beta: Beta, log_weights: LogWeights | None = None, axis: int = -1
) -> Float[Array, "..."]:
    """Boltzmann weights w exp(-beta values) / Σ w exp(-beta values) along `axis`: the gradient of `softmin`.

    At beta = 0 they are w. At beta = inf all weight is on the minimum, and ties share it in proportion to w. The result
    has the shape of `values`. Arguments and errors as in `softmin`.

    >>> import jax.numpy as jnp
    >>> softargmin(jnp.array([1.0, 3.0, 1.0]), jnp.inf).tolist()
    [0.5, 0.0, 0.5]
    """
    coldest = is_coldest(beta)
    values, weights, beta = _prepare(values, log_weights, beta, axis)
    shares = _share_of_least(values, weights) if coldest else _softargmin(values, weights, beta)
    return jnp.moveaxis(shares, -1, axis)


def softargmax(
    values: Values, beta: Beta, log_weights: LogWeights | None = None, axis: int = -1
) -> Float[Array, "..."]:
    """Boltzmann weights w exp(beta values) / Σ w exp(beta values) along `axis`: what others call softmax.

    Arguments and errors as in `softmin`.

    >>> import jax.numpy as jnp
    >>> softargmax(jnp.array([1.0, 3.0]), 0.0).tolist()
    [0.5, 0.5]
    """
    return softargmin(-jnp.asarray(values), beta, log_weights, axis)


def _prepare(values, log_weights, beta, axis):
    """Checked arguments in one dtype, the reduced axis last, the largest log-weight zero."""
    check_beta(beta)
    values = jnp.asarray(values)
    if not jnp.issubdtype(values.dtype, jnp.floating):
        values = values.astype(jnp.result_type(float))
    if not -values.ndim <= axis < values.ndim:
        raise ArgumentError(f"axis: got {axis}, wanted an axis of values, whose shape is {values.shape}")
    size = values.shape[axis]
    if size == 0:
        raise ArgumentError(f"values: got shape {values.shape}, wanted at least one value along axis {axis}")
    if log_weights is None:
        log_weights = jnp.zeros(size, values.dtype)
    else:
        log_weights = jnp.asarray(log_weights).astype(values.dtype)
        if log_weights.shape != (size,):
            raise ArgumentError(f"log_weights: got shape {log_weights.shape}, wanted ({size},), one for each value")
        log_weights = log_weights - jax.lax.stop_gradient(jnp.max(log_weights))
    beta = jnp.asarray(beta).astype(values.dtype)
    return jnp.moveaxis(values, axis, -1), log_weights, jnp.where(beta >= 0, beta, jnp.nan)


# ---- inside: the reduced axis is last, the largest log-weight is 0, beta is an array of the dtype of values ---------


def _finite(beta):
    """The largest number in place of inf, so that beta · 0 = 0."""
    return jnp.minimum(beta, jnp.finfo(beta.dtype).max)


def _weights(log_weights):
    """The normalized measure."""
    terms = jnp.exp(log_weights)
    return terms / jnp.sum(terms)


def _average(values, weights):
    """Σ w values, as a product: the fastest reduction on CPU."""
    return matmul(values, weights)


def _on_support(values, log_weights, elsewhere):
    """`values` where the measure is positive, `elsewhere` at points of weight zero, which do not count."""
    return jnp.where(jnp.broadcast_to(log_weights > -jnp.inf, values.shape), values, elsewhere)


def _least(values, log_weights):
    return jnp.min(_on_support(values, log_weights, jnp.inf), axis=-1)


def _above(values, log_weights):
    """The least value, unless it is infinite, and how far each value lies above it."""
    least = _least(values, log_weights)
    base = jax.lax.stop_gradient(jnp.where(jnp.abs(least) == jnp.inf, 0, least))
    return base, _on_support(values - base[..., None], log_weights, 0)


@jax.custom_jvp
def _coldest(values, log_weights):
    return _least(values, log_weights)


@_coldest.defjvp
def _coldest_jvp(primals, tangents):
    return _coldest(*primals), _inner(_share_of_least(*primals), tangents[0])


def _share_of_least(values, log_weights):
    """The measure restricted to the least values, normalized."""
    least = _least(values, log_weights)[..., None]
    weights = jnp.where(values == least, jnp.broadcast_to(jnp.exp(log_weights), values.shape), 0)
    return weights / jnp.sum(weights, axis=-1, keepdims=True)


@jax.custom_jvp
def _softmin(values, log_weights, beta):
    base, above = _above(values, log_weights)
    weights = _weights(log_weights)
    # At small beta the first two cumulants suffice. They do not depend on beta: a sweep over beta computes them once.
    mean = _average(jnp.where(jnp.broadcast_to(weights > 0, values.shape), values, 0), weights)
    centred = above - _average(above, weights)[..., None]
    variance = _average(jnp.where(jnp.isfinite(centred), centred, 0) ** 2, weights)
    negligible = math.sqrt(jnp.finfo(beta.dtype).eps)
    hot = (beta == 0) | (_finite(beta) * jnp.max(above, axis=-1) < negligible)
    has_tails = jnp.min(_on_support(log_weights, log_weights, 0)) < TAIL
    excess = jax.lax.cond(has_tails, _excess_of_tails, _excess, above, log_weights, jnp.where(beta == 0, 1, beta))
    warm = jnp.where(beta == jnp.inf, _least(values, log_weights), base + excess)
    return jnp.where(hot, mean - _finite(beta) * variance / 2, warm)


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


@_softmin.defjvp
def _softmin_jvp(primals, tangents):
    values, log_weights, beta = primals
    d_values, d_log_weights, d_beta = tangents
    d_log_weights = jnp.broadcast_to(d_log_weights, values.shape)
    along_weights, along_beta = _slopes(values, log_weights, beta)
    tangent = _inner(_softargmin(values, log_weights, beta), d_values) + _inner(along_weights, d_log_weights)
    return _softmin(values, log_weights, beta), tangent + along_beta * d_beta


def _inner(left, right):
    """Σ left · right over the last axis, where 0 · inf = 0 for a zero on the left."""
    return jnp.sum(jnp.where(left == 0, 0, left * right), axis=-1)


def _slopes(values, log_weights, beta):
    """dF/d log_weights = (w - p)/beta and dF/dbeta = -KL(p‖w)/beta², without a division by beta.

    With v = E - F and y = -beta v, p = w exp(y): near y = 0 the two are w v φ₀(y) and -w v² φ₁(y), and further out
    1/beta = -v/y. The Kullback-Leibler divergence is the sum of the terms p y - p + w, none of which is negative.
    """
    cold = beta > 1e3 * math.sqrt(jnp.finfo(beta.dtype).max)  # 1/beta² underflows
    beta = jnp.where(cold, 1, beta)
    share = _softargmin(values, log_weights, beta)
    _, above = _above(values, log_weights)
    weights = jnp.broadcast_to(_weights(log_weights), above.shape)
    v = above - _softmin(above, log_weights, beta)[..., None]
    vanished = beta * v > VANISHED
    v = jnp.where(vanished, VANISHED / jnp.where(vanished, beta, 1), v)
    y = -beta * v
    near = jnp.abs(y) <= 1
    near_v, near_y, far_y = jnp.where(near, v, 0), jnp.where(near, y, 0), jnp.where(near, 1, y)
    far_ratio = jnp.where(near, 0, v / far_y)
    along_weights = jnp.where(near, weights * near_v * _phi(0, near_y, 1.0), (share - weights) * far_ratio)
    divergence = jnp.where(
        near, weights * near_v**2 * _phi(1, near_y, 1.0), (share * (far_y - 1) + weights) * far_ratio**2
    )
    return jnp.where(cold, 0, along_weights), jnp.where(cold, 0, -jnp.sum(divergence, axis=-1))


@jax.custom_jvp
def _softargmin(values, log_weights, beta):
    _, above = _above(values, log_weights)
    log_terms = jnp.broadcast_to(log_weights, above.shape) - jnp.where(beta == 0, 0, _finite(beta) * above)
    terms = jnp.exp(log_terms - jnp.max(log_terms, axis=-1, keepdims=True))
    return terms / jnp.sum(terms, axis=-1, keepdims=True)


@_softargmin.defjvp
def _softargmin_jvp(primals, tangents):
    values, log_weights, beta = primals
    d_values, d_log_weights, d_beta = tangents
    share = _softargmin(values, log_weights, beta)
    _, above = _above(values, log_weights)
    cold = beta == jnp.inf  # the minimum does not move, whatever happens above it
    d_log_weights = jnp.broadcast_to(d_log_weights, values.shape)
    above = jnp.where(share == 0, 0, above)  # an infinite value has no share, and 0 · inf would be NaN
    exponent = d_log_weights - jnp.where(cold, 0, jnp.where(cold, 1, beta) * d_values) - above * d_beta
    return share, share * (exponent - _inner(share, exponent)[..., None])
