"""Population annealing: many chains follow a path of laws together, and good ones replace bad ones on the way.

    log Z(t_K) ≈ log Z(t_0) + Σ_k log 1/R Σ_i exp(u(t_k, x_i) - u(t_{k+1}, x_i))

At each step the R members of a population are weighed, as in annealed importance sampling, then drawn again in
proportion to their weights, and moved by a kernel that leaves the new law invariant. So weights do not spread over many
steps. Members with a common ancestor at t_0 are a family; where few families are left, the population holds less than
its number promises.

`population_annealing`            along a given schedule
`adaptive_population_annealing`   with the next t where a given share of the population still counts

`pilot` finds a schedule for annealed importance sampling in the second way.

The population consists of groups that exchange no members. Their estimates of Z are independent, so that their mean has
a standard error, and each is unbiased where the schedule is fixed.

Hukushima & Iba (2003); Machta (2010), "Population annealing with weighted averages"; Wang, Machta & Katzgraber (2015).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from ebmjax.checks import (
    ArgumentError,
    as_float,
    check_callable,
    check_count,
    check_key,
    check_share,
    is_static,
    leading_axis,
)
from ebmjax.compiled import compiled
from ebmjax.loops import iterate_until
from ebmjax.marginalize.annealed import (
    ReducedEnergy,
    begun_chains,
    log_change,
    moved,
)
from ebmjax.marginalize.path_weights import log_mean, result_of_weights
from ebmjax.marginalize.schedules import as_chains, as_schedule, next_point
from ebmjax.numerics import added, below
from ebmjax.records import record
from ebmjax.types import (
    CONVERGED,
    DIVERGED,
    NO_OVERLAP,
    NOT_MIXED,
    TOO_FEW_TEMPERATURES,
    Estimate,
    KernelAtBeta,
    Numbers,
    Scalar,
)

LEAST_FAMILIES = 100
"""A population has mixed where R / rho_t, about the number of families that count, is at least this.

