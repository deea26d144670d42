"""Convex regularizers for proximal solvers: values, proximal operators, and conjugates for certificates.

A regularizer limits a latent variable. Those of this file need not be smooth: a solver does not differentiate them but
applies their proximal operator, and their conjugate bounds how far a code is from the best one. Weights may be traced,
so that `jax.vmap` over them computes a regularization path.
"""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float, as_number, check_count, check_not_negative
from ebmjax.types import Numbers, Scalar


class Regularizer(NamedTuple):
    """A convex R ≥ 0 with R(0) = 0, as three functions of arrays of any shape.

    Those of this file are `jax.tree_util.Partial`s of a function and its weights: a regularizer is a pytree, which can
    be an argument of a compiled function, and can be pickled.
    """

    value: Callable[[Array], Scalar]
    """`value(z)` = R(z), in units of energy."""
    prox: Callable[[Array, Scalar], Array]
    """`prox(z, step)` = argmin over x of ½‖x - z‖² + step · R(x), the proximal operator."""
    conjugate: Callable[[Array, Scalar], Array]
    """`conjugate(slope, bound)` = sup of ⟨slope, x⟩ - R(x) over all x with R(x) ≤ bound, or a number above it.

    Solvers pass as `bound` the energy of their present code, or a number above it. The energy is at least R, so that
    the best code x* has R(x*) ≤ bound. The supremum over all x, without a bound, would be infinite for nearly every
    slope. It may also be infinite where the weight is zero, since then every x has R(x) ≤ bound.
    """


def shrink(z: Annotated[Numbers, "*latent"], threshold: Scalar | Float[Array, "*latent"]) -> Float[Array, "*latent"]:
    """The soft threshold sign(z) [|z| - threshold]⁺, of the shape of z.

    >>> shrink(jnp.array([3.0, -0.5, -2.0]), 1.0).tolist()
    [2.0, 0.0, -1.0]
    """
    z = as_float("z", z)
    return z - jnp.clip(z, -threshold, threshold)


def l1(weight: Scalar) -> Regularizer:
    """R(z) = λ Σ|z_i|, which makes most coefficients zero. Raises ValueError for a static negative weight λ.

    Its proximal operator is `shrink`. Tibshirani (1996), "Regression shrinkage and selection via the lasso".

    >>> l1(0.5).prox(jnp.array([3.0, -0.25]), 2.0).tolist()
    [2.0, 0.0]
    """
    return _regularizer(_l1_value, _l1_prox, _l1_conjugate, weight=weight)


def _regularizer(value, prox, conjugate, **weights):
    """The three functions, each with the weights before its own arguments."""
    for name, weight in weights.items():
        check_not_negative(name, weight)
    numbers = [as_number(name, weight) for name, weight in weights.items()]
    return Regularizer(*(Partial(function, *numbers) for function in (value, prox, conjugate)))


def _alike(z, *weights):
    """An array as floats, and the weights in its dtype."""
    z = as_float("z", z)
    return z, *(weight.astype(z.dtype) for weight in weights)


def _l1_value(weight, z):
    z, weight = _alike(z, weight)
    return weight * jnp.sum(jnp.abs(z))


def _l1_prox(weight, z, step):
    z, weight = _alike(z, weight)
    return shrink(z, step * weight)


def _l1_conjugate(weight, slope, bound):
    slope, weight = _alike(slope, weight)
    return _beyond(jnp.max(jnp.abs(slope)), weight, bound)


def elastic_net(weight: Scalar, ridge: Scalar) -> Regularizer:
    """R(z) = λ Σ|z_i| + ½ρ Σ z_i², with λ = `weight` and ρ = `ridge`: similar atoms get similar coefficients.

    Raises ValueError for a static negative weight or ridge. Zou and Hastie (2005), "Regularization and variable
    selection via the elastic net".

    >>> elastic_net(0.5, 1.0).prox(jnp.array([3.0, -0.25]), 1.0).tolist()
    [1.25, 0.0]
    """
    return _regularizer(_elastic_value, _elastic_prox, _elastic_conjugate, weight=weight, ridge=ridge)


def _elastic_value(weight, ridge, z):
    z, weight, ridge = _alike(z, weight, ridge)
    return weight * jnp.sum(jnp.abs(z)) + ridge * jnp.sum(jnp.square(z)) / 2


def _elastic_prox(weight, ridge, z, step):
    z, weight, ridge = _alike(z, weight, ridge)
    return shrink(z, step * weight) / (1 + step * ridge)


