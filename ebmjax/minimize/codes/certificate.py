"""A certificate of optimality: how far the energy of a code is at most above the least energy.

    E(z) = f(z) + R(z),    f convex, differentiable and not negative, with a curvature of at most L

A bound from below on the least energy E* follows from convexity and one gradient of f. No second solver is needed.
What is computed is rounded. All that rounding may add to the gap is added to it, so that a gap that is given holds; it
is estimated from the sizes of the terms, as errors of independent signs add up.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

from ebmjax.checks import as_float
from ebmjax.compiled import compiled
from ebmjax.energies.regularizers import Regularizer, check_regularizer
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import Scalar

RIGHT = 1e-6
"""The relative error that an energy may have where a code counts as converged."""


def certificate(
    regularizer: Regularizer,
    height: Scalar,
    slope: Float[Array, "..."],
    point: Float[Array, "..."],
    value: Float[Array, "..."],
    lipschitz: Scalar,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Bounds of the energy at z = `value`, and of its distance from the least energy E*.

        E(z) ≤ bound = f + ⟨g, z - v⟩ + ½L‖z - v‖² + R(z)
        E(z) - E* ≤ gap = ⟨g, z⟩ + R(z) + ½L‖z - v‖² + sup {⟨-g, x⟩ - R(x): R(x) ≤ bound}

    Convexity gives E(x) ≥ f + ⟨g, x - v⟩ + R(x) for every x, and the best x has R(x) ≤ E* ≤ bound because f ≥ 0. In the
    difference f cancels, and with it most of the rounding. Where z = v, the gap is the Fenchel-Young duality gap.

    Args:
        regularizer: R.
        height: f = f(v).
        slope: g = ∇f(v), of the shape of the code.
        point: v, any point near z.
        value: z.
        lipschitz: L, not below the curvature of f; with a smaller one neither bound holds.

    Returns:
        `(bound, gap)` in units of energy, with gap ≤ bound because E ≥ 0. Both include what rounding may add: about
        2e-6 of the energy in float32.

    Raises:
        ValueError: a regularizer that is no `Regularizer`, arrays of different shapes, or that are not numbers.

    >>> from ebmjax.energies.regularizers import l1
    >>> bound, gap = certificate(l1(1.0), 2.0, jnp.array([-2.0]), jnp.array([0.0]), jnp.array([1.0]), 1.0)  # ½(z - 2)²
    >>> round(float(gap), 4)
    1.0
    """
    check_regularizer(regularizer)
    value = as_float("value", value)
    slope, point = as_float("slope", slope, value.shape), as_float("point", point, value.shape)
    height, lipschitz = as_float("height", height, ()), as_float("lipschitz", lipschitz, ()).astype(value.dtype)
    eps = jnp.finfo(value.dtype).eps
    change = value - point
    curved = lipschitz * jnp.sum(change * change) / 2
    penalty = regularizer.value(value)
    bound = jnp.maximum(height + jnp.sum(slope * change) + curved, 0) + penalty
    bound = bound + 4 * eps * bound + least_energy(slope, value)
    # a gradient is a sum of terms that are larger than it
    error = 8 * eps * jnp.max(jnp.abs(slope), initial=0)
    return bound, jnp.minimum(_gap(regularizer, slope, value, penalty, curved, bound, error), bound)


def _gap(regularizer, slope, value, penalty, curved, bound, error):
    """⟨g, z⟩ + R(z) + ½L‖z - v‖² + sup {⟨-g, x⟩ - R(x): R(x) ≤ bound}, for a gradient with an error in each entry."""
    terms = slope * value
    opposite = -slope
    above = regularizer.conjugate(opposite + jnp.where(opposite < 0, -error, error), bound)
    # a regularizer that forbids negative codes has its supremum where the gradient is raised, whatever its sign
    above = jnp.maximum(above, regularizer.conjugate(opposite + error, bound))
    rounding = _rounding_of_sums(value.size, value.dtype) * (jnp.sum(jnp.abs(terms)) + penalty)
    rounding = rounding + error * jnp.sum(jnp.abs(value))
    # a gap below the rounding of the energy would certify nothing
    least = 4 * jnp.finfo(value.dtype).eps * bound + least_energy(slope, value)
    return jnp.maximum(jnp.sum(terms) + penalty + curved + above + rounding, least)


def _rounding_of_sums(count, dtype):
    """How far a sum of `count` terms may be off, relative to their magnitudes, where the errors add up by chance."""
    return float(jnp.finfo(dtype).eps) * (1 + count**0.5 / 8)


def least_energy(slope: Float[Array, "..."], value: Float[Array, "..."]) -> Float[Array, ""]:
    """The smallest energy that rounding leaves right to 1e-6: smaller ones are sums of numbers that underflow.

    It is zero where there is nothing to explain: at a code of zeros where the gradient is zero too.

    >>> float(least_energy(jnp.zeros(2), jnp.zeros(2)))
    0.0
    """
    slope, value = as_float("slope", slope), as_float("value", value)
    some = jnp.any(slope != 0) | jnp.any(value != 0)
    return jnp.where(some, value.size * jnp.finfo(value.dtype).tiny, 0).astype(value.dtype)


