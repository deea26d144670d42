"""How likely held-out pictures are to a restricted Boltzmann machine, for five ways to train it

The likelihood of a machine with few hidden units is a sum over all hidden states. That of a large machine needs its
partition function Z, which annealed importance sampling estimates from both sides. Chains that go from independent
units to the machine bound log Z from below, and chains that go back from draws of the machine bound it from
above. Where the two agree, the likelihood is known; the forward value alone makes a machine look better than it is.

**CD-k** takes as samples of the model the states after k Gibbs sweeps from the data, **PCD** those of chains that
continue from update to update, and **tempered PCD** those of chains that exchange states with chains at higher
temperatures. A **centered** gradient is that of units from which their means are taken. The pictures are binarized by
chance: the brightness of a pixel is the probability of a one, drawn afresh in every update. The pictures to test with
are drawn once.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.likelihoods import paths, restricted
from ebmjax.types import CONVERGED, describe
from experiments.application import options
from experiments.application.options import AtLeast, Between, Count, NotNegative, Positive
from experiments.application.report import Report
from experiments.application.watched import Watched, train_watched
from experiments.data.images import Images, Pictures
from experiments.drawing import plots
from experiments.drawing.mosaics import show
from experiments.spins import machine_likelihoods
from experiments.spins.likelihood_training import (
    PUBLISHED,
    TITLES,
    Gradient,
    Measures,
    Method,
    Plan,
    check_fresh,
    learner,
    load_sets,
)
from experiments.spins.machine_likelihoods import Sides
from experiments.spins.restricted_machines import PREFIX, divided

COLORS = {
    Method.CD_1: "vermillion",
    Method.CD_3: "orange",
    Method.CD_25: "green",
    Method.PCD: "blue",
    Method.TEMPERED_PCD: "purple",
}


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Pictures = Images.DIGITS
    """The pictures: digits, mnist, binarized-mnist, fashion-mnist, or a folder of PNG or JPEG files."""
    fresh: bool = False
    """With binarized-mnist: train on the 60,000 grey pictures of MNIST, which are binarized afresh in every update. The
    pictures to test with stay those of the fixed binarization."""
    methods: tuple[Method, ...] = tuple(Method)
    """Where the samples of the model come from."""
    gradients: tuple[Gradient, ...] = tuple(Gradient)
    """Plain or centered."""
    small: Annotated[int, Between(0, machine_likelihoods.MOST_HIDDEN)] = 20
    """Hidden units of the machines whose likelihood is exact; 0 for none."""
    large: Annotated[int, AtLeast(0)] = 100
    """Hidden units of the larger machines; 0 for none."""
    batch_size: Count = 100
    """Pictures in each update."""
    updates: Count = 6000
    """Updates of each machine, rounded up to whole epochs between measurements."""
    rate: Positive = 0.05
    """The first learning rate; it falls linearly to zero."""
    weight_decay: NotNegative = 2e-4
    """Weight of half the squared norm of the weights in the loss."""
    chains: Count = 100
    """Number of persistent chains."""
    sweeps: Count = 1
    """Gibbs sweeps of the persistent chains in every update."""
    rungs: Annotated[int, AtLeast(2)] = 5
    """Temperatures of tempered PCD."""
    measured: Count = 8
    """Number of measurements of each machine during training."""
    measured_temperatures: Annotated[int, AtLeast(16)] = 300
    """Laws on the way of the annealed chains that measure a larger machine during training."""
    temperatures: Annotated[int, AtLeast(16)] = 2000
    """Laws on the way of the annealed chains after training."""
    annealed_chains: Annotated[int, AtLeast(2)] = 100
    """Annealed chains in each direction."""
    long_sweeps: Count = 2000
    """Sweeps of the chains from which the way back begins, for larger machines."""

    def __post_init__(self):
        options.check(self)
        options.require(self.small + self.large > 0, "small", 0, "hidden units, where --large is 0")
        check_fresh(self.fresh, self.images)


QUICK = Config(
    methods=(Method.TEMPERED_PCD,),
    gradients=(Gradient.CENTERED,),
    small=8,
    large=30,
    updates=300,
    measured=2,
    measured_temperatures=100,
    temperatures=500,
    long_sweeps=100,
)


class Judged(NamedTuple):
    """A machine after its training."""

    machine: Watched
    sides: Sides
    """log Z from both sides."""
    log_partition: float
    """log Z: exact where all hidden states can be summed."""
    train: float
    """Mean log-likelihood of the first training pictures."""
    test: float
    scatter: float
    """Standard error of `test`, from the choice of the pictures."""
    draws: np.ndarray
    """Draws of the machine: exact ones, or those of long chains."""


Name = tuple[int, Method, Gradient]


def run(config: Config, report: Report) -> None:
    """Train all machines, find log Z of each from both sides, and compare the likelihoods."""
    train_key, test_key, *keys = jax.random.split(report.key(), 3)
    data, prefix, test, shape = load_sets(train_key, test_key, config.images, config.fresh, PREFIX)
    names = [
        (hidden, method, gradient)
        for hidden in (config.small, config.large)
        for method in config.methods
        for gradient in config.gradients
        if hidden
    ]
    keys = jax.random.split(keys[0], len(names))
    found = {
        name: _judged(config, report, name, key, data, prefix, test) for name, key in zip(names, keys, strict=True)
    }
    _tell(config, report, found)
    for hidden in (config.small, config.large):
        if hidden:
            _draw_training(config, report, hidden, {name: one for name, one in found.items() if name[0] == hidden})
    _draw_likelihoods(config, report, found)
    _draw_samples(report, found, test, shape)


def _judged(
    config: Config, report: Report, name: Name, key: Key[Array, ""], data: Array, prefix: Array, test: Array
) -> Judged:
    hidden, method, gradient = name
    init_key, learn_key, measure_key, ends_key, both_key = jax.random.split(key, 5)
    mean = data.mean(axis=0)
    base = paths.base_biases(data)
    epochs, updates = divided(len(data), config.batch_size, config.updates, config.measured)
    plan = Plan(
        config.batch_size,
        config.updates,
        config.rate,
        config.weight_decay,
        config.chains,
        config.sweeps,
        config.rungs,
        config.measured,
    )
    title = _title(name)
    measure = lambda params: _measured(
        measure_key, params, base, prefix, test, config.measured_temperatures, config.annealed_chains
    )
    with report.stage(f"training {title}"):
        machine = train_watched(
            learn_key,
            report,
            _folder(name),
            learner(method, gradient, plan, mean, hidden, updates, len(data) // config.batch_size),
            rbm.init(init_key, mean, hidden),
            data,
            config.batch_size,
            epochs,
            config.measured,
            measure,
            lambda measured: {
                "log_likelihood_train": measured.train,
                "log_likelihood_test": measured.test,
                "log_z": measured.log_partition,
            },
        )
    with report.stage(f"log Z of {title}"):
        draws = _drawn(ends_key, machine.params, base, config.annealed_chains, config.temperatures, config.long_sweeps)
        sides = jax.block_until_ready(_sides(both_key, machine.params, base, draws, config.temperatures))
    exact = hidden <= machine_likelihoods.MOST_HIDDEN
    log_partition = restricted.log_partition(machine.params, 1.0) if exact else sides.both
    likelihoods = lambda pictures: np.asarray(
        restricted.log_likelihoods(machine.params, pictures, 1.0, log_partition).log_partition, np.float64
    )
    values, in_train = likelihoods(test), likelihoods(prefix)
    return Judged(
        machine,
        sides,
        float(log_partition.log_partition),
        float(in_train.mean()),
        float(values.mean()),
        float(values.std(ddof=1) / math.sqrt(len(values))),
        np.asarray(draws[:SHOWN]),
    )


SHOWN = 10  # draws of each machine in the picture


@partial(jax.jit, static_argnames=("chains", "temperatures", "sweeps"))
def _drawn(key, params, base, chains, temperatures, sweeps):
    way = restricted.path(params, 1.0, base)
    return machine_likelihoods.ends(key, params, way, jnp.linspace(0, 1, temperatures), chains, sweeps)


@partial(jax.jit, static_argnames="temperatures")
def _sides(key, params, base, draws, temperatures):
    way = restricted.path(params, 1.0, base)
    return machine_likelihoods.sides(key, way, jnp.linspace(0, 1, temperatures), draws)


@partial(jax.jit, static_argnames=("temperatures", "chains"))
def _measured(key, params, base, prefix, test, temperatures, chains):
    if params.hidden_bias.shape[0] <= machine_likelihoods.MOST_HIDDEN:
        found = restricted.log_partition(params, 1.0)
    else:
        found = paths.forward(key, restricted.path(params, 1.0, base), jnp.linspace(0, 1, temperatures), chains)
    mean = lambda pictures: restricted.log_likelihoods(params, pictures, 1.0, found).log_partition.mean()
    return Measures(mean(prefix), mean(test), found.log_partition)


def _title(name: Name) -> str:
    hidden, method, gradient = name
    return f"{gradient.value} {TITLES[method]}, {hidden} hidden units"


def _folder(name: Name) -> str:
    hidden, method, gradient = name
    return f"{method.name.lower()}_{gradient.value}_{hidden}"


def _published(config: Config, name: Name) -> float:
    """NaN where nothing is published: the values are those of plain gradients on binarized MNIST."""
    hidden, method, gradient = name
    comparable = config.images is Images.BINARIZED_MNIST and gradient is Gradient.PLAIN
    return PUBLISHED.get((hidden, method), math.nan) if comparable else math.nan


def _tell(config: Config, report: Report, found: dict[Name, Judged]) -> None:
    rows = []
    for name, one in found.items():
        exact = name[0] <= machine_likelihoods.MOST_HIDDEN
        published, folder, both = _published(config, name), _folder(name), one.sides.both
        report.summary(
            **{
                f"log_likelihood_test_{folder}": one.test,
                f"log_likelihood_train_{folder}": one.train,
                f"log_z_forward_{folder}": float(one.sides.forward.log_partition),
                f"log_z_reverse_{folder}": float(one.sides.reverse.log_partition),
                f"log_z_standard_error_{folder}": float(one.sides.both.standard_error),
            }
        )
        if exact:
            report.summary(**{f"log_z_exact_{folder}": one.log_partition})
        rows.append(
            (
                _title(name),
                f"{one.train:.2f}",
                f"{one.test:.2f} ± {one.scatter:.2f}",
                "" if math.isnan(published) else f"{published:.1f}",
                f"{float(one.sides.forward.log_partition):.2f}",
                f"{float(both.log_partition):.2f} ± {float(both.standard_error):.2f}",
                f"{float(one.sides.reverse.log_partition):.2f}",
                f"{one.log_partition:.2f}" if exact else "",
                "" if int(both.result) == CONVERGED else describe(int(both.result)).split(":")[0],
            )
        )
    report.table(
        "Mean log-likelihood and log Z, in nats",
        (
            "machine",
            "train",
            "test",
            "published",
            "log Z, forward",
            "log Z, from both",
            "log Z, reverse",
            "log Z, exact",
            "result",
        ),
        rows,
    )
    best = max(found, key=lambda name: found[name].test)
    report.text(
        f"The machine that gives the held-out pictures the largest likelihood is that of {_title(best)}: "
        f"**{found[best].test:.2f} nats**. The error behind a test likelihood is that of the choice of the pictures; "
        "that of log Z is in its own column. Likelihoods of machines that can be summed are from the exact log Z, all "
        "others from the estimate from both sides."
    )


def _draw_training(config: Config, report: Report, hidden: int, found: dict[Name, Judged]) -> None:
    figure, axes = plots.one(6.8, 4.4)
    for (_, method, gradient), one in found.items():
        style = "-o" if gradient is Gradient.CENTERED else "--s"
        curve = one.machine.measures.test[1:]  # without the untrained machine, whose value would set the scale
        axes.plot(
            one.machine.updates[1:],
            curve,
            style,
            color=plots.PALETTE[COLORS[method]],
            markersize=3.5,
            label=f"{gradient.value} {TITLES[method]}",
        )
    known = [value for (units, _), value in PUBLISHED.items() if units == hidden]
    if known and config.images is Images.BINARIZED_MNIST:
        axes.axhline(max(known), color=plots.PALETTE["black"], linestyle=":", label="best published")
    plots.label(axes, "updates", "mean log-likelihood of held-out pictures (nats)", f"{hidden} hidden units")
    axes.legend(fontsize="small")
    exact = hidden <= machine_likelihoods.MOST_HIDDEN
    report.figure(
        f"training_{hidden}",
        figure,
        f"Mean log-likelihood of held-out pictures during the training of machines with {hidden} hidden units, "
        + ("exact." if exact else "with log Z by short annealed chains, which are too optimistic where they spread."),
    )


def _draw_likelihoods(config: Config, report: Report, found: dict[Name, Judged]) -> None:
    figure, axes = plots.one(6.8, 1.2 + 0.32 * len(found))
    rows = range(len(found))
    for row, (name, one) in zip(rows, found.items(), strict=True):
        color = plots.PALETTE[COLORS[name[1]]]
        axes.plot([one.train, one.test], [row, row], color=color, linewidth=1)
        axes.plot(one.train, row, "o", color=color, markerfacecolor="white")
        axes.errorbar(one.test, row, xerr=one.scatter, fmt="o", color=color, capsize=3)
        axes.plot(_published(config, name), row, "*", color=plots.PALETTE["black"], markersize=9)
    axes.set_yticks(list(rows), [_title(name) for name in found])
    axes.invert_yaxis()
    axes.plot([], [], "o", color=plots.PALETTE["black"], label="held out")
    axes.plot([], [], "o", color=plots.PALETTE["black"], markerfacecolor="white", label="training")
    if any(not math.isnan(_published(config, name)) for name in found):
        axes.plot([], [], "*", color=plots.PALETTE["black"], markersize=9, label="published, held out")
    axes.legend()
    plots.label(axes, "mean log-likelihood (nats)", "")
    report.figure(
        "likelihoods",
        figure,
        "Mean log-likelihoods after training. The bars are one standard error, from the choice of the held-out "
        "pictures.",
    )


def _draw_samples(report: Report, found: dict[Name, Judged], test: Array, shape: tuple[int, ...]) -> None:
    rows = [np.asarray(test[:SHOWN]), *(one.draws for one in found.values())]
    count = min(len(row) for row in rows)
    figure, axes = plots.one(8.4, 0.7 + 0.42 * len(rows))
    pictures = np.stack([row[:count] for row in rows]).reshape(len(rows), count, *shape)
    show(axes, pictures, down=["held out", *(_title(name) for name in found)])
    report.figure(
        "draws",
        figure,
        "Held-out pictures, and draws of each machine: exact ones where its hidden states can be summed, else those of "
        "long Gibbs chains that begin at annealed states.",
    )