def _elastic_conjugate(weight, ridge, slope, bound):
    # two upper bounds of the supremum: one ignores `bound`, the other ignores the ridge
    slope, weight, ridge = _alike(slope, weight, ridge)
    excess = jnp.maximum(jnp.abs(slope) - weight, 0)
    largest = jnp.max(excess)
    squares = jnp.sum(jnp.square(excess / jnp.where(largest > 0, largest, 1))) / 2  # relative, so that none underflows
    unbounded = jnp.where(largest > 0, _ratio(largest, ridge) * squares * largest, 0)
    return jnp.minimum(unbounded, _beyond(jnp.max(jnp.abs(slope)), weight, bound))


def non_negative(weight: Scalar) -> Regularizer:
    """R(z) = λ Σ z_i for z ≥ 0, infinite elsewhere: a code that only adds atoms.

    Raises ValueError for a static negative weight λ. Hoyer (2002), "Non-negative sparse coding".

    >>> non_negative(0.5).prox(jnp.array([3.0, -0.25]), 2.0).tolist()
    [2.0, 0.0]
    """
    return _regularizer(_positive_value, _positive_prox, _positive_conjugate, weight=weight)


def _positive_value(weight, z):
    z, weight = _alike(z, weight)
    return jnp.where(jnp.all(z >= 0), weight * jnp.sum(z), jnp.inf)


def _positive_prox(weight, z, step):
    z, weight = _alike(z, weight)
    return jnp.maximum(z - step * weight, 0)


def _positive_conjugate(weight, slope, bound):
    slope, weight = _alike(slope, weight)
    return _beyond(jnp.maximum(jnp.max(slope), 0), weight, bound)


def group(weight: Scalar, size: int) -> Regularizer:
    """R(z) = λ Σ_g ‖z_g‖ over consecutive groups of `size` entries of the last axis: most groups are zero as a whole.

    Raises ValueError for a static negative weight or a size below 1; when one of its functions is called, for a last
    axis whose length is not a multiple of the size. Yuan and Lin (2006), "Model selection and estimation in regression
    with grouped variables".

    >>> group(2.5, 2).prox(jnp.array([3.0, 4.0, 0.5, 0.5]), 1.0).tolist()
    [1.5, 2.0, 0.0, 0.0]
    """
    check_count("size", size)
    check_not_negative("weight", weight)
    # an array without entries, whose shape says the size: static where the weight is traced
    arguments = jnp.zeros((size, 0)), as_number("weight", weight)
    return Regularizer(*(Partial(function, *arguments) for function in (_group_value, _group_prox, _group_conjugate)))


def _norms(layout, z):
    size = layout.shape[0]
    if z.ndim == 0:
        raise ArgumentError("z: got a single number, wanted a code with an axis of groups")
    if z.shape[-1] % size:
        raise ArgumentError(f"size: got {size}, wanted a divisor of {z.shape[-1]}, the length of the last axis")
    groups = z.reshape(*z.shape[:-1], -1, size)
    # relative to the largest entry, since squares of small numbers underflow
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(groups), axis=-1))
    unit = jnp.where(largest > 0, largest, 1)
    square = jnp.sum(jnp.square(groups / unit[..., None]), axis=-1)
    # the gradient of a plain norm would be NaN at zero; here it is zero
    return unit * jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def _group_value(layout, weight, z):
    z, weight = _alike(z, weight)
    return weight * jnp.sum(_norms(layout, z))


def _group_prox(layout, weight, z, step):
    z, weight = _alike(z, weight)
    lengths = _norms(layout, z)
    kept = jnp.where(lengths > step * weight, 1 - step * weight / jnp.where(lengths > 0, lengths, 1), 0)
    return z * jnp.repeat(kept, layout.shape[0], axis=-1)


def _group_conjugate(layout, weight, slope, bound):
    slope, weight = _alike(slope, weight)
    return _beyond(jnp.max(_norms(layout, slope)), weight, bound)


def _beyond(steepest, weight, bound):
    """sup of ⟨slope, x⟩ - λ‖x‖ over λ‖x‖ ≤ bound, where the slope's dual norm is `steepest`."""
    excess = jnp.maximum(steepest - weight, 0)
    # first the pure number: the product of a bound and an excess in small units would be zero
    bound = as_float("bound", bound).astype(excess.dtype)
    positive = (excess > 0) & ~(bound <= 0)
    return jnp.where(positive, jnp.where(positive, bound, 1) * _ratio(excess, weight), 0)


def _ratio(number, divisor):
    """number / divisor, infinite where the divisor is zero, with no warning and no NaN."""
    return jnp.where(divisor > 0, number / jnp.where(divisor > 0, divisor, 1), jnp.inf)
