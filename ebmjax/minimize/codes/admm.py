"""The alternating direction method of multipliers (ADMM) for a dense dictionary: the misfit is minimized exactly.

    E(z) = ½‖y - Wz‖² + R(z)

    x ← argmin ½‖y - Wx‖² + ½ρ‖x - z + u‖² = (WᵀW + ρI)⁻¹ (Wᵀy + ρ(z - u))
    z ← prox_{R/ρ}(x + u),    u ← u + x - z

The inverse is computed once for a dictionary, from a Cholesky factor, and serves all observations of a `vmap`. ADMM is
faster than `proximal` for many observations at a time and atoms that are nearly parallel, for which gradient steps of
size 1/L make little progress: it takes few steps, and each costs one product with an atoms × atoms matrix. It is slower
where a dictionary has many thousand atoms, and slower than `coordinate` where codes are very sparse.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ebmjax.checks import as_float, check_count, check_not_negative, check_positive
from ebmjax.compiled import compiled
from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import Regularizer, check_regularizer, in_units
from ebmjax.loops import iterate_until
from ebmjax.minimize.codes.certificate import certificate, certified
from ebmjax.minimize.outer_gradients import regularizer_without_outer_gradients
from ebmjax.numerics import matmul, unit_of
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar, Solution, result_of

TRIES = 8
"""How often a certificate that the normal equations give is tested against the residual itself."""


@record
class _State(NamedTuple):
    value: Array
    point: Array
    multiplier: Array
    bound: Array
    gap: Array
    steps: Array


@record
class _Tried(NamedTuple):
    state: _State
    wait: Array  # the next test comes after so many steps
    energy: Array
    gap: Array
    sure: Array


def admm(
    params: sparse_coding.Params,
    regularizer: Regularizer,
    y: Annotated[Numbers, "observed"],
    start: Annotated[Numbers, "atoms"] | None = None,
    penalty: Scalar = 1.0,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-4,
) -> Solution:
    """The code z of least energy for one observation, with a certificate. It is a `FindCode`.

    Args:
        params: the dictionary W.
        regularizer: R, in units of energy.
        y: the observation.
        start: where z begins, None for zeros.
        penalty: ρ > 0, in the units of WᵀW. ADMM converges with any ρ; with about L/10 it takes few steps. Far below
            that, its system is so ill-conditioned that in float32 rounding ends progress early.
        max_steps: limit of the steps, at least 1.
        tolerance: converged when gap ≤ tolerance · energy, not negative. In float32 rounding ends progress near 1e-5.

    Returns:
        `Solution` with the last point and its `gap`, the certificate of the residual itself, rounding included: energy
        - least energy ≤ gap. `result` is CONVERGED where the gap is small enough and the energy right to 1e-6 of
        itself, else STEP_LIMIT, or DIVERGED where the energy is not finite. Data in any unit have the same codes times
        the unit; an energy or gap that would underflow is 0 or the smallest number of the dtype. The derivatives are
        those of `proximal`.

    Raises:
        ValueError: params that are no `Params`, a dictionary that `sparse_coding.check_params` refuses, y or start of
            another shape, max_steps below 1; static: a negative tolerance, a penalty that is not positive and finite.

    Boyd et al. (2011), section 6.4.

    >>> from ebmjax.energies.regularizers import l1
    >>> params = sparse_coding.Params(jnp.eye(2))
    >>> solution = admm(params, l1(0.5), jnp.array([2.0, 0.25]))
    >>> solution.value.round(2).tolist(), int(solution.result)
    ([1.5, 0.0], 0)
    """
    sparse_coding.check_params(params)
    params = sparse_coding.as_params(params)
    check_regularizer(regularizer)
    check_count("max_steps", max_steps)
    check_not_negative("tolerance", tolerance)
    check_positive("penalty", penalty)
    dictionary = params.dictionary
    y = as_float("y", y, dictionary.shape[:1])
    start = jnp.zeros(dictionary.shape[1:], dictionary.dtype) if start is None else start
    start = as_float("start", start, dictionary.shape[1:])
    penalty = as_float("penalty", penalty, ()).astype(dictionary.dtype)
    tolerance = as_float("tolerance", tolerance, ()).astype(dictionary.dtype)
    return _solve(params, regularizer, y, start, penalty, tolerance, max_steps)


@compiled
def _solve(params, regularizer, y, start, penalty, tolerance, max_steps):
    # the dictionary and the observation as constants, in units in which they are near 1: the loop needs no derivative
    unit, length = unit_of(y), unit_of(params.dictionary)
    dictionary, target, start, penalty = jax.lax.stop_gradient(
        (params.dictionary / length, y / unit, start / (unit / length), penalty / length / length)
    )
    plain = regularizer_without_outer_gradients(in_units(regularizer, unit / length, unit * length), start, start)
    inverse = _regularized_inverse(dictionary, penalty)
    lipschitz = sparse_coding.lipschitz(sparse_coding.Params(dictionary))
    correlation = matmul(dictionary.T, target)
    square = jnp.sum(jnp.square(target))

    def advance(state):
        shifted = penalty * (state.value - state.multiplier)
        point = matmul(inverse, correlation + shifted)
        # the normal equations give the gradient and the value of the misfit at the point without another product
        slope = shifted - penalty * point
        height = jnp.maximum((square + jnp.sum(point * (slope - correlation))) / 2, 0)
        value = plain.prox(point + state.multiplier, 1 / penalty)
        bound, gap = certificate(plain, height, slope, point, value, lipschitz)
        return _State(value, point, state.multiplier + point - value, bound, gap, state.steps + 1)

    def goal(state):  # the energy is at least bound - gap
        return tolerance * (state.bound - state.gap)

    def trial(tried):
        """Steps until the normal equations say that the gap is small, then the gap from the residual itself."""

        def enough(state):
            short = (state.gap <= goal(state)) & (state.steps >= tried.wait)
            return short | (state.steps >= max_steps) | jnp.isnan(state.bound)

        state, _, _ = iterate_until(advance, tried.state, enough, max_steps)
        found = certified(dictionary, plain, target, state.value, state.point, lipschitz)
        sure = (found.gap <= tolerance * found.energy) & found.trusted
        return _Tried(state, state.steps + state.steps // 4 + 1, found.energy, found.gap, sure)

    def done(tried):
        return tried.sure | (tried.state.steps >= max_steps) | jnp.isnan(tried.energy)

    infinite = jnp.asarray(jnp.inf, dictionary.dtype)
    begin = plain.prox(start, jnp.zeros((), start.dtype))  # where the regularizer is finite
    state = _State(begin, begin, jnp.zeros_like(begin), infinite, infinite, jnp.int32(0))
    tried = _Tried(state, jnp.int32(0), infinite, infinite, jnp.bool_(False))
    tried, _, _ = iterate_until(trial, tried, done, TRIES)
    value = jax.lax.stop_gradient(tried.state.value * (unit / length))
    energy = jnp.asarray(sparse_coding.energy(params, regularizer, y, value))
    finite = jnp.isfinite(tried.energy)
    gap = jnp.where(tried.gap > 0, jnp.maximum(tried.gap * unit * unit, jnp.finfo(value.dtype).tiny), tried.gap)
    gap = jnp.where(finite, gap, jnp.inf)
    return Solution(value, energy, tried.state.steps, result_of(finite, tried.sure), gap)


def _regularized_inverse(dictionary, penalty):
    """(WᵀW + ρI)⁻¹ from a factor of the smaller of the two Gram matrices (the matrix inversion lemma)."""
    observed, atoms = dictionary.shape
    eye = lambda size: jnp.eye(size, dtype=penalty.dtype)
    if atoms <= observed:
        factor = jax.scipy.linalg.cho_factor(matmul(dictionary.T, dictionary) + penalty * eye(atoms))
        return jax.scipy.linalg.cho_solve(factor, eye(atoms))
    factor = jax.scipy.linalg.cho_factor(matmul(dictionary, dictionary.T) + penalty * eye(observed))
    within = matmul(dictionary.T, jax.scipy.linalg.cho_solve(factor, dictionary))
    return (eye(atoms) - within) / penalty
