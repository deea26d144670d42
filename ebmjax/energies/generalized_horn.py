"""A conditional energy like that of `horn` with a network as decoder, which has to learn the circle as well.

    E(x, y, z) = ‖y - g(f(x), z)‖²

The latent z may have any dimension; `penalties.regularized` then has to limit what it can express.
Canziani & LeCun (2020), NYU Deep Learning, week 15.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax import networks
from ebmjax.checks import ArgumentError, as_float, check_callable, check_count, check_key, check_record
from ebmjax.energies.horn import Point
from ebmjax.records import record
from ebmjax.types import Scalar

Latent = Float[Array, " latent"] | Scalar
"""A code: a vector, or a scalar where dim(z) = 1."""


@record
class Params(NamedTuple):
    """The predictor f of features and the decoder g of features and latent."""

    predictor: networks.MLP
    decoder: networks.MLP


def init(
    key: Key[Array, ""],
    features: int = 8,
    latent: int = 1,
    hidden: tuple[int, ...] = (16, 16),
    activation: Callable[[Array], Array] = jax.nn.relu,
) -> Params:
    """Networks f: 1 → 8 → 8 → features and g: features + latent → hidden → 2, with Flax's default initialization.

    A smooth activation, such as `jax.nn.silu`, decodes smooth curves; those of `jax.nn.relu` have corners.

    Raises ValueError for a size below 1, and for an activation that is no function.

    >>> init(jax.random.key(0), latent=2).decoder(jnp.ones(10)).shape
    (2,)
    """
    check_key("key", key)
    check_count("features", features)
    check_count("latent", latent)
    check_callable("activation", activation)
    predictor_key, decoder_key = jax.random.split(key)
    return Params(
        networks.MLP(predictor_key, (1, 8, 8, features), activation),
        networks.MLP(decoder_key, (features + latent, *hidden, 2), activation),
    )


def decode(params: Params, x: Scalar, z: Latent) -> Float[Array, "2"]:
    """g(f(x), z), the predicted y, for z a vector of shape (latent,), or a scalar if latent is 1.

    Raises ValueError for a z of another dimension.

    >>> decode(init(jax.random.key(0)), 0.5, 0.0).shape
    (2,)
    """
    check_record("params", params, Params)
    z = as_float("z", z)
    if z.ndim > 1:
        raise ArgumentError(f"z: got shape {z.shape}, wanted one code (jax.vmap takes many)")
    features = params.predictor(jnp.atleast_1d(as_float("x", x, ())))
    return params.decoder(jnp.concatenate([features, jnp.atleast_1d(z)]))


def energy(params: Params, x: Scalar, y: Point, z: Latent) -> Scalar:
    """‖y - g(f(x), z)‖², in squared units of y.

    Raises ValueError unless y has shape (2,), or for a z of another dimension than the decoder's.

    >>> params = init(jax.random.key(0))
    >>> float(energy(params, 0.5, decode(params, 0.5, 1.0), 1.0))
    0.0
    """
    y = as_float("y", y, (2,))
    return jnp.sum((y - decode(params, x, z)) ** 2)
