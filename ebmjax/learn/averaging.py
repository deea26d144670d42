"""Averaged parameters: the running mean of where a learner has been is often a better model than where it is.

    mean ← decay · mean + (1 - decay) · params

Gradients from chains or small batches make parameters wander about their optimum; the mean wanders less.

Polyak and Juditsky (1992), "Acceleration of stochastic approximation by averaging".
"""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Key, PyTree

from ebmjax.checks import ArgumentError, is_static
from ebmjax.types import Learner, Scalar


class AveragedState(NamedTuple):
    """The learner's parameters and state, and the running mean of the parameters."""

    params: PyTree[Array]
    inner: Any
    mean: PyTree[Array]


def averaged(learner: Learner, decay: Scalar) -> Learner:
    """The same learner, whose state also has the field `mean`; what is learned does not change.

    Args:
        learner: any.
        decay: in [0, 1[: the mean forgets after about 1/(1 - decay) updates. It starts at the initial parameters.

    Raises:
        ValueError: a static decay outside [0, 1[.

    >>> import jax.numpy as jnp, optax
    >>> from ebmjax.learn.gradient import gradient
    >>> learner = averaged(gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.5)), 0.75)
    >>> key = jax.random.key(0)
    >>> state, _ = learner.update(key, learner.init(key, jnp.array(0.0)), jnp.array([1.0, 3.0]))
    >>> float(state.params), float(state.mean)
    (2.0, 0.5)
    """
    if is_static(decay) and not 0 <= float(decay) < 1:
        raise ArgumentError(f"decay: got {float(decay)}, wanted a number in [0, 1[")

    def init(key: Key[Array, ""], params: Any) -> AveragedState:
        return AveragedState(params, learner.init(key, params), params)

    def update(key: Key[Array, ""], state: AveragedState, batch: Any) -> tuple[AveragedState, Any]:
        inner, metrics = learner.update(key, state.inner, batch)
        mean = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.mean, inner.params)
        return AveragedState(inner.params, inner, mean), metrics

    return Learner(init, update)
