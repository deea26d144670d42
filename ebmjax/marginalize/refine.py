"""Quadrature nodes where exp(-beta E) has its mass, for a beta too large for a uniform grid.

A grid of spacing h misses a peak of width 1/√(beta E'') << h. `refine` puts nodes into such peaks and returns an
ordinary `Space`, so that every function of a space takes it:

    F = free_energy(E, refine(E, circle(48), beta), beta)
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_beta, as_float, as_scalar, check_record, is_static
from ebmjax.compiled import compiled
from ebmjax.marginalize.points import energies_of_points
from ebmjax.minimize.descent import newton
from ebmjax.types import Beta, Energy, Space

CELL_NODES, PEAK_NODES = 8, 24
REACH = 64.0  # how many widths of a peak are resolved; exp(-beta E) is negligible beyond


def refine(energy: Energy, space: Space, beta: Beta, peaks: int = 4) -> Space:
    """A space on which the free energy of this energy, at this temperature, is right to about 1e-6.

    The cells of the grid get Gauss-Legendre nodes, except for the two cells around each of the `peaks` lowest local
    minima of the grid. In these, Newton's method finds the minimum z*, and the nodes are z* ± sinh(t)/κ with t on a
    Gauss-Legendre grid: they are dense within the width 1/κ of the peak, κ = √(beta E''/2) + beta |E'|, and reach to
    the ends of the cells. The minima are further points, of vanishing weight, so that beta = inf is right too.

    Args:
        energy: `energy(z) -> scalar`, smooth, of a scalar z; periodic on a circle.
        space: `circle(n)` or `interval(low, high, n)`, with a point in every valley that matters; n at least 4.
        beta: inverse temperature in [0, inf], static or traced.
        peaks: how many local minima are refined, from 1 to n/2.

    Returns:
        A `Space` of 8n + 51 · peaks points with the log-volume of `space`. Its points are constants to differentiation;
        the derivative of a free energy comes from the energies of the points.

    Raises:
        ValueError: as in `free_energy`; points that are not scalars in rising order, fewer than 4 of them, static
            weights that are not those of a circle or an interval, peaks outside 1 … n/2.

    >>> from ebmjax.marginalize.free_energy import free_energy
    >>> from ebmjax.marginalize.spaces import circle
    >>> energy = lambda z: 450 * (1 - jnp.cos(z - 0.06))  # F = 450 - log I₀(450 beta)/beta
    >>> refined = lambda beta: free_energy(energy, refine(energy, circle(48), beta), beta)
    >>> [round(float(refined(beta)), 4) for beta in (0.01, 100.0, jnp.inf)]
    [163.8876, 0.0628, 0.0]
    """
    beta = as_beta(beta)
    check_record("space", space, Space)
    size = np.size(space.log_weights)
    if not jax.tree_util.all_leaves([space.points]) or np.ndim(space.points) != 1 or size < 4:
        raise ArgumentError(
            f"space: got points {jax.tree.map(jnp.shape, space.points)}, wanted at least 4 scalars in order"
        )
    if not isinstance(peaks, int) or not 1 <= peaks <= size // 2:
        raise ArgumentError(f"peaks: got {peaks}, wanted 1 to {size // 2}, half the points of the space")
    points, log_volume = as_float("space", space.points), as_float("space", space.log_volume)
    _check_uniform(points, space.log_weights)
    energies_of_points(energy, space._replace(points=points[:1], log_weights=jnp.zeros(1)))  # its errors by name
    return _refine(energy, points, log_volume, jnp.asarray(beta), peaks)


def _check_uniform(points, log_weights):
    if is_static(points) and not (np.diff(np.asarray(points, np.float64)) > 0).all():
        raise ArgumentError("space: got points that do not rise, wanted at least 4 scalars in order")
    if is_static(log_weights) and np.ptp(np.asarray(log_weights, np.float64)[1:-1]) > 1e-3:
        raise ArgumentError("space: got points of different weights, wanted a circle or an interval")


@compiled
def _refine(energy, points, log_volume, beta, peaks):
    size = len(points)
    beta = jnp.minimum(beta.astype(points.dtype), jnp.finfo(points.dtype).max)
    points, beta, log_volume = jax.lax.stop_gradient((points, beta, log_volume))
    volume = jnp.exp(log_volume).astype(points.dtype)
    wrap = volume - (points[-1] - points[0])  # the cell from the last point to the first; an interval has none
    closed = wrap > 0.1 * volume / size
    widths = jnp.append(jnp.diff(points), jnp.where(closed, wrap, 0))

    heights = jax.lax.stop_gradient(jax.vmap(lambda point: as_scalar("energy", energy(point)))(points))
    valley = _valleys(heights, closed)
    chosen = jnp.lexsort((heights, ~valley))[:peaks]
    deep = valley[chosen]
    beside = jnp.stack([chosen - 1, chosen], axis=1) % size  # the cells left and right of a valley's point
    taken = jnp.zeros(size, bool).at[beside.ravel()].max(jnp.repeat(deep, 2))

    nodes, weights = _legendre(CELL_NODES, points.dtype)
    cells = (
        points[:, None] + widths[:, None] * nodes[None],
        jnp.where(taken[:, None], 0, widths[:, None] * weights[None]),
    )
    refine_peak = jax.vmap(partial(_peak, energy, beta))
    minima, *peak = refine_peak(points[chosen], widths[beside[:, 0]], widths[beside[:, 1]])
    peak[1] = jnp.where(deep[:, None], peak[1], 0)

    # the smallest positive number, in the measure of the whole and not in that of a small volume, where it would vanish
    least = jnp.where(deep, jnp.finfo(points.dtype).tiny, 0)
    measure = jnp.concatenate([cells[1].ravel() / volume, peak[1].ravel() / volume, least])
    refined = jnp.concatenate([cells[0].ravel(), peak[0].ravel(), minima])
    log_weights = jnp.where(measure > 0, jnp.log(jnp.where(measure > 0, measure, 1)), -jnp.inf)
    return jax.lax.stop_gradient(Space(refined, log_weights, log_volume))


def _valleys(heights: Float[Array, " points"], closed: Array) -> Array:
    """Local minima of a sequence, periodic if `closed`; of equal neighbours only the first, so that no two touch."""
    left, right = jnp.roll(heights, 1), jnp.roll(heights, -1)
    left = left.at[0].set(jnp.where(closed, left[0], jnp.inf))
    right = right.at[-1].set(jnp.where(closed, right[-1], jnp.inf))
    return (heights < left) & (heights <= right)


def _peak(energy, beta, point, left, right):
    """The minimum near a valley's point, and nodes and weights for the cells on both sides of it."""
    minimum = jnp.clip(newton(energy, point).value, point - left, point + right)
    slope, curvature = jax.grad(energy)(minimum), jax.grad(jax.grad(energy))(minimum)
    sharpness = jnp.sqrt(beta) * jnp.sqrt(jnp.maximum(curvature, 0) / 2) + beta * jnp.abs(slope)
    sides = [(-1, minimum - (point - left)), (1, point + right - minimum)]
    points, weights = zip(*(_side(minimum, sign, length, sharpness) for sign, length in sides), strict=True)
    return minimum, jnp.concatenate(points), jnp.concatenate(weights)


def _side(minimum, sign, length, sharpness):
    """Nodes for ∫ over [z*, z* + length] by the substitution sinh; the far end has the weight beyond REACH widths."""
    nodes, weights = _legendre(PEAK_NODES, minimum.dtype)
    widths = jnp.clip(length * sharpness, 1, jnp.finfo(minimum.dtype).max)
    reached = jnp.minimum(widths, REACH)
    t = jnp.arcsinh(reached) * nodes
    distance = jnp.append(jnp.sinh(t) * (length / widths), length)
    measure = jnp.append(jnp.arcsinh(reached) * weights * jnp.cosh(t) / widths, 1 - reached / widths)
    return minimum + sign * distance, length * measure


def _legendre(count, dtype):
    """Nodes and weights of Gauss-Legendre quadrature on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return jnp.asarray((nodes + 1) / 2, dtype), jnp.asarray(weights / 2, dtype)
