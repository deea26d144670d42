"""Support selection: the largest entries of a code are not shrunk, since entries that large are signal, not error."""

from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ebmjax.checks import ArgumentError, as_float, check_arrays, check_count, check_share, is_static
from ebmjax.compiled import compiled
from ebmjax.energies.regularizers import shrink
from ebmjax.types import Numbers, Scalar


def nth_largest(values: Annotated[Numbers, "n"], count: Annotated[Numbers, ""] | int) -> Float[Array, ""]:
    """The `count`-th largest of n numbers that are not negative; inf for a count of 0 or less, 0 for a count above n.

    It is found bit by bit, from the highest: floats that are not negative have the order of their bits, read as
    integers. Without a sort it is fast under `jax.vmap` on CPU. `count` may be traced. The result has no gradient.

    Raises ValueError for an argument of another kind.

    >>> values = jnp.array([0.5, 3.0, 1.0])
    >>> [float(nth_largest(values, count)) for count in (0, 1, 2, 3, 4)]
    [inf, 3.0, 1.0, 0.5, 0.0]
    """
    return _nth_largest(as_float("values", values, (None,)), _whole(count))


def _whole(count):
    number = as_float("count", count, ())
    if is_static(count) and jnp.issubdtype(jnp.result_type(count), jnp.floating):
        raise ArgumentError(f"count: got {count}, wanted a whole number")
    return number.astype(jnp.int32)


@compiled
def _nth_largest(values, count):
    values = jax.lax.stop_gradient(values)
    width = values.dtype.itemsize * 8
    integer = jnp.int32 if width == 32 else jnp.int64
    bits = jax.lax.bitcast_convert_type(values, integer)
    # counts are summed as floats, in which they are exact and need no conversion
    wanted = count.astype(values.dtype)

    def step(place, known):
        trial = known | (jnp.ones((), integer) << (width - 2 - place).astype(integer))
        found = jnp.sum((bits >= trial).astype(values.dtype))
        return jnp.where(found >= wanted, trial, known)

    known = jax.lax.fori_loop(0, width - 1, step, jnp.zeros((), integer))
    return jnp.where(wanted > 0, jax.lax.bitcast_convert_type(known, values.dtype), jnp.inf)


def shrink_but_largest(
    z: Annotated[Numbers, "atoms"], threshold: Scalar | Float[Array, "*latent"], count: Annotated[Numbers, ""] | int
) -> Float[Array, " atoms"]:
    """Soft threshold of all entries, but the `count` largest are unchanged, as far as they exceed the threshold.

    Entries of the same magnitude as the smallest of them are unchanged too.

    Args:
        z: the code.
        threshold: not negative, one number or one for each entry.
        count: how many entries are not shrunk, which may be traced.

    Chen, Liu, Wang, Yin (2018), "Theoretical linear convergence of unfolded ISTA".

    Raises ValueError for an argument of another kind.

    >>> shrink_but_largest(jnp.array([3.0, -2.0, 1.5, 0.5]), 1.0, 2).tolist()
    [3.0, -2.0, 0.5, 0.0]
    """
    z, threshold = as_float("z", z), as_float("threshold", threshold)
    threshold = threshold.astype(z.dtype)
    magnitude = jax.lax.stop_gradient(jnp.abs(z))
    passes = (magnitude >= nth_largest(magnitude, count)) & (magnitude > threshold)
    return z - jnp.where(passes, 0, jnp.clip(z, -threshold, threshold))


def shrink_in_layer(
    z: Annotated[Numbers, "atoms"],
    threshold: Scalar | Float[Array, "*latent"],
    support: Int[Array, " layers"] | None,
    index: Int[Array, ""] | int,
) -> Float[Array, " atoms"]:
    """The soft threshold of one layer: `shrink_but_largest` with the count of the layer, or `shrink` without a support.

    Args:
        z: the code.
        threshold: as in `shrink_but_largest`.
        support: the count of every layer, or None.
        index: which layer, from 0.

    Raises ValueError for an argument of another kind.

    >>> shrink_in_layer(jnp.array([3.0, -2.0]), 1.0, jnp.array([0, 1]), 1).tolist()
    [3.0, -1.0]
    """
    check_arrays("threshold", threshold)
    return shrink(z, threshold) if support is None else shrink_but_largest(z, threshold, support[index])


def growing_support(atoms: int, layers: int, rate: float, limit: float) -> Int[Array, " layers"]:
    """How many entries each layer does not shrink: the share min(rate · k, limit) of all atoms at layer k = 1 … K.

    The numbers are rounded down.

    Args:
        atoms: length of the code, at least 1.
        layers: K, at least 1.
        rate: the share of the atoms by which the number grows in every layer, in [0, 1].
        limit: the largest share, in [0, 1].

    Raises:
        ValueError: a share outside [0, 1], atoms or layers below 1.

    >>> growing_support(100, 4, 0.02, 0.05).tolist()
    [2, 4, 5, 5]
    """
    check_share("rate", rate)
    check_share("limit", limit)
    check_count("atoms", atoms)
    check_count("layers", layers)
    # a share such as 0.29 of 100 is 28.999… in floating point
    return jnp.array([int(atoms * min(rate * (k + 1), limit) + 1e-9) for k in range(layers)])
