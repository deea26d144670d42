"""Wang-Landau: learn log g(E), the logarithm of the number of states at each energy, by visiting all energies.

    log g(E) ← log g(E) + f · (visits of E),    f → f/2 when all energies were visited, until f = 1/t

The walkers draw from 1/g(E), and what they visit becomes less likely, until all energies are equally likely. They share
one log g, which changes once a sweep; f is measured so that it is what an average level receives in a sweep, and t is
the number of sweeps. With f = 1/t the error goes to zero, while with ever smaller f/2 it stays finite. Since so many
walkers visit all energies soon, f is halved only when the histogram since the last time is flat, or when it has not
become so in a third of all sweeps. It is not while new energies are found.

The result is a set of weights and no estimate, since a walker's law changes as it goes. `multicanonical` goes on with
fixed weights, and has errors.

Wang and Landau (2001), "Efficient, multiple-range random walk algorithm to calculate the density of states";
Belardinelli and Pereyra (2007), "Fast algorithm to calculate density of states".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from ebmjax.checks import as_float, check_count, check_key, check_record
from ebmjax.compiled import compiled
from ebmjax.loops import repeat
from ebmjax.marginalize.density_of_states.models import Model, log_states
from ebmjax.marginalize.density_of_states.walkers import (
    Walkers,
    as_levels,
    begun,
    check_model,
    histogram,
    is_outside,
    refreshed,
    sweep,
)
from ebmjax.records import record
from ebmjax.types import CONVERGED, DIVERGED, NOT_MIXED, Kernel, Numbers

SHORTEST = 10
"""So many sweeps at least have the same f."""
FLAT = 0.5
"""A histogram is flat when each level has at least this share of the mean."""
FASTEST = 64
"""At first log g rises as if its whole range, log of the number of states, were reached in so many sweeps."""

HIGHEST = 4.0
"""In one sweep no level rises by more nats."""


@record
class Weights(NamedTuple):
    """What Wang-Landau has learned: log g up to a constant, and where the walkers are."""

    levels: Float[Array, " levels"]
    """The energies."""
    log_density: Float[Array, " levels"]
    """log g; at a level that was never visited, the least of the others."""
    seen: Bool[Array, " levels"]
    """Which levels were visited."""
    factor: Float[Array, ""]
    """The last f."""
    walkers: Walkers
    """Where the walkers are."""
    result: Int[Array, ""]
    """`CONVERGED` once f = 1/t, `NOT_MIXED` before, `DIVERGED` where an energy is beyond the levels or not finite."""


@record
class Learning(NamedTuple):
    """The state of a run that is not finished."""

    position: Walkers
    """Where the walkers are."""
    log_density: Float[Array, " levels"]
    """log g so far."""
    seen: Bool[Array, " levels"]
    """Which levels were visited."""
    lately: Float[Array, " levels"]
    """The histogram since f was last halved."""
    factor: Float[Array, ""]
    """f."""
    steps: Int[Array, ""]
    """The number of sweeps so far."""
    period: Int[Array, ""]
    """The number of sweeps since f was last halved."""
    outside: Bool[Array, ""]
    """Whether an energy was beyond the levels, or not finite."""


def wang_landau(key: Key[Array, ""], model: Model, levels: Numbers, walkers: int, sweeps: int) -> Weights:
    """Learn weights with which all energies are equally likely.

    Args:
        key: typed random key; the walkers begin at random states.
        model: the energy, see `models`.
        levels: energies that rise by equal distances, over the whole range of the energy. An energy belongs to the
            nearest one. Levels that the energy cannot take are never visited, and do no harm.
        walkers: how many, static, at least 1; hundreds take little more time than one.
        sweeps: visits of each walker to all units, static, at least 1: several times log of the number of states.

    Returns:
        `Weights`.

    Raises:
        ValueError: a key that is not typed, something that is no `Model`, levels that do not rise by equal distances, a
            number of walkers or sweeps below 1.

    Wang and Landau (2001); Belardinelli and Pereyra (2007), section II.

    >>> from ebmjax.energies import ising
    >>> from ebmjax.marginalize.density_of_states import models
    >>> ring = models.ising(ising.Params(jnp.array(1.0), jnp.array(0.0)), (6,))  # E = -6, -2, 2, 6
    >>> weights = wang_landau(jax.random.key(0), ring, [-6.0, -2.0, 2.0, 6.0], walkers=16, sweeps=400)
    >>> bool(abs(weights.log_density[1] - weights.log_density[0] - jnp.log(15)) < 0.5)  # 30 states and 2
    True
    """
    check_key("key", key)
    check_model(model)
    levels = as_levels(levels)
    check_count("walkers", walkers)
    check_count("sweeps", sweeps)
    return _wang_landau(key, model, levels, walkers, sweeps)


@compiled
def _wang_landau(key, model, levels, walkers, sweeps):
    start_key, key = jax.random.split(key)
    kernel = learning(model, levels)
    return learned(levels, repeat(key, kernel, kernel.init(begun(start_key, model, walkers)), sweeps).state)


def learning(model: Model, levels: Numbers) -> Kernel:
    """One sweep of `wang_landau` as a kernel, for a run in pieces, between which its state can be saved or shown.

    Args:
        model: the energy, see `models`.
        levels: as in `wang_landau`.

    Returns:
        `init(position) -> Learning`, of `Walkers` such as `walkers.begun` makes; and
        `step(rng_key, state) -> (state, None)`, one sweep of all walkers. `learned` makes weights of the last state.

    Raises:
        ValueError: something that is no `Model`, levels that do not rise by equal distances.

    >>> from ebmjax.energies import ising
    >>> from ebmjax.marginalize.density_of_states import models
    >>> ring = models.ising(ising.Params(jnp.array(1.0), jnp.array(0.0)), (6,))
    >>> kernel = learning(ring, [-6.0, -2.0, 2.0, 6.0])
    >>> state = kernel.init(begun(jax.random.key(0), ring, 16))
    >>> for key in jax.random.split(jax.random.key(1), 3):
    ...     state, _ = kernel.step(key, state)
    >>> int(state.steps)
    3
    """
    check_model(model)
    levels = as_levels(levels)

    def init(position, rng_key=None):
        check_record("position", position, Walkers)
        nowhere, zeros = jnp.zeros(levels.shape, bool), jnp.zeros_like(levels)
        fastest = jnp.asarray(max(1.0, log_states(model) / FASTEST), levels.dtype)
        outside, never = jnp.any(is_outside(position, levels)), jnp.zeros((), jnp.int32)
        return Learning(position, zeros, nowhere, zeros, fastest, never, never, outside)

    return Kernel(init, lambda rng_key, state: (_learning_step(rng_key, model, levels, state), None))


@compiled
def _learning_step(key, model, levels, state):
    dtype = levels.dtype
    positions, visited = sweep(key, model, levels, state.log_density, state.position)
    positions = refreshed(model, positions, state.steps)
    counts = histogram(visited, levels)
    visits = counts > 0
    seen, steps = state.seen | visits, state.steps + 1
    # while new levels are found, the walkers go on as fast
    found = jnp.any(seen != state.seen)
    period, lately = jnp.where(found, 0, state.period + 1), jnp.where(found, 0, state.lately + counts)
    share = counts * (jnp.sum(seen.astype(dtype)) / jnp.maximum(jnp.sum(counts), 1))
    # few walkers would otherwise raise walls between the levels where they are, which take many sweeps to wear down
    log_density = state.log_density + share * jnp.minimum(state.factor, HIGHEST / jnp.max(share))
    # a level that was not visited is as likely as the least one that was, so that no walker is caught there
    log_density = jnp.where(seen, log_density, jnp.min(jnp.where(seen, log_density, jnp.inf)))
    log_density = log_density - jnp.max(log_density)
    least = jnp.min(jnp.where(seen, lately, jnp.inf))
    flat = least * jnp.sum(seen.astype(dtype)) >= FLAT * jnp.sum(lately)
    done = (flat & (period >= SHORTEST)) | (2 * period > steps)
    slowest = 1 / steps.astype(dtype)
    factor = jnp.maximum(jnp.where(done, state.factor / 2, state.factor), slowest)
    outside = state.outside | jnp.any(is_outside(positions, levels))
    lately, period = jnp.where(done, 0, lately), jnp.where(done, 0, period)
    return Learning(positions, log_density, seen, lately, factor, steps, period, outside)


def learned(levels: Numbers, state: Learning) -> Weights:
    """The weights of a run in pieces, after its last sweep.

    Args:
        levels: those of `learning`.
        state: the last state.

    Returns:
        `Weights`, as `wang_landau` returns them.

    Raises:
        ValueError: levels that do not rise by equal distances, a state of another kind or number of levels.

    >>> from ebmjax.marginalize.density_of_states import models
    >>> units = models.general(lambda s: s.sum(), (0, 1), 3)
    >>> state = learning(units, jnp.arange(4.0)).init(begun(jax.random.key(0), units, 5))
    >>> learned(jnp.arange(4.0), state).log_density.tolist()  # nothing is learned yet
    [0.0, 0.0, 0.0, 0.0]
    """
    levels = as_levels(levels)
    check_record("state", state, Learning)
    as_float("state", state.log_density, levels.shape)
    settled = (state.steps > 0) & (state.factor * state.steps.astype(levels.dtype) <= 1.5)
    broken = state.outside | ~jnp.all(jnp.isfinite(state.log_density))
    result = jnp.where(broken, DIVERGED, jnp.where(settled, CONVERGED, NOT_MIXED)).astype(jnp.int32)
    return Weights(levels, state.log_density, state.seen, state.factor, state.position, result)
