"""Descent from one start: gradient descent with any optax optimizer, and safeguarded Newton steps.

Both have the signature `minimizer(energy, start, ...) -> Solution`. Once `functools.partial` has set their options,
they are a `Minimizer`, which `search.multi_start` and `search.refined_search` take. Solutions may be differentiated
with respect to whatever the energy closes over: `value` counts as a constant, and `energy` has the derivative
dF/dparams = ∂E/∂params at the minimum (Danskin's theorem). The loop itself is not differentiated.
"""

from typing import Annotated, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from ebmjax.checks import (
    ArgumentError,
    as_float,
    as_floats,
    as_scalar,
    check_callable,
    check_count,
    check_not_negative,
)
from ebmjax.compiled import compiled
from ebmjax.loops import iterate_until
from ebmjax.minimize.outer_gradients import without_outer_gradients
from ebmjax.numerics import matmul, unit_of
from ebmjax.optimizers import as_optimizer, updates_of
from ebmjax.records import record
from ebmjax.types import Energy, Numbers, Scalar, Solution, result_of


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


@record
class _Descent(NamedTuple):
    value: PyTree[Array]
    energy: Array
    gradient: PyTree[Array]
    optimizer: optax.OptState
    scale: Array  # the largest gradient so far, or the largest curvature times the size of the unknown
    best: PyTree[Array]
    least: Array  # the energy of the best point
    slope: Array  # the length of its gradient
    lowest: Array  # the lowest energy of all; the best is as low, up to rounding


def gradient_descent(
    energy: Energy,
    start: PyTree,
    optimizer: optax.GradientTransformation,
    max_steps: int = 1000,
    tolerance: Scalar = 1e-6,
) -> Solution:
    """Follow an optax optimizer until the gradient is short, and return the lowest point that was visited.

    Of points that are equally low, up to rounding, it is the one with the shortest gradient.

    Args:
        energy: `energy(z) -> scalar`, differentiable.
        start: where to begin, any pytree.
        optimizer: any optax gradient transformation, also one that wants the energy, such as `optax.lbfgs()`.
        max_steps: limit of the steps, at least 1.
        tolerance: converged when ‖∇E‖ ≤ tolerance · scale, not negative and without a unit. The scale is the length of
            the longest gradient on the way, or, where that is longer, ‖z‖ times the largest change of the gradient
            over a step, divided by the step. So the search ends at the same point in any unit of energy or of z, and
            a start near the minimum counts as one.

    Returns:
        `Solution`; `result` is CONVERGED where the gradient is short at the point that is returned, STEP_LIMIT, or
        DIVERGED where an energy or a gradient was not finite. The energy never exceeds that of the start.

    Raises:
        ValueError: max_steps below 1, a negative tolerance, an energy that is no function of one number, a start that
            is not numbers, an optimizer that is none.

    >>> solution = gradient_descent(lambda z: (z - 3.0) ** 2, jnp.array(0.0), optax.sgd(0.4))
    >>> round(float(solution.value), 3), int(solution.result)
    (3.0, 0)
    """
    check_callable("energy", energy)
    check_count("max_steps", max_steps)
    check_not_negative("tolerance", tolerance)
    optimizer = as_optimizer(optimizer)
    return _descend(energy, as_floats("start", start), optimizer, max_steps, as_float("tolerance", tolerance, ()))


@compiled
def _descend(energy, start, optimizer, max_steps, tolerance):
    frozen = without_outer_gradients(lambda z: as_scalar("energy", energy(z)), start)
    evaluate = jax.value_and_grad(frozen)
    length = _tree_length
    height, gradient = evaluate(start)
    tolerance, rounding = tolerance.astype(height.dtype), 4 * jnp.finfo(height.dtype).eps

    def finite(state):
        return jnp.isfinite(state.energy) & jnp.isfinite(length(state.gradient))

    def short(slope, state):
        return slope <= tolerance * state.scale

    def done(state):
        return short(length(state.gradient), state) | ~finite(state)

    def step(state):
        updates, memory = updates_of(optimizer, frozen, state.value, state.energy, state.gradient, state.optimizer)
        value = optax.apply_updates(state.value, updates)
        height, gradient = evaluate(value)
        slope = length(gradient).astype(height.dtype)
        moved = length(jax.tree.map(jnp.subtract, value, state.value)).astype(height.dtype)
        turned = length(jax.tree.map(jnp.subtract, gradient, state.gradient)).astype(height.dtype)
        curved = turned / jnp.where(moved > 0, moved, 1) * length(value).astype(height.dtype)
        scale = jnp.maximum(state.scale, jnp.maximum(slope, jnp.where(moved > 0, curved, 0)))
        scale = jnp.where(jnp.isfinite(scale), scale, state.scale)
        level = (height <= state.lowest + rounding * jnp.abs(state.lowest)) & (height <= first)
        better = (height < state.lowest) | (level & (slope < state.slope))
        choose = lambda new, old: jnp.where(better, new, old)
        best = jax.tree.map(choose, value, state.best)
        lowest = jnp.where(height < state.lowest, height, state.lowest)
        return _Descent(
            value,
            height,
            gradient,
            memory,
            scale,
            best,
            choose(height, state.least),
            choose(slope, state.slope),
            lowest,
        )

    first, slope = height, length(gradient).astype(height.dtype)
    scale = jnp.where(jnp.isfinite(slope), slope, 0)
    state = _Descent(start, height, gradient, optimizer.init(start), scale, start, height, slope, height)
    state, steps, _ = iterate_until(step, state, done, max_steps)
    return _solution(energy, state.best, steps, result_of(finite(state), short(state.slope, state)))


