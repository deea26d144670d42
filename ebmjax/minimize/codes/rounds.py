"""The rounds of coordinate descent for one observation, and how far rounding may have put their results off.

A pass is a search by rounds. The first one starts from the products Wᵀy and ‖y‖². They are right to a rounding of ‖y‖²,
which is too coarse where the energy is a small part of it. There the energy is computed from the residual itself, and
where the gap is too large, the next pass searches on from the products of the residual, whose rounding is that of a
smaller number. All passes are one program, since a program is compiled anew at each place where it stands.

The loops over coefficients are small enough to become one compiled kernel each, which takes no product of matrices.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from ebmjax.checks import as_float, check_record
from ebmjax.loops import iterate_until
from ebmjax.minimize.codes.certificate import RIGHT, rounding_of_energy, rounding_of_slope
from ebmjax.minimize.codes.problem import Found, Problem, close, limits, proportional
from ebmjax.numerics import largest_magnitude, matmul
from ebmjax.records import record
from ebmjax.types import Scalar

FIRST, FALL = 0.3, 0.3
"""The threshold of the first round, as a fraction of the largest possible move, and its factor from round to round."""
PASSES = 3
"""How often a search begins anew, from the residual of its code, where rounding leaves its energy or gap in doubt."""
MOST_SWEEPS = 1000
"""The limit of the sweeps of one round, since rounding may make two coefficients move in turns for ever."""
PATIENCE, AFTER = 40, 1000
"""Where a path of weights can be followed, the sweeps of the first pass and of each later one. The first is a multiple
of the rank over the ratio of the largest weight to that of the regularizer: about the time that the path takes."""


@record
class _Begin(NamedTuple):
    """What a pass begins with."""

    correlation: Array  # of the code
    slope_off: Array  # how far rounding may have put an entry of the correlation off
    least: Array  # moves below this are rounding


@record
class _Round(NamedTuple):
    code: Array
    correlation: Array
    threshold: Array
    energy: Array
    off: Array
    gap: Array
    rounding: Array  # about the part of the gap that rounding makes
    stuck: Array  # nothing moves any more
    steps: Array
    sweeps: Array  # of this pass


def improved(
    problem: Problem,
    found: Found,
    first: Bool[Array, ""],
    starts: bool,
    max_steps: int,
    tolerance: Scalar,
) -> Found:
    """A pass: rounds until gap + off ≤ tolerance · energy, then the energy from the residual where it is in doubt.

    Args:
        problem: the observation and its dictionary.
        found: of `begun`, or of the pass before; where it is `close`, it is returned.
        first: whether it is of `begun`; then the pass starts from the products of y.
        starts: whether the code of `begun` may be another one than zeros.
        max_steps: limit of the rounds of all passes.
        tolerance: of the gap.

    Raises ValueError for anything but a `Problem` and a `Found`.

    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.minimize.codes.problem import atoms_of, begun, observed
    >>> atoms, y = atoms_of(jnp.eye(2)), jnp.array([2.0, 0.25])
    >>> problem = Problem(atoms, observed(atoms, y), l1(0.5)._replace(value=lambda code: 0.5 * jnp.abs(code)))
    >>> one = jax.jit(lambda found, first: improved(problem, found, first, False, 10, 1e-3))
    >>> once = one(begun(problem, None), True)
    >>> once.code.tolist(), int(one(once, False).steps - once.steps)
    ([1.5, 0.0], 0)
    """
    check_record("problem", problem, Problem)
    check_record("found", found, Found)
    tolerance = as_float("tolerance", tolerance, ())
    wanted = first | found.finite & (found.steps < max_steps) & ~close(found, tolerance)
    up, down, possible = proportional(problem)
    largest = largest_magnitude(problem.observed.target) / jnp.minimum(up, down)
    limit = jnp.minimum(PATIENCE * min(problem.atoms.dictionary.shape) / largest, MOST_SWEEPS).astype(jnp.int32)
    limit = jnp.where(possible, jnp.where(first, limit, AFTER), MOST_SWEEPS * max_steps)
    return _if(wanted, lambda: _pass(problem, found, first, limit, starts, max_steps, tolerance), found)


def _pass(problem, found, first, limit, starts, max_steps, tolerance):
    atoms, (_, target, *_, slope_off, least) = problem.atoms, problem.observed

    def of_y():
        return _Begin(target - matmul(atoms.gram, found.code) if starts else target, slope_off, least)

    def of_residual():
        residual = _residual(problem, found.code)
        correlation = matmul(atoms.rows, residual)
        longest = jnp.sqrt(largest_magnitude(jnp.diagonal(atoms.gram)))
        slope_off, least = limits(atoms.inverse, correlation)
        return _Begin(correlation, slope_off + rounding_of_slope(longest, residual), least)

    new = _search(problem, _if(~first, of_residual, of_y()), found, first, limit, starts, max_steps, tolerance)
    doubtful = new.finite & ~(first & (new.off <= RIGHT * new.energy))
    return _if(doubtful, lambda: _with_energy(problem, new, first), new)


def _with_energy(problem, found, first):
    """The energy from the residual itself, where the Gram matrix gives it as a difference of large numbers."""
    y, residual = problem.observed.y, _residual(problem, found.code)
    value, eps = total(problem.regularizer.value(found.code)), jnp.finfo(y.dtype).eps
    count = total((found.code != 0).astype(y.dtype))
    terms = count * (total(jnp.square(y - residual)) + total(jnp.square(found.code) * jnp.diagonal(problem.atoms.gram)))
    off = rounding_of_energy(y, residual, terms) + eps * value
    energy = total(jnp.square(residual)) / 2 + value
    better = ~first | (off < found.off)  # after a later pass, what is found has the energy from before it
    return found._replace(energy=jnp.where(better, energy, found.energy), off=jnp.where(better, off, found.off))


def _residual(problem, code):
    """y - Wz, a sum over the coefficients that are not zero."""
    order, count = _listed(code != 0)

    def step(state):
        residual, place = state
        atom = _at(order, place)
        return residual - _at(code, atom) * _at(problem.atoms.rows, atom), place + 1

    return lax.while_loop(lambda state: state[1] < count, step, (problem.observed.y, jnp.int32(0)))[0]


def _search(problem, begin, found, first, limit, starts, max_steps, tolerance):
    regularizer, (_, target, square, *_) = problem.regularizer, problem.observed
    inverse, least, eps = problem.atoms.inverse, begin.least, jnp.finfo(target.dtype).eps

    def measured(code, correlation, threshold, stuck, steps, sweeps):
        # an entry that may be positive is taken as such, since a regularizer may forbid negative codes
        drift = jnp.maximum(1, sweeps.astype(target.dtype) / 32)  # many sweeps add to the rounding of correlations
        error = drift * begin.slope_off
        raised = jnp.where(correlation < -error, -error, error)
        # one reduction for all sums: each is a kernel of its own
        terms = [code * target, code * correlation, jnp.abs(code), regularizer.value(code)]
        along, within, size, value = _sums(jnp.stack(terms))
        # a difference of rounded numbers; a later pass begins with an energy that is better, and only lowers it
        energy = jnp.where(first, jnp.maximum((square - along - within) / 2, 0) + value, found.energy)
        off = eps * (square + drift * (jnp.abs(along) + jnp.abs(within)) + value)
        off = jnp.where(first, off, found.off)
        bound = energy + off
        rounding = error * size
        gap = value - within + regularizer.conjugate(correlation + raised, bound)
        gap = jnp.maximum(gap + rounding + 2 * eps * (value + jnp.abs(within)), 4 * eps * bound)
        # the part of it that is rounding, for a regularizer that grows in proportion to the code
        rounding = rounding * (1 + bound / jnp.where(value > 0, value, 1))
        return _Round(code, correlation, threshold, energy, off, gap, rounding, stuck, steps, sweeps)

    def moves(code, correlation):
        return jax.vmap(regularizer.prox)(code + correlation * inverse, inverse) - code

    def done(state):
        # a comparison with a NaN is false, so that a NaN ends the loop; the next pass has less rounding
        goal = jnp.maximum(tolerance * state.energy, 2 * state.rounding)
        ended = state.stuck | (state.steps >= max_steps) | (state.sweeps >= limit)
        return ~(state.gap + state.off > goal) | ended

    most = jnp.minimum(limit, MOST_SWEEPS)

    def step(state):
        active = (state.code != 0) | (jnp.abs(moves(state.code, state.correlation)) > state.threshold)
        code, correlation, sweeps = _settle(
            problem.atoms.gram, regularizer, inverse, active, state.code, state.correlation, state.threshold, most
        )
        moved = sweeps > 1  # the last sweep moves nothing
        stuck = (state.threshold <= least) & ~moved
        threshold = jnp.maximum(FALL * state.threshold, least)
        steps = state.steps + moved.astype(jnp.int32)
        return measured(code, correlation, threshold, stuck, steps, state.sweeps + sweeps)

    inf, zero = jnp.full((), jnp.inf, target.dtype), jnp.zeros((), target.dtype)
    largest = largest_magnitude(moves(found.code, begin.correlation))
    threshold = jnp.maximum(FIRST * largest, least)
    none = jnp.int32(0)
    state = _Round(found.code, begin.correlation, threshold, zero, inf, inf, zero, jnp.bool_(False), found.steps, none)
    if starts:  # a start may be good enough
        state = measured(found.code, begin.correlation, threshold, jnp.bool_(False), found.steps, none)
    state, _, _ = iterate_until(step, state, done, max_steps)
    finite = jnp.isfinite(state.energy) & jnp.isfinite(largest)
    return Found(state.code, state.energy, state.off, state.gap, state.steps, finite)


def _settle(gram, regularizer, inverse, active, code, correlation, threshold, most):
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
    return lax.while_loop(lambda state: state[3] & (state[2] < most), sweep, state)[:3]


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


def _if(wanted, compute, otherwise):
    """`lax.cond` as a loop of one turn: a conditional would not become a part of the compiled kernel."""
    return lax.while_loop(lambda state: state[0], lambda _: (jnp.bool_(False), compute()), (wanted, otherwise))[1]


def _sums(terms):
    """The sum of each row, in 16 lanes."""
    return jax.vmap(total)(terms)


def total(terms: Float[Array, " n"]) -> Float[Array, ""]:
    """The sum, in 16 lanes where the length allows it: a small kernel would add one long row number by number.

    >>> float(total(jnp.ones(48)))
    48.0
    """
    terms = as_float("terms", terms, (None,))
    return jnp.sum(jnp.sum(terms.reshape(-1, 16) if terms.size % 16 == 0 else terms[None], axis=0))
