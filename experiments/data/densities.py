"""Densities of the plane that are known exactly: for drawing samples, and for judging learned densities.

All lie within [-4, 4]². Each is normalized, so that its log density can be part of a KL divergence.
"""

import enum
import math
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key


class Sample(Protocol):
    """Draws samples of a density."""

    def __call__(self, key: Key[Array, ""], n: int, /) -> Float[Array, "n 2"]:
        """Return `n` independent samples."""
        ...


class LogDensity(Protocol):
    """The logarithm of a density."""

    def __call__(self, y: Float[Array, "2"], /) -> Float[Array, ""]:
        """Return log p(y) in nats, for one y."""
        ...


class Density(NamedTuple):
    """A normalized density of the plane."""

    sample: Sample
    log_density: LogDensity


class Densities(enum.Enum):
    """The densities, by their names on the command line."""

    TWO_MOONS = "two_moons"
    RINGS = "rings"
    CHECKERBOARD = "checkerboard"
    GAUSSIANS = "gaussians"
    UNEQUAL_GAUSSIANS = "unequal_gaussians"


def density(which: Densities) -> Density:
    """The density of this name, with its default sizes."""
    return {
        Densities.TWO_MOONS: two_moons,
        Densities.RINGS: rings,
        Densities.CHECKERBOARD: checkerboard,
        Densities.GAUSSIANS: gaussians,
        Densities.UNEQUAL_GAUSSIANS: unequal_gaussians,
    }[which]()


def two_moons(noise: float = 0.2) -> Density:
    """Two half circles of radius 2 that face each other, plus Gaussian noise of standard deviation `noise`.

    These are the usual two moons, twice as large and centred: with t uniform in [0, π], one moon is
    (2 cos t - 1, 2 sin t - ½), and the other is the same rotated by π. Gauss-Legendre quadrature integrates over t.
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
    """Circles around the origin plus Gaussian noise of standard deviation `noise`, all of the same weight.

    The density of a circle of radius R plus noise has a closed form, with the Bessel function I₀:
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
    """Uniform on the dark fields of a board of 4 × 4 fields in [-4, 4]²: the density is 1/32 there and 0 elsewhere."""

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
    """`count` Gaussians of standard deviation `noise`, evenly spaced on a circle, all of the same weight."""
    return _circle_of_gaussians((1.0,) * count, radius, noise)


def unequal_gaussians(count: int = 8, radius: float = 3.0, noise: float = 0.3) -> Density:
    """As `gaussians`, with weights in the proportions 1 : 2 : … : count, counterclockwise from the first axis."""
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
    """Points of the upper moon; the lower moon is -1 times these."""
    return jnp.stack([2 * jnp.cos(angle) - 1, 2 * jnp.sin(angle) - 0.5], axis=1)


def _log_mixture(y, centres, log_weights, width):
    """log Σ w N(y; centre, width² I), for one y."""
    distance = jnp.sum((y[None] - centres) ** 2, axis=1)
    terms = log_weights - distance / (2 * width**2)
    return jax.scipy.special.logsumexp(terms) - math.log(2 * math.pi * width**2)
