"""Restricted Boltzmann machines: what contrastive divergence learns, and what it does not

A restricted Boltzmann machine of binary pictures has the energy

    E(v, h) = -aᵀv - bᵀh - vᵀWh

The gradient of its likelihood is the difference of two means: one over the data, the other over samples of the model.
The data are pictures, binarized at one half. Contrastive divergence (**CD-k**) takes as samples the states after k
Gibbs sweeps from the data. Persistent contrastive divergence (**PCD**) takes the states of Gibbs chains that continue
from update to update. Only these chains can reach states far from all data to which the model gives a high probability.

The partition function of a machine with few hidden units is a sum over all hidden states, so its likelihood is exact
and shows the error of each method. A larger machine shows what the hidden units learn, and its overfitting is seen as a
gap between free energies. All machines are trained in the same way: centered, with plain gradient steps at a rate that
falls linearly to zero.
"""

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast.phases import Phase, contrastive_divergence, persistent
from ebmjax.likelihoods import restricted
from ebmjax.loops import repeat
from ebmjax.sample.special import restricted as sweeps
from experiments.application import options
from experiments.application.options import Between, Count, Positive
from experiments.application.report import Report
from experiments.application.watched import Watched
from experiments.data.images import Images, Pictures, binarize, load
from experiments.drawing import plots
from experiments.drawing.mosaics import flat, show, strongest
from experiments.spins.machine_likelihoods import MOST_HIDDEN
from experiments.spins.restricted_machines import PREFIX, Schedule, train_machine

SHOWN = (0, 1, 10, 100, 1000)  # sweeps after which chains are drawn
COLORS = ("vermillion", "orange", "blue", "purple")


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Pictures = Images.DIGITS
    """The pictures: digits, mnist, binarized-mnist, fashion-mnist, or a folder of PNG or JPEG files."""
    hidden: Annotated[int, Between(1, MOST_HIDDEN)] = 20
    """Hidden units of the machines whose likelihood is exact: 2^hidden states are summed."""
    large_hidden: Count = 200
    """Hidden units of the larger machine."""
    sweeps: Count = 10
    """Gibbs sweeps k of CD-k."""
    chains: Count = 100
    """Number of persistent chains."""
    batch_size: Count = 100
    """Pictures in each update."""
    updates: Count = 12_000
    """Updates of each machine, rounded up to whole epochs between measurements."""
    rate: Positive = 0.1
    """The first learning rate; it falls linearly to zero."""
    measured: Count = 12
    """Number of measurements of each machine during training."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(hidden=10, large_hidden=50, updates=600, measured=4)


class Method(NamedTuple):
    """A way to train a machine."""

    name: str
    folder: str
    """Of the checkpoints."""
    hidden: int
    """Number of hidden units."""
    negative: Phase
    """Samples of the model."""


class Measures(NamedTuple):
    """Mean free energies of the pictures under one machine, and log Z, which is NaN for a large machine."""

    train: Float[Array, ""]
    test: Float[Array, ""]
    log_partition: Float[Array, ""]


def run(config: Config, report: Report) -> None:
    """Train four machines, measure them and draw the results."""
    split = load(config.images)
    shape = split.train.shape[1:]
    data, test = jnp.asarray(binarize(flat(split.train))), jnp.asarray(binarize(flat(split.test)))
    methods = _methods(config, data)
    keys = jax.random.split(report.key(), len(methods) + 1)
    machines = {
        method.name: _train(config, report, method, key, data, test) for method, key in zip(methods, keys, strict=False)
    }
    small = {method.name: machines[method.name] for method in methods if method.hidden <= MOST_HIDDEN}
    _summarize(report, methods, machines)
    if small:
        _draw_likelihoods(report, small)
    _draw_gaps(report, machines)
    _draw_filters(report, machines, shape)
    _draw_reconstructions(report, machines, test, shape)
    _draw_chains(report, keys[-1], machines, test, shape)


def _methods(config: Config, data: Array) -> list[Method]:
    mean = data.mean(axis=0)
    kernel = lambda params: sweeps.binary(params, 1.0)

    def from_pictures(hidden, steps):
        return contrastive_divergence(kernel, lambda key, visible: (visible, jnp.zeros(hidden)), steps)

    def from_chains(hidden):
        start = lambda key: (jax.random.bernoulli(key, mean).astype(data.dtype), jnp.zeros(hidden))
        return persistent(kernel, start, config.chains, steps=1)

    return [
        Method("CD-1", "cd_1", config.hidden, from_pictures(config.hidden, 1)),
        Method(f"CD-{config.sweeps}", "cd_k", config.hidden, from_pictures(config.hidden, config.sweeps)),
        Method("PCD", "pcd", config.hidden, from_chains(config.hidden)),
        Method(
            f"PCD, {config.large_hidden} hidden", "pcd_large", config.large_hidden, from_chains(config.large_hidden)
        ),
    ]


def _train(config: Config, report: Report, method: Method, key: Key[Array, ""], data: Array, test: Array) -> Watched:
    init_key, train_key = jax.random.split(key)
    params = rbm.init(init_key, data.mean(axis=0), method.hidden)
    schedule = Schedule(config.batch_size, config.updates, config.rate, config.measured)
    exact = method.hidden <= MOST_HIDDEN
    measure = lambda params: _measure(params, data[:PREFIX], test, exact)

    def row_of(measured: Measures) -> dict[str, Any]:
        in_train, in_test = log_likelihoods(measured, method.hidden)
        return {
            "free_energy_train": measured.train,
            "free_energy_test": measured.test,
            "log_likelihood_train": in_train,
            "log_likelihood_test": in_test,
        }

    with report.stage(f"training by {method.name}"):
        return train_machine(train_key, report, method.folder, method.negative, params, data, schedule, measure, row_of)


@partial(jax.jit, static_argnums=3)
def _measure(params: rbm.Params, train: Array, test: Array, exact: bool) -> Measures:
    mean = lambda pictures: jnp.mean(jax.vmap(lambda visible: rbm.free_energy(params, visible, 1.0))(pictures))
    log_partition = restricted.log_partition(params, 1.0).log_partition if exact else jnp.array(jnp.nan)
    return Measures(mean(train), mean(test), log_partition)


def log_likelihoods(measured: Measures, hidden: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean log-likelihood of train and test pictures, in nats.

    F is defined by a mean over the 2^hidden states and Z by a sum, so that log p(v) = hidden log 2 - F(v) - log Z.
    """
    volume = hidden * math.log(2)
    return (
        volume - np.asarray(measured.train) - measured.log_partition,
        volume - np.asarray(measured.test) - measured.log_partition,
    )


