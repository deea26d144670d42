"""All draws as one weighted sample, which answers at any inverse temperature: means, free energy, heat capacity.

    <A>_beta = Σ_n a_n(beta) A(x_n),    a_n(beta) ∝ exp(-beta E_n) / Σ_j (N_j / Z_j) exp(-beta_j E_n),    Σ_n a_n = 1

`mixture` solves the equations of `mbar` once. The functions below then take one inverse temperature in [0, inf), static
or traced, and can be differentiated with respect to it; for a whole axis of them, use `jax.vmap`. Standard errors are
constants to differentiation.

Where few draws have most of the weight, as beyond the ladder, the result is `NO_OVERLAP`.

Shirts and Chodera (2008), eq. 13 to 16; Ferrenberg and Swendsen (1989).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ebmjax.checks import ArgumentError, as_beta, as_float, check_betas, check_finite_beta, check_record, is_static
from ebmjax.marginalize.importance_sampling import LEAST_EFFECTIVE
from ebmjax.marginalize.reweighting.draws import Draws, as_draws, result_for
from ebmjax.marginalize.reweighting.mbar import as_reference, estimate_of, fit_ladder
from ebmjax.marginalize.reweighting.solve import Fit, contrast_variance
from ebmjax.numerics import matmul, widened
from ebmjax.records import record
from ebmjax.temperature import softmin
from ebmjax.types import Beta, Estimate, Numbers


@record
class Mixture(NamedTuple):
    """Draws of all states as one weighted sample."""

    estimate: Estimate
    """log Z at the betas of the ladder, as from `mbar`."""
    betas: Float[Array, " states"]
    energies: Float[Array, "states draws"]
    """The energies that were given; zero where there is no draw."""
    measure: Float[Array, "states draws"]
    """How many independent draws each is worth."""
    fit: Fit
    """The solution of the equations, relative to the pivots; its draws are those of `energies`, in one row."""
    pivot: tuple[Float[Array, ""], Float[Array, ""]]
    """An inverse temperature and an energy in the middle of all, from which reduced energies are measured."""


@record
class Average(NamedTuple):
    """A mean over the Boltzmann distribution at one inverse temperature."""

    value: Float[Array, ""]
    standard_error: Float[Array, ""]
    effective_samples: Float[Array, ""]
    """(Σ w a)² / Σ w a²: about how many independent draws at this beta would be as good."""
    result: Int[Array, ""]
    """`CONVERGED` or `NO_OVERLAP`, or that of the estimate where the states themselves have no overlap."""


@record
class Thermodynamics(NamedTuple):
    """What the derivatives of log Z say, at one inverse temperature."""

    log_partition: Float[Array, ""]
    """log Z, up to the reference of the mixture."""
    log_partition_error: Float[Array, ""]
    """The standard error of log Z(beta) - log Z(betas[0])."""
    mean_energy: Float[Array, ""]
    """<E> = -d log Z / d beta."""
    mean_energy_error: Float[Array, ""]
    heat_capacity: Float[Array, ""]
    """beta² (<E²> - <E>²), dimensionless: in units of the Boltzmann constant."""
    heat_capacity_error: Float[Array, ""]
    effective_samples: Float[Array, ""]
    """As in `Average`."""
    result: Int[Array, ""]
    """As in `Average`."""


def mixture(
    betas: Numbers,
    energies: Numbers,
    counts: Numbers | None = None,
    inefficiency: Numbers | None = None,
    log_reference: Numbers = 0.0,
) -> Mixture:
    """The draws at all betas as one weighted sample. Arguments and errors are those of `mbar`.

    It keeps the share of each state in each draw: as many numbers as states times draws of all states.

    >>> betas = jnp.array([1.0, 2.0, 4.0])
    >>> draws = jax.random.normal(jax.random.key(0), (3, 2000)) / jnp.sqrt(betas)[:, None]
    >>> oscillators = mixture(betas, draws**2 / 2)
    >>> bool(abs(at(oscillators, 3.0).mean_energy - 1 / 6) < 0.02)  # <E> = 1/(2 beta)
    True
    """
    draws = as_draws(betas, energies, counts, inefficiency)
    return mixture_of(draws, as_reference(log_reference))


@jax.jit
def mixture_of(draws: Draws, reference: Float[Array, ""]) -> Mixture:
    """`mixture` of draws that have been checked.

    >>> mixture_of(as_draws([0.0, 1.0], [[1.0, 3.0], [0.0, 2.0]], None, None), jnp.zeros(())).energies.shape
    (2, 2)
    """
    fit, *pivot = fit_ladder(draws)
    moved = (draws.betas - draws.betas[0]) * pivot[1]
    estimate = estimate_of(fit, draws.measure.reshape(-1), draws.numbers, draws.sound, moved, reference)
    return Mixture(estimate, draws.betas, draws.energies, draws.measure, fit, (pivot[0], pivot[1]))


def at(mixture: Mixture, beta: Beta) -> Thermodynamics:
    """log Z, mean energy and heat capacity at an inverse temperature.

    Args:
        mixture: from `mixture`.
        beta: in [0, inf), static or traced, between the betas of the ladder or somewhat beyond them.

    Raises:
        ValueError: a bad or infinite beta; something that is no `Mixture`.

    Shirts and Chodera (2008), eq. 13 to 16.

    >>> draws = jax.random.normal(jax.random.key(0), (2, 5000)) / jnp.sqrt(jnp.array([[1.0], [2.0]]))
    >>> oscillators = mixture([1.0, 2.0], draws**2 / 2)
    >>> axis = jax.vmap(lambda beta: at(oscillators, beta))(jnp.linspace(1.0, 2.0, 5))
    >>> bool(jnp.all(abs(axis.heat_capacity - 0.5) < 5 * axis.heat_capacity_error))
    True
    """
    check_record("mixture", mixture, Mixture)
    check_finite_beta(beta)
    return _at(jax.tree.map(widened, mixture), jnp.asarray(as_beta(beta)))


@jax.jit
def _at(mixture, beta):
    beta = beta.astype(mixture.energies.dtype)
    pivot_energy = mixture.pivot[1]
    log_total, weights, energies = _law(mixture, beta)
    measure = mixture.measure.reshape(-1)
    mean = jnp.sum(measure * weights * energies)
    away = energies - mean
    variance = jnp.sum(measure * weights * away**2)
    reference = mixture.fit.shares[0] / jnp.sum(measure * mixture.fit.shares[0])
    log_partition = log_total - (beta - mixture.betas[0]) * pivot_energy + mixture.estimate.log_partition[0]
    influences = jnp.stack([weights - reference, weights * away, beta**2 * weights * (away**2 - variance)])
    effective, result = _trust(mixture, weights, log_partition)
    errors = _errors(mixture, influences, result)
    return Thermodynamics(
        log_partition, errors[0], mean + pivot_energy, errors[1], beta**2 * variance, errors[2], effective, result
    )


def weights_at(mixture: Mixture, beta: Beta) -> tuple[Float[Array, ""], Float[Array, "states draws"]]:
    """log Z(beta) and the weight of each draw under exp(-beta E)/Z: any mean is Σ weight · value over all draws.

    Arguments and errors are those of `at`. The weights sum to one; they are of the shape of the energies.

    >>> draws = jax.random.normal(jax.random.key(0), (2, 5000)) / jnp.sqrt(jnp.array([[1.0], [2.0]]))
    >>> log_z, weights = weights_at(mixture([1.0, 2.0], draws**2 / 2), 1.5)
    >>> bool(abs(log_z + jnp.log(1.5) / 2) < 0.05), bool(abs(jnp.sum(weights * draws**2) - 1 / 1.5) < 0.05)
    (True, True)
    """
    check_record("mixture", mixture, Mixture)
    check_finite_beta(beta)
    return _weights_at(jax.tree.map(widened, mixture), jnp.asarray(as_beta(beta)))


@jax.jit
def _weights_at(mixture, beta):
    beta = beta.astype(mixture.energies.dtype)
    log_total, weights, _ = _law(mixture, beta)
    moved = (beta - mixture.betas[0]) * mixture.pivot[1]
    weights = mixture.measure * weights.reshape(mixture.measure.shape)
    return log_total - moved + mixture.estimate.log_partition[0], weights


def mean(mixture: Mixture, beta: Beta, values: Numbers) -> Average:
    """The mean of an observable over exp(-beta E)/Z.

    Args:
        mixture: from `mixture`.
        beta: in [0, inf), static or traced.
        values: the observable of each draw, finite, of the shape of the energies: (states, draws), in any unit.

    Raises:
        ValueError: as in `at`; values of another shape, or not finite where there is a draw.

    Shirts and Chodera (2008), eq. 13 to 16.

    >>> draws = jax.random.normal(jax.random.key(0), (2, 5000)) / jnp.sqrt(jnp.array([[1.0], [2.0]]))
    >>> oscillators = mixture([1.0, 2.0], draws**2 / 2)
    >>> square = mean(oscillators, 1.5, draws**2)
    >>> bool(abs(square.value - 1 / 1.5) < 5 * square.standard_error)
    True
    """
    check_record("mixture", mixture, Mixture)
    check_finite_beta(beta)
    values = as_float("values", values)
    if values.shape != mixture.energies.shape:
        raise ArgumentError(f"values: got shape {values.shape}, wanted {mixture.energies.shape}, that of the energies")
    if is_static(values) and is_static(mixture.measure):
        exists = np.asarray(mixture.measure) > 0
        if not np.isfinite(np.asarray(values)[exists]).all():
            raise ArgumentError("values: got a value that is not finite, wanted finite values of draws")
    return _mean(jax.tree.map(widened, mixture), jnp.asarray(as_beta(beta)), values)


@jax.jit
def _mean(mixture, beta, values):
    dtype = mixture.energies.dtype
    measure = mixture.measure.reshape(-1)
    values = jnp.where(measure > 0, values.reshape(-1).astype(dtype), 0)
    _, weights, _ = _law(mixture, beta.astype(dtype))
    centre = jnp.sum(measure * values) / jnp.sum(measure)  # so that a large constant costs no digits
    value = jnp.sum(measure * weights * (values - centre))
    effective, result = _trust(mixture, weights, value)
    errors = _errors(mixture, (weights * (values - centre - value))[None], result)
    return Average(value + centre, errors[0], effective, result)


def free_energy(mixture: Mixture, beta: Beta) -> Average:
    """F_beta = -(log Z(beta) - log Z(0)) / beta, the library's free energy, from a ladder that reaches beta = 0.

    It is the mean energy of the space at beta = 0, and falls from there. Its standard error is that of the difference.
    `result` is `NO_OVERLAP` too where the draws do not reach beta = 0. Arguments and errors are those of `at`.

    >>> u = jax.random.uniform(jax.random.key(0), (2, 4000))
    >>> energies = jnp.stack([u[0], -jnp.log1p(u[1] * jnp.expm1(-1.0))])  # beta = 0 and 1, E uniform in [0, 1]
    >>> estimate = free_energy(mixture([0.0, 1.0], energies), 1.0)
    >>> bool(abs(estimate.value + jnp.log(1 - jnp.exp(-1.0))) < 5 * estimate.standard_error)
    True
    """
    check_record("mixture", mixture, Mixture)
    check_finite_beta(beta)
    return _free_energy(jax.tree.map(widened, mixture), jnp.asarray(as_beta(beta)))


@jax.jit
def _free_energy(mixture, beta):
    beta = beta.astype(mixture.energies.dtype)
    measure = mixture.measure.reshape(-1)
    _, hot, energies = _law(mixture, jnp.zeros_like(beta))
    log_hot = jnp.log(jnp.where(measure > 0, measure, 1)) + mixture.fit.log_weights + mixture.pivot[0] * energies
    value = softmin(energies, beta, jnp.where(measure > 0, log_hot, -jnp.inf))
    _, weights, _ = _law(mixture, beta)
    # (a_0 - a_beta) / beta = -a_0 expm1(-beta (E - F)) / beta, which is a_0 (E - F) at beta = 0
    safe = jnp.where(beta == 0, 1, beta)
    exponent = -beta * (energies - value)
    near = jnp.abs(exponent) < 1
    change = jnp.where(near, -hot * jnp.expm1(jnp.where(near, exponent, 0)), hot - weights) / safe
    influence = jnp.where(beta == 0, hot * (energies - value), change)
    effective, result = _trust(mixture, weights, value)
    effective_hot, result_hot = _trust(mixture, hot, value)
    result = jnp.maximum(result, result_hot)
    errors = _errors(mixture, influence[None], result)
    return Average(value + mixture.pivot[1], errors[0], jnp.minimum(effective, effective_hot), result)


def covariance(mixture: Mixture, betas: Numbers) -> Float[Array, "betas betas"]:
    """The covariance matrix C of log Z(beta_i) - log Z(betas[0]) of the ladder, at any inverse temperatures.

    The variance of a difference log Z(beta_i) - log Z(beta_j) is C_ii + C_jj - 2 C_ij. It is asymptotic.

    Args:
        mixture: from `mixture`.
        betas: one axis of inverse temperatures in [0, inf).

    Raises:
        ValueError: something that is no `Mixture`; static betas that are negative, NaN or infinite, or not one axis.

    Shirts and Chodera (2008), eq. D1 and D2.

    >>> draws = jax.random.normal(jax.random.key(0), (2, 5000)) / jnp.sqrt(jnp.array([[1.0], [2.0]]))
    >>> oscillators = mixture([1.0, 2.0], draws**2 / 2)
    >>> C = covariance(oscillators, oscillators.betas)
    >>> bool(abs(jnp.sqrt(C[1, 1]) / oscillators.estimate.standard_error[1] - 1) < 1e-2)
    True
    """
    check_record("mixture", mixture, Mixture)
    check_betas(betas)
    betas = as_float("betas", betas)
    if is_static(betas) and np.isinf(np.asarray(betas)).any():
        raise ArgumentError("betas: got inf, wanted finite inverse temperatures")
    return _covariance(jax.tree.map(widened, mixture), betas)


@jax.jit
def _covariance(mixture, betas):
    measure = mixture.measure.reshape(-1)
    weights = jax.vmap(lambda beta: _law(mixture, beta)[1])(betas.astype(mixture.energies.dtype))
    influences = weights - (mixture.fit.shares[0] / jnp.sum(measure * mixture.fit.shares[0]))[None]
    flows = matmul(influences * measure[None], mixture.fit.shares.T)
    direct = matmul(influences * measure[None], influences.T)
    return jax.lax.stop_gradient(direct + matmul(flows, matmul(mixture.fit.voltages, flows.T)))


def _law(mixture, beta):
    """log Z(beta) - log Z(betas[0]) and the weights of all draws; in energies that are measured from the pivot."""
    energies = mixture.energies.reshape(-1) - mixture.pivot[1]
    measure = mixture.measure.reshape(-1)
    log_terms = mixture.fit.log_weights - (beta - mixture.pivot[0]) * energies
    top = jax.lax.stop_gradient(jnp.max(jnp.where(measure > 0, log_terms, -jnp.inf)))
    terms = jnp.where(measure > 0, jnp.exp(jnp.where(measure > 0, log_terms - top, 0)), 0)
    total = jnp.sum(measure * terms)
    return top + jnp.log(total), terms / total, energies


def _trust(mixture, weights, value):
    effective = 1 / jnp.sum(mixture.measure.reshape(-1) * weights**2)
    judged = jnp.max(mixture.estimate.result)
    return effective, result_for(jnp.array(True), value, effective >= LEAST_EFFECTIVE, judged)


def _errors(mixture, influences, result):
    variance = jax.vmap(lambda influence: contrast_variance(mixture.fit, mixture.measure.reshape(-1), influence))
    errors = jnp.sqrt(jnp.maximum(variance(influences), 0))
    return jax.lax.stop_gradient(jnp.where(result == 0, errors, jnp.nan))
