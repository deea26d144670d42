"""Clamping: the energy of some units while the others are fixed at known values, E(free | known)."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ebmjax.checks import ArgumentError, check_shape
from ebmjax.types import Energy


def clamp(energy: Energy, known: Bool[Array | np.ndarray, "*shape"], values: Float[Array, "*shape"]) -> Energy:
    """The energy of the free units alone, the others held at what is known: E(free | known).

    Args:
        energy: a function of one array.
        known: which of its entries are held, static: the free ones are as many as are False, in their order.
        values: the entries; those that are free do not matter.

    Returns:
        `energy(free)`, for free of shape (number free,). exp(-beta E)/Z of it is the conditional law.

    Raises:
        ValueError: shapes that differ, or nothing free; at a call, another number of free units.

    >>> energy = lambda s: s[0] + 10 * s[1] + 100 * s[2]
    >>> held = clamp(energy, np.array([True, False, True]), jnp.array([1.0, 0.0, 3.0]))
    >>> float(held(jnp.array([2.0])))
    321.0
    """
    known = np.asarray(known)
    if known.shape != jnp.shape(values):
        raise ArgumentError(f"known: got shape {known.shape}, wanted that of values, {jnp.shape(values)}")
    free = np.nonzero(~known)
    if len(free[0]) == 0:
        raise ArgumentError("known: got every unit held, wanted at least one that is free")

    def conditional(unknown: Any) -> Any:
        check_shape("free", unknown, (len(free[0]),))
        return energy(jnp.asarray(values).at[free].set(unknown))

    return conditional
