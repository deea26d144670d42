"""Gradient descent on a loss of `ebmjax.losses`, as a learner.

`gradient` takes a loss `loss(params, batch)`, `stochastic_gradient` one that draws random numbers,
`loss(key, params, batch)`.

Robbins and Monro (1951), "A stochastic approximation method".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from ebmjax.checks import ArgumentError, as_scalar, check_callable, check_key, check_record
from ebmjax.compiled import compiled
from ebmjax.learn.leaves import are_learned, arrays_of, as_data, as_params, is_array, replaced, with_arrays
from ebmjax.losses.functional import Loss, StochasticLoss
from ebmjax.networks.modules import CannotChangeError
from ebmjax.optimizers import as_optimizer, updates_of
from ebmjax.records import record
from ebmjax.types import Learner


@record
class State(NamedTuple):
    """What gradient descent remembers."""

    params: PyTree[Array]
    optimizer: optax.OptState


@record
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
        loss: `loss(params, batch) -> scalar`. Where it is NaN, so is its gradient, and `train` stops.
        optimizer: any optax gradient transformation. Those that want the value of the loss, its gradient or the loss
            itself, such as `optax.lbfgs()`, are given them.

    Returns:
        A learner whose state is `State` and whose metrics are `Metrics`. The floating leaves of the parameters are
        learned. All others are carried along: integers, keys, functions, and the variables of a Flax NNX module that
        are no `nnx.Param`. What the loss changes in place in these, such as the running statistics of a batch
        normalization that is called on the whole batch, is kept.

    Raises:
        ValueError: a loss that is no function or returns no scalar, an optimizer that is none, a raw key, parameters of
            which nothing can be learned, a batch that is not arrays, a module that changes its variables inside
            `jax.vmap`.

    >>> import jax.numpy as jnp
    >>> learner = gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.5))
    >>> key = jax.random.key(0)
    >>> state, metrics = learner.update(key, learner.init(key, jnp.array(0.0)), jnp.array([1.0, 3.0]))
    >>> float(state.params), float(metrics.loss)
    (2.0, 5.0)
    """
    check_callable("loss", loss)
    return stochastic_gradient(lambda key, params, batch: loss(params, batch), optimizer)


def stochastic_gradient(loss: StochasticLoss, optimizer: optax.GradientTransformation) -> Learner:
    """The same for a loss that draws random numbers.

    Args:
        loss: `loss(key, params, batch) -> scalar`; every update has a key of its own.
        optimizer: any optax gradient transformation.

    Returns:
        As `gradient`. Errors are those of `gradient`.

    >>> import jax.numpy as jnp
    >>> noisy = lambda key, w, y: jnp.mean((w + jax.random.normal(key) - y) ** 2)
    >>> learner = stochastic_gradient(noisy, optax.sgd(0.5))
    >>> state, _ = learner.update(jax.random.key(0), learner.init(jax.random.key(1), jnp.array(0.0)), jnp.ones(2))
    >>> state.params.shape
    ()
    """
    check_callable("loss", loss)
    optimizer = as_optimizer(optimizer)

    def init(key: Key[Array, ""], params: Any) -> State:
        check_key("key", key)
        params = as_params(params)
        return State(params, optimizer.init(_learned_of(params)))

    def update(key: Key[Array, ""], state: State, batch: Any) -> tuple[State, Metrics]:
        check_key("key", key)
        check_record("state", state, State)
        batch = as_data("batch", batch)
        arrays, metrics = _update(key, state, batch, loss, optimizer)
        return with_arrays(state, arrays), metrics

    return Learner(init, update)


@compiled
def _update(key, state, batch, loss, optimizer):
    """The arrays of the next state, and the metrics."""
    learned = are_learned(state.params)
    whole = lambda part: replaced(state.params, learned, jax.tree.leaves(part))

    def value_of(part):
        params = whole(part)
        value = as_scalar("loss", loss(key, params, batch))
        # what the loss left in its parameters: running statistics, counts of random numbers
        return value, [
            leaf for leaf, of in zip(jax.tree.leaves(params), learned, strict=True) if not of and is_array(leaf)
        ]

    before = _learned_of(state.params)
    try:
        (value, carried), slope = jax.value_and_grad(value_of, has_aux=True)(before)
    except CannotChangeError as error:
        raise ArgumentError(
            f"loss: got a network that changes its variables under jax.vmap ({str(error).partition(' (')[0]}),"
            " wanted one that is called on the whole batch, or that changes nothing: network.eval()"
        ) from error
    slope = jax.tree.map(lambda leaf: jnp.where(jnp.isnan(value), jnp.nan, leaf), slope)
    updates, memory = updates_of(optimizer, lambda part: value_of(part)[0], before, value, slope, state.optimizer)
    params = whole(optax.apply_updates(before, updates))
    others = [is_array(leaf) and not of for leaf, of in zip(jax.tree.leaves(params), learned, strict=True)]
    new = State(replaced(params, others, carried), memory)
    if jax.tree.structure(new) != jax.tree.structure(state):
        raise ArgumentError(
            f"optimizer: got a state of structure {jax.tree.structure(memory)} from an update, wanted one of"
            f" {jax.tree.structure(state.optimizer)}, as of `init`"
        )
    return arrays_of(new), Metrics(value, optax.tree.norm(slope))


def _learned_of(params: Any) -> Any:
    """The parameters with None in the place of every leaf that is not learned."""
    learned = are_learned(params)
    if not any(learned):
        raise ArgumentError("params: got no floating array, wanted at least one, which is learned")
    others = [not of for of in learned]
    return replaced(params, others, [None] * sum(others)) if any(others) else params
