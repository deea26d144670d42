"""The ratio of the partition functions of two states: one equation in one unknown, by Newton's method in a bracket.

    Σ_n w_n p(x_n) = N_1,    p(x) = 1 / (1 + N_0/N_1 exp(u_1(x) - u_0(x) + log Z_1 - log Z_0))

The sum runs over the draws of both states. It falls as log Z_1 rises, so that a bracket around the solution can be kept
and a step that would leave it is replaced by bisection.

Bennett (1976), eq. 12.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ebmjax.loops import iterate_until
from ebmjax.marginalize.reweighting.draws import LEAST_SHARED
from ebmjax.records import record

MAX_STEPS = 200


@record
class Ratio(NamedTuple):
    """The solution of one pair."""

    log_ratio: Float[Array, ""]
    """log Z_1 - log Z_0."""
    share: Float[Array, "2 draws"]
    """p of each draw: how much of it comes from state 1."""
    shared: Float[Array, ""]
    """Σ w p (1 - p): the number of draws that the two states share, the inverse of the error of a step."""
    overlaps: Bool[Array, ""]
    finished: Bool[Array, ""]


@record
class _Bracket(NamedTuple):
    log_ratio: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]
    done: Bool[Array, ""]


def ratio(
    difference: Float[Array, "2 draws"],
    measure: Float[Array, "2 draws"],
    numbers: Float[Array, "2"],
    tolerance: Float[Array, ""] | float,
) -> Ratio:
    """Solve the equation of one pair.

    Args:
        difference: u_1 - u_0 of the draws of state 0 and of those of state 1; it may be infinite.
        measure: w_n, how many independent draws each draw is worth.
        numbers: N_0 and N_1, the sums of w_n.
        tolerance: the error that is left, as a share of the standard error.

    >>> solution = ratio(jnp.array([[0.0, 1.0], [0.0, 1.0]]), jnp.ones((2, 2)), jnp.full(2, 2.0), 1e-3)
    >>> bool(abs(solution.log_ratio + 0.5) < 1e-6)
    True
    """
    log_numbers = jnp.log(numbers[1]) - jnp.log(numbers[0])
    rounding = 8 * jnp.finfo(difference.dtype).eps * numbers.sum()
    known = jnp.where((measure > 0) & jnp.isfinite(difference), difference, 0)
    start = -(jnp.sum(measure * known, axis=1) / numbers).mean()
    # beyond the bracket all shares are one, or all are zero
    far = 1 - jnp.log(jnp.finfo(difference.dtype).eps)
    low, high = log_numbers - known.max() - far, log_numbers - known.min() + far

    def equation(log_ratio):
        share = jax.nn.sigmoid(log_numbers - log_ratio - difference)
        weighted = measure * share
        return jnp.sum(weighted) - numbers[1], jnp.sum(weighted * (1 - share)), share

    def advance(now):
        excess, slope, _ = equation(now.log_ratio)
        low, high = jnp.where(excess > 0, now.log_ratio, now.low), jnp.where(excess > 0, now.high, now.log_ratio)
        newton = now.log_ratio + excess / jnp.where(slope > 0, slope, 1)
        inside = (newton > low) & (newton < high) & (slope > 0)
        done = jnp.abs(excess) <= tolerance * jnp.sqrt(slope) + rounding
        new = jnp.where(inside, newton, jnp.where(done, now.log_ratio, low + (high - low) / 2))
        return _Bracket(new, low, high, done)

    first = _Bracket(jnp.clip(start, low, high), low, high, jnp.array(False))
    last, _, finished = iterate_until(advance, first, lambda now: now.done | jnp.isnan(now.log_ratio), MAX_STEPS)
    _, shared, share = equation(last.log_ratio)
    excess = 1 / shared - 1 / numbers[0] - 1 / numbers[1]
    return Ratio(last.log_ratio, share, shared, excess <= 1 / LEAST_SHARED, finished)
