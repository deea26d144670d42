"""Search for the least energy: on all points of a space, from several starts, or on a grid and then by descent."""

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ebmjax.checks import (
    ArgumentError,
    as_floats,
    as_scalar,
    check_callable,
    check_count,
    check_record,
    leading_axis,
)
from ebmjax.compiled import compiled
from ebmjax.minimize.descent import Minimizer, newton
from ebmjax.numerics import widened
from ebmjax.types import CONVERGED, DIVERGED, Energy, Solution, Space


def multi_start(energy: Energy, starts: PyTree, minimizer: Minimizer = newton) -> Solution:
    """The best of many runs: `minimizer(energy, start)` for every start, in one vmap.

    Args:
        energy: `energy(z) -> scalar`.
        starts: one start a run, along a leading axis of at least one.
        minimizer: `minimizer(energy, start) -> Solution`, such as `newton` or `partial(gradient_descent,
            optimizer=...)`.

    Returns:
        The `Solution` of least energy. A run that diverged is returned only where all of them did.

    Raises:
        ValueError: an energy or a minimizer that is no function, starts that are not numbers, or not along one axis.

    >>> solution = multi_start(lambda z: jnp.cos(z) + 0.1 * z, jnp.array([-3.0, 3.0]))
    >>> round(float(solution.value), 3)
    -3.242
    """
    check_callable("energy", energy)
    check_callable("minimizer", minimizer)
    starts = as_floats("starts", starts)
    leading_axis("starts", starts)
    return _multi_start(energy, starts, minimizer)


@compiled
def _multi_start(energy, starts, minimizer):
    runs = jax.vmap(lambda start: minimizer(energy, start))(starts)
    height = jnp.where((runs.result == DIVERGED) | jnp.isnan(runs.energy), jnp.inf, runs.energy)
    return jax.tree.map(lambda leaf: leaf[jnp.argmin(height)], runs)


def grid_search(energy: Energy, space: Space) -> Solution:
    """The point of a space with the least energy: exact on an enumerated space, off by the spacing on a grid.

    Args:
        energy: `energy(z) -> scalar`, of one point of the space.
        space: what is searched.

    Returns:
        `Solution`, whose `steps` is the number of points; DIVERGED where no energy is finite.

    Raises:
        ValueError: an empty space.

    >>> space = Space(jnp.arange(4.0), jnp.full(4, -jnp.log(4.0)), jnp.log(4.0))
    >>> float(grid_search(lambda z: (z - 2.2) ** 2, space).value)
    2.0
    """
    return _grid_search(energy, lowest_points(energy, space, 1), space.log_weights.shape[0])


@compiled
def _grid_search(energy, best, size):
    value = jax.tree.map(lambda leaf: leaf[0], best)
    size = jnp.int32(size)
    height = as_scalar("energy", energy(value))
    return Solution(value, height, size, jnp.where(jnp.isfinite(height), CONVERGED, DIVERGED))


def refined_search(
    energy: Energy,
    space: Space,
    minimizer: Minimizer = newton,
    starts: int = 4,
) -> Solution:
    """Search a grid and refine its best points by descent: F_inf = min E to the precision of the dtype.

    On a space with ends, such as an interval or a box, the search stays between them and may end on one. There the
    descent takes the unknown as z = middle + half the width · sin(u), whose u has no ends.

    Args:
        energy: `energy(z) -> scalar`.
        space: a grid fine enough to have a point in every valley that matters.
        minimizer: `minimizer(energy, start) -> Solution`, run from the best points of the grid.
        starts: how many points are refined; local minima of the grid come first.

    Returns:
        The best `Solution`, never above the minimum on the grid.

    Raises:
        ValueError: an empty space, starts below 1 or above the number of points.

    >>> from ebmjax.marginalize.spaces import circle
    >>> solution = refined_search(lambda z: (2 - jnp.cos(z - 0.05)) ** 2, circle(48))
    >>> round(float(solution.value), 3), round(float(solution.energy), 6)
    (0.05, 1.0)
    """
    check_callable("minimizer", minimizer)
    check_count("starts", starts)
    points = lowest_points(energy, space, starts)
    if space.ends is None:
        return multi_start(energy, points, minimizer)
    return _bounded_search(energy, points, space.ends, minimizer)


