"""A certificate of optimality: how far the energy of a code is at most above the least energy.

    E(z) = f(z) + R(z),    f convex, differentiable and not negative, with a curvature of at most L

A bound from below on the least energy E* follows from convexity and one gradient of f. No second solver is needed.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.energies.regularizers import Regularizer
from ebmjax.types import Scalar


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
        `(bound, gap)` in units of energy, with gap ≤ bound because E ≥ 0, and gap ≥ 4 ε bound for the rounding ε of the
        dtype.

    >>> from ebmjax.energies.regularizers import l1
    >>> certificate(l1(1.0), 2.0, jnp.array([-2.0]), jnp.array([0.0]), jnp.array([1.0]), 1.0)[1].item()  # ½(z - 2)²
    1.0
    """
    change = value - point
    curved = lipschitz * jnp.sum(change * change) / 2
    penalty = regularizer.value(value)
    bound = jnp.maximum(height + jnp.sum(slope * change) + curved, 0) + penalty
    gap = jnp.sum(slope * value) + penalty + curved + regularizer.conjugate(-slope, bound)
    # a gap below the rounding of the energy would certify nothing
    return bound, jnp.clip(gap, 4 * jnp.finfo(value.dtype).eps * bound, bound)
