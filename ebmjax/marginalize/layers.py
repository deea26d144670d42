"""States that are tuples of layers, such as those of a Boltzmann machine: exchanging some of the layers."""

from collections.abc import Sequence

from jaxtyping import Array, Float

Layers = tuple[Float[Array, "..."], ...]


def with_layers(layers: Sequence[Array], members: Sequence[int], values: Sequence[Array]) -> tuple[Array, ...]:
    """The layers, with new values for those that `members` names; the others are unchanged.

    Args:
        layers: one array a layer.
        members: static, which layers are exchanged.
        values: their new values, as many as there are members.

    Raises:
        ValueError: another number of values than of members.

    >>> import jax.numpy as jnp
    >>> [layer.tolist() for layer in with_layers((jnp.zeros(1), jnp.zeros(2)), (1,), [jnp.ones(2)])]
    [[0.0], [1.0, 1.0]]
    """
    changed = list(layers)
    for layer, value in zip(members, values, strict=True):
        changed[layer] = value
    return tuple(changed)
