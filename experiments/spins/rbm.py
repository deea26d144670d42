"""Restricted Boltzmann machines: what contrastive divergence learns, and what it does not

A restricted Boltzmann machine of binary pictures has the energy

    E(v, h) = -aᵀv - bᵀh - vᵀWh

and learns by the difference of two averages: of the data, and of the model's own samples. The data are pictures
binarized at one half. Contrastive divergence takes for samples what k sweeps of Gibbs sampling make of the data
(**CD-k**), persistent contrastive divergence what chains of the model make of themselves from update to update
(**PCD**). Only the latter can find out that the model is likely somewhere far from all data.

Machines with few hidden units say what that costs: their partition function is a sum over all hidden states, so that
the likelihood is exact. A larger machine shows what is learned, and overfitting as a gap between free energies. All are
trained alike, centered, with plain gradient steps at a rate that falls to zero.
"""

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast.phases import Phase, contrastive_divergence, persistent
from ebmjax.loops import map_chunks, repeat
from ebmjax.random_bits import unrolled
from ebmjax.sample.special import restricted as sweeps
from experiments.application.report import Report
from experiments.application.watched import Watched, train_watched
from experiments.data.images import Images, binarize, load
from experiments.drawing import plots
from experiments.drawing.mosaics import flat, show
from experiments.spins.restricted_machines import PREFIX, divided, learner

