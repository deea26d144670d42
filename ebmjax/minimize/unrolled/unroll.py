"""A network made of the first K steps of an iteration: one scan over the layers, whose weights are learned.

Each array of the weights is shared by all layers or has one slice for each layer. The number of its axes decides: an
array with one axis more than one layer needs has the layers as its leading axis.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from ebmjax.checks import ArgumentError, as_float, as_floats, check_callable, check_count, check_shape
from ebmjax.compiled import compiled
from ebmjax.records import record


@record
class Codes(NamedTuple):
    """The codes of one observation that a network of K layers computes."""

    last: Float[Array, " atoms"]
    """The code after the last layer."""
    every: Float[Array, "layers atoms"]
    """The code after every layer."""


@runtime_checkable
class Layer(Protocol):
    """One layer of a network."""

    def __call__(self, weights: Any, index: Any, state: Any, /) -> tuple[Any, Any]:
        """Apply the layer.

        Args:
            weights: the weights of this layer, a NamedTuple of arrays.
            index: the number of the layer, 0 … K-1, traced.
            state: of the layer before, any pytree of arrays.

        Returns:
            `(state, output)`.
        """
        ...


def unroll(
    layer: Layer,
    weights: Any,
    ranks: Sequence[int],
    start: PyTree[Array],
    layers: int | None = None,
) -> tuple[Any, Any]:
    """Apply `layer(weights, index, state) -> (state, output)` K times. Gradients go through all layers.

    Args:
        layer: one layer.
        weights: a NamedTuple of arrays. An array with one axis more than its rank has the leading axis K, and each
            layer gets its slice; every layer gets the whole of the others.
        ranks: the number of axes that each array has in one layer.
        start: the state before the first layer.
        layers: K, static, at least 1; None where an array of the weights has the leading axis K.

    Returns:
        `(state, outputs)`: the last state, and the outputs stacked along a leading axis K.

    Raises:
        ValueError: weights of another rank, leading axes that differ from each other or from `layers`, K below 1, no K
            at all.

    >>> from ebmjax.minimize.unrolled.alista import Alista
    >>> layer = lambda weights, index, z: (weights.step_size * z + weights.threshold,) * 2
    >>> unroll(layer, Alista(jnp.array(2.0), jnp.arange(3.0)), (0, 0), jnp.array(1.0))[1].tolist()
    [2.0, 5.0, 12.0]
    """
    check_callable("layer", layer)
    weights = as_weights(weights)
    count = _count(weights, ranks, layers)
    return _unroll(layer, weights, tuple(ranks), as_floats("start", start), count)


@compiled
def _unroll(layer, weights, ranks, start, count):
    own = {
        name: array
        for name, array, rank in zip(weights._fields, weights, ranks, strict=True)
        if jnp.ndim(array) == rank + 1
    }

    def step(state, index_and_own):
        index, own = index_and_own
        return layer(weights._replace(**own), index, state)

    return jax.lax.scan(step, start, (jnp.arange(count), own))


def as_weights(weights: Any) -> Any:
    """Weights of floats, whatever numbers they were made of.

    Raises ValueError for anything but a NamedTuple of numbers.

    >>> class Weights(NamedTuple):
    ...     step: Any
    >>> as_weights(Weights(2)).step.dtype
    dtype('float32')
    """
    if not hasattr(weights, "_fields"):
        raise ArgumentError(f"weights: got a {type(weights).__name__}, wanted a NamedTuple of arrays")
    return type(weights)(*(as_float(name, array) for name, array in zip(weights._fields, weights, strict=True)))


def per_layer(weights: PyTree[Array], layers: int) -> PyTree[Array]:
    """One copy of shared weights for each layer, along a leading axis: initial weights that the layers do not share.

    Raises ValueError for layers below 1.

    >>> per_layer(jnp.ones(2), 3).shape
    (3, 2)
    """
    check_count("layers", layers)
    weights = as_float("weights", weights) if isinstance(weights, list) else as_floats("weights", weights)
    return jax.tree.map(lambda array: jnp.repeat(array[None], layers, axis=0), weights)


def check_support(
    support: Int[Array, " layers"] | None, weights: Any, ranks: Sequence[int], layers: int | None
) -> None:
    """Raise ValueError where a support does not have one count for each layer.

    Args:
        support: how many entries each layer does not shrink, or None, which passes.
        weights, ranks, layers: as in `unroll`, with the same errors.

    >>> class Weights(NamedTuple):
    ...     step: Any
    >>> check_support(jnp.arange(2), Weights(jnp.ones(3)), (0,), None)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: support: got shape (2,), wanted (3,)
    """
    if support is not None:
        check_shape("support", support, (_count(weights, ranks, layers),))


def _count(weights, ranks, layers):
    """K, from the leading axes of the weights or from `layers`."""
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
