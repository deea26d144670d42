"""Boltzmann machines that learn: exact likelihood against samples

A machine of twelve spins: nine pixels, one label and two hidden units, with couplings between all pairs. A picture is a
row or a column of ink on a 3 × 3 grid with some pixels flipped, and the label is -1 for a row and +1 for a column. The
law of the data is known, and there are few states. Therefore the **exact** gradient of the likelihood can be computed
by sums over all states, and so can the Kullback-Leibler divergence from the law of the data to that of the machine,
which measures the success of each method.

**Persistent** chains estimate the gradient nearly without bias while the parameters change slowly. **Contrastive
divergence** (CD-1) makes one sweep from the data, and is biased. **Pseudo-likelihood** needs neither sums over states
nor samples, but all units must be observed. It trains a machine without hidden units, and the exact likelihood trains
another one for comparison. With the label clamped, a machine gives the conditional law of the pictures.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

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
from experiments.application import options
from experiments.application.options import Between, Count, Inside, Positive
from experiments.application.report import Report
from experiments.application.shown import scan_shown
from experiments.drawing import plots
from experiments.drawing.mosaics import show

SIDE = 3
PIXELS = SIDE**2
OBSERVED = PIXELS + 1  # the pixels and the label
SHOWN = 6  # pictures drawn for each label
COLORS = ("black", "blue", "vermillion", "sky", "orange")


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    hidden: Annotated[int, Between(1, 6)] = 2
    """Hidden units of the machines with hidden units, at most 6, because all states are enumerated in every update."""
    samples: Count = 600
    """Labelled pictures in each training set."""
    noise: Annotated[float, Inside(0, 0.5)] = 0.05
    """Probability that a pixel is flipped."""
    seeds: Count = 8
    """Machines for each method, each with its own pictures, initialization and batches."""
    epochs: Count = 400
    """Passes over the pictures."""
    batch_size: Count = 100
    """Pictures in each update."""
    chains: Count = 100
    """Number of persistent chains."""
    rate: Positive = 0.02
    """Adam's first learning rate; it falls linearly to zero."""
    measured: Count = 40
    """Number of measurements of each machine during training."""

    def __post_init__(self):
        options.check(self)
        fits = self.batch_size <= self.samples
        options.require(fits, "batch_size", self.batch_size, f"at most --samples, {self.samples}")
        options.require(self.measured <= self.epochs, "measured", self.measured, f"at most --epochs, {self.epochs}")


QUICK = Config(seeds=3, epochs=60, measured=12)


class Method(NamedTuple):
    """A way of learning, and the units of its machine."""

    name: str
    short: str
    """Name in the summary."""
    units: boltzmann.Units
    learner: Learner


class Curves(NamedTuple):
    """The machines of one method; leading axis: seeds."""

    params: boltzmann.Params
    epochs: np.ndarray
    divergence: Float[np.ndarray, "seeds measured"]
    """KL divergence from the law of the data to that of the machine, in nats."""
    train: Float[np.ndarray, "seeds measured"]
    """Negative mean log-likelihood of the training pictures, in nats."""


def run(config: Config, report: Report) -> None:
    """Train by five methods, measure the divergences, and draw the most probable pictures of each label."""
    data_key, train_key = jax.random.split(report.key())
    law = true_law(config.noise)
    states = spin_cube(OBSERVED).points
    pick = lambda key: states[jax.random.choice(key, len(states), (config.samples,), p=law)]
    data = jax.jit(jax.vmap(pick))(jax.random.split(data_key, config.seeds))
    methods = _methods(config)
    keys = jax.random.split(train_key, config.seeds)  # one key a seed: all methods see the same batches
    curves = {}
    for method in methods:
        curves[method.name] = _train(config, report, method, keys, data, law)
    _summarize(config, report, methods, curves, law)
    _draw_divergences(report, curves)
    _draw_conditionals(report, methods, curves, law, data)


def true_law(noise: float) -> Float[Array, " states"]:
    """Probabilities of all states of pixels and label: a row (label -1) or a column (+1) with some pixels flipped."""
    states = spin_cube(OBSERVED).points
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


