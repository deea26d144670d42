"""ALISTA, LISTA with analytic weights: its matrix is computed from the dictionary, and only numbers are learned.

    z ← shrink_θ(z + γ W̃ᵀ(y - Wz)),    γ and θ of every layer are learned

The matrix W̃ has the least coherence with the dictionary: w̃_iᵀw_i = 1, and the products w̃_iᵀw_j for i ≠ j are as small
as possible in the least-squares sense, so that an atom in y changes its own coefficient and hardly any other.
`hyperlista` replaces the learned numbers by formulas.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import as_float, check_record
from ebmjax.energies import sparse_coding
from ebmjax.minimize.unrolled.support import shrink_in_layer
from ebmjax.minimize.unrolled.unroll import Codes, as_weights, check_support, unroll
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import Numbers


@record
class Alista(NamedTuple):
    """The learned numbers of ALISTA, each shared by all layers or with a leading axis of layers."""

    step_size: Float[Array, "*layers"]  # γ
    threshold: Float[Array, "*layers"]  # θ


def analytic_weights(params: sparse_coding.Params) -> Float[Array, "observed atoms"]:
    """The matrix W̃ of least ‖W̃ᵀW‖_F² with w̃_iᵀw_i = 1 for every atom.

        w̃_i = (WWᵀ)⁻¹w_i / (w_iᵀ(WWᵀ)⁻¹w_i)

    For atoms that do not span the space of observations, the pseudo-inverse of W takes the place of Wᵀ(WWᵀ)⁻¹.

    Args:
        params: the dictionary W.

    Raises:
        ValueError: static atoms that are zero or not finite.

    Liu, Chen, Wang, Yin (2019), "ALISTA: analytic weights are as good as learned weights in LISTA", who find it by
    descent; here it has a closed form, column by column.

    >>> analytic_weights(sparse_coding.Params(2 * jnp.eye(2))).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    sparse_coding.check_params(params)
    dictionary = sparse_coding.as_params(params).dictionary
    dual = jnp.linalg.pinv(dictionary).T
    return dual / jnp.sum(dual * dictionary, axis=0, keepdims=True)


def symmetric_weights(params: sparse_coding.Params) -> Float[Array, "observed atoms"]:
    """W̃ = MW with the symmetric M of least ‖WᵀMW‖_F² with w_iᵀMw_i = 1, so that the matrix W̃ᵀW is symmetric.

    With P = W⁺W, the projection on the row space of W, WᵀMW = P diag(ν) P with (P ∘ P)ν = 1. Arguments and errors as in
    `analytic_weights`.

    Chen, Liu, Wang, Yin (2021), "Hyperparameter tuning is all you need for LISTA", who find it by descent.

    >>> symmetric_weights(sparse_coding.Params(2 * jnp.eye(2))).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    sparse_coding.check_params(params)
    dictionary = sparse_coding.as_params(params).dictionary
    inverse = jnp.linalg.pinv(dictionary)
    projection = matmul(inverse, dictionary)
    scales = jnp.linalg.lstsq(projection**2, jnp.ones(len(projection), projection.dtype))[0]
    return matmul(inverse.T, scales[:, None] * projection)


def coherence(params: sparse_coding.Params, weights: Annotated[Numbers, "observed atoms"]) -> Float[Array, ""]:
    """The mutual coherence μ = max over i ≠ j of |w̃_iᵀw_j|.

    Args:
        params: the dictionary W.
        weights: W̃, such as `analytic_weights(params)`.

    >>> float(coherence(sparse_coding.Params(jnp.eye(2)), jnp.array([[1.0, 0.5], [0.0, 1.0]])))
    0.5
    """
    dictionary = sparse_coding.as_params(params).dictionary
    product = jnp.abs(matmul(as_float("weights", weights, dictionary.shape).T, dictionary))
    return jnp.max(jnp.where(jnp.eye(len(product), dtype=bool), 0, product))


def alista(
    params: sparse_coding.Params,
    analytic: Annotated[Numbers, "observed atoms"],
    weights: Alista,
    y: Annotated[Numbers, "observed"],
    layers: int | None = None,
    support: Annotated[Numbers, "layers"] | None = None,
) -> Codes:
    """K layers z ← shrink_θ(z + γ W̃ᵀ(y - Wz)) from z = 0, with or without support selection.

    Args:
        params: the dictionary W.
        analytic: W̃, from `analytic_weights`.
        weights: γ and θ, each shared by all layers or with a leading axis K.
        y, layers, support: as in `lista.coupled`.

    Returns:
        `Codes(last, every)`, as in `lista.lista`.

    Raises:
        ValueError: as in `lista.coupled`; a W̃ of another shape.

    Liu, Chen, Wang, Yin (2019), "ALISTA: analytic weights are as good as learned weights in LISTA".

    >>> dictionary = sparse_coding.Params(jnp.eye(2))
    >>> weights = Alista(jnp.array(1.0), jnp.array([0.5, 0.25]))
    >>> alista(dictionary, analytic_weights(dictionary), weights, jnp.array([2.0, 0.5])).every.tolist()
    [[1.5, 0.0], [1.75, 0.25]]
    """
    dictionary = sparse_coding.as_params(params).dictionary
    check_record("weights", weights, Alista)
    y, analytic = as_float("y", y, dictionary.shape[:1]), as_float("analytic", analytic, dictionary.shape)
    weights = as_weights(weights)
    ranks = (0, 0)
    check_support(support, weights, ranks, layers)

    def layer(own, index, z):
        moved = z + own.step_size * matmul(analytic.T, y - matmul(dictionary, z))
        z = shrink_in_layer(moved, own.threshold, support, index)
        return z, z

    start = jnp.zeros(dictionary.shape[1], dictionary.dtype)
    return Codes(*unroll(layer, weights, ranks, start, layers))
