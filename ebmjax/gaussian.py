"""Normal laws with a diagonal covariance, such as an encoder's law of a code: draws and log-densities."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Gaussian(NamedTuple):
    """A normal law of one vector with a diagonal covariance, such as what an encoder says of a code.

    The logarithm of the variance may be any number, so a network can put it out.
    """

    mean: Float[Array, "*batch size"]
    log_variance: Float[Array, "*batch size"]


def reparameterize(law: Gaussian, noise: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
    """The vector z = μ + σ ε of the law that standard normal noise ε stands for: differentiable by the law.

    Kingma and Welling (2014), section 2.4.

    >>> reparameterize(Gaussian(jnp.array([1.0]), jnp.array([0.0])), jnp.array([0.5])).tolist()
    [1.5]
    """
    return law.mean + jnp.exp(law.log_variance / 2) * noise


def log_density(law: Gaussian, noise: Float[Array, "*batch size"]) -> Float[Array, "*batch"]:
    """log q(μ + σ ε) in nats, of the vector that the noise ε stands for: -½ Σ (ε² + log σ² + log 2π).

    >>> round(float(log_density(Gaussian(jnp.zeros(1), jnp.zeros(1)), jnp.zeros(1))), 4)
    -0.9189
    """
    return -jnp.sum(noise**2 + law.log_variance + math.log(2 * math.pi), axis=-1) / 2
