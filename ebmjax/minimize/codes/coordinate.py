"""Coordinate descent on the Gram matrix: exact sparse codes, one coefficient at a time.

    z_j ← prox_{R/G_jj}(z_j + c_j/G_jj),    c = Wᵀ(y - Wz),  G = WᵀW

Each update minimizes the energy exactly in one coefficient and costs one row of G, since c ← c - Δz_j G_j. The solver
works in rounds. The active set of a round is the support and every other coefficient that would move by more than a
threshold. Its coefficients are swept until none moves by more than the threshold, which is then lowered for the next
round. In this way large moves come first. A duality gap after each round bounds how far the energy is from the least.

Where the weight is far below the largest one, sweeps become many. Then, for a regularizer that grows in proportion to
each coefficient, such as `l1`, the code is followed along the weights instead (`ebmjax.minimize.codes.homotopy`).

Friedman, Hastie & Tibshirani (2010) for the active set; Wu & Lange (2008).
"""

from typing import Annotated, Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax

from ebmjax.checks import ArgumentError, as_float, check_callable, check_count, check_not_negative
from ebmjax.compiled import compiled
from ebmjax.energies.regularizers import Regularizer, check_regularizer, in_units
from ebmjax.energies.sparse_coding import Params, as_params, check_params
from ebmjax.loops import iterate_until
from ebmjax.minimize.codes import homotopy, rounds
from ebmjax.minimize.codes.problem import Problem, atoms_of, begun, certain, close, observed, proportional
from ebmjax.minimize.outer_gradients import regularizer_without_outer_gradients
from ebmjax.numerics import unit_of
from ebmjax.types import Numbers, Scalar, Solution, result_of

AT_ONCE = 2**26
"""Numbers in the matrices of the paths that are followed at once, where there is no CPU."""


@runtime_checkable
class WeightedRegularizer(Protocol):
    """A family of regularizers by their weight, such as `l1`."""

    def __call__(self, weight: Any, /) -> Regularizer:
        """The regularizer of weight λ, which may be traced."""
        ...


