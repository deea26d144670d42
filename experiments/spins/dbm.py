"""A deep Boltzmann machine of pictures: pretrained layer by layer, then learned as one

Two layers of hidden units over the pixels, each coupled to the next:

    E(v, h, g) = -aᵀv - bᵀh - cᵀg - vᵀWh - hᵀUg

**Greedy pretraining** trains a restricted Boltzmann machine for each pair of layers, and joins the two machines.
**Joint learning** then trains all weights together. Its positive phase is the pictures with a mean field over the
hidden units; its negative phase is persistent Gibbs chains of the whole machine. This is the gradient of a lower bound
on the likelihood,

    log p(v) >= -F(q) - log Z

where F(q) and Z are defined by sums over states. The pictures are binarized at one half. The steps are plain gradient
descent at a rate that falls linearly to zero. For a small machine the bound and the likelihood are computed exactly, by
summing over the states of its first hidden layer.

Salakhutdinov and Hinton (2009), "Deep Boltzmann machines".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.energies import deep_boltzmann as dbm
from ebmjax.loops import repeat
from ebmjax.marginalize.mean_field import mean_field
from ebmjax.sample.gibbs import block
from ebmjax.types import BITS
from experiments.application import options
from experiments.application.options import AtLeast, Count, Positive
from experiments.application.report import Report
from experiments.data.images import Images, Pictures, binarize, load
from experiments.drawing import plots
from experiments.drawing.mosaics import flat, show, strongest
from experiments.spins.deep_machines import (
    LAYERS,
    MOST_SUMMED,
    Machine,
    infer,
    log_sums,
    plan_of,
    train_deep,
    variational_free_energies,
)

SWEEPS = 1000  # of the Gibbs chains that draw fantasies
MEASURED = 2000  # pictures of each set on which a machine is measured


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Pictures = Images.DIGITS
    """The pictures: digits, mnist, binarized-mnist, fashion-mnist, or a folder of PNG or JPEG files."""
    hidden: Annotated[tuple[int, int], AtLeast(1)] = (100, 100)
    """Units of the two hidden layers."""
    small_hidden: Annotated[tuple[int, int], AtLeast(1)] = (12, 24)
    """Units of the hidden layers of a small machine, whose likelihood is exact: a sum over the 2^n states of its first
    layer of n units, at most 14. If they are the same as --hidden, only one machine is trained."""
    batch_size: Count = 100
    """Pictures in each update."""
    pretraining_updates: Count = 2000
    """Updates of each restricted machine in pretraining, rounded up to whole epochs."""
    pretraining_rate: Positive = 0.05
    """Learning rate of the restricted machines."""
    updates: Count = 6000
    """Updates of the whole machine, rounded up to whole epochs between measurements."""
    rate: Positive = 0.05
    """First learning rate of the whole machine; it falls linearly to zero."""
    chains: Count = 100
    """Number of persistent chains."""
    sweeps: Count = 5
    """Gibbs sweeps of the chains in each update."""
    mean_field_steps: Count = 10
    """Limit of the mean-field sweeps in each update."""
    measured: Count = 8
    """Number of measurements of each machine during joint learning."""

    def __post_init__(self):
        options.check(self)
        few = self.small_hidden[0] <= MOST_SUMMED
        options.require(few, "small_hidden", self.small_hidden, f"at most {MOST_SUMMED} units in the first layer")


QUICK = Config(hidden=(12, 40), small_hidden=(12, 40), pretraining_updates=600, updates=600, measured=4)


class Measures(NamedTuple):
    """Numbers of one machine. The last two, which need sums over all states, are NaN for a large machine."""

    train: Float[Array, ""]
    """Mean F(q) of training pictures, with sums over hidden states in place of means."""
    test: Float[Array, ""]
    """The same of held-out pictures."""
    log_partition: Float[Array, ""]
    """log Z, a sum over all states."""
    log_likelihood: Float[Array, ""]
    """Mean exact log-likelihood of held-out pictures."""


def run(config: Config, report: Report) -> None:
    """Pretrain and train two machines, measure them and draw the results."""
    split = load(config.images)
    shape = split.train.shape[1:]
    data, test = jnp.asarray(binarize(flat(split.train))), jnp.asarray(binarize(flat(split.test)))
    large_key, small_key, chains_key = jax.random.split(report.key(), 3)
    large = _trained(config, report, "large", large_key, config.hidden, data, test)
    small = large
    if config.small_hidden != config.hidden:
        small = _trained(config, report, "small", small_key, config.small_hidden, data, test)
    _summarize(report, large, small)
    _draw_fantasies(report, chains_key, large, data, shape)
    _draw_curves(report, large, small)
    _draw_filters(report, large, shape)
    _draw_reconstructions(report, large, test, shape)


def _trained(
    config: Config, report: Report, name: str, key: Key[Array, ""], hidden: tuple[int, int], data: Array, test: Array
) -> Machine:
    plan = plan_of(config)
    exact = hidden[0] <= MOST_SUMMED
    measure = lambda params: _measure(params, data[:MEASURED], test[:MEASURED], exact)
    return train_deep(key, report, name, plan, hidden, data, lambda learner: learner, measure, _row)


def _row(measured: Measures) -> dict[str, Any]:
    return {
        "variational_free_energy_train": measured.train,
        "variational_free_energy_test": measured.test,
        "bound_test": -measured.test - measured.log_partition,
        "log_likelihood_test": measured.log_likelihood,
    }


@partial(jax.jit, static_argnums=3)
def _measure(params: dbm.Params, train: Array, test: Array, exact: bool) -> Measures:
    mean = lambda pictures: variational_free_energies(params, pictures).mean()
    if not exact:
        return Measures(mean(train), mean(test), jnp.array(jnp.nan), jnp.array(jnp.nan))
    joint, whole = log_sums(params, test)
    return Measures(mean(train), mean(test), whole, joint.mean() - whole)


def _summarize(report: Report, large: Machine, small: Machine) -> None:
    exact, whole = small.watched.measures, large.watched.measures
    bound = -exact.test - exact.log_partition
    report.table(
        "The small machine: exact means over held-out pictures, in nats",
        ("training", "log-likelihood", "bound", "gap"),
        [
            (name, f"{exact.log_likelihood[row]:.2f}", f"{bound[row]:.2f}", exact.log_likelihood[row] - bound[row])
            for name, row in (("pretraining only", 0), ("and joint learning", -1))
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
        ("Fantasies after pretraining", machine.pretrained),
        ("Fantasies after joint learning", machine.watched.params),
    ]
    figure, panels = plots.panels(1, 3, width=4.2, height=4.5)
    show(panels[0, 0], np.asarray(data[:count]).reshape(8, 8, *shape), "Training pictures")
    mean = data.mean(axis=0)
    for panel, (title, params), chains_key in zip(panels[0, 1:], kernels, jax.random.split(key), strict=True):
        with report.stage(f"drawing {title[0].lower()}{title[1:]}"):
            pictures = np.asarray(_fantasies(chains_key, params, mean, count))
        show(panel, pictures.reshape(8, 8, *shape), title)
    report.figure(
        "fantasies",
        figure,
        f"Training pictures, and fantasies, which are samples of the machine: {count} Gibbs chains that start with "
        f"independent pixels, after {SWEEPS} sweeps. The pictures show the probabilities of the pixels. Pretraining "
        "uses no samples of the whole machine, and its fantasies may be of a few kinds only. Joint learning uses them.",
    )


@partial(jax.jit, static_argnums=3)
def _fantasies(key: Key[Array, ""], params: dbm.Params, mean: Array, count: int) -> Float[Array, "count visible"]:
    """Probabilities of the pixels at the end of Gibbs chains that start with independent pixels."""
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
    plots.label(
        panels[0, 0], "updates of joint learning", "mean over held-out pictures (nats)", "The small machine, exactly"
    )
    panels[0, 1].plot(large.watched.updates, whole.test - whole.train, "-o", markersize=3.5)
    panels[0, 1].set_ylim(bottom=min(0, *(whole.test - whole.train)))
    plots.label(
        panels[0, 1], "updates of joint learning", "held-out − training (nats)", "The large machine: gap of F(q)"
    )
    report.figure(
        "curves",
        figure,
        "Left: the exact mean log-likelihood of held-out pictures, and its lower bound, which joint learning raises. "
        "Their distance is the error of the mean field. Right: mean F(q) of held-out pictures minus that of training "
        "pictures, in which log Z cancels. A growing gap means overfitting.",
    )


def _draw_filters(report: Report, machine: Machine, shape: tuple[int, ...]) -> None:
    below, above = (np.asarray(weights) for weights in machine.watched.params.weights)
    figure, panels = plots.panels(1, 2, width=4.8, height=4.9)
    layers: list[tuple[str, np.ndarray]] = [
        ("First layer: W", below.T),
        ("Second layer, projected to the pixels: WU", (below @ above).T),
    ]
    for panel, (title, weights) in zip(panels[0], layers, strict=True):
        show(panel, strongest(weights, shape), title, weights=True)
    report.figure(
        "filters",
        figure,
        "The weights of hidden units to the pixels: red where a unit makes ink more likely, blue where it makes ink "
        "less likely. Each unit has its own scale. At most a hundred units are shown, those of largest norm first.",
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
        "Held-out pictures; the probabilities of the pixels given the mean field of the first hidden layer; and the "
        "same when only the mean field of the second layer is clamped, and the first layer and the pixels are inferred "
        "from it.",
    )


def _reconstructed(params: dbm.Params, visible: Array) -> tuple[Array, Array]:
    means = infer(params, visible).value
    near = jax.nn.sigmoid(dbm.fields(params, means)[0])
    blank: Callable[[Array], Array] = lambda layer: jnp.full_like(layer, 0.5)
    start = (blank(means[0]), blank(means[1]), means[2])
    energy = partial(dbm.energy, params)
    return near, mean_field(energy, start, 1.0, ((1,), (0,)), BITS, 50, 1e-4).value[0]
