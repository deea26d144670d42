"""The contrastive learner: lower the energy where the data are, raise it where the model is.

    ∇ mean -log p(y) / beta = <∇E>_data - <∇E>_model

Two phases of `ebmjax.learn.contrast.phases` say where the positions of both averages come from. Contrastive divergence,
persistent chains, parallel tempering, and hidden units that are sampled or replaced by mean fields are all this one
learner with other phases.

Ackley, Hinton, Sejnowski (1985), "A learning algorithm for Boltzmann machines", for the two phases; Hinton (2002),
"Training products of experts by minimizing contrastive divergence", for short runs from the data.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import optax
from jaxtyping import Array, Float, Key, PyTree

from ebmjax.checks import as_floats, check_callable, check_key, check_record
from ebmjax.compiled import compiled
from ebmjax.learn.contrast.phases import Phase
from ebmjax.learn.leaves import as_params
from ebmjax.losses.contrast import contrast
from ebmjax.losses.functional import Loss
from ebmjax.optimizers import as_optimizer, updates_of
from ebmjax.records import record
from ebmjax.types import Learner, ModelEnergy


@runtime_checkable
class InitPreconditioner(Protocol):
    """What a preconditioner remembers before the first update."""

    def __call__(self, params: Any, /) -> Any:
        """Its memory, any pytree of arrays."""
        ...


@runtime_checkable
class ApplyPreconditioner(Protocol):
    """How a preconditioner changes a gradient."""

    def __call__(self, params: Any, memory: Any, gradient: Any, positives: Any, /) -> tuple[Any, Any]:
        """`(gradient, memory)`, the changed gradient and the next memory.

        Args:
            params: before the update.
            memory: as of `init`, or of the update before.
            gradient: of the loss, in the form of `params`.
            positives: of the positive phase, stacked.
        """
        ...


@runtime_checkable
class MakeLoss(Protocol):
    """A loss functional of a pair of positions, such as `ebmjax.losses.contrast.contrast`."""

    def __call__(self, energy: ModelEnergy, /) -> Loss:
        """`loss(params, (positives, negatives)) -> scalar`."""
        ...


@record
class Preconditioner(NamedTuple):
    """A linear map of the gradient, applied before the optimizer, with a memory."""

    init: InitPreconditioner
    apply: ApplyPreconditioner


@record
class State(NamedTuple):
    """What contrastive learning remembers."""

    params: PyTree[Array]
    optimizer: optax.OptState
    positive: Any
    """The memory of the positive phase."""
    negative: Any
    """The memory of the negative phase, such as its chains."""
    preconditioner: Any
    """The memory of the preconditioner, such as running means."""


@record
class Metrics(NamedTuple):
    """Of the batch, before the update."""

    loss: Float[Array, ""]
    """The contrast of data and samples, in units of energy. It grows without limit when learning diverges."""
    gradient_norm: Float[Array, ""]
    """Euclidean norm of the gradient that the optimizer receives."""
    negative: Any = None
    """What the negative phase reports, such as how many chains diverged."""


def contrastive(
    energy: ModelEnergy,
    positive: Phase,
    negative: Phase,
    optimizer: optax.GradientTransformation,
    preconditioner: Preconditioner | None = None,
    loss: MakeLoss = contrast,
) -> Learner:
    """Descend <∇E>_positive - <∇E>_negative: the gradient of the likelihood where both phases follow their laws.

    Args:
        energy: `energy(params, position) -> scalar`.
        positive: positions under the data, such as `observed()` for a free energy in closed form.
        negative: positions under the model.
        optimizer: any of optax; its rate may be traced.
        preconditioner: such as `ebmjax.learn.contrast.centering.centering`; None leaves the gradient as it is.
        loss: `loss(energy) -> loss(params, (positives, negatives))`: the plain contrast, or one with a penalty, such as
            `partial(penalized_contrast, weight=0.1)`.

    Returns:
        A learner whose state is `State` and whose metrics are `Metrics`. Its batches may be of integers, bytes or truth
        values, such as pictures in black and white, which become floats.

    Raises:
        ValueError: phases that are no `Phase`, an energy or a loss that is no function; when it learns, a batch that is
            not numbers.

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
    check_callable("energy", energy)
    check_record("positive", positive, Phase)
    check_record("negative", negative, Phase)
    optimizer = as_optimizer(optimizer)
    check_callable("loss", loss)
    preconditioner = Preconditioner(_no_memory, _unchanged) if preconditioner is None else preconditioner
    check_record("preconditioner", preconditioner, Preconditioner)

    def init(key: Key[Array, ""], params: Any) -> State:
        check_key("key", key)
        params = as_params(params)
        positive_key, negative_key = jax.random.split(key)
        return State(
            params,
            optimizer.init(params),
            positive.init(positive_key, params),
            negative.init(negative_key, params),
            preconditioner.init(params),
        )

    def update(key: Key[Array, ""], state: State, batch: Any) -> tuple[State, Metrics]:
        check_key("key", key)
        batch = as_floats("batch", batch)
        return _update(key, state, batch, energy, positive, negative, optimizer, preconditioner, loss)

    return Learner(init, update)


def _no_memory(params: Any) -> None:
    """Of the preconditioner that changes nothing."""


def _unchanged(params: Any, memory: Any, gradient: Any, positives: Any) -> tuple[Any, Any]:
    return gradient, memory


@compiled
def _update(key, state, batch, energy, positive, negative, optimizer, preconditioner, loss):
    positive_key, negative_key = jax.random.split(key)
    positives, of_positive = positive.sample(positive_key, state.params, state.positive, batch)
    negatives, of_negative = negative.sample(negative_key, state.params, state.negative, batch)
    contrast_of = lambda params: loss(energy)(params, (positives, negatives))
    value, slope = jax.value_and_grad(contrast_of)(state.params)
    slope, of_preconditioner = preconditioner.apply(state.params, state.preconditioner, slope, positives)
    updates, moments = updates_of(optimizer, contrast_of, state.params, value, slope, state.optimizer)
    params = optax.apply_updates(state.params, updates)
    new = State(params, moments, of_positive, of_negative, of_preconditioner)
    return new, Metrics(value, optax.tree.norm(slope), negative.report(of_negative))
