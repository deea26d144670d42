"""Predictive sparse decomposition learned: dictionary and encoder together, in turns with exact inference.

For every batch the codes z* of least energy are found, from the encoder's guess and held to it; then one step down

    ½‖y - Wz*‖² + R(z*) + ½α‖z* - Enc(y)‖²

in W, K, b and g, with z* held, and the atoms are scaled back to unit length.
Kavukcuoglu, Ranzato, LeCun (2008), sec. 3.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key

from ebmjax.checks import check_not_negative
from ebmjax.energies import sparse_coding
from ebmjax.learn.gradient import GradientState, stochastic_gradient
from ebmjax.minimize.codes import predictive
from ebmjax.types import CONVERGED, Learner, Scalar, Solution


class Params(NamedTuple):
    """What is learned together."""

    dictionary: sparse_coding.Params
    encoder: predictive.Encoder


class Metrics(NamedTuple):
    """Of a batch before the update."""

    loss: Float[Array, ""]  # mean energy of the exact codes, encoder's term and regularizer included
    gap: Float[Array, ""]  # mean ½‖z* - Enc(y)‖²: what the encoder misses
    converged: Float[Array, ""]  # the part of the codes whose inference converged


def decomposition(
    solve: Callable[[Any, Any, Any], Solution],
    pull: Scalar,
    optimizer: optax.GradientTransformation,
) -> Learner:
    """Learn `Params(dictionary, encoder)` from data y.

    Args:
        solve: `solve(smooth, start, lipschitz) -> Solution`, such as
            `lambda smooth, start, lipschitz: fista(smooth, l1(0.1), start, lipschitz)`; its energy has the regularizer.
        pull: α, not negative: how strongly codes are held to the encoder's guess.
        optimizer: any optax gradient transformation.

    Returns:
        A learner whose metrics are `Metrics`.

    Raises:
        ValueError: a negative pull.

    >>> from ebmjax.energies.regularizers import shrink
    >>> one_step = lambda smooth, start, lipschitz: Solution(
    ...     shrink(start - jax.grad(smooth)(start) / lipschitz, 0.1 / lipschitz), smooth(start), 1, CONVERGED
    ... )
    >>> learner = decomposition(one_step, 1.0, optax.sgd(0.1))
    >>> dictionary = sparse_coding.Params(jnp.eye(2))
    >>> params = Params(dictionary, predictive.init(jax.random.key(0), dictionary))
    >>> state, metrics = learner.update(
    ...     jax.random.key(1), learner.init(jax.random.key(2), params), jnp.array([[2.0, 0.0], [0.0, 1.0]])
    ... )
    >>> state.params.dictionary.dictionary.shape, float(metrics.converged)
    ((2, 2), 1.0)
    """
    check_not_negative("pull", pull)

    def exact(params: Params, batch: Float[Array, "batch observed"]) -> Solution:
        bound = sparse_coding.lipschitz(params.dictionary)
        infer = lambda y: predictive.infer(solve, params.dictionary, params.encoder, pull, y, bound)
        return jax.lax.stop_gradient(jax.vmap(infer)(batch))

    def init(key: Key[Array, ""], params: Params) -> GradientState:
        return GradientState(params, optimizer.init(params))

    def update(key: Key[Array, ""], state: GradientState, batch: Any) -> tuple[GradientState, Metrics]:
        solutions = exact(state.params, batch)

        def loss(key: Any, params: Params, batch: Any) -> Float[Array, ""]:
            # the regularizer does not depend on what is learned
            one = lambda y, z: predictive.held(params.dictionary, params.encoder, pull, y, 0.0).energy(z)
            return jax.vmap(one)(batch, solutions.value).mean()

        guess = jax.vmap(lambda y: predictive.encode(state.params.encoder, y))(batch)
        state, _ = stochastic_gradient(loss, optimizer).update(key, state, batch)
        params = state.params._replace(dictionary=sparse_coding.normalized(state.params.dictionary))
        missed = jnp.sum(jnp.square(solutions.value - guess), axis=1).mean() / 2
        converged = jnp.broadcast_to(solutions.result == CONVERGED, batch.shape[:1])
        return state._replace(params=params), Metrics(solutions.energy.mean(), missed, _part(converged, missed.dtype))

    return Learner(init, update)


def _part(flags: Bool[Array, " batch"], dtype: Any) -> Float[Array, ""]:
    return jnp.mean(flags.astype(dtype))
