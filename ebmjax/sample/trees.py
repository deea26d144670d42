"""Arithmetic on pytrees of arrays, in their own dtypes, for the samplers of continuous unknowns.

normal_like      noise of the shapes of a position
add_scaled       x + a y
scaled           a y
inner_product    xᵀy
"""

import math

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key, PyTree

from ebmjax.types import Scalar


def normal_like(key: Key[Array, ""], position: PyTree[Array]) -> PyTree[Array]:
    """Standard normal numbers of the shapes and dtypes of a position.

    >>> normal_like(jax.random.key(0), {"a": jnp.zeros(2)})["a"].shape
    (2,)
    """
    leaves, structure = jax.tree.flatten(position)
    keys = jax.random.split(key, len(leaves))
    noise = [jax.random.normal(key, leaf.shape, leaf.dtype) for key, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, noise)


def add_scaled(position: PyTree[Array], direction: PyTree[Array], *factors: Scalar) -> PyTree[Array]:
    """position + a · direction, where a is the product of the factors, in the dtypes of the direction.

    Both trees have the same structure, shapes and dtypes; the factors are scalars.

    >>> add_scaled(jnp.array(1.0), jnp.array(2.0), 3, 0.5).item()
    4.0
    """
    return jax.tree.map(lambda x, y: x + y, position, scaled(direction, *factors))


def scaled(direction: PyTree[Array], *factors: Scalar) -> PyTree[Array]:
    """a · direction, where a is the product of the factors, in the dtypes of the direction.

    >>> scaled(jnp.array(2.0), 3, 0.5).item()
    3.0
    """
    return jax.tree.map(
        lambda leaf: leaf * math.prod(jnp.asarray(factor).astype(leaf.dtype) for factor in factors), direction
    )


def inner_product(first: PyTree[Array], second: PyTree[Array], dtype: DTypeLike) -> Float[Array, ""]:
    """The inner product Σ x y of two trees of the same structure and shapes, as a scalar of this dtype.

    >>> inner_product((jnp.ones(2), jnp.array(3.0)), (jnp.ones(2), jnp.array(2.0)), float).item()
    8.0
    """
    products = jax.tree.map(lambda x, y: jnp.sum(x * y).astype(dtype), first, second)
    return jax.tree.reduce(jnp.add, products, jnp.zeros((), dtype))
