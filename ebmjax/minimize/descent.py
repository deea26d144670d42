"""Descent from one start: gradient descent with any optax optimizer, and safeguarded Newton steps.

A minimizer of a continuous unknown is `minimizer(energy, start) -> Solution`; `functools.partial` sets its options, so
that `search.multi_start` and `search.refined_search` take any. Solutions may be differentiated with
respect to whatever the energy closes over: `value` counts as a constant and `energy` carries dF/dparams = ∂E/∂params
at the minimum (Danskin's theorem), without differentiating the loop.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from ebmjax.checks import ArgumentError, check_not_negative
from ebmjax.loops import iterate_until
from ebmjax.minimize.outer_gradients import without_outer_gradients
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT, Energy, Solution


class _Descent(NamedTuple):
    value: Any
    energy: Array
    gradient: Any
    optimizer: Any
    best: Any
    least: Array


def gradient_descent(
    energy: Energy,
    start: Any,
    optimizer: optax.GradientTransformation,
    max_steps: int = 1000,
    tolerance: float = 1e-5,
) -> Solution:
    """Follow an optax optimizer until the gradient is short, and return the lowest point that was visited.

    Args:
        energy: `energy(z) -> scalar`, differentiable.
        start: where to begin, any pytree.
        optimizer: any optax gradient transformation.
        max_steps: limit, at least 1.
        tolerance: converged when ‖∇E‖ ≤ tolerance.

    Returns:
        `Solution`; `result` is CONVERGED, STEP_LIMIT, or DIVERGED where an energy or gradient became non-finite (the
        lowest finite point before that is returned). Its energy never exceeds that of the start.

    Raises:
        ValueError: max_steps below 1, a negative tolerance.

    >>> solution = gradient_descent(lambda z: (z - 3.0) ** 2, jnp.array(0.0), optax.sgd(0.4))
    >>> round(float(solution.value), 3), int(solution.result)
    (3.0, 0)
    """
    check_not_negative("tolerance", tolerance)
    frozen = without_outer_gradients(energy, start)
    evaluate = jax.value_and_grad(frozen)

    def finite(state):
        return jnp.isfinite(state.energy) & jnp.isfinite(optax.tree.norm(state.gradient))

    def done(state):
        return (optax.tree.norm(state.gradient) <= tolerance) | ~finite(state)

    def step(state):
        updates, memory = optimizer.update(state.gradient, state.optimizer, state.value)
        value = optax.apply_updates(state.value, updates)
        height, gradient = evaluate(value)
        lower = height < state.least
        best = jax.tree.map(lambda new, old: jnp.where(lower, new, old), value, state.best)
        return _Descent(value, height, gradient, memory, best, jnp.where(lower, height, state.least))

    start = jax.tree.map(jnp.asarray, start)
    height, gradient = evaluate(start)
    state = _Descent(start, height, gradient, optimizer.init(start), start, height)
    state, steps, _ = iterate_until(step, state, done, max_steps)
    short = optax.tree.norm(state.gradient) <= tolerance
    result = jnp.where(finite(state), jnp.where(short, CONVERGED, STEP_LIMIT), DIVERGED)
    return _solution(energy, state.best, steps, result)


class _Newton(NamedTuple):
    value: Array
    energy: Array
    damping: Array
    settled: Array


def newton(energy: Energy, start: Array, max_steps: int = 20, tolerance: float = 1e-7) -> Solution:
    """Safeguarded Newton steps for a scalar or a short vector: from a point near a minimum to full precision.

        z ← z - V (|Λ| + μ)⁻¹ Vᵀ ∇E,    ∇²E = V Λ Vᵀ

    Absolute eigenvalues make every step a descent direction, and a step that does not lower E is refused and tried
    again with a larger damping μ. Quadratically convergent once the curvature is positive.

    Args:
        energy: `energy(z) -> scalar`, twice differentiable.
        start: scalar or vector (dim,); the Hessian is dim × dim.
        max_steps: limit, at least 1; refused steps count.
        tolerance: converged when a step is no longer than tolerance · (1 + ‖z‖), or no step lowers E any more.

    Returns:
        `Solution`, never above the start; DIVERGED where the start's energy is not finite.

    Raises:
        ValueError: max_steps below 1, a negative tolerance, a start that is not a scalar or a vector.

    Dauphin et al. (2014) for |Λ|; Levenberg (1944) for μ.

    >>> solution = newton(lambda z: -jnp.cos(z), jnp.array(0.4))
    >>> abs(float(solution.value)) < 1e-3, float(solution.energy), int(solution.result)
    (True, -1.0, 0)
    """
    check_not_negative("tolerance", tolerance)
    start = jnp.asarray(start)
    if start.ndim > 1:
        raise ArgumentError(f"start: got shape {start.shape}, wanted a scalar or a vector")
    frozen = without_outer_gradients(energy, start)
    slope = jax.grad(frozen)
    curvature = jax.grad(slope) if start.ndim == 0 else jax.jacfwd(slope)
    rounding = 4 * jnp.finfo(start.dtype).eps

    def step(state):
        change = _newton_step(slope(state.value), curvature(state.value), state.damping)
        value = state.value + change
        height = frozen(value)
        lower = height < state.energy
        short = _length(change) <= tolerance * (1 + _length(state.value))
        level = jnp.abs(height - state.energy) <= rounding * jnp.abs(state.energy)
        return _Newton(
            jnp.where(lower, value, state.value),
            jnp.where(lower, height, state.energy),
            jnp.where(lower, state.damping / 8, 8 * jnp.maximum(state.damping, 1e-3)),
            short | (level & ~lower),
        )

    height = frozen(start)
    finite = jnp.isfinite(height)
    state = _Newton(start, height, jnp.zeros((), start.dtype), ~finite)
    state, steps, settled = iterate_until(step, state, lambda state: state.settled, max_steps)
    result = jnp.where(finite, jnp.where(settled, CONVERGED, STEP_LIMIT), DIVERGED)
    return _solution(energy, state.value, steps, result)


def _newton_step(slope, curvature, damping):
    if slope.ndim == 0:
        scale = jnp.abs(curvature) + damping
        return -slope / jnp.where(scale > 0, scale, 1)
    values, vectors = jnp.linalg.eigh(curvature)
    scale = jnp.abs(values) + damping
    return -vectors @ ((vectors.T @ slope) / jnp.where(scale > 0, scale, 1))


def _length(vector):
    return jnp.linalg.norm(jnp.atleast_1d(vector))


def _solution(energy, value, steps, result):
    value = jax.lax.stop_gradient(value)
    return Solution(value, energy(value), steps, jnp.asarray(result, jnp.int32))
