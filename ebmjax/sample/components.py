"""Connected components of a graph, inside a compiled function: the clusters that samplers move as one.

Every unit begins with its own number. In each round, for every open edge, the larger of the two numbers found at its
ends is made to point to the smaller one; then every unit follows the pointers, twice. All units of a component end with
the least number in it. The rounds needed grow about as the logarithm of the size of the largest component, not as its
diameter: seven on a square lattice of 128 by 128 at its percolation threshold.

Shiloach and Vishkin (1982), "An O(log n) parallel connectivity algorithm".
"""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from ebmjax.checks import ArgumentError
from ebmjax.graphs import as_edges
from ebmjax.loops import iterate_until


def components(edges: Any, is_open: Bool[Array, " edges"], units: int) -> Int[Array, " units"]:
    """The component of every unit: the least number of a unit that open edges lead to.

    Args:
        edges: a `Graph`, or pairs of numbers of units.
        is_open: whether each edge joins its two units; may be traced.
        units: how many units there are, at least 1.

    Returns:
        numbers of units; two units have the same one if and only if open edges connect them.

    Raises:
        ValueError: edges that are none, or another number of truth values than edges.

    Shiloach and Vishkin (1982).

    >>> components([(0, 1), (1, 2), (3, 4)], jnp.array([False, True, True]), 5).tolist()
    [0, 1, 1, 3, 3]
    """
    pairs = jnp.asarray(as_edges(edges, units))
    is_open = jnp.asarray(is_open)
    if is_open.shape != (len(pairs),) or is_open.dtype != bool:
        got = f"a {is_open.dtype} array of shape {is_open.shape}"
        raise ArgumentError(f"is_open: got {got}, wanted {len(pairs)} truth values, one for each edge")
    numbers = jnp.arange(units, dtype=jnp.int32)
    one, other = pairs[:, 0], pairs[:, 1]

    def join(state):
        labels, _ = state
        ends = labels[one], labels[other]
        # what is closed points to no unit, and is dropped
        larger = jnp.where(is_open, jnp.maximum(*ends), units)
        joined = labels.at[larger].min(jnp.minimum(*ends), mode="drop")
        joined = joined[joined]
        joined = joined[joined]
        return joined, (joined != labels).any()

    # every round but the last joins at least two labels
    (labels, _), _, _ = iterate_until(join, (numbers, jnp.array(True)), lambda state: ~state[1], units + 1)
    return labels
