"""Codes of whole pictures: the alternating direction method of multipliers (ADMM) in the Fourier domain.

    minimize ½‖y - Σ_i K_i * X_i‖² + R(Z)  such that X = Z

With a periodic boundary the minimization over X, a least-squares problem, becomes one small linear system for each
frequency. The system has as many unknowns as there are maps, but its rank is the number of channels: with one channel
it is solved by a division (Sherman-Morrison), with several by a system of channels × channels (Woodbury). The
minimization over Z is the proximal operator of R.

The shapes, for C channels, M maps and F frequencies of a picture of H × W pixels (F of the half spectrum of `rfft2`):

    K̂    (C, M, H, F)    spectra of the kernels           Z, X, U    (M, H, W)    maps: code, its copy, dual variable
    K̂Ẑ   (C, H, F)       spectrum of Σ_i K_i * Z_i        ŷ, r̂       (C, H, F)    picture and residual
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Complex, Float

from ebmjax.checks import as_float, check_above_zero, check_count, check_not_negative
from ebmjax.compiled import compiled
from ebmjax.energies.convolutional_sparse_coding import (
    Maps,
    Params,
    Picture,
    as_params,
    check_params,
    check_picture,
    energy,
    spectra,
    synthesis,
    zeros,
)
from ebmjax.energies.regularizers import Regularizer, check_regularizer, in_units
from ebmjax.loops import iterate, iterate_until
from ebmjax.minimize.codes.certificate import RIGHT, least_energy
from ebmjax.minimize.outer_gradients import regularizer_without_outer_gradients
from ebmjax.numerics import unit_of
from ebmjax.records import record
from ebmjax.types import Scalar, Solution, result_of

_RELAXATION = 1.8
_ROUND = 5  # steps from one certificate to the next; certificate and residuals cost as much as a step
_BALANCE = 2.0  # of relative residuals, primal over dual: 1 was 1.5 times slower at λ = 0.06 λ_max, 4 at 0.006 λ_max

_Spectrum = Complex[Array, "channels rows frequencies"]


@record
class _State(NamedTuple):
    code: Array  # Z, sparse
    dual: Array  # U, the sum of X - Z over all steps
    of_code: Array  # K̂Ẑ
    of_dual: Array  # K̂Û
    penalty: Array
    energy: Array
    bound: Array  # the largest lower bound of the least energy so far


def convolutional_admm(
    params: Params,
    regularizer: Regularizer,
    y: Picture,
    start: Maps | None = None,
    penalty: Scalar | None = None,
    max_steps: int = 500,
    tolerance: Scalar = 1e-3,
) -> Solution:
    """The maps of least energy for a picture with `periodic` borders, grey or coloured. It is a `FindCode`.

        X̂ ← V̂ + K̂ᴴ q,  q = (ρI + K̂K̂ᴴ)⁻¹ (ŷ - K̂V̂),  V = Z - U
        H ← 1.8 X - 0.8 Z,  Z ← prox_{R/ρ}(H + U),  U ← U + H - Z

    A step costs one Fourier transform of all maps and one back: K̂V̂ and K̂X̂ follow from K̂Ẑ, which the energy needs too.
    The dual point r = ρq = y - KX has Kᵀr = ρ(X - V), so that the certificate needs no further transform:

        min E ≥ ⟨r, y⟩ - ½‖r‖² - sup {⟨Kᵀr, x⟩ - R(x) : R(x) ≤ E(y, Z)}.

    It is pessimistic: where `gap` was 1e-2 of the energy, the energy was about 1e-5 above the least one.

    Args:
        params: kernels, of unit norm.
        regularizer: any convex one, in units of energy.
        y: the picture.
        start: maps to begin with; None for maps of zeros.
        penalty: the first ρ, above 0, in the units of the kernels squared. After every fifth step ρ is changed so that
            X - Z and the change of Z stay of similar size. None takes a quarter of the mean over frequencies of Σ|K̂|².
        max_steps: limit of the steps, at least 1; it is rounded up to a multiple of five.
        tolerance: converged when gap ≤ tolerance · energy, not negative; tested after every fifth step.

    Returns:
        `Solution`, not above the start; CONVERGED, STEP_LIMIT, or DIVERGED where the energy was not finite. A start
        where the regularizer is infinite is projected first. `gap` is the certificate, rounding included. Pictures in
        any unit have the same codes times the unit; an energy or gap that would underflow is 0 or the smallest number
        of the dtype. As with the other minimizers, `value` counts as a constant, and `energy` has the derivatives
        with respect to the parameters and y.

    Raises:
        ValueError: a picture that does not fit the kernels, a start of another shape, max_steps below 1; static:
            kernels of zeros or not finite, a picture that is not finite, a penalty that is not above 0, a negative
            tolerance.

    Bristow, Eriksson & Lucey (2013), "Fast convolutional sparse coding"; Wohlberg (2016); for the changes of ρ Wohlberg
    (2017), "ADMM penalty parameter selection by residual balancing".

    >>> from ebmjax.energies.regularizers import l1
    >>> solution = convolutional_admm(Params(jnp.ones((1, 1, 1))), l1(0.5), jnp.array([[2.0, 0.25]]))
    >>> solution.value.round(2).tolist(), int(solution.result)
    ([[[1.5, 0.0]]], 0)
    """
    check_params(params)
    params, y = as_params(params), as_float("y", y)
    check_picture(params, y)
    check_regularizer(regularizer)
    check_count("max_steps", max_steps)
    check_not_negative("tolerance", tolerance)
    blank = zeros(params, y)
    start = blank if start is None else as_float("start", start, blank.shape)
    if penalty is not None:
        check_above_zero("penalty", penalty)
        penalty = as_float("penalty", penalty, ()).astype(y.dtype)
    return _solve_picture(
        params, regularizer, y, start, penalty, max_steps, as_float("tolerance", tolerance, ()).astype(y.dtype)
    )


@compiled
def _solve_picture(params, regularizer, y, start, penalty, max_steps, tolerance):
    shape, eps = start.shape[1:], jnp.finfo(y.dtype).eps
    # kernels, picture and regularizer as constants, in units in which they are near 1: the loop needs no derivative
    unit, length = unit_of(y), unit_of(params.kernels)
    scaled = jnp.sum(jnp.square(params.kernels / length)) / 4 if penalty is None else penalty / length / length
    kernels, code, target, penalty = jax.lax.stop_gradient(
        (Params(params.kernels / length), start / (unit / length), y / unit, scaled)
    )
    plain = regularizer_without_outer_gradients(in_units(regularizer, unit / length, unit * length), code, code)
    code = plain.prox(code, jnp.zeros((), code.dtype))  # where the regularizer is finite
    at = spectra(kernels, shape)
    adjoint = jnp.conj(at)
    gram = jnp.sum(at[:, None] * adjoint[None], axis=2)
    picture = jnp.fft.rfft2(jnp.moveaxis(target, -1, 0) if y.ndim == 3 else target[None])

    def height(code, of_code):
        return _power(picture - of_code, shape) / 2 + plain.value(code)

    def move(state):
        """One step with a fixed penalty: the new state, X - V of the unrelaxed X, and the spectrum of the residual."""
        slack = _solve(gram, state.penalty, picture - (state.of_code - state.of_dual))
        shift = jnp.fft.irfft2(jnp.sum(adjoint * slack[:, None], axis=0), shape)  # X - V
        relaxed = state.code + _RELAXATION * (shift - state.dual)
        code = plain.prox(relaxed + state.dual, 1 / state.penalty)
        of_code = synthesis(at, jnp.fft.rfft2(code))
        residual = state.penalty.astype(slack.dtype) * slack  # ŷ - K̂X̂
        of_relaxed = _RELAXATION * (picture - residual) + (1 - _RELAXATION) * state.of_code
        new = state._replace(
            code=code,
            dual=state.dual + relaxed - code,
            of_code=of_code,
            of_dual=state.of_dual + of_relaxed - of_code,
        )
        return new, shift, residual

    def measured(state):
        """One step, then the certificate and the change of the penalty."""
        new, shift, residual = move(state)
        along, half = _inner(residual, picture, shape), _power(residual, shape) / 2
        slope = state.penalty * shift
        error = 8 * eps * jnp.max(jnp.abs(slope))
        before = height(state.code, state.of_code) * (1 + 4 * eps)
        # a Fourier transform rounds its entries by a part of the largest; the sums are of terms without common signs
        above = jnp.maximum(
            plain.conjugate(slope + jnp.where(slope < 0, -error, error), before),
            plain.conjugate(slope + error, before),
        )
        bound = along - half - above - 2 * eps * (jnp.abs(along) + half)
        free = state.code - state.dual + shift
        primal = _norm(free - new.code) / jnp.maximum(_norm(free), _norm(new.code))
        dual = _norm(new.code - state.code) / _norm(new.dual)
        ratio = jnp.sqrt(primal / dual / _BALANCE)
        ratio = jnp.where(jnp.isfinite(ratio) & (ratio > 0), jnp.clip(ratio, 1 / 4, 4), 1)
        return new._replace(
            dual=new.dual / ratio,
            of_dual=new.of_dual / ratio.astype(new.of_dual.dtype),
            penalty=state.penalty * ratio,
            energy=height(new.code, new.of_code),
            bound=jnp.maximum(state.bound, bound),
        )

    def several(state):
        return measured(iterate(lambda state: move(state)[0], state, _ROUND - 1))

    def rounding(energy):
        # ½‖r‖² is rounded where it is a small part of ½‖y‖², and by errors without a common sign
        rest = jnp.sqrt(2 * jnp.maximum(energy, 0))
        return 2 * eps * energy + eps * rest * jnp.sqrt(jnp.sum(jnp.square(target)) / target.size)

    def distance(energy, bound):
        return jnp.maximum(energy - bound, 0) + rounding(energy)

    def done(state):
        return (distance(state.energy, state.bound) <= tolerance * state.energy) | ~jnp.isfinite(state.energy)

    of_code = synthesis(at, jnp.fft.rfft2(code))
    first = height(code, of_code)
    state = _State(
        code,
        jnp.zeros_like(code),
        of_code,
        jnp.zeros_like(of_code),
        penalty,
        first,
        jnp.full((), -jnp.inf, y.dtype),
    )
    state, steps, finished = iterate_until(several, state, done, -(-max_steps // _ROUND))
    finite = jnp.isfinite(state.energy)
    reached = jnp.minimum(state.energy, first)
    gap = jnp.minimum(distance(reached, state.bound), reached) + least_energy(target, code)
    sure = finished & (rounding(reached) <= RIGHT * reached)
    gap = jnp.where(gap > 0, jnp.maximum(gap * unit * unit, jnp.finfo(gap.dtype).tiny), gap)
    value = jax.lax.stop_gradient(jnp.where(state.energy <= first, state.code, code) * (unit / length))
    least = jnp.asarray(energy(params, regularizer, y, value))
    return Solution(value, least, _ROUND * steps, result_of(finite, sure), jnp.where(finite, gap, jnp.inf))


def _solve(gram: Complex[Array, "channels channels rows frequencies"], penalty: Array, right: _Spectrum) -> _Spectrum:
    """(ρI + G) x = b at each frequency, G Hermitian of channels × channels: elimination, written out.

    Every pivot is at least ρ, so that no search for pivots is needed, nor a call to a batched solver.
    """
    count, penalty = len(gram), penalty.astype(gram.dtype)
    rows = [[gram[i, j] + penalty if i == j else gram[i, j] for j in range(count)] for i in range(count)]
    sides = [right[i] for i in range(count)]
    for i in range(count):
        for below in range(i + 1, count):
            factor = rows[below][i] / rows[i][i]
            rows[below] = [rows[below][j] - factor * rows[i][j] for j in range(count)]
            sides[below] = sides[below] - factor * sides[i]
    solved = list(sides)
    for i in reversed(range(count)):
        rest = sides[i]
        for j in range(i + 1, count):
            rest = rest - rows[i][j] * solved[j]
        solved[i] = rest / rows[i][i]
    return jnp.stack(solved)


def _weights(shape, dtype):
    """How often a frequency of the half spectrum occurs in the whole one, divided by the number of pixels."""
    columns = shape[1]
    frequency = jnp.arange(columns // 2 + 1)
    once = (frequency == 0) | (2 * frequency == columns)
    return jnp.where(once, 1, 2).astype(dtype)[None, None] / (shape[0] * columns)


def _inner(left: _Spectrum, right: _Spectrum, shape: tuple[int, ...]) -> Float[Array, ""]:
    """⟨left, right⟩ of two pictures, from their half spectra (Parseval)."""
    product = jnp.real(left) * jnp.real(right) + jnp.imag(left) * jnp.imag(right)
    return jnp.sum(product * _weights(shape, product.dtype))


def _power(spectrum: _Spectrum, shape: tuple[int, ...]) -> Float[Array, ""]:
    return _inner(spectrum, spectrum, shape)


def _norm(maps):
    return jnp.sqrt(jnp.sum(jnp.square(maps)))
