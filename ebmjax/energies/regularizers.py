"""Convex regularizers for proximal solvers: values, proximal operators, and conjugates for certificates.

A regularizer limits a latent variable. Those of this file need not be smooth: a solver does not differentiate them but
applies their proximal operator, and their conjugate bounds how far a code is from the best one. Weights may be traced,
so that `jax.vmap` over them computes a regularization path.
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float, check_count, check_not_negative, check_record
from ebmjax.numerics import largest_magnitude, unit_of
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar


@record
class Regularizer(NamedTuple):
    """A convex R ≥ 0 with R(0) = 0, as three functions of arrays of any shape, and the same in other units."""

    value: Callable[[Array], Scalar]
    """`value(z)` = R(z), in units of energy."""
    prox: Callable[[Array, Scalar], Array]
    """`prox(z, step)` = argmin over x of ½‖x - z‖² + step · R(x), the proximal operator.

    With a step of zero it is the projection on the codes whose R is finite.
    """
    conjugate: Callable[[Array, Scalar], Array]
    """`conjugate(slope, bound)` = sup of ⟨slope, x⟩ - R(x) over all x with R(x) ≤ bound, or a number above it.

    Solvers pass as `bound` the energy of their present code, or a number above it. The energy is at least R, so that
    the best code x* has R(x*) ≤ bound. The supremum over all x, without a bound, would be infinite for nearly every
    slope. It may also be infinite where the weight is zero, since then every x has R(x) ≤ bound.
    """
    rescaled: Callable[[Scalar, Scalar], Any] | None = None
    """`rescaled(code, slope)` = the regularizer R(code · z) / (code · slope), which `in_units` calls."""


def in_units(regularizer: Regularizer, code: Scalar, slope: Scalar) -> Regularizer:
    """The regularizer R(code · z) / (code · slope): the same one for a code and a gradient in other units.

    A solver takes units in which its numbers are near 1, so that no square of them underflows. A regularizer that says
    itself how it is rescaled is as precise in any unit. Another one is evaluated in its own units, and is right where
    its values are numbers that the dtype has.

    Args:
        regularizer: R.
        code: the unit of the code, above 0.
        slope: the unit of energy / code, above 0.

    Raises ValueError for anything but a `Regularizer` and two numbers.

    >>> float(in_units(l1(1e-30), 1e-30, 1e-30).value(jnp.array([2.0, 1.0])))
    3.0
    """
    check_regularizer(regularizer)
    code, slope = as_float("code", code, ()), as_float("slope", slope, ())
    if regularizer.rescaled is not None:
        return regularizer.rescaled(code, slope)
    return Regularizer(
        lambda z: regularizer.value(code * z) / code / slope,
        lambda z, step: regularizer.prox(code * z, step * (code / slope)) / code,
        lambda direction, bound: regularizer.conjugate(slope * direction, code * (slope * bound)) / code / slope,
    )


def check_regularizer(regularizer: Any) -> None:
    """Raise ValueError, naming the argument, for anything but a `Regularizer`.

    >>> check_regularizer(0.5)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: regularizer: got a float, wanted ebmjax.energies.regularizers.Regularizer
    """
    check_record("regularizer", regularizer, Regularizer)


def shrink(z: Annotated[Numbers, "*latent"], threshold: Scalar | Float[Array, "*latent"]) -> Float[Array, "*latent"]:
    """The soft threshold sign(z) [|z| - threshold]⁺, of the shape of z.

    Raises ValueError for an argument of another kind.

    >>> shrink(jnp.array([3.0, -0.5, -2.0]), 1.0).tolist()
    [2.0, 0.0, -1.0]
    """
    z, threshold = as_float("z", z), as_float("threshold", threshold)
    return z - jnp.clip(z, -threshold, threshold)


def l1(weight: Scalar) -> Regularizer:
    """R(z) = λ Σ|z_i|, which makes most coefficients zero. Raises ValueError for a static negative weight λ.

    Its proximal operator is `shrink`. Tibshirani (1996), "Regression shrinkage and selection via the lasso".

    >>> l1(0.5).prox(jnp.array([3.0, -0.25]), 2.0).tolist()
    [2.0, 0.0]
    """
    weight = _weight("weight", weight)
    return _of_floats(
        lambda z: _like(weight, z) * jnp.sum(jnp.abs(z)),
        lambda z, step: shrink(z, step * _like(weight, z)),
        lambda slope, bound: _beyond(largest_magnitude(slope), _like(weight, slope), bound),
        lambda code, slope: l1(_over(weight, slope)),
    )


def elastic_net(weight: Scalar, ridge: Scalar) -> Regularizer:
    """R(z) = λ Σ|z_i| + ½ρ Σ z_i², with λ = `weight` and ρ = `ridge`: similar atoms get similar coefficients.

    Raises ValueError for a static negative weight or ridge. Zou and Hastie (2005), "Regularization and variable
    selection via the elastic net".

    >>> elastic_net(0.5, 1.0).prox(jnp.array([3.0, -0.25]), 1.0).tolist()
    [1.25, 0.0]
    """
    weight, ridge = _weight("weight", weight), _weight("ridge", ridge)

    def conjugate(slope, bound):
        # two upper bounds of the supremum: one ignores `bound`, the other ignores the ridge
        first, second = _like(weight, slope), _like(ridge, slope)
        excess = jnp.maximum(jnp.abs(slope) - first, 0)
        unit = unit_of(excess)
        square = jnp.sum(jnp.square(excess / unit)) / 2
        unbounded = jnp.where(square > 0, _ratio(unit, second) * jnp.where(square > 0, square, 1) * unit, 0)
        return jnp.minimum(unbounded, _beyond(largest_magnitude(slope), first, bound))

    return _of_floats(
        lambda z: _like(weight, z) * jnp.sum(jnp.abs(z)) + _like(ridge, z) * jnp.sum(jnp.square(z)) / 2,
        lambda z, step: shrink(z, step * _like(weight, z)) / (1 + step * _like(ridge, z)),
        conjugate,
        lambda code, slope: elastic_net(_over(weight, slope), _over(ridge, slope) * code),
    )


def non_negative(weight: Scalar) -> Regularizer:
    """R(z) = λ Σ z_i for z ≥ 0, infinite elsewhere: a code that only adds atoms.

    Raises ValueError for a static negative weight λ. Hoyer (2002), "Non-negative sparse coding".

    >>> non_negative(0.5).prox(jnp.array([3.0, -0.25]), 2.0).tolist()
    [2.0, 0.0]
    """
    weight = _weight("weight", weight)
    return _of_floats(
        lambda z: jnp.where(jnp.all(z >= 0), _like(weight, z) * jnp.sum(z), jnp.inf),
        lambda z, step: jnp.maximum(z - step * _like(weight, z), 0),
        lambda slope, bound: _beyond(jnp.maximum(jnp.max(slope), 0), _like(weight, slope), bound),
        lambda code, slope: non_negative(_over(weight, slope)),
    )


def group(weight: Scalar, size: int) -> Regularizer:
    """R(z) = λ Σ_g ‖z_g‖ over consecutive groups of `size` entries of the last axis: most groups are zero as a whole.

    Raises ValueError for a static negative weight or a size below 1; when one of its functions is called, for a last
    axis whose length is not a multiple of the size. Yuan and Lin (2006), "Model selection and estimation in regression
    with grouped variables".

    >>> group(2.5, 2).prox(jnp.array([3.0, 4.0, 0.5, 0.5]), 1.0).tolist()
    [1.5, 2.0, 0.0, 0.0]
    """
    weight = _weight("weight", weight)
    check_count("size", size)

    def norms(z):
        if z.ndim == 0:
            raise ArgumentError("z: got a single number, wanted a code with an axis of groups")
        if z.shape[-1] % size:
            raise ArgumentError(f"size: got {size}, wanted a divisor of {z.shape[-1]}, the length of the last axis")
        unit = unit_of(z)
        square = jnp.sum(jnp.square((z / unit).reshape(*z.shape[:-1], -1, size)), axis=-1)
        # the gradient of a plain norm would be NaN at zero; here it is zero
        return unit * jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)

    def prox(z, step):
        lengths, threshold = norms(z), step * _like(weight, z)
        kept = jnp.where(lengths > threshold, 1 - threshold / jnp.where(lengths > 0, lengths, 1), 0)
        return z * jnp.repeat(kept, size, axis=-1)

    return _of_floats(
        lambda z: _like(weight, z) * jnp.sum(norms(z)),
        prox,
        lambda slope, bound: _beyond(jnp.max(norms(slope)), _like(weight, slope), bound),
        lambda code, slope: group(_over(weight, slope), size),
    )


def _of_floats(value, prox, conjugate, rescaled):
    return Regularizer(
        lambda z: value(as_float("z", z)),
        lambda z, step: prox(as_float("z", z), step),
        lambda slope, bound: conjugate(as_float("slope", slope), bound),
        rescaled,
    )


def _weight(name, value):
    """A weight as an array, so that another weight of the same regularizer is no other program."""
    value = as_float(name, value, ())
    check_not_negative(name, value)
    return value


def _like(weight, z):
    """The weight in the dtype of the code, as a Python number would be taken."""
    return weight.astype(z.dtype)


def _over(weight, slope):
    slope = as_float("slope", slope, ())
    return _like(weight, slope) / slope


def _beyond(steepest, weight, bound):
    """sup of ⟨slope, x⟩ - λ‖x‖ over λ‖x‖ ≤ bound, where the slope's dual norm is `steepest`."""
    excess = jnp.maximum(steepest - weight, 0)
    nothing = bound <= 0  # a NaN is something
    # a ratio of slopes has no unit, so that the product is a number wherever the bound is one
    reach = _ratio(excess, weight) * jnp.where(nothing, 1, bound)
    return jnp.where((excess > 0) & ~(nothing & (weight > 0)), reach, 0)


def _ratio(number, divisor):
    """number / divisor, infinite where the divisor is zero, with no warning and no NaN."""
    return jnp.where(divisor > 0, number / jnp.where(divisor > 0, divisor, 1), jnp.inf)
