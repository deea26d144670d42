"""A one-latent energy whose manifold is an ellipse: squared distance to the point at angle z.

    E(y, z) = (y₁ - w₁ cos z)² + (y₂ - w₂ sin z)²

The placed form turns the ellipse by an angle and moves its centre. Radii are found up to their sign.
Canziani & LeCun (2020), NYU Deep Learning, week 15.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.types import Scalar, check_shape

Point = Float[Array | np.ndarray, "..."]
"""An observed y, shape (2,)."""


class Params(NamedTuple):
    """The two radii w, in the units of y."""

    radii: Float[Array, "2"]


class PlacedParams(NamedTuple):
    """Radii and centre in the units of y; the angle of the first axis in radians."""

    radii: Float[Array, "2"]
    centre: Float[Array, "2"]
    angle: Float[Array, ""]


def init(key: Key[Array, ""]) -> Params:
    """Random radii in [0.4, 1.6).

    >>> init(jax.random.key(0)).radii.shape
    (2,)
    """
    return Params(jax.random.uniform(key, (2,), minval=0.4, maxval=1.6))


def init_placed(points: Float[Array, "samples 2"]) -> PlacedParams:
    """The ellipse of the points' own mean and covariance, exact if they are spread evenly in z.

    Mean of y = centre; covariance = R diag(w²)/2 Rᵀ. Raises ValueError unless `points` is (N, 2) with N at least 3.

    >>> z = jnp.linspace(0, 6.283185, 64, endpoint=False)
    >>> params = init_placed(jnp.stack([3 * jnp.cos(z) + 1, 2 * jnp.sin(z)], axis=1))
    >>> [round(float(w), 3) for w in sorted(params.radii)]
    [2.0, 3.0]
    """
    if points.ndim != 2 or points.shape[0] < 3 or points.shape[1] != 2:
        raise ValueError(f"points: got shape {points.shape}, wanted (N, 2) with N at least 3")
    centre = points.mean(axis=0)
    (a, b), (_, d) = jnp.cov(points.T, bias=True)
    angle = 0.5 * jnp.arctan2(2 * b, a - d)
    spread = jnp.hypot((a - d) / 2, b)
    variances = jnp.maximum(jnp.stack([(a + d) / 2 + spread, (a + d) / 2 - spread]), 0)
    return PlacedParams(jnp.sqrt(2 * variances), centre, angle)


def decode(params: Params, z: Scalar) -> Float[Array, "2"]:
    """The point of the manifold at angle z (radians): [w₁ cos z, w₂ sin z].

    >>> decode(Params(jnp.array([2.0, 1.5])), 0.0).tolist()
    [2.0, 0.0]
    """
    return params.radii * jnp.stack([jnp.cos(z), jnp.sin(z)])


def energy(params: Params, y: Point, z: Scalar) -> Scalar:
    """Squared distance of y from the manifold's point at z, in squared units of y.

    Raises ValueError unless y has shape (2,) and z is a scalar.

    >>> float(energy(Params(jnp.array([2.0, 1.5])), jnp.array([2.0, 1.0]), 0.0))
    1.0
    """
    check_shape("y", y, (2,))
    check_shape("z", z, ())
    return (y[0] - params.radii[0] * jnp.cos(z)) ** 2 + (y[1] - params.radii[1] * jnp.sin(z)) ** 2


def decode_placed(params: PlacedParams, z: Scalar) -> Float[Array, "2"]:
    """The point at angle z of the turned and moved ellipse: centre + R(angle) [w₁ cos z, w₂ sin z].

    >>> params = PlacedParams(jnp.array([2.0, 1.5]), jnp.array([1.0, 1.0]), jnp.array(0.0))
    >>> decode_placed(params, 0.0).tolist()
    [3.0, 1.0]
    """
    along, across = decode(Params(params.radii), z)
    cos, sin = jnp.cos(params.angle), jnp.sin(params.angle)
    return params.centre + jnp.stack([cos * along - sin * across, sin * along + cos * across])


def placed_energy(params: PlacedParams, y: Point, z: Scalar) -> Scalar:
    """Squared distance of y from the placed manifold's point at z.

    Raises ValueError unless y has shape (2,) and z is a scalar.

    >>> params = PlacedParams(jnp.array([2.0, 1.5]), jnp.array([1.0, 1.0]), jnp.array(0.0))
    >>> float(placed_energy(params, jnp.array([3.0, 2.0]), 0.0))
    1.0
    """
    check_shape("y", y, (2,))
    check_shape("z", z, ())
    return jnp.sum((y - decode_placed(params, z)) ** 2)


def critical_beta(mean_square: Float[Array, "..."]) -> Float[Array, "..."]:
    """The inverse temperature below which marginal training loses a radius: beta_c = 1 / (2 E[y_k²]).

    Near w_k = 0, F ≈ const + w_k² (1/2 - beta y_k²): the mean over the data turns from a valley into a hill there.

    >>> float(critical_beta(jnp.array(2.0)))
    0.25
    """
    return 1 / (2 * mean_square)
