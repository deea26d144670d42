"""Energies of draws at several inverse temperatures: what the estimators of this package share, checked once."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ebmjax.checks import ArgumentError, as_float, check_betas, check_count, check_record, is_static
from ebmjax.records import record
from ebmjax.types import CONVERGED, DIVERGED, NO_OVERLAP, NOT_MIXED, Numbers

LEAST_SHARED = 10
"""Two groups of states are connected by at least so many shared draws.

Their number has a relative error of about 1/√10: with fewer, the standard error itself is not known to a third.
"""
LEAST_LENGTH = 50
"""A chain has at least so many independent draws, or its statistical inefficiency is not known.

The rule of Sokal (1997), "Monte Carlo methods in statistical mechanics", and of Foreman-Mackey et al. (2013), "emcee".
"""


@record
class Draws(NamedTuple):
    """Energies of draws from exp(-beta E)/Z at K inverse temperatures, in one floating dtype."""

    betas: Float[Array, " states"]
    energies: Float[Array, "states draws"]
    """Zero where there is no draw."""
    measure: Float[Array, "states draws"]
    """How many independent draws each one is worth: 1 / inefficiency of its state, and 0 where there is no draw."""
    numbers: Float[Array, " states"]
    """The sums of the measure over the draws of a state."""
    sound: Bool[Array, ""]
    """Whether all energies are finite, and the betas are finite, not negative, and rise."""


def as_draws(betas: Numbers, energies: Numbers, counts: Numbers | None, inefficiency: Numbers | None) -> Draws:
    """Check and convert the energies of draws.

    Args:
        betas: (states,), at least 2, rising, in [0, inf).
        energies: (states, draws), at least 2 draws: row k has energies of draws at betas[k].
        counts: (states,), how many of each row are draws, from 2 to the length of a row; the rest is ignored. None
            takes all.
        inefficiency: (states,), at least 1: how many correlated draws are worth one independent draw. None is 1.

    Raises:
        ValueError: betas that are equal, falling, infinite or negative; energies that are not finite; shapes that
            differ; counts below 2 or beyond the row; an inefficiency below 1.

    >>> as_draws([0.0, 1.0], [[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]], [2, 3], None).numbers.tolist()
    [2.0, 3.0]
    """
    check_betas(betas)
    betas, energies = as_float("betas", betas), as_float("energies", energies)
    states = len(betas)
    if states < 2:
        raise ArgumentError(f"betas: got {states}, wanted at least 2 inverse temperatures")
    if is_static(betas):
        values = np.asarray(betas)
        if not np.isfinite(values).all():
            raise ArgumentError("betas: got inf, wanted finite inverse temperatures")
        if not (np.diff(values) > 0).all():
            raise ArgumentError(f"betas: got {values.tolist()}, wanted inverse temperatures that rise")
    if energies.ndim != 2 or energies.shape[0] != states or energies.shape[1] < 2:
        raise ArgumentError(f"energies: got shape {energies.shape}, wanted ({states}, draws), at least 2 draws")
    exists = _existing("counts", counts, energies)
    if is_static(energies) and is_static(exists) and not np.isfinite(np.asarray(energies)[np.asarray(exists)]).all():
        raise ArgumentError("energies: got a value that is not finite, wanted finite energies of draws")
    dtype = jnp.promote_types(betas.dtype, energies.dtype)
    weight = (1 / as_inefficiency(inefficiency, states)).astype(dtype)
    return _masked(betas.astype(dtype), energies.astype(dtype), exists, weight)


def _existing(name, counts, energies):
    """Which entries are draws."""
    states, draws = energies.shape
    if counts is None:
        return np.ones((states, draws), bool)
    counts = as_float(name, counts, (states,))
    if is_static(counts):
        values = np.asarray(counts)
        if not ((values >= 2) & (values <= draws) & (values == np.floor(values))).all():
            raise ArgumentError(f"{name}: got {values.tolist()}, wanted whole numbers from 2 to {draws}")
        return np.arange(draws) < values[:, None]
    return jnp.arange(draws).astype(counts.dtype)[None] < counts[:, None]


def as_inefficiency(inefficiency: Numbers | None, states: int) -> Float[Array, " states"]:
    """How many correlated draws of each state are worth one; None is 1.

    Raises ValueError for a static number below 1, another length, or states that are no number of things.

    >>> as_inefficiency(None, 2).tolist()
    [1.0, 1.0]
    """
    check_count("states", states)
    if inefficiency is None:
        return jnp.ones(states)
    inefficiency = as_float("inefficiency", inefficiency, (states,))
    if is_static(inefficiency) and not (np.asarray(inefficiency) >= 1).all():
        raise ArgumentError(f"inefficiency: got {np.asarray(inefficiency).tolist()}, wanted numbers of at least 1")
    return inefficiency


def _masked(betas, energies, exists, weight):
    exists = jnp.asarray(exists)
    energies = jnp.where(exists, energies, 0)
    measure = jnp.where(exists, weight[:, None], 0)
    rising = jnp.all(jnp.diff(betas) > 0) & (betas[0] >= 0) & jnp.isfinite(betas[-1])
    sound = jnp.all(jnp.isfinite(energies)) & rising
    return Draws(betas, energies, measure, measure.sum(axis=1), sound)


def result_for(
    sound: Bool[Array, ""],
    values: Float[Array, "..."],
    overlaps: Bool[Array, "..."],
    otherwise: int | Int[Array, "..."],
) -> Int[Array, "..."]:
    """DIVERGED where the input or the value is not finite, NO_OVERLAP where there is none, else the other code.

    >>> values = jnp.array([0.0, jnp.nan, 1.0])
    >>> result_for(jnp.array(True), values, jnp.array([True, True, False]), 0).tolist()
    [0, 2, 6]
    """
    known = jnp.isfinite(values) & sound
    return jnp.where(known, jnp.where(overlaps, otherwise, NO_OVERLAP), DIVERGED).astype(jnp.int32)


def if_long(
    result: Int[Array, " states"], numbers: Float[Array, " states"], inefficiency: Float[Array, " states"]
) -> Int[Array, " states"]:
    """A result code that was CONVERGED is NOT_MIXED from the first state on whose chain is too short to judge it.

    The inefficiency that is found in a chain of a few correlation times is too small, and so is the standard error.
    Draws that are independent, with an inefficiency of one, may be few.

    Args:
        result: codes.
        numbers: independent draws of each state.
        inefficiency: how many draws are worth one independent draw.

    Raises ValueError for what is not numbers.

    >>> if_long(jnp.array([0, 0, 0]), jnp.array([20.0, 80.0, 20.0]), jnp.array([1.0, 5.0, 5.0])).tolist()
    [0, 0, 7]
    """
    numbers, inefficiency = as_float("numbers", numbers), as_float("inefficiency", inefficiency)
    short = (numbers < LEAST_LENGTH) & (inefficiency > 1 + 1e-3)
    since = jnp.cumsum(short.astype(jnp.int32)) > 0
    return jnp.where(since & (result == CONVERGED), NOT_MIXED, result).astype(jnp.int32)


def inefficiency_of(draws: Draws) -> Float[Array, " states"]:
    """How many draws of each state are worth one independent draw. Raises ValueError for what is no `Draws`.

    >>> inefficiency_of(as_draws([0.0, 1.0], [[1.0, 3.0], [0.0, 1.0]], None, [1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    check_record("draws", draws, Draws)
    return jnp.sum(draws.measure > 0, axis=1).astype(draws.numbers.dtype) / draws.numbers


def means(draws: Draws, values: Float[Array, "states draws"]) -> Float[Array, " states"]:
    """The mean of a quantity over the draws of each state.

    >>> means(as_draws([0.0, 1.0], [[1.0, 3.0], [0.0, 1.0]], None, None), jnp.array([[1.0, 3.0], [0.0, 1.0]])).tolist()
    [2.0, 0.5]
    """
    return jnp.sum(values * draws.measure, axis=1) / draws.numbers


def variance_of_mean(draws: Draws, influence: Float[Array, "states draws"]) -> Float[Array, " states"]:
    """The variance of the mean of a quantity over the draws of each state: s²/N with N - 1 degrees of freedom.

    >>> draws = as_draws([0.0, 1.0], [[1.0, 3.0], [0.0, 1.0]], None, None)
    >>> variance_of_mean(draws, draws.energies).tolist()
    [1.0, 0.25]
    """
    centred = influence - means(draws, influence)[:, None]
    exact = jnp.sum(draws.measure > 0, axis=1).astype(centred.dtype)
    return means(draws, centred**2) * (exact / (exact - 1)) / draws.numbers
