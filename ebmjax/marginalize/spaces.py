"""Spaces: the sets over which a free energy is computed.

A `Space(points, log_weights, log_volume)` is a normalized measure on N points. Continuous sets are quadrature grids,
discrete sets are enumerated, and `product` combines spaces. On `spin_cube(12)`, for example, `free_energy` and
`log_partition` of twelve spins are exact.
"""

import math
from functools import partial
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ebmjax.checks import ArgumentError, as_float, check_count, check_record, is_static
from ebmjax.types import BITS, SPINS, Numbers, Space

__all__ = ["Space", "binary_cube", "box", "circle", "gauss_hermite", "interval", "product", "spin_cube", "weighted"]

MOST_UNITS = 24  # 2^24 states of 24 float32 units are 1.6 GB


def circle(n: int) -> Space:
    """n equally spaced angles z in [0, 2π), in radians, from 0 in steps of 2π/n; |Z| = 2π.

    The weights are those of the trapezoid rule, which converges exponentially for a smooth periodic energy, once the
    spacing resolves the narrowest peak of exp(-beta E). Raises ValueError for n below 1.

    >>> circle(4).points.tolist()[:2]
    [0.0, 1.5707963705062866]
    """
    _check_size("n", n)
    return _uniform(np.arange(n) * (2 * np.pi / n), 2 * np.pi)


def interval(low: float, high: float, n: int) -> Space:
    """n equally spaced points from `low` to `high`, both included, with the trapezoid rule's weights; |Z| = high - low.

    Raises ValueError for n below 2, and unless low < high are finite.

    >>> import jax.numpy as jnp
    >>> space = interval(0.0, 2.0, 3)
    >>> space.points.tolist(), jnp.exp(space.log_weights).tolist()
    ([0.0, 1.0, 2.0], [0.25, 0.5, 0.25])
    """
    _check_size("n", n, 2)
    _check_ends(low, high)
    weights = np.full(n, 1 / (n - 1))
    weights[[0, -1]] /= 2
    space = _space(np.linspace(low, high, n), np.log(weights), math.log(high - low))
    return space._replace(ends=(jnp.full_like(space.points[0], low), jnp.full_like(space.points[0], high)))


def box(low: float, high: float, n: int, dimensions: int) -> Space:
    """The cube [low, high]^dimensions by the midpoints of equal cells; |Z| = (high - low)^dimensions.

    The midpoint rule, with n cells along each axis. A point is an array, where `product(interval, interval)`
    gives tuples.

    Args:
        low, high: ends of every axis.
        n: cells along each axis.
        dimensions: number of axes.

    Returns:
        a Space of points (n^dimensions, dimensions) of equal weight; the first coordinate changes slowest.

    Raises:
        ValueError: n or dimensions below 1; unless low < high are finite.

    >>> box(0.0, 4.0, 2, 2).points.tolist()
    [[1.0, 1.0], [1.0, 3.0], [3.0, 1.0], [3.0, 3.0]]
    """
    check_count("n", n)
    check_count("dimensions", dimensions)
    _check_ends(low, high)
    midpoints = low + (np.arange(n) + 0.5) * ((high - low) / n)
    grid = np.stack(np.meshgrid(*[midpoints] * dimensions, indexing="ij"), axis=-1)
    space = _uniform(grid.reshape(-1, dimensions), (high - low) ** dimensions)
    return space._replace(ends=(jnp.full_like(space.points[0], low), jnp.full_like(space.points[0], high)))


def gauss_hermite(n: int) -> Space:
    """n nodes of Gauss-Hermite quadrature: averages over a standard normal z, exact for polynomials of degree 2n - 1.

    The measure is a probability, so that log_volume = 0. Raises ValueError for n outside 1 … 180; for more nodes the
    outermost weights would underflow in float64.

    >>> space = gauss_hermite(3)
    >>> round(float(jnp.exp(space.log_weights) @ space.points**2), 6)
    1.0
    """
    _check_size("n", n)
    if n > 180:
        raise ArgumentError(f"n: got {n}, wanted at most 180 nodes")
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    return _space(nodes, np.log(weights) - 0.5 * math.log(2 * math.pi), 0.0)


def binary_cube(n: int) -> Space:
    """All 2ⁿ states of n units in {0, 1}, points of shape (2ⁿ, n); the first unit changes slowest.

    Raises ValueError for n outside 1 … 24.

    >>> binary_cube(2).points.tolist()
    [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]
    """
    _check_cube(n)
    return _cube(n, BITS)


def spin_cube(n: int) -> Space:
    """All 2ⁿ states of n spins in {-1, +1}, points of shape (2ⁿ, n). Raises ValueError for n outside 1 … 24.

    >>> spin_cube(1).points.tolist()
    [[-1.0], [1.0]]
    """
    _check_cube(n)
    return _cube(n, SPINS)


def _check_cube(n):
    _check_size("n", n)
    if n > MOST_UNITS:
        raise ArgumentError(f"n: got {n}, wanted at most {MOST_UNITS} units (2^n states are enumerated)")


