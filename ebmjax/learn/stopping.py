"""Early stopping: a training ends where its measurements have not become better for a while.

Prechelt (1998), "Early stopping, but when?".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key

from ebmjax.checks import check_count, check_record
from ebmjax.learn import keeping
from ebmjax.learn.leaves import arrays_of, with_arrays
from ebmjax.learn.wrapped import state_of
from ebmjax.records import record
from ebmjax.types import Learner


@record
class State(NamedTuple):
    """The state of a learner that stops."""

    params: Any
    """Those of the learner inside."""
    inner: Any
    """The state of the learner inside, as it was at the last update that was carried out."""
    stopped: Bool[Array, ""]
    updates: Int[Array, ""]
    """Those that were carried out."""


@record
class Metrics(NamedTuple):
    """The metrics of a learner that stops."""

    learner: Any
    """Those of the learner inside; NaN, -1 and False for an update that was not carried out."""
    stopped: Bool[Array, ""]
    """Whether the training had ended before this update."""


def stopped_early(learner: Learner, patience: int) -> Learner:
    """The same learner until `patience` measurements in a row were no better than the best; from there on it rests.

    A training alone ends there: what is left of its epochs costs next to nothing. Under `jax.vmap` each member stops
    for itself, and keeps its state while the others go on.

    Args:
        learner: of `ebmjax.learn.keeping.keeping_best`, perhaps in further wrappers.
        patience: measurements, at least 1.

    Returns:
        A learner whose state is `State` and whose metrics are `Metrics`.

    Raises:
        ValueError: an argument of another kind, a learner that does not keep its best parameters, patience below 1.

    >>> import optax
    >>> from ebmjax.learn.gradient import gradient
    >>> from ebmjax.learn.measuring import measured
    >>> from ebmjax.learn.train import train
    >>> loss = lambda w, y: jnp.mean((w - y) ** 2)
    >>> learner = measured(gradient(loss, optax.sgd(0.1)), lambda w: loss(w, 2.0), every=1)
    >>> learner = stopped_early(keeping.keeping_best(learner), patience=3)
    >>> state = train(jax.random.key(0), learner, 0.0, jnp.full(8, 3.0), 4, 10).state
    >>> bool(state.stopped), int(state.updates), round(float(state.inner.best), 1)
    (True, 8, 2.0)
    """
    check_record("learner", learner, Learner)
    check_count("patience", patience)

    def init(key: Key[Array, ""], params: Any) -> State:
        inner = learner.init(key, params)
        state_of(keeping.State, inner)  # refuses another learner
        return State(inner.params, inner, jnp.bool_(False), jnp.int32(0))

    def update(key: Key[Array, ""], state: State, batch: Any) -> tuple[State, Metrics]:
        check_record("state", state, State)

        def run(leaves):
            inner, metrics = learner.update(key, with_arrays(state.inner, leaves), batch)
            return arrays_of(inner), metrics

        before = [jnp.asarray(leaf) for leaf in arrays_of(state.inner)]
        _, blank = jax.eval_shape(run, before)
        rest = lambda leaves: (leaves, jax.tree.map(_blank, blank))
        leaves, metrics = jax.lax.cond(state.stopped, rest, run, before)
        inner = with_arrays(state.inner, leaves)
        stopped = state.stopped | (state_of(keeping.State, inner).since >= patience)
        updates = state.updates + (~state.stopped).astype(jnp.int32)
        return State(inner.params, inner, stopped, updates), Metrics(metrics, state.stopped)

    return Learner(init, update)


def _blank(leaf: Any) -> Any:
    """What a metric says of an update that was not carried out."""
    if jnp.issubdtype(leaf.dtype, jnp.inexact):
        return jnp.full(leaf.shape, jnp.nan, leaf.dtype)
    return jnp.full(leaf.shape, -1 if jnp.issubdtype(leaf.dtype, jnp.signedinteger) else 0, leaf.dtype)
