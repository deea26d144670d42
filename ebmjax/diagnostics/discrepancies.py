"""One number for the distance of a set of draws from a law: by the score of the law, or by draws of it.

    kernel_stein_discrepancy      the law is known by its score -beta ∇E(x), log Z is not needed
    maximum_mean_discrepancy      the law is known by draws of it

Both compare means of all functions in the unit ball of a reproducing kernel Hilbert space. They cost O(N²) time, and
memory for `chunk` rows of the matrix of all pairs.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float, as_number, check_count, check_positive
from ebmjax.compiled import compiled
from ebmjax.diagnostics.chains import mean
from ebmjax.loops import map_chunks
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar

FEW = 1000
"""Of more points than these the median distance is that of so many, evenly spaced in their order."""


@record
class Discrepancy(NamedTuple):
    """How far draws are from a law, in a kernel's Hilbert space."""

    value: Float[Array, ""]
    """The square root of `v_statistic`: 0 only where both sides are equal."""
    v_statistic: Float[Array, ""]
    """The square over all pairs, a draw with itself among them: at least 0, and biased upwards by O(1/N)."""
    u_statistic: Float[Array, ""]
    """The square over all pairs of different draws: without a bias for independent draws, and negative by chance."""
    length: Float[Array, ""]
    """The length ℓ of the kernel, in the unit of the draws."""


def kernel_stein_discrepancy(draws: Any, scores: Any, length: Scalar | None = None, chunk: int = 256) -> Discrepancy:
    """The kernel Stein discrepancy of draws from the law of their scores, with the inverse multi-quadric kernel.

        KSD² = mean over pairs of  s·s' k + s·∇' k + s'·∇ k + ∇·∇' k,    k(x, x') = (1 + ‖x - x'‖²/ℓ²)^(-1/2)

    with s the score at x in the unit 1/ℓ. Unlike moments, it goes to 0 only where the draws come from the law. It sees
    a missing mode that is far away only if the score between the modes shows it.

    Args:
        draws: (..., dimensions), at least 2 draws; chains and steps are taken together.
        scores: ∇ log p at the draws, of the same shape: `-beta * jax.vmap(jax.grad(energy))(draws)`.
        length: ℓ of the kernel, in the unit of the draws, positive; None for the median distance of two draws. To
            compare sets of draws with each other, give one length for all.
        chunk: how many rows of the matrix of pairs are in memory, static.

    Returns:
        `Discrepancy`. The units of the draws do not matter, if the length is in the same one.

    Raises:
        ValueError: draws that are not numbers, have no axis of dimensions, or are fewer than 2; scores of another
            shape; a length that is not positive, a chunk below 1.

    Liu, Lee & Jordan (2016), eq. 8 and 14 (U- and V-statistic); Gorham & Mackey (2017), theorem 8 (this kernel).

    >>> draws = jax.random.normal(jax.random.key(0), (500, 2))
    >>> right, wrong = kernel_stein_discrepancy(draws, -draws), kernel_stein_discrepancy(draws, -2 * draws)
    >>> bool(abs(right.u_statistic) < 0.02), bool(wrong.u_statistic > 0.1)
    (True, True)
    """
    draws = _as_points("draws", draws)
    scores = as_float("scores", scores)
    if scores.shape != draws.shape:
        raise ArgumentError(f"scores: got shape {scores.shape}, wanted {draws.shape}, as the draws")
    dtype = jnp.promote_types(draws.dtype, scores.dtype)
    flat = lambda array: array.astype(dtype).reshape(-1, array.shape[-1])
    _check_options(length, chunk)
    return _stein(flat(draws), flat(scores), _as_length(length), chunk)


@compiled
def _stein(points, scores, length, chunk):
    count, dimensions = points.shape
    length = median_distance(points) if length is None else jnp.asarray(length, points.dtype)
    x, s = points / length, scores * length

    def row(one):
        position, score = one
        apart = position[None] - x
        square = jnp.sum(jnp.square(apart), axis=1)
        k = jax.lax.rsqrt(1 + square)
        across = jnp.sum((score[None] - s) * apart, axis=1)
        cubed = k * k * k
        return mean((k * matmul(s, score) + cubed * (across + dimensions) - 3 * cubed * k * k * square)[None])[0]

    whole = mean(map_chunks(row, (x, s), min(chunk, count))[None])[0]
    own = mean((jnp.sum(jnp.square(s), axis=1) + dimensions)[None])[0]
    return _discrepancy(whole, (count * whole - own) / (count - 1), length)


