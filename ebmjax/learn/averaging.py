"""Averaged parameters: the running mean of the parameters that a learner has had is often a better model than the last.

    mean ← decay · mean + (1 - decay) · params

Gradients from chains or small batches move the parameters about their optimum at random; the mean moves less.

Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from ebmjax.checks import ArgumentError, as_float, check_record, is_static
from ebmjax.learn.leaves import is_array
from ebmjax.records import record
from ebmjax.types import Learner, Scalar


@record
class State(NamedTuple):
    """The state of the averaged learner."""

    params: PyTree[Array]
    """The parameters of the learner inside, as they are without averaging."""
    inner: Any
    """The state of the learner inside."""
    mean: PyTree[Array]
    """The running mean of the parameters; leaves without floating numbers, such as counts, are the last ones."""


def averaged(learner: Learner, decay: Scalar) -> Learner:
    """The same learner, whose state also has the field `mean`; what is learned does not change.

    Args:
        learner: any.
        decay: weight of the old mean, in [0, 1): the mean is over about the last 1/(1 - decay) updates. It starts at
            the initial parameters.

    Returns:
        A learner whose state is `State` and whose metrics are those of `learner`.

    Raises:
        ValueError: a learner that is none, a static decay outside [0, 1).

    >>> import optax
    >>> from ebmjax.learn.gradient import gradient
    >>> learner = averaged(gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.5)), 0.75)
    >>> key = jax.random.key(0)
    >>> state, _ = learner.update(key, learner.init(key, jnp.array(0.0)), jnp.array([1.0, 3.0]))
    >>> float(state.params), float(state.mean)
    (2.0, 0.5)
    """
    check_record("learner", learner, Learner)
    weight = as_float("decay", decay, ())
    if is_static(decay) and not 0 <= float(decay) < 1:
        raise ArgumentError(f"decay: got {float(decay)}, wanted a number in [0, 1)")
    # the complement before it is rounded to single precision
    complement = as_float("decay", 1 - decay, ())

    def mean_of(old: Any, new: Any) -> Any:
        if not (is_array(new) and jnp.issubdtype(jnp.result_type(new), jnp.inexact)):
            return new
        return weight.astype(old.dtype) * old + complement.astype(old.dtype) * new

    def init(key: Key[Array, ""], params: Any) -> State:
        inner = learner.init(key, params)
        return State(inner.params, inner, inner.params)

    def update(key: Key[Array, ""], state: State, batch: Any) -> tuple[State, Any]:
        inner, metrics = learner.update(key, state.inner, batch)
        return State(inner.params, inner, jax.tree.map(mean_of, state.mean, inner.params)), metrics

    return Learner(init, update)
