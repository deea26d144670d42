"""A conditional energy whose manifold is a horn: an ellipse for each x, its radii predicted by a network.

    E(x, y, z) = (y₁ - f₁(x) cos z)² + (y₂ - f₂(x) sin z)²,        f: 1 → 8 → 8 → 2

`generalized_horn` is the form whose decoder has to learn the circle as well.
Canziani & LeCun (2020), NYU Deep Learning, week 15.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax import networks
from ebmjax.checks import as_float, check_key, check_record
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar

Point = Annotated[Numbers, "2"]
"""An observed y, shape (2,)."""


@record
class Params(NamedTuple):
    """The predictor f of the two radii, x ↦ f(x), in the units of y."""

    predictor: networks.RadiiPredictor


def init(key: Key[Array, ""]) -> Params:
    """An untrained horn: all radii are near one, and every unit of the network is active somewhere on [0, 1].

    Raises ValueError for a raw key.

    >>> import jax
    >>> init(jax.random.key(0)).predictor(jnp.array(0.5)).shape
    (2,)
    """
    check_key("key", key)
    return Params(networks.RadiiPredictor(key))


def decode(params: Params, x: Scalar, z: Scalar) -> Float[Array, "2"]:
    """The point of the manifold at x and angle z (radians): f(x) · [cos z, sin z].

    Raises ValueError unless x and z are scalars.

    >>> import jax
    >>> params = init(jax.random.key(0))
    >>> bool(decode(params, 0.5, 0.0)[0] == params.predictor(0.5)[0])
    True
    """
    check_record("params", params, Params)
    x, z = as_float("x", x, ()), as_float("z", z, ())
    return params.predictor(x) * jnp.stack([jnp.cos(z), jnp.sin(z)])


def energy(params: Params, x: Scalar, y: Point, z: Scalar) -> Scalar:
    """Squared distance of y from the manifold's point at (x, z), in squared units of y.

    Raises ValueError unless y has shape (2,), and x and z are scalars.

    >>> import jax
    >>> params = init(jax.random.key(0))
    >>> float(energy(params, 0.5, decode(params, 0.5, 1.0), 1.0))
    0.0
    """
    check_record("params", params, Params)
    x, y, z = as_float("x", x, ()), as_float("y", y, (2,)), as_float("z", z, ())
    radii = params.predictor(x)
    return (y[0] - radii[0] * jnp.cos(z)) ** 2 + (y[1] - radii[1] * jnp.sin(z)) ** 2
