"""Measurements during a training, such as the loss of held-out data, every so many updates of the scan."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, PyTree

from ebmjax.checks import as_floats, check_callable, check_count, check_record
from ebmjax.compiled import compiled
from ebmjax.learn.wrapped import params_of
from ebmjax.loops import run_if
from ebmjax.records import record
from ebmjax.types import Learner


@runtime_checkable
class Measure(Protocol):
    """A number, or several, that tell how good parameters are."""

    def __call__(self, params: Any, /) -> Any:
        """A scalar, or any pytree of scalars or small arrays, such as a held-out loss and an accuracy."""
        ...


@record
class State(NamedTuple):
    """The state of the measured learner."""

    params: Any
    """Those of the learner inside."""
    inner: Any
    """The state of the learner inside."""
    updates: Int[Array, ""]
    """How many there have been."""
    value: PyTree[Array]
    """The newest measurement."""
    fresh: Bool[Array, ""]
    """Whether it is of the parameters as they are now."""


@record
class Metrics(NamedTuple):
    """The metrics of the measured learner."""

    learner: Any
    """Those of the learner inside."""
    updates: Int[Array, ""]
    """How many there have been, this one included."""
    value: PyTree[Array]
    """The newest measurement; between two measurements it is repeated."""
    fresh: Bool[Array, ""]
    """Whether it was measured after this update: `value[fresh]` are the measurements of a training."""


def measured(learner: Learner, measure: Measure, every: int, of: Callable[[Any], Any] = params_of) -> Learner:
    """The same learner, which also measures its parameters after every so many updates, and at the start.

    What is learned does not change. Under `jax.vmap` too the measurement costs nothing in the updates without one.

    Args:
        learner: any.
        measure: `measure(params) -> scalar`, or a pytree of arrays, such as `lambda params: loss(params, held_out)`.
        every: updates from one measurement to the next, at least 1. An epoch is `len(data) // batch_size` updates.
        of: `of(state) -> params`, what is measured of the state of `learner`; by default its parameters.

    Returns:
        A learner whose state is `State` and whose metrics are `Metrics`.

    Raises:
        ValueError: an argument of another kind, every below 1.

    >>> import jax, optax
    >>> from ebmjax.learn.gradient import gradient
    >>> from ebmjax.learn.train import train
    >>> loss = lambda w, y: jnp.mean((w - y) ** 2)
    >>> learner = measured(gradient(loss, optax.sgd(0.1)), lambda w: loss(w, jnp.array([2.0, 4.0])), every=2)
    >>> metrics = train(jax.random.key(0), learner, 0.0, jnp.full(8, 3.0), 4, 10).metrics.learner
    >>> metrics.fresh.shape, [round(float(value), 1) for value in metrics.value[metrics.fresh]]
    ((10, 2), [4.7, 2.5, 1.6, 1.3, 1.1, 1.0, 1.0, 1.0, 1.0, 1.0])
    """
    check_record("learner", learner, Learner)
    check_callable("measure", measure)
    check_count("every", every)
    check_callable("of", of)

    def init(key: Key[Array, ""], params: Any) -> State:
        inner = learner.init(key, params)
        return State(inner.params, inner, jnp.int32(0), _measurement(measure, of(inner)), jnp.bool_(True))

    def update(key: Key[Array, ""], state: State, batch: Any) -> tuple[State, Metrics]:
        check_record("state", state, State)
        inner, metrics = learner.update(key, state.inner, batch)
        updates = state.updates + 1
        fresh = updates % every == 0
        value = run_if(fresh, lambda: _measurement(measure, of(inner)), state.value)
        return State(inner.params, inner, updates, value, fresh), Metrics(metrics, updates, value, fresh)

    return Learner(init, update)


@compiled
def _measurement(measure, params):
    return as_floats("measure", measure(params))