SHOWN = (0, 1, 10, 100, 1000)  # sweeps after which chains are drawn
MOST_HIDDEN = 20  # of a machine whose partition function is summed over hidden states
COLORS = ("vermillion", "orange", "blue", "purple")


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Images = Images.DIGITS
    """The pictures: digits, mnist, binarized-mnist or fashion-mnist."""
    hidden: int = 20
    """Hidden units of the machines whose likelihood is exact: 2^hidden states are summed."""
    large_hidden: int = 200
    """Hidden units of the larger machine."""
    sweeps: int = 10
    """k of CD-k."""
    chains: int = 100
    """Persistent chains."""
    batch_size: int = 100
    """Pictures an update."""
    updates: int = 12_000
    """Updates of each machine, rounded up to whole passes over the pictures between measurements."""
    rate: float = 0.1
    """The first learning rate."""
    measured: int = 12
    """How often each machine is measured on its way."""

    def __post_init__(self):
        if not 1 <= self.hidden <= MOST_HIDDEN:
            raise ValueError(f"--hidden is {self.hidden}, expected 1 to {MOST_HIDDEN} (2^hidden states are summed)")
        for name in ("large_hidden", "sweeps", "chains", "batch_size", "updates", "measured"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, expected at least 1")
        if not 0 < self.rate < math.inf:
            raise ValueError(f"--rate is {self.rate}, expected a finite number above 0")


QUICK = Config(hidden=10, large_hidden=50, updates=600, measured=4)


class Way(NamedTuple):
    """A machine to be trained: its name, that of its checkpoints, its size, and where its samples come from."""

    name: str
    folder: str
    hidden: int
    negative: Phase


class Measures(NamedTuple):
    """Mean free energies of one machine, and log Z where it is small (NaN elsewhere)."""

    train: Float[Array, ""]
    test: Float[Array, ""]
    log_partition: Float[Array, ""]


def run(config: Config, report: Report) -> None:
    """Train four machines, measure and draw them."""
    split = load(config.images)
    shape = split.train.shape[1:]
    data, test = jnp.asarray(binarize(flat(split.train))), jnp.asarray(binarize(flat(split.test)))
    ways = _ways(config, data)
    keys = jax.random.split(unrolled(report.key()), len(ways) + 1)
    machines = {way.name: _train(config, report, way, key, data, test) for way, key in zip(ways, keys, strict=False)}
    small = {way.name: machines[way.name] for way in ways if way.hidden <= MOST_HIDDEN}
    _tell(report, ways, machines)
    if small:
        _draw_likelihoods(report, small)
    _draw_gaps(report, machines)
    _draw_filters(report, machines, shape)
    _draw_reconstructions(report, machines, test, shape)
    _draw_chains(report, keys[-1], machines, test, shape)


def _ways(config: Config, data: Array) -> list[Way]:
    mean = data.mean(axis=0)
    kernel = lambda params: sweeps.binary(params, 1.0)

    def from_pictures(hidden, steps):
        return contrastive_divergence(kernel, lambda key, visible: (visible, jnp.zeros(hidden)), steps)

    def from_chains(hidden):
        start = lambda key: (jax.random.bernoulli(key, mean).astype(data.dtype), jnp.zeros(hidden))
        return persistent(kernel, start, config.chains, steps=1)

    return [
        Way("CD-1", "cd_1", config.hidden, from_pictures(config.hidden, 1)),
        Way(f"CD-{config.sweeps}", "cd_k", config.hidden, from_pictures(config.hidden, config.sweeps)),
        Way("PCD", "pcd", config.hidden, from_chains(config.hidden)),
        Way(f"PCD, {config.large_hidden} hidden", "pcd_large", config.large_hidden, from_chains(config.large_hidden)),
    ]


def _train(config: Config, report: Report, way: Way, key: Key[Array, ""], data: Array, test: Array) -> Watched:
    init_key, train_key = jax.random.split(key)
    epochs, updates = divided(len(data), config.batch_size, config.updates, config.measured)
    params = rbm.init(init_key, data.mean(axis=0), way.hidden)
    rbm.check_visible(params, data)
    exact = way.hidden <= MOST_HIDDEN
    with report.stage(f"training by {way.name}"):
        return train_watched(
            report,
            way.folder,
            learner(way.negative, data, config.rate, updates),
            train_key,
            params,
            data,
            config.batch_size,
            epochs,
            config.measured,
            lambda params: _measure(params, data[:PREFIX], test, exact),
        )


@partial(jax.jit, static_argnums=3)
def _measure(params: rbm.Params, train: Array, test: Array, exact: bool) -> Measures:
    mean = lambda pictures: jnp.mean(jax.vmap(lambda visible: rbm.free_energy(params, visible, 1.0))(pictures))
    return Measures(mean(train), mean(test), log_partition(params) if exact else jnp.array(jnp.nan))


def log_partition(params: rbm.Params) -> Float[Array, ""]:
    """log Σ_h Σ_v exp(-E(v, h)), the hidden states enumerated and the visible units summed in closed form.

    The hidden units are taken in two halves: a table of all fields of the one serves every state of the other.
    """
    hidden = params.hidden_bias.shape[0]
    inner = hidden // 2
    states = lambda units: ((jnp.arange(2**units)[:, None] >> jnp.arange(units)[None]) & 1).astype(jnp.float32)
    fields, biases = states(inner) @ params.weights[:, :inner].T, states(inner) @ params.hidden_bias[:inner]

    def given(outer):
        field = params.visible_bias + params.weights[:, inner:] @ outer
        sums = jax.nn.softplus(fields + field[None]).sum(axis=1)
        return jax.nn.logsumexp(sums + biases) + params.hidden_bias[inner:] @ outer

    return jax.nn.logsumexp(map_chunks(given, states(hidden - inner), 1))


def log_likelihoods(measured: Measures, hidden: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean log-likelihood of the train and test pictures, in nats a picture; F averages over 2^hidden states."""
    volume = hidden * math.log(2)
    return (
        volume - np.asarray(measured.train) - measured.log_partition,
        volume - np.asarray(measured.test) - measured.log_partition,
    )


def _tell(report: Report, ways: list[Way], machines: dict[str, Watched]) -> None:
    rows, headline = [], {}
    for way in ways:
        machine = machines[way.name]
        train, test = log_likelihoods(machine.measures, way.hidden)
        gap = machine.measures.test - machine.measures.train
        for row, updates in enumerate(machine.updates):
            report.metrics(
                step=int(updates),
                way=way.name,
                free_energy_train=machine.measures.train[row],
                free_energy_test=machine.measures.test[row],
                log_likelihood_train=train[row],
                log_likelihood_test=test[row],
            )
        exact = way.hidden <= MOST_HIDDEN
        rows.append(
            (way.name, way.hidden, *((f"{x[-1]:.2f}" if exact else "too large to sum") for x in (train, test)), gap[-1])
        )
        if exact:
            headline[f"log_likelihood_test_{way.folder}"] = test[-1]
        headline[f"free_energy_gap_{way.folder}"] = gap[-1]
    report.table(
        "Exact log-likelihood, nats a picture, and the gap of free energies between held-out and training pictures",
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
        # the untrained machine, far below, would set the scale
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
    plots.label(axes, "updates", "exact log-likelihood (nats a picture)")
    axes.legend()
    report.figure(
        "likelihood",
        figure,
        "What the machines are worth: their exact mean log-likelihood of held-out pictures (lines) and of the training "
        f"pictures (dashed) while they learn; untrained it is {untrained:.1f}. The gradient of contrastive divergence "
        "is biased, least where its chains are longest; that of persistent chains is not, as long as they keep up with "
        "the parameters.",
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
    plots.label(panels[0, 1], "updates", "held out less training (nats a picture)", "Gap of the free energies")
    report.figure(
        "free_energies",
        figure,
        "Free energies drift together, as log Z does, but their gap is the difference of two log-likelihoods, in which "
        "log Z cancels: where it grows, the machine learns its training pictures by heart.",
    )


def _draw_filters(report: Report, machines: dict[str, Watched], shape: tuple[int, ...]) -> None:
    names = [name for index, name in enumerate(machines) if index in (0, 2, 3)]
    figure, panels = plots.panels(1, len(names), width=4.3, height=3.9)
    for panel, name in zip(panels[0], names, strict=True):
        weights = np.asarray(machines[name].params.weights).T
        # the strongest first: what a unit can do is bounded by the norm of its weights
        order = np.argsort(-np.linalg.norm(weights, axis=1))
        across = math.ceil(math.sqrt(min(100, len(weights))))
        down = min(100, len(weights)) // across
        chosen = weights[order[: down * across]].reshape(down, across, *shape)
        show(panel, chosen, name, weights=True)
    report.figure(
        "filters",
        figure,
        "The weights of hidden units to the pixels, red where the unit turns ink on and blue where it turns it off; "
        "each has its own scale, the largest come first (at most a hundred).",
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
        "Held-out pictures, and what the hidden units' probabilities make of them. Reconstruction says little about "
        "the likelihood: CD-1, which learns little else, does it as well as the others of its size.",
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
        f"Fantasies: Gibbs chains that start at held-out pictures (0), after {', '.join(map(str, SHOWN[1:]))} sweeps; "
        "shown are the pixels' probabilities. Where nothing is left of the start, the pictures are what the model "
        "itself thinks likely; where something is, that is how slowly its chains mix.",
    )


@jax.jit
def _chains(key: Key[Array, ""], params: rbm.Params, visible: Array) -> Float[Array, "n shown pixels"]:
    """Pixel probabilities along the chains."""
    kernel = sweeps.binary(params, 1.0)

    def run(key, visible):
        state, seen = kernel.init((visible, jnp.zeros_like(params.hidden_bias))), [visible]
        for (before, after), part in zip(itertools.pairwise(SHOWN), jax.random.split(key, len(SHOWN) - 1), strict=True):
            state = repeat(part, kernel, state, after - before).state
            seen.append(jax.nn.sigmoid(rbm.visible_field(params, state.position[1])))
        return jnp.stack(seen)

    return jax.vmap(run)(jax.random.split(key, len(visible)), visible)