def rounding_of_energy(
    y: Float[Array, " observed"], residual: Float[Array, " observed"], terms: Scalar
) -> Float[Array, ""]:
    """How far the rounding of a residual r = y - Wz leaves ½‖r‖² off.

    Args:
        y, residual: y and r.
        terms: of `size_of_terms`.

    >>> float(rounding_of_energy(jnp.zeros(2), jnp.zeros(2), 0.0))
    0.0
    """
    y = as_float("y", y, (None,))
    residual = as_float("residual", residual, y.shape)
    terms = as_float("terms", terms, ()).astype(y.dtype)
    eps = jnp.finfo(y.dtype).eps
    length = jnp.linalg.norm(y) + jnp.sqrt(terms)
    rest = jnp.linalg.norm(residual)
    # the errors of the entries of a residual have no common sign
    return eps / 2 * rest * (rest + length / len(y) ** 0.5) + jnp.square(eps * length)


def size_of_terms(
    image: Float[Array, " observed"], value: Float[Array, " atoms"], squares: Float[Array, " atoms"]
) -> Float[Array, ""]:
    """n (‖Wz‖² + Σ z_j² ‖w_j‖²) for n coefficients that are not zero: the squared sizes of all sums on the way to Wz.

    Where the terms of Wz cancel each other, the sums on the way are larger than the result.

    Args:
        image: Wz.
        value: z.
        squares: ‖w_j‖² of each atom.

    >>> float(size_of_terms(jnp.array([3.0]), jnp.array([2.0, 0.0, -1.0]), jnp.array([4.0, 1.0, 1.0])))
    52.0
    """
    value = as_float("value", value, (None,))
    image, squares = as_float("image", image, (None,)), as_float("squares", squares, value.shape)
    count = jnp.sum((value != 0).astype(value.dtype))
    return count * (jnp.sum(jnp.square(image)) + jnp.sum(jnp.square(value) * squares))


def precise_residual(
    dictionary: Float[Array, "observed atoms"], y: Float[Array, " observed"], value: Float[Array, " atoms"]
) -> tuple[Float[Array, " observed"], Float[Array, ""]]:
    """y - Wz as if in twice the precision, and how far it may be off in length: products and sums with their errors.

    It takes about 20 times as long as a matrix product. Ogita, Rump & Oishi (2005), "Accurate sum and dot product".

    >>> column = jnp.array([[1.0, 1e-7, -1.0]])
    >>> float(precise_residual(column, jnp.zeros(1), jnp.array([1e3, -1.0, 1e3]))[0][0]) == float(jnp.float32(1e-7))
    True
    """
    dictionary = as_float("dictionary", dictionary, (None, None))
    y = as_float("y", y, dictionary.shape[:1])
    value = as_float("value", value, dictionary.shape[1:])
    return _precise_residual(dictionary, y, value)


