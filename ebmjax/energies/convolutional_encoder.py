"""A convolutional encoder: it predicts the sparse maps of a picture without an iteration, and a penalty for codes.

    Enc(y)_i = g_i φ(K_i ⋆ y),    R(z) + ½α‖z - Enc(y)‖²

The penalty keeps a code near the prediction.

Kavukcuoglu et al. (2010), "Learning convolutional feature hierarchies for visual recognition".
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax import networks
from ebmjax.checks import as_float, as_params, check_above_zero, check_record
from ebmjax.energies.convolutional_sparse_coding import (
    Kernels,
    Maps,
    Params,
    Picture,
    Reconstruction,
    analysis,
    periodic,
)
from ebmjax.energies.regularizers import Regularizer, check_regularizer, in_units
from ebmjax.records import record
from ebmjax.types import Scalar


@record
class Encoder(NamedTuple):
    """The parameters of the encoder."""

    kernels: Kernels
    """K, of the shape of the decoder's kernels."""
    gain: Float[Array, " filters"]
    """g, one number for each map, in units of the code."""


def init_encoder(params: Params) -> Encoder:
    """The encoder whose kernels are the decoder's, with gains of 1: before φ it is the adjoint of the reconstruction.

    >>> init_encoder(Params(jnp.ones((4, 9, 9)))).gain.tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    params = as_params(params, Params)
    return Encoder(params.kernels, jnp.ones(len(params.kernels), params.kernels.dtype))


def encode(
    encoder: Encoder,
    y: Picture,
    nonlinearity: networks.Activation = jnp.tanh,
    reconstruction: Reconstruction = periodic,
) -> Maps:
    """Enc(y)_i = g_i φ(K_i ⋆ y): correlation with a kernel, nonlinearity, gain.

    The correlation K ⋆ y is the adjoint (the transpose) of the convolution K * z. The maps have the shape that
    `reconstruction` wants for a picture of this size. Raises ValueError for a picture that does not fit the kernels.

    Kavukcuoglu et al. (2010), "Learning convolutional feature hierarchies for visual recognition".

    >>> encoder = Encoder(jnp.ones((1, 1, 1)), jnp.array([2.0]))
    >>> encode(encoder, jnp.array([[0.0, 9.0]])).round(3).tolist()
    [[[0.0, 2.0]]]
    """
    check_record("encoder", encoder, Encoder)
    encoder = as_params(encoder, Encoder)
    response = nonlinearity(analysis(Params(encoder.kernels), y, reconstruction))
    return encoder.gain[:, None, None] * response


def near_prediction(regularizer: Regularizer, prediction: Maps, weight: Scalar) -> Regularizer:
    """R(z) + ½α‖z - Enc(y)‖²: a regularizer that keeps a code near the prediction of an encoder.

    The sum is convex, and its proximal operator is that of R at a weighted mean of z and the prediction, so that every
    proximal solver takes it.

    Args:
        regularizer: R.
        prediction: Enc(y), of the shape of the code.
        weight: α, above 0, in units of energy / code².

    Raises:
        ValueError: a static weight that is not above 0.

    Kavukcuoglu, Ranzato and LeCun (2008), "Fast inference in sparse coding algorithms with applications to object
    recognition": predictive sparse decomposition.

    >>> from ebmjax.energies.regularizers import l1
    >>> near = near_prediction(l1(1.0), jnp.array([[[4.0]]]), 1.0)
    >>> near.prox(jnp.array([[[2.0]]]), 1.0).tolist()
    [[[2.5]]]
    """
    check_above_zero("weight", weight)
    check_regularizer(regularizer)
    prediction = as_float("prediction", prediction)
    weight = as_float("weight", weight, ()).astype(prediction.dtype)

    def value(z):
        return regularizer.value(z) + weight * jnp.sum(jnp.square(z - prediction)) / 2

    def prox(z, step):
        return regularizer.prox((z + step * weight * prediction) / (1 + step * weight), step / (1 + step * weight))

    def conjugate(slope, bound):
        # the supremum over all codes, which is at least that over the codes within the bound
        best = regularizer.prox(prediction + slope / weight, 1 / weight)
        return jnp.sum(slope * best) - value(best)

    def rescaled(code, slope):
        return near_prediction(in_units(regularizer, code, slope), prediction / code, weight * (code / slope))

    return Regularizer(value, prox, conjugate, rescaled)
