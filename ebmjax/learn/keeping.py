"""The best parameters of a training, by a measurement such as the loss of held-out data.

Prechelt (1998), "Early stopping, but when?".
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from ebmjax.checks import as_scalar, check_callable, check_record
from ebmjax.learn import measuring
from ebmjax.learn.leaves import is_array
from ebmjax.learn.wrapped import params_of, state_of
from ebmjax.records import record
from ebmjax.types import Learner


@runtime_checkable
class Score(Protocol):
    """One number of a measurement, by which parameters are compared; lower is better."""

    def __call__(self, value: Any, /) -> Float[Array, ""]:
        """Such as `lambda value: -value.accuracy`."""
        ...


@record
class State(NamedTuple):
    """The state of a learner that keeps the best parameters."""

    params: Any
    """The newest parameters."""
    inner: Any
    """The state of the learner inside."""
    best: PyTree[Array]
    """The parameters with the lowest score so far, the initial ones included."""
    score: Float[Array, ""]
    """Theirs; inf where every measurement was NaN."""
    since: Int[Array, ""]
    """Measurements since then."""


def _itself(value: Any) -> Any:
    return value


def keeping_best(learner: Learner, score: Score = _itself, of: Callable[[Any], Any] = params_of) -> Learner:
    """The same learner, whose state also has the parameters that measured best so far, in the field `best`.

    Args:
        learner: with measurements, of `ebmjax.learn.measuring.measured`, perhaps in further wrappers.
        score: `score(value) -> scalar` of a measurement, lower is better; by default the measurement is this scalar. A
            score of NaN is never the best.
        of: `of(state) -> params`, what is kept of the state of `learner`: what is measured.

    Returns:
        A learner whose state is `State` and whose metrics are those of `learner`.

    Raises:
        ValueError: an argument of another kind, a learner without measurements, a score that is no scalar.

    >>> import optax
    >>> from ebmjax.learn.gradient import gradient
    >>> from ebmjax.learn.measuring import measured
    >>> from ebmjax.learn.train import train
    >>> loss = lambda w, y: jnp.mean((w - y) ** 2)
    >>> learner = keeping_best(measured(gradient(loss, optax.sgd(0.1)), lambda w: loss(w, 2.0), every=1))
    >>> state = train(jax.random.key(0), learner, 0.0, jnp.full(8, 3.0), 4, 10).state
    >>> round(float(state.params), 1), round(float(state.best), 1), int(state.since)
    (3.0, 2.0, 15)
    """
    check_record("learner", learner, Learner)
    check_callable("score", score)
    check_callable("of", of)
    number = lambda value: jnp.where(jnp.isnan(found := as_scalar("score", score(value))), jnp.inf, found)

    def init(key: Key[Array, ""], params: Any) -> State:
        inner = learner.init(key, params)
        measurement = state_of(measuring.State, inner)
        return State(inner.params, inner, of(inner), number(measurement.value), jnp.int32(0))

    def update(key: Key[Array, ""], state: State, batch: Any) -> tuple[State, Any]:
        check_record("state", state, State)
        inner, metrics = learner.update(key, state.inner, batch)
        measurement = state_of(measuring.State, inner)
        reached = number(measurement.value)
        better = measurement.fresh & (reached < state.score)
        # functions among the parameters, such as the activation of a network, do not change
        choose = lambda new, old: jnp.where(better, new, old) if is_array(new) else new
        best = jax.tree.map(choose, of(inner), state.best)
        since = jnp.where(better, 0, state.since + measurement.fresh.astype(jnp.int32))
        return State(inner.params, inner, best, choose(reached, state.score), since), metrics

    return Learner(init, update)
