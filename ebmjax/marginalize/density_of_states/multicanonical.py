"""A multicanonical run: log g(E), the logarithm of the number of states at each energy, with standard errors.

    g(E) ∝ H(E) exp(log g₀(E)),    Σ_E g(E) = number of all states

The weights g₀ of Wang-Landau are fixed, so that the walkers are independent Markov chains, and H is the histogram of
the energies that they visit. Where g₀ is good, H is flat, and each walker travels over all energies, also between the
two phases of a first-order transition, where a chain at one temperature stays in one of them.

Berg and Neuhaus (1992), "Multicanonical ensemble: a new approach to simulate first-order phase transitions".
"""

from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from ebmjax.checks import ArgumentError, as_float, check_callable, check_count, check_key, check_record
from ebmjax.compiled import compiled
from ebmjax.loops import repeat
from ebmjax.marginalize.density_of_states.models import Model, log_states
from ebmjax.marginalize.density_of_states.walkers import (
    Walkers,
    check_model,
    histograms,
    is_outside,
    level_of,
    refreshed,
    standard_error,
    sweep,
)
from ebmjax.marginalize.density_of_states.wang_landau import Weights, wang_landau
from ebmjax.numerics import matmul, widened
from ebmjax.records import record
from ebmjax.types import CONVERGED, DIVERGED, NOT_MIXED, Kernel, Numbers

LEAST_TRIPS = 0.5
"""In the mean every second walker should have gone from the level of most states to either end.

On Ising lattices of 16 × 16 the z-scores of log Z, of 32 to 64 runs of 16 walkers, had a standard deviation of 0.95
with 1.2 trips of a walker, 0.8 to 0.95 with 0.4, 1.1 to 1.5 with 0.3, and up to 4 with 0.06.
"""
LEAST_FLAT = 0.1
"""A histogram is flat when no level that was visited has less than this share of the mean."""


@record
class Density(NamedTuple):
    """The density of states, from which `thermal` answers at any temperature."""

    levels: Float[Array, " levels"]
    """The energies E."""
    log_density: Float[Array, " levels"]
    """log g(E) in nats, where Σ g(E) is the number of all states; -inf at a level that was not visited."""
    standard_error: Float[Array, " levels"]
    """Of log g(E), from the walkers, which are independent; infinite at a level that was not visited."""
    shares: Float[Array, "walkers levels"]
    """The share of each walker in the visits of each level; zero where there is none."""
    trips: Int[Array, "walkers ends"]
    """How often each walker has come from the level of most states to the lowest level, and to the highest."""
    flatness: Float[Array, ""]
    """The least number of visits of a level as a share of the mean, 1 for a flat histogram."""
    result: Int[Array, ""]
    """`NOT_MIXED` where walkers do not travel from end to end, a level of Wang-Landau was not found again, or the
    histogram is not flat; `DIVERGED` where an energy is beyond the levels or not finite; else `CONVERGED`."""
    observed: Float[Array, "walkers levels quantities"] | None = None
    """The sum of what `observe` returned for each walker at each level, once a sweep; `thermal.mean_of` uses it."""
    times: Float[Array, "walkers levels"] | None = None
    """How often that was."""


@runtime_checkable
class ObserveState(Protocol):
    """Quantities of a state whose means are wanted."""

    def __call__(self, state: Any, /) -> Any:
        """A vector of numbers, such as powers of an order parameter."""
        ...


@record
class Counting(NamedTuple):
    """The state of a run that is not finished."""

    position: Walkers
    """Where the walkers are."""
    counts: Float[Array, "walkers levels"]
    """The histogram of each walker."""
    fresh: Bool[Array, " walkers"]
    """Whether a walker was at the level of most states since it was last at an end."""
    trips: Int[Array, "walkers ends"]
    """How often each walker has come from there to the lowest level, and to the highest."""
    steps: Int[Array, ""]
    """The number of sweeps so far."""
    outside: Bool[Array, ""]
    """Whether an energy was beyond the levels, or not finite."""
    observed: Float[Array, "walkers levels quantities"]
    """Sums of what `observe` returned."""
    times: Float[Array, "walkers levels"]
    """How often that was."""


def multicanonical(
    key: Key[Array, ""], model: Model, weights: Weights, sweeps: int, observe: ObserveState | None = None
) -> Density:
    """Go on with fixed weights, and estimate the density of states.

    The first tenth of the sweeps is not counted.

    Args:
        key: typed random key.
        model: the energy for which the weights were learned.
        weights: of `wang_landau`, with at least 2 walkers.
        sweeps: visits of each walker to all units, static, at least 1.
        observe: `observe(state)`, a vector of quantities such as m² and m⁴, taken once a sweep, whose means
            `thermal.mean_of` then has at every beta; None is for none.

    Returns:
        `Density`.

    Raises:
        ValueError: a key that is not typed, something that is no `Model` or no `Weights`, weights of one walker or of
            another number of units, sweeps below 1, quantities that are no vector.

    Berg and Neuhaus (1992).

    >>> from ebmjax.energies import ising
    >>> from ebmjax.marginalize.density_of_states import models
    >>> ring = models.ising(ising.Params(jnp.array(1.0), jnp.array(0.0)), (6,))  # 2, 30, 30 and 2 states
    >>> weights = wang_landau(jax.random.key(0), ring, [-6.0, -2.0, 2.0, 6.0], walkers=16, sweeps=400)
    >>> density = multicanonical(jax.random.key(1), ring, weights, sweeps=1000)
    >>> bool(jnp.all(abs(density.log_density - jnp.log(jnp.array([2, 30, 30, 2]))) < 5 * density.standard_error))
    True
    """
    check_key("key", key)
    _check(model, weights, observe)
    check_count("sweeps", sweeps)
    return _multicanonical(key, model, jax.tree.map(widened, weights), sweeps, observe)


