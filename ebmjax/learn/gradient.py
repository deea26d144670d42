"""Gradient descent on a loss of `ebmjax.losses`, as a learner.

`gradient` takes a loss `loss(params, batch)`, `stochastic_gradient` one that draws random numbers,
`loss(key, params, batch)`.

Robbins and Monro (1951), "A stochastic approximation method".
"""

from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import Array, Float, Key, PyTree

from ebmjax.losses.functional import Loss, StochasticLoss
from ebmjax.types import Learner


class State(NamedTuple):
    """What gradient descent remembers."""

    params: PyTree[Array]
    optimizer: optax.OptState


class Metrics(NamedTuple):
    """Of the batch, before the update."""

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    """Euclidean norm of the gradient, over all parameters."""


def gradient(loss: Loss, optimizer: optax.GradientTransformation) -> Learner:
    """Learn by `loss(params, batch)` and an optax optimizer.

    Hyper-parameters may be traced: `jax.vmap(lambda rate: train(key, gradient(loss, optax.adam(rate)), ...))` trains a
    model for every rate in one compiled call.

    Args:
        loss: `loss(params, batch) -> scalar`.
        optimizer: any optax gradient transformation.

    Returns:
        A learner whose state is `State` and whose metrics are `Metrics`.

    >>> import jax.numpy as jnp
    >>> learner = gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.5))
    >>> key = jax.random.key(0)
    >>> state, metrics = learner.update(key, learner.init(key, jnp.array(0.0)), jnp.array([1.0, 3.0]))
    >>> float(state.params), float(metrics.loss)
    (2.0, 5.0)
    """
    return stochastic_gradient(lambda key, params, batch: loss(params, batch), optimizer)


def stochastic_gradient(loss: StochasticLoss, optimizer: optax.GradientTransformation) -> Learner:
    """The same for a loss that draws random numbers.

    Args:
        loss: `loss(key, params, batch) -> scalar`; every update has a key of its own.
        optimizer: any optax gradient transformation.

    Returns:
        As `gradient`.

    >>> import jax.numpy as jnp
    >>> noisy = lambda key, w, y: jnp.mean((w + jax.random.normal(key) - y) ** 2)
    >>> learner = stochastic_gradient(noisy, optax.sgd(0.5))
    >>> state, _ = learner.update(jax.random.key(0), learner.init(jax.random.key(1), jnp.array(0.0)), jnp.ones(2))
    >>> state.params.shape
    ()
    """

    def init(key: Key[Array, ""], params: Any) -> State:
        return State(params, optimizer.init(params))

    def update(key: Key[Array, ""], state: State, batch: Any) -> tuple[State, Metrics]:
        value, slope = jax.value_and_grad(lambda params: loss(key, params, batch))(state.params)
        updates, memory = optimizer.update(slope, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        return State(params, memory), Metrics(value, optax.tree.norm(slope))

    return Learner(init, update)