def _methods(config: Config) -> list[Method]:
    latent, plain = boltzmann.partition(PIXELS, config.hidden, 1), boltzmann.partition(PIXELS, 0, 1)
    updates = config.epochs * (config.samples // config.batch_size)
    optimizer = symmetric_updates(optax.adam(optax.linear_schedule(config.rate, 0.0, updates)))
    exact = lambda units: gradient(
        negative_log_likelihood(observed_free_energy(units, 1.0), spin_cube(OBSERVED), 1.0), optimizer
    )
    sampled = lambda negative: contrastive(boltzmann.energy, clamped(latent, 1.0, 5), negative, optimizer)
    pseudo = multilinear_pseudo_likelihood(observed_free_energy(plain, 1.0), 1.0)
    return [
        Method("exact gradient", "exact", latent, exact(latent)),
        Method("persistent chains", "persistent", latent, sampled(free_running(latent, 1.0, config.chains, 1))),
        Method("CD-1", "cd_1", latent, sampled(contrastive_divergence(latent, 1.0, 1))),
        Method("no hidden units, exact gradient", "plain_exact", plain, exact(plain)),
        Method("no hidden units, pseudo-likelihood", "plain_pseudo", plain, gradient(pseudo, optimizer)),
    ]


def _train(
    config: Config, report: Report, method: Method, keys: Key[Array, " seeds"], data: Array, law: Array
) -> Curves:
    """Train all seeds at once, and measure them before training and at evenly spaced epochs."""
    size = sum(len(part) for part in method.units)
    each = config.epochs // config.measured
    free = observed_free_energy(method.units, 1.0)

    def at(params, data, law):
        """Divergence and likelihood of one machine."""
        energies = jax.vmap(partial(free, params))(spin_cube(OBSERVED).points)
        # F is a mean over hidden states, where log p has a sum. The constant is the same in both terms, and cancels.
        log_partition = jax.nn.logsumexp(-energies)
        divergence = jnp.sum(law * (jnp.log(law) + energies)) + log_partition
        return divergence, jax.vmap(partial(free, params))(data).mean() + log_partition

    def start(key, data, law):
        init_key, train_key = jax.random.split(key)
        params = boltzmann.init(init_key, size)
        progress, keys = begin(train_key, method.learner, params, each * config.measured)
        return progress, keys.reshape(config.measured, each), at(params, data, law)

    def step(progress, keys, data, law):
        progress, _ = advance(keys, method.learner, progress, data, config.batch_size)
        return progress, at(progress.state.params, data, law)

    def tell(done, measured):
        for row, (divergence, train) in enumerate(zip(*measured, strict=True), start=done):
            report.metrics(step=row * each, way=method.name, divergence=divergence, train=train)
        return f"median divergence {np.median(measured[0][-1]):.3g}"

    progress, epoch_keys, first = jax.jit(jax.vmap(start, (0, 0, None), (0, 1, 0)))(keys, data, law)
    tell(0, jax.tree.map(lambda leaf: np.asarray(leaf)[None], first))
    title = f"{method.name}: {config.seeds} machines"
    steps = jax.vmap(step, (0, 0, 0, None))
    progress, rest = scan_shown(
        report, title, steps, progress, epoch_keys, data, law, tell=lambda done, measured: tell(done + 1, measured)
    )
    divergence, train = (
        np.concatenate([np.asarray(one)[None], others]).T for one, others in zip(first, rest, strict=True)
    )
    params = jax.device_get(progress.state.params)
    return Curves(params, np.arange(config.measured + 1) * each, divergence, train)


def _summarize(config: Config, report: Report, methods: list[Method], curves: dict[str, Curves], law: Array) -> None:
    entropy = -float(jnp.sum(law * jnp.log(law)))
    rows = []
    for method in methods:
        machine = curves[method.name]
        low, middle, high = np.quantile(machine.divergence[:, -1], [0.25, 0.5, 0.75])
        units = f"{PIXELS} + {len(method.units.hidden)} + 1"
        rows.append(
            (method.name, units, f"{middle:.3f} ({low:.3f} to {high:.3f})", f"{np.median(machine.train[:, -1]):.3f}")
        )
        report.summary(**{f"divergence_{method.short}": middle})
    report.table(
        f"After {config.epochs} epochs: medians (and quartiles) over {config.seeds} seeds, in nats",
        ("method", "pixels + hidden + label", "divergence from the law of the data", "-log p of the training pictures"),
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
    plots.label(axes, "epochs", "divergence from the law of the data (nats)")
    axes.legend()
    report.figure(
        "divergence",
        figure,
        "Kullback-Leibler divergence from the law of the data to that of the machine, summed over all states: medians "
        "and quartiles over seeds. Dashed: machines without hidden units. They cannot relate the label to rows and "
        "columns, because each coupling is between two units only. Persistent chains are less accurate while the rate "
        "is high, and improve as it falls. CD-1 remains biased.",
    )


def conditional(method: Method, params: boltzmann.Params) -> Float[Array, "labels pictures"]:
    """P(pixels | label) of every picture, for both labels."""
    free, space = observed_free_energy(method.units, 1.0), spin_cube(PIXELS)
    given = lambda label: posterior(lambda pixels: free(params, jnp.append(pixels, label)), space, 1.0)
    return jax.vmap(given)(jnp.array([-1.0, 1.0]))


def _draw_conditionals(
    report: Report, methods: list[Method], curves: dict[str, Curves], law: Array, data: Array
) -> None:
    """Draw the most probable pictures of each label, and their conditional probabilities."""
    middle = int(np.argsort(curves[methods[0].name].divergence[:, -1])[len(data) // 2])
    states = ((np.asarray(data[middle]) > 0) @ (2 ** np.arange(OBSERVED)[::-1])).astype(int)
    shares = np.bincount(states, minlength=2**OBSERVED) / len(states)
    laws = {}
    for name, joint in (("law of the data", np.asarray(law)), ("share in the training set", shares)):
        by_label = joint.reshape(-1, 2).T  # the label is the last unit, which changes fastest
        laws[name] = by_label / by_label.sum(axis=1, keepdims=True)
    for method in methods:
        params = jax.tree.map(lambda leaf: leaf[middle], curves[method.name].params)
        laws[method.name] = np.asarray(jax.jit(partial(conditional, method))(params))
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
        "The most probable pictures with the label clamped, and their exact conditional probabilities: under the law "
        "of the data, in the training set of one seed, and under its machines. A machine that gives rows and columns "
        "the same probability for both labels has not learned the meaning of the label.",
    )