@compiled
def _precise_residual(dictionary, y, value):
    eps, digits = jnp.finfo(y.dtype).eps, jnp.finfo(y.dtype).nmant + 1
    words = jnp.uint64 if y.dtype.itemsize == 8 else jnp.uint32
    mask = ~jnp.asarray(2 ** ((digits + 1) // 2) - 1, words)

    def halves(x):
        high = lax.bitcast_convert_type(lax.bitcast_convert_type(x, words) & mask, x.dtype)
        return high, x - high

    def add(sums, term):
        total, errors = sums
        (high, low), (more, less) = (halves(part) for part in term)
        # Products of halves are exact. So it does not matter if a compiler contracts them with the sums.
        for product in (high * more, high * less, low * more, low * less):
            new = total + product
            part = new - total
            total, errors = new, errors + ((total - (new - part)) + (product - part))
        return (total, errors), None

    (total, errors), _ = lax.scan(add, (y, jnp.zeros_like(y)), (dictionary.T, -value))
    size = jnp.linalg.norm(y) + jnp.sum(jnp.abs(value) * jnp.sqrt(jnp.sum(jnp.square(dictionary), axis=0)))
    residual = total + errors
    return residual, eps * jnp.linalg.norm(residual) + len(value) * jnp.square(eps) * size


def rounding_of_slope(longest: Scalar, residual: Float[Array, " observed"]) -> Float[Array, ""]:
    """How far rounding leaves an entry of Wᵀr off, where no atom is longer than `longest`.

    >>> float(rounding_of_slope(1.0, jnp.zeros(2)))
    0.0
    """
    residual = as_float("residual", residual, (None,))
    longest = as_float("longest", longest, ()).astype(residual.dtype)
    return _rounding_of_sums(len(residual), residual.dtype) * longest * jnp.linalg.norm(residual)


@record
class Certified(NamedTuple):
    """What is known of a code of a dense dictionary."""

    energy: Float[Array, ""]
    gap: Float[Array, ""]
    """Energy - least energy ≤ gap, rounding included."""
    off: Float[Array, ""]
    """How far rounding may have put the energy off."""
    trusted: Bool[Array, ""]
    """Whether the energy is right to a relative 1e-6."""


def certified(
    dictionary: Float[Array, "observed atoms"],
    regularizer: Regularizer,
    y: Float[Array, " observed"],
    value: Float[Array, " atoms"],
    point: Float[Array, " atoms"] | None = None,
    lipschitz: Scalar = 0.0,
) -> Certified:
    """The energy ½‖y - Wz‖² + R(z) and the gap of a code, from the residuals themselves.

    No vector of residuals has an error as a point of the dual problem: r = y - Wv bounds the least energy whatever v it
    is the residual of. So only the products Wᵀr and the sums are rounded, and no term of the size of ‖y‖² cancels.

    Args:
        dictionary: W.
        regularizer: R.
        y: the observation, in a unit in which its squares do not underflow.
        value: z.
        point: v, a point near z at which the gradient is taken; None for z itself.
        lipschitz: a bound of λ_max(WᵀW), used where there is a point.

    >>> from ebmjax.energies.regularizers import l1
    >>> found = certified(jnp.eye(2), l1(0.5), jnp.array([2.0, 0.25]), jnp.array([1.5, 0.0]))
    >>> round(float(found.energy), 5), float(found.gap) < 1e-5, bool(found.trusted)
    (0.90625, True, True)
    """
    check_regularizer(regularizer)
    dictionary = as_float("dictionary", dictionary, (None, None))
    y = as_float("y", y, dictionary.shape[:1])
    value = as_float("value", value, dictionary.shape[1:])
    if point is not None:
        point = as_float("point", point, value.shape)
    lipschitz = as_float("lipschitz", lipschitz, ()).astype(dictionary.dtype)
    image = matmul(dictionary, value)
    residual = y - image
    terms = size_of_terms(image, value, jnp.sum(jnp.square(dictionary), axis=0))
    energy_off = rounding_of_energy(y, residual, terms)
    dual, curved = residual, jnp.zeros((), dictionary.dtype)
    if point is not None:
        dual, curved = y - matmul(dictionary, point), lipschitz * jnp.sum(jnp.square(value - point)) / 2
    return _certified(dictionary, regularizer, value, residual, energy_off, dual, curved)


def certified_by(
    dictionary: Float[Array, "observed atoms"],
    regularizer: Regularizer,
    y: Float[Array, " observed"],
    value: Float[Array, " atoms"],
    dual: Float[Array, " observed"],
) -> Certified:
    """`certified` by any point ν of the dual problem, which need not be the residual r of the code.

        E(z) - E* ≤ ½‖r - ν‖² + R(z) - ⟨Wᵀν, z⟩ + sup {⟨Wᵀν, x⟩ - R(x): R(x) ≤ E(z)}

    At small weights a residual is small, and the rounding of Wz is a large part of it. A ν that is computed in another
    way then proves more.

    Args:
        dictionary, regularizer, y, value: as in `certified`.
        dual: ν.

    Raises ValueError for anything but a `Regularizer`, and for arrays of other shapes.

    >>> from ebmjax.energies.regularizers import l1
    >>> y, code, dual = jnp.array([2.0, 0.25]), jnp.array([1.5, 0.0]), jnp.array([0.5, 0.25])
    >>> float(certified_by(jnp.eye(2), l1(0.5), y, code, dual).gap) < 1e-5
    True
    """
    check_regularizer(regularizer)
    dictionary = as_float("dictionary", dictionary, (None, None))
    y = as_float("y", y, dictionary.shape[:1])
    value = as_float("value", value, dictionary.shape[1:])
    dual = as_float("dual", dual, y.shape)
    residual, off = precise_residual(dictionary, y, value)
    curved = jnp.square(jnp.linalg.norm(residual - dual) + off) / 2
    energy_off = off * (jnp.linalg.norm(residual) + off)
    return _certified(dictionary, regularizer, value, residual, energy_off, dual, curved)


def _certified(dictionary, regularizer, value, residual, energy_off, dual, curved):
    """`energy_off` is how far rounding may have put ½‖residual‖² off, `curved` is added to the gap."""
    eps = jnp.finfo(dictionary.dtype).eps
    fit, penalty = jnp.sum(jnp.square(residual)) / 2, jnp.asarray(regularizer.value(value))
    energy = fit + penalty
    off = 2 * eps * energy + energy_off
    slope = -matmul(dual, dictionary)
    error = rounding_of_slope(jnp.sqrt(jnp.max(jnp.sum(jnp.square(dictionary), axis=0))), dual)
    bound = energy + off + least_energy(slope, value)
    gap = _gap(regularizer, slope, value, penalty, curved, bound, error) + off
    return Certified(energy, jnp.minimum(gap, bound), off, off <= RIGHT * energy)
