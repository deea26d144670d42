"""Normal laws with a diagonal covariance, such as the law of a code that an encoder predicts."""

import math
from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import as_float, as_floats, check_record
from ebmjax.records import record
from ebmjax.types import Numbers


@record
class Gaussian(NamedTuple):
    """A normal law of one vector with a diagonal covariance."""

    mean: Float[Array, "*batch size"]
    """μ, in the units of the vector."""
    log_variance: Float[Array, "*batch size"]
    """log σ², any real number, so that it can be the output of a network."""


def reparameterize(law: Gaussian, noise: Annotated[Numbers, "*batch size"]) -> Float[Array, "*batch size"]:
    """z = μ + σ ε: a draw from the law where ε is standard normal noise, differentiable with respect to the law.

    Raises ValueError for a law that is no `Gaussian`. Kingma and Welling (2014), section 2.4.

    >>> reparameterize(Gaussian(jnp.array([1.0]), jnp.array([0.0])), jnp.array([0.5])).tolist()
    [1.5]
    """
    law, noise = _law(law), as_float("noise", noise)
    return law.mean + jnp.exp(law.log_variance / 2) * noise


def log_density(law: Gaussian, noise: Annotated[Numbers, "*batch size"]) -> Float[Array, "*batch"]:
    """log q(z) in nats of the vector z = μ + σ ε: -½ Σ (ε² + log σ² + log 2π).

    Raises ValueError for a law that is no `Gaussian`.

    >>> round(float(log_density(Gaussian(jnp.zeros(1), jnp.zeros(1)), jnp.zeros(1))), 4)
    -0.9189
    """
    law, noise = _law(law), as_float("noise", noise)
    return -jnp.sum(noise**2 + law.log_variance + math.log(2 * math.pi), axis=-1) / 2


def _law(law):
    check_record("law", law, Gaussian)
    return as_floats("law", law)