@record
class _Newton(NamedTuple):
    value: Array
    energy: Array
    damping: Array  # a part of the largest curvature
    size: Array  # the largest ‖z‖ so far
    settled: Array


def newton(
    energy: Energy, start: Annotated[Numbers, "*dim"], max_steps: int = 20, tolerance: Scalar = 1e-7
) -> Solution:
    """Take safeguarded Newton steps of a scalar or a short vector, from near a minimum to full precision.

        z ← z - V (|Λ| + μ)⁻¹ Vᵀ ∇E,    ∇²E = V Λ Vᵀ

    The absolute values |Λ| make every step a descent direction. A step that does not lower E is refused and tried again
    with a larger damping μ. Convergence is quadratic once the curvature is positive.

    Args:
        energy: `energy(z) -> scalar`, twice differentiable.
        start: scalar or vector (dim,); the Hessian is dim × dim.
        max_steps: limit of the steps, at least 1; refused steps count.
        tolerance: converged when a step is no longer than tolerance times the largest ‖z‖ on the way, or no step lowers
            E any more; not negative and without a unit, so that the steps are the same in any unit of energy or of z.

    Returns:
        `Solution`, never above the start; DIVERGED where the start's energy is not finite.

    Raises:
        ValueError: max_steps below 1, a negative tolerance, an energy that is no function of one number, a start that
            is not a scalar or a vector of numbers.

    Dauphin et al. (2014) for |Λ|; Levenberg (1944) for μ.

    >>> solution = newton(lambda z: -jnp.cos(z), jnp.array(0.4))
    >>> abs(float(solution.value)) < 1e-3, float(solution.energy), int(solution.result)
    (True, -1.0, 0)
    """
    check_callable("energy", energy)
    check_count("max_steps", max_steps)
    check_not_negative("tolerance", tolerance)
    start = as_float("start", start)
    if start.ndim > 1:
        raise ArgumentError(f"start: got shape {start.shape}, wanted a scalar or a vector")
    return _newton(energy, start, max_steps, as_float("tolerance", tolerance, ()).astype(start.dtype))


@compiled
def _newton(energy, start, max_steps, tolerance):
    frozen = without_outer_gradients(lambda z: as_scalar("energy", energy(z)), start)
    slope = jax.grad(frozen)
    curvature = jax.grad(slope) if start.ndim == 0 else jax.jacfwd(slope)
    rounding = 4 * jnp.finfo(start.dtype).eps

    def step(state):
        change = _newton_step(slope(state.value), curvature(state.value), state.damping, state.size)
        value = state.value + change
        height = frozen(value)
        lower = height < state.energy
        size = jnp.maximum(state.size, jnp.where(lower, _length(value), 0))
        short = _length(change) <= tolerance * size
        level = jnp.abs(height - state.energy) <= rounding * jnp.abs(state.energy)
        return _Newton(
            jnp.where(lower, value, state.value),
            jnp.where(lower, height, state.energy),
            jnp.where(lower, state.damping / 8, 8 * jnp.maximum(state.damping, 1e-3)),
            size,
            short | (level & ~lower),
        )

    height = frozen(start)
    finite = jnp.isfinite(height)
    state = _Newton(start, height, jnp.zeros((), start.dtype), _length(start), ~finite)
    state, steps, settled = iterate_until(step, state, lambda state: state.settled, max_steps)
    return _solution(energy, state.value, steps, result_of(finite, settled))


def _newton_step(slope, curvature, damping, size):
    if slope.ndim == 0:
        largest = _curvature_or(jnp.abs(curvature), slope, size)
        return -slope / (jnp.abs(curvature) + jnp.where(curvature == 0, 1, damping) * largest)
    values, vectors = jnp.linalg.eigh(curvature)
    largest = _curvature_or(jnp.max(jnp.abs(values)), slope, size)
    scale = jnp.abs(values) + damping * largest
    return matmul(-vectors, matmul(vectors.T, slope) / jnp.where(scale > 0, scale, largest))


def _curvature_or(largest, slope, size):
    """The largest curvature; where there is none, that with which a step is as long as the unknown, or 1."""
    flat = _length(slope) / jnp.where(size > 0, size, 1)
    return jnp.where(largest > 0, largest, jnp.where(flat > 0, flat, 1))


def _tree_length(tree):
    lengths = jnp.stack([_length(leaf.ravel()) for leaf in jax.tree.leaves(tree)])
    return _length(lengths)


def _length(vector):
    """‖z‖, whose squares do not underflow."""
    unit = unit_of(vector)
    return unit * jnp.linalg.norm(jnp.atleast_1d(vector) / unit)


def _solution(energy, value, steps, result):
    value = jax.lax.stop_gradient(value)
    return Solution(value, as_scalar("energy", energy(value)), steps, result)
