"""Schedules of temperatures, or of any other parameter t of a path of laws: checked, adapted, divided anew.

    share(t) = (Σ W w)² / (Σ W · Σ W w²),    w = exp(u(t_k, x) - u(t, x))

A population of draws at t_k, with weights W, represents the law at t as well as a share of its members would. This
share, the conditional effective sample size, is 1 at t_k and falls with the distance. A schedule with the same share in
every step has its temperatures where the law changes quickly.

`conditional_share`   that of a step
`next_point`          the t at which it has fallen to a given value, by bisection
`as_schedule`         the check of a schedule, and `as_chains` that of the positions at its start

`population` uses `next_point` while it runs. The weights of annealed importance sampling have the right mean only for
a schedule that does not depend on the chains that are weighed: `pilot` finds one before.

Zhou, Johansen & Aston (2016), "Toward automatic model comparison: an adaptive sequential Monte Carlo approach".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ebmjax.checks import (
    ArgumentError,
    as_float,
    as_floats,
    check_callable,
    check_share,
    is_static,
    leading_axis,
)
from ebmjax.compiled import compiled
from ebmjax.loops import iterate_until
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar

RELATIVE = 0.01
"""A step is found to this share of its own length."""

MAX_HALVINGS = 64


@record
class _Bracket(NamedTuple):
    low: Float[Array, ""]  # the share is still large enough
    high: Float[Array, ""]  # it is too small
    middle: Float[Array, ""]


def as_schedule(schedule: Numbers) -> Float[Array, " temperatures"]:
    """A schedule as a floating array.

    Args:
        schedule: at least 2 finite numbers that rise, or that fall; static or traced.

    Raises:
        ValueError: fewer than 2 numbers; a static schedule that is not finite, goes back or repeats.

    >>> as_schedule([0, 1, 3]).tolist()
    [0.0, 1.0, 3.0]
    """
    schedule = as_float("schedule", schedule, (None,))
    if len(schedule) < 2:
        raise ArgumentError(f"schedule: got {len(schedule)} value, wanted at least 2")
    if is_static(schedule):
        values = np.asarray(schedule)
        if not np.isfinite(values).all():
            raise ArgumentError(f"schedule: got {schedule}, wanted finite numbers")
        if not ((np.diff(values) > 0).all() or (np.diff(values) < 0).all()):
            raise ArgumentError("schedule: got one that goes back or repeats, wanted numbers that rise, or that fall")
    return schedule


def as_chains(name: str, positions: Any) -> PyTree[Array]:
    """Positions of at least 2 chains, a pytree of floating arrays with a leading axis.

    Raises ValueError for fewer chains, for leaves of different lengths, and for what is not numbers.

    >>> as_chains("starts", jnp.zeros((1, 3)))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: starts: got 1 chain, wanted at least 2, for a standard error
    """
    positions = as_floats(name, positions)
    chains = leading_axis(name, positions)
    if chains < 2:
        raise ArgumentError(f"{name}: got {chains} chain, wanted at least 2, for a standard error")
    return positions


def conditional_share(log_changes: Numbers, weights: Numbers) -> Float[Array, ""]:
    """The conditional effective sample size of a step, as a share of the population.

        (Σ W w)² / (Σ W · Σ W w²)

    Args:
        log_changes: log w of each member, (members,); -inf for one that the new law forbids.
        weights: W, (members,), not negative, of any scale.

    Returns:
        A number in [0, 1]; 0 where all members are forbidden, NaN where a number is.

    Raises:
        ValueError: weights of another length, or what is not numbers.

    Zhou, Johansen & Aston (2016), eq. 3.

    >>> round(conditional_share(jnp.log(jnp.array([1.0, 3.0])), jnp.ones(2)).item(), 4)  # 16 / (2 · 10)
    0.8
    """
    log_changes = as_float("log_changes", log_changes, (None,))
    return _share(log_changes, as_float("weights", weights, log_changes.shape).astype(log_changes.dtype))


@compiled
def _share(log_changes, weights):
    largest = jnp.max(jnp.where(weights > 0, log_changes, -jnp.inf))
    # a product that is computed anew may be rounded otherwise, and exceed the largest one
    below = log_changes - jnp.where(jnp.isneginf(largest), 0, largest)
    changes = jnp.exp(jnp.where(below > 0, 0, below))
    changes = jnp.where(weights > 0, changes, 0)
    first, second = jnp.sum(weights * changes), jnp.sum(weights * jnp.square(changes))
    return first**2 / (jnp.sum(weights) * jnp.where(second == 0, 1, second))


def next_point(
    log_changes: Callable[[Float[Array, ""]], Float[Array, " members"]],
    weights: Numbers,
    now: Scalar,
    last: Scalar,
    share: Scalar,
) -> Float[Array, ""]:
    """The next t of a schedule: where the conditional share has fallen to a given value, or the last t.

    Args:
        log_changes: `t -> u(now, x) - u(t, x)` of all members of a population at `now`.
        weights: W of the members, (members,).
        now: where the population is.
        last: where the path ends, above or below `now`.
        share: that is wanted, in (0, 1). Near 1 the steps are short.

    Returns:
        t, found to 1% of the step. Where the share jumps below the wanted one at once, since the new laws forbid what
        that at `now` allows, it is the nearest number to `now`, so that one step leaves the forbidden members behind.

    Raises:
        ValueError: a share outside [0, 1], arguments of another kind.

    >>> energies = jnp.arange(10.0)
    >>> t = next_point(lambda t: -t * energies, jnp.ones(10), 0.0, 1.0, 0.5)
    >>> abs(conditional_share(-t * energies, jnp.ones(10)).item() - 0.5) < 0.01
    True
    """
    check_callable("log_changes", log_changes)
    check_share("share", share)
    weights = as_float("weights", weights, (None,))
    now, last, share = as_float("now", now, ()), as_float("last", last, ()), as_float("share", share, ())
    return _next_point(log_changes, weights, now, last.astype(now.dtype), share)


@compiled
def _next_point(log_changes, weights, now, last, share):
    def enough(t):
        changes = log_changes(t)
        found = _share(changes, weights.astype(changes.dtype))
        # NaN is enough: nothing can be learned from a shorter step
        return (found >= share.astype(found.dtype)) | jnp.any(jnp.isnan(changes))

    def halve(bracket):
        good = enough(bracket.middle)
        low, high = jnp.where(good, bracket.middle, bracket.low), jnp.where(good, bracket.high, bracket.middle)
        return _Bracket(low, high, low + (high - low) / 2)

    def done(bracket):
        near = jnp.abs(bracket.high - bracket.low) <= RELATIVE * jnp.abs(bracket.low - now)
        return near | (bracket.middle == bracket.low) | (bracket.middle == bracket.high)

    arrives = enough(last)
    first = _Bracket(now, jnp.where(arrives, now, last), jnp.where(arrives, now, now + (last - now) / 2))
    found, _, _ = iterate_until(halve, first, done, MAX_HALVINGS)
    return jnp.where(arrives, last, jnp.where(found.low == now, found.high, found.low))
