"""Densities of the plane that are known exactly: to draw from, and to measure a learned law against.

All lie within [-4, 4]². Each is normalized: its log density can stand in a KL divergence as it is.
"""

import enum
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key


class Density(NamedTuple):
    """`sample(key, n) -> (n, 2)`, `log_density(y) -> scalar` in nats for one y of shape (2,), normalized."""

    sample: Callable[[Key[Array, ""], int], Float[Array, "n 2"]]
    log_density: Callable[[Float[Array, "2"]], Float[Array, ""]]


class Densities(enum.Enum):
    """The densities by name, for command lines."""

    TWO_MOONS = "two_moons"
    RINGS = "rings"
    CHECKERBOARD = "checkerboard"
    GAUSSIANS = "gaussians"
    UNEQUAL_GAUSSIANS = "unequal_gaussians"


def density(which: Densities) -> Density:
    """One of the densities, with its default sizes."""
    return {
        Densities.TWO_MOONS: two_moons,
        Densities.RINGS: rings,
        Densities.CHECKERBOARD: checkerboard,
        Densities.GAUSSIANS: gaussians,
        Densities.UNEQUAL_GAUSSIANS: unequal_gaussians,
    }[which]()


def two_moons(noise: float = 0.2) -> Density:
    """Two half circles of radius 2, one above the other turned over, blurred by a Gaussian of width `noise`.

    The usual two moons, twice as large and centred: with t uniform in [0, π], one moon is (2 cos t - 1, 2 sin t - ½)
    and the other is that turned by half a turn. The integral over t is by Gauss and Legendre's rule.
    """
    nodes, weights = np.polynomial.legendre.leggauss(max(64, math.ceil(16 / noise)))
    arc = _moon(jnp.asarray(math.pi / 2 * (nodes + 1), jnp.float32))
    centres = jnp.concatenate([arc, -arc])
    log_weights = jnp.asarray(np.log(np.tile(weights / 4, 2)), jnp.float32)  # they sum to 1

    def sample(key: Key[Array, ""], n: int) -> Float[Array, "n 2"]:
        angle_key, side_key, noise_key = jax.random.split(key, 3)
        moon = _moon(jax.random.uniform(angle_key, (n,), maxval=math.pi))
        return jax.random.rademacher(side_key, (n, 1), float) * moon + noise * jax.random.normal(noise_key, (n, 2))

    return Density(sample, lambda y: _log_mixture(y, centres, log_weights, noise))


def rings(radii: tuple[float, ...] = (1.0, 2.0, 3.0), noise: float = 0.15) -> Density:
    """Circles around the origin, blurred by a Gaussian of width `noise`, all of the same weight.

    A circle of radius R blurred is known in closed form, with the Bessel function I₀:
    p(y) = exp(-(r² + R²)/2σ²) I₀(rR/σ²) / 2πσ².
    """
    radius = jnp.asarray(radii)

    def sample(key: Key[Array, ""], n: int) -> Float[Array, "n 2"]:
        ring_key, angle_key, noise_key = jax.random.split(key, 3)
        ring = jax.random.choice(ring_key, radius, (n, 1))
        angle = jax.random.uniform(angle_key, (n,), maxval=2 * math.pi)
        circle = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)
        return ring * circle + noise * jax.random.normal(noise_key, (n, 2))

    def log_density(y: Float[Array, "2"]) -> Float[Array, ""]:
        r = jnp.sqrt(jnp.sum(y**2))
        across = -((r - radius) ** 2) / (2 * noise**2)
        along = jnp.log(jax.scipy.special.i0e(r * radius / noise**2))
        log_each = across + along - math.log(2 * math.pi * noise**2 * len(radii))
        return jax.scipy.special.logsumexp(log_each)

    return Density(sample, log_density)


def checkerboard() -> Density:
    """The dark fields of a board of 4 × 4 fields that fills [-4, 4]²: 1/32 there, nothing elsewhere."""

    def sample(key: Key[Array, ""], n: int) -> Float[Array, "n 2"]:
        field_key, place_key = jax.random.split(key)
        row, half = jnp.divmod(jax.random.randint(field_key, (n,), 0, 8), 2)
        corner = jnp.stack([row, 2 * half + row % 2], axis=1)
        return 2.0 * corner.astype(float) - 4.0 + jax.random.uniform(place_key, (n, 2), maxval=2.0)

    def log_density(y: Float[Array, "2"]) -> Float[Array, ""]:
        dark = jnp.sum(jnp.floor(y / 2)).astype(int) % 2 == 0
        inside = jnp.max(jnp.abs(y)) < 4
        return jnp.where(dark & inside, -math.log(32.0), -jnp.inf)

    return Density(sample, log_density)


def gaussians(count: int = 8, radius: float = 3.0, noise: float = 0.3) -> Density:
    """`count` Gaussians of width `noise`, evenly spaced on a circle, all of the same weight."""
    return _circle_of_gaussians((1.0,) * count, radius, noise)


def unequal_gaussians(count: int = 8, radius: float = 3.0, noise: float = 0.3) -> Density:
    """The same with weights in the proportions 1 : 2 : … : count, counterclockwise from the first axis."""
    return _circle_of_gaussians(tuple(map(float, range(1, count + 1))), radius, noise)


def _circle_of_gaussians(weights: tuple[float, ...], radius: float, noise: float) -> Density:
    angle = 2 * math.pi * np.arange(len(weights)) / len(weights)
    centres = jnp.asarray(radius * np.stack([np.cos(angle), np.sin(angle)], axis=1), jnp.float32)
    log_weights = jnp.asarray(np.log(np.asarray(weights) / sum(weights)), jnp.float32)

    def sample(key: Key[Array, ""], n: int) -> Float[Array, "n 2"]:
        centre_key, noise_key = jax.random.split(key)
        chosen = centres[jax.random.categorical(centre_key, log_weights, shape=(n,))]
        return chosen + noise * jax.random.normal(noise_key, (n, 2))

    return Density(sample, lambda y: _log_mixture(y, centres, log_weights, noise))


def _moon(angle: Float[Array, " n"]) -> Float[Array, "n 2"]:
    """Points of the upper moon; the lower one is -1 times it."""
    return jnp.stack([2 * jnp.cos(angle) - 1, 2 * jnp.sin(angle) - 0.5], axis=1)


def _log_mixture(y, centres, log_weights, width):
    """log Σ w N(y; centre, width² I)."""
    distance = jnp.sum((y[None] - centres) ** 2, axis=1)
    terms = log_weights - distance / (2 * width**2)
    return jax.scipy.special.logsumexp(terms) - math.log(2 * math.pi * width**2)
