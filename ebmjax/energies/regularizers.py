"""Convex regularizers that a proximal solver splits off: values, proximal operators, and conjugates for certificates.

A regularizer holds a free latent down. Those of this file need not be smooth: a solver never differentiates them, it
applies their proximal operator, and their conjugate bounds how far a code is from the best one. Weights may be traced,
so that `jax.vmap` over them gives a path.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, check_count, check_not_negative
from ebmjax.types import Scalar


class Regularizer(NamedTuple):
    """A convex R ≥ 0 with R(0) = 0, as three functions of arrays of any shape.

    `value(z)` = R(z), in units of energy; `prox(z, step)` = argmin_x ½‖x - z‖² + step · R(x);
    `conjugate(slope, bound)` = sup of ⟨slope, x⟩ - R(x) over all x with R(x) ≤ bound, or a number above it. Without the
    bound, it would be infinite for nearly every slope. A weight of zero leaves no bound.
    """

    value: Callable[[Any], Any]
    prox: Callable[[Any, Any], Any]
    conjugate: Callable[[Any, Any], Any]


def shrink(z: Float[Array, "*latent"], threshold: Scalar | Float[Array, "*latent"]) -> Float[Array, "*latent"]:
    """Soft threshold: sign(z) [|z| - threshold]⁺.

    >>> shrink(jnp.array([3.0, -0.5, -2.0]), 1.0).tolist()
    [2.0, 0.0, -1.0]
    """
    return z - jnp.clip(z, -threshold, threshold)


def l1(weight: Scalar) -> Regularizer:
    """R(z) = λ Σ|z_i|: few coefficients. Raises ValueError for a static negative weight λ.

    Tibshirani (1996); its proximal operator is `shrink`.

    >>> l1(0.5).prox(jnp.array([3.0, -0.25]), 2.0).tolist()
    [2.0, 0.0]
    """
    check_not_negative("weight", weight)
    return Regularizer(
        lambda z: weight * jnp.sum(jnp.abs(z)),
        lambda z, step: shrink(z, step * weight),
        lambda slope, bound: _beyond(jnp.max(jnp.abs(slope)), weight, bound),
    )


def elastic_net(weight: Scalar, ridge: Scalar) -> Regularizer:
    """R(z) = λ Σ|z_i| + ½ρ Σ z_i², with λ = `weight` and ρ = `ridge`: atoms that are alike share a coefficient.

    Raises ValueError for a static negative weight or ridge. Zou & Hastie (2005).

    >>> elastic_net(0.5, 1.0).prox(jnp.array([3.0, -0.25]), 1.0).tolist()
    [1.25, 0.0]
    """
    check_not_negative("weight", weight)
    check_not_negative("ridge", ridge)

    def conjugate(slope, bound):
        # two numbers above the supremum: without the bound, and without the ridge
        square = jnp.sum(jnp.square(jnp.maximum(jnp.abs(slope) - weight, 0))) / 2
        unbounded = jnp.where(square > 0, _ratio(square, ridge), 0)
        return jnp.minimum(unbounded, _beyond(jnp.max(jnp.abs(slope)), weight, bound))

    return Regularizer(
        lambda z: weight * jnp.sum(jnp.abs(z)) + ridge * jnp.sum(jnp.square(z)) / 2,
        lambda z, step: shrink(z, step * weight) / (1 + step * ridge),
        conjugate,
    )


def non_negative(weight: Scalar) -> Regularizer:
    """R(z) = λ Σ z_i for z ≥ 0, infinite elsewhere: parts that only add.

    Raises ValueError for a static negative weight λ. Hoyer (2002), "Non-negative sparse coding".

    >>> non_negative(0.5).prox(jnp.array([3.0, -0.25]), 2.0).tolist()
    [2.0, 0.0]
    """
    check_not_negative("weight", weight)
    return Regularizer(
        lambda z: jnp.where(jnp.all(z >= 0), weight * jnp.sum(z), jnp.inf),
        lambda z, step: jnp.maximum(z - step * weight, 0),
        lambda slope, bound: _beyond(jnp.maximum(jnp.max(slope), 0), weight, bound),
    )


def group(weight: Scalar, size: int) -> Regularizer:
    """R(z) = λ Σ_g ‖z_g‖ over consecutive groups of `size` entries: groups are switched on and off as a whole.

    Raises ValueError for a static negative weight, a size below 1; and, where it is used, for a last axis that is no
    multiple of the size. Yuan & Lin (2006).

    >>> group(2.5, 2).prox(jnp.array([3.0, 4.0, 0.5, 0.5]), 1.0).tolist()
    [1.5, 2.0, 0.0, 0.0]
    """
    check_not_negative("weight", weight)
    check_count("size", size)

    def norms(z):
        if z.ndim == 0:
            raise ArgumentError("z: got a single number, wanted a code with an axis of groups")
        if z.shape[-1] % size:
            raise ArgumentError(f"size: got {size}, wanted a divisor of {z.shape[-1]}, the length of the last axis")
        square = jnp.sum(jnp.square(z.reshape(*z.shape[:-1], -1, size)), axis=-1)
        # the gradient of a norm at zero is NaN, of this one it is zero
        return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)

    def prox(z, step):
        lengths = norms(z)
        kept = jnp.where(lengths > step * weight, 1 - step * weight / jnp.where(lengths > 0, lengths, 1), 0)
        return z * jnp.repeat(kept, size, axis=-1)

    return Regularizer(
        lambda z: weight * jnp.sum(norms(z)),
        prox,
        lambda slope, bound: _beyond(jnp.max(norms(slope)), weight, bound),
    )


def _beyond(steepest, weight, bound):
    """sup of ⟨slope, x⟩ - λ‖x‖ over λ‖x‖ ≤ bound, where the slope's dual norm is `steepest`."""
    excess = jnp.maximum(steepest - weight, 0)
    return jnp.where(excess > 0, _ratio(bound * excess, weight), 0)


def _ratio(number, divisor):
    """number / divisor, infinite where the divisor is zero, with no warning and no NaN."""
    return jnp.where(divisor > 0, number / jnp.where(divisor > 0, divisor, 1), jnp.inf)
