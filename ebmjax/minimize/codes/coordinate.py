"""Coordinate descent on the Gram matrix: exact sparse codes, one coefficient at a time.

    z_j ← prox_{R/G_jj}(z_j + c_j/G_jj),    c = Wᵀ(y - Wz),  G = WᵀW

Each update minimizes the energy exactly in one coefficient and costs one row of G, since c ← c - Δz_j G_j. The solver
works in rounds. The active set of a round is the support and every other coefficient that would move by more than a
threshold. Its coefficients are swept until none moves by more than the threshold, which is then lowered for the next
round. In this way large moves come first. A duality gap after each round bounds how far the energy is from the least.

Friedman, Hastie & Tibshirani (2010) for the active set; Wu & Lange (2008).
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, check_count, check_not_negative, check_shape
from ebmjax.energies.regularizers import Regularizer
from ebmjax.energies.sparse_coding import Params, check_params
from ebmjax.loops import iterate_until
from ebmjax.minimize.outer_gradients import regularizer_without_outer_gradients
from ebmjax.numerics import matmul
from ebmjax.types import Scalar, Solution, result_of

FIRST, FALL = 0.3, 0.3
"""The threshold of the first round, as a fraction of the largest possible move, and its factor from round to round."""
MOST_SWEEPS = 1000
"""The limit of the sweeps of one round, since rounding may make two coefficients move in turns for ever."""


@runtime_checkable
class WeightedRegularizer(Protocol):
    """A family of regularizers by their weight, such as `l1`."""

    def __call__(self, weight: Any, /) -> Regularizer:
        """The regularizer of weight λ, which may be traced."""
        ...


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
    """The code z of least ½‖y - Wz‖² + R(z) for one observation, with a certificate. It is a `FindCode`.

    Args:
        params: the dictionary W, whose columns may have any length but zero. Under jit, where values are not checked,
            an atom of zeros keeps its coefficient.
        regularizer: a sum over single coefficients, to each of which its proximal operator is applied: not `group`.
        y: one observation. For many of them on a CPU, `solve_batch` is faster than `jax.vmap`.
        start: where to begin, None for zeros.
        max_steps: limit of the rounds, at least 1.
        tolerance: converged when gap ≤ tolerance · energy, not negative. The gap is pessimistic: for whitened patches
            the energy is about 1e-3 above the least one at a tolerance of 0.1, and 1e-5 at 5e-3. In float32 the gap is
            right to about 1e-6 of the energy.

    Returns:
        `Solution`; `steps` counts rounds. CONVERGED, STEP_LIMIT, or DIVERGED for numbers that are not finite. All of it
        is constant to differentiation.

    Raises:
        ValueError: a static dictionary with a column that is zero or not finite, max_steps below 1, a negative
            tolerance, a y or start of another length, a regularizer that couples coefficients.

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
    return _solve(_problem(params.dictionary, y), regularizer, start, max_steps, tolerance)


