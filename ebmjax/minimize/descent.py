"""Descent from one start: gradient descent with any optax optimizer, and safeguarded Newton steps.

Both have the signature `minimizer(energy, start, ...) -> Solution`. Once `functools.partial` has set their options,
they are a `Minimizer`, which `search.multi_start` and `search.refined_search` take. Solutions may be differentiated
with respect to whatever the energy closes over: `value` counts as a constant, and `energy` has the derivative
dF/dparams = ∂E/∂params at the minimum (Danskin's theorem). The loop itself is not differentiated.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from ebmjax.checks import ArgumentError, check_not_negative
from ebmjax.loops import iterate_until
from ebmjax.minimize.outer_gradients import without_outer_gradients
from ebmjax.numerics import matmul
from ebmjax.types import Energy, Scalar, Solution, result_of


@runtime_checkable
class Minimizer(Protocol):
    """A minimizer of any differentiable energy, its options already set: `newton`, `partial(gradient_descent, ...)`."""

    def __call__(self, energy: Energy, start: PyTree[Array], /) -> Solution:
        """Search for a minimum.

        Args:
            energy: `energy(z) -> scalar`, in any unit.
            start: where to begin, of the form of the unknown.

        Returns:
            A `Solution`, not above the energy of the start.
        """
        ...


class _Descent(NamedTuple):
    value: PyTree[Array]
    energy: Array
    gradient: PyTree[Array]
    optimizer: optax.OptState
    best: PyTree[Array]
    least: Array


def gradient_descent(
    energy: Energy,
    start: PyTree[Array],
    optimizer: optax.GradientTransformation,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-5,
) -> Solution:
    """Follow an optax optimizer until the gradient is short, and return the lowest point that was visited.

    Args:
        energy: `energy(z) -> scalar`, differentiable.
        start: where to begin, any pytree.
        optimizer: any optax gradient transformation.
        max_steps: limit of the steps, at least 1.
        tolerance: converged when ‖∇E‖ ≤ tolerance, in units of energy over those of z; not negative.

    Returns:
        `Solution`; `result` is CONVERGED, STEP_LIMIT, or DIVERGED where an energy or a gradient was not finite. The
        lowest finite point that was visited is returned, so that its energy never exceeds that of the start.

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
    return _solution(energy, state.best, steps, result_of(finite(state), short))


class _Newton(NamedTuple):
    value: Array
    energy: Array
    damping: Array
    settled: Array


def newton(energy: Energy, start: Array, max_steps: int = 20, tolerance: Scalar = 1e-7) -> Solution:
    """Take safeguarded Newton steps of a scalar or a short vector, from near a minimum to full precision.

        z ← z - V (|Λ| + μ)⁻¹ Vᵀ ∇E,    ∇²E = V Λ Vᵀ

    The absolute values |Λ| make every step a descent direction. A step that does not lower E is refused and tried again
    with a larger damping μ. Convergence is quadratic once the curvature is positive.

    Args:
        energy: `energy(z) -> scalar`, twice differentiable.
        start: scalar or vector (dim,); the Hessian is dim × dim.
        max_steps: limit of the steps, at least 1; refused steps count.
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
    return _solution(energy, state.value, steps, result_of(finite, settled))


def _newton_step(slope, curvature, damping):
    if slope.ndim == 0:
        scale = jnp.abs(curvature) + damping
        return -slope / jnp.where(scale > 0, scale, 1)
    values, vectors = jnp.linalg.eigh(curvature)
    scale = jnp.abs(values) + damping
    return matmul(-vectors, matmul(vectors.T, slope) / jnp.where(scale > 0, scale, 1))


def _length(vector):
    return jnp.linalg.norm(jnp.atleast_1d(vector))


def _solution(energy, value, steps, result):
    value = jax.lax.stop_gradient(value)
    return Solution(value, energy(value), steps, result)
