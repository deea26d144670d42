"""A deep Boltzmann machine of pictures: pretrained layer by layer, then learned as one

Two layers of hidden units over the pixels, each coupled to the next:

    E(v, h, g) = -aᵀv - bᵀh - cᵀg - vᵀWh - hᵀUg

**Greedy pretraining** trains a restricted Boltzmann machine for each pair of layers and puts the two together.
**Joint learning** then contrasts the pictures, with the hidden units as mean fields, with persistent Gibbs chains of
the whole machine. That is the gradient of a bound on the likelihood,

    log p(v) >= -F(q) - log Z

in sums over states. The pictures are binarized at one half; the steps are those of plain gradient descent, at a rate
that falls linearly to zero. Of a small machine the bound and the likelihood are computed exactly, by summing over the
states of its first hidden layer.

Salakhutdinov and Hinton (2009), "Deep Boltzmann machines".
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from ebmjax.energies import deep_boltzmann as dbm
from ebmjax.learn import checkpoint
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.greedy import copied_machine, pretrain
from ebmjax.learn.contrast.phases import persistent, variational
from ebmjax.loops import map_chunks, repeat
from ebmjax.marginalize.mean_field import mean_field
from ebmjax.marginalize.spaces import binary_cube
from ebmjax.random_bits import unrolled
from ebmjax.sample.gibbs import block
from ebmjax.types import BITS, Kernel, Learner, Solution
from experiments.application.report import Report
from experiments.application.watched import Watched, train_watched
from experiments.data.images import Images, binarize, load
from experiments.drawing import plots
from experiments.drawing.mosaics import flat, show

LAYERS = 3
MOST_SUMMED = 14  # units of a first hidden layer whose states are summed over
SWEEPS = 1000  # from the pictures to the fantasies
MEASURED = 2000  # pictures of either set on which a machine is measured
CHUNK = 500  # of them together


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Images = Images.DIGITS
    """The pictures: digits, mnist, binarized-mnist or fashion-mnist."""
    hidden: tuple[int, int] = (100, 100)
    """Units of the two hidden layers."""
    small_hidden: tuple[int, int] = (12, 24)
    """Those of the small machine, whose likelihood is exact: 2^(units of the first) states are summed. If they are the
    same, there is one machine."""
    batch_size: int = 100
    """Pictures an update."""
    pretraining_updates: int = 2000
    """Updates of each restricted machine, rounded up to whole passes over the pictures."""
    pretraining_rate: float = 0.05
    """Their learning rate."""
    updates: int = 6000
    """Updates of the whole machine, rounded up to as many passes over the pictures between any two measurements."""
    rate: float = 0.05
    """Their first learning rate."""
    chains: int = 100
    """Persistent chains."""
    sweeps: int = 5
    """Gibbs sweeps an update."""
    mean_field_steps: int = 10
    """Most sweeps of the mean fields an update."""
    measured: int = 8
    """How often each machine is measured on its way."""

    def __post_init__(self):
        for name in ("hidden", "small_hidden"):
            if min(getattr(self, name)) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, expected at least 1 unit each")
        if self.small_hidden[0] > MOST_SUMMED:
            raise ValueError(
                f"--small-hidden is {self.small_hidden}, expected at most {MOST_SUMMED} in the first layer"
            )
        counts = ("batch_size", "pretraining_updates", "updates", "chains", "sweeps", "mean_field_steps", "measured")
        for name in counts:
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, expected at least 1")
        for name in ("pretraining_rate", "rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(
                    f"--{name.replace('_', '-')} is {getattr(self, name)}, expected a finite number above 0"
                )


QUICK = Config(hidden=(12, 40), small_hidden=(12, 40), pretraining_updates=600, updates=600, measured=4)


class Measures(NamedTuple):
    """Of one machine: mean F(q), as a sum over states, of pictures with their mean fields, and what is exact if small.

    The exact numbers are NaN for a large machine.
    """

    train: Float[Array, ""]
    test: Float[Array, ""]
    log_partition: Float[Array, ""]
    log_likelihood: Float[Array, ""]


class Machine(NamedTuple):
    """A machine before and after joint learning."""

    pretrained: dbm.Params
    watched: Watched


def run(config: Config, report: Report) -> None:
    """Pretrain and train two machines, measure and draw them."""
    split = load(config.images)
    shape = split.train.shape[1:]
    data, test = jnp.asarray(binarize(flat(split.train))), jnp.asarray(binarize(flat(split.test)))
    large_key, small_key, chains_key = jax.random.split(unrolled(report.key()), 3)
    large = _train(config, report, "large", large_key, config.hidden, data, test)
    small = large
    if config.small_hidden != config.hidden:
        small = _train(config, report, "small", small_key, config.small_hidden, data, test)
    _tell(report, large, small)
    _draw_fantasies(report, chains_key, large, data, shape)
    _draw_curves(report, large, small)
    _draw_filters(report, large, shape)
    _draw_reconstructions(report, large, test, shape)


def learner(config: Config, mean: Float[Array, " visible"], hidden: tuple[int, int], updates: int) -> Learner:
    """Mean fields against persistent chains, with plain gradient steps at a rate that falls linearly to zero."""

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
        max_sweeps=config.mean_field_steps,
    )
    negative = persistent(kernel, start, config.chains, config.sweeps)
    return contrastive(dbm.energy, positive, negative, optax.sgd(optax.linear_schedule(config.rate, 0.0, updates)))


def _train(
    config: Config, report: Report, name: str, key: Key[Array, ""], hidden: tuple[int, int], data: Array, test: Array
) -> Machine:
    pretrain_key, train_key = jax.random.split(key)
    batches = len(data) // config.batch_size
    first_epochs = math.ceil(config.pretraining_updates / batches)
    epochs_a_segment = math.ceil(config.updates / (batches * config.measured))
    learner_of_layer = partial(copied_machine, optimizer=optax.sgd(config.pretraining_rate, momentum=0.5))
    grow = lambda key, data: pretrain(key, data, hidden, learner_of_layer, config.batch_size, first_epochs)
    folder = report.checkpoints / f"{name}_pretrained"
    with report.stage(f"pretraining the {name} machine"):
        found = checkpoint.restore(folder, jax.eval_shape(grow, pretrain_key, data))
        params = found[1] if found else report.compiled(grow, pretrain_key, data)
        if not found:
            checkpoint.save(folder, 0, params)
    dbm.check_params(params)
    exact = hidden[0] <= MOST_SUMMED
    with report.stage(f"learning the {name} machine as a whole"):
        watched = train_watched(
            report,
            name,
            learner(config, data.mean(axis=0), hidden, config.measured * epochs_a_segment * batches),
            train_key,
            params,
            data,
            config.batch_size,
            epochs_a_segment,
            config.measured,
            lambda params: _measure(params, data[:MEASURED], test[:MEASURED], exact),
        )
    return Machine(params, watched)


def _middle(hidden: tuple[int, int], visible: Array) -> tuple[Array, ...]:
    return (visible, *(jnp.full(size, 0.5, visible.dtype) for size in hidden))


def infer(params: dbm.Params, visible: Float[Array, " visible"], max_sweeps: int = 50) -> Solution:
    """Mean fields of the hidden layers, given a picture."""
    sizes = (params.weights[0].shape[1], params.weights[1].shape[1])
    energy = partial(dbm.energy, params)
    return mean_field(energy, _middle(sizes, visible), 1.0, dbm.odd_even_hidden(LAYERS), BITS, max_sweeps, 1e-4)


@partial(jax.jit, static_argnums=3)
def _measure(params: dbm.Params, train: Array, test: Array, exact: bool) -> Measures:
    states = (params.weights[0].shape[1] + params.weights[1].shape[1]) * math.log(2)
    mean = lambda pictures: map_chunks(lambda v: infer(params, v).energy, pictures, CHUNK).mean() - states
    if not exact:
        return Measures(mean(train), mean(test), jnp.array(jnp.nan), jnp.array(jnp.nan))
    joint, whole = log_sums(params, test)
    return Measures(mean(train), mean(test), whole, joint.mean() - whole)


def log_sums(params: dbm.Params, visible: Float[Array, "n visible"]) -> tuple[Float[Array, " n"], Float[Array, ""]]:
    """log Σ exp(-E) over the hidden states of each picture, and over all states: log p(v) is their difference.

    The states of the first hidden layer are enumerated; given those, all other units are independent.
    """
    (below, above), (a, b, c) = params
    first = binary_cube(len(b)).points
    top = jax.nn.softplus(c[None] + first @ above).sum(axis=1) + first @ b
    joint = lambda v: v @ a + jax.nn.logsumexp(top + first @ (v @ below))
    return map_chunks(joint, visible, 64), jax.nn.logsumexp(
        top + jax.nn.softplus(a[None] + first @ below.T).sum(axis=1)
    )


def _tell(report: Report, large: Machine, small: Machine) -> None:
    for name, machine in (("large", large), ("small", small)):
        measures = machine.watched.measures
        for row, updates in enumerate(machine.watched.updates):
            report.metrics(
                step=int(updates),
                machine=name,
                variational_free_energy_train=measures.train[row],
                variational_free_energy_test=measures.test[row],
                bound_test=-measures.test[row] - measures.log_partition[row],
                log_likelihood_test=measures.log_likelihood[row],
            )
    exact, whole = small.watched.measures, large.watched.measures
    bound = -exact.test - exact.log_partition
    report.table(
        "The small machine on held-out pictures, exactly, nats a picture",
        ("", "log-likelihood", "bound", "gap"),
        [
            (name, f"{exact.log_likelihood[row]:.2f}", f"{bound[row]:.2f}", exact.log_likelihood[row] - bound[row])
            for name, row in (("pretrained", 0), ("learned as a whole", -1))
        ],
    )
    report.summary(
        small_log_likelihood_test=exact.log_likelihood[-1],
        small_bound_test=bound[-1],
        small_log_likelihood_test_pretrained=exact.log_likelihood[0],
        large_free_energy_gap=whole.test[-1] - whole.train[-1],
    )


def _draw_fantasies(report: Report, key: Key[Array, ""], machine: Machine, data: Array, shape: tuple[int, ...]) -> None:
    count = 64
    kernels: list[tuple[str, dbm.Params]] = [
        ("Fantasies, pretrained", machine.pretrained),
        ("Fantasies, learned as a whole", machine.watched.params),
    ]
    figure, panels = plots.panels(1, 3, width=4.2, height=4.5)
    show(panels[0, 0], np.asarray(data[:count]).reshape(8, 8, *shape), "Training pictures")
    mean = data.mean(axis=0)
    for panel, (title, params), chains_key in zip(panels[0, 1:], kernels, jax.random.split(key), strict=True):
        with report.stage(title.lower()):
            pictures = np.asarray(_fantasies(chains_key, params, mean, count))
        show(panel, pictures.reshape(8, 8, *shape), title)
    report.figure(
        "fantasies",
        figure,
        f"Training pictures, and what the machine dreams: {count} Gibbs chains that began with independent pixels, "
        f"after {SWEEPS} sweeps. Shown are the probabilities of the pixels. Pretraining never looks at what the whole "
        "machine dreams, which may be a few kinds of picture only; joint learning does.",
    )


@partial(jax.jit, static_argnums=3)
def _fantasies(key: Key[Array, ""], params: dbm.Params, mean: Array, count: int) -> Float[Array, "count visible"]:
    """Pixel probabilities at the end of chains that start with independent pixels."""
    kernel = block(partial(dbm.energy, params), 1.0, dbm.odd_even(LAYERS), BITS)

    def chain(key):
        start_key, run_key = jax.random.split(key)
        visible = jax.random.bernoulli(start_key, mean).astype(mean.dtype)
        start = (visible, *(jnp.zeros_like(bias) for bias in params.biases[1:]))
        state = repeat(run_key, kernel, kernel.init(start), SWEEPS).state
        return jax.nn.sigmoid(dbm.fields(params, state.position)[0])

    return jax.vmap(chain)(jax.random.split(key, count))


def _draw_curves(report: Report, large: Machine, small: Machine) -> None:
    figure, panels = plots.panels(1, 2, width=5.0, height=3.9)
    exact, whole = small.watched.measures, large.watched.measures
    bound = -exact.test - exact.log_partition
    panels[0, 0].plot(small.watched.updates, exact.log_likelihood, label="log-likelihood")
    panels[0, 0].plot(
        small.watched.updates, bound, "--o", markersize=3.5, color=plots.PALETTE["vermillion"], label="its bound"
    )
    panels[0, 0].legend(loc="lower right")
    plots.label(panels[0, 0], "updates of joint learning", "nats a held-out picture", "The small machine, exactly")
    panels[0, 1].plot(large.watched.updates, whole.test - whole.train, "-o", markersize=3.5)
    panels[0, 1].set_ylim(bottom=min(0, *(whole.test - whole.train)))
    plots.label(
        panels[0, 1], "updates of joint learning", "held out less training (nats)", "The large machine: gap of F(q)"
    )
    report.figure(
        "curves",
        figure,
        "Left: the exact mean log-likelihood of held-out pictures and the bound that learning raises; the distance is "
        "what mean fields lose. Right: F(q) of held-out less that of training pictures, in which log Z cancels: where "
        "it grows, pictures are learned by heart.",
    )


def _draw_filters(report: Report, machine: Machine, shape: tuple[int, ...]) -> None:
    below, above = (np.asarray(weights) for weights in machine.watched.params.weights)
    figure, panels = plots.panels(1, 2, width=4.8, height=4.9)
    layers: list[tuple[str, np.ndarray]] = [
        ("First layer: W", below.T),
        ("Second layer, seen through the first: WU", (below @ above).T),
    ]
    for panel, (title, weights) in zip(panels[0], layers, strict=True):
        order = np.argsort(-np.linalg.norm(weights, axis=1))
        across = math.ceil(math.sqrt(min(100, len(weights))))
        down = min(100, len(weights)) // across
        chosen = weights[order[: down * across]].reshape(down, across, *shape)
        show(panel, chosen, title, weights=True)
    report.figure(
        "filters",
        figure,
        "What hidden units stand for in the pixels: red where a unit turns ink on, blue where it turns it off; each "
        "has its own scale, the largest come first (at most a hundred).",
    )


def _draw_reconstructions(report: Report, machine: Machine, test: Array, shape: tuple[int, ...]) -> None:
    chosen = test[:12]
    rows = jax.jit(jax.vmap(partial(_reconstructed, machine.watched.params)))(chosen)
    names = ["held out", "given the first layer", "given the second layer"]
    figure, axes = plots.one(9.0, 2.6)
    show(axes, np.stack([chosen, *rows]).reshape(3, 12, *shape), down=names)
    report.figure(
        "reconstructions",
        figure,
        "Held-out pictures; what the first hidden layer's mean fields make of them; and what is left when only those "
        "of the second are held, and the first layer and the pixels are inferred from them.",
    )


def _reconstructed(params: dbm.Params, visible: Array) -> tuple[Array, Array]:
    means = infer(params, visible).value
    near = jax.nn.sigmoid(dbm.fields(params, means)[0])
    blank: Callable[[Array], Array] = lambda layer: jnp.full_like(layer, 0.5)
    held = (blank(means[0]), blank(means[1]), means[2])
    energy = partial(dbm.energy, params)
    return near, mean_field(energy, held, 1.0, ((1,), (0,)), BITS, 50, 1e-4).value[0]