def solve_batch(
    params: Params,
    regularizer: Regularizer,
    data: Float[Array, "samples observed"],
    start: Float[Array, "samples atoms"] | None = None,
    max_steps: int = 100,
    tolerance: Scalar = 1e-3,
    chunk: int = 1024,
) -> Solution:
    """`coordinate_descent` for every row of the data, with one Gram matrix. It is a `FindCodes`.

    On a CPU the samples of a chunk are solved one after the other, so that each stays in the cache; on other platforms
    they are solved together. jax 0.12 compiles a loop whose body is this small into one kernel. jax 0.10 does so, and
    is three times as fast, if `XLA_FLAGS=--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=
    1000000000000` (one word) is in the environment before it starts; but with this flag some matrix products within
    other scans become slow loops, so measure.

    Args:
        params, regularizer, max_steps, tolerance: as in `coordinate_descent`.
        data: the samples, as rows.
        start: where to begin, as rows; None for zeros.
        chunk: samples whose products are in memory at once, at least 1. Above the inputs and the result, memory is
            2 · chunk · atoms numbers.

    Returns:
        `Solution`, each field with the leading axis samples.

    Raises:
        ValueError: as in `coordinate_descent`; data or a start of another shape, a chunk below 1.

    >>> from ebmjax.energies.regularizers import l1
    >>> codes = solve_batch(Params(jnp.eye(2)), l1(0.5), jnp.array([[1.0, 0.0], [0.0, -2.0], [0.1, 0.1]]))
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
    gram = matmul(params.dictionary.T, params.dictionary)

    def solve(one):
        target, square, begin = one
        return _solve(_Problem(gram, target, square), regularizer, begin, max_steps, tolerance)

    def solve_chunk(rows):
        samples, begin = rows
        many = (matmul(samples, params.dictionary), jnp.sum(jnp.square(samples), axis=1), begin)
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
    regularizer: WeightedRegularizer,
    y: Float[Array, " observed"],
    weights: Float[Array, " weights"],
    max_steps: int = 100,
    tolerance: Scalar = 1e-3,
) -> Solution:
    """The codes of one observation for many weights of the regularizer, each search starting from the code before.

    Order the weights from large to small, so that neighbouring codes are alike.

    Args:
        params, y, max_steps, tolerance: as in `coordinate_descent`.
        regularizer: `regularizer(weight) -> Regularizer`, such as `l1`.
        weights: λ, in the order in which they are taken. For `l1`, the code is zero from the weight
            `sparse_coding.largest_weight` on.

    Returns:
        `Solution`, each field with the leading axis weights. `jax.vmap` over y gives the paths of many observations.

    Raises:
        ValueError: as in `coordinate_descent`.

    >>> from ebmjax.energies.regularizers import l1
    >>> path(Params(jnp.eye(2)), l1, jnp.array([2.0, 1.0]), jnp.array([2.0, 1.0, 0.5])).value.tolist()
    [[0.0, 0.0], [1.0, 0.0], [1.5, 0.5]]
    """
    _check(params, regularizer(weights[0]), max_steps, tolerance)
    check_shape("y", y, params.dictionary.shape[:1])
    problem = _problem(params.dictionary, y)

    def step(code, weight):
        solution = _solve(problem, regularizer(weight), code, max_steps, tolerance)
        return solution.value, solution

    return lax.scan(step, jnp.zeros_like(problem.target), jnp.asarray(weights))[1]


def _problem(dictionary, y):
    return _Problem(matmul(dictionary.T, dictionary), matmul(y, dictionary), jnp.sum(jnp.square(y)))


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
        code, correlation = start, problem.target - matmul(problem.gram, start)

    def measured(code, correlation, threshold):
        linear = _total(code * correlation)
        fit = (problem.square - _total(code * problem.target) - linear) / 2
        value = _total(jax.vmap(regularizer.value)(code))  # separable
        gap = value - linear + regularizer.conjugate(correlation, fit + value)
        return _Round(code, correlation, threshold, fit + value, gap)

    def moves(code, correlation):
        return jax.vmap(regularizer.prox)(code + correlation * inverse, inverse) - code

    def done(state):
        # a comparison with a NaN is false, so that a NaN ends the loop
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
    return Solution(state.code, state.energy, steps, result_of(finite, converged), state.gap)


def _settle(gram, regularizer, inverse, active, code, correlation, threshold):
    """Sweep over the active coefficients until none of them moves by more than the threshold.

    The body of a loop that reads and writes one array would make XLA copy the array in every step. So each step first
    writes what the step before has found, and then reads scalars only. Coefficients that do not move are skipped in a
    loop of their own, which writes no array.
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
    """The indices where the mask is True, in order, and their number. The list has one entry more than the mask.

    The mask is packed into words of 32 bits, and one step of the loop takes the lowest bit that is set, so that bits
    that are not set cost nothing. `jnp.nonzero` would scatter, which XLA does not compile into a small loop.
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
    """The sum, in 16 lanes where the length allows it: a small kernel would add one long row number by number."""
    return jnp.sum(jnp.sum(terms.reshape(-1, 16) if terms.size % 16 == 0 else terms[None], axis=0))
