"""A certificate of optimality: how far the energy of a code is at most above the least energy.

    E(z) = f(z) + R(z),    f convex, differentiable and not negative, with a curvature of at most L

A bound from below on the least energy E* follows from convexity and one gradient of f. No second solver is needed.
What is computed is rounded. All that rounding may add to the gap is added to it, so that a gap that is given holds; it
is estimated from the sizes of the terms, as errors of independent signs add up.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ebmjax.checks import as_float
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
    y: Float[Array, " observed"], image: Float[Array, " observed"], residual: Float[Array, " observed"], count: Scalar
) -> Float[Array, ""]:
    """How far the rounding of a residual r = y - Wz leaves ½‖r‖² off.

    Args:
        y, image, residual: y, Wz and r.
        count: how many terms each entry of Wz is a sum of: the coefficients that are not zero.

    >>> float(rounding_of_energy(jnp.zeros(2), jnp.zeros(2), jnp.zeros(2), 0.0))
    0.0
    """
    y = as_float("y", y, (None,))
    image, residual = as_float("image", image, y.shape), as_float("residual", residual, y.shape)
    count = as_float("count", count, ()).astype(y.dtype)
    eps = jnp.finfo(y.dtype).eps
    length = jnp.linalg.norm(y) + jnp.sqrt(count) * jnp.linalg.norm(image)
    rest = jnp.linalg.norm(residual)
    # the errors of the entries of a residual have no common sign
    return eps / 2 * rest * (rest + length / len(y) ** 0.5) + jnp.square(eps * length)


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
    lipschitz = as_float("lipschitz", lipschitz, ())
    dtype = dictionary.dtype
    eps = jnp.finfo(dtype).eps
    image = matmul(dictionary, value)
    residual = y - image
    fit, penalty = jnp.sum(jnp.square(residual)) / 2, jnp.asarray(regularizer.value(value))
    energy = fit + penalty
    off = 2 * eps * energy + rounding_of_energy(y, image, residual, jnp.sum((value != 0).astype(dtype)))
    near = residual if point is None else y - matmul(dictionary, point)
    change = jnp.zeros((), dtype) if point is None else jnp.sum(jnp.square(value - point))
    curved = lipschitz.astype(dtype) * change / 2
    slope = -matmul(near, dictionary)
    longest = jnp.sqrt(jnp.max(jnp.sum(jnp.square(dictionary), axis=0)))
    error = rounding_of_slope(longest, near)
    bound = energy + off + least_energy(slope, value)
    gap = _gap(regularizer, slope, value, penalty, curved, bound, error) + off
    return Certified(energy, jnp.minimum(gap, bound), off <= RIGHT * energy)
