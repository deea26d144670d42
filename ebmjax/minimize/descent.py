"""Minimizers of a continuous unknown: gradient descent, Newton, and both from many starts.

Every minimizer is `energy, start -> Solution(value, energy, steps, result, gap)` and is wrapped by `functools.partial`,
so that `multi_start` and `refined_search` take any of them; these have no gap to offer. Solutions may be differentiated
with respect to whatever the energy closes over: `value` counts as a constant and `energy` carries
dF/dparams = ∂E/∂params at the minimum (Danskin's theorem), without differentiating the loop.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from ebmjax.energies.regularizers import Regularizer
from ebmjax.loops import iterate_until
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT, Energy, Solution, Space, check_not_negative

Minimizer = Callable[[Any], Solution]


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
        raise ValueError(f"start: got shape {start.shape}, wanted a scalar or a vector")
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


def multi_start(minimize: Minimizer, starts: Any) -> Solution:
    """The best of many runs: `minimize(start)` for every start, in one vmap.

    Args:
        minimize: `start -> Solution`, such as `partial(newton, energy)`.
        starts: leading axis the runs, at least one.

    Returns:
        The `Solution` of least energy; runs that diverged lose against all others.

    >>> from functools import partial
    >>> solution = multi_start(partial(newton, lambda z: jnp.cos(z) + 0.1 * z), jnp.array([-3.0, 3.0]))
    >>> round(float(solution.value), 3)
    -3.242
    """
    runs = jax.vmap(minimize)(starts)
    height = jnp.where((runs.result == DIVERGED) | jnp.isnan(runs.energy), jnp.inf, runs.energy)
    return jax.tree.map(lambda leaf: leaf[jnp.argmin(height)], runs)


def grid_search(energy: Energy, space: Space) -> Solution:
    """The point of a space with the least energy: exact on an enumerated space, a beginning on a grid.

    `steps` is the number of points. Raises ValueError for an empty space.

    >>> space = Space(jnp.arange(4.0), jnp.full(4, -jnp.log(4.0)), jnp.log(4.0))
    >>> float(grid_search(lambda z: (z - 2.2) ** 2, space).value)
    2.0
    """
    best = lowest(energy, space, 1)
    value = jax.tree.map(lambda leaf: leaf[0], best)
    size = jnp.int32(space.log_weights.shape[0])
    height = energy(value)
    return Solution(value, height, size, jnp.where(jnp.isfinite(height), CONVERGED, DIVERGED))


def refined_search(
    energy: Energy,
    space: Space,
    minimizer: Callable[[Energy, Any], Solution] = newton,
    starts: int = 4,
) -> Solution:
    """Grid search, then refinement: F_inf to the precision of the dtype, where the grid alone is off by its spacing.

    Args:
        energy: `energy(z) -> scalar`.
        space: a grid fine enough to show every valley that matters.
        minimizer: `energy, start -> Solution`, run from the best points of the grid.
        starts: how many points are refined, local minima of the grid first.

    Returns:
        The best `Solution`, never above the grid's minimum.

    Raises:
        ValueError: an empty space, starts below 1 or above the number of points.

    >>> from ebmjax.marginalize.spaces import circle
    >>> solution = refined_search(lambda z: (2 - jnp.cos(z - 0.05)) ** 2, circle(48))
    >>> round(float(solution.value), 3), round(float(solution.energy), 6)
    (0.05, 1.0)
    """
    return multi_start(lambda start: minimizer(energy, start), lowest(energy, space, starts))


def lowest(energy: Energy, space: Space, count: int) -> Any:
    """The `count` most promising points of a space: local minima along its order, then the others, lowest first.

    Raises ValueError for an empty space, a count below 1 or above the number of points.

    >>> space = Space(jnp.arange(5.0), jnp.zeros(5), jnp.array(0.0))
    >>> lowest(lambda z: jnp.cos(2 * z), space, 2).tolist()
    [2.0, 4.0]
    """
    size = space.log_weights.shape[0]
    if not 1 <= count <= size:
        raise ValueError(f"count: got {count}, wanted 1 to {size}, the number of points of the space")
    heights = jax.lax.stop_gradient(jax.vmap(energy)(space.points))
    heights = jnp.where(jnp.isnan(heights), jnp.inf, heights)
    if count == 1:  # argmin by two plain reductions: XLA does not vectorize its own on CPU
        order = jnp.min(jnp.where(heights == heights.min(), jnp.arange(size), size - 1))[None]
    else:
        valley = (heights <= jnp.roll(heights, 1)) & (heights <= jnp.roll(heights, -1))
        order = jnp.lexsort((heights, ~valley))[:count]  # the lowest point of all is a valley, so it comes first
    return jax.tree.map(lambda leaf: leaf[order], space.points)


def without_outer_gradients(function: Callable[..., Any], *examples: Any) -> Callable[..., Any]:
    """The function with everything it closes over taken as constant, so that loops over it need no derivative.

    `examples` are arguments of the shapes and dtypes to come.

    >>> slope = jax.grad(lambda scale: without_outer_gradients(lambda z: scale * z, 1.0)(2.0))
    >>> float(slope(3.0))
    0.0
    """
    pure, constants = jax.closure_convert(function, *jax.tree.map(jnp.asarray, examples))
    constants = jax.lax.stop_gradient(constants)
    return lambda *arguments: pure(*arguments, *constants)


def regularizer_without_outer_gradients(regularizer: Regularizer, code: Array, slope: Array) -> Regularizer:
    """The same for a regularizer: `code` and `slope` have the shapes in which values and conjugates are asked for.

    >>> from ebmjax.energies.regularizers import l1
    >>> z = jnp.ones(2)
    >>> float(jax.grad(lambda weight: regularizer_without_outer_gradients(l1(weight), z, z).value(z))(3.0))
    0.0
    """
    number = jnp.zeros((), code.dtype)
    return Regularizer(
        without_outer_gradients(regularizer.value, code),
        without_outer_gradients(regularizer.prox, code, number),
        without_outer_gradients(regularizer.conjugate, slope, number),
    )


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
