"""LISTA, learned ISTA: sparse codes in a fixed number of steps, whose matrices and thresholds are learned.

    z ← shrink_θ(W_e y + S z)                   Gregor & LeCun (2010), from W_e = Wᵀ/L, S = I - WᵀW/L, θ = λ/L
    z ← shrink_θ(z + Gᵀ(y - Wz))                coupled weights, Chen et al. (2018), from G = W/L, θ = λ/L

With these initial weights both are ISTA, step for step. Both start at z = 0 and are functions of one observation.
`ebmjax.gradient` trains them on `energy_loss(supervised(infer))` with data (y, z*), or on
`energy_loss(unsupervised(infer, energy))` with data y; `ebmjax.learn.layerwise` trains one layer after the other.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import as_float, check_above_zero, check_not_negative, check_record
from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import shrink
from ebmjax.minimize.unrolled.support import shrink_in_layer
from ebmjax.minimize.unrolled.unroll import Codes, as_weights, check_support, unroll
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar


@record
class Lista(NamedTuple):
    """Weights of LISTA, each shared by all layers or with a leading axis of layers (`unrolled.per_layer`)."""

    encoder: Float[Array, "*layers atoms observed"]  # W_e
    lateral: Float[Array, "*layers atoms atoms"]  # S
    threshold: Float[Array, "*layers atoms"]  # θ


@record
class Coupled(NamedTuple):
    """Weights of coupled LISTA, each shared by all layers or with a leading axis of layers."""

    encoder: Float[Array, "*layers observed atoms"]  # G
    threshold: Float[Array, "*layers"]  # θ


@record
class _Driven(NamedTuple):
    drive: Array
    lateral: Array
    threshold: Array


def init_lista(params: sparse_coding.Params, weight: Scalar, lipschitz: Scalar | None = None) -> Lista:
    """W_e = Wᵀ/L, S = I - WᵀW/L, θ = λ/L: weights, shared by all layers, with which LISTA is ISTA.

    Args:
        params: the dictionary W.
        weight: λ of the L1 norm, not negative.
        lipschitz: L, above 0; None for `sparse_coding.lipschitz(params)`.

    Raises:
        ValueError: static atoms that are zero or not finite, a static weight that is negative, a static L that is not
            above 0.

    >>> init_lista(sparse_coding.Params(jnp.eye(2)), 0.5, 2.0).lateral.tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    bound = _bound(params, weight, lipschitz)
    dictionary = sparse_coding.as_params(params).dictionary
    weight = as_float("weight", weight, ()).astype(dictionary.dtype)
    atoms = dictionary.shape[1]
    identity = jnp.eye(atoms, dtype=dictionary.dtype)
    threshold = jnp.broadcast_to(weight / bound, (atoms,))
    return Lista(dictionary.T / bound, identity - matmul(dictionary.T, dictionary) / bound, threshold)


def init_coupled(params: sparse_coding.Params, weight: Scalar, lipschitz: Scalar | None = None) -> Coupled:
    """G = W/L, θ = λ/L: weights, shared by all layers, with which coupled LISTA is ISTA.

    Arguments and errors as in `init_lista`.

    >>> init_coupled(sparse_coding.Params(jnp.eye(2)), 0.5, 2.0).encoder.tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    bound = _bound(params, weight, lipschitz)
    dictionary = sparse_coding.as_params(params).dictionary
    return Coupled(dictionary / bound, as_float("weight", weight, ()).astype(dictionary.dtype) / bound)


def lista(weights: Lista, y: Annotated[Numbers, "observed"], layers: int | None = None) -> Codes:
    """K layers z ← shrink_θ(W_e y + S z) from z = 0.

    Args:
        weights: each array shared by all layers, or with a leading axis K.
        y: an observation; `jax.vmap` over y for many.
        layers: K, static, at least 1; None where an array of the weights has K as its leading axis.

    Returns:
        `Codes(last, every)`: the code after the last layer, and those after every layer.

    Raises:
        ValueError: a y of another length, weights of a wrong rank or with another number of layers, K below 1, no K at
            all.

    Gregor & LeCun (2010), "Learning fast approximations of sparse coding", algorithm 3.

    >>> weights = init_lista(sparse_coding.Params(jnp.eye(2)), 0.5, 1.0)
    >>> lista(weights, jnp.array([2.0, 0.25]), 3).last.tolist()
    [1.5, 0.0]
    """
    check_record("weights", weights, Lista)
    weights = as_weights(weights)
    y = as_float("y", y, weights.encoder.shape[-1:])
    # the products of the observation with the encoders of all layers are one product, outside of the loop
    driven = _Driven(weights.encoder @ y, weights.lateral, weights.threshold)

    def layer(own, index, z):
        z = shrink(own.drive + own.lateral @ z, own.threshold)
        return z, z

    start = jnp.zeros(weights.lateral.shape[-1], driven.drive.dtype)
    return Codes(*unroll(layer, driven, (1, 2, 1), start, layers))


def coupled(
    params: sparse_coding.Params,
    weights: Coupled,
    y: Annotated[Numbers, "observed"],
    layers: int | None = None,
    support: Annotated[Numbers, "layers"] | None = None,
) -> Codes:
    """K layers z ← shrink_θ(z + Gᵀ(y - Wz)) from z = 0, with or without support selection.

    Args:
        params: the dictionary W, which is not learned.
        weights, y, layers: as in `lista`.
        support: how many of the largest entries each layer does not shrink, such as `support.growing_support`; None
            for a layer that shrinks all entries.

    Returns:
        `Codes(last, every)`, as in `lista`.

    Raises:
        ValueError: as in `lista`; a support that is not one number a layer.

    Chen, Liu, Wang, Yin (2018), "Theoretical linear convergence of unfolded ISTA", LISTA-CP and LISTA-CPSS.

    >>> dictionary = sparse_coding.Params(jnp.eye(2))
    >>> weights = init_coupled(dictionary, 0.5, 1.0)
    >>> coupled(dictionary, weights, jnp.array([2.0, 0.25]), 3).last.tolist()
    [1.5, 0.0]
    >>> coupled(dictionary, weights, jnp.array([2.0, 0.25]), 3, jnp.array([0, 1, 1])).last.tolist()
    [2.0, 0.0]
    """
    dictionary = sparse_coding.as_params(params).dictionary
    check_record("weights", weights, Coupled)
    weights, y = as_weights(weights), as_float("y", y, dictionary.shape[:1])
    ranks = (2, 0)
    check_support(support, weights, ranks, layers)

    def layer(own, index, z):
        moved = z + own.encoder.T @ (y - matmul(dictionary, z))
        z = shrink_in_layer(moved, own.threshold, support, index)
        return z, z

    start = jnp.zeros(dictionary.shape[1], dictionary.dtype)
    return Codes(*unroll(layer, weights, ranks, start, layers))


def _bound(params, weight, lipschitz):
    sparse_coding.check_params(params)
    check_not_negative("weight", weight)
    if lipschitz is None:
        return sparse_coding.lipschitz(params)
    check_above_zero("lipschitz", lipschitz)
    return as_float("lipschitz", lipschitz, ()).astype(sparse_coding.as_params(params).dictionary.dtype)