@compiled
def _multicanonical(key, model, weights, sweeps, observe):
    kernel = counting(model, weights, observe)
    first_key, key = jax.random.split(key)
    first = repeat(first_key, kernel, kernel.init(weights.walkers), max(1, sweeps // 10)).state
    return counted(model, weights, repeat(key, kernel, recounted(first), sweeps).state)


def counting(model: Model, weights: Weights, observe: ObserveState | None = None) -> Kernel:
    """One sweep of `multicanonical` as a kernel, for a run in pieces, between which its state can be saved or shown.

    The first sweeps, which still remember the learning, should not count: `recounted` begins anew after them.

    Args:
        model, weights, observe: as in `multicanonical`.

    Returns:
        `init(position) -> Counting`, of `Walkers` such as `weights.walkers`; and
        `step(rng_key, state) -> (state, None)`, one sweep of all walkers. `counted` makes the density of states of the
        last state.

    Raises:
        ValueError: as in `multicanonical`.

    >>> from ebmjax.energies import ising
    >>> from ebmjax.marginalize.density_of_states import models
    >>> ring = models.ising(ising.Params(jnp.array(1.0), jnp.array(0.0)), (6,))
    >>> weights = wang_landau(jax.random.key(0), ring, [-6.0, -2.0, 2.0, 6.0], walkers=16, sweeps=400)
    >>> kernel = counting(ring, weights)
    >>> state, _ = kernel.step(jax.random.key(1), kernel.init(weights.walkers))
    >>> float(state.counts.sum())  # 16 walkers, two of whose six visits are counted
    32.0
    """
    _check(model, weights, observe)
    weights = jax.tree.map(widened, weights)
    units, count = weights.walkers.positions.shape
    size, dtype = len(weights.levels), weights.levels.dtype
    nothing = jnp.zeros(0, dtype)
    watch = (lambda state: nothing) if observe is None else partial(_observed, observe)

    def init(position, rng_key=None):
        check_record("position", position, Walkers)
        as_float("position", position.positions, (units, count))
        quantities = jax.eval_shape(watch, position.positions[:, 0]).shape
        return Counting(
            position,
            jnp.zeros((count, size), dtype),
            jnp.zeros(count, bool),
            jnp.zeros((count, 2), jnp.int32),
            jnp.zeros((), jnp.int32),
            jnp.any(is_outside(position, weights.levels)),
            jnp.zeros((count, size, *quantities), dtype),
            jnp.zeros((count, size), dtype),
        )

    return Kernel(init, lambda rng_key, state: (_counting_step(rng_key, model, weights, watch, state), None))


@compiled
def _counting_step(key, model, weights, watch, state):
    levels = weights.levels
    count, size = state.counts.shape
    numbers = jnp.arange(size, dtype=jnp.int32)
    lowest = jnp.min(jnp.where(weights.seen, numbers, size))
    highest = jnp.max(jnp.where(weights.seen, numbers, -1))
    hottest = jnp.argmax(weights.log_density)
    positions, visited = sweep(key, model, levels, weights.log_density, state.position)
    positions, steps = refreshed(model, positions, state.steps), state.steps + 1
    least, most = (level_of(limit(visited, axis=0), levels) for limit in (jnp.min, jnp.max))
    fresh = state.fresh | ((least <= hottest) & (most >= hottest))
    arrived = jnp.stack([least <= lowest, most >= highest], axis=1)
    trips = state.trips + (arrived & fresh[:, None]).astype(jnp.int32)
    outside = state.outside | jnp.any(is_outside(positions, levels))
    counts = histograms(state.counts, visited, levels)
    place = jnp.arange(count, dtype=jnp.int32), level_of(positions.energies, levels)
    observed = state.observed.at[place].add(jax.vmap(watch, 1)(positions.positions), mode="drop")
    times = state.times.at[place].add(1, mode="drop")
    fresh = fresh & ~jnp.any(arrived, axis=1)
    return Counting(positions, counts, fresh, trips, steps, outside, observed, times)


def recounted(state: Counting) -> Counting:
    """The same state with nothing counted yet. Raises ValueError for another kind of state.

    >>> walkers = Walkers(jnp.ones((3, 2)), jnp.ones(2))
    >>> zeros, once = jnp.zeros((2, 4, 0)), jnp.array(1)
    >>> state = Counting(walkers, jnp.ones((2, 4)), jnp.array([True, False]), jnp.ones((2, 2), jnp.int32), once,
    ...     jnp.array(False), zeros, jnp.ones((2, 4)))
    >>> float(recounted(state).counts.sum())
    0.0
    """
    check_record("state", state, Counting)
    blank = jax.tree.map(jnp.zeros_like, state)
    return blank._replace(position=state.position, outside=state.outside)


def counted(model: Model, weights: Weights, state: Counting) -> Density:
    """The density of states that a run in pieces has found, after its last sweep.

    Args:
        model, weights: those of `counting`.
        state: the last state.

    Returns:
        `Density`, as `multicanonical` returns it.

    Raises:
        ValueError: as in `counting`, or a state of another kind or shape.

    >>> from ebmjax.marginalize.density_of_states import models
    >>> units = models.general(lambda s: s.sum(), (0, 1), 3)
    >>> weights = wang_landau(jax.random.key(0), units, jnp.arange(4.0), walkers=5, sweeps=20)
    >>> state = counting(units, weights).init(weights.walkers)
    >>> counted(units, weights, state).log_density.tolist()  # nothing is counted yet
    [-inf, -inf, -inf, -inf]
    """
    _check(model, weights, None)
    check_record("state", state, Counting)
    as_float("state", state.counts, (len(weights.walkers.energies), len(weights.levels)))
    return _counted(model, jax.tree.map(widened, weights), state)


def _check(model, weights, observe):
    check_model(model)
    check_record("weights", weights, Weights)
    units, walkers = weights.walkers.positions.shape
    if units != len(model.neighbours):
        raise ArgumentError(f"weights: got those of {units} units, wanted {len(model.neighbours)}, as the model has")
    if walkers < 2:
        raise ArgumentError(f"weights: got {walkers} walker, wanted at least 2: errors come from independent walkers")
    if observe is not None:
        check_callable("observe", observe)


def density_of_states(
    key: Key[Array, ""],
    model: Model,
    levels: Numbers,
    walkers: int,
    learning: int,
    sweeps: int,
    observe: ObserveState | None = None,
) -> Density:
    """The density of states in one call: weights by Wang-Landau, then a multicanonical run with these weights.

    Args:
        key: typed random key.
        model, levels, walkers: as in `wang_landau`, with at least 2 walkers.
        learning: sweeps of Wang-Landau, static: several times log of the number of states.
        sweeps, observe: of the multicanonical run; so many sweeps that `Density.trips` are several.

    Errors are those of `wang_landau` and `multicanonical`.

    >>> from ebmjax.energies import potts
    >>> from ebmjax.marginalize.density_of_states import models
    >>> model = models.potts(potts.Params(jnp.array(1.0), jnp.zeros(3)), potts.lattice(1, 4), 4)
    >>> found = density_of_states(jax.random.key(0), model, [-4.0, -3.0, -2.0, -1.0, 0.0], 16, 400, 1000)
    >>> jnp.isinf(found.log_density).tolist()  # no state of a ring has all bonds but one
    [False, True, False, False, False]
    """
    check_count("walkers", walkers)
    if walkers < 2:
        raise ArgumentError(f"walkers: got {walkers}, wanted at least 2: errors come from independent walkers")
    for name, number in (("learning", learning), ("sweeps", sweeps)):
        check_count(name, number)
    check_key("key", key)
    learn_key, key = jax.random.split(key)
    return multicanonical(key, model, wang_landau(learn_key, model, levels, walkers, learning), sweeps, observe)


@compiled
def _counted(model, weights, state):
    levels = weights.levels
    visits = jnp.sum(state.counts, axis=0)
    found = visits > 0
    shares = state.counts / jnp.where(found, visits, 1)[None]
    logs = jnp.where(found, weights.log_density + jnp.log(jnp.where(found, visits, 1)), -jnp.inf)
    total = jnp.where(jnp.any(found), jax.nn.logsumexp(logs), 0)  # with nothing counted all levels stay at -inf
    log_density = logs - total + jnp.asarray(log_states(model), levels.dtype)
    # by linearization, log g(E) changes with a walker by its share in E less its share in all states
    influences = shares - matmul(shares, jnp.exp(logs - total))[:, None]
    error = jnp.where(found, standard_error(influences), jnp.inf)

    mean = jnp.sum(visits) / jnp.sum(found.astype(levels.dtype))
    flatness = jnp.min(jnp.where(found, visits, jnp.inf)) / mean
    travelled = jnp.all(jnp.mean(state.trips.astype(levels.dtype), axis=0) >= LEAST_TRIPS)
    again = jnp.all(found | ~weights.seen)
    mixed = travelled & again & (flatness >= LEAST_FLAT)
    broken = state.outside | (weights.result == DIVERGED)
    result = jnp.where(broken, DIVERGED, jnp.where(mixed, CONVERGED, NOT_MIXED)).astype(jnp.int32)
    kept = (state.observed, state.times) if state.observed.shape[-1] else (None, None)
    return Density(levels, log_density, error, shares, state.trips, flatness, result, *kept)


def _observed(observe, state):
    return as_float("observe", observe(state), (None,)).astype(state.dtype)
