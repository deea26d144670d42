"""Derivatives of a sparse code, through inference, without differentiating the solver's loop.

The code z(θ) = argmin f(θ, z) + R(θ, z) depends on everything in θ: dictionary, observation, weight. At the minimum the
slope ∇(f + R) vanishes on the support S of z, and entries off the support stay zero for small changes of θ. So

    ∂z_S/∂θ = -[∇²(f + R)]_SS⁻¹ ∂/∂θ [∇(f + R)]_S,    ∂z/∂θ = 0 off the support

The support is where the proximal operator of a vanishing step lets an entry move: the non-zero entries, and all entries
of an active group. Where an entry is about to enter or leave, a code has a kink; the derivative is that of one side.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ebmjax.checks import check_not_negative
from ebmjax.energies.regularizers import Regularizer


def implicit(
    smooth: Callable[[Any, Any], Any],
    regularizer: Callable[[Any], Regularizer],
    solve: Callable[[Any], Array],
    tolerance: float = 1e-6,
) -> Callable[[Any], Array]:
    """The code as a differentiable function of θ, to stand inside a larger loss.

    Derivatives are forward or reverse, with respect to every float in θ; the linear system on the support is solved by
    conjugate gradients, from products with the Hessian only. They are right for an exact code, so solve with a small
    tolerance. Where the atoms of the support depend on each other linearly, neither code nor derivative is unique.

    Args:
        smooth: f, `smooth(theta, z) -> scalar`, convex and twice differentiable in z.
        regularizer: `theta -> Regularizer`; it builds R, so that a weight inside θ has a derivative too.
        solve: `theta -> z`, any shape; need not be differentiable. Such as `lambda theta: fista_restarted(...).value`.
        tolerance: of the conjugate gradients, relative to the right side.

    Returns:
        `theta -> z`, under `jit` and `vmap` too. θ is any pytree; what should have a derivative has to be in it, and
        not closed over.

    Raises:
        ValueError: a negative tolerance.

    Mairal, Bach & Ponce (2012), "Task-driven dictionary learning"; Bertrand et al. (2020), for the weight.

    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.minimize.codes.proximal import ista
    >>> smooth = lambda theta, z: jnp.sum((z - theta["y"]) ** 2) / 2
    >>> regularizer = lambda theta: l1(theta["weight"])
    >>> solve = lambda theta: ista(lambda z: smooth(theta, z), regularizer(theta), jnp.zeros(3), 1.0).value
    >>> code = implicit(smooth, regularizer, solve)
    >>> theta = {"y": jnp.array([2.0, -1.0, 0.25]), "weight": jnp.array(0.5)}
    >>> slopes = jax.grad(lambda theta: jnp.sum(code(theta) ** 2))(theta)
    >>> [round(float(slope), 3) for slope in slopes["y"]], round(float(slopes["weight"]), 3)
    ([3.0, -1.0, 0.0], -4.0)
    """
    check_not_negative("tolerance", tolerance)

    @jax.custom_jvp
    def code(theta):
        return solve(theta)

    @code.defjvp
    def derivative(primals, tangents):
        (theta,), (change,) = primals, tangents
        z = code(theta)
        support = _support(regularizer(theta), z)

        def slope(theta, z):
            return jax.grad(lambda z: smooth(theta, z) + regularizer(theta).value(z))(z)

        def curvature(direction):
            inside = jnp.where(support, direction, 0)
            image = jax.jvp(lambda z: slope(theta, z), (z,), (inside,))[1]
            return jnp.where(support, image, direction)

        pull = jax.jvp(lambda theta: slope(theta, z), (theta,), (change,))[1]
        conjugate_gradients = lambda product, right: jax.scipy.sparse.linalg.cg(product, right, tol=tolerance)[0]
        right = jnp.where(support, -pull, 0)
        # symmetric: the reverse derivative solves the same system
        return z, jax.lax.custom_linear_solve(curvature, right, conjugate_gradients, symmetric=True)

    return code


def _support(regularizer, z):
    z = jax.lax.stop_gradient(z)
    vanishing = jnp.sqrt(jnp.finfo(z.dtype).tiny)
    _, moves = jax.jvp(lambda z: regularizer.prox(z, vanishing), (z,), (jnp.ones_like(z),))
    return jax.lax.stop_gradient(moves) != 0
