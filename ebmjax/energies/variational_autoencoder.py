"""The energy of a variational autoencoder: a decoder predicts y from a code z whose information is limited by noise.

    E(y, z) = -log p(y|z) - log p(z),        p(z) = N(0, 1),        F₁(y) = -log p(y)

At beta = 1 the free energy F₁ is the negative log-likelihood. It has no closed form, so an encoder proposes a normal
law q(z|y) of the code; its variance limits the information in z. `ebmjax.losses.evidence_bound` learns decoder and
encoder, and `ebmjax.marginalize.importance_sampling` estimates F₁.

Kingma and Welling (2014), "Auto-encoding variational Bayes"; LeCun & Canziani, NYU Deep Learning, week 8.
"""

import math
from collections.abc import Callable
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Key

from ebmjax import networks
from ebmjax.checks import (
    ArgumentError,
    as_example,
    as_float,
    as_number,
    check_count,
    check_key,
    check_positive,
    check_record,
    is_static,
)
from ebmjax.gaussian import Gaussian
from ebmjax.numerics import sum_softplus
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar

Code = Annotated[Numbers, "latent"]


@record
class Params(NamedTuple):
    """Two networks, each a pytree that is called with one array."""

    encoder: Callable[[Array], Array]
    """From y to the means and log-variances of q(z|y), an array of shape (2 · latent,)."""
    decoder: Callable[[Array], Array]
    """From z to the parameters of p(y|z), an array of the shape of y: logits or means, as the observation defines."""


@record
class Observation(NamedTuple):
    """The law p(y|z) as a function of the decoded array, which has the shape of y: `bernoulli` or `gaussian`."""

    cost: Callable[[Array, Numbers], Array]
    """`cost(decoded, y)` = -log p(y|z) in nats, a scalar."""
    mean: Callable[[Array], Array]
    """`mean(decoded)` = <y>, of the shape of y."""
    check: Callable[[Numbers], None]
    """`check(y)` raises ValueError for a static y outside the domain of the law."""


def bernoulli() -> Observation:
    """Pixels of 0 and 1 with logits a: cost = Σ softplus(a) - y a. A grey y between 0 and 1 is a mean of pixels.

    `check` raises ValueError for a static y outside [0, 1], such as bytes of 0 … 255. For a traced one, as in a batch,
    the cost and its gradient are NaN.

    >>> float(jnp.exp(-bernoulli().cost(jnp.zeros(2), jnp.ones(2))))
    0.25
    """

    return Observation(_bernoulli_cost, _sigmoid, check_unit_interval)


def _sigmoid(decoded):
    return jax.nn.sigmoid(decoded)  # in a function of its own, since pickle refuses what is compiled


def _bernoulli_cost(logits, y):
    y = as_example("y", y, logits)
    inside = jnp.all((y >= 0) & (y <= 1))
    # a factor: the gradient is NaN too, so that no training goes on as if nothing had happened
    return jnp.where(inside, 1, jnp.nan) * (sum_softplus(logits) - jnp.sum(y * logits))


def gaussian(scale: Scalar) -> Observation:
    """Real y with normal noise of standard deviation s = `scale`: cost = ‖y - decoded‖²/2s² + n log(s √2π).

    The scale has the units of y, and n is the number of entries of y. Raises ValueError for a static scale that is not
    positive and finite.

    >>> round(float(gaussian(0.5).cost(jnp.zeros(1), jnp.ones(1))), 4)  # 2 + log(0.5 √2π)
    2.2258
    """
    check_positive("scale", scale)

    return Observation(Partial(_gaussian_cost, as_number("scale", scale)), _unchanged, _any)


def _gaussian_cost(scale, decoded, y):
    y, scale = as_example("y", y, decoded), scale.astype(decoded.dtype)
    constant = jnp.log(scale) + math.log(2 * math.pi) / 2
    return jnp.sum(((y - decoded) / scale) ** 2) / 2 + decoded.size * constant


def _unchanged(decoded):
    return decoded


def _any(y):
    as_float("y", y)


