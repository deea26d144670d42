"""Iterations cut off after K steps and learned: one scan over layers, whose weights are shared or the layer's own.

Which it is, the weights say themselves: an array with one axis more than a layer needs holds a slice for each layer.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ebmjax.checks import ArgumentError, check_count, check_shape


class Codes(NamedTuple):
    """What a network of K layers infers: the last code, and the code after every layer."""

    last: Float[Array, " atoms"]
    every: Float[Array, "layers atoms"]


def unroll(
    layer: Callable[[Any, Int[Array, ""], Any], tuple[Any, Any]],
    weights: Any,
    ranks: Sequence[int],
    start: Any,
    layers: int | None = None,
) -> tuple[Any, Any]:
    """Apply `layer(weights, index, state) -> (state, output)` K times, with gradients through all of it.

    Args:
        layer: one layer, of its own weights and its number 0 … K-1.
        weights: a NamedTuple of arrays; one with an axis more than its rank has a leading axis K and is scanned over.
        ranks: the number of axes that each of them has in one layer.
        start: the state before the first layer.
        layers: K, static; may be left out where the weights tell.

    Returns:
        `(state, outputs)`: the last state, and the outputs stacked along a leading axis K.

    Raises:
        ValueError: weights of another rank, leading axes that differ from each other or from `layers`, no or too few
            layers.

    >>> class Weights(NamedTuple):
    ...     slope: Any
    ...     shift: Any
    >>> layer = lambda weights, index, z: (weights.slope * z + weights.shift,) * 2
    >>> unroll(layer, Weights(jnp.array(2.0), jnp.arange(3.0)), (0, 0), jnp.array(1.0))[1].tolist()
    [2.0, 5.0, 12.0]
    """
    count = _count(weights, ranks, layers)
    own = {
        name: array
        for name, array, rank in zip(weights._fields, weights, ranks, strict=True)
        if jnp.ndim(array) == rank + 1
    }

    def step(state, index_and_own):
        index, own = index_and_own
        return layer(weights._replace(**own), index, state)

    return jax.lax.scan(step, start, (jnp.arange(count), own))


def per_layer(weights: Any, layers: int) -> Any:
    """Copies of shared weights, one a layer: where weights of their own start from.

    Raises ValueError for layers below 1.

    >>> per_layer(jnp.ones(2), 3).shape
    (3, 2)
    """
    check_count("layers", layers)
    return jax.tree.map(lambda array: jnp.repeat(jnp.asarray(array)[None], layers, axis=0), weights)


def check_support(
    support: Int[Array, " layers"] | None, weights: Any, ranks: Sequence[int], layers: int | None
) -> None:
    """Raise ValueError where there is not one number of selected entries for every layer.

    >>> class Weights(NamedTuple):
    ...     step: Any
    >>> check_support(jnp.arange(2), Weights(jnp.ones(3)), (0,), None)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: support: got shape (2,), wanted (3,)
    """
    if support is not None:
        check_shape("support", support, (_count(weights, ranks, layers),))


def _count(weights, ranks, layers):
    """K, from the weights or as asked for."""
    count = layers
    for name, array, rank in zip(weights._fields, weights, ranks, strict=True):
        if jnp.ndim(array) not in (rank, rank + 1):
            raise ArgumentError(
                f"{name}: got {jnp.ndim(array)} axes, wanted {rank}, or {rank + 1} with one value a layer"
            )
        if jnp.ndim(array) == rank + 1:
            count = array.shape[0] if count is None else count
            if array.shape[0] != count:
                raise ArgumentError(f"{name}: got {array.shape[0]} layers, wanted {count}")
    if count is None:
        raise ArgumentError("layers: got None, wanted a number, for all weights are shared")
    check_count("layers", count)
    return count
