"""Coordinate descent on the Gram matrix: exact sparse codes, one coefficient at a time.

    z_j ← prox_{R/G_jj}(z_j + c_j/G_jj),    c = Wᵀ(y - Wz),  G = WᵀW

A step is exact in its coordinate and costs one row of G, since c ← c - Δz_j G_j. Rounds: the active set, the support
and whatever else would move by more than a threshold, is swept until nothing in it does; then the threshold falls.
Large moves come first, small ones are not made before they matter, and after every round a duality gap says how far
the code may be from the best.

Friedman, Hastie & Tibshirani (2010) for the active set; Wu & Lange (2008).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, check_count, check_not_negative, check_shape
from ebmjax.energies.regularizers import Regularizer
from ebmjax.energies.sparse_coding import Params, check_params
from ebmjax.loops import iterate_until
from ebmjax.minimize.outer_gradients import regularizer_without_outer_gradients
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT, Scalar, Solution

FIRST, FALL = 0.3, 0.3
"""The threshold of the first round, as a fraction of the largest move of all, and its fall from round to round."""
MOST_SWEEPS = 1000
"""Of a round: rounding may make two coefficients take turns for ever."""


class _Problem(NamedTuple):
    gram: Array
    target: Array  # Wᵀy
    square: Array  # ‖y‖²


class _Round(NamedTuple):
    code: Array
    correlation: Array
    threshold: Array
    energy: Array
    gap: Array


def coordinate_descent(
    params: Params,
    regularizer: Regularizer,
    y: Float[Array, " observed"],
    start: Float[Array, " atoms"] | None = None,
    max_steps: int = 100,
    tolerance: Scalar = 1e-3,
) -> Solution:
    """The code of least ½‖y - Wz‖² + R(z), with a certificate.

    Args:
        params: the dictionary W, whose columns may have any length but zero. Under jit, where it is not looked at, an
            atom of zeros keeps its coefficient.
        regularizer: separable, so that its proximal operator may be applied to one coefficient: not `group`.
        y: one observation; `encode` is faster than `jax.vmap` for many on a CPU.
        start: where to begin, zeros if None.
        max_steps: limit of rounds, at least 1.
        tolerance: converged when gap ≤ tolerance · energy. The gap is pessimistic: for whitened patches 0.1 leaves
            about 1e-3 of the energy, and 5e-3 leaves 1e-5. In float32 it is right to about 1e-6 of the energy.

    Returns:
        `Solution`; `steps` counts rounds. CONVERGED, STEP_LIMIT, or DIVERGED for numbers that are not finite.

    Raises:
        ValueError: a static dictionary with a column that is zero or not finite, max_steps below 1, a negative
            tolerance, a y or start of another length, a regularizer of groups.

    >>> from ebmjax.energies.regularizers import l1
    >>> dictionary = jnp.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]])
    >>> solution = coordinate_descent(Params(dictionary), l1(0.5), jnp.array([1.5, 2.0]))
    >>> [round(float(z), 3) for z in solution.value], int(solution.result)
    ([0.0, 0.0, 2.0], 0)
    """
    _check(params, regularizer, max_steps, tolerance)
    check_shape("y", y, params.dictionary.shape[:1])
    if start is not None:
        check_shape("start", start, params.dictionary.shape[1:])
    problem = _Problem(params.dictionary.T @ params.dictionary, y @ params.dictionary, jnp.sum(jnp.square(y)))
    return _solve(problem, regularizer, start, max_steps, tolerance)


def encode(
    params: Params,
    regularizer: Regularizer,
    data: Float[Array, "samples observed"],
    start: Float[Array, "samples atoms"] | None = None,
    max_steps: int = 100,
    tolerance: Scalar = 1e-3,
    chunk: int = 1024,
) -> Solution:
    """`coordinate_descent` for every row of the data, with one Gram matrix and products of matrices.

    On a CPU one sample after the other, which stays in the cache while it is worked on; elsewhere all of a chunk at
    once. jax 0.12 compiles a loop whose body is this small into one kernel. jax 0.10 does so, and is three times as
    fast, with `XLA_FLAGS=--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000000` in the
    environment before it starts; but the flag makes naive loops of some products of matrices in other scans: measure.

    Args:
        params, regularizer, max_steps, tolerance: as in `coordinate_descent`.
        data: the samples, as rows.
        start: where to begin, zeros if None.
        chunk: samples whose products are held at once, at least 1: memory above the inputs and the result is
            2 · chunk · atoms numbers.

    Returns:
        `Solution`, each field with the leading axis samples.

    Raises:
        ValueError: as `coordinate_descent`; a chunk below 1.

    >>> from ebmjax.energies.regularizers import l1
    >>> codes = encode(Params(jnp.eye(2)), l1(0.5), jnp.array([[1.0, 0.0], [0.0, -2.0], [0.1, 0.1]]))
    >>> codes.value.tolist(), codes.result.tolist()
    ([[0.5, 0.0], [0.0, -1.5], [0.0, 0.0]], [0, 0, 0])
    """
    _check(params, regularizer, max_steps, tolerance)
    atoms = params.dictionary.shape[1]
    if jnp.ndim(data) != 2 or data.shape[1] != params.dictionary.shape[0]:
        raise ArgumentError(f"data: got shape {jnp.shape(data)}, wanted (samples, {params.dictionary.shape[0]})")
    if start is not None:
        check_shape("start", start, (len(data), atoms))
    check_count("chunk", chunk)
    gram = params.dictionary.T @ params.dictionary

    def solve(one):
        target, square, begin = one
        return _solve(_Problem(gram, target, square), regularizer, begin, max_steps, tolerance)

    def solve_chunk(rows):
        samples, begin = rows
        many = (samples @ params.dictionary, jnp.sum(jnp.square(samples), axis=1), begin)
        return lax.platform_dependent(many, cpu=lambda many: lax.map(solve, many), default=jax.vmap(solve))

    samples = len(data)
    if samples <= chunk:
        return solve_chunk((data, start))
    whole = samples // chunk * chunk
    fold = lambda leaf: leaf[:whole].reshape(-1, chunk, *leaf.shape[1:])
    many = lax.map(solve_chunk, jax.tree.map(fold, (data, start)))
    many = jax.tree.map(lambda leaf: leaf.reshape(whole, *leaf.shape[2:]), many)
    if whole == samples:
        return many
    rest = solve_chunk(jax.tree.map(lambda leaf: leaf[whole:], (data, start)))
    return jax.tree.map(lambda first, last: jnp.concatenate((first, last)), many, rest)


def path(
    params: Params,
    regularizer: Callable[[Any], Regularizer],
    weights: Float[Array, " weights"],
    y: Float[Array, " observed"],
    max_steps: int = 100,
    tolerance: Scalar = 1e-3,
) -> Solution:
    """The codes of one observation for many weights, each from the one before: order them from large to small.

    Args:
        params, y, max_steps, tolerance: as in `coordinate_descent`.
        regularizer: makes it for a weight, such as `l1`.
        weights: λ, in the order in which they are taken. From `sparse_coding.largest_weight` on, the code is zero.

    Returns:
        `Solution`, each field with the leading axis weights. `jax.vmap` over y gives the paths of many.

    Raises:
        ValueError: as `coordinate_descent`.

    >>> from ebmjax.energies.regularizers import l1
    >>> path(Params(jnp.eye(2)), l1, jnp.array([2.0, 1.0, 0.5]), jnp.array([2.0, 1.0])).value.tolist()
    [[0.0, 0.0], [1.0, 0.0], [1.5, 0.5]]
    """
    _check(params, regularizer(weights[0]), max_steps, tolerance)
    check_shape("y", y, params.dictionary.shape[:1])
    problem = _Problem(params.dictionary.T @ params.dictionary, y @ params.dictionary, jnp.sum(jnp.square(y)))

    def step(code, weight):
        solution = _solve(problem, regularizer(weight), code, max_steps, tolerance)
        return solution.value, solution

    return lax.scan(step, jnp.zeros_like(problem.target), jnp.asarray(weights))[1]


def _check(params, regularizer, max_steps, tolerance):
    check_params(params)
    check_count("max_steps", max_steps)
    check_not_negative("tolerance", tolerance)
    one = jax.ShapeDtypeStruct((), params.dictionary.dtype)
    try:
        jax.eval_shape(regularizer.prox, one, one)
    except (IndexError, ValueError) as error:
        raise ArgumentError(
            f"regularizer: got one that needs more than one coefficient ({error}), wanted a sum over them "
            "all; `proximal` takes any"
        ) from None


def _solve(problem, regularizer, start, max_steps, tolerance):
    problem, start = lax.stop_gradient((problem, start))
    regularizer = regularizer_without_outer_gradients(regularizer, jnp.zeros((), problem.target.dtype), problem.target)
    curvature = jnp.diagonal(problem.gram)
    inverse = jnp.where(curvature > 0, 1 / jnp.where(curvature > 0, curvature, 1), 0)
    if start is None:
        code, correlation = jnp.zeros_like(problem.target), problem.target
    else:
        code, correlation = start, problem.target - problem.gram @ start

    def measured(code, correlation, threshold):
        linear = _total(code * correlation)
        fit = (problem.square - _total(code * problem.target) - linear) / 2
        value = _total(jax.vmap(regularizer.value)(code))  # separable
        gap = value - linear + regularizer.conjugate(correlation, fit + value)
        return _Round(code, correlation, threshold, fit + value, gap)

    def moves(code, correlation):
        return jax.vmap(regularizer.prox)(code + correlation * inverse, inverse) - code

    def done(state):
        # a NaN is not above anything: it ends the loop
        return ~(state.gap > tolerance * state.energy)

    def step(state):
        code, correlation, threshold, _, _ = state
        active = (code != 0) | (jnp.abs(moves(code, correlation)) > threshold)
        code, correlation = _settle(problem.gram, regularizer, inverse, active, code, correlation, threshold)
        return measured(code, correlation, jnp.maximum(FALL * threshold, least))

    largest = jnp.max(jnp.abs(moves(code, correlation)))
    # moves below this are rounding
    least = 2 * jnp.finfo(code.dtype).eps * jnp.max(jnp.abs(problem.target) * inverse)
    state = measured(code, correlation, jnp.maximum(FIRST * largest, least))
    state, steps, converged = iterate_until(step, state, done, max_steps)
    finite = jnp.isfinite(state.energy) & jnp.isfinite(largest)
    result = jnp.where(finite, jnp.where(converged, CONVERGED, STEP_LIMIT), DIVERGED)
    return Solution(state.code, state.energy, steps, result.astype(jnp.int32), state.gap)


def _settle(gram, regularizer, inverse, active, code, correlation, threshold):
    """Sweep over the active coordinates until none of them moves by more than the threshold.

    What one step changes is read by scalars before the next step only: a body that read an array and wrote it would
    have XLA copy it in every step. Coordinates that stay are skipped in a loop of their own, which writes no array.
    """
    order, count = _listed(active)

    def move(code, correlation, place):
        atom = _at(order, place)
        old, scale = _at(code, atom), _at(inverse, atom)
        return regularizer.prox(old + _at(correlation, atom) * scale, scale) - old

    def next_that_moves(code, correlation, place):
        def stays(found):
            return (found[0] < count) & ~(jnp.abs(found[1]) > threshold)

        def advance(found):
            return found[0] + 1, move(code, correlation, found[0] + 1)

        return lax.while_loop(stays, advance, (place, move(code, correlation, place)))

    def step(state):
        code, correlation, place, change = state
        atom = _at(order, place)
        code = _put(code, _at(code, atom) + change, atom)
        correlation = correlation - change * _at(gram, atom)
        return code, correlation, *next_that_moves(code, correlation, place + 1)

    def sweep(state):
        code, correlation, sweeps, _ = state
        place, change = next_that_moves(code, correlation, jnp.int32(0))
        moved = place < count
        code, correlation, _, _ = lax.while_loop(
            lambda state: state[2] < count, step, (code, correlation, place, change)
        )
        return code, correlation, sweeps + 1, moved

    state = (code, correlation, jnp.int32(0), jnp.bool_(True))
    return lax.while_loop(lambda state: state[3] & (state[2] < MOST_SWEEPS), sweep, state)[:2]


def _listed(mask):
    """The indices where the mask holds, in order, and how many they are. The list has one place more than the mask.

    32 of them go into one word, and one step of the loop takes the lowest bit that is set, so that what is not set
    costs nothing; `jnp.nonzero` would scatter, of which XLA makes no small loop.
    """
    size = mask.shape[0]
    words = -(-size // 32)
    padded = jnp.pad(mask, (0, 32 * words - size)).astype(jnp.uint32).reshape(words, 32)
    packed = jnp.sum(padded << jnp.arange(32, dtype=jnp.uint32)[None], axis=1, dtype=jnp.uint32)

    def step(state):
        listed, count, word, bits = state
        found = bits != 0
        lowest = lax.population_count((bits & (~bits + jnp.uint32(1))) - jnp.uint32(1)).astype(jnp.int32)
        listed = _put(listed, jnp.minimum(32 * word + lowest, size - 1), count)
        rest = jnp.where(found, bits & (bits - jnp.uint32(1)), _at(packed, jnp.minimum(word + 1, words - 1)))
        return listed, count + found.astype(jnp.int32), word + (~found).astype(jnp.int32), rest

    start = (jnp.zeros(size + 1, jnp.int32), jnp.int32(0), jnp.int32(0), packed[0])
    listed, count, _, _ = lax.while_loop(lambda state: state[2] < words, step, start)
    return listed, count


def _at(array, index):
    return lax.dynamic_index_in_dim(array, index, 0, keepdims=False, allow_negative_indices=False)


def _put(array, value, index):
    return lax.dynamic_update_slice(array, value[None], (index,), allow_negative_indices=False)


def _total(terms):
    """Their sum, in 16 lanes where it can be: a small kernel adds one long row number by number."""
    return jnp.sum(jnp.sum(terms.reshape(-1, 16) if terms.size % 16 == 0 else terms[None], axis=0))
