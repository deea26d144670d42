"""Learning by contrast: lower the energy where the data are, raise it where the model is.

Which positions stand on either side is up to two phases (`ebmjax.learn.contrast.phases`): contrastive divergence,
persistent chains, parallel tempering, hidden units sampled or as mean fields are all this one learner.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import Array, Float, Key, PyTree

from ebmjax.learn.contrast.phases import Phase
from ebmjax.losses.contrast import contrast
from ebmjax.losses.functional import Loss
from ebmjax.types import Learner


class Preconditioner(NamedTuple):
    """What is done to a gradient before the optimizer sees it, and what that has to remember.

    `init(params) -> memory`, `apply(params, memory, gradient, positives) -> (gradient, memory)`.
    """

    init: Callable[[Any], Any]
    apply: Callable[[Any, Any, Any, Any], tuple[Any, Any]]


class ContrastiveState(NamedTuple):
    """Parameters and all that is remembered: the optimizer's moments, chains, running means."""

    params: PyTree[Array]
    optimizer: Any
    positive: Any
    negative: Any
    preconditioner: Any


class ContrastiveMetrics(NamedTuple):
    """Of the batch before the update."""

    loss: Float[Array, ""]  # mean energy of data less that of the model's samples; it explodes when learning diverges
    gradient_norm: Float[Array, ""]
    negative: Any = None  # what the negative phase reports, such as how many chains diverged


def contrastive(
    energy: Callable[[Any, Any], Any],
    positive: Phase,
    negative: Phase,
    optimizer: optax.GradientTransformation,
    preconditioner: Preconditioner | None = None,
    loss: Callable[[Callable[[Any, Any], Any]], Loss] = contrast,
) -> Learner:
    """Descend ∇<E>_positive - ∇<E>_negative, the likelihood gradient where both phases have their laws.

    Args:
        energy: `energy(params, position) -> scalar`.
        positive: positions under the data, such as `observed()` for a free energy in closed form.
        negative: positions under the model.
        optimizer: any of optax; its rate may be traced.
        preconditioner: such as `ebmjax.learn.contrast.centering.centering`; None leaves the gradient as it is.
        loss: `loss(energy) -> loss(params, (positives, negatives))`: the plain contrast, or one with a penalty, such as
            `partial(penalized_contrast, weight=0.1)`.

    >>> import jax.numpy as jnp
    >>> from ebmjax.sample.gibbs import systematic
    >>> from ebmjax.learn.contrast import phases
    >>> energy = lambda w, s: -w * s[0] * s[1]
    >>> cd = phases.contrastive_divergence(lambda w: systematic(lambda s: energy(w, s), 1.0), lambda key, s: s, steps=1)
    >>> learner = contrastive(energy, phases.observed(), cd, optax.sgd(0.1))
    >>> key = jax.random.key(0)
    >>> state, metrics = learner.update(key, learner.init(key, jnp.array(0.0)), jnp.ones((64, 2)))
    >>> bool(state.params > 0)
    True
    """
    contrasted = loss(energy)
    preconditioner = preconditioner or Preconditioner(
        lambda params: None, lambda params, memory, slope, seen: (slope, memory)
    )

    def init(key: Key[Array, ""], params: Any) -> ContrastiveState:
        positive_key, negative_key = jax.random.split(key)
        return ContrastiveState(
            params,
            optimizer.init(params),
            positive.init(positive_key, params),
            negative.init(negative_key, params),
            preconditioner.init(params),
        )

    def update(key: Key[Array, ""], state: ContrastiveState, batch: Any) -> tuple[ContrastiveState, ContrastiveMetrics]:
        positive_key, negative_key = jax.random.split(key)
        positives, of_positive = positive.sample(positive_key, state.params, state.positive, batch)
        negatives, of_negative = negative.sample(negative_key, state.params, state.negative, batch)
        value, slope = jax.value_and_grad(contrasted)(state.params, (positives, negatives))
        slope, of_preconditioner = preconditioner.apply(state.params, state.preconditioner, slope, positives)
        updates, moments = optimizer.update(slope, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        new = ContrastiveState(params, moments, of_positive, of_negative, of_preconditioner)
        return new, ContrastiveMetrics(value, optax.tree.norm(slope), negative.report(of_negative))

    return Learner(init, update)
