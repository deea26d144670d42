"""The alternating direction method of multipliers for a dense dictionary: every step solves the smooth part exactly.

    E(z) = ½‖y - Wz‖² + R(z)

    x ← argmin ½‖y - Wx‖² + ½ρ‖x - z + u‖² = (WᵀW + ρI)⁻¹ (Wᵀy + ρ(z - u))
    z ← prox_{R/ρ}(x + u),    u ← u + x - z

The inverse is made once per dictionary, by its Cholesky factor, and serves all observations of a `vmap`. It wins over
`proximal` where atoms are so alike that gradient steps of size 1/L crawl, on many observations at a time: few steps,
each one multiplication by an atoms × atoms matrix. It loses where a dictionary has many thousand atoms, and where codes
are so sparse that coordinate descent skips nearly all of them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, check_not_negative, check_shape, is_static
from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import Regularizer
from ebmjax.loops import iterate_until
from ebmjax.minimize.codes.proximal import certificate
from ebmjax.minimize.outer_gradients import regularizer_without_outer_gradients
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT, Scalar, Solution


class _State(NamedTuple):
    value: Array
    multiplier: Array
    bound: Array
    gap: Array


def admm(
    params: sparse_coding.Params,
    regularizer: Regularizer,
    y: Float[Array, " observed"],
    start: Float[Array, " atoms"] | None = None,
    penalty: Scalar = 1.0,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-4,
) -> Solution:
    """The code z of one observation, with a certificate.

    Args:
        params: the dictionary W.
        regularizer: R.
        y: the observation.
        start: where z begins, None for zeros.
        penalty: ρ > 0, in the units of WᵀW. Any one converges; of the size of L/10 few steps do.
        max_steps: limit, at least 1.
        tolerance: converged when gap ≤ tolerance · energy. In float32 rounding ends the descent near 1e-5.

    Returns:
        `Solution` with the last point and its `gap`, the certificate of `proximal`: energy - least energy ≤ gap.
        `result` is CONVERGED, STEP_LIMIT, or DIVERGED where the energy is not finite. Differentiates as `proximal`.

    Raises:
        ValueError: a dictionary that `sparse_coding.check_params` refuses, y or start of another shape, max_steps below
            1; static: a negative tolerance, a penalty that is not positive.

    Boyd et al. (2011), section 6.4.

    >>> from ebmjax.energies.regularizers import l1
    >>> params = sparse_coding.Params(jnp.eye(2))
    >>> solution = admm(params, l1(0.5), jnp.array([2.0, 0.25]))
    >>> solution.value.round(2).tolist(), int(solution.result)
    ([1.5, 0.0], 0)
    """
    sparse_coding.check_params(params)
    check_not_negative("tolerance", tolerance)
    if is_static(penalty) and not 0 < float(penalty) < jnp.inf:
        raise ArgumentError(f"penalty: got {float(penalty)}, wanted a positive finite number")
    dictionary = params.dictionary
    check_shape("y", y, dictionary.shape[:1])
    start = jnp.zeros(dictionary.shape[1:], dictionary.dtype) if start is None else start
    check_shape("start", start, dictionary.shape[1:])

    # the dictionary and the observation as constants: the loop needs no derivative
    dictionary, target, start, penalty = jax.lax.stop_gradient(
        (dictionary, y, start, jnp.asarray(penalty, dictionary.dtype))
    )
    plain = regularizer_without_outer_gradients(regularizer, start, start)
    inverse = _regularized_inverse(dictionary, penalty)
    lipschitz = sparse_coding.lipschitz(sparse_coding.Params(dictionary))
    correlation = dictionary.T @ target
    square = jnp.sum(jnp.square(target))

    def advance(state):
        shifted = penalty * (state.value - state.multiplier)
        point = inverse @ (correlation + shifted)
        # the normal equations give the misfit's gradient and value at the point without another product
        slope = shifted - penalty * point
        height = (square + jnp.sum(point * (slope - correlation))) / 2
        value = plain.prox(point + state.multiplier, 1 / penalty)
        bound, gap = certificate(plain, height, slope, point, value, lipschitz)
        return _State(value, state.multiplier + point - value, bound, gap)

    def short(state):  # the energy is at least bound - gap
        return state.gap <= tolerance * (state.bound - state.gap)

    infinite = jnp.asarray(jnp.inf, dictionary.dtype)
    state = _State(start, jnp.zeros_like(start), infinite, infinite)
    state, steps, _ = iterate_until(advance, state, lambda state: short(state) | jnp.isnan(state.bound), max_steps)
    value = jax.lax.stop_gradient(state.value)
    energy = jnp.asarray(sparse_coding.energy(params, regularizer, y, value))
    result = jnp.where(jnp.isfinite(energy), jnp.where(short(state), CONVERGED, STEP_LIMIT), DIVERGED)
    gap = jnp.where(jnp.isfinite(energy), state.gap, jnp.inf)
    return Solution(value, energy, steps, jnp.asarray(result, jnp.int32), gap)


def _regularized_inverse(dictionary, penalty):
    """(WᵀW + ρI)⁻¹ by a factor of the smaller of the two Gram matrices (the matrix inversion lemma)."""
    observed, atoms = dictionary.shape
    if atoms <= observed:
        factor = jax.scipy.linalg.cho_factor(dictionary.T @ dictionary + penalty * jnp.eye(atoms, dtype=penalty.dtype))
        return jax.scipy.linalg.cho_solve(factor, jnp.eye(atoms, dtype=penalty.dtype))
    factor = jax.scipy.linalg.cho_factor(dictionary @ dictionary.T + penalty * jnp.eye(observed, dtype=penalty.dtype))
    within = dictionary.T @ jax.scipy.linalg.cho_solve(factor, dictionary)
    return (jnp.eye(atoms, dtype=penalty.dtype) - within) / penalty
