"""The energies of the points of a space: where every function of an energy and a space begins."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float, check_callable, check_record
from ebmjax.numerics import widened
from ebmjax.types import Energy, Space


def energies_of_points(energy: Energy, space: Space) -> Float[Array, " points"]:
    """The energy of every point of a space: `jax.vmap(energy)(space.points)`, with a check that each is a scalar.

    Integers become floats, and half precision float32. Raises ValueError where the energy is no function or not a
    scalar, or the space is none or empty.

    >>> from ebmjax.marginalize.spaces import spin_cube
    >>> energies_of_points(lambda spins: spins.sum(), spin_cube(1)).tolist()
    [-1.0, 1.0]
    """
    check_callable("energy", energy)
    check_record("space", space, Space)
    size = np.size(space.log_weights)
    if size == 0:
        raise ArgumentError("space: got no points, wanted at least one")
    points = jax.tree.map(widened, space.points)
    values = jax.vmap(energy)(points)
    if getattr(values, "shape", None) != (size,):
        raise ArgumentError(
            f"energy: got {jax.tree.map(jnp.shape, values)} for {size} points, wanted one scalar a point"
        )
    return as_float("energy", values)