def _summarize(report: Report, methods: list[Method], machines: dict[str, Watched]) -> None:
    rows, headline = [], {}
    for method in methods:
        machine = machines[method.name]
        train, test = log_likelihoods(machine.measures, method.hidden)
        gap = machine.measures.test - machine.measures.train
        exact = method.hidden <= MOST_HIDDEN
        rows.append(
            (
                method.name,
                method.hidden,
                *((f"{x[-1]:.2f}" if exact else "too large to sum") for x in (train, test)),
                gap[-1],
            )
        )
        if exact:
            headline[f"log_likelihood_test_{method.folder}"] = test[-1]
        headline[f"free_energy_gap_{method.folder}"] = gap[-1]
    report.table(
        "Exact mean log-likelihood, and gap between the mean free energies of held-out and training pictures, in nats",
        ("machine", "hidden units", "train", "test", "gap"),
        rows,
    )
    report.summary(**headline)


def _draw_likelihoods(report: Report, small: dict[str, Watched]) -> None:
    figure, axes = plots.one(6.8, 4.4)
    untrained = math.nan
    for (name, machine), color in zip(small.items(), COLORS, strict=False):
        train, test = log_likelihoods(machine.measures, machine.params.hidden_bias.shape[0])
        untrained = test[0]
        # without the untrained machine, whose value is much lower and would set the scale
        axes.plot(machine.updates[1:], train[1:], "--", color=plots.PALETTE[color], linewidth=1.2)
        axes.plot(machine.updates[1:], test[1:], "-o", color=plots.PALETTE[color], markersize=3.5, label=name)
    axes.plot(
        [],
        [],
        "--",
        color=plots.PALETTE["black"],
        linewidth=1.2,
        label=f"on training pictures (the first {PREFIX:,} at most)",
    )
    plots.label(axes, "updates", "exact mean log-likelihood (nats)")
    axes.legend()
    report.figure(
        "likelihood",
        figure,
        "Exact mean log-likelihood of held-out pictures (solid) and of training pictures (dashed) during training. "
        f"Before training it is {untrained:.1f}. The gradient of contrastive divergence is biased, the less the longer "
        "its chains are. The gradient of persistent chains is nearly unbiased while the parameters change slowly "
        "enough for the chains to follow.",
    )


