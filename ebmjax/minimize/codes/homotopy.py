"""Codes along the weights of a regularizer, from the largest weight down to the one that is wanted.

    c_j = t R'(z_j) where z_j ≠ 0,    -t R(-1) ≤ c_j ≤ t R(1) elsewhere,    c = Wᵀ(y - Wz)

For a regularizer that grows in proportion to each coefficient, such as `l1`, the best code of the regularizer tR is a
piecewise linear function of t. At large t it is zero. As t falls, coefficients enter and leave the support one at a
time, and between two such events the code moves along a straight line. At t = 1 it is the code that is wanted. The
number of events grows slowly where the weight becomes small, while the sweeps of coordinate descent, and the steps of
proximal gradients, grow as one over the weight.

The pseudoinverse P of the atoms in the support is kept, with a change of rank one at each event. It has the condition
of the atoms, not its square as the inverse of their Gram matrix, so that float32 suffices. Every few events what
rounding has left of the equations above is corrected.

Osborne, Presnell & Turlach (2000), "A new approach to variable selection in least squares problems"; Efron, Hastie,
Johnstone & Tibshirani (2004), "Least angle regression".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from ebmjax.checks import as_float, check_record
from ebmjax.loops import iterate_until
from ebmjax.minimize.codes.certificate import certified_by
from ebmjax.minimize.codes.problem import Found, Problem, close, proportional
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import Scalar

EVENTS = 20
"""The limit of the events, as a multiple of the rank of the dictionary."""
SELDOM = 8
"""So many events from one correction of what rounding has left to the next are enough for most dictionaries."""
DOUBT = 1e-3
"""A pseudoinverse that is further off, relative to 1, is computed anew from itself by a step of Newton's."""


@record
class End(NamedTuple):
    """The end of a path."""

    code: Float[Array, " atoms"]
    dual: Float[Array, " observed"]
    """A vector near the residual y - Wz whose products with the atoms of the support are R'(z), rounding apart."""


class _State(NamedTuple):
    code: Array
    correlation: Array
    dual: Array
    slopes: Array  # R'(z_j) in the support, 0 elsewhere
    inverse: Array  # P, with a row for each atom: zero where it is not in the support
    left: Array  # P changes by left · rightᵀ before the next step
    right: Array
    weight: Array  # t
    last: Array  # the atom of the last event, which cannot be that of the next one
    blocked: Array  # atoms that depend on those of the support
    steps: Array
    after: Array  # steps since t is 1: they only correct


def follow(
    dictionary: Float[Array, "observed atoms"],
    y: Float[Array, " observed"],
    up: Scalar,
    down: Scalar,
    every: Int[Array, ""] | int = SELDOM,
) -> End:
    """The code of least ½‖y - Wz‖² + R(z), for R(z) = Σ up · z⁺ + down · z⁻.

    What rounding leaves is not known here: `ebmjax.minimize.codes.certificate.certified_by` measures it.

    Args:
        dictionary: W.
        y: the observation, in a unit in which its largest entries are near 1.
        up: R(1), above 0.
        down: R(-1), above 0; infinite where codes cannot be negative.
        every: events from one correction of what rounding has left to the next.

    Errors are those of `ebmjax.checks.as_float`.

    >>> end = follow(jnp.eye(2), jnp.array([2.0, 0.25]), 0.5, 0.5)
    >>> end.code.tolist(), end.dual.tolist()
    ([1.5, 0.0], [0.5, 0.25])
    """
    dictionary = as_float("dictionary", dictionary, (None, None))
    y = as_float("y", y, dictionary.shape[:1])
    up, down = (as_float(name, value, ()).astype(y.dtype) for name, value in (("up", up), ("down", down)))
    rows, rank = dictionary.T, min(dictionary.shape)
    places = jnp.arange(len(rows), dtype=jnp.int32)
    start = matmul(rows, y)
    weight = jnp.maximum(jnp.maximum(jnp.max(start) / up, jnp.max(-start) / down), 1)
    zeros, none, nothing = jnp.zeros_like(start), jnp.zeros_like(y), jnp.int32(0)
    state = _State(
        *(zeros, start, y, zeros, jnp.zeros_like(rows), zeros, none),
        *(weight, jnp.int32(-1), places < 0, nothing, nothing),
    )

    def step(state):
        inside = state.slopes != 0
        # The change is carried to this place as vectors. XLA would compute it anew for each entry of P.
        inverse = (state.inverse + state.left[:, None] * state.right[None]) * inside.astype(y.dtype)[:, None]
        state = state._replace(inverse=inverse)
        due = (state.steps % every == 0) | (state.after > 0)
        known = (state.code, state.correlation, state.dual, inverse)
        known = lax.cond(due, lambda: _corrected(dictionary, rows, y, state), lambda: known)
        state = state._replace(code=known[0], correlation=known[1], dual=known[2], inverse=known[3])
        along = matmul(state.slopes, state.inverse)  # of the residual, as t falls
        fall = matmul(rows, along)  # of the correlations
        rise = matmul(state.inverse, along)  # of the code
        length, atom, kind = _next_event(state, rise, fall, up, down)
        ends = ~(length < state.weight - 1)
        length = jnp.where(ends, state.weight - 1, length)
        code = state.code + length * rise
        here = places == atom

        leaves = kind == 2
        column = jnp.where(leaves, state.inverse[atom], rows[atom])
        shares = matmul(state.inverse, column)
        rest = column - matmul(dictionary, shares)
        better = shares + matmul(state.inverse, rest)
        rest = column - matmul(dictionary, better)
        square, size = matmul(rest, rest), matmul(column, column)
        dependent = ~leaves & ((square < 1e-8 * size) | (jnp.sum(inside) >= rank))
        happens = ~ends & ~dependent
        left = jnp.where(leaves, -shares / _positive(size), here.astype(y.dtype) - better)
        right = jnp.where(leaves, column, rest / _positive(square))
        slope = jnp.where(leaves, 0, jnp.where(kind == 0, up, -down))
        return _State(
            jnp.where(here & leaves & ~ends, 0, code),
            state.correlation - length * fall,
            state.dual,
            jnp.where(here & happens, slope, state.slopes),
            state.inverse,
            jnp.where(happens, left, 0),
            jnp.where(happens, right, 0),
            jnp.where(ends, 1, state.weight - length),
            jnp.where(happens, atom, state.last),
            (state.blocked | here) & dependent,
            state.steps + 1,
            state.after + ends.astype(jnp.int32),
        )

    state, _, _ = iterate_until(step, state, lambda state: state.after > 2, EVENTS * rank)
    return End(state.code, state.dual)


