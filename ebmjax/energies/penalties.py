"""Penalties that limit what a latent variable can express: a regularizer of its size, or noise added to it.

With dim(z) ≥ dim(y) an unlimited latent can explain every y, and the free energy is zero everywhere. This is prevented
by a term λR(z) that makes z small (squared norm) or sparse (L1 norm), or by noise.
"""

from typing import Annotated, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from ebmjax.checks import ArgumentError, as_float, as_number, as_scalar, check_callable, check_not_negative
from ebmjax.types import Energy, Numbers, Scalar


@runtime_checkable
class Penalty(Protocol):
    """R, a scalar function of a latent variable."""

    def __call__(self, z: PyTree, /) -> Scalar:
        """R(z), a scalar."""
        ...


def regularized(energy: Energy, regularizer: Penalty, weight: Scalar) -> Energy:
    """E(z) + λ R(z), with λ = `weight`, in units of energy.

    Raises ValueError for what is no function, and for a static negative weight.

    >>> limited = regularized(lambda z: jnp.sum((3 - z) ** 2), squared_norm, 2.0)
    >>> float(limited(jnp.array([1.0])))
    6.0
    """
    check_not_negative("weight", weight)
    check_callable("energy", energy)
    check_callable("regularizer", regularizer)
    weight = as_number("weight", weight)

    def limited(z: PyTree) -> Scalar:
        size = as_scalar("regularizer", regularizer(z))
        return as_scalar("energy", energy(z)) + weight.astype(size.dtype) * size

    return limited


def squared_norm(z: Annotated[Numbers, "*latent"]) -> Scalar:
    """R(z) = ‖z‖², which keeps the latent small.

    >>> float(squared_norm(jnp.array([3.0, 4.0])))
    25.0
    """
    return jnp.sum(jnp.square(as_float("z", z)))


def l1_norm(z: Annotated[Numbers, "*latent"]) -> Scalar:
    """R(z) = Σ|zᵢ|, which keeps the latent sparse.

    >>> float(l1_norm(jnp.array([3.0, -4.0])))
    7.0
    """
    return jnp.sum(jnp.abs(as_float("z", z)))


def noisy(energy: Energy, noise: Annotated[Numbers, "draws *latent"]) -> Energy:
    """The mean of E(z + ε) over the rows ε of `noise`, which limits the information that z can carry.

    Raises ValueError for noise without a row.

    >>> blurred = noisy(lambda z: jnp.sum(z**2), jnp.array([[1.0], [-1.0]]))
    >>> float(blurred(jnp.array([2.0])))
    5.0
    """
    check_callable("energy", energy)
    noise = as_float("noise", noise)
    if noise.shape[:1] in ((), (0,)):
        raise ArgumentError(f"noise: got shape {noise.shape}, wanted at least one row")
    return lambda z: jax.vmap(lambda shift: as_scalar("energy", energy(as_float("z", z) + shift)))(noise).mean()
