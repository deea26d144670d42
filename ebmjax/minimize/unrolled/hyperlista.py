"""HyperLISTA: ALISTA with support selection and momentum, all of whose numbers follow from three.

    θ = c₁ μ ‖W⁺(Wz - y)‖₁        β = c₂ μ ‖z‖₀        p = c₃ min(log(‖W⁺y‖₁ / ‖W⁺(Wz - y)‖₁), atoms)
    z ← shrink_θ^p(z + W̃ᵀ(y - Wz) + β (z - z_before))

W⁺ is the pseudo-inverse of W, μ the coherence of W̃ and W, and shrink_θ^p the soft threshold that does not shrink the p
largest entries, p rounded down. Nothing is trained: the three numbers are found by a search, for example of a grid by
`jax.vmap`.
Chen, Liu, Wang, Yin (2021), "Hyperparameter tuning is all you need for LISTA", with the step γ = 1.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import as_float, check_record
from ebmjax.energies import sparse_coding
from ebmjax.minimize.unrolled.alista import coherence, symmetric_weights
from ebmjax.minimize.unrolled.support import shrink_but_largest
from ebmjax.minimize.unrolled.unroll import Codes, as_weights, unroll
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import Numbers


@record
class HyperLista(NamedTuple):
    """The three numbers of HyperLISTA, each shared by all layers or with a leading axis of layers."""

    threshold: Float[Array, "*layers"]  # c₁
    momentum: Float[Array, "*layers"]  # c₂
    support: Float[Array, "*layers"]  # c₃


@record
class Prepared(NamedTuple):
    """What HyperLISTA computes once from a dictionary W; from `prepare`."""

    dictionary: Float[Array, "observed atoms"]  # W
    analytic: Float[Array, "observed atoms"]  # W̃
    inverse: Float[Array, "atoms observed"]  # W⁺
    coherence: Float[Array, ""]  # μ


def prepare(params: sparse_coding.Params) -> Prepared:
    """The symmetric analytic weights, the pseudo-inverse and the coherence of a dictionary, for all observations.

    Raises ValueError for static atoms that are zero or not finite.

    >>> prepare(sparse_coding.Params(jnp.eye(2))).coherence.item()
    0.0
    """
    analytic = symmetric_weights(params)
    params = sparse_coding.as_params(params)
    return Prepared(params.dictionary, analytic, jnp.linalg.pinv(params.dictionary), coherence(params, analytic))


def hyperlista(
    prepared: Prepared, weights: HyperLista, y: Annotated[Numbers, "observed"], layers: int | None = None
) -> Codes:
    """K layers of HyperLISTA from z = 0.

    Args:
        prepared: `prepare(params)` of the dictionary.
        weights: the three numbers, not negative.
        y, layers: as in `lista.lista`.

    Returns:
        `Codes(last, every)`, as in `lista.lista`.

    Raises:
        ValueError: as in `lista.lista`.

    >>> prepared = prepare(sparse_coding.Params(jnp.array([[1.0, 0.6], [0.0, 0.8]])))
    >>> weights = HyperLista(jnp.array(0.5), jnp.array(0.0), jnp.array(1.0))
    >>> hyperlista(prepared, weights, jnp.array([2.0, 0.0]), 12).last.round(2).tolist()
    [2.0, 0.0]
    """
    check_record("prepared", prepared, Prepared)
    check_record("weights", weights, HyperLista)
    prepared, weights = Prepared(*as_weights(prepared)), as_weights(weights)
    dictionary = prepared.dictionary
    y = as_float("y", y, dictionary.shape[:1])
    atoms = dictionary.shape[1]
    first = jnp.sum(jnp.abs(matmul(prepared.inverse, y)))
    # a residual of zero would have an infinite logarithm
    least = jnp.finfo(dictionary.dtype).eps * first + jnp.finfo(dictionary.dtype).tiny

    def layer(own, index, state):
        z, before = state
        residual = y - matmul(dictionary, z)
        error = jnp.sum(jnp.abs(matmul(prepared.inverse, residual)))
        threshold = own.threshold * prepared.coherence * error
        momentum = own.momentum * prepared.coherence * jnp.sum((z != 0).astype(z.dtype))
        count = own.support * jnp.minimum(jnp.log(jnp.maximum(first / jnp.maximum(error, least), 1)), atoms)
        moved = z + matmul(prepared.analytic.T, residual) + momentum * (z - before)
        after = shrink_but_largest(moved, threshold, count.astype(jnp.int32))
        return (after, z), after

    start = jnp.zeros(atoms, dictionary.dtype)
    (last, _), every = unroll(layer, weights, (0, 0, 0), (start, start), layers)
    return Codes(last, every)