def maximum_mean_discrepancy(draws: Any, other: Any, length: Scalar | None = None, chunk: int = 256) -> Discrepancy:
    """The maximum mean discrepancy of two sets of draws, with a Gaussian kernel.

        MMD² = mean k(x, x') + mean k(y, y') - 2 mean k(x, y),    k(x, y) = exp(-‖x - y‖² / (2 ℓ²))

    Args:
        draws: (..., dimensions), at least 2 draws; chains and steps are taken together.
        other: draws of the law to compare with, (..., dimensions), at least 2, in the same unit.
        length: ℓ of the kernel, in the unit of the draws, positive; None for the median distance of two draws of both
            sets together.
        chunk: how many rows of the matrix of pairs are in memory, static.

    Returns:
        `Discrepancy`.

    Raises:
        ValueError: draws that are not numbers, have no axis of dimensions, or are fewer than 2; another number of
            dimensions; a length that is not positive, a chunk below 1.

    Gretton, Borgwardt, Rasch, Schölkopf & Smola (2012), eq. 3 (U-statistic) and 5 (V-statistic).

    >>> x, y = jax.random.normal(jax.random.key(0), (2, 200, 2))
    >>> same, moved = maximum_mean_discrepancy(x, y), maximum_mean_discrepancy(x, y + 1)
    >>> bool(abs(same.u_statistic) < 0.01), bool(moved.u_statistic > 0.1)
    (True, True)
    """
    draws, other = _as_points("draws", draws), _as_points("other", other)
    if draws.shape[-1] != other.shape[-1]:
        raise ArgumentError(f"other: got {other.shape[-1]} dimensions, wanted {draws.shape[-1]}, as the draws")
    dtype = jnp.promote_types(draws.dtype, other.dtype)
    flat = lambda array: array.astype(dtype).reshape(-1, array.shape[-1])
    _check_options(length, chunk)
    return _mean_discrepancy(flat(draws), flat(other), _as_length(length), chunk)


@compiled
def _mean_discrepancy(draws, other, length, chunk):
    length = median_distance(jnp.concatenate([draws, other])) if length is None else jnp.asarray(length, draws.dtype)
    x, y = draws / length, other / length

    def average(these, those):
        row = lambda point: mean(jnp.exp(-jnp.sum(jnp.square(point[None] - those), axis=1) / 2)[None])[0]
        return mean(map_chunks(row, these, min(chunk, len(these)))[None])[0]

    # a draw with itself has a kernel of 1
    without_own = lambda average, count: (count * average - 1) / (count - 1)
    first, second, across = average(x, x), average(y, y), average(x, y)
    unbiased = without_own(first, len(x)) + without_own(second, len(y)) - 2 * across
    return _discrepancy(first + second - 2 * across, unbiased, length)


def median_distance(points: Float[Array, "points dimensions"]) -> Float[Array, ""]:
    """The median of the distances of all pairs of points, of at most 1000 points; 1 where it is 0.

    >>> median_distance(jnp.array([[0.0], [1.0], [5.0]])).item()
    4.0
    """
    count = min(len(points), FEW)
    few = points[(np.arange(count) * len(points) // count).astype(np.int32)]
    distances = jnp.sqrt(jnp.sum(jnp.square(few[:, None] - few[None]), axis=2))
    # the sorted matrix begins with the distances of points to themselves, and has each other one twice
    ordered = jnp.sort(distances.reshape(-1))
    pairs = count * (count - 1) // 2
    middle = (ordered[count + 2 * ((pairs - 1) // 2)] + ordered[count + 2 * (pairs // 2)]) / 2
    return jnp.where(middle == 0, 1, middle)


def _discrepancy(v_statistic, u_statistic, length):
    v_statistic = jnp.maximum(v_statistic, 0)  # of equal sets it is 0 but for rounding
    return Discrepancy(jnp.sqrt(v_statistic), v_statistic, u_statistic, length)


def _as_points(name: str, points: Numbers):
    points = as_float(name, points)
    if points.ndim < 2 or points.shape[-1] < 1:
        raise ArgumentError(f"{name}: got shape {points.shape}, wanted (..., dimensions)")
    if points.size // points.shape[-1] < 2:
        raise ArgumentError(f"{name}: got shape {points.shape}, wanted (..., dimensions), at least 2 draws")
    return points


def _check_options(length: Any, chunk: int):
    check_count("chunk", chunk)
    if length is not None:
        check_positive("length", length)


def _as_length(length: Any):
    return None if length is None else as_number("length", length)
