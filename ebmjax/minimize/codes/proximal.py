"""Proximal gradient descent: a smooth energy plus a regularizer that need not be smooth, with a certificate.

    E(z) = f(z) + R(z),    z ← prox_{sR}(v - s ∇f(v))

f is convex, differentiable and not negative, with a curvature of at most L; R is one of `ebmjax.energies.regularizers`.
The solvers differ in the point v. It is the last point in `ista`, and a point beyond it in `fista`, `fista_restarted`
and `backtracking`. All work for codes of any shape, under `jit` and under `vmap` over observations and weights. A step
costs one value and one gradient of f, from which the `certificate` follows too.

Solutions may be differentiated like those of `descent`: `value` counts as a constant, and `energy` has the derivatives
of E at the minimum (Danskin's theorem), also with respect to the weight of the regularizer. `implicit` has derivatives
of the code itself.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ebmjax.checks import (
    ArgumentError,
    as_float,
    as_scalar,
    check_above_zero,
    check_callable,
    check_count,
    check_not_negative,
    check_positive,
    is_static,
)
from ebmjax.compiled import compiled
from ebmjax.energies.regularizers import Regularizer, check_regularizer
from ebmjax.loops import iterate_until
from ebmjax.minimize.codes.certificate import RIGHT, certificate
from ebmjax.minimize.outer_gradients import regularizer_without_outer_gradients, without_outer_gradients
from ebmjax.numerics import unit_of
from ebmjax.records import record
from ebmjax.types import Energy, Numbers, Scalar, Solution, result_of


@runtime_checkable
class ProximalSolver(Protocol):
    """The signature of the four solvers of this file, once `functools.partial` has set their options."""

    def __call__(self, smooth: Energy, regularizer: Regularizer, start: Array, lipschitz: Any, /) -> Solution:
        """Minimize f + R, as `ista` does.

        Args:
            smooth: f, `smooth(z) -> scalar`.
            regularizer: R.
            start: where z begins, of any shape.
            lipschitz: L, a bound of the curvature of f; for `backtracking` a first guess of it.

        Returns:
            A `Solution` with a `gap`.
        """
        ...


@record
class _State(NamedTuple):
    value: Array
    point: Array
    momentum: Array
    lipschitz: Array
    bound: Array
    gap: Array
    finite: Array


def ista(
    smooth: Energy,
    regularizer: Regularizer,
    start: Annotated[Numbers, "..."],
    lipschitz: Scalar,
    step_size: Scalar | None = None,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-4,
) -> Solution:
    """Iterative shrinkage-thresholding (ISTA): each step goes from the last point. The energy never rises.

        z ← prox_{sR}(z - s ∇f(z)),    E(z_k) - E* ≤ L ‖z_0 - z*‖² / 2k

    Args:
        smooth: f, `smooth(z) -> scalar`: convex, differentiable, not negative, in units of energy.
        regularizer: R, in units of energy.
        start: z_0, of any shape.
        lipschitz: L, a bound of the curvature of f: `sparse_coding.lipschitz(params)` for the misfit of a dictionary.
            With a bound that is too small the energy may rise, and the certificate does not hold.
        step_size: s in (0, 2/L], None for 1/L.
        max_steps: limit of the steps, at least 1.
        tolerance: converged when gap ≤ tolerance · energy, not negative. In float32 rounding ends progress near 1e-5.

    Returns:
        `Solution` with the last point and its `gap`: energy - least energy ≤ gap, rounding included. `result` is
        CONVERGED, STEP_LIMIT, or DIVERGED where f became infinite or NaN. Where the energy shows that `lipschitz` was
        too small, or is so small that rounding leaves it wrong by more than 1e-6 of itself, `result` is STEP_LIMIT. In
        float32, f is then a difference of numbers a million times as large, or it underflows, as that of
        observations near 1e-20 does.

    Raises:
        ValueError: max_steps below 1, a start that is not numbers; static: a negative tolerance, a lipschitz that is
            not positive and finite, a step_size that is not positive or above 2/L.

    Daubechies, Defrise & De Mol (2004); Beck & Teboulle (2009), eq. 3.1.

    >>> from ebmjax.energies.regularizers import l1
    >>> solution = ista(lambda z: jnp.sum((z - 2) ** 2) / 2, l1(0.5), jnp.zeros(2), lipschitz=1.0)
    >>> solution.value.tolist(), float(solution.energy), int(solution.steps), int(solution.result)
    ([1.5, 1.5], 1.75, 2, 0)
    """
    return _fixed_step(_last, smooth, regularizer, start, lipschitz, step_size, max_steps, tolerance)


def fista(
    smooth: Energy,
    regularizer: Regularizer,
    start: Annotated[Numbers, "..."],
    lipschitz: Scalar,
    step_size: Scalar | None = None,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-4,
) -> Solution:
    """FISTA: ISTA with momentum, whose steps go from a point beyond the last one. The energy may rise in between.

        v = z_k + (t_k - 1)/t_{k+1} (z_k - z_{k-1}),    t_{k+1} = ½ + ½ √(1 + 4 t_k²)
        E(z_k) - E* ≤ 2L ‖z_0 - z*‖² / (k + 1)²

    The last point is returned, since its `gap` is known; it need not be the lowest. With a step_size above 1/L the
    search may diverge. Arguments and errors as in `ista`.

    Beck & Teboulle (2009), eq. 4.1-4.3.

    >>> from ebmjax.energies.regularizers import l1
    >>> solution = fista(lambda z: jnp.sum((z - 2) ** 2) / 2, l1(0.5), jnp.zeros(2), lipschitz=2.0)
    >>> solution.value.round(2).tolist(), int(solution.result)
    ([1.5, 1.5], 0)
    """
    return _fixed_step(_beyond, smooth, regularizer, start, lipschitz, step_size, max_steps, tolerance)


def fista_restarted(
    smooth: Energy,
    regularizer: Regularizer,
    start: Annotated[Numbers, "..."],
    lipschitz: Scalar,
    step_size: Scalar | None = None,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-4,
) -> Solution:
    """FISTA that sets its momentum to zero where it points uphill. Take this one first: it usually needs fewest steps.

    The momentum points uphill where ⟨v - z_{k+1}, z_{k+1} - z_k⟩ > 0. Convergence is linear near the minimum. The last
    point is returned, as by `fista`. Arguments and errors as in `ista`.

    O'Donoghue & Candès (2015), the gradient scheme.

    >>> from ebmjax.energies.regularizers import l1
    >>> solution = fista_restarted(lambda z: jnp.sum((z - 2) ** 2) / 2, l1(0.5), jnp.zeros(2), lipschitz=2.0)
    >>> solution.value.round(2).tolist(), int(solution.result)
    ([1.5, 1.5], 0)
    """
    return _fixed_step(_beyond_downhill, smooth, regularizer, start, lipschitz, step_size, max_steps, tolerance)


def backtracking(
    smooth: Energy,
    regularizer: Regularizer,
    start: Annotated[Numbers, "..."],
    lipschitz: Scalar | None = None,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-4,
) -> Solution:
    """Restarted FISTA that finds L itself, by doubling it until f(z) ≤ f(v) + ⟨∇f(v), z - v⟩ + ½L‖z - v‖².

    A step whose new point z violates this inequality is refused, and counts as a step. A step costs one more value of f
    than a step of `fista`. The certificate holds without a known L.

    Args:
        smooth, regularizer, start, max_steps, tolerance: as in `ista`.
        lipschitz: a first guess of L, from below. None takes the curvature of f along its first gradient, for which f
            has to be twice differentiable.

    Returns:
        `Solution`, as by `fista_restarted`.

    Raises:
        ValueError: max_steps below 1; static: a negative tolerance, a lipschitz that is not positive and finite.

    Beck & Teboulle (2009), "FISTA with backtracking".

    >>> from ebmjax.energies.regularizers import l1
    >>> solution = backtracking(lambda z: 8 * jnp.sum((z - 2) ** 2), l1(4.0), jnp.zeros(2))
    >>> solution.value.round(2).tolist(), int(solution.result)
    ([1.75, 1.75], 0)
    """
    return _descend(
        _beyond_downhill, _fits, *_checked(smooth, regularizer, start, lipschitz, None, max_steps, tolerance), max_steps
    )


def _fixed_step(follow, smooth, regularizer, start, lipschitz, step_size, max_steps, tolerance):
    if lipschitz is None:
        raise ArgumentError("lipschitz: got None, wanted a positive finite number")
    checked = _checked(smooth, regularizer, start, lipschitz, step_size, max_steps, tolerance)
    return _descend(follow, _always, *checked, max_steps)


def _checked(smooth, regularizer, start, lipschitz, step_size, max_steps, tolerance):
    """The arguments as arrays of one dtype, so that other numbers are no other program."""
    check_callable("smooth", smooth)
    check_regularizer(regularizer)
    check_count("max_steps", max_steps)
    start = as_float("start", start)
    number = lambda name, value: as_float(name, value, ()).astype(start.dtype)
    check_not_negative("tolerance", tolerance)
    scale = jnp.ones((), start.dtype)
    if lipschitz is not None:
        check_positive("lipschitz", lipschitz)
        lipschitz = number("lipschitz", lipschitz)
        if step_size is not None:
            scale = _checked_size(number("step_size", step_size), lipschitz) * lipschitz
    return smooth, regularizer, start, lipschitz, scale, number("tolerance", tolerance)


def _checked_size(step_size, lipschitz):
    check_above_zero("step_size", step_size)
    if is_static(step_size) and is_static(lipschitz) and float(step_size) > 2 / float(lipschitz) * (1 + 1e-6):
        raise ArgumentError(
            f"step_size: got {float(step_size):g}, wanted at most {2 / float(lipschitz):g}, 2 / lipschitz"
        )
    return step_size


def _always(energy, height, value, parabola):
    return jnp.bool_(True)


def _fits(energy, height, value, parabola):
    return energy(value) <= parabola + 16 * jnp.finfo(value.dtype).eps * height


@compiled
def _descend(follow, fits, smooth, regularizer, start, lipschitz, scale, tolerance, max_steps):
    """Take steps of size scale/L from the points that `follow` chooses; double L where `fits` refuses the new point."""
    dtype = start.dtype
    frozen = without_outer_gradients(lambda z: as_scalar("smooth", smooth(z)), start)
    if lipschitz is None:
        lipschitz = _curvature(frozen, start)
    start, lipschitz, scale, tolerance = jax.lax.stop_gradient((start, lipschitz, scale, tolerance))
    evaluate = jax.value_and_grad(frozen)
    plain = regularizer_without_outer_gradients(regularizer, start, start)

    def advance(state):
        height, slope = evaluate(state.point)
        size = scale / state.lipschitz
        value = plain.prox(state.point - size * slope, size)
        bound, gap = certificate(plain, height, slope, state.point, value, state.lipschitz)
        point, momentum = follow(state, value)
        new = _State(value, point, momentum, state.lipschitz, bound, gap, jnp.isfinite(height))
        change = value - state.point
        parabola = height + _inner(slope, change) + state.lipschitz * _inner(change, change) / 2
        again = state._replace(lipschitz=2 * state.lipschitz, finite=new.finite)
        good = fits(frozen, height, value, parabola) | ~new.finite
        return jax.tree.map(lambda new, old: jnp.where(good, new, old), new, again)

    def short(state):  # the energy is at least bound - gap
        return state.gap <= tolerance * (state.bound - state.gap)

    infinite = jnp.asarray(jnp.inf, dtype)
    # an infinite gap is not short, whatever the tolerance, so that the first step is taken
    state = _State(start, start, jnp.ones((), dtype), lipschitz, infinite, infinite, jnp.bool_(True))
    state, steps, _ = iterate_until(advance, state, lambda state: short(state) | ~state.finite, max_steps)
    value = jax.lax.stop_gradient(state.value)
    fit, penalty = smooth(value), regularizer.value(value)
    energy = fit + penalty
    reached, fit = jax.lax.stop_gradient((energy, fit))
    finite = state.finite & jnp.isfinite(reached)
    # where the energy is above its bound, L was too small: the certificate does not hold, and only E* ≥ 0 is known
    trusted = reached <= state.bound + 100 * jnp.finfo(dtype).eps * reached
    off = _rounding(reached, fit, value, state.lipschitz)
    gap = jnp.where(finite, jnp.where(trusted, state.gap + off, reached), jnp.inf)
    return Solution(value, energy, steps, result_of(finite, short(state) & trusted & (off <= RIGHT * reached)), gap)


def _rounding(energy, fit, value, lipschitz):
    """How far rounding leaves f(z) + R(z) off, where f is half a squared residual r and ‖r‖ is √2f.

    The terms of r are as large as √L ‖z‖, and the errors of its entries have no common sign.
    """
    eps = jnp.finfo(value.dtype).eps
    unit = unit_of(value)
    length = unit * jnp.sqrt(lipschitz * jnp.sum(jnp.square(value / unit)))
    rest = jnp.sqrt(2 * jnp.maximum(fit, 0))
    return 2 * eps * energy + eps * rest * (rest + length) / max(value.size, 1) ** 0.5


def _last(state, value):
    return value, state.momentum


def _beyond(state, value):
    momentum = (1 + jnp.sqrt(1 + 4 * state.momentum**2)) / 2
    return value + (state.momentum - 1) / momentum * (value - state.value), momentum


def _beyond_downhill(state, value):
    uphill = _inner(state.point - value, value - state.value) > 0
    point, momentum = _beyond(state, value)
    return jnp.where(uphill, value, point), jnp.where(uphill, 1, momentum)


def _curvature(smooth: Callable[[Array], Array], start: Array) -> Array:
    """⟨g, ∇²f g⟩ / ⟨g, g⟩ along the gradient g: at most L, and 1 where it is zero or not finite."""
    slope = jax.grad(smooth)(start)
    scale = jnp.max(jnp.abs(slope))
    direction = slope / jnp.where(scale > 0, scale, 1)
    image = jax.jvp(jax.grad(smooth), (start,), (direction,))[1]
    curvature = _inner(direction, image) / jnp.maximum(_inner(direction, direction), 1)
    return jnp.where((curvature > 0) & jnp.isfinite(curvature), curvature, 1)


def _inner(a, b):
    return jnp.sum(a * b)
