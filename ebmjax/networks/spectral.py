"""Spectral normalization: a bound on how fast a network can change with its input.

Miyato et al. (2018), "Spectral normalization for generative adversarial networks".
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ebmjax.checks import ArgumentError, is_static
from ebmjax.types import Scalar


def spectrally_normalized(module: PyTree[Array], bound: Scalar = 1.0) -> PyTree[Array]:
    """Every kernel W scaled down to W · bound/σ where its largest singular value σ exceeds `bound`.

    A network of L dense layers and an activation of slopes at most s then changes by at most bound^L s^(L-1) ‖Δy‖; its
    law at temperature 1/beta cannot have arbitrarily narrow wells. A kernel of a convolution counts as the matrix from
    all that it sees to its output channels, as in the source.

    σ = uᵀWv with u and v from power iterations, which are constants to derivatives; the iterations square the smaller
    Gram matrix ten times, which is 1,024 of them, from the axis that is nearest to its greatest direction.

    Args:
        module: a network, or any pytree of arrays; leaves of two axes or more, the last of them outputs, are kernels.
        bound: above 0.

    Returns:
        the same pytree, so that `energy(spectrally_normalized(params), y)` is an energy of the same params.

    Raises:
        ValueError: a static bound that is not above 0.

    Miyato et al. (2018), "Spectral normalization for generative adversarial networks", algorithm 1.

    >>> spectrally_normalized({"kernel": jnp.diag(jnp.array([4.0, 2.0])), "bias": jnp.array([3.0])})["kernel"].tolist()
    [[1.0, 0.0], [0.0, 0.5]]
    """
    if is_static(bound) and not float(bound) > 0:
        raise ArgumentError(f"bound: got {float(bound)}, wanted a number above 0")

    def normalized(leaf: Float[Array, "..."]) -> Float[Array, "..."]:
        if leaf.ndim < 2:
            return leaf
        limit = jnp.asarray(bound).astype(leaf.dtype)
        largest = _largest_singular_value(leaf.reshape(-1, leaf.shape[-1]))
        return leaf * jnp.where(largest > limit, limit / jnp.where(largest > limit, largest, 1), 1)

    return jax.tree.map(normalized, module)


def _largest_singular_value(matrix: Float[Array, "rows columns"]) -> Float[Array, ""]:
    """uᵀWv, whose slope in W is u vᵀ."""
    held = jax.lax.stop_gradient(matrix)
    tall = held if held.shape[0] >= held.shape[1] else held.T
    exact = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    scaled = lambda gram: gram / jnp.maximum(jnp.trace(gram), jnp.finfo(gram.dtype).tiny)
    gram = scaled(exact(tall.T, tall))
    for _ in range(10):
        gram = scaled(exact(gram, gram))
    # the column of the largest diagonal entry is never orthogonal to the direction that is sought
    right = _unit_vector(gram[:, jnp.argmax(jnp.diagonal(gram))])
    left = _unit_vector(exact(tall, right))
    if tall is not held:
        left, right = right, left
    return exact(left, exact(matrix, right))


def _unit_vector(vector: Float[Array, " n"]) -> Float[Array, " n"]:
    return vector / jnp.maximum(jnp.sqrt(jnp.sum(vector**2)), jnp.finfo(vector.dtype).tiny)
