"""A convolutional encoder: a guess at the sparse maps of a picture without a search, and codes held near the guess.

    Enc(y)_i = g_i φ(K_i ⋆ y),    R(z) + ½α‖z - Enc(y)‖²

Kavukcuoglu et al. (2010), "Learning convolutional feature hierarchies for visual recognition".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, check_not_negative, is_static
from ebmjax.energies.convolutional_sparse_coding import (
    Kernels,
    Maps,
    Params,
    Picture,
    Reconstruction,
    analysis,
    periodic,
)
from ebmjax.energies.regularizers import Regularizer
from ebmjax.types import Scalar


class Encoder(NamedTuple):
    """A guess at the maps without a search: kernels as the decoder's, and a gain for each map, in units of the code."""

    kernels: Kernels
    gain: Float[Array, " filters"]


def init_encoder(params: Params) -> Encoder:
    """The encoder whose kernels are the decoder's, with a gain of 1: K * Z seen backwards.

    >>> init_encoder(Params(jnp.ones((4, 9, 9)))).gain.tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    return Encoder(params.kernels, jnp.ones(len(params.kernels), params.kernels.dtype))


def encode(
    encoder: Encoder,
    y: Picture,
    nonlinearity: Callable[[Any], Any] = jnp.tanh,
    reconstruction: Reconstruction = periodic,
) -> Maps:
    """Enc(y)_i = g_i φ(K_i ⋆ y): convolution, non-linearity, gain; K ⋆ y is the transpose of K * z.

    Kavukcuoglu et al. (2010), "Learning convolutional feature hierarchies for visual recognition".

    >>> encoder = Encoder(jnp.ones((1, 1, 1)), jnp.array([2.0]))
    >>> encode(encoder, jnp.array([[0.0, 9.0]])).round(3).tolist()
    [[[0.0, 2.0]]]
    """
    response = nonlinearity(analysis(Params(encoder.kernels), y, reconstruction))
    return encoder.gain[:, None, None] * response


def predicted(regularizer: Regularizer, prediction: Maps, weight: Scalar) -> Regularizer:
    """R(z) + ½α‖z - Enc(y)‖², α = `weight`: a code that has to stay near an encoder's guess.

    Any proximal solver takes it, for it stays convex and its proximal operator is R's own at a point between. Raises
    ValueError for a static weight that is not above 0. Kavukcuoglu et al. (2008), predictive sparse decomposition.

    >>> from ebmjax.energies.regularizers import l1
    >>> near = predicted(l1(1.0), jnp.array([[[4.0]]]), 1.0)
    >>> near.prox(jnp.array([[[2.0]]]), 1.0).tolist()
    [[[2.5]]]
    """
    check_not_negative("weight", weight)
    if is_static(weight) and float(weight) == 0:
        raise ArgumentError("weight: got 0.0, wanted a number above 0")

    def value(z):
        return regularizer.value(z) + weight * jnp.sum(jnp.square(z - prediction)) / 2

    def prox(z, step):
        return regularizer.prox((z + step * weight * prediction) / (1 + step * weight), step / (1 + step * weight))

    def conjugate(slope, bound):
        # the maximum over all codes is no smaller than that within the bound
        best = regularizer.prox(prediction + slope / weight, 1 / weight)
        return jnp.sum(slope * best) - value(best)

    return Regularizer(value, prox, conjugate)
