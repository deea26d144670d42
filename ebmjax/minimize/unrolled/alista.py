"""Analytic weights: what the matrices of LISTA have to be is computed from the dictionary, only numbers are learned.

    ALISTA       z ← shrink_θ(z + γ W̃ᵀ(y - Wz)),  γ and θ of every layer are learned
    HyperLISTA   the same with momentum, all of it ruled by three numbers (`hyperlista`)

W̃ has the least coherence with the dictionary: w̃_iᵀw_i = 1, and w̃_iᵀw_j for i ≠ j as small as can be, so that an atom is
answered by its own coefficient and by little else.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ebmjax.checks import check_shape
from ebmjax.energies import sparse_coding
from ebmjax.minimize.unrolled.support import thresholded
from ebmjax.minimize.unrolled.unroll import Codes, check_support, unroll


class Alista(NamedTuple):
    """What ALISTA learns, each shared by all layers or with a leading axis of layers."""

    step: Float[Array, "*layers"]  # γ
    threshold: Float[Array, "*layers"]  # θ


def analytic_weights(params: sparse_coding.Params) -> Float[Array, "observed atoms"]:
    """W̃ = argmin ‖W̃ᵀW‖_F² with w̃_iᵀw_i = 1 for every atom.

        w̃_i = (WWᵀ)⁻¹w_i / (w_iᵀ(WWᵀ)⁻¹w_i)

    A dictionary whose atoms do not span the observations is taken by its pseudo-inverse.

    Args:
        params: the dictionary W.

    Raises:
        ValueError: static atoms that are zero or not finite.

    Liu, Chen, Wang, Yin (2019), "ALISTA: analytic weights are as good as learned weights in LISTA", where it is
    found by descent; here in closed form, column by column.

    >>> analytic_weights(sparse_coding.Params(2 * jnp.eye(2))).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    sparse_coding.check_params(params)
    dual = jnp.linalg.pinv(params.dictionary).T
    return dual / jnp.sum(dual * params.dictionary, axis=0, keepdims=True)


def symmetric_weights(params: sparse_coding.Params) -> Float[Array, "observed atoms"]:
    """W̃ = MW with a symmetric M, of least ‖WᵀMW‖_F² with w_iᵀMw_i = 1: the map z ↦ W̃ᵀWz is then symmetric.

    With P = W⁺W, the projection on the codes that W sees, WᵀMW = P diag(ν) P with (P ∘ P)ν = 1.

    Args, Raises:
        as in `analytic_weights`.

    Chen, Liu, Wang, Yin (2021), "Hyperparameter tuning is all you need for LISTA", where it is found by descent.

    >>> symmetric_weights(sparse_coding.Params(2 * jnp.eye(2))).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    sparse_coding.check_params(params)
    inverse = jnp.linalg.pinv(params.dictionary)
    projection = inverse @ params.dictionary
    scales = jnp.linalg.lstsq(projection**2, jnp.ones(len(projection), projection.dtype))[0]
    return inverse.T @ (scales[:, None] * projection)


def coherence(params: sparse_coding.Params, weights: Float[Array, "observed atoms"]) -> Float[Array, ""]:
    """μ = max over i ≠ j of |w̃_iᵀw_j|.

    >>> float(coherence(sparse_coding.Params(jnp.eye(2)), jnp.array([[1.0, 0.5], [0.0, 1.0]])))
    0.5
    """
    product = jnp.abs(weights.T @ params.dictionary)
    return jnp.max(jnp.where(jnp.eye(len(product), dtype=bool), 0, product))


def alista(
    params: sparse_coding.Params,
    analytic: Float[Array, "observed atoms"],
    weights: Alista,
    y: Float[Array, " observed"],
    layers: int | None = None,
    support: Int[Array, " layers"] | None = None,
) -> Codes:
    """K layers z ← shrink_θ(z + γ W̃ᵀ(y - Wz)) from z = 0, by choice with support selection.

    Args:
        params: the dictionary W.
        analytic: W̃, from `analytic_weights`.
        weights: γ and θ, shared, or one a layer.
        y: an observation.
        layers: K, static; may be left out where the weights have it as a leading axis.
        support: how many of the largest entries pass each layer's threshold whole (`support.growing_support`).

    Returns:
        `Codes(last, every)`.

    Raises:
        ValueError: a y or W̃ of another shape, weights of a wrong rank or with another number of layers, K below 1, a
            support that is not one number a layer.

    Liu, Chen, Wang, Yin (2019), "ALISTA: analytic weights are as good as learned weights in LISTA".

    >>> dictionary = sparse_coding.Params(jnp.eye(2))
    >>> weights = Alista(jnp.array(1.0), jnp.array([0.5, 0.25]))
    >>> alista(dictionary, analytic_weights(dictionary), weights, jnp.array([2.0, 0.5])).every.tolist()
    [[1.5, 0.0], [1.75, 0.25]]
    """
    dictionary = params.dictionary
    check_shape("y", y, dictionary.shape[:1])
    check_shape("analytic", analytic, dictionary.shape)
    ranks = (0, 0)
    check_support(support, weights, ranks, layers)

    def layer(own: Any, index: Any, z: Any) -> Any:
        moved = z + own.step * (analytic.T @ (y - dictionary @ z))
        z = thresholded(moved, own.threshold, support, index)
        return z, z

    start = jnp.zeros(dictionary.shape[1], dictionary.dtype)
    return Codes(*unroll(layer, weights, ranks, start, layers))
