"""Clamping: the energy of some units while the others are fixed at known values, E(free | known)."""

from typing import Annotated

import numpy as np
from jaxtyping import Array, Bool

from ebmjax.checks import ArgumentError, as_example, as_float, check_callable
from ebmjax.types import Energy, Numbers, Scalar


def clamp(energy: Energy, known: Bool[Array | np.ndarray, "*shape"], values: Annotated[Numbers, "*shape"]) -> Energy:
    """The energy of the free units, with the other units clamped at known values: E(free | known).

    Its law exp(-beta E)/Z is the conditional law of the free units.

    Args:
        energy: an energy of one array.
        known: True for an entry that is clamped, static.
        values: values of all entries; those of the free entries are not used.

    Returns:
        `energy(free)`, where `free` has shape (number of free entries,), in the order of the array.

    Raises:
        ValueError: an energy that is no function, values that are not numbers, `known` and `values` of different
            shapes, or every unit clamped; when the returned energy is called, another number of free units.

    >>> import jax.numpy as jnp
    >>> energy = lambda s: s[0] + 10 * s[1] + 100 * s[2]
    >>> clamped = clamp(energy, np.array([True, False, True]), jnp.array([1.0, 0.0, 3.0]))
    >>> float(clamped(jnp.array([2.0])))
    321.0
    """
    check_callable("energy", energy)
    known, values = np.asarray(known, bool), as_float("values", values)
    if known.shape != values.shape:
        raise ArgumentError(f"known: got shape {known.shape}, wanted that of values, {values.shape}")
    free = np.nonzero(~known)
    if len(free[0]) == 0:
        raise ArgumentError("known: got every unit clamped, wanted at least one that is free")

    def conditional(unknown: Annotated[Numbers, "free"]) -> Scalar:
        unknown = as_example("free", unknown, values, (len(free[0]),))
        return energy(values.at[free].set(unknown))

    return conditional
