"""The horn and the ellipse of the lectures: data with a known manifold and a known noise floor.

Canziani & LeCun (2020), NYU Deep Learning, week 15.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import as_float, check_count, check_key
from ebmjax.records import record

ALPHA, BETA = 1.5, 2.0
"""The semi-axes of the horn at x = 0 are (BETA, ALPHA); BETA is a length here, not an inverse temperature."""

NOISE = 1 / 20
"""The standard deviation of the noise on each component of y."""

NOISE_FLOOR = NOISE**2
"""The mean of F_inf for the true manifold: the variance of the noise along the normal of the ellipse."""


@record
class HornData(NamedTuple):
    """Pairs (x, y), with the samples along the leading axis."""

    x: Float[Array, " samples"]
    y: Float[Array, "samples 2"]


def horn_radii(x: Any) -> Float[Array, "*batch 2"]:
    """The true semi-axes ρ(x) = [αx + β(1-x), βx + α(1-x)] · exp(2x), α = 1.5, β = 2, in the units of y.

    Canziani & LeCun (2020), NYU Deep Learning, week 15.

    >>> [round(float(r), 2) for r in horn_radii(jnp.array(1.0))]
    [11.08, 14.78]
    """
    x = as_float("x", x)
    axes = jnp.stack([ALPHA * x + BETA * (1 - x), BETA * x + ALPHA * (1 - x)], axis=-1)
    return axes * jnp.exp(2 * x)[..., None]


def horn_data(key: Key[Array, ""], samples: int = 400) -> HornData:
    """Samples of the horn: x ~ U(0, 1), y = ρ(x) · [cos θ, sin θ] + ε with θ ~ U(0, 2π) and ε ~ N(0, 1/20²).

    Canziani & LeCun (2020), NYU Deep Learning, week 15. Raises ValueError for fewer than one sample.

    >>> horn_data(jax.random.key(0), 5).y.shape
    (5, 2)
    """
    check_key("key", key)
    check_count("samples", samples)
    x_key, y_key = jax.random.split(key)
    x = jax.random.uniform(x_key, (samples,))
    return HornData(x, _noisy_ellipses(y_key, horn_radii(x)))


def ellipse_data(key: Key[Array, ""], samples: int = 24) -> Float[Array, "samples 2"]:
    """Samples of the ellipse, the slice x = 0 of the horn: y = (2 cos θ + ε₁, 1.5 sin θ + ε₂).

    Canziani & LeCun (2020), NYU Deep Learning, week 15. Raises ValueError for fewer than one sample.

    >>> ellipse_data(jax.random.key(0)).shape
    (24, 2)
    """
    check_key("key", key)
    check_count("samples", samples)
    return _noisy_ellipses(key, jnp.broadcast_to(horn_radii(jnp.array(0.0)), (samples, 2)))


def _noisy_ellipses(key, radii):
    angle_key, noise_key = jax.random.split(key)
    angle = jax.random.uniform(angle_key, radii.shape[:1], maxval=2 * jnp.pi)
    circle = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    return radii * circle + NOISE * jax.random.normal(noise_key, radii.shape)
