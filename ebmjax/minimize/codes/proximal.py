"""Proximal gradient descent: a smooth energy plus a regularizer that need not be smooth, with a certificate.

    E(z) = f(z) + R(z),    z ← prox_{sR}(v - s ∇f(v))

f is convex, differentiable and not negative, its curvature at most L; R is one of `ebmjax.energies.regularizers`. The
solvers differ in the point v: the last one (`ista`), or one beyond it (`fista`, `fista_restarted`, `backtracking`). All
work for codes of any shape, under `jit` and under `vmap` over observations and weights. A step costs one value and
gradient of f; from it comes a bound on the distance to the least energy, see `certificate`.

Solutions differentiate as those of `gradient` do: `value` counts as a constant, and `energy` carries the slopes of
E at the minimum (Danskin's theorem), those with respect to the regularizer's weight among them. For derivatives of the
code itself see `implicit`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, check_not_negative, is_static
from ebmjax.energies.regularizers import Regularizer
from ebmjax.loops import iterate_until
from ebmjax.minimize.outer_gradients import regularizer_without_outer_gradients, without_outer_gradients
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT, Energy, Scalar, Solution


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
    start: Float[Array, "..."],
    lipschitz: Scalar,
    step: Scalar | None = None,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-4,
) -> Solution:
    """Iterative shrinkage: z ← prox_{sR}(z - s ∇f(z)), E(z_k) - E* ≤ L ‖z_0 - z*‖² / 2k. Its energy never rises.

    Args:
        smooth: f, `smooth(z) -> scalar`: convex, differentiable, not negative.
        regularizer: R.
        start: z_0, any shape.
        lipschitz: L, a bound of f's curvature: `sparse_coding.lipschitz(params)` for the misfit of a dictionary. With
            one that is too small neither descent nor the certificate hold.
        step: s in (0, 2/L], None for 1/L.
        max_steps: limit, at least 1.
        tolerance: converged when gap ≤ tolerance · energy. In float32 rounding ends the descent near 1e-6.

    Returns:
        `Solution` with the last point and its `gap`: energy - least energy ≤ gap. `result` is CONVERGED, STEP_LIMIT or,
        where f became infinite or NaN, DIVERGED. A point whose energy refutes `lipschitz` counts as STEP_LIMIT.

    Raises:
        ValueError: max_steps below 1; static: a negative tolerance, a lipschitz that is not positive and finite, a step
            that is not positive or above 2/L.

    Daubechies, Defrise & De Mol (2004); Beck & Teboulle (2009), eq. 3.1.

    >>> from ebmjax.energies.regularizers import l1
    >>> solution = ista(lambda z: jnp.sum((z - 2) ** 2) / 2, l1(0.5), jnp.zeros(2), lipschitz=1.0)
    >>> solution.value.tolist(), float(solution.energy), int(solution.steps), int(solution.result)
    ([1.5, 1.5], 1.75, 2, 0)
    """
    return _fixed_step(_last, smooth, regularizer, start, lipschitz, step, max_steps, tolerance)


def fista(
    smooth: Energy,
    regularizer: Regularizer,
    start: Float[Array, "..."],
    lipschitz: Scalar,
    step: Scalar | None = None,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-4,
) -> Solution:
    """ISTA from a point beyond the last: E(z_k) - E* ≤ 2L ‖z_0 - z*‖² / (k + 1)², but the energy ripples.

        v = z_k + (t_k - 1)/t_{k+1} (z_k - z_{k-1}),    t_{k+1} = ½ + ½ √(1 + 4 t_k²)

    Arguments, result and errors are those of `ista`. The last point is returned, the one whose `gap` is known, which
    need not be the lowest. A step above 1/L is allowed but may diverge.

    Beck & Teboulle (2009), eq. 4.1-4.3.

    >>> from ebmjax.energies.regularizers import l1
    >>> solution = fista(lambda z: jnp.sum((z - 2) ** 2) / 2, l1(0.5), jnp.zeros(2), lipschitz=2.0)
    >>> solution.value.round(2).tolist(), int(solution.result)
    ([1.5, 1.5], 0)
    """
    return _fixed_step(_beyond, smooth, regularizer, start, lipschitz, step, max_steps, tolerance)


def fista_restarted(
    smooth: Energy,
    regularizer: Regularizer,
    start: Float[Array, "..."],
    lipschitz: Scalar,
    step: Scalar | None = None,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-4,
) -> Solution:
    """FISTA that forgets its momentum when it points uphill, ⟨v - z_{k+1}, z_{k+1} - z_k⟩ > 0: linear near the end.

    Arguments, result and errors are those of `ista`; the last point is returned, as by `fista`. The one to begin with.

    O'Donoghue & Candès (2015), the gradient scheme.

    >>> from ebmjax.energies.regularizers import l1
    >>> solution = fista_restarted(lambda z: jnp.sum((z - 2) ** 2) / 2, l1(0.5), jnp.zeros(2), lipschitz=2.0)
    >>> solution.value.round(2).tolist(), int(solution.result)
    ([1.5, 1.5], 0)
    """
    return _fixed_step(_beyond_downhill, smooth, regularizer, start, lipschitz, step, max_steps, tolerance)


def backtracking(
    smooth: Energy,
    regularizer: Regularizer,
    start: Float[Array, "..."],
    lipschitz: Scalar | None = None,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-4,
) -> Solution:
    """FISTA with restarts that finds L by itself: doubled until f lies below its own parabola at every new point.

    A trial that is refused counts as a step. A step costs a value of f more than those of `fista`, and the certificate
    needs no trust in an L.

    Args:
        smooth: f, `smooth(z) -> scalar`: convex, differentiable, not negative.
        regularizer: R.
        start: any shape.
        lipschitz: the first guess of L, from below; None takes the curvature along the first gradient, for which f has
            to be differentiable twice.
        max_steps: limit, at least 1.
        tolerance: converged when gap ≤ tolerance · energy.

    Returns:
        `Solution`, as `fista_restarted`.

    Raises:
        ValueError: max_steps below 1; static: a negative tolerance, a lipschitz that is not positive and finite.

    Beck & Teboulle (2009), "FISTA with backtracking".

    >>> from ebmjax.energies.regularizers import l1
    >>> solution = backtracking(lambda z: 8 * jnp.sum((z - 2) ** 2), l1(4.0), jnp.zeros(2))
    >>> solution.value.round(2).tolist(), int(solution.result)
    ([1.75, 1.75], 0)
    """
    _check(tolerance, lipschitz)
    plain = without_outer_gradients(smooth, start)
    rounding = 16 * jnp.finfo(start.dtype).eps

    def fits(height, value, parabola):
        return plain(value) <= parabola + rounding * height

    guess = _curvature(plain, start) if lipschitz is None else lipschitz
    return _descend(_beyond_downhill, fits, smooth, regularizer, start, guess, 1.0, max_steps, tolerance)


def certificate(
    regularizer: Regularizer,
    height: Scalar,
    slope: Float[Array, "..."],
    point: Float[Array, "..."],
    value: Float[Array, "..."],
    lipschitz: Scalar,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """How far the energy at z = `value` is from the least one, from f = `height` and g = `slope` at another point v.

        E(z) ≤ bound = f + ⟨g, z - v⟩ + ½L‖z - v‖² + R(z)
        E(z) - E* ≤ gap = ⟨g, z⟩ + R(z) + ½L‖z - v‖² + sup {⟨-g, x⟩ - R(x): R(x) ≤ bound}

    Convexity gives E(x) ≥ f + ⟨g, x - v⟩ + R(x) for every x, and the best x has R(x) ≤ E* ≤ bound because f ≥ 0; in the
    difference f cancels, and with it most of the rounding. Where z = v this is the duality gap of Fenchel and Young.

    Returns:
        `(bound, gap)`, with gap ≤ bound because E ≥ 0, and gap ≥ 4 ε bound for the rounding ε of the dtype.

    >>> from ebmjax.energies.regularizers import l1
    >>> certificate(l1(1.0), 2.0, jnp.array([-2.0]), jnp.array([0.0]), jnp.array([1.0]), 1.0)[1].item()  # ½(z - 2)²
    1.0
    """
    change = value - point
    curved = lipschitz * _inner(change, change) / 2
    held = regularizer.value(value)
    bound = jnp.maximum(height + _inner(slope, change) + curved, 0) + held
    gap = _inner(slope, value) + held + curved + regularizer.conjugate(-slope, bound)
    # what is below rounding certifies nothing
    return bound, jnp.clip(gap, 4 * jnp.finfo(value.dtype).eps * bound, bound)


def _fixed_step(follow, smooth, regularizer, start, lipschitz, step, max_steps, tolerance):
    _check(tolerance, lipschitz)
    if step is not None and is_static(step):
        if not float(step) > 0:
            raise ArgumentError(f"step: got {float(step)}, wanted a positive number")
        limit = 2 / float(lipschitz) if is_static(lipschitz) else jnp.inf
        if float(step) > limit * (1 + 1e-6):
            raise ArgumentError(f"step: got {float(step)}, wanted at most {limit:g}, 2 / lipschitz")
    always = lambda height, value, parabola: jnp.bool_(True)
    scale = 1.0 if step is None else step * jnp.asarray(lipschitz, start.dtype)
    return _descend(follow, always, smooth, regularizer, start, lipschitz, scale, max_steps, tolerance)


def _check(tolerance, lipschitz):
    check_not_negative("tolerance", tolerance)
    if lipschitz is not None and is_static(lipschitz) and not 0 < float(lipschitz) < jnp.inf:
        raise ArgumentError(f"lipschitz: got {float(lipschitz)}, wanted a positive finite number")


def _descend(follow, fits, smooth, regularizer, start, lipschitz, scale, max_steps, tolerance):
    """Steps of size scale/L from the points that `follow` chooses; L is doubled where the parabola does not fit."""
    dtype = start.dtype
    start, lipschitz, scale = jax.lax.stop_gradient((start, jnp.asarray(lipschitz, dtype), jnp.asarray(scale, dtype)))
    evaluate = jax.value_and_grad(without_outer_gradients(smooth, start))
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
        good = fits(height, value, parabola) | ~new.finite
        return jax.tree.map(lambda new, old: jnp.where(good, new, old), new, again)

    def short(state):  # the energy is at least bound - gap
        return state.gap <= tolerance * (state.bound - state.gap)

    infinite = jnp.asarray(jnp.inf, dtype)
    # not short, whatever the tolerance, so that the first step is taken
    state = _State(start, start, jnp.ones((), dtype), lipschitz, infinite, infinite, jnp.bool_(True))
    state, steps, _ = iterate_until(advance, state, lambda state: short(state) | ~state.finite, max_steps)
    value = jax.lax.stop_gradient(state.value)
    energy = smooth(value) + regularizer.value(value)
    reached = jax.lax.stop_gradient(energy)
    finite = state.finite & jnp.isfinite(reached)
    # an energy above what L allows: the certificate is void, but E* ≥ 0 holds
    trusted = reached <= state.bound + 100 * jnp.finfo(dtype).eps * reached
    result = jnp.where(finite, jnp.where(short(state) & trusted, CONVERGED, STEP_LIMIT), DIVERGED)
    gap = jnp.where(finite, jnp.where(trusted, state.gap, reached), jnp.inf)
    return Solution(value, energy, steps, jnp.asarray(result, jnp.int32), gap)


def _last(state, value):
    return value, state.momentum


def _beyond(state, value):
    momentum = (1 + jnp.sqrt(1 + 4 * state.momentum**2)) / 2
    return value + (state.momentum - 1) / momentum * (value - state.value), momentum


def _beyond_downhill(state, value):
    uphill = _inner(state.point - value, value - state.value) > 0
    point, momentum = _beyond(state, value)
    return jnp.where(uphill, value, point), jnp.where(uphill, 1, momentum)


def _curvature(smooth: Callable[[Any], Any], start: Array) -> Array:
    """⟨g, ∇²f g⟩ / ⟨g, g⟩ along the gradient g: at most L, and 1 where it tells nothing."""
    slope = jax.grad(smooth)(start)
    scale = jnp.max(jnp.abs(slope))
    direction = slope / jnp.where(scale > 0, scale, 1)
    image = jax.jvp(jax.grad(smooth), (start,), (direction,))[1]
    curvature = _inner(direction, image) / jnp.maximum(_inner(direction, direction), 1)
    return jnp.where((curvature > 0) & jnp.isfinite(curvature), curvature, 1)


def _inner(a, b):
    return jnp.sum(a * b)