@compiled
def _bounded_search(energy, points, ends, minimizer):
    first = jax.tree.map(lambda leaf: leaf[0], points)
    flat, form = ravel_pytree(first)
    low, high = (ravel_pytree(end)[0] for end in ends)
    inside = lambda u: form(_within(ravel_pytree(u)[0], low, high))
    angles = lambda z: form(_angle(ravel_pytree(z)[0], low, high))
    found = multi_start(lambda u: energy(inside(u)), jax.vmap(angles)(points), minimizer)
    # the descent starts a little away from an end, so that the lowest point of the grid may be lower
    least = jax.lax.stop_gradient(as_scalar("energy", energy(first)))
    value = jnp.where(found.energy <= least, ravel_pytree(inside(found.value))[0], flat)
    value = form(jax.lax.stop_gradient(value))
    return found._replace(value=value, energy=as_scalar("energy", energy(value)))


def _within(u, low, high):
    """The unknown between its ends, from one without ends; infinite ends are none."""
    low, high, bounded = _finite(low, high)
    return jnp.where(bounded, jnp.clip((low + high) / 2 + (high - low) / 2 * jnp.sin(u), low, high), u)


def _angle(z, low, high):
    low, high, bounded = _finite(low, high)
    # at an end itself a change of u would not change z
    part = jnp.clip((2 * z - low - high) / (high - low), -0.9999, 0.9999)
    return jnp.where(bounded, jnp.arcsin(part), z)


def _finite(low, high):
    bounded = jnp.isfinite(low) & jnp.isfinite(high)
    return jnp.where(bounded, low, -1), jnp.where(bounded, high, 1), bounded


def lowest_points(energy: Energy, space: Space, count: int) -> PyTree[Array]:
    """The `count` best starts for a descent: first the local minima in the order of the points, then other points.

    Both groups are sorted by their energies, the lowest first. The first and the last point count as neighbours.

    Args:
        energy: `energy(z) -> scalar`, of one point of the space.
        space: N points in order, such as a grid.
        count: how many points, from 1 to N.

    Returns:
        Points of the space, along a leading axis `count`.

    Raises:
        ValueError: an empty space, a count below 1 or above the number of points.

    >>> space = Space(jnp.arange(5.0), jnp.zeros(5), jnp.array(0.0))
    >>> lowest_points(lambda z: jnp.cos(2 * z), space, 2).tolist()
    [2.0, 4.0]
    """
    check_callable("energy", energy)
    check_record("space", space, Space)
    check_count("count", count)
    size = space.log_weights.shape[0]
    if not 1 <= count <= size:
        raise ArgumentError(f"count: got {count}, wanted 1 to {size}, the number of points of the space")
    return _lowest(energy, jax.tree.map(widened, space.points), count)


@compiled
def _lowest(energy, points, count):
    height = jax.vmap(lambda point: as_scalar("energy", energy(point)))
    heights = jax.lax.stop_gradient(height(points))
    size = len(heights)
    heights = jnp.where(jnp.isnan(heights), jnp.inf, heights)
    if count == 1:  # argmin by two plain reductions: XLA does not vectorize its own on CPU
        order = jnp.min(jnp.where(heights == heights.min(), jnp.arange(size), size - 1))[None]
    else:
        valley = (heights <= jnp.roll(heights, 1)) & (heights <= jnp.roll(heights, -1))
        order = jnp.lexsort((heights, ~valley))[:count]  # the lowest point of all is a valley, so it comes first
    return jax.tree.map(lambda leaf: leaf[order], points)
