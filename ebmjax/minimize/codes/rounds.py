"""The rounds of coordinate descent for one observation, and how far rounding may have put their results off.

A search starts from the products Wᵀy and ‖y‖². They are right to a rounding of ‖y‖², which is too coarse where the
energy is a small part of it. There the energy is computed from the residual itself, and the search begins anew from the
products of the residual, whose rounding is that of a smaller number.

Every loop here is small enough to become one compiled kernel, which takes no product of matrices.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from ebmjax.checks import as_float, check_record
from ebmjax.energies.regularizers import Regularizer
from ebmjax.loops import iterate_until
from ebmjax.minimize.codes.certificate import RIGHT, rounding_of_energy, rounding_of_slope
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import Scalar

FIRST, FALL = 0.3, 0.3
"""The threshold of the first round, as a fraction of the largest possible move, and its factor from round to round."""
PASSES = 3
"""How often a search begins anew, from the residual of its code, where rounding leaves its energy or gap in doubt."""
MOST_SWEEPS = 1000
"""The limit of the sweeps of one round, since rounding may make two coefficients move in turns for ever."""


@record
class Problem(NamedTuple):
    """One observation and its dictionary, in units in which the largest entries of both are near 1."""

    atoms: Float[Array, "atoms observed"]
    """Wᵀ: the atoms as rows."""
    gram: Float[Array, "atoms atoms"]
    """WᵀW."""
    y: Float[Array, " observed"]
    target: Float[Array, " atoms"]
    """Wᵀy."""
    square: Float[Array, ""]
    """‖y‖²."""
    regularizer: Regularizer
    """A sum over coefficients: `prox` and `conjugate` of arrays, `value` of the whole code."""


@record
class Found(NamedTuple):
    """A code, and what is known of it."""

    code: Float[Array, " atoms"]
    energy: Float[Array, ""]
    off: Float[Array, ""]
    """How far rounding may have put the energy off."""
    gap: Float[Array, ""]
    """Energy - least energy ≤ gap + off."""
    steps: Int[Array, ""]
    """The rounds."""
    finite: Bool[Array, ""]


@record
class _Around(NamedTuple):
    """The products of a residual r = y - Wc of a center c, around which the energy is computed."""

    center: Array | None  # None for zeros
    target: Array  # Wᵀr
    square: Array  # ‖r‖²
    slope_off: Array  # how far rounding may have put an entry of the target off
    energy_off: Array  # how far rounding may have put ½‖r‖² off


@record
class _Round(NamedTuple):
    code: Array
    correlation: Array
    threshold: Array
    energy: Array
    off: Array
    gap: Array
    raw: Array  # the gap if the correlations were exact
    stuck: Array  # nothing moves any more
    steps: Array


def first(problem: Problem, start: Float[Array, " atoms"] | None, max_steps: int, tolerance: Scalar) -> Found:
    """The first pass: rounds until gap + off ≤ tolerance · energy, or until the products of y allow no more.

    Args:
        problem: the observation and its dictionary.
        start: where to begin, None for zeros; it is projected to where the regularizer is finite.
        max_steps: limit of the rounds of all passes.
        tolerance: of the gap.

    Raises ValueError for a problem that is no `Problem`.

    >>> from ebmjax.energies.regularizers import l1
    >>> eye, y = jnp.eye(2), jnp.array([2.0, 0.25])
    >>> problem = Problem(eye, eye, y, y, jnp.sum(y * y), l1(0.5))
    >>> jax.jit(lambda: first(problem, None, 10, 1e-3).code)().tolist()
    [1.5, 0.0]
    """
    check_record("problem", problem, Problem)
    tolerance = as_float("tolerance", tolerance, ())
    target = problem.target
    eps = jnp.finfo(target.dtype).eps
    # each update of a correlation rounds it by a part of the largest
    around = _Around(None, target, problem.square, 4 * eps * jnp.max(jnp.abs(target)), eps * problem.square)
    if start is None:
        return _search(problem, around, jnp.zeros_like(target), target, jnp.int32(0), max_steps, tolerance)
    start = jax.vmap(lambda z: problem.regularizer.prox(z, jnp.zeros((), z.dtype)))(start)
    correlation = target - matmul(problem.gram, start)
    return _search(problem, around, start, correlation, jnp.int32(0), max_steps, tolerance)


def certain(found: Found, tolerance: Scalar) -> Bool[Array, "..."]:
    """Whether the gap is small enough, rounding included, and the energy right to a relative 1e-6.

    Raises ValueError for anything but a `Found`.

    >>> energy, off, gap = jnp.array([[1.0, 1e-8, 1e-4], [1.0, 1e-5, 1e-4]]).T
    >>> certain(Found(None, energy, off, gap, None, None), 1e-3).tolist()
    [True, False]
    """
    check_record("found", found, Found)
    tolerance = as_float("tolerance", tolerance, ()).astype(found.energy.dtype)
    return (found.gap + found.off <= tolerance * found.energy) & (found.off <= RIGHT * found.energy)


def with_energy(problem: Problem, found: Found) -> Found:
    """The energy from the residual itself, where the Gram matrix gives it as a difference of large numbers.

    Args:
        problem: the observation and its dictionary.
        found: of the first pass.

    Raises ValueError for anything but a `Problem` and a `Found`.

    >>> from ebmjax.energies.regularizers import l1
    >>> eye, y, zero = jnp.eye(2), jnp.array([2.0, 0.25]), jnp.array(0.0)
    >>> found = Found(y, zero, jnp.array(1.0), zero, jnp.int32(1), jnp.bool_(True))
    >>> problem = Problem(eye, eye, y, y, jnp.sum(y * y), l1(0.5))
    >>> float(jax.jit(lambda found: with_energy(problem, found).energy)(found))
    1.125
    """
    check_record("problem", problem, Problem)
    check_record("found", found, Found)
    some = found.finite & (found.off > RIGHT * found.energy)
    residual = _residual(problem, found.code, some)
    value = jnp.asarray(problem.regularizer.value(found.code))
    energy = jnp.sum(jnp.square(residual)) / 2 + value
    off = _rounding(problem, found.code, residual) + jnp.finfo(value.dtype).eps * value
    return found._replace(energy=jnp.where(some, energy, found.energy), off=jnp.where(some, off, found.off))


def _rounding(problem, code, residual):
    count = jnp.sum((code != 0).astype(code.dtype))
    return rounding_of_energy(problem.y, problem.y - residual, residual, count)


def _residual(problem, code, some):
    """y - Wz; y itself, at no cost, where it is not wanted."""
    order, count = _listed((code != 0) & some)

    def step(state):
        residual, place = state
        atom = _at(order, place)
        return residual - _at(code, atom) * _at(problem.atoms, atom), place + 1

    return lax.while_loop(lambda state: state[1] < count, step, (problem.y, jnp.int32(0)))[0]


def again(problem: Problem, found: Found, max_steps: int, tolerance: Scalar) -> Found:
    """Another pass, from the products of the residual of the code, where the gap is not yet small enough.

    Args:
        problem: the observation and its dictionary.
        found: of the pass before; where it is `certain`, it is returned.
        max_steps, tolerance: as in `first`.

    Raises ValueError for anything but a `Problem` and a `Found`.

    >>> from ebmjax.energies.regularizers import l1
    >>> eye, y = jnp.eye(2), jnp.array([2.0, 0.25])
    >>> problem = Problem(eye, eye, y, y, jnp.sum(y * y), l1(0.5))
    >>> jax.jit(lambda: again(problem, first(problem, None, 1, 0.0), 10, 1e-3).code)().tolist()
    [1.5, 0.0]
    """
    check_record("problem", problem, Problem)
    check_record("found", found, Found)
    tolerance = as_float("tolerance", tolerance, ())
    residual = _residual(problem, found.code, jnp.bool_(True))
    target = jnp.sum(problem.atoms * residual[None], axis=1)
    longest = jnp.sqrt(jnp.max(jnp.diagonal(problem.gram)))
    slope_off = rounding_of_slope(longest, residual) + 4 * jnp.finfo(target.dtype).eps * jnp.max(jnp.abs(target))
    energy_off = _rounding(problem, found.code, residual)
    around = _Around(found.code, target, jnp.sum(jnp.square(residual)), slope_off, energy_off)
    new = _search(problem, around, found.code, target, found.steps, max_steps, tolerance)
    keep = certain(found, tolerance) | ~found.finite
    return jax.tree.map(lambda new, old: jnp.where(keep, old, new), new, found)


def _search(problem, around, code, correlation, steps, max_steps, tolerance):
    regularizer, target = problem.regularizer, around.target
    eps = jnp.finfo(target.dtype).eps
    curvature = jnp.diagonal(problem.gram)
    inverse = jnp.where(curvature > 0, 1 / jnp.where(curvature > 0, curvature, 1), 0)

    def measured(code, correlation, threshold, stuck, steps):
        linear = total(code * correlation)
        change = code if around.center is None else code - around.center
        along = total(change * target)
        within = linear if around.center is None else total(change * correlation)
        value = regularizer.value(code)
        # a difference of rounded numbers
        energy = jnp.maximum((around.square - along - within) / 2, 0) + value
        off = around.energy_off + eps * (jnp.abs(along) + jnp.abs(within) + value)
        bound = energy + off
        raw = value - linear + regularizer.conjugate(correlation, bound)
        raised = [jnp.where(correlation < 0, -around.slope_off, around.slope_off), around.slope_off]
        above = jnp.maximum(*[regularizer.conjugate(correlation + change, bound) for change in raised])
        gap = value - linear + above + around.slope_off * total(jnp.abs(code)) + 2 * eps * (value + jnp.abs(linear))
        gap = jnp.maximum(gap, 4 * eps * bound)
        return _Round(code, correlation, threshold, energy, off, gap, raw, stuck, steps)

    def moves(code, correlation):
        return jax.vmap(regularizer.prox)(code + correlation * inverse, inverse) - code

    def done(state):
        # a comparison with a NaN is false, so that a NaN ends the loop; rounding alone is left of half a gap
        goal = tolerance * state.energy
        return ~(state.gap + state.off > goal) | ~(state.raw > goal / 2) | state.stuck | (state.steps >= max_steps)

    def step(state):
        active = (state.code != 0) | (jnp.abs(moves(state.code, state.correlation)) > state.threshold)
        code, correlation = _settle(
            problem.gram, regularizer, inverse, active, state.code, state.correlation, state.threshold
        )
        stuck = (state.threshold <= least) & jnp.all(code == state.code)
        return measured(code, correlation, jnp.maximum(FALL * state.threshold, least), stuck, state.steps + 1)

    largest = jnp.max(jnp.abs(moves(code, correlation)))
    # moves below this are rounding
    least = 2 * eps * jnp.max(jnp.abs(target) * inverse)
    state = measured(code, correlation, jnp.maximum(FIRST * largest, least), jnp.bool_(False), steps)
    state, _, _ = iterate_until(step, state, done, max_steps)
    finite = jnp.isfinite(state.energy) & jnp.isfinite(largest)
    return Found(state.code, state.energy, state.off, state.gap, state.steps, finite)


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


def total(terms: Float[Array, " n"]) -> Float[Array, ""]:
    """The sum, in 16 lanes where the length allows it: a small kernel would add one long row number by number.

    >>> float(total(jnp.ones(48)))
    48.0
    """
    terms = as_float("terms", terms, (None,))
    return jnp.sum(jnp.sum(terms.reshape(-1, 16) if terms.size % 16 == 0 else terms[None], axis=0))
