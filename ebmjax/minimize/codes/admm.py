"""The alternating direction method of multipliers (ADMM) for a dense dictionary: the misfit is minimized exactly.

    E(z) = ½‖y - Wz‖² + R(z)

    x ← argmin ½‖y - Wx‖² + ½ρ‖x - z + u‖² = (WᵀW + ρI)⁻¹ (Wᵀy + ρ(z - u))
    z ← prox_{R/ρ}(x + u),    u ← u + x - z

The inverse is computed once for a dictionary, from a Cholesky factor, and serves all observations of a `vmap`. ADMM is
faster than `proximal` for many observations at a time and atoms that are nearly parallel, for which gradient steps of
size 1/L make little progress: it takes few steps, and each costs one product with an atoms × atoms matrix. It is slower
where a dictionary has many thousand atoms, and slower than `coordinate` where codes are very sparse.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import check_not_negative, check_positive, check_shape
from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import Regularizer
from ebmjax.loops import iterate_until
from ebmjax.minimize.codes.certificate import certificate
from ebmjax.minimize.outer_gradients import regularizer_without_outer_gradients
from ebmjax.numerics import matmul
from ebmjax.types import Scalar, Solution, result_of


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
    """The code z of least energy for one observation, with a certificate. It is a `FindCode`.

    Args:
        params: the dictionary W.
        regularizer: R, in units of energy.
        y: the observation.
        start: where z begins, None for zeros.
        penalty: ρ > 0, in the units of WᵀW. ADMM converges with any ρ; with about L/10 it takes few steps.
        max_steps: limit of the steps, at least 1.
        tolerance: converged when gap ≤ tolerance · energy, not negative. In float32 rounding ends progress near 1e-5.

    Returns:
        `Solution` with the last point and its `gap`, the `certificate`: energy - least energy ≤ gap. `result` is
        CONVERGED, STEP_LIMIT, or DIVERGED where the energy is not finite. Its derivatives are those of `proximal`.

    Raises:
        ValueError: a dictionary that `sparse_coding.check` refuses, y or start of another shape, max_steps below 1;
            static: a negative tolerance, a penalty that is not positive and finite.

    Boyd et al. (2011), section 6.4.

    >>> from ebmjax.energies.regularizers import l1
    >>> params = sparse_coding.Params(jnp.eye(2))
    >>> solution = admm(params, l1(0.5), jnp.array([2.0, 0.25]))
    >>> solution.value.round(2).tolist(), int(solution.result)
    ([1.5, 0.0], 0)
    """
    sparse_coding.check(params)
    check_not_negative("tolerance", tolerance)
    check_positive("penalty", penalty)
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
    correlation = matmul(dictionary.T, target)
    square = jnp.sum(jnp.square(target))

    def advance(state):
        shifted = penalty * (state.value - state.multiplier)
        point = matmul(inverse, correlation + shifted)
        # the normal equations give the gradient and the value of the misfit at the point without another product
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
    finite = jnp.isfinite(energy)
    return Solution(value, energy, steps, result_of(finite, short(state)), jnp.where(finite, state.gap, jnp.inf))


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
