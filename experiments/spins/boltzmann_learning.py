"""Boltzmann machines that learn: exact likelihood against samples

Twelve spins: nine pixels, one label and two hidden units, all coupled with one another. The pictures are a row or a
column of ink on a 3 × 3 screen, with some pixels flipped, and the label says which. The law of the data is known, and
so small that everything is: the **exact** gradient of the likelihood sums over all states, and so does the
Kullback-Leibler divergence from the data's law to the machine's, by which all ways of learning are judged.

**Persistent** chains estimate the gradient without bias as long as they keep up with the parameters. **Contrastive
divergence** (CD-1) takes one sweep from the data, and is biased. **Pseudo-likelihood** needs neither sums nor samples,
but every unit must be seen: it trains a machine without hidden units, and so does the exact likelihood beside it. Held
at a label, the machine draws the pictures that belong to it.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ebmjax import gradient, posterior, spin_cube
from ebmjax.energies import boltzmann
from ebmjax.learn.contrast.boltzmann_phases import (
    clamped,
    contrastive_divergence,
    free_running,
    observed_free_energy,
    symmetric_updates,
)
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.train import advance, begin
from ebmjax.losses.likelihood import negative_log_likelihood
from ebmjax.losses.pseudo_likelihood import multilinear_pseudo_likelihood
from ebmjax.types import Learner
from experiments.application.report import Report
from experiments.drawing import plots
from experiments.drawing.mosaics import show

SIDE = 3
PIXELS = SIDE**2
SEEN = PIXELS + 1
SHOWN = 6  # pictures of each label
COLORS = ("black", "blue", "vermillion", "sky", "orange")


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    hidden: int = 2
    """Hidden units of the machines that have any."""
    samples: int = 600
    """Labelled pictures to learn from."""
    noise: float = 0.05
    """Chance of a pixel to be flipped."""
    seeds: int = 8
    """Machines of each kind, each with its own pictures, initialization and batches."""
    epochs: int = 400
    """Passes over the pictures."""
    batch_size: int = 100
    """Pictures an update."""
    chains: int = 100
    """Persistent chains."""
    rate: float = 0.02
    """Adam's first learning rate; it falls linearly to zero."""
    measured: int = 40
    """How often each machine is measured on its way."""

    def __post_init__(self):
        if not 1 <= self.hidden <= 6:
            raise ValueError(f"--hidden is {self.hidden}, expected 1 to 6 (all states are enumerated at every update)")
        for name in ("samples", "seeds", "epochs", "batch_size", "chains", "measured"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, expected at least 1")
        if self.batch_size > self.samples:
            raise ValueError(f"--batch-size is {self.batch_size}, expected at most --samples, {self.samples}")
        if self.measured > self.epochs:
            raise ValueError(f"--measured is {self.measured}, expected at most --epochs, {self.epochs}")
        if not 0 < self.noise < 0.5:
            raise ValueError(f"--noise is {self.noise}, expected a chance above 0 and below 0.5")
        if not 0 < self.rate < math.inf:
            raise ValueError(f"--rate is {self.rate}, expected a finite number above 0")


QUICK = Config(seeds=3, epochs=60, measured=12)


class Way(NamedTuple):
    """A way of learning, and the units of its machine."""

    name: str
    short: str
    units: boltzmann.Units
    learner: Learner


class Path(NamedTuple):
    """Parameters on the way: leading axes seeds and measured."""

    params: boltzmann.Params
    epochs: np.ndarray


class Curves(NamedTuple):
    """Machines of one way: leading axis seeds."""

    params: boltzmann.Params
    epochs: np.ndarray
    divergence: Float[np.ndarray, "seeds measured"]
    """KL from the data's law to the machine's, in nats."""
    train: Float[np.ndarray, "seeds measured"]
    """Negative log-likelihood of the pictures that were learnt from, in nats."""


def run(config: Config, report: Report) -> None:
    """Five ways of learning, their divergences, and the pictures that belong to the labels."""
    data_key, train_key = jax.random.split(report.key())
    law = true_law(config.noise)
    states = spin_cube(SEEN).points
    pick = lambda key: states[jax.random.choice(key, len(states), (config.samples,), p=law)]
    data = jax.jit(jax.vmap(pick))(jax.random.split(data_key, config.seeds))
    ways = _ways(config)
    keys = jax.random.split(train_key, config.seeds)  # one key a seed: all ways see the same batches
    curves = {}
    for way in ways:
        with report.stage(f"{way.name}: {config.seeds} machines"):
            path = _train(config, report, way, keys, data)
        curves[way.name] = _measure(way, path, law, data)
    _tell(config, report, ways, curves, law)
    _draw_divergences(report, curves)
    _draw_conditionals(report, ways, curves, law, data)


def true_law(noise: float) -> Float[Array, " states"]:
    """Probabilities of all states of pixels and label: a row (label -1) or a column (+1), pixels flipped by chance."""
    states = spin_cube(SEEN).points
    bars = np.eye(SIDE)
    rows = np.repeat(bars[:, :, None], SIDE, 2).reshape(SIDE, PIXELS)
    columns = np.repeat(bars[:, None, :], SIDE, 1).reshape(SIDE, PIXELS)
    clean = 2 * np.concatenate([rows, columns]) - 1
    labels = np.repeat([-1.0, 1.0], SIDE)
    flips = (states[:, None, :PIXELS] != clean[None]).sum(axis=2)
    right = states[:, None, PIXELS] == labels[None]
    flips = flips.astype(float)
    each = jnp.where(right, noise**flips * (1 - noise) ** (PIXELS - flips), 0)
    return each.mean(axis=1)


def _ways(config: Config) -> list[Way]:
    latent, plain = boltzmann.partition(PIXELS, config.hidden, 1), boltzmann.partition(PIXELS, 0, 1)
    updates = config.epochs * (config.samples // config.batch_size)
    optimizer = symmetric_updates(optax.adam(optax.linear_schedule(config.rate, 0.0, updates)))
    exact = lambda units: gradient(
        negative_log_likelihood(observed_free_energy(units, 1.0), spin_cube(SEEN), 1.0), optimizer
    )
    sampled = lambda negative: contrastive(boltzmann.energy, clamped(latent, 1.0, 5), negative, optimizer)
    pseudo = multilinear_pseudo_likelihood(observed_free_energy(plain, 1.0), 1.0)
    return [
        Way("exact gradient", "exact", latent, exact(latent)),
        Way("persistent chains", "persistent", latent, sampled(free_running(latent, 1.0, config.chains, 1))),
        Way("CD-1", "cd_1", latent, sampled(contrastive_divergence(latent, 1.0, 1))),
        Way("no hidden units, exact gradient", "plain_exact", plain, exact(plain)),
        Way("no hidden units, pseudo-likelihood", "plain_pseudo", plain, gradient(pseudo, optimizer)),
    ]


def _train(config: Config, report: Report, way: Way, keys: Key[Array, " seeds"], data: Array) -> Path:
    """All seeds in one compiled call, which keeps the parameters at even steps of the epochs."""
    size = sum(len(part) for part in way.units)
    each = config.epochs // config.measured

    def one(key, data):
        init_key, train_key = jax.random.split(key)
        start = boltzmann.init(init_key, size)
        progress, keys = begin(train_key, way.learner, start, each * config.measured)

        def segment(progress, keys):
            progress = advance(keys, way.learner, progress, data, config.batch_size)[0]
            return progress, progress.state.params

        _, path = jax.lax.scan(segment, progress, keys.reshape(config.measured, each))
        return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, path)

    return Path(report.compiled(jax.vmap(one), keys, data), np.arange(config.measured + 1) * each)


def _measure(way: Way, path: Path, law: Array, data: Array) -> Curves:
    """Divergence and likelihood along the path of every seed."""
    free = observed_free_energy(way.units, 1.0)

    def at(params, data):
        energies = jax.vmap(partial(free, params))(spin_cube(SEEN).points)
        log_partition = jax.nn.logsumexp(-energies)
        divergence = jnp.sum(law * (jnp.log(law) + energies)) + log_partition
        return divergence, jax.vmap(partial(free, params))(data).mean() + log_partition

    rows = jax.jit(lambda params, data: jax.vmap(lambda row: at(row, data))(params))
    by_seed = [rows(jax.tree.map(lambda leaf: leaf[seed], path.params), data[seed]) for seed in range(len(data))]
    divergence, train = (np.stack(part) for part in zip(*by_seed, strict=True))
    # a free energy averages over hidden units, where log p sums over them: the constants of both terms cancel
    last = jax.tree.map(lambda leaf: leaf[:, -1], path.params)
    return Curves(last, path.epochs, divergence, train)


def _tell(config: Config, report: Report, ways: list[Way], curves: dict[str, Curves], law: Array) -> None:
    entropy = -float(jnp.sum(law * jnp.log(law)))
    rows = []
    for way in ways:
        machine = curves[way.name]
        for column, epoch in enumerate(machine.epochs):
            report.metrics(
                step=int(epoch), way=way.name, divergence=machine.divergence[:, column], train=machine.train[:, column]
            )
        low, middle, high = np.quantile(machine.divergence[:, -1], [0.25, 0.5, 0.75])
        units = f"{PIXELS} + {len(way.units.hidden)} + 1"
        rows.append(
            (way.name, units, f"{middle:.3f} ({low:.3f} to {high:.3f})", f"{np.median(machine.train[:, -1]):.3f}")
        )
        report.summary(**{f"divergence_{way.short}": middle})
    report.table(
        f"After {config.epochs} epochs: medians (and quartiles) over {config.seeds} seeds, in nats",
        ("way of learning", "pixels + hidden + label", "divergence from the data's law", "-log p of what was learnt"),
        rows,
    )
    report.summary(entropy_of_the_data=entropy)


def _draw_divergences(report: Report, curves: dict[str, Curves]) -> None:
    figure, axes = plots.one(7.2, 4.6)
    for (name, machine), color in zip(curves.items(), COLORS, strict=True):
        low, middle, high = np.quantile(machine.divergence, [0.25, 0.5, 0.75], axis=0)
        shade = plots.PALETTE[color]
        axes.fill_between(machine.epochs, low, high, color=shade, alpha=0.2, linewidth=0)
        axes.plot(machine.epochs, middle, color=shade, label=name, linestyle="--" if "hidden" in name else "-")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(FixedLocator([0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    plots.label(axes, "epochs", "divergence from the data's law (nats)")
    axes.legend()
    report.figure(
        "divergence",
        figure,
        "Kullback-Leibler divergence from the law of the data to that of the machine, summed over all states: medians "
        "and quartiles over seeds. Dashed: machines without hidden units, which cannot tell rows from columns by their "
        "label, because every coupling is between two units only. Persistent chains lag behind while the rate is high "
        "and catch up as it falls; CD-1 keeps its bias.",
    )


def conditional(way: Way, params: boltzmann.Params) -> Float[Array, "labels pictures"]:
    """P(pixels | label) of every picture, for both labels."""
    free, space = observed_free_energy(way.units, 1.0), spin_cube(PIXELS)
    given = lambda label: posterior(lambda pixels: free(params, jnp.append(pixels, label)), space, 1.0)
    return jax.vmap(given)(jnp.array([-1.0, 1.0]))


def _draw_conditionals(report: Report, ways: list[Way], curves: dict[str, Curves], law: Array, data: Array) -> None:
    """The likeliest pictures of each label, and how likely they are."""
    middle = int(np.argsort(curves[ways[0].name].divergence[:, -1])[len(data) // 2])
    states = ((np.asarray(data[middle]) > 0) @ (2 ** np.arange(SEEN)[::-1])).astype(int)
    seen = np.bincount(states, minlength=2**SEEN) / len(states)
    laws = {}
    for name, joint in (("law of the data", np.asarray(law)), ("share of the pictures learnt from", seen)):
        by_label = joint.reshape(-1, 2).T  # the label is the last unit, which changes fastest
        laws[name] = by_label / by_label.sum(axis=1, keepdims=True)
    for way in ways:
        params = jax.tree.map(lambda leaf: leaf[middle], curves[way.name].params)
        laws[way.name] = np.asarray(jax.jit(partial(conditional, way))(params))
    ink = np.asarray(spin_cube(PIXELS).points).reshape(-1, SIDE, SIDE) / 2 + 0.5
    large = np.kron(ink, np.ones((4, 4)))
    figure, axes = plots.panels(1, 2, width=4.7, height=6.2)
    for column, (panel, label) in enumerate(zip(axes[0], ("row", "column"), strict=True)):
        order = [np.argsort(-probabilities[column], kind="stable")[:SHOWN] for probabilities in laws.values()]
        room = np.full((len(laws), SHOWN, 18, 12), np.nan)
        room[:, :, :12] = large[np.stack(order)]
        show(panel, room, f"P(picture | {label})", down=list(laws) if column == 0 else None)
        for across, (probabilities, chosen) in enumerate(zip(laws.values(), order, strict=True)):
            for place, picture in enumerate(chosen):
                share = f"{probabilities[column, picture]:.0%}"
                panel.text(13 * place + 5.5, 19 * across + 14.5, share, ha="center", va="center", fontsize=8)
    report.figure(
        "conditionals",
        figure,
        "The likeliest pictures when the label is held, and their exact conditional probabilities: of the law, of the "
        "pictures that one seed has learnt from, and of its machines. Where rows stand among the columns, with equal "
        "shares for both labels, the machine has not learnt what the label says.",
    )