def _cube(n, alphabet):
    """All states of n units, equally likely."""
    dtype = jnp.result_type(float)
    points = _states(n, jnp.asarray(alphabet.low, dtype), jnp.asarray(alphabet.high, dtype), jnp.int32(0))
    return Space(points, jnp.full(2**n, -n * math.log(2), dtype), jnp.asarray(n * math.log(2), dtype))


@partial(jax.jit, static_argnums=0)
def _states(n, low, high, first):
    """In one compiled loop: whole arrays of integers would take more memory than the result.

    The number of the first state is an argument, because a program without arguments is computed by the compiler.
    """
    state, unit = (jax.lax.broadcasted_iota(jnp.int32, (2**n, n), axis) for axis in (0, 1))
    return jnp.where(((first + state) >> (n - 1 - unit)) & 1 == 1, high, low)


def product(*spaces: Space) -> Space:
    """All combinations of the points of several spaces: tuples of one point of each; the last space changes fastest.

    The log-weights and the log-volumes are added. Raises ValueError for no space at all.

    >>> both = product(circle(4), spin_cube(1))
    >>> [x.shape for x in both.points]
    [(8,), (8, 1)]
    """
    if not spaces:
        raise ArgumentError("spaces: got none, wanted at least one")
    for space in spaces:
        check_record("spaces", space, Space)
    sizes = tuple(len(space.log_weights) for space in spaces)

    def spread(place, leaf):
        """A leaf of one space for all combinations, without an array of indices."""
        axes = tuple(size if axis == place else 1 for axis, size in enumerate(sizes))
        rest = leaf.shape[1:]
        return jnp.broadcast_to(leaf.reshape(axes + rest), sizes + rest).reshape(-1, *rest)

    points = tuple(
        jax.tree.map(lambda leaf, place=place: spread(place, jnp.asarray(leaf)), space.points)
        for place, space in enumerate(spaces)
    )
    log_weights = sum(spread(place, as_float("spaces", space.log_weights)) for place, space in enumerate(spaces))
    log_volume = jnp.asarray(sum(space.log_volume for space in spaces))
    return Space(points, jnp.asarray(log_weights), log_volume, _ends_of_all(spaces))


def _ends_of_all(spaces):
    if all(space.ends is None for space in spaces):
        return None
    nowhere = lambda space, sign: jax.tree.map(lambda leaf: jnp.full(leaf.shape[1:], sign * jnp.inf), space.points)
    ends = [space.ends or (nowhere(space, -1), nowhere(space, 1)) for space in spaces]
    return tuple(low for low, _ in ends), tuple(high for _, high in ends)


def weighted(points: PyTree[Array], log_weights: Annotated[Numbers, "points"]) -> Space:
    """A space of any points with any weights: samples, data, or a grid with importance weights.

    Args:
        points: a pytree of arrays with the leading axis N.
        log_weights: logarithms of the weights, (N,). They are normalized, and log_volume is the logarithm of their sum.

    Raises:
        ValueError: no points, or lengths that differ; static log-weights with a NaN or without a finite one.

    >>> import jax.numpy as jnp
    >>> space = weighted(jnp.array([1.0, 2.0]), jnp.zeros(2))
    >>> round(float(jnp.exp(space.log_volume)), 5)
    2.0
    """
    log_weights = as_float("log_weights", log_weights)
    if not jax.tree.leaves(points):
        raise ArgumentError("points: got none, wanted at least one array")
    points = jax.tree.map(_of_points, points)
    if log_weights.ndim != 1 or log_weights.size == 0:
        raise ArgumentError(f"log_weights: got shape {log_weights.shape}, wanted (N,) with N at least 1")
    for leaf in jax.tree.leaves(points):
        if leaf.ndim == 0 or len(leaf) != len(log_weights):
            raise ArgumentError(
                f"points: got shape {leaf.shape}, wanted the leading axis {len(log_weights)} of log_weights"
            )
    log_volume = jax.nn.logsumexp(log_weights)
    if is_static(log_volume) and not math.isfinite(float(log_volume)):
        raise ArgumentError(
            f"log_weights: got a total weight of exp({float(log_volume)}), wanted a finite, positive one"
        )
    return Space(points, log_weights - log_volume, log_volume)


def _of_points(leaf):
    """States that are whole numbers, such as indices, stay so."""
    array = as_float("points", leaf)
    whole = jnp.issubdtype(getattr(leaf, "dtype", array.dtype), jnp.integer)
    return jnp.asarray(leaf, jnp.result_type(int)) if whole else array


def _uniform(points, volume):
    return _space(points, np.full(len(points), -math.log(len(points))), math.log(volume))


def _space(points, log_weights, log_volume):
    """A space computed in float64, stored in the default dtype."""
    dtype = jnp.result_type(float)
    return Space(jnp.asarray(points, dtype), jnp.asarray(log_weights, dtype), jnp.asarray(log_volume, dtype))


def _check_ends(low, high):
    for name, end in (("low", low), ("high", high)):
        as_float(name, end, ())
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ArgumentError(f"low, high: got {low}, {high}, wanted two finite numbers with low < high")


def _check_size(name, size, least=1):
    check_count(name, size)
    if size < least:
        raise ArgumentError(f"{name}: got {size}, wanted at least {least}")
