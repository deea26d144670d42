"""The multistate Bennett acceptance ratio (MBAR): log Z of all states from the draws of all states.

    Z_k = Σ_n exp(-u_k(x_n)) / Σ_j (N_j / Z_j) exp(-u_j(x_n))

The outer sum runs over the draws of all states. Of all estimators that use these draws it has the least asymptotic
variance. `mixture` uses the same solution between and beyond the betas.

Shirts and Chodera (2008); Ferrenberg and Swendsen (1989), whose histogram equations it solves without histograms.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float, is_static
from ebmjax.marginalize.reweighting.draws import (
    Draws,
    as_draws,
    as_inefficiency,
    if_long,
    inefficiency_of,
    means,
    result_for,
)
from ebmjax.marginalize.reweighting.pair import ratio
from ebmjax.marginalize.reweighting.solve import NEAR, Fit, solve
from ebmjax.numerics import matmul
from ebmjax.types import CONVERGED, STEP_LIMIT, Estimate, Numbers


def mbar(
    betas: Numbers,
    energies: Numbers,
    counts: Numbers | None = None,
    inefficiency: Numbers | None = None,
    log_reference: Numbers = 0.0,
) -> Estimate:
    """log Z at every beta of a ladder, from energies of draws at all of them.

    Z_k = Σ_n exp(-beta_k E_n) / Σ_j (N_j / Z_j) exp(-beta_j E_n), up to a factor, which makes log Z at betas[0] the
    reference.

    Args:
        betas: (states,), at least 2, rising, in [0, inf).
        energies: (states, draws), at least 2 draws; row k has energies of draws from exp(-betas[k] E)/Z.
        counts: (states,), how many of each row are draws; the rest of the row is ignored. None takes all.
        inefficiency: (states,), how many draws of each state are worth one independent draw, at least 1, from
            `inefficiency.statistical_inefficiency`. None is 1: the draws are independent.
        log_reference: log Z at betas[0], in nats: log|Z| of the space where betas[0] is 0.

    Returns:
        `Estimate` with one entry for each beta. The standard errors are those of log Z_k - log Z_0, from the asymptotic
        covariance. `effective_samples` are those of the weights at beta_k. There are no bounds. `result` is
        `NO_OVERLAP` for a state that shares fewer than 10 draws with states towards betas[0] (the error is then NaN),
        `NOT_MIXED` from the first state on whose chain is shorter than 50 times its inefficiency, and `DIVERGED` where
        an energy is not finite.

    Raises:
        ValueError: betas that are equal, falling, infinite or negative; energies that are not finite; shapes that
            differ; counts below 2 or beyond the row; an inefficiency below 1; a reference that is not finite.

    Shirts and Chodera (2008), eq. 11.

    >>> betas = jnp.array([1.0, 2.0, 4.0])
    >>> draws = jax.random.normal(jax.random.key(0), (3, 2000)) / jnp.sqrt(betas)[:, None]
    >>> estimate = mbar(betas, draws**2 / 2)  # harmonic oscillators: log Z = -log(beta)/2 + constant
    >>> bool(abs(estimate.log_partition[2] + jnp.log(4.0) / 2) < 4 * estimate.standard_error[2])
    True
    """
    draws = as_draws(betas, energies, counts, inefficiency)
    return _mbar(draws, as_reference(log_reference))


def mbar_of_states(
    reduced: Numbers, counts: Numbers, inefficiency: Numbers | None = None, log_reference: Numbers = 0.0
) -> Estimate:
    """log Z_k of arbitrary states with reduced energies u_k(x), from draws of all of them.

    Args:
        reduced: (states, draws), u_k(x_n) of every draw under every state, dimensionless: beta_k E_k(x_n), say. The
            draws of state 0 come first, then those of state 1, and so on. +inf forbids a draw under a state.
        counts: (states,), how many draws come from each state, whole numbers of at least 2 whose sum is the number of
            draws.
        inefficiency: (states,), as in `mbar`.
        log_reference: log Z of state 0.

    Returns:
        `Estimate`, as from `mbar`.

    Raises:
        ValueError: fewer than 2 states; counts below 2, or of another sum; reduced energies that are NaN, -inf, or
            +inf under all states or the one a draw came from; an inefficiency below 1; a reference that is not finite.

    Shirts and Chodera (2008), eq. 11.

    >>> x = jax.random.normal(jax.random.key(0), (2, 1000)) * jnp.array([[1.0], [0.5]])
    >>> u = jnp.array([[0.5], [2.0]]) * x.reshape(1, -1) ** 2
    >>> estimate = mbar_of_states(u, [1000, 1000])
    >>> bool(abs(estimate.log_partition[1] - jnp.log(0.5)) < 0.1)
    True
    """
    reduced = as_float("reduced", reduced, (None, None))
    states, total = reduced.shape
    if states < 2:
        raise ArgumentError(f"reduced: got {states} state, wanted at least 2")
    as_float("counts", counts, (states,))
    if not is_static(counts):
        raise ArgumentError("counts: got a traced array, wanted whole numbers that are known before tracing")
    numbers = np.asarray(counts, np.float64)
    if not ((numbers >= 2) & (numbers == np.floor(numbers))).all() or numbers.sum() != total:
        raise ArgumentError(f"counts: got {numbers.tolist()}, wanted whole numbers of at least 2 whose sum is {total}")
    source = np.repeat(np.arange(states, dtype=np.int32), numbers.astype(int))
    if is_static(reduced):
        values = np.asarray(reduced)
        own = np.take_along_axis(values, source[None].astype(np.int64), axis=0)[0]
        if np.isnan(values).any() or (values == -np.inf).any() or not np.isfinite(own).all():
            wanted = "numbers, or +inf under states that forbid a draw which came from another"
            raise ArgumentError(f"reduced: got a value that is not finite, wanted {wanted}")
    inefficiency = as_inefficiency(inefficiency, states).astype(reduced.dtype)
    # the draws of each state as a row, filled up with its last one
    within = np.arange(int(numbers.max()), dtype=np.int32)[None]
    first, last = (np.cumsum(numbers) - numbers)[:, None], np.cumsum(numbers)[:, None] - 1
    places = np.minimum(first + within, last).astype(np.int32)
    real = within < numbers[:, None]
    numbers = jnp.asarray(numbers, reduced.dtype)
    return _mbar_of_states(reduced, numbers, source, places, real, inefficiency, as_reference(log_reference))


def as_reference(log_reference: Numbers) -> Float[Array, ""]:
    """The reference as a scalar array. Raises ValueError for what is not one finite number.

    >>> as_reference(0.0).item()
    0.0
    """
    reference = as_float("log_reference", log_reference, ())
    if is_static(reference) and not np.isfinite(np.asarray(reference)):
        raise ArgumentError(f"log_reference: got {float(reference)}, wanted a finite number")
    return reference


@jax.jit
def _mbar(draws, reference):
    fit, _, energy = fit_ladder(draws)
    moved = (draws.betas - draws.betas[0]) * energy
    estimate = estimate_of(fit, draws.measure.reshape(-1), draws.numbers, draws.sound, moved, reference)
    return estimate._replace(result=if_long(estimate.result, draws.numbers, inefficiency_of(draws)))


@jax.jit
def _mbar_of_states(reduced, numbers, source, places, real, inefficiency, reference):
    weights = (1 / inefficiency)[source]
    least = jnp.min(reduced, axis=0)
    shifted = reduced - least[None]
    sound = ~jnp.any(jnp.isnan(reduced)) & jnp.all(jnp.isfinite(least))
    # each pair of a state and the next: (pairs, 2, draws)
    pair = lambda array: jnp.stack([array[:-1], array[1:]], axis=1)
    rows = jnp.arange(len(numbers) - 1, dtype=jnp.int32)[:, None, None]
    own = pair(places)
    differences = reduced[rows + 1, own] - reduced[rows, own]
    numbers = numbers / inefficiency
    start = _start(differences, pair(jnp.where(real, weights[places], 0)), pair(numbers))
    solution = solve(shifted, weights, numbers, start)
    estimate = estimate_of(solution, weights, numbers, sound, jnp.zeros_like(start), reference)
    return estimate._replace(result=if_long(estimate.result, numbers, inefficiency))


def fit_ladder(draws: Draws) -> tuple[Fit, Float[Array, ""], Float[Array, ""]]:
    """The solution for the law of `draws` at all betas, relative to the pivots beta and energy, which it returns too.

    u_k(x) = (beta_k - beta)(E(x) - energy): a pivot in the middle of both keeps the reduced energies as small as they
    can be, and so the rounding of float32.

    >>> fit, beta, energy = fit_ladder(as_draws([0.0, 1.0], [[1.0, 3.0], [0.0, 2.0]], None, None))
    >>> beta.item(), energy.item(), fit.shares.shape
    (0.5, 1.5, (2, 4))
    """
    average = means(draws, draws.energies)
    pivot_beta, pivot_energy = (draws.betas[0] + draws.betas[-1]) / 2, jnp.mean(average)
    reduced = (draws.betas - pivot_beta)[:, None] * (draws.energies.reshape(1, -1) - pivot_energy)
    pair = lambda array: jnp.stack([array[:-1], array[1:]], axis=1)  # (pairs, 2, ...)
    differences = jnp.diff(draws.betas)[:, None, None] * pair(draws.energies - pivot_energy)
    start = _start(differences, pair(draws.measure), pair(draws.numbers))
    return solve(reduced, draws.measure.reshape(-1), draws.numbers, start), pivot_beta, pivot_energy


def _start(differences, measure, numbers):
    """log Z of all states from each pair of neighbours alone."""
    rough = lambda difference, measure, numbers: ratio(difference, measure, numbers, NEAR).log_ratio
    ratios = jax.vmap(rough)(differences, measure, numbers)
    return jnp.concatenate([jnp.zeros(1, ratios.dtype), jnp.cumsum(ratios)])


def estimate_of(
    fit: Fit, measure: Float[Array, " draws"], numbers: Float[Array, " states"], sound: Any, moved: Any, reference: Any
) -> Estimate:
    """The record of a solution, whose ℓ_k are those of energies that were shifted: log Z_k = ℓ_k - moved_k + reference.

    >>> draws = as_draws([0.0, 1.0], [[1.0, 3.0], [0.0, 2.0]], None, None)
    >>> fit, _, _ = fit_ladder(draws)
    >>> estimate_of(fit, draws.measure.reshape(-1), draws.numbers, draws.sound, draws.betas, 0.0).result.tolist()
    [0, 6]
    """
    values = fit.log_partition - moved + jnp.asarray(reference).astype(moved.dtype)
    values = jnp.where(sound, values, jnp.nan)
    # R_k0 - 1/N_k - 1/N_0, which is zero for state 0 itself
    variance = (jnp.diagonal(fit.voltages) - 1 / numbers - 1 / numbers[0]).at[0].set(0)
    result = result_for(sound, values, fit.overlaps, jnp.where(fit.finished, CONVERGED, STEP_LIMIT))
    known = (result == CONVERGED) | (result == STEP_LIMIT)
    error = jnp.where(known, jnp.sqrt(jnp.maximum(variance, 0)), jnp.nan)
    # Σ w (p/N)² for the weights p/N, whose sum is one
    effective = numbers**2 / matmul(fit.shares**2, measure)
    unbounded = jnp.full_like(values, jnp.inf)
    return Estimate(values, error, effective, -unbounded, unbounded, result)
