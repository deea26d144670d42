"""Helper of `dbm` and `dbm_likelihood`: how a deep Boltzmann machine of two hidden layers is trained and measured."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from ebmjax.energies import deep_boltzmann as dbm
from ebmjax.learn import checkpoint
from ebmjax.learn.contrast.centering import deep_centering
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.greedy import TrainLayer, copied_machine, pretrain
from ebmjax.learn.contrast.phases import persistent, variational
from ebmjax.likelihoods import deep
from ebmjax.loops import map_chunks
from ebmjax.marginalize.enumeration import exact_estimate
from ebmjax.marginalize.mean_field import mean_field
from ebmjax.sample.gibbs import block
from ebmjax.types import BITS, Kernel, Learner, Solution
from experiments.application.report import Report
from experiments.application.shown import train_shown
from experiments.application.watched import Row, Watched, train_watched
from experiments.spins.restricted_machines import divided

LAYERS = 3
LINES = 20
"""Lines of metrics.jsonl about the training of a restricted machine, about."""
MOST_SUMMED = 14
"""Units of a first hidden layer whose states are summed."""


class Plan(NamedTuple):
    """How a deep machine is trained."""

    batch_size: int
    pretraining_updates: int
    """Least number of updates of each restricted machine in pretraining."""
    pretraining_rate: float
    updates: int
    """Least number of updates of the whole machine."""
    rate: float
    """First learning rate of the whole machine; it falls linearly to zero."""
    chains: int
    """Persistent chains."""
    sweeps: int
    """Gibbs sweeps of the chains in each update."""
    mean_field_steps: int
    """Limit of the mean-field sweeps in each update."""
    measured: int
    """Measurements during joint learning, after the one before it."""


def plan_of(config: Any) -> Plan:
    """The plan in the options of an experiment, whose names are those of the plan's fields."""
    return Plan(*(getattr(config, name) for name in Plan._fields))


class Machine(NamedTuple):
    """A machine before and after joint learning."""

    pretrained: dbm.Params
    watched: Watched


def learner(plan: Plan, mean: Float[Array, " visible"], hidden: tuple[int, int], updates: int) -> Learner:
    """Contrast mean fields with persistent chains, by steps along the centered gradient, at a rate that falls to zero.

    Args:
        plan: how the machine is trained.
        mean: means of the pixels, for the first persistent chains.
        hidden: units of the two hidden layers.
        updates: number of updates after which the rate is zero.
    """

    def kernel(params: dbm.Params) -> Kernel:
        return block(partial(dbm.energy, params), 1.0, dbm.odd_even(LAYERS), BITS)

    def start(key):
        fair = [jnp.full(size, 0.5, mean.dtype) for size in hidden]
        keys = jax.random.split(key, LAYERS)
        return tuple(
            jax.random.bernoulli(layer_key, layer).astype(mean.dtype)
            for layer_key, layer in zip(keys, (mean, *fair), strict=True)
        )

    positive = variational(
        dbm.energy,
        lambda key, visible: _middle(hidden, visible),
        1.0,
        dbm.odd_even_hidden(LAYERS),
        max_sweeps=plan.mean_field_steps,
    )
    negative = persistent(kernel, start, plan.chains, plan.sweeps)
    steps = optax.sgd(optax.linear_schedule(plan.rate, 0.0, updates))
    return contrastive(dbm.energy, positive, negative, steps, deep_centering(mean))


def train_deep(
    key: Key[Array, ""],
    report: Report,
    name: str,
    plan: Plan,
    hidden: tuple[int, int],
    data: Float[Array, "n visible"],
    wrapped: Callable[[Learner], Learner],
    measure: Callable[[dbm.Params], PyTree[Array]],
    row_of: Row,
) -> Machine:
    """Pretrain a machine layer by layer, then train it as a whole.

    Args:
        key: typed random key.
        report: of the run, which keeps the checkpoints.
        name: of the machine, and of the folders of its checkpoints.
        plan: how it is trained.
        hidden: units of the two hidden layers.
        data: pictures, from 0 to 1.
        wrapped: what is put around the learner of joint learning, such as running means of the parameters.
        measure: `measure(params)`, numbers of fixed shapes.
        row_of: what metrics.jsonl says of a measurement.

    Raises:
        ValueError: a batch larger than the data.
    """
    pretrain_key, train_key = jax.random.split(key)
    first_epochs, _ = divided(len(data), plan.batch_size, plan.pretraining_updates, 1)
    epochs, updates = divided(len(data), plan.batch_size, plan.updates, plan.measured)
    learner_of_layer = partial(copied_machine, beta=1.0, optimizer=optax.sgd(plan.pretraining_rate, momentum=0.5))
    grow = partial(pretrain, pretrain_key, learner_of_layer, hidden, 1.0, data, plan.batch_size, first_epochs)
    folder = report.checkpoints / f"{name}_pretrained"
    found = checkpoint.restore(folder, jax.eval_shape(grow))
    params = found[1] if found else grow(shown(report, name))
    if not found:
        checkpoint.save(folder, 0, params)
    dbm.check_params(params)
    with report.stage(f"learning the {name} machine as a whole"):
        watched = train_watched(
            train_key,
            report,
            name,
            wrapped(learner(plan, data.mean(axis=0), hidden, updates)),
            params,
            data,
            plan.batch_size,
            epochs,
            plan.measured,
            measure,
            row_of,
        )
    return Machine(params, watched)


def shown(report: Report, name: str) -> TrainLayer:
    """`ebmjax.train` of a restricted machine, with a bar and lines of metrics.jsonl, for `greedy.pretrain`."""

    def train_layer(key, learner, params, data, batch_size, epochs):
        title = f"{name}, restricted machine of {len(params.hidden_bias)} hidden units"
        every = max(1, epochs * (len(data) // batch_size) // LINES)
        write = lambda update, metrics: report.metrics(training=title, step=update, loss=metrics.loss)
        with report.stage(title):
            return train_shown(key, report, learner, params, data, batch_size, epochs, every, write)

    return train_layer


def _middle(hidden: tuple[int, int], visible: Array) -> tuple[Array, ...]:
    return (visible, *(jnp.full(size, 0.5, visible.dtype) for size in hidden))


def infer(params: dbm.Params, visible: Float[Array, " visible"], max_sweeps: int = 50) -> Solution:
    """Mean field over the hidden layers, given a picture."""
    sizes = (params.weights[0].shape[1], params.weights[1].shape[1])
    energy = partial(dbm.energy, params)
    return mean_field(energy, _middle(sizes, visible), 1.0, dbm.odd_even_hidden(LAYERS), BITS, max_sweeps, 1e-4)


def variational_free_energies(params: dbm.Params, visible: Float[Array, "n visible"]) -> Float[Array, " n"]:
    """F(q) of each picture, with sums over hidden states in place of means: log p(v) ≥ -F(q) - log Z."""
    nothing = exact_estimate(jnp.zeros((), visible.dtype))
    return -deep.bounds(params, visible, 1.0, nothing, max_sweeps=50, tolerance=1e-4).log_partition


def log_sums(params: dbm.Params, visible: Float[Array, "n visible"]) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """log Σ exp(-E) over the hidden states of each picture, and over all states: log p(v) is their difference.

    Of two hidden layers, the states of one are enumerated.
    """

    def joint(picture):
        machine, weight = deep.clamped(params, picture)
        return deep.log_partition(machine, 1.0).log_partition + weight

    return map_chunks(joint, visible, 64), deep.log_partition(params, 1.0).log_partition