def coordinate_descent(
    params: Params,
    regularizer: Regularizer,
    y: Annotated[Numbers, "observed"],
    start: Annotated[Numbers, "atoms"] | None = None,
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
            the energy is about 1e-3 above the least one at a tolerance of 0.1, and 1e-5 at 5e-3. In float32 rounding
            ends progress near 1e-5; beside a large residual, earlier where the weight is below 1e-3 of the largest one.

    Returns:
        `Solution`; `steps` counts rounds, and a path of weights as one. The gap includes rounding: energy - least
        energy ≤ gap. CONVERGED where the gap is small enough and the energy right to 1e-6 of itself, else STEP_LIMIT,
        or DIVERGED for numbers that are not finite. A search ends early where no coefficient can move any more. Data in
        any unit have the same codes times the unit; an energy or gap that would underflow is 0 or the smallest number
        of the dtype. All of it is constant to differentiation.

    Raises:
        ValueError: params that are no `Params`, a static dictionary with a column that is zero or not finite,
            max_steps below 1, a negative tolerance, a y or start of another length, a regularizer that couples
            coefficients.

    >>> from ebmjax.energies.regularizers import l1
    >>> dictionary = jnp.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]])
    >>> solution = coordinate_descent(Params(dictionary), l1(0.5), jnp.array([1.5, 2.0]))
    >>> [round(float(z), 3) for z in solution.value], int(solution.result)
    ([0.0, 0.0, 2.0], 0)
    """
    dictionary, tolerance = _checked(params, regularizer, max_steps, tolerance)
    y = as_float("y", y, dictionary.shape[:1])
    if start is not None:
        start = as_float("start", start, dictionary.shape[1:])
    return _solve_one(dictionary, regularizer, y, start, max_steps, tolerance)


def solve_batch(
    params: Params,
    regularizer: Regularizer,
    data: Annotated[Numbers, "samples observed"],
    start: Annotated[Numbers, "samples atoms"] | None = None,
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
    dictionary, tolerance = _checked(params, regularizer, max_steps, tolerance)
    data = as_float("data", data)
    if data.ndim != 2 or data.shape[1] != dictionary.shape[0]:
        raise ArgumentError(f"data: got shape {data.shape}, wanted (samples, {dictionary.shape[0]})")
    if start is not None:
        start = as_float("start", start, (len(data), dictionary.shape[1]))
    check_count("chunk", chunk)
    return _solve_all(dictionary, regularizer, data, start, max_steps, tolerance, chunk)


@compiled
def _solve_all(dictionary, regularizer, data, start, max_steps, tolerance, chunk):
    length = unit_of(dictionary)
    atoms = atoms_of(lax.stop_gradient(dictionary) / length)

    def problem(one):
        products, unit = one
        return Problem(atoms, products, _in_units(regularizer, unit, length, products.target))

    def solve_chunk(rows):
        samples, begin = lax.stop_gradient(rows)
        units = jax.vmap(unit_of)(samples)
        begin = None if begin is None else begin / (units / length)[:, None]
        many = jax.vmap(lambda y: observed(atoms, y))(samples / units[:, None]), units
        found = jax.vmap(lambda one, begin: begun(problem(one), begin))(many, begin)

        # each pass is a loop over the samples, since XLA would copy the Gram matrix from one into the other
        def improve(found, first):
            starts = begin is not None
            one = lambda one: rounds.improved(problem(one[0]), one[1], first, starts, max_steps, tolerance)
            return _each(one, (many, found))

        def follow(found, every):
            one = lambda one: homotopy.followed(problem(one[0]), one[1], tolerance, every)
            return _few_at_once(one, (many, found), atoms)

        possible = proportional(problem(jax.tree.map(lambda leaf: leaf[0], many)))[2]
        found = _passes(improve, follow, possible, found, tolerance)
        return jax.vmap(lambda found, unit: _solution(found, unit, length, tolerance))(found, units)

    # chunks of one size, the last of them filled up with zeros, so that all of them are one program
    samples, chunks = len(data), -(-len(data) // chunk)
    if chunks <= 1:
        return solve_chunk((data, start))
    size = -(-samples // chunks)
    fold = lambda leaf: jnp.pad(leaf, ((0, chunks * size - samples), (0, 0))).reshape(chunks, size, -1)
    many = lax.map(solve_chunk, jax.tree.map(fold, (data, start)))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:samples], many)


def path(
    params: Params,
    regularizer: WeightedRegularizer,
    y: Annotated[Numbers, "observed"],
    weights: Annotated[Numbers, "weights"],
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
    check_callable("regularizer", regularizer)
    weights = as_float("weights", weights, (None,))
    if not len(weights):
        raise ArgumentError("weights: got none, wanted at least one")
    dictionary, tolerance = _checked(params, regularizer(weights[0]), max_steps, tolerance)
    y = as_float("y", y, dictionary.shape[:1])
    return _solve_path(dictionary, regularizer, y, weights, max_steps, tolerance)


@compiled
def _solve_path(dictionary, regularizer, y, weights, max_steps, tolerance):
    solve = _searcher(dictionary, y, max_steps, tolerance)

    def step(code, weight):
        solution = solve(regularizer(weight), code)
        return solution.value, solution

    return lax.scan(step, jnp.zeros(dictionary.shape[1], dictionary.dtype), weights)[1]


@compiled
def _solve_one(dictionary, regularizer, y, start, max_steps, tolerance):
    return _searcher(dictionary, y, max_steps, tolerance)(regularizer, start)


def _searcher(dictionary, y, max_steps, tolerance):
    """`solve(regularizer, start) -> Solution` for one observation; the products with it are computed once."""
    unit, length = unit_of(y), unit_of(dictionary)
    atoms = atoms_of(lax.stop_gradient(dictionary) / length)
    products = observed(atoms, lax.stop_gradient(y) / unit)

    def solve(regularizer, start):
        problem = Problem(atoms, products, _in_units(regularizer, unit, length, products.target))
        begin = None if start is None else lax.stop_gradient(start) / (unit / length)
        possible = proportional(problem)[2]
        starts = start is not None
        improve = lambda found, first: rounds.improved(problem, found, first, starts, max_steps, tolerance)
        follow = lambda found, every: homotopy.followed(problem, found, tolerance, every)
        found = _passes(improve, follow, possible, begun(problem, begin), tolerance)
        return _solution(found, unit, length, tolerance)

    return solve


def _passes(improve, follow, possible, found, tolerance):
    """`improve(found, first)` and `follow(found, every)` until all of them are close, the first at least once."""
    settled = lambda found: ~found.finite | close(found, tolerance)

    def again(state):
        found, turn = state
        found = improve(found, turn == 0)
        # a path that rounding has led astray is followed once more, with a correction at every event
        every = jnp.where(turn == 0, homotopy.SELDOM, 1)
        wanted = (turn < 2) & possible & ~jnp.all(settled(found))
        return lax.cond(wanted, lambda found: follow(found, every), lambda found: found, found), turn + 1

    done = lambda state: (state[1] > 0) & jnp.all(settled(state[0]))
    return iterate_until(again, (found, jnp.int32(0)), done, rounds.PASSES + 1)[0][0]


def _few_at_once(solve, many, atoms):
    """Each of many, so few at once that what a path needs for them fits memory: a matrix of the size of W for each."""
    few = max(1, AT_ONCE // atoms.dictionary.size)
    return lax.platform_dependent(
        many, cpu=lambda many: lax.map(solve, many), default=lambda many: lax.map(solve, many, batch_size=few)
    )


def _each(solve, many):
    return lax.platform_dependent(many, cpu=lambda many: lax.map(solve, many), default=jax.vmap(solve))


def _in_units(regularizer, unit, length, code):
    """R for an observation in this unit and atoms of this length, and so for codes in unit / length."""
    single = jnp.zeros((), code.dtype)
    plain = regularizer_without_outer_gradients(in_units(regularizer, unit / length, unit * length), single, code)
    return plain._replace(value=jax.vmap(plain.value))  # separable


def _solution(found, unit, length, tolerance):
    """The code in the unit of the problem. A gap that underflows there is the smallest number that does not."""
    gap = jnp.minimum(found.gap + found.off, found.energy + found.off)
    gap = jnp.where(gap > 0, jnp.maximum(gap * unit * unit, jnp.finfo(gap.dtype).tiny), gap)
    result = result_of(found.finite, certain(found, tolerance))
    return Solution(found.code * (unit / length), found.energy * unit * unit, found.steps, result, gap)


def _checked(params, regularizer, max_steps, tolerance):
    """The dictionary, and the tolerance in its dtype."""
    check_params(params)
    dictionary = as_params(params).dictionary
    check_regularizer(regularizer)
    check_count("max_steps", max_steps)
    check_not_negative("tolerance", tolerance)
    one = jax.ShapeDtypeStruct((), dictionary.dtype)
    try:
        jax.eval_shape(regularizer.prox, one, one)
    except (IndexError, ValueError) as error:
        raise ArgumentError(
            f"regularizer: got one that needs more than one coefficient ({error}), wanted a sum over them "
            "all; `proximal` takes any"
        ) from None
    return dictionary, as_float("tolerance", tolerance, ()).astype(dictionary.dtype)
