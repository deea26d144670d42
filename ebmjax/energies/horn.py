"""A conditional energy whose manifold is a horn: an ellipse for each x, its radii predicted by a network.

    E(x, y, z) = (y₁ - f₁(x) cos z)² + (y₂ - f₂(x) sin z)²,        f: 1 → 8 → 8 → 2

The generalized form, E(x, y, z) = ‖y - g(f(x), z)‖², is not told the circle: g is a network too, and z may have any
dimension. `composition.regularized` then has to hold the latent down.
Canziani & LeCun (2020), NYU Deep Learning, week 15.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax import networks
from ebmjax.types import Scalar, check_shape

Point = Float[Array | np.ndarray, "..."]
"""An observed y, shape (2,)."""

Latent = Float[Array, " latent"] | Scalar
"""A code: a vector, or a scalar where dim(z) = 1."""


class Params(NamedTuple):
    """The predictor f of the two radii, x ↦ f(x), in the units of y."""

    predictor: networks.RadiiPredictor


class GeneralizedParams(NamedTuple):
    """The predictor f of features and the decoder g of features and latent."""

    predictor: networks.MLP
    decoder: networks.MLP


def init(key: Key[Array, ""]) -> Params:
    """An untrained horn: radii near one everywhere, and a network in which no unit is dead on [0, 1].

    >>> init(jax.random.key(0)).predictor(jnp.array(0.5)).shape
    (2,)
    """
    return Params(networks.RadiiPredictor(key))


def decode(params: Params, x: Scalar, z: Scalar) -> Float[Array, "2"]:
    """The point of the manifold at x and angle z (radians): f(x) · [cos z, sin z].

    >>> params = init(jax.random.key(0))
    >>> bool(decode(params, 0.5, 0.0)[0] == params.predictor(0.5)[0])
    True
    """
    return params.predictor(x) * jnp.stack([jnp.cos(z), jnp.sin(z)])


def energy(params: Params, x: Scalar, y: Point, z: Scalar) -> Scalar:
    """Squared distance of y from the manifold's point at (x, z), in squared units of y.

    Raises ValueError unless y has shape (2,) and z is a scalar.

    >>> params = init(jax.random.key(0))
    >>> float(energy(params, 0.5, decode(params, 0.5, 1.0), 1.0))
    0.0
    """
    check_shape("y", y, (2,))
    check_shape("z", z, ())
    radii = params.predictor(x)
    return (y[0] - radii[0] * jnp.cos(z)) ** 2 + (y[1] - radii[1] * jnp.sin(z)) ** 2


def init_generalized(
    key: Key[Array, ""], features: int = 8, latent: int = 1, hidden: tuple[int, ...] = (16, 16)
) -> GeneralizedParams:
    """Networks f: 1 → 8 → 8 → features and g: features + latent → hidden → 2, default initialization.

    Raises ValueError for a size below 1.

    >>> init_generalized(jax.random.key(0), latent=2).decoder(jnp.ones(10)).shape
    (2,)
    """
    predictor_key, decoder_key = jax.random.split(key)
    return GeneralizedParams(
        networks.MLP(predictor_key, (1, 8, 8, features)),
        networks.MLP(decoder_key, (features + latent, *hidden, 2)),
    )


def decode_generalized(params: GeneralizedParams, x: Scalar, z: Latent) -> Float[Array, "2"]:
    """g(f(x), z): z a scalar or a vector, of the dimension that the decoder was made for.

    >>> decode_generalized(init_generalized(jax.random.key(0)), 0.5, 0.0).shape
    (2,)
    """
    features = params.predictor(jnp.atleast_1d(x))
    return params.decoder(jnp.concatenate([features, jnp.atleast_1d(z)]))


def generalized_energy(params: GeneralizedParams, x: Scalar, y: Point, z: Latent) -> Scalar:
    """‖y - g(f(x), z)‖², in squared units of y. Raises ValueError unless y has shape (2,).

    >>> params = init_generalized(jax.random.key(0))
    >>> float(generalized_energy(params, 0.5, decode_generalized(params, 0.5, 1.0), 1.0))
    0.0
    """
    check_shape("y", y, (2,))
    return jnp.sum((y - decode_generalized(params, x, z)) ** 2)
