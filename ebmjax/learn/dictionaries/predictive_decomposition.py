"""Predictive sparse decomposition: learn a dictionary and an encoder that predicts its codes.

    ½‖y - Wz‖² + R(z) + ½α‖z - Enc(y)‖²

Every update finds the codes z* of least energy of a batch, from the start Enc(y). Then it takes one gradient step in W
and in K, b and g of the encoder, with z* fixed, and scales the atoms to unit length.

Kavukcuoglu, Ranzato, LeCun (2008), "Fast inference in sparse coding algorithms with applications to object
recognition", section 3.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key

from ebmjax.checks import as_float, as_floats, check_callable, check_not_negative, check_record
from ebmjax.compiled import compiled
from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import Regularizer, check_regularizer
from ebmjax.learn import gradient
from ebmjax.minimize.codes import predictive
from ebmjax.minimize.codes.find_code import FindCode
from ebmjax.optimizers import as_optimizer
from ebmjax.records import record
from ebmjax.types import CONVERGED, Learner, Scalar, Solution


@record
class Params(NamedTuple):
    """A dictionary and an encoder, which are learned together."""

    dictionary: sparse_coding.Params
    encoder: predictive.Encoder


@record
class Metrics(NamedTuple):
    """Of the batch, before the update."""

    loss: Float[Array, ""]
    """Mean energy of the exact codes, with the regularizer and the encoder's term."""
    gap: Float[Array, ""]
    """Mean ½‖z* - Enc(y)‖², the error of the encoder."""
    converged: Float[Array, ""]
    """Fraction of the codes whose inference converged."""


def decomposition(
    find: FindCode,
    regularizer: Regularizer,
    weight: Scalar,
    optimizer: optax.GradientTransformation,
) -> Learner:
    """Learn `Params(dictionary, encoder)` from data y.

    Args:
        find: finds the code for `predictive.Params`, such as `by_proximal(fista, predictive.smooth_term)` of
            `ebmjax.minimize.codes.find_code`; it is called with a start of None, and so starts at Enc(y).
        regularizer: R, of the codes.
        weight: α, at least 0, in units of energy over the code squared: how strongly the codes are pulled to Enc(y).
        optimizer: any optax gradient transformation.

    Returns:
        A learner whose state is `ebmjax.learn.gradient.State` and whose metrics are `Metrics`.

    Raises:
        ValueError: a static negative weight.

    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.minimize.codes.find_code import by_proximal
    >>> from ebmjax.minimize.codes.proximal import fista
    >>> learner = decomposition(by_proximal(fista, predictive.smooth_term), l1(0.1), 1.0, optax.sgd(0.1))
    >>> dictionary = sparse_coding.Params(jnp.eye(2))
    >>> params = Params(dictionary, predictive.init(jax.random.key(0), dictionary))
    >>> state, metrics = learner.update(
    ...     jax.random.key(1), learner.init(jax.random.key(2), params), jnp.array([[2.0, 0.0], [0.0, 1.0]])
    ... )
    >>> state.params.dictionary.dictionary.shape, float(metrics.converged)
    ((2, 2), 1.0)
    """
    check_callable("find", find)
    check_regularizer(regularizer)
    check_not_negative("weight", weight)
    weight = as_float("weight", weight, ())
    optimizer = as_optimizer(optimizer)

    def init(key: Key[Array, ""], params: Params) -> gradient.State:
        check_record("params", params, Params)
        params = as_floats("params", params)
        return gradient.State(params, optimizer.init(params))

    def update(key: Key[Array, ""], state: gradient.State, batch: Any) -> tuple[gradient.State, Metrics]:
        check_record("params", state.params, Params)
        observed = sparse_coding.as_params(state.params.dictionary).dictionary.shape[0]
        return _learn(find, regularizer, weight, optimizer, key, state, as_float("data", batch, (None, observed)))

    return Learner(init, update)


@compiled
def _learn(find, regularizer, weight, optimizer, key, state, batch):
    weight = weight.astype(batch.dtype)
    code = lambda y: find(
        predictive.Params(state.params.dictionary, state.params.encoder, weight), regularizer, y, None
    )
    solutions: Solution = jax.lax.stop_gradient(jax.vmap(code)(batch))

    def loss(key: Any, params: Params, batch: Any) -> Float[Array, ""]:
        # the regularizer does not depend on what is learned
        one = lambda y, z: predictive.misfit(predictive.Params(*params, weight), y, z)
        return jax.vmap(one)(batch, solutions.value).mean()

    guess = jax.vmap(lambda y: predictive.encode(state.params.encoder, y))(batch)
    state, _ = gradient.stochastic_gradient(loss, optimizer).update(key, state, batch)
    params = state.params._replace(dictionary=sparse_coding.normalized(state.params.dictionary))
    gap = jnp.sum(jnp.square(solutions.value - guess), axis=1).mean() / 2
    converged = jnp.broadcast_to(solutions.result == CONVERGED, batch.shape[:1])
    return state._replace(params=params), Metrics(solutions.energy.mean(), gap, _fraction(converged, gap.dtype))


def _fraction(flags: Bool[Array, " batch"], dtype: Any) -> Float[Array, ""]:
    return jnp.mean(flags.astype(dtype))
