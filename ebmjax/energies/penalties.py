"""Penalties that limit what a latent variable can express: a regularizer of its size, or noise added to it.

With dim(z) ≥ dim(y) an unlimited latent can explain every y, and the free energy is zero everywhere. This is prevented
by a term λR(z) that makes z small (squared norm) or sparse (L1 norm), or by noise.
"""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ebmjax.checks import ArgumentError, check_not_negative
from ebmjax.types import Energy, Scalar


@runtime_checkable
class Penalty(Protocol):
    """R, a scalar function of a latent variable."""

    def __call__(self, z: PyTree, /) -> Scalar:
        """R(z), a scalar."""
        ...


def regularized(energy: Energy, regularizer: Penalty, weight: Scalar) -> Energy:
    """E(z) + λ R(z), with λ = `weight`, in units of energy.

    Raises ValueError for a static negative weight.

    >>> limited = regularized(lambda z: jnp.sum((3 - z) ** 2), squared_norm, 2.0)
    >>> float(limited(jnp.array([1.0])))
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
    """The mean of E(z + ε) over the rows ε of `noise`, which limits the information that z can carry.

    Raises ValueError for noise without a row.

    >>> blurred = noisy(lambda z: jnp.sum(z**2), jnp.array([[1.0], [-1.0]]))
    >>> float(blurred(jnp.array([2.0])))
    5.0
    """
    if noise.shape[0] == 0:
        raise ArgumentError(f"noise: got shape {noise.shape}, wanted at least one row")
    return lambda z: jax.vmap(lambda shift: energy(z + shift))(noise).mean()
