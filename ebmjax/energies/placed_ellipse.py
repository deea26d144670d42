"""An energy with one latent angle z, whose manifold is an ellipse with any centre and any direction of its axes.

    E(y, z) = ‖y - c - R(φ) (w₁ cos z, w₂ sin z)‖²,    R(φ) the rotation by the angle φ

Canziani & LeCun (2020), NYU Deep Learning, week 15.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_example, as_float, as_params
from ebmjax.energies import ellipse
from ebmjax.energies.ellipse import Point
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar


@record
class Params(NamedTuple):
    """Radii and centre in the units of y; the angle of the first axis in radians."""

    radii: Float[Array, "2"]
    centre: Float[Array, "2"]
    angle: Float[Array, ""]


def init(points: Annotated[Numbers, "samples 2"]) -> Params:
    """The ellipse with the mean c and the covariance R diag(w²) Rᵀ / 2 of the points.

    It is exact for points of an ellipse that are evenly spread in z. Raises ValueError unless `points` has shape (N, 2)
    with N at least 3.

    >>> z = jnp.linspace(0, 6.283185, 64, endpoint=False)
    >>> params = init(jnp.stack([3 * jnp.cos(z) + 1, 2 * jnp.sin(z)], axis=1))
    >>> [round(float(w), 3) for w in sorted(params.radii)]
    [2.0, 3.0]
    """
    points = as_float("points", points)
    if points.ndim != 2 or points.shape[0] < 3 or points.shape[1] != 2:
        raise ArgumentError(f"points: got shape {points.shape}, wanted (N, 2) with N at least 3")
    centre = points.mean(axis=0)
    (a, b), (_, d) = jnp.cov(points.T, bias=True)
    angle = 0.5 * jnp.arctan2(2 * b, a - d)
    spread = jnp.hypot((a - d) / 2, b)
    variances = jnp.maximum(jnp.stack([(a + d) / 2 + spread, (a + d) / 2 - spread]), 0)
    return Params(jnp.sqrt(2 * variances), centre, angle)


def decode(params: Params, z: Scalar) -> Float[Array, "2"]:
    """The point of the manifold at angle z (radians): c + R(φ) [w₁ cos z, w₂ sin z].

    >>> params = Params(jnp.array([2.0, 1.5]), jnp.array([1.0, 1.0]), jnp.array(0.0))
    >>> decode(params, 0.0).tolist()
    [3.0, 1.0]
    """
    params = as_params(params, Params)
    along, across = ellipse.decode(ellipse.Params(params.radii), z)
    cos, sin = jnp.cos(params.angle), jnp.sin(params.angle)
    return params.centre + jnp.stack([cos * along - sin * across, sin * along + cos * across])


def energy(params: Params, y: Point, z: Scalar) -> Scalar:
    """Squared distance of y from the manifold's point at z, in squared units of y.

    Raises ValueError unless y has shape (2,) and z is a scalar.

    >>> params = Params(jnp.array([2.0, 1.5]), jnp.array([1.0, 1.0]), jnp.array(0.0))
    >>> float(energy(params, jnp.array([3.0, 2.0]), 0.0))
    1.0
    """
    params = as_params(params, Params)
    y = as_example("y", y, params.radii, (2,))
    return jnp.sum((y - decode(params, z)) ** 2)
