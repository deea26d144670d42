"""Energies made of energies: what they need is a function of the latent alone.

A latent that is free to move explains everything: with dim(z) ≥ dim(y) the free energy is zero everywhere. Three
things hold it down: a regularizer λR(z) on its size (squared norm) or on its number (L1), and noise, which limits what
it can say.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.types import Energy, Scalar, check_not_negative


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
        raise ValueError(f"noise: got shape {noise.shape}, wanted at least one row")
    return lambda z: jax.vmap(lambda shift: energy(z + shift))(noise).mean()
