"""Many walkers that draw each unit in turn from exp(-log g(E)), the law in which all energies are equally likely.

    P(s_i = a | rest) = 1/g(E_a) / Σ_b 1/g(E_b),    E_a the energy with s_i = a

This is Gibbs sampling of the law 1/g(E(s)), which stays as it is under draws in any order. Walkers are the last axis of
all arrays, so that one visit to a unit is a few operations on contiguous memory.

Berg and Neuhaus (1992), "Multicanonical ensemble: a new approach to simulate first-order phase transitions".
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from ebmjax import random_bits
from ebmjax.checks import ArgumentError, as_float, as_scalar, check_record, is_static
from ebmjax.compiled import compiled
from ebmjax.marginalize.density_of_states.models import Model
from ebmjax.records import record
from ebmjax.types import Numbers

MOST = 80
"""The largest log of a ratio of weights, so that they do not overflow."""
REFRESH = 16
"""Sweeps from one computation of the energies to the next, which takes as long as a part of a sweep."""
EVERY = 4
"""Every fourth visit counts for the histogram: energies hardly change between visits, and counting takes time."""


@record
class Walkers(NamedTuple):
    """Where the walkers are."""

    positions: Float[Array, "units walkers"]
    energies: Float[Array, " walkers"]


def as_levels(levels: Numbers) -> Float[Array, " levels"]:
    """Energies at equal distances, rising. Raises ValueError for others, or fewer than two of them.

    >>> as_levels([0.0, 1.0, 3.0])
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: levels: got distances from 1.0 to 2.0, wanted energies that rise by equal distances
    """
    levels = as_float("levels", levels, (None,))
    if len(levels) < 2:
        raise ArgumentError(f"levels: got {len(levels)}, wanted at least two energies")
    if is_static(levels):
        distances = np.diff(np.asarray(levels, np.float64))
        least, most = distances.min(), distances.max()
        # float32 rounds each of them to 6e-8 of the largest
        if not (least > 0 and most - least <= 1e-2 * least):
            raise ArgumentError(
                f"levels: got distances from {least} to {most}, wanted energies that rise by equal distances"
            )
    return levels


def check_model(model: Any) -> None:
    """Raise ValueError for anything but a `Model`.

    >>> from ebmjax.marginalize.density_of_states.models import general
    >>> check_model(general(lambda s: s.sum(), (0, 1), 3))
    """
    check_record("model", model, Model)


def begun(key: Key[Array, ""], model: Model, count: int) -> Walkers:
    """Walkers at random states, all of which are equally likely.

    >>> from ebmjax.marginalize.density_of_states.models import general
    >>> begun(jax.random.key(0), general(lambda s: s.sum(), (0, 1), 3), 5).positions.shape
    (3, 5)
    """
    numbers = jax.random.randint(key, (len(model.neighbours), count), 0, len(model.values))
    return placed(model, model.values[numbers])


def placed(model: Model, positions: Float[Array, "units walkers"]) -> Walkers:
    """Walkers at given positions.

    >>> from ebmjax.marginalize.density_of_states.models import general
    >>> placed(general(lambda s: s.sum(), (0, 1), 3), jnp.ones((3, 2))).energies.tolist()
    [3.0, 3.0]
    """
    energy = lambda position: as_scalar("energy", model.energy(position)).astype(positions.dtype)
    return Walkers(positions, jax.vmap(energy, 1)(positions))


def refreshed(model: Model, walkers: Walkers, sweeps: Int[Array, ""]) -> Walkers:
    """The walkers, with energies that are computed anew after every sixteenth sweep.

    >>> from ebmjax.marginalize.density_of_states.models import general
    >>> drifted = Walkers(jnp.ones((3, 1)), jnp.array([3.1]))
    >>> refreshed(general(lambda s: s.sum(), (0, 1), 3), drifted, jnp.array(16)).energies.tolist()
    [3.0]
    """
    return _refreshed(model, walkers, sweeps)


@compiled
def _refreshed(model, walkers, sweeps):
    anew = lambda walkers: placed(model, walkers.positions).energies
    due = sweeps % REFRESH == 0
    return walkers._replace(energies=jax.lax.cond(due, anew, lambda walkers: walkers.energies, walkers))


def level_of(energies: Float[Array, "*shape"], levels: Float[Array, " levels"]) -> Int[Array, "*shape"]:
    """The number of the nearest level; it is negative, or too large, beyond the ends.

    >>> level_of(jnp.array([-3.0, 0.4, 9.0]), jnp.array([0.0, 1.0, 2.0])).tolist()
    [-3, 0, 9]
    """
    width = (levels[-1] - levels[0]) / (len(levels) - 1)
    return jnp.round((energies - levels[0]) / width).astype(jnp.int32)


def sweep(
    key: Key[Array, ""],
    model: Model,
    levels: Float[Array, " levels"],
    log_density: Float[Array, " levels"],
    walkers: Walkers,
) -> tuple[Walkers, Float[Array, "units walkers"]]:
    """Draw every unit of all walkers once, in order; and the energies of all walkers before each draw.

    States beyond the ends of the levels are forbidden. The energies follow from the changes at each visit; `refreshed`
    computes them anew now and then, so that rounding does not add up.

    >>> from ebmjax.marginalize.density_of_states.models import general
    >>> model = general(lambda s: s.sum(), (0, 1), 3)
    >>> walkers = begun(jax.random.key(0), model, 5)
    >>> sweep(jax.random.key(1), model, jnp.arange(4.0), jnp.zeros(4), walkers)[1].shape
    (3, 5)
    """
    return _sweep(key, model, levels, log_density, walkers)


@compiled
def _sweep(key, model, levels, log_density, walkers):
    units, count = walkers.positions.shape
    dtype = walkers.positions.dtype
    values = model.values.astype(dtype)
    uniforms = random_bits.uniform(key, (units, count)).astype(dtype)
    places = np.concatenate([np.arange(units, dtype=np.int32)[:, None], model.neighbours], axis=1)

    def visit(carry, inputs):
        positions, energies = carry
        place, terms, uniform = inputs
        rows = _computed_once(positions[place])
        own, around = rows[0], rows[1:]
        local = jax.vmap(model.local, (None, 1), 1)(terms, around).astype(dtype)
        is_own = own[None] == values[:, None]
        of_own = lambda numbers: jnp.sum(jnp.where(is_own, numbers, 0), axis=0)
        changes = local - of_own(local)[None]
        logs = _log_at(levels, log_density, energies[None] + changes)
        # 1/g relative to that of the present state, which is allowed
        weights = jnp.exp(jnp.minimum(of_own(logs)[None] - logs, MOST))
        # the unit takes the first value at which the sum of the weights reaches its uniform share of the whole sum
        sums = list(itertools.accumulate(weights[number] for number in range(len(values))))
        reached = uniform * sums[-1]
        new, change = jnp.broadcast_to(values[0], own.shape), changes[0]
        for number, below in enumerate(sums[:-1], start=1):
            new = jnp.where(below < reached, values[number], new)
            change = jnp.where(below < reached, changes[number], change)
        positions = jax.lax.dynamic_update_index_in_dim(positions, new, place[0], 0)
        return (positions, energies + change), energies

    inputs = (jnp.asarray(places), model.terms, uniforms)
    (positions, energies), visited = jax.lax.scan(visit, (walkers.positions, walkers.energies), inputs)
    return Walkers(positions, energies), visited


def _log_at(levels, log_density, energies):
    """log g at energies; infinite beyond the ends, where no walker goes."""
    at = level_of(energies, levels)
    inside = (at >= 0) & (at < len(levels))
    return jnp.where(inside, log_density[jnp.clip(at, 0, len(levels) - 1)], jnp.inf)


def histogram(visited: Float[Array, "units walkers"], levels: Float[Array, " levels"]) -> Float[Array, " levels"]:
    """How often all walkers together were at each level, in every fourth visit.

    >>> histogram(jnp.array([[0.0, 1.0], [1.0, 1.0]]), jnp.array([0.0, 1.0])).tolist()
    [1.0, 1.0]
    """
    return jnp.zeros_like(levels).at[level_of(visited[::EVERY], levels).ravel()].add(1, mode="drop")


def histograms(
    counts: Float[Array, "walkers levels"], visited: Float[Array, "units walkers"], levels: Float[Array, " levels"]
) -> Float[Array, "walkers levels"]:
    """The histograms of each walker, with the visits of `histogram` added to them.

    >>> histograms(jnp.zeros((2, 2)), jnp.array([[0.0, 1.0], [1.0, 1.0]]), jnp.array([0.0, 1.0])).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    at = level_of(visited[::EVERY], levels)
    rows = jnp.broadcast_to(jnp.arange(len(counts), dtype=jnp.int32)[None], at.shape)
    return counts.at[rows, at].add(1, mode="drop")


