"""Support selection: the largest entries of a code pass a threshold whole, since what is that large is no error."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ebmjax.checks import ArgumentError, check_count
from ebmjax.energies.regularizers import shrink
from ebmjax.types import Scalar


def nth_largest(values: Float[Array, " n"], count: Int[Array, ""] | int) -> Float[Array, ""]:
    """The `count`-th largest of numbers that are not negative; inf for a count of 0 or less, 0 for one above n.

    Found bit by bit: the bits of such floats are ordered as they are. No sort, so that it is quick under `jax.vmap` on
    CPU, and `count` may be traced. It carries no gradient.

    >>> values = jnp.array([0.5, 3.0, 1.0])
    >>> [float(nth_largest(values, count)) for count in (0, 1, 2, 3, 4)]
    [inf, 3.0, 1.0, 0.5, 0.0]
    """
    values = jax.lax.stop_gradient(values)
    width = values.dtype.itemsize * 8
    integer = jnp.int32 if width == 32 else jnp.int64
    bits = jax.lax.bitcast_convert_type(values, integer)
    # a sum in floats is exact and has no conversion in its way
    wanted = jnp.asarray(count).astype(values.dtype)

    def step(place, known):
        trial = known | (jnp.ones((), integer) << (width - 2 - place).astype(integer))
        found = jnp.sum((bits >= trial).astype(values.dtype))
        return jnp.where(found >= wanted, trial, known)

    known = jax.lax.fori_loop(0, width - 1, step, jnp.zeros((), integer))
    return jnp.where(wanted > 0, jax.lax.bitcast_convert_type(known, values.dtype), jnp.inf)


def shrink_but_largest(
    z: Float[Array, " atoms"], threshold: Scalar | Float[Array, "*latent"], count: Int[Array, ""] | int
) -> Float[Array, " atoms"]:
    """Soft threshold of all entries but the `count` largest above the threshold, which stay as they are.

    Entries of the same magnitude as the last of these stay too.

    Chen, Liu, Wang, Yin (2018), "Theoretical linear convergence of unfolded ISTA".

    >>> shrink_but_largest(jnp.array([3.0, -2.0, 1.5, 0.5]), 1.0, 2).tolist()
    [3.0, -2.0, 0.5, 0.0]
    """
    magnitude = jax.lax.stop_gradient(jnp.abs(z))
    passes = (magnitude >= nth_largest(magnitude, count)) & (magnitude > threshold)
    return z - jnp.where(passes, 0, jnp.clip(z, -threshold, threshold))


def thresholded(
    z: Float[Array, " atoms"],
    threshold: Scalar | Float[Array, "*latent"],
    support: Int[Array, " layers"] | None,
    index: Int[Array, ""] | int,
) -> Float[Array, " atoms"]:
    """The threshold of layer `index`: `shrink_but_largest` with that layer's count, or `shrink` without a support.

    >>> thresholded(jnp.array([3.0, -2.0]), 1.0, jnp.array([0, 1]), 1).tolist()
    [3.0, -1.0]
    """
    return shrink(z, threshold) if support is None else shrink_but_largest(z, threshold, support[index])


def growing_support(atoms: int, layers: int, rate: float, limit: float) -> Int[Array, " layers"]:
    """How many entries each layer selects: min(rate · k, limit) of all atoms at layer k = 1 … K, rounded down.

    Args:
        atoms: length of the code.
        layers: K.
        rate: the part of all entries that is added in every layer, in [0, 1].
        limit: the largest part, in [0, 1].

    Raises:
        ValueError: a part outside [0, 1], atoms or layers below 1.

    >>> growing_support(100, 4, 0.02, 0.05).tolist()
    [2, 4, 5, 5]
    """
    for name, part in (("rate", rate), ("limit", limit)):
        if not 0 <= part <= 1:
            raise ArgumentError(f"{name}: got {part}, wanted a number in [0, 1]")
    for name, size in (("atoms", atoms), ("layers", layers)):
        check_count(name, size)
    # a part such as 0.29 of 100 is 28.999…
    return jnp.array([int(atoms * min(rate * (k + 1), limit) + 1e-9) for k in range(layers)])
