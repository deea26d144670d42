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
from ebmjax.marginalize.reweighting.draws import as_inefficiency
from ebmjax.records import record
from ebmjax.types import Numbers

LEAST_LAG = 3
"""The sum over lags ends at the first autocorrelation that is not positive, but not before this lag."""


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
