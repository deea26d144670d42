"""An energy with one latent angle z, whose manifold is an ellipse: the squared distance to the point at angle z.

    E(y, z) = (y₁ - w₁ cos z)² + (y₂ - w₂ sin z)²

Radii are determined up to their sign. `placed_ellipse` is the model with any centre and any direction of the axes.
Canziani & LeCun (2020), NYU Deep Learning, week 15.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import as_example, as_float, as_params, check_key
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar

Point = Annotated[Numbers, "2"]
"""An observed y, shape (2,)."""


@record
class Params(NamedTuple):
    """The two radii w, in the units of y."""

    radii: Float[Array, "2"]


def init(key: Key[Array, ""]) -> Params:
    """Random radii in [0.4, 1.6).

    Raises ValueError for a raw key.

    >>> init(jax.random.key(0)).radii.shape
    (2,)
    """
    check_key("key", key)
    return Params(jax.random.uniform(key, (2,), minval=0.4, maxval=1.6))


def decode(params: Params, z: Scalar) -> Float[Array, "2"]:
    """The point of the manifold at angle z (radians): [w₁ cos z, w₂ sin z]. Raises ValueError unless z is a scalar.

    >>> decode(Params(jnp.array([2.0, 1.5])), 0.0).tolist()
    [2.0, 0.0]
    """
    params = as_params(params, Params)
    z = as_example("z", z, params.radii, ())
    return params.radii * jnp.stack([jnp.cos(z), jnp.sin(z)])


def energy(params: Params, y: Point, z: Scalar) -> Scalar:
    """Squared distance of y from the manifold's point at z, in squared units of y.

    Raises ValueError unless y has shape (2,) and z is a scalar.

    >>> float(energy(Params(jnp.array([2.0, 1.5])), jnp.array([2.0, 1.0]), 0.0))
    1.0
    """
    params = as_params(params, Params)
    y, z = as_example("y", y, params.radii, (2,)), as_example("z", z, params.radii, ())
    return (y[0] - params.radii[0] * jnp.cos(z)) ** 2 + (y[1] - params.radii[1] * jnp.sin(z)) ** 2


def critical_beta(mean_square: Annotated[Numbers, "..."]) -> Float[Array, "..."]:
    """beta_c = 1 / (2 E[y_k²]): below this inverse temperature, training on F_beta shrinks the radius w_k to zero.

    Near w_k = 0, F_beta ≈ const + w_k² (1/2 - beta y_k²). The mean over the data has a minimum at w_k = 0 for
    beta < beta_c, and a maximum for beta > beta_c.

    Args:
        mean_square: E[y_k²], the mean of the squared component over the data.

    Returns:
        beta_c, in units of 1/energy, of the same shape.

    >>> float(critical_beta(jnp.array(2.0)))
    0.25
    """
    return 1 / (2 * as_float("mean_square", mean_square))
