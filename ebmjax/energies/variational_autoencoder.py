"""The energy behind a variational autoencoder: a decoder explains y by a code z, which noise keeps from saying much.

    E(y, z) = -log p(y|z) - log p(z),        p(z) = N(0, 1),        F₁(y) = -log p(y)

At beta = 1 the free energy is the negative log-likelihood. It has no closed form, so an encoder proposes a normal law
q(z|y) of the code: the noise on it is what limits its information. `ebmjax.losses.evidence_bound` learns both, and
`ebmjax.marginalize.importance_sampling` estimates F₁.

Kingma and Welling (2014), "Auto-encoding variational Bayes"; LeCun & Canziani, NYU Deep Learning, week 8.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax import networks
from ebmjax.checks import ArgumentError, check_positive, check_shape, is_static
from ebmjax.gaussian import Gaussian
from ebmjax.types import Scalar

Code = Float[Array, " latent"]


class Params(NamedTuple):
    """Two networks: y to the 2 · latent numbers of q(z|y), and z to what the observation wants, with the shape of y."""

    encoder: Any
    decoder: Any


class Observation(NamedTuple):
    """How y scatters about what was decoded.

    `cost(decoded, y)` = -log p(y|decoded) in nats, `mean(decoded)` = <y>, and `check(y)` raises ValueError for static y
    outside the domain.
    """

    cost: Callable[[Any, Any], Any]
    mean: Callable[[Any], Any]
    check: Callable[[Any], None]


def bernoulli() -> Observation:
    """Pixels of 0 and 1 from logits a: cost = Σ softplus(a) - y a. A grey y in between counts as its own mean.

    `check` raises ValueError for y outside [0, 1]; where y is traced, as in a batch, the cost of such a y is NaN.

    >>> float(jnp.exp(-bernoulli().cost(jnp.zeros(2), jnp.ones(2))))
    0.25
    """

    def cost(logits, y):
        inside = jnp.all((y >= 0) & (y <= 1))
        return jnp.where(inside, _sum_softplus(logits) - jnp.sum(y * logits), jnp.nan)

    return Observation(cost, jax.nn.sigmoid, check_unit_interval)


def gaussian(scale: Scalar) -> Observation:
    """Real y with normal noise of standard deviation `scale`: cost = ‖y - decoded‖²/2s² + n log(s √2π).

    Raises ValueError for a static scale that is not positive.

    >>> round(float(gaussian(0.5).cost(jnp.zeros(1), jnp.ones(1))), 4)  # 2 + log(0.5 √2π)
    2.2258
    """
    check_positive("scale", scale)

    def cost(decoded, y):
        constant = jnp.log(jnp.asarray(scale, decoded.dtype)) + math.log(2 * math.pi) / 2
        return jnp.sum(((y - decoded) / scale) ** 2) / 2 + decoded.size * constant

    return Observation(cost, lambda decoded: decoded, lambda y: None)


def check_unit_interval(y: Any) -> None:
    """Raise ValueError for static pictures with a value outside [0, 1].

    >>> check_unit_interval(np.array([0.5, 2.0]))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: y: got values from 0.5 to 2.0, wanted them in [0, 1]
    """
    if is_static(y):
        values = np.asarray(y)
        low, high = values.min(), values.max()
        if not (low >= 0 and high <= 1):
            raise ArgumentError(f"y: got values from {low} to {high}, wanted them in [0, 1]")


def init(
    key: Key[Array, ""],
    observed: int,
    hidden: tuple[int, ...],
    latent: int,
    activation: networks.Activation = jax.nn.silu,
) -> Params:
    """Dense networks: y of shape (observed,) to z of shape (latent,) and back, `hidden` units on the way.

    Raises ValueError for a size below 1.

    >>> params = init(jax.random.key(0), 6, (5, 4), 2)
    >>> decode(params, encode(params, jnp.ones(6)).mean).shape
    (6,)
    """
    encoder_key, decoder_key = jax.random.split(key)
    return Params(
        networks.MLP(encoder_key, (observed, *hidden, 2 * latent), activation),
        networks.MLP(decoder_key, (latent, *hidden[::-1], observed), activation),
    )


def init_convolutional(
    key: Key[Array, ""], shape: tuple[int, int], latent: int, channels: tuple[int, int] = (16, 32)
) -> Params:
    """Convolutional networks for pictures of a shape (rows, columns), two strides of 2 on either way.

    Raises ValueError unless rows and columns are multiples of 4.

    >>> params = init_convolutional(jax.random.key(0), (8, 8), 2, channels=(2, 3))
    >>> decode(params, encode(params, jnp.ones((8, 8))).mean).shape
    (8, 8)
    """
    encoder_key, decoder_key = jax.random.split(key)
    return Params(
        networks.ConvolutionalEncoder(encoder_key, shape, 2 * latent, channels),
        networks.ConvolutionalDecoder(decoder_key, latent, shape, channels),
    )


def encode(params: Params, y: Float[Array | np.ndarray, "*observed"]) -> Gaussian:
    """q(z|y): what the encoder says of one y.

    >>> encode(init(jax.random.key(0), 6, (5,), 2), jnp.ones(6)).log_variance.shape
    (2,)
    """
    mean, log_variance = jnp.split(params.encoder(jnp.asarray(y)), 2)
    return Gaussian(mean, log_variance)


def decode(params: Params, z: Code) -> Float[Array, "*observed"]:
    """What the decoder makes of one code: logits for `bernoulli`, the mean for `gaussian`.

    >>> decode(init(jax.random.key(0), 6, (5,), 2), jnp.zeros(2)).shape
    (6,)
    """
    return params.decoder(z)


def misfit(params: Params, observation: Observation, y: Float[Array | np.ndarray, "*observed"], z: Code) -> Scalar:
    """-log p(y|z) in nats: the energy without the prior, for spaces whose measure is the prior (`gauss_hermite`).

    Raises ValueError where y does not have the decoded shape, or has static values outside the observation's domain.
    NaN where such values are traced.

    >>> params = init(jax.random.key(0), 6, (5,), 2)
    >>> bool(misfit(params, bernoulli(), jnp.ones(6), jnp.zeros(2)) > 0)
    True
    """
    decoded = params.decoder(z)
    check_shape("y", y, decoded.shape)
    observation.check(y)
    return observation.cost(decoded, y)


def energy(params: Params, observation: Observation, y: Float[Array | np.ndarray, "*observed"], z: Code) -> Scalar:
    """-log p(y|z) - log p(z) in nats, with log p(z) = -½ Σ (z² + log 2π). Raises ValueError as `misfit`.

    >>> params = init(jax.random.key(0), 6, (5,), 2)
    >>> y, z = jnp.ones(6), jnp.zeros(2)
    >>> round(float(energy(params, bernoulli(), y, z) - misfit(params, bernoulli(), y, z)), 4)  # log 2π
    1.8379
    """
    return misfit(params, observation, y, z) + jnp.sum(z**2 + math.log(2 * math.pi)) / 2


@jax.custom_jvp
def _sum_softplus(logits: Float[Array, "*shape"]) -> Scalar:
    """Σ log(1 + exp aᵢ), with one logarithm for a hundred terms.

    Each is max(a, 0) + log(1 + exp(-|a|)), whose argument lies in [1, 2]: a hundred of them multiply without overflow.
    A logarithm for every pixel of every sample is what else the likelihood would spend its time on.
    """
    flat = logits.ravel()
    terms = jnp.pad(1 + jnp.exp(-jnp.abs(flat)), (0, -flat.size % 112), constant_values=1)
    products = jnp.prod(terms.reshape(-1, 112), axis=-1)
    return jnp.sum(jnp.maximum(flat, 0)) + jnp.sum(jnp.log(products))


@_sum_softplus.defjvp
def _sum_softplus_jvp(primals, tangents):
    (logits,), (slope,) = primals, tangents
    return _sum_softplus(logits), jnp.sum(jax.nn.sigmoid(logits) * slope)
