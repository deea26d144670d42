"""Ratios of two partition functions from weights that were drawn from one side or from both.

    Z_1/Z_0 = E_0[w],    Σ_0 σ(d - log w) = Σ_1 σ(log w - d)    at d = log Z_1/Z_0 for as many draws of both

The weight w of a draw, or of a path of draws, is the ratio of its densities, without their partition functions.

Bennett (1976), "Efficient estimation of free energy differences from Monte Carlo data".
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import as_float
from ebmjax.loops import iterate

LEAST_EFFECTIVE = 10
"""Fewer effective draws than this are no estimate: one draw more could change it by as much as all others."""

HALVINGS = 60


def spread_of_weights(
    log_weights: Float[Array, " draws"],
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """log 1/n Σ w, its standard error, and the effective number of draws (Σw)² / Σw².

    >>> mean, error, effective = spread_of_weights(jnp.log(jnp.array([1.0, 3.0])))
    >>> [round(float(number), 4) for number in (mean, error, effective)]
    [0.6931, 0.5, 1.6]
    """
    log_weights = as_float("log_weights", log_weights, (None,))
    largest = jnp.max(log_weights)
    weights = jnp.exp(log_weights - jnp.where(jnp.isfinite(largest), largest, 0))
    first, second, count = jnp.sum(weights), jnp.sum(jnp.square(weights)), len(log_weights)
    effective = jnp.where(second > 0, first**2 / jnp.where(second > 0, second, 1), 0)
    # by linearization the variance of the logarithm of a mean is its relative variance
    spread = jnp.maximum(count / jnp.where(effective > 0, effective, jnp.nan) - 1, 0) / max(count - 1, 1)
    mean = jnp.log(first / count) + jnp.where(jnp.isfinite(largest), largest, 0)
    return mean, jnp.sqrt(spread), effective


def log_ratio_of_paths(
    forward: Float[Array, " draws"], back: Float[Array, " others"]
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """log Z_1/Z_0 from log w of draws of both laws, its standard error, and the number of draws that both share.

    Args:
        forward: log w = log (density of law 1 / density of law 0) of draws of law 0.
        back: the same ratio, of draws of law 1.

    Returns:
        `(log ratio, standard error, shared)`, where shared = Σ_0 σ(d - log w) over all draws, at most half of them.

    Bennett (1976), eqs. 10 and 12.

    >>> ratio, _, shared = log_ratio_of_paths(jnp.array([0.5, 0.5]), jnp.array([0.5, 0.5]))
    >>> round(float(ratio), 5), round(float(shared), 5)
    (0.5, 1.0)
    """
    forward, back = as_float("forward", forward, (None,)), as_float("back", back, (None,))
    dtype = jnp.promote_types(forward.dtype, back.dtype)
    forward, back = forward.astype(dtype), back.astype(dtype)
    sizes = len(forward), len(back)
    shift = jnp.log(jnp.asarray(sizes[1] / sizes[0], dtype))

    def acceptances(d):
        return jax.nn.sigmoid(forward - d + shift), jax.nn.sigmoid(d - shift - back)

    def halve(ends):
        low, high = ends
        middle = low + (high - low) / 2
        up, down = (jnp.sum(part) for part in acceptances(middle))
        return jnp.where(up > down, middle, low), jnp.where(up > down, high, middle)

    both = jnp.concatenate([forward, back])
    some = jnp.isfinite(both)
    low = jnp.min(jnp.where(some, both, jnp.inf)) - 2 - jnp.abs(shift)
    high = jnp.max(jnp.where(some, both, -jnp.inf)) + 2 + jnp.abs(shift)
    low, high = iterate(halve, (low, high), HALVINGS)
    ratio = low + (high - low) / 2
    up, down = acceptances(ratio)
    relative = lambda part: jnp.mean(jnp.square(part)) / jnp.square(jnp.mean(part)) - 1
    error = jnp.sqrt(relative(up) / sizes[0] + relative(down) / sizes[1])
    return ratio, error, jnp.sum(up)
