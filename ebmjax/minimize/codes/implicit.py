"""Derivatives of a sparse code, by the implicit function theorem, without differentiating the loop of the solver.

The code z(θ) = argmin f(θ, z) + R(θ, z) depends on everything in θ: dictionary, observation, weight. At the minimum the
gradient ∇(f + R) vanishes on the support S of z, and entries off the support stay zero for small changes of θ. So

    ∂z_S/∂θ = -[∇²(f + R)]_SS⁻¹ ∂/∂θ [∇(f + R)]_S,    ∂z/∂θ = 0 off the support

The code is the fixed point z = prox_{sR}(z - s ∇f(z)) for every step s, and the support is where this operator lets an
entry move, for a vanishing step: the non-zero entries, all entries of an active group, but not those that a constraint
holds. Where an entry is about to enter or leave the support, the code is not differentiable in θ, and the
derivative is that of one side.
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ebmjax.checks import as_float, check_callable, check_not_negative
from ebmjax.compiled import compiled
from ebmjax.energies.regularizers import Regularizer
from ebmjax.types import ModelEnergy


@runtime_checkable
class RegularizerOf(Protocol):
    """A regularizer whose weights are in θ, such as `lambda theta: l1(theta["weight"])`."""

    def __call__(self, theta: PyTree, /) -> Regularizer:
        """The regularizer R(θ, ·)."""
        ...


@runtime_checkable
class CodeOf(Protocol):
    """The code as a function of all that it depends on.

    It is no `FindCode`, because that signature has the parameters, the regularizer and the observation apart, and the
    regularizer in it is made of functions, with no array to differentiate. Here each of them may have a derivative, so
    that all are in one θ. A `FindCode` is used as
    `lambda theta: find(theta["params"], l1(theta["weight"]), theta["y"], None).value`.
    """

    def __call__(self, theta: PyTree, /) -> Float[Array, "..."]:
        """The code z(θ), of any shape."""
        ...


def implicit(smooth: ModelEnergy, regularizer: RegularizerOf, solve: CodeOf, tolerance: float = 1e-6) -> CodeOf:
    """The code as a differentiable function of θ, which may be part of a larger loss.

    Derivatives are forward or reverse, with respect to every float in θ. Conjugate gradients solve the linear system on
    the support, from products with the Hessian only. The derivatives are right for an exact code, so solve with a small
    tolerance. Where the atoms of the support are linearly dependent, neither the code nor its derivative is unique.

    Args:
        smooth: f, `smooth(theta, z) -> scalar`, convex and twice differentiable in z.
        regularizer: `regularizer(theta) -> Regularizer`; it builds R, so that a weight inside θ has a derivative too.
        solve: `solve(theta) -> z`, of any shape, such as `lambda theta: fista_restarted(...).value`. It need not be
            differentiable.
        tolerance: of the conjugate gradients, relative to the right-hand side; not negative.

    Returns:
        `code(theta) -> z`, which works under `jit` and `vmap` too. θ is any pytree. Only what is in θ has a derivative,
        not what the functions close over.

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
    for name, function in (("smooth", smooth), ("regularizer", regularizer), ("solve", solve)):
        check_callable(name, function)
    limit = as_float("tolerance", tolerance, ())

    @jax.custom_jvp
    def code(theta):
        return solve(theta)

    @code.defjvp
    def derivative(primals, tangents):
        (theta,), (change,) = primals, tangents
        z = code(theta)
        return z, _change_of_code(smooth, regularizer, theta, z, change, limit)

    return code


@compiled
def _change_of_code(smooth, regularizer, theta, z, change, tolerance):
    support = _support(smooth, regularizer, theta, z)

    def slope(theta, z):
        return jax.grad(lambda z: smooth(theta, z) + regularizer(theta).value(z))(z)

    def curvature(direction):
        inside = jnp.where(support, direction, 0)
        image = jax.jvp(lambda z: slope(theta, z), (z,), (inside,))[1]
        return jnp.where(support, image, direction)

    shift = jax.jvp(lambda theta: slope(theta, z), (theta,), (change,))[1]
    conjugate_gradients = lambda product, right: jax.scipy.sparse.linalg.cg(
        product, right, tol=tolerance.astype(right.dtype)
    )[0]
    right = jnp.where(support, -shift, 0)
    # the system is symmetric, so that the reverse derivative solves the same one
    return jax.lax.custom_linear_solve(curvature, right, conjugate_gradients, symmetric=True)


def _support(smooth, regularizer, theta, z):
    theta, z = jax.lax.stop_gradient((theta, z))
    penalty = regularizer(theta)
    slope = jax.grad(lambda z: smooth(theta, z))(z)
    largest, steepest = jnp.max(jnp.abs(z)), jnp.max(jnp.abs(slope))
    # a step that changes no entry of a size that matters
    vanishing = jnp.square(jnp.finfo(z.dtype).eps) * jnp.where(largest > 0, largest, 1)
    step = vanishing / jnp.where(steepest > 0, steepest, 1)
    moves = lambda point: jax.jvp(lambda z: penalty.prox(z, step), (point,), (jnp.ones_like(z),))[1] != 0
    # an entry that is zero although its gradient is a little too steep belongs to a code that is not exact
    return jax.lax.stop_gradient(moves(z) & moves(z - step * slope))
