"""How many correlated draws are worth one independent draw, and which draws to keep.

    g = 1 + 2 Σ_t (1 - t/N) C_t,    C_t the autocorrelation at lag t

The estimators of this package take g as their argument `inefficiency`, and count each draw as 1/g; or the draws are
thinned, so that the rest is nearly independent. The former wastes no draws.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ebmjax.checks import ArgumentError, as_float, is_static
from ebmjax.marginalize.reweighting.draws import as_draws, as_inefficiency
from ebmjax.records import record
from ebmjax.types import Numbers

LEAST_LAG = 3
"""The sum over lags ends at the first autocorrelation that is not positive, but not before this lag."""
LEAST_REPLICAS = 4
"""From the replicas in a state an error follows if they are at least so many: it has a relative error of 1/√(2 · 3)."""


@record
class Thinned(NamedTuple):
    """The draws that were kept, first in each row."""

    energies: Float[Array, "states draws"]
    """Of the shape that was given: the first `counts` of each row are the kept ones, the rest repeats the last."""
    counts: Int[Array, " states"]
    """How many were kept, for the argument `counts` of the estimators."""


def statistical_inefficiency(series: Numbers) -> Float[Array, "..."]:
    """How many successive draws of a series are worth one independent draw, at least 1.

    The sum over lags is truncated where the autocorrelation is first not positive, as `pymbar` does.

    Args:
        series: (..., draws), a quantity along a chain, in any unit, after burn-in; at least 4 draws. For the estimators
            of this package it is the energies, (states, draws): each row a chain at one beta.

    Returns:
        g of each row, of the shape of series without its last axis; 1 for a row that is constant.

    Raises:
        ValueError: fewer than 4 draws, a static series that is not finite, what is not numbers.

    Chodera, Swope, Pitera, Seok, Dill (2007), eq. 12 to 14; Chodera (2016).

    >>> noise = jax.random.normal(jax.random.key(0), (4000,))
    >>> bool(statistical_inefficiency(noise) < 1.3), bool(statistical_inefficiency(jnp.repeat(noise, 10)) > 8)
    (True, True)
    """
    series = as_float("series", series)
    if series.ndim < 1 or series.shape[-1] < 4:
        raise ArgumentError(f"series: got shape {series.shape}, wanted (..., draws), at least 4 draws")
    if is_static(series) and not np.isfinite(np.asarray(series)).all():
        raise ArgumentError("series: got a value that is not finite, wanted finite values of draws")
    return _inefficiency(series)


@jax.jit
def _inefficiency(series):
    draws = series.shape[-1]
    away = series - series.mean(axis=-1, keepdims=True)
    unit = jnp.max(jnp.abs(away), axis=-1, keepdims=True)
    constant = unit <= 4 * jnp.finfo(series.dtype).eps * jnp.max(jnp.abs(series), axis=-1, keepdims=True)
    away = away / jnp.where(constant, 1, unit)
    spectrum = jnp.fft.rfft(away, 2 * draws, axis=-1)
    sums = jnp.fft.irfft(spectrum.real**2 + spectrum.imag**2, axis=-1)[..., 1 : draws - 1]
    # (1 - t/N) C_t is the sum of products at lag t over the sum of squares
    terms = sums / jnp.where(constant, 1, jnp.sum(away**2, axis=-1, keepdims=True))
    positive = (terms > 0) | (jnp.arange(1, draws - 1) <= LEAST_LAG).reshape((1,) * (series.ndim - 1) + (-1,))
    kept = jnp.cumprod(positive.astype(jnp.int32), axis=-1) > 0
    g = jnp.maximum(1 + 2 * jnp.sum(jnp.where(kept, terms, 0), axis=-1), 1)
    return jnp.where(constant[..., 0], 1, g)


def ladder_inefficiency(betas: Numbers, energies: Numbers, replicas: Numbers | None = None) -> Float[Array, " states"]:
    """How many successive draws of each state of a tempering run are worth one, for errors of log Z at its last beta.

    Chains that exchange temperatures are correlated with each other, which `statistical_inefficiency` of each does
    not see: a replica that stays in one mode carries it to one state after another. What log Z has from the draws at
    one step is about ψ(t) = Σ_k c_k E_k(t), with the weights c of the trapezoid rule over beta. If the states were
    independent, its mean had the variance Σ_k c_k² var(E_k) g_k / N; it has var(ψ) g(ψ) / N. All g_k are multiplied
    by the ratio of both.

    The autocorrelation of ψ does not show a mode that is slow and weak: in a spin glass one of 1% of the variance, over
    hundreds of sweeps, can be more than half of the error, and is lost in the noise of fast modes. It lives in the
    replicas, which pass their mode on to no other. With `replicas`, the variance of the mean of ψ is also taken from
    what each replica r contributes to it,

        Σ_r (Σ_t c_k (E_k(t) - mean E_k))² / N²,    k the state where r is at step t,

    and the larger one of the two counts. A state that was visited by fewer than four replicas, as 1/Σ_r p_r² of their
    shares p_r, knows nothing of others: all its draws are worth one, and the estimators say `NOT_MIXED`.

    Args:
        betas: (states,), at least 2, as in `mbar`.
        energies: (states, draws), at least 4 draws, of one step in each column.
        replicas: (states, draws), whole numbers from 0 to states - 1: which replica was in each state, such as
            `State.replica` of `tempering`. None is for runs where this was not recorded.

    Returns:
        For the argument `inefficiency` of the estimators, at least 1. It is that of the whole ladder: for states that
        end before its last beta the errors are about right.

    Raises:
        ValueError: fewer than 2 betas, or ones that do not rise; energies of another shape, with fewer than 4 draws, or
            static ones that are not finite; replicas of another shape than the energies, or that are not such numbers.

    >>> betas, noise = jnp.array([0.0, 1.0, 2.0]), jax.random.normal(jax.random.key(0), (3, 4000))
    >>> bool(jnp.all(ladder_inefficiency(betas, noise) < 1.3))
    True
    >>> together = jnp.broadcast_to(noise[:1], (3, 4000))  # the variance of a sum of equals: (1/2 + 1 + 1/2)² / (3/2)
    >>> bool(jnp.all(abs(ladder_inefficiency(betas, together) - 4 / 1.5) < 0.4))
    True
    """
    draws = as_draws(betas, energies, None, None)
    states, count = draws.energies.shape
    if count < 4:
        raise ArgumentError(f"energies: got shape {draws.energies.shape}, wanted (states, draws), at least 4 draws")
    if replicas is None:
        return _ladder(draws.betas, draws.energies)
    replicas = as_float("replicas", replicas, (states, count))
    if is_static(replicas):
        values = np.asarray(replicas)
        if not ((values >= 0) & (values < states) & (values == np.floor(values))).all():
            raise ArgumentError(f"replicas: got other numbers, wanted whole numbers from 0 to {states - 1}")
    return _ladder_of_replicas(draws.betas, draws.energies, replicas.astype(jnp.int32))


@jax.jit
def _ladder(betas, energies):
    of_states = _contributions(betas, energies)
    of_step = of_states.sum(axis=0)
    each, together = _inefficiency(of_states), _inefficiency(of_step[None])[0]
    return _scaled(of_states, each, jnp.mean(of_step**2) * together)


def _contributions(betas, energies):
    """What each draw adds to ψ, less its mean."""
    gaps = jnp.diff(betas)
    end = jnp.zeros(1, gaps.dtype)
    halves = jnp.concatenate([gaps, end]) / 2 + jnp.concatenate([end, gaps]) / 2
    return halves[:, None] * (energies - energies.mean(axis=1, keepdims=True))


def _scaled(of_states, each, variance):
    """The inefficiencies of all states, multiplied so that N times the variance of the mean of ψ is this one."""
    independent = jnp.sum(jnp.mean(of_states**2, axis=1) * each)
    ratio = variance / jnp.where(independent > 0, independent, 1)
    return jnp.where(independent > 0, jnp.maximum(each * ratio, 1), each)


@jax.jit
def _ladder_of_replicas(betas, energies, replicas):
    states, count = energies.shape
    of_states = _contributions(betas, energies)
    rows = jnp.broadcast_to(jnp.arange(states, dtype=jnp.int32)[:, None], replicas.shape)
    zeros = jnp.zeros((states, states), energies.dtype)
    shares = zeros.at[rows, replicas].add(1) / count
    visitors = 1 / jnp.sum(shares**2, axis=1)
    # a mean over so many replicas was subtracted: that of their energies is too small by a share of 1/visitors
    unbiased = jnp.sqrt(visitors / jnp.maximum(visitors - 1, 1e-3))
    of_replicas = jnp.sum(zeros.at[rows, replicas].add(of_states) * unbiased[:, None], axis=0)
    by_replicas = _scaled(of_states, _inefficiency(of_states), jnp.sum(of_replicas**2) / count)
    known = jnp.where(visitors >= LEAST_REPLICAS, 1, count)
    return jnp.maximum(jnp.maximum(_ladder(betas, energies), by_replicas), known)


def thinned(energies: Numbers, inefficiency: Numbers) -> Thinned:
    """Keep one draw in g of each row, so that what remains is nearly independent.

    The kept draws are numbers round(i g) for i = 0, 1, ...

    Args:
        energies: (states, draws), in the order in which they were drawn.
        inefficiency: (states,), at least 1.

    Raises:
        ValueError: energies that have not two axes; an inefficiency of another length, or below 1.

    >>> kept = thinned(jnp.arange(6.0)[None], [2.0])
    >>> kept.energies[0, :3].tolist(), kept.counts.tolist()
    ([0.0, 2.0, 4.0], [3])
    """
    energies = as_float("energies", energies, (None, None))
    inefficiency = as_inefficiency(as_float("inefficiency", inefficiency), energies.shape[0])
    if energies.shape[1] == 0:
        raise ArgumentError(f"energies: got shape {energies.shape}, wanted at least one draw")
    return _thinned(energies, inefficiency)


@jax.jit
def _thinned(energies, inefficiency):
    draws = energies.shape[1]
    places = jnp.round(jnp.arange(draws).astype(inefficiency.dtype)[None] * inefficiency[:, None])
    counts = jnp.sum(places < draws, axis=1).astype(jnp.int32)
    last = jnp.take_along_axis(places, counts[:, None] - 1, axis=1)
    places = jnp.where(places < draws, places, last).astype(jnp.int32)
    return Thinned(jnp.take_along_axis(energies, places, axis=1), counts)