Wang, Machta & Katzgraber (2015), section III.
"""


@record
class Families(NamedTuple):
    """Who descends from whom: a family are the members at the end that have one ancestor at the start."""

    ancestor: Int[Array, " members"]
    """The number of the ancestor of each member at the end, among the starts."""
    mean_square: Float[Array, " points"]
    """rho_t = R Σ n², n the share of a family in the population, at each t: from 1 at the start to at most R."""
    entropic: Float[Array, ""]
    """rho_s = R exp(Σ n log n), the entropic family size at the end."""
    surviving: Int[Array, ""]
    """How many families are left at the end."""


@record
class Population(NamedTuple):
    """What a population has found; "points" are those of the schedule, the first and the last among them."""

    estimate: Estimate
    """log Z at the end of the path."""
    positions: PyTree[Array]
    """Draws of the last law, all of the same weight, with the leading axis members; those of a family are related."""
    schedule: Float[Array, " points"]
    """t_0, ..., t_K. An adaptive schedule is filled up with its last t, and so are the fields below."""
    links: Int[Array, ""]
    """K, the number of steps that were taken."""
    on_the_way: Estimate
    """log Z at each t."""
    slope: Float[Array, " points"]
    """The mean of du/dt = -d log Z / dt at each t: the mean energy where t is beta."""
    slope_error: Float[Array, " points"]
    """The standard error of it."""
    families: Families


@record
class _History(NamedTuple):
    """What is known at each t, with the leading axis points."""

    schedule: Float[Array, " points"]
    log_ratio: Float[Array, "points groups"]
    slope: Float[Array, "points groups"]
    mean_square: Float[Array, " points"]


@record
class _Now(NamedTuple):
    """A population on its way."""

    t: Float[Array, ""]
    links: Int[Array, ""]
    states: Any
    ancestor: Int[Array, " members"]
    log_ratio: Float[Array, " groups"]
    lost: Float[Array, " groups"]  # by rounding
    history: _History


def population_annealing(
    key: Key[Array, ""],
    path: ReducedEnergy,
    make_kernel: KernelAtBeta,
    schedule: Numbers,
    starts: PyTree[Any],
    log_partition: Scalar,
    steps: int = 1,
    groups: int = 32,
) -> Population:
    """log Z at every t of a schedule, and draws of the last law, by a population of chains.

    Args:
        key: typed random key.
        path: `path(t, x) -> u`, differentiable in t; `tempered(energy)` for inverse temperatures.
        make_kernel: `t -> Kernel`, which leaves exp(-u(t, x))/Z(t) invariant; it is called inside a loop.
        schedule: t_0, ..., t_K, at least 2 finite numbers, rising or falling; static or traced.
        starts: independent draws of the law at t_0, with the leading axis members R, a multiple of `groups`.
        log_partition: log Z(t_0). At beta = 0 it is log |Z|, such as n log 2 for n spins.
        steps: of the kernel at each t, static, at least 1.
        groups: how many groups exchange no members, static, at least 2. The standard error, which is that of the mean
            of their estimates, is known to a share of 1/√(2 groups): with 10 or less, the result is not `CONVERGED`.

    Returns:
        `Population`. The estimates are too low in the mean; `lower` is 3 standard errors below. Their
        `effective_samples` are R / rho_t. `result` is `NOT_MIXED` where this is below 100: families have died out, and
        more members or more steps are needed; `TOO_FEW_TEMPERATURES` where the estimates of the groups differ too much
        for their own standard error; `NO_OVERLAP` where all members are forbidden, and `DIVERGED` where a weight is NaN
        or infinite.

    Raises:
        ValueError: a path or a kernel that is no function, a static schedule that goes back, repeats or is not finite,
            fewer than 2 groups, groups of fewer than 2 members or of different sizes, steps below 1, a key that is not
            typed.

    Machta (2010), eqs. 7 and 17 (with groups as the independent runs); Wang, Machta & Katzgraber (2015), eq. 13.

    >>> from ebmjax.marginalize.annealed import tempered
    >>> from ebmjax.sample.gibbs import systematic
    >>> energy = lambda s: -s.sum()
    >>> starts = jax.random.rademacher(jax.random.key(0), (640, 3), float)  # at beta = 0
    >>> kernel = lambda beta: systematic(energy, beta)
    >>> volume = 3 * jnp.log(2)
    >>> found = population_annealing(
    ...     jax.random.key(1), tempered(energy), kernel, jnp.linspace(0, 0.7, 4), starts, volume
    ... )
    >>> bool(abs(found.estimate.log_partition - 3 * jnp.log(2 * jnp.cosh(0.7))) < 5 * found.estimate.standard_error)
    True
    """
    schedule = as_schedule(schedule)
    starts = _checked(key, path, make_kernel, starts, steps, groups)
    log_partition = as_float("log_partition", log_partition, ())
    return _along(key, path, make_kernel, schedule, starts, log_partition, steps, groups)


def adaptive_population_annealing(
    key: Key[Array, ""],
    path: ReducedEnergy,
    make_kernel: KernelAtBeta,
    ends: Numbers,
    starts: PyTree[Any],
    log_partition: Scalar,
    share: Scalar = 0.9,
    max_links: int = 200,
    steps: int = 1,
    groups: int = 32,
) -> Population:
    """Population annealing that finds its schedule on the way: each step keeps a given share of the population.

    The next t is where the conditional effective sample size of the weights has fallen to this share of the members.
    Since the schedule depends on the population, the estimate of Z has a bias of order 1/R and is no bound.

    Args:
        key, path, make_kernel, starts, log_partition, steps, groups: as in `population_annealing`.
        ends: (2,), t_0 and t_K, the ends of the path; t_0 is where the starts are drawn.
        share: of the population that counts after each step, in (0, 1).
        max_links: static, the largest number of steps. Steps that are not needed are not taken.

    Returns:
        `Population`, with fields of `max_links` + 1 points. Where the path was not finished by then, the estimate at
        its end is NaN, with the result `TOO_FEW_TEMPERATURES`; what is on the way is right up to `links`.

    Raises:
        ValueError: as in `population_annealing`; static ends that are equal or not finite, a static share outside
            (0, 1), a bound of steps below 1.

    Zhou, Johansen & Aston (2016), section 3.3.

    >>> from ebmjax.marginalize.annealed import tempered
    >>> from ebmjax.sample.gibbs import systematic
    >>> energy = lambda s: -s.sum()
    >>> starts = jax.random.rademacher(jax.random.key(0), (640, 3), float)
    >>> kernel = lambda beta: systematic(energy, beta)
    >>> found = adaptive_population_annealing(
    ...     jax.random.key(1), tempered(energy), kernel, jnp.array([0.0, 0.7]), starts, 3 * jnp.log(2), max_links=20
    ... )
    >>> bool(abs(found.estimate.log_partition - 3 * jnp.log(2 * jnp.cosh(0.7))) < 5 * found.estimate.standard_error)
    True
    >>> int(found.links), bool(found.schedule[-1] == jnp.float32(0.7))
    (4, True)
    """
    ends = _as_ends(ends)
    _check_step(share, max_links)
    starts = _checked(key, path, make_kernel, starts, steps, groups)
    log_partition, share = as_float("log_partition", log_partition, ()), as_float("share", share, ())
    return _adaptive(key, path, make_kernel, ends, starts, log_partition, share, max_links, steps, groups)


@compiled
def _along(key, path, make_kernel, schedule, starts, log_partition, steps, groups):
    links = len(schedule) - 1
    choose = lambda now, log_changes: schedule[now.links + 1]
    done = lambda now: now.links == links
    last, positions, entropic = _run(key, path, make_kernel, schedule[0], starts, steps, groups, links, choose, done)
    return _report(last, positions, entropic, log_partition, schedule[-1], is_bound=True)


@compiled
def _adaptive(key, path, make_kernel, ends, starts, log_partition, share, max_links, steps, groups):
    def choose(now, log_changes):
        weights = jnp.repeat(jax.nn.softmax(now.log_ratio), len(now.ancestor) // groups)
        return next_point(log_changes, weights, now.t, ends[1], share)

    done = lambda now: (now.t == ends[1]) | jnp.any(jnp.isnan(now.log_ratio))
    last, positions, entropic = _run(key, path, make_kernel, ends[0], starts, steps, groups, max_links, choose, done)
    return _report(last, positions, entropic, log_partition, ends[1], is_bound=False)


def _run(key, path, make_kernel, start, starts, steps, groups, max_links, choose, done):
    """The last of a population, draws of its law with their ancestors, and the shares of the families."""
    members = leading_axis("starts", starts)
    first_key, step_key, last_key = jax.random.split(key, 3)
    change, move = log_change(path), moved(make_kernel, steps)

    def slopes(states, t):
        """The mean of du/dt over the members of each group."""
        slope = lambda position: jax.jvp(lambda t: path(t, position) * jnp.ones_like(t), (t,), (jnp.ones_like(t),))[1]
        return jax.vmap(slope)(states.position).reshape(groups, -1).mean(axis=1)

    def shares(ancestor, log_ratio):
        """The share of each family in the population."""
        of_member = jnp.repeat(_weights(log_ratio) / (members // groups), members // groups)
        return jnp.zeros(members, of_member.dtype).at[ancestor].add(of_member)

    def step(now):
        log_changes = lambda t: jax.vmap(lambda state: change(now.t, t, state.position))(now.states)
        t = choose(now, log_changes)
        choice_key, move_key = jax.random.split(jax.random.fold_in(step_key, now.links))
        weights, term = _normalized(log_changes(t).astype(now.log_ratio.dtype).reshape(groups, -1))
        chosen = jax.vmap(_systematic)(jax.random.split(choice_key, groups), weights)
        first_of_group = jnp.arange(groups, dtype=jnp.int32) * (members // groups)
        chosen = (chosen + first_of_group[:, None]).reshape(-1)
        states, ancestor = jax.tree.map(lambda leaf: leaf[chosen], (now.states, now.ancestor))
        states = jax.vmap(lambda key, state: move(key, t, state))(jax.random.split(move_key, members), states)
        log_ratio, lost = added(now.log_ratio, now.lost, term)
        links = now.links + 1
        mean_square = members * jnp.sum(jnp.square(shares(ancestor, log_ratio)))
        point = _History(t, log_ratio, slopes(states, t), mean_square)
        history = jax.tree.map(lambda all, new: all.at[links].set(new.astype(all.dtype)), now.history, point)
        return _Now(t, links, states, ancestor, log_ratio, lost, history)

    states = begun_chains(first_key, make_kernel(start), starts)
    zeros = jnp.zeros(groups, start.dtype)
    history = _History(*(jnp.zeros((max_links + 1, *size), start.dtype) for size in ((), (groups,), (groups,), ())))
    point = _History(start, zeros, slopes(states, start), jnp.ones(()))
    history = jax.tree.map(lambda all, new: all.at[0].set(new.astype(all.dtype)), history, point)
    now = _Now(start, jnp.int32(0), states, jnp.arange(members, dtype=jnp.int32), zeros, zeros, history)
    last, _, _ = iterate_until(step, now, done, max_links)
    # the groups are weighed at the end alone, so that they stay independent until then
    weights = jnp.repeat(_weights(last.log_ratio), members // groups)
    chosen = _systematic(last_key, weights)
    positions, ancestor = jax.tree.map(lambda leaf: leaf[chosen], (last.states.position, last.ancestor))
    return last._replace(ancestor=ancestor), positions, shares(last.ancestor, last.log_ratio)


def _weights(log_weights):
    """exp(log w) over their sum; equal ones where all are zero."""
    return jax.nn.softmax(jnp.where(jnp.all(jnp.isneginf(log_weights)), 0, log_weights))


def _normalized(log_weights):
    """The weights of each row, of which the largest is one, and the logarithm of their mean."""
    largest = jnp.max(log_weights, axis=1, keepdims=True)
    none = jnp.isneginf(largest)
    below = log_weights - jnp.where(none, 0, largest)
    weights = jnp.exp(jnp.where(below > 0, 0, below))  # what is computed anew may be rounded otherwise
    term = jnp.log(weights.mean(axis=1)) + largest[:, 0]
    return jnp.where(none, 1, weights), term


def _systematic(key, weights):
    """As many draws of places as there are weights, each the integer below or above its expected number of times."""
    count = len(weights)
    total = jnp.cumsum(weights)
    lines = (jnp.arange(count).astype(weights.dtype) + jax.random.uniform(key, dtype=weights.dtype)) / count
    places = jnp.searchsorted(total, lines * total[-1], side="right").astype(jnp.int32)
    # the last line may be rounded to the total itself
    last = count - 1 - jnp.argmax(weights[::-1] > 0).astype(jnp.int32)
    return jnp.minimum(places, last)


def _report(last, positions, shares, log_partition, end, is_bound):
    history = jax.tree.map(
        lambda all: all[jnp.minimum(jnp.arange(len(all), dtype=jnp.int32), last.links)], last.history
    )
    members, groups = len(shares), history.log_ratio.shape[1]

    def estimate_at(log_ratio, mean_square):
        value, error, effective = log_mean(log_ratio)
        result = result_of_weights(log_ratio, effective)
        families = members / mean_square
        few = (result == CONVERGED) & (families < LEAST_FAMILIES)
        value = log_partition.astype(value.dtype) + value
        lower = below(value, error) if is_bound else jnp.full_like(value, -jnp.inf)
        upper = jnp.full_like(value, jnp.inf)
        return Estimate(value, error, families, lower, upper, jnp.where(few, NOT_MIXED, result).astype(jnp.int32))

    on_the_way = jax.vmap(estimate_at)(history.log_ratio, history.mean_square)
    at_end = jax.tree.map(lambda leaf: leaf[-1], on_the_way)
    broken = (at_end.result == DIVERGED) | (at_end.result == NO_OVERLAP)
    code = jnp.where(broken, at_end.result, TOO_FEW_TEMPERATURES)
    unknown = jnp.full_like(at_end.log_partition, jnp.nan)
    unfinished = Estimate(unknown, unknown, jnp.zeros_like(unknown), at_end.lower, at_end.upper, code)
    estimate = jax.tree.map(lambda a, b: jnp.where(last.t == end, a, b), at_end, unfinished)
    weights = jax.vmap(_weights)(history.log_ratio)
    slope = jnp.sum(weights * history.slope, axis=1)
    away = jnp.where(weights > 0, history.slope - slope[:, None], 0)
    error = jnp.sqrt(jnp.sum(jnp.square(weights * away), axis=1) * groups / (groups - 1))
    entropy = -jnp.sum(jnp.where(shares > 0, shares * jnp.log(jnp.where(shares > 0, shares, 1)), 0))
    families = Families(
        last.ancestor, history.mean_square, members * jnp.exp(-entropy), jnp.sum(shares > 0).astype(jnp.int32)
    )
    return Population(estimate, positions, history.schedule, last.links, on_the_way, slope, error, families)


def _checked(key, path, make_kernel, starts, steps, groups):
    check_key("key", key)
    check_callable("path", path)
    check_callable("make_kernel", make_kernel)
    check_count("steps", steps)
    check_count("groups", groups)
    starts = as_chains("starts", starts)
    members = leading_axis("starts", starts)
    if groups < 2:
        raise ArgumentError(f"groups: got {groups}, wanted at least 2, for a standard error")
    if members % groups or members < 2 * groups:
        raise ArgumentError(f"starts: got {members} members, wanted a multiple of {groups} groups, at least 2 in each")
    return starts


def _as_ends(ends):
    ends = as_float("ends", ends, (2,))
    if is_static(ends) and not (jnp.all(jnp.isfinite(ends)) and ends[0] != ends[1]):
        raise ArgumentError(f"ends: got {ends.tolist()}, wanted two finite numbers that differ")
    return ends


def _check_step(share, max_links):
    check_share("share", share)
    if is_static(share) and not 0 < float(share) < 1:
        raise ArgumentError(f"share: got {float(share)}, wanted a number between 0 and 1")
    check_count("max_links", max_links)
