"""How likely held-out pictures are to a deep Boltzmann machine: a bound, and how loose it is

The mean field q of the hidden layers given a picture v bounds its likelihood from below,

    log p(v) >= -F(q) - log Z

where log Z of the whole machine is estimated by annealed chains, from both sides. This bound is what is published.
Annealing the hidden layers with the picture clamped estimates log p(v) itself, so that the distance between the two,
which is the divergence of q from the posterior, is seen as well. For a small machine both are compared with exact sums.

The pictures are binarized by chance: the brightness of a pixel is the probability of a one, drawn afresh in every
update of joint learning; those to test with are drawn once. The parameters that are kept are running means.

Salakhutdinov and Hinton (2009), "Deep Boltzmann machines", section 3.3.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ebmjax.likelihoods import deep, paths
from ebmjax.types import CONVERGED, describe
from experiments.application import options
from experiments.application.options import AtLeast, Count, Positive
from experiments.application.report import Report
from experiments.data.images import Images, Pictures
from experiments.drawing import plots
from experiments.spins import machine_likelihoods
from experiments.spins.deep_machines import MOST_SUMMED, Machine, log_sums, plan_of, train_deep
from experiments.spins.likelihood_training import Measures, binarized_afresh, check_fresh, load_sets, smoothed
from experiments.spins.machine_likelihoods import Sides

PUBLISHED = -84.62
"""Salakhutdinov and Hinton (2009), section 4.1: the bound of a machine of two layers on binarized MNIST, in nats."""


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Pictures = Images.DIGITS
    """The pictures: digits, mnist, binarized-mnist, fashion-mnist, or a folder of PNG or JPEG files."""
    fresh: bool = False
    """With binarized-mnist: train on the 60,000 grey pictures of MNIST, which are binarized afresh in every update. The
    pictures to test with stay those of the fixed binarization."""
    hidden: Annotated[tuple[int, int], AtLeast(1)] = (60, 60)
    """Units of the two hidden layers."""
    small_hidden: Annotated[tuple[int, int], AtLeast(1)] = (10, 20)
    """Units of the hidden layers of a small machine, whose likelihood is exact: at most 14 in the first layer. With
    those of --hidden there is no small machine."""
    batch_size: Count = 100
    """Pictures in each update."""
    pretraining_updates: Count = 1500
    """Updates of each restricted machine in pretraining, rounded up to whole epochs."""
    pretraining_rate: Positive = 0.05
    """Learning rate of the restricted machines."""
    updates: Count = 3000
    """Updates of the whole machine, rounded up to whole epochs between measurements."""
    rate: Positive = 0.02
    """First learning rate of the whole machine; it falls linearly to zero."""
    chains: Count = 100
    """Number of persistent chains."""
    sweeps: Count = 5
    """Gibbs sweeps of the chains in each update."""
    mean_field_steps: Count = 10
    """Limit of the mean-field sweeps in each update."""
    measured: Count = 6
    """Number of measurements during joint learning."""
    measured_temperatures: Annotated[int, AtLeast(16)] = 300
    """Laws on the way of the annealed chains that measure during joint learning."""
    measured_pictures: Count = 2000
    """Pictures, the first ones of each set, on which a machine is measured during joint learning."""
    temperatures: Annotated[int, AtLeast(16)] = 2000
    """Laws on the way of the annealed chains after joint learning."""
    annealed_chains: Annotated[int, AtLeast(2)] = 100
    """Annealed chains in each direction."""
    long_sweeps: Count = 2000
    """Sweeps of the chains from which the way back begins."""
    clamped_pictures: Count = 50
    """Held-out pictures, the first ones, whose likelihood itself is estimated."""
    clamped_temperatures: Annotated[int, AtLeast(16)] = 300
    """Laws on the way of the chains with a picture clamped."""
    clamped_chains: Annotated[int, AtLeast(2)] = 16
    """Chains of each clamped picture."""

    def __post_init__(self):
        options.check(self)
        few = self.small_hidden[0] <= MOST_SUMMED or self.small_hidden == self.hidden
        options.require(few, "small_hidden", self.small_hidden, f"at most {MOST_SUMMED} units in the first layer")
        check_fresh(self.fresh, self.images)


QUICK = Config(
    hidden=(10, 20),
    pretraining_updates=300,
    updates=300,
    measured=2,
    measured_temperatures=100,
    temperatures=400,
    long_sweeps=100,
    clamped_pictures=10,
    clamped_temperatures=60,
)


class Judged(NamedTuple):
    """A machine after its training."""

    machine: Machine
    log_partition: Sides
    """From both sides."""
    bounds: np.ndarray
    """The bound of every held-out picture."""
    likelihoods: np.ndarray
    """The estimated log p(v) of the first held-out pictures."""


def run(config: Config, report: Report) -> None:
    """Train a large and a small machine, and bound the likelihood of the held-out pictures."""
    train_key, test_key, large_key, small_key = jax.random.split(report.key(), 4)
    data, prefix, test, _ = load_sets(train_key, test_key, config.images, config.fresh, config.measured_pictures)
    found = {"large": _judged(config, report, "large", large_key, config.hidden, data, prefix, test)}
    if config.small_hidden != config.hidden:
        found["small"] = _judged(config, report, "small", small_key, config.small_hidden, data, prefix, test)
    _tell(config, report, found, test)
    _draw_training(config, report, found)
    _draw_looseness(report, found)


def _judged(
    config: Config,
    report: Report,
    name: str,
    key: Key[Array, ""],
    hidden: tuple[int, int],
    data: Array,
    prefix: Array,
    test: Array,
) -> Judged:
    learn_key, measure_key, ends_key, both_key, clamped_key = jax.random.split(key, 5)
    base = (paths.base_biases(data), *(jnp.zeros(size) for size in hidden))
    plan = plan_of(config)
    wrapped = lambda learner: binarized_afresh(smoothed(learner, len(data) // config.batch_size))
    few = test[: config.measured_pictures]
    measure = lambda params: _measured(
        measure_key, params, base, prefix, few, config.measured_temperatures, config.annealed_chains
    )
    machine = train_deep(
        learn_key,
        report,
        name,
        plan,
        hidden,
        data,
        wrapped,
        measure,
        lambda measured: {
            "bound_train": measured.train,
            "bound_test": measured.test,
            "log_z": measured.log_partition,
        },
    )
    params = machine.watched.params
    with report.stage(f"log Z of the {name} machine"):
        ends = _drawn(ends_key, params, base, config.annealed_chains, config.temperatures, config.long_sweeps)
        log_z = jax.block_until_ready(_sides(both_key, params, base, ends, config.temperatures))
    with report.stage(f"bounds of {len(test):,} pictures"):
        bounds = np.asarray(deep.bounds(params, test, 1.0, log_z.both).log_partition)
    with report.stage(f"likelihoods of {config.clamped_pictures} pictures"):
        clamped = _clamped(
            clamped_key,
            params,
            test[: config.clamped_pictures],
            log_z.both,
            config.clamped_temperatures,
            config.clamped_chains,
        )
    return Judged(machine, log_z, bounds, np.asarray(clamped.log_partition))


@partial(jax.jit, static_argnames=("chains", "temperatures", "sweeps"))
def _drawn(key, params, base, chains, temperatures, sweeps):
    way = deep.path(params, 1.0, base)
    return paths.chained_ends(key, way, jnp.linspace(0, 1, temperatures), chains, sweeps)


@partial(jax.jit, static_argnames="temperatures")
def _sides(key, params, base, ends, temperatures):
    return machine_likelihoods.sides(key, deep.path(params, 1.0, base), jnp.linspace(0, 1, temperatures), ends)


@partial(jax.jit, static_argnames=("temperatures", "chains"))
def _clamped(key, params, pictures, log_z, temperatures, chains):
    schedule = jnp.linspace(0, 1, temperatures)
    return deep.log_likelihoods(key, params, pictures, 1.0, log_z, schedule, chains)


@partial(jax.jit, static_argnames=("temperatures", "chains"))
def _measured(key, params, base, train, test, temperatures, chains):
    way = deep.path(params, 1.0, base)
    log_z = paths.forward(key, way, jnp.linspace(0, 1, temperatures), chains)
    bound = lambda pictures: deep.bounds(params, pictures, 1.0, log_z).log_partition.mean()
    return Measures(bound(train), bound(test), log_z.log_partition)


def _tell(config: Config, report: Report, found: dict[str, Judged], test: Array) -> None:
    rows = []
    for name, one in found.items():
        params, log_z, count = one.machine.watched.params, one.log_partition.both, len(one.likelihoods)
        forward, reverse = (
            float(one.log_partition.forward.log_partition),
            float(one.log_partition.reverse.log_partition),
        )
        likelihood, bound = float(one.likelihoods.mean()), float(one.bounds.mean())
        scatter = float(one.bounds.std(ddof=1)) / math.sqrt(len(one.bounds))
        report.summary(
            **{
                f"{name}_bound_test": bound,
                f"{name}_bound_test_standard_error": scatter,
                f"{name}_log_z_forward": forward,
                f"{name}_log_z_reverse": reverse,
                f"{name}_log_z_standard_error": float(log_z.standard_error),
                f"{name}_looseness": likelihood - float(one.bounds[:count].mean()),
            }
        )
        exact_z = exact_likelihood = ""
        if params.weights[0].shape[1] <= MOST_SUMMED:
            joint, whole = log_sums(params, test[:count])
            exact_z, exact_likelihood = f"{float(whole):.2f}", f"{float(joint.mean() - whole):.2f}"
            report.summary(
                **{
                    f"{name}_log_z_exact": float(whole),
                    f"{name}_log_likelihood_exact": float(joint.mean() - whole),
                    f"{name}_log_likelihood_estimated": likelihood,
                }
            )
        hidden = "–".join(str(weights.shape[1]) for weights in params.weights)
        rows.append(
            (
                f"{name}, {hidden}",
                f"{bound:.2f} ± {scatter:.2f}",
                f"{float(one.bounds[:count].mean()):.2f}",
                f"{likelihood:.2f}",
                exact_likelihood,
                f"{forward:.2f}",
                f"{float(log_z.log_partition):.2f} ± {float(log_z.standard_error):.2f}",
                f"{reverse:.2f}",
                exact_z,
                "" if int(log_z.result) == CONVERGED else describe(int(log_z.result)).split(":")[0],
            )
        )
    count = len(next(iter(found.values())).likelihoods)
    report.table(
        "Mean log-likelihood of held-out pictures and log Z, in nats",
        (
            "machine",
            "bound",
            f"bound, first {count}",
            f"likelihood, first {count}",
            "exact",
            "log Z, forward",
            "log Z, from both",
            "log Z, reverse",
            "log Z, exact",
            "result",
        ),
        rows,
    )
    if config.images is Images.BINARIZED_MNIST:
        report.text(f"The published bound of a machine of two hidden layers is {PUBLISHED} nats.")


def _draw_training(config: Config, report: Report, found: dict[str, Judged]) -> None:
    figure, axes = plots.one(6.8, 4.2)
    for (name, one), color in zip(found.items(), ("blue", "vermillion"), strict=False):
        watched = one.machine.watched
        for values, style, which in ((watched.measures.train, "--", "training"), (watched.measures.test, "-o", "test")):
            label = f"{name} machine, {which} pictures"
            axes.plot(watched.updates, values, style, color=plots.PALETTE[color], markersize=3.5, label=label)
    if config.images is Images.BINARIZED_MNIST:
        axes.axhline(PUBLISHED, color=plots.PALETTE["black"], linewidth=1, linestyle=":", label="published")
    plots.label(axes, "updates of joint learning", "mean bound on the log-likelihood (nats)")
    axes.legend()
    report.figure(
        "training",
        figure,
        "The variational bound during joint learning, with log Z by short annealed chains, which are too optimistic "
        "where they spread.",
    )


def _draw_looseness(report: Report, found: dict[str, Judged]) -> None:
    figure, axes = plots.one(5.2, 4.6)
    for (name, one), color in zip(found.items(), ("blue", "vermillion"), strict=False):
        bounds = one.bounds[: len(one.likelihoods)]
        axes.plot(bounds, one.likelihoods, "o", color=plots.PALETTE[color], markersize=4, label=f"{name} machine")
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], color=plots.PALETTE["black"], linewidth=1, linestyle=":")
    plots.label(axes, "bound by the mean field (nats)", "log p(v) by annealing (nats)")
    axes.legend()
    report.figure(
        "looseness",
        figure,
        "The estimated log-likelihood of single held-out pictures against its bound. The distance above the dotted "
        "line is the divergence of the mean field from the posterior law of the hidden layers.",
    )