def check_unit_interval(y: Annotated[Numbers, "*observed"]) -> None:
    """Raise ValueError for static pictures without a pixel, or with a value outside [0, 1].

    >>> check_unit_interval(np.array([0.5, 2.0]))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: y: got values from 0.5 to 2.0, wanted them in [0, 1]
    """
    as_float("y", y)
    if is_static(y):
        values = np.asarray(y)
        if not values.size:
            raise ArgumentError(f"y: got shape {values.shape}, wanted at least one pixel")
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
    """Dense networks between y of shape (observed,) and z of shape (latent,).

    Args:
        key: typed random key.
        observed: length of y.
        hidden: units of the hidden layers of the encoder; the decoder has them in reverse order.
        latent: length of z.
        activation: nonlinearity of the hidden layers.

    Raises:
        ValueError: a size below 1.

    >>> params = init(jax.random.key(0), 6, (5, 4), 2)
    >>> decode(params, encode(params, jnp.ones(6)).mean).shape
    (6,)
    """
    check_count("observed", observed)
    check_count("latent", latent)
    check_key("key", key)
    encoder_key, decoder_key = jax.random.split(key)
    return Params(
        networks.MLP(encoder_key, (observed, *hidden, 2 * latent), activation),
        networks.MLP(decoder_key, (latent, *hidden[::-1], observed), activation),
    )


def init_convolutional(
    key: Key[Array, ""], shape: tuple[int, int], latent: int, channels: tuple[int, int] = (16, 32)
) -> Params:
    """Convolutional networks for pictures of shape (rows, columns), each with two layers of stride 2.

    Raises ValueError unless rows and columns are multiples of 4.

    >>> params = init_convolutional(jax.random.key(0), (8, 8), 2, channels=(2, 3))
    >>> decode(params, encode(params, jnp.ones((8, 8))).mean).shape
    (8, 8)
    """
    check_count("latent", latent)
    check_key("key", key)
    encoder_key, decoder_key = jax.random.split(key)
    return Params(
        networks.ConvolutionalEncoder(encoder_key, shape, 2 * latent, channels),
        networks.ConvolutionalDecoder(decoder_key, latent, shape, channels),
    )


def encode(params: Params, y: Annotated[Numbers, "*observed"]) -> Gaussian:
    """q(z|y), the law of the code that the encoder predicts for one y.

    Raises ValueError for a y of another shape than the encoder takes.

    >>> encode(init(jax.random.key(0), 6, (5,), 2), jnp.ones(6)).log_variance.shape
    (2,)
    """
    check_record("params", params, Params)
    y = as_float("y", y)
    numbers = params.encoder(y)
    if numbers.ndim != 1 or numbers.size % 2:
        raise ArgumentError(
            f"y: got shape {y.shape}, wanted one example, of which the encoder makes 2 · latent numbers"
        )
    mean, log_variance = jnp.split(numbers, 2)
    return Gaussian(mean, log_variance)


def decode(params: Params, z: Code) -> Float[Array, "*observed"]:
    """The parameters of p(y|z) for one code z: logits for `bernoulli`, means for `gaussian`.

    Raises ValueError for a code of another length than the decoder takes.

    >>> decode(init(jax.random.key(0), 6, (5,), 2), jnp.zeros(2)).shape
    (6,)
    """
    check_record("params", params, Params)
    return params.decoder(as_float("z", z, (None,)))


def misfit(params: Params, observation: Observation, y: Annotated[Numbers, "*observed"], z: Code) -> Scalar:
    """-log p(y|z) in nats: the energy without the prior, for spaces whose measure is the prior (`gauss_hermite`).

    It is NaN for traced values of y outside the domain of the observation. Raises ValueError for static ones, for a y
    of another shape than the decoded one, or a code of another length than the decoder takes.

    >>> params = init(jax.random.key(0), 6, (5,), 2)
    >>> bool(misfit(params, bernoulli(), jnp.ones(6), jnp.zeros(2)) > 0)
    True
    """
    check_record("observation", observation, Observation)
    decoded = decode(params, z)
    observation.check(y)  # before it is converted, since a constant in a compiled function is then traced
    return observation.cost(decoded, as_example("y", y, decoded, decoded.shape))


def energy(params: Params, observation: Observation, y: Annotated[Numbers, "*observed"], z: Code) -> Scalar:
    """-log p(y|z) - log p(z) in nats, with log p(z) = -½ Σ (z² + log 2π). Arguments and errors as in `misfit`.

    >>> params = init(jax.random.key(0), 6, (5,), 2)
    >>> y, z = jnp.ones(6), jnp.zeros(2)
    >>> round(float(energy(params, bernoulli(), y, z) - misfit(params, bernoulli(), y, z)), 4)  # log 2π
    1.8379
    """
    return misfit(params, observation, y, z) + jnp.sum(as_float("z", z) ** 2 + math.log(2 * math.pi)) / 2
