"""Spectral normalization: a bound on the Lipschitz constant of a network.

Miyato et al. (2018), "Spectral normalization for generative adversarial networks".
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ebmjax.checks import check_above_zero
from ebmjax.numerics import matmul
from ebmjax.types import Scalar


def spectrally_normalized(module: PyTree[Array], bound: Scalar = 1.0) -> PyTree[Array]:
    """Every kernel W scaled down to W · bound/σ where its largest singular value σ exceeds `bound`.

    Then a network of L dense layers, with an activation whose slope is at most s, changes by at most
    bound^L s^(L-1) ‖Δy‖, so that its law cannot have arbitrarily narrow wells. The kernel of a convolution is taken as
    the matrix from all of its inputs to its output channels, as in the source.

    σ = uᵀWv, where u and v are constants for derivatives. They come from the 1,024th power of the smaller Gram matrix,
    by ten squarings: its column with the largest diagonal entry is nearly the singular vector.

    Args:
        module: a network, or any pytree of arrays. Leaves with two axes or more are kernels, and their last axis is the
            outputs; other leaves do not change.
        bound: the largest singular value that is allowed, above 0, static or traced.

    Returns:
        The same pytree, so that `energy(spectrally_normalized(params), y)` is an energy with the same params.

    Raises:
        ValueError: a static bound that is not above 0.

    Miyato et al. (2018), "Spectral normalization for generative adversarial networks", algorithm 1.

    >>> spectrally_normalized({"kernel": jnp.diag(jnp.array([4.0, 2.0])), "bias": jnp.array([3.0])})["kernel"].tolist()
    [[1.0, 0.0], [0.0, 0.5]]
    """
    check_above_zero("bound", bound)

    def normalized(leaf: Float[Array, "..."]) -> Float[Array, "..."]:
        if leaf.ndim < 2:
            return leaf
        limit = jnp.asarray(bound).astype(leaf.dtype)
        largest = _largest_singular_value(leaf.reshape(-1, leaf.shape[-1]))
        return leaf * jnp.where(largest > limit, limit / jnp.where(largest > limit, largest, 1), 1)

    return jax.tree.map(normalized, module)


def _largest_singular_value(matrix: Float[Array, "rows columns"]) -> Float[Array, ""]:
    """uᵀWv, whose derivative with respect to W is u vᵀ."""
    constant = jax.lax.stop_gradient(matrix)
    tall = constant if constant.shape[0] >= constant.shape[1] else constant.T
    scaled = lambda gram: gram / jnp.maximum(jnp.trace(gram), jnp.finfo(gram.dtype).tiny)
    gram = scaled(matmul(tall.T, tall))
    for _ in range(10):
        gram = scaled(matmul(gram, gram))
    # the column with the largest diagonal entry is never orthogonal to the singular vector
    right = _unit_vector(gram[:, jnp.argmax(jnp.diagonal(gram))])
    left = _unit_vector(matmul(tall, right))
    if tall is not constant:
        left, right = right, left
    return matmul(left, matmul(matrix, right))


def _unit_vector(vector: Float[Array, " n"]) -> Float[Array, " n"]:
    return vector / jnp.maximum(jnp.sqrt(jnp.sum(vector**2)), jnp.finfo(vector.dtype).tiny)