def is_outside(walkers: Walkers, levels: Float[Array, " levels"]) -> Bool[Array, " walkers"]:
    """Whether a walker is at an energy beyond the ends of the levels, or at one that is not finite.

    >>> is_outside(Walkers(jnp.zeros((1, 3)), jnp.array([-9.0, 1.0, jnp.nan])), jnp.array([0.0, 1.0])).tolist()
    [True, False, True]
    """
    at = level_of(walkers.energies, levels)
    return ~jnp.isfinite(walkers.energies) | (at < 0) | (at >= len(levels))


def standard_error(influences: Float[Array, "walkers *rest"]) -> Float[Array, "*rest"]:
    """The standard error of a number that every walker, independently, changes by its influence.

        sqrt(M/(M - 1) Σ_m (r_m - mean r)²)

    >>> float(standard_error(jnp.array([1.0, -1.0])))
    2.0
    """
    count = len(influences)
    away = influences - jnp.mean(influences, axis=0, keepdims=True)
    return jnp.sqrt(jnp.sum(jnp.square(away), axis=0) * (count / (count - 1)))


def _computed_once(rows):
    """The same rows, which XLA reads once: it would otherwise read them again while it writes, and copy all positions.

    It does not repeat a reduction: here a sum with zeros.
    """
    zero = np.zeros((), rows.dtype)
    return jax.lax.reduce(jnp.stack([rows, jnp.zeros_like(rows)]), zero, jax.lax.add, (0,))
