"""Energies made of energies: what they need is a function of the latent alone.

A latent that is free to move explains everything: with dim(z) ≥ dim(y) the free energy is zero everywhere. Three
things hold it down: a regularizer λR(z) on its size (squared norm) or on its number (L1), and noise, which limits what
it can say. `clamp` conditions on part of the unknown.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

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


def clamp(energy: Energy, known: Bool[Array | np.ndarray, "*shape"], values: Float[Array, "*shape"]) -> Energy:
    """The energy of the free units alone, the others held at what is known: E(free | known).

    Args:
        energy: a function of one array.
        known: which of its entries are held, static: the free ones are as many as are False, in their order.
        values: the entries; those that are free do not matter.

    Returns:
        `energy(free)`, for free of shape (number free,). exp(-beta E)/Z of it is the conditional law.

    Raises:
        ValueError: shapes that differ, or nothing free.

    >>> energy = lambda s: s[0] + 10 * s[1] + 100 * s[2]
    >>> held = clamp(energy, np.array([True, False, True]), jnp.array([1.0, 0.0, 3.0]))
    >>> float(held(jnp.array([2.0])))
    321.0
    """
    known = np.asarray(known)
    if known.shape != jnp.shape(values):
        raise ValueError(f"known: got shape {known.shape}, wanted that of values, {jnp.shape(values)}")
    free = np.nonzero(~known)
    if len(free[0]) == 0:
        raise ValueError("known: got every unit held, wanted at least one that is free")
    return lambda unknown: energy(jnp.asarray(values).at[free].set(unknown))