def _draw_gaps(report: Report, machines: dict[str, Watched]) -> None:
    figure, panels = plots.panels(1, 2, width=5.0, height=3.9)
    large = list(machines.values())[-1]
    plots.lines(
        panels[0, 0],
        large.updates,
        [large.measures.train, large.measures.test],
        ["training pictures", "held-out pictures"],
        [plots.PALETTE["sky"], plots.PALETTE["purple"]],
    )
    plots.label(panels[0, 0], "updates", "mean free energy", list(machines)[-1])
    for (name, machine), color in zip(machines.items(), COLORS, strict=True):
        gap = machine.measures.test - machine.measures.train
        panels[0, 1].plot(machine.updates, gap, "-o", color=plots.PALETTE[color], markersize=3.5, label=name)
    panels[0, 1].legend()
    plots.label(panels[0, 1], "updates", "held-out − training (nats)", "Gap of the mean free energies")
    report.figure(
        "free_energies",
        figure,
        "Mean free energies of training and held-out pictures change together, because log Z changes. Their gap is a "
        "difference of two log-likelihoods, in which log Z cancels. A growing gap means overfitting.",
    )


def _draw_filters(report: Report, machines: dict[str, Watched], shape: tuple[int, ...]) -> None:
    names = [name for index, name in enumerate(machines) if index in (0, 2, 3)]
    figure, panels = plots.panels(1, len(names), width=4.3, height=3.9)
    for panel, name in zip(panels[0], names, strict=True):
        show(panel, strongest(machines[name].params.weights.T, shape), name, weights=True)
    report.figure(
        "filters",
        figure,
        "The weights of hidden units to the pixels: red where a unit makes ink more likely, blue where it makes ink "
        "less likely. Each unit has its own scale. At most a hundred units are shown, those of largest norm first.",
    )


def _draw_reconstructions(report: Report, machines: dict[str, Watched], test: Array, shape: tuple[int, ...]) -> None:
    chosen = test[:12]

    @jax.jit
    def rebuilt(params):
        hidden = jax.vmap(lambda visible: jax.nn.sigmoid(rbm.hidden_field(params, visible)))(chosen)
        return jax.vmap(lambda hidden: jax.nn.sigmoid(rbm.visible_field(params, hidden)))(hidden)

    rows = [chosen, *(rebuilt(machine.params) for machine in machines.values())]
    figure, axes = plots.one(8.4, 0.7 + 0.62 * len(rows))
    show(axes, np.stack(rows).reshape(len(rows), 12, *shape), down=["held out", *machines])
    report.figure(
        "reconstructions",
        figure,
        "Held-out pictures, and their reconstructions, which are the probabilities of the pixels given those of the "
        "hidden units. Good reconstructions do not imply a high likelihood: CD-1 reconstructs as well as the other "
        "machines of its size.",
    )


def _draw_chains(
    report: Report, key: Key[Array, ""], machines: dict[str, Watched], test: Array, shape: tuple[int, ...]
) -> None:
    figure, panels = plots.panels(1, len(machines), width=2.9, height=4.6)
    keys = jax.random.split(key, len(machines))
    for panel, (name, machine), chains_key in zip(panels[0], machines.items(), keys, strict=True):
        pictures = _chains(chains_key, machine.params, test[:8])
        show(panel, np.asarray(pictures).reshape(8, len(SHOWN), *shape), name, across=[str(n) for n in SHOWN])
    report.figure(
        "chains",
        figure,
        f"Gibbs chains that start at held-out pictures (0), after {', '.join(map(str, SHOWN[1:]))} sweeps. Shown are "
        "the probabilities of the pixels. After mixing they are those of a sample of the model, which does not depend "
        "on the start of its chain. A picture that still resembles its start shows that the chain mixes slowly.",
    )


@jax.jit
def _chains(key: Key[Array, ""], params: rbm.Params, visible: Array) -> Float[Array, "n shown pixels"]:
    """Probabilities of the pixels along the chains, after the numbers of sweeps in SHOWN."""
    kernel = sweeps.binary(params, 1.0)

    def run(key, visible):
        state, pictures = kernel.init((visible, jnp.zeros_like(params.hidden_bias))), [visible]
        for (before, after), part in zip(itertools.pairwise(SHOWN), jax.random.split(key, len(SHOWN) - 1), strict=True):
            state = repeat(part, kernel, state, after - before).state
            pictures.append(jax.nn.sigmoid(rbm.visible_field(params, state.position[1])))
        return jnp.stack(pictures)

    return jax.vmap(run)(jax.random.split(key, len(visible)), visible)