def _corrected(dictionary, rows, y, state):
    """The code whose correlations in the support are t R'(z), all correlations, the residual, and the pseudoinverse."""
    inside = state.slopes != 0
    off = jnp.where(inside, state.slopes - matmul(rows, matmul(state.slopes, state.inverse)), 0)
    doubtful = jnp.max(jnp.abs(off)) > DOUBT * jnp.max(jnp.abs(state.slopes))
    keep = inside.astype(y.dtype)[:, None]
    anew = lambda inverse: (2 * inverse - matmul(inverse, matmul(dictionary, inverse))) * keep
    inverse = lax.cond(doubtful, anew, lambda inverse: inverse, state.inverse)
    residual = y - matmul(dictionary, state.code)
    correlation = matmul(rows, residual)
    change = matmul(jnp.where(inside, correlation - state.weight * state.slopes, 0), inverse)
    return state.code + matmul(inverse, change), correlation - matmul(rows, change), residual - change, inverse


def followed(problem: Problem, found: Found, tolerance: Scalar, every: Int[Array, ""] | int = SELDOM) -> Found:
    """The code at the end of the path of weights, where it is the better one; `found` where that is certain.

    Args:
        problem: one whose regularizer grows in proportion to each coefficient.
        found: what is known so far.
        tolerance: of the gap.
        every: as in `follow`.

    Raises ValueError for anything but a `Problem` and a `Found`.

    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.minimize.codes.problem import atoms_of, begun, observed
    >>> atoms, y = atoms_of(jnp.eye(2)), jnp.array([2.0, 0.25])
    >>> problem = Problem(atoms, observed(atoms, y), l1(0.5)._replace(value=lambda code: 0.5 * jnp.abs(code)))
    >>> jax.jit(lambda found: followed(problem, found, 1e-3))(begun(problem, None)).code.tolist()
    [1.5, 0.0]
    """
    check_record("problem", problem, Problem)
    check_record("found", found, Found)
    tolerance = as_float("tolerance", tolerance, ())
    dtype = problem.observed.target.dtype
    found = jax.tree.map(lambda leaf: leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, found)
    up, down, possible = proportional(problem)

    def through():
        dictionary, y = problem.atoms.dictionary, problem.observed.y
        end = follow(dictionary, y, up, down, every)
        whole = problem.regularizer._replace(value=lambda code: jnp.sum(problem.regularizer.value(code)))
        known = certified_by(dictionary, whole, y, end.code, end.dual)
        better = (known.gap < found.gap + found.off) | (known.energy < found.energy)
        new = Found(end.code, known.energy, known.off, known.gap - known.off, found.steps + 1, found.finite)
        return jax.tree.map(lambda new, old: jnp.where(better, new, old), new, found)

    return lax.cond(possible & found.finite & ~close(found, tolerance), through, lambda: found)


def _next_event(state, rise, fall, up, down):
    """How far t falls to the next event, the atom, and whether it enters with a plus (0), a minus (1) or leaves (2)."""
    code, correlation, t = state.code, state.correlation, state.weight
    inside, atoms = state.slopes != 0, jnp.arange(len(code), dtype=jnp.int32)
    sign = jnp.sign(state.slopes)
    free = ~inside & ~state.blocked & (atoms != state.last)

    def until(left, speed, possible):
        possible = possible & (speed > 1e-6 * jnp.minimum(up, down))
        return jnp.where(possible, jnp.maximum(left, 0) / jnp.where(speed > 0, speed, 1), jnp.inf)

    above = until(jnp.where(up < jnp.inf, t * up - correlation, 0), up - fall, free & (up < jnp.inf))
    below = until(jnp.where(down < jnp.inf, t * down + correlation, 0), down + fall, free & (down < jnp.inf))
    returns = inside & (rise * sign < 0)
    to_zero = jnp.where(returns, jnp.maximum(code * sign, 0) / _positive(-rise * sign), jnp.inf)
    # an atom that has just entered is at zero
    to_zero = jnp.where((atoms == state.last) & ~(to_zero > 0), jnp.inf, to_zero)
    lengths = jnp.concatenate([above, below, to_zero])
    first = jnp.argmin(lengths).astype(jnp.int32)
    return lengths[first], first % len(code), first // len(code)


def _positive(number):
    return jnp.where(number > 0, number, 1)
