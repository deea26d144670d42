"""Penalties that limit what a latent variable can express: a regularizer of its size, or noise added to it.

With dim(z) ≥ dim(y) an unlimited latent explains every y, and the free energy is zero everywhere. A term λR(z) on its
size (squared norm) or on its number of non-zero entries (L1), or noise, prevents this.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, check_not_negative
from ebmjax.types import Energy, Scalar


def regularized(energy: Energy, regularizer: Callable[[Any], Any], weight: Scalar) -> Energy:
    """E(z) + λ R(z), with λ = `weight`, in units of energy.

    Raises ValueError for a static negative weight.

    >>> held = regularized(lambda z: jnp.sum((3 - z) ** 2), squared_norm, 2.0)
    >>> float(held(jnp.array([1.0])))
    6.0
    """
    check_not_negative("weight", weight)
    return lambda z: energy(z) + weight * regularizer(z)


def squared_norm(z: Float[Array, "*latent"]) -> Scalar:
    """R(z) = ‖z‖², which keeps the latent small.

    >>> float(squared_norm(jnp.array([3.0, 4.0])))
    25.0
    """
    return jnp.sum(jnp.square(z))


def l1_norm(z: Float[Array, "*latent"]) -> Scalar:
    """R(z) = Σ|zᵢ|, which keeps the latent sparse.

    >>> float(l1_norm(jnp.array([3.0, -4.0])))
    7.0
    """
    return jnp.sum(jnp.abs(z))


def noisy(energy: Energy, noise: Float[Array, "draws *latent"]) -> Energy:
    """Mean over the rows ε of `noise` of E(z + ε): a latent that is blurred can carry only so much information.

    Raises ValueError without a row.

    >>> blurred = noisy(lambda z: jnp.sum(z**2), jnp.array([[1.0], [-1.0]]))
    >>> float(blurred(jnp.array([2.0])))
    5.0
    """
    if noise.shape[0] == 0:
        raise ArgumentError(f"noise: got shape {noise.shape}, wanted at least one row")
    return lambda z: jax.vmap(lambda shift: energy(z + shift))(noise).mean()
