"""Predictive sparse decomposition: learn a dictionary and an encoder that predicts its codes.

    ½‖y - Wz‖² + R(z) + ½α‖z - Enc(y)‖²

Every update finds the codes z* of least energy of a batch, from the start Enc(y). Then it takes one gradient step in W
and in K, b and g of the encoder, with z* fixed, and scales the atoms to unit length.

Kavukcuoglu, Ranzato, LeCun (2008), "Fast inference in sparse coding algorithms with applications to object
recognition", section 3.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key

from ebmjax.checks import check_not_negative
from ebmjax.energies import sparse_coding
from ebmjax.learn import gradient
from ebmjax.minimize.codes import predictive
from ebmjax.types import CONVERGED, Learner, Scalar, Solution


class Params(NamedTuple):
    """A dictionary and an encoder, which are learned together."""

    dictionary: sparse_coding.Params
    encoder: predictive.Encoder


class Metrics(NamedTuple):
    """Of the batch, before the update."""

    loss: Float[Array, ""]
    """Mean energy of the exact codes, with the regularizer and the encoder's term."""
    gap: Float[Array, ""]
    """Mean ½‖z* - Enc(y)‖², the error of the encoder."""
    converged: Float[Array, ""]
    """Fraction of the codes whose inference converged."""


def decomposition(
    solve: Callable[[Any, Any, Any], Solution],
    weight: Scalar,
    optimizer: optax.GradientTransformation,
) -> Learner:
    """Learn `Params(dictionary, encoder)` from data y.

    Args:
        solve: `solve(smooth, start, lipschitz) -> Solution`, such as
            `lambda smooth, start, lipschitz: fista(smooth, l1(0.1), start, lipschitz)`; its energy has the regularizer.
        weight: α, at least 0, in units of energy over the code squared: how strongly the codes are pulled to Enc(y).
        optimizer: any optax gradient transformation.

    Returns:
        A learner whose state is `ebmjax.learn.gradient.State` and whose metrics are `Metrics`.

    Raises:
        ValueError: a static negative weight.

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
    check_not_negative("weight", weight)

    def exact(params: Params, batch: Float[Array, "batch observed"]) -> Solution:
        bound = sparse_coding.lipschitz(params.dictionary)
        infer = lambda y: predictive.infer(solve, params.dictionary, params.encoder, weight, y, bound)
        return jax.lax.stop_gradient(jax.vmap(infer)(batch))

    def init(key: Key[Array, ""], params: Params) -> gradient.State:
        return gradient.State(params, optimizer.init(params))

    def update(key: Key[Array, ""], state: gradient.State, batch: Any) -> tuple[gradient.State, Metrics]:
        solutions = exact(state.params, batch)

        def loss(key: Any, params: Params, batch: Any) -> Float[Array, ""]:
            # the regularizer does not depend on what is learned
            one = lambda y, z: predictive.held(params.dictionary, params.encoder, weight, y, 0.0).energy(z)
            return jax.vmap(one)(batch, solutions.value).mean()

        guess = jax.vmap(lambda y: predictive.encode(state.params.encoder, y))(batch)
        state, _ = gradient.stochastic_gradient(loss, optimizer).update(key, state, batch)
        params = state.params._replace(dictionary=sparse_coding.normalized(state.params.dictionary))
        gap = jnp.sum(jnp.square(solutions.value - guess), axis=1).mean() / 2
        converged = jnp.broadcast_to(solutions.result == CONVERGED, batch.shape[:1])
        return state._replace(params=params), Metrics(solutions.energy.mean(), gap, _fraction(converged, gap.dtype))

    return Learner(init, update)


def _fraction(flags: Bool[Array, " batch"], dtype: Any) -> Float[Array, ""]:
    return jnp.mean(flags.astype(dtype))
