"""log Z of your own restricted Boltzmann machine, from both sides, and the likelihood of your data.

The file has the weights `W` (visible × hidden), the visible biases `a` and the hidden biases `b` of binary units in
{0, 1}. Chains are annealed from independent units to the machine, whose log Z is too low in the mean, and back from
draws of the machine, whose log Z is too high. Each with 3 of its standard errors bounds log Z. With at most
20 hidden units these draws are exact, and log Z is summed exactly as well.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from ebmjax.likelihoods import paths, restricted
from ebmjax.types import describe
from experiments.application import options
from experiments.application.options import AtLeast, Count
from experiments.application.report import Report
from experiments.data import machines
from experiments.drawing import plots
from experiments.spins import machine_likelihoods
from experiments.spins.machine_likelihoods import Sides


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    rbm: Path
    """An .npz file with the arrays W (visible × hidden), a (visible) and b (hidden)."""
    data: Path | None = None
    """An .npy file of visible states of zeros and ones, (samples, visible), whose likelihood is wanted."""
    temperatures: Annotated[int, AtLeast(16)] = 10_000
    """Laws on the way. A fourth and a sixteenth of them are tried before."""
    chains: Annotated[int, AtLeast(2)] = 100
    """Chains in each direction."""
    sweeps: Count = 10_000
    """Sweeps of the chains from which the way back begins, for machines that are too large to enumerate."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(rbm=tyro.MISSING, temperatures=640, sweeps=200)


def run(config: Config, report: Report) -> None:
    """Read the machine, anneal at three numbers of temperatures, and say what is known of log Z."""
    params = machines.read(config.rbm)
    visible, hidden = params.weights.shape
    data = None if config.data is None else jnp.asarray(machines.read_states(config.data, visible))
    base = params.visible_bias if data is None else paths.base_biases(data)
    report.text(f"`{config.rbm.name}` has {visible} visible and {hidden} hidden units.")
    few = hidden <= machine_likelihoods.MOST_HIDDEN
    numbers = [config.temperatures // 16, config.temperatures // 4, config.temperatures]
    found: list[Sides] = []
    ends_key, *keys = jax.random.split(report.key(), 1 + len(numbers))
    with report.stage("drawing from the machine"):
        schedule = jnp.linspace(0, 1, config.temperatures)
        draw = lambda key, params, base: machine_likelihoods.ends(
            key, params, restricted.path(params, 1.0, base), schedule, config.chains, config.sweeps
        )
        ends = report.compiled(draw, ends_key, params, base)
    for number, key in zip(numbers, keys, strict=True):
        with report.stage(f"annealing through {number:,} laws, there and back"):
            one = lambda key, params, base, ends, number=number: machine_likelihoods.sides(
                key, restricted.path(params, 1.0, base), jnp.linspace(0, 1, number), ends
            )
            found.append(report.compiled(one, key, params, base, ends))
        report.metrics(temperatures=number, **_fields(found[-1]))
    last = found[-1].both
    whole = restricted.log_partition(params, 1.0) if few else last
    exact = float(whole.log_partition) if few else math.nan
    _tell(report, numbers, found, exact)
    if data is not None and config.data is not None:
        values = np.asarray(restricted.log_likelihoods(params, data, 1.0, whole).log_partition, np.float64)
        scatter = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        report.summary(log_likelihood=float(values.mean()), log_likelihood_standard_error=float(scatter))
        report.text(
            f"The mean log-likelihood of the {len(values):,} states in `{config.data.name}` is "
            f"**{values.mean():.2f} ± {scatter:.2f} nats**, where the error is that of the choice of the states; that "
            f"of log Z is {0.0 if few else float(last.standard_error):.2g}."
        )
    _draw(report, numbers, found, exact)


def _fields(sides: Sides) -> dict[str, float]:
    return {
        "log_z_forward": float(sides.forward.log_partition),
        "log_z_reverse": float(sides.reverse.log_partition),
        "log_z": float(sides.both.log_partition),
        "standard_error": float(sides.both.standard_error),
        "log_z_lower": float(sides.both.lower),
        "log_z_upper": float(sides.both.upper),
    }


def _tell(report: Report, numbers: list[int], found: list[Sides], exact: float) -> None:
    last = found[-1]
    report.summary(**_fields(last), result=describe(int(last.both.result)))
    rows: list[tuple] = [
        (
            number,
            one.both.lower,
            one.forward.log_partition,
            one.both.log_partition,
            one.both.standard_error,
            one.reverse.log_partition,
            one.both.upper,
            describe(int(one.both.result)).split(":")[0],
        )
        for number, one in zip(numbers, found, strict=True)
    ]
    if not math.isnan(exact):
        report.summary(log_z_exact=exact)
        rows.append(("all states", exact, exact, exact, 0.0, exact, exact, "exact"))
    report.table(
        "log Z (nats)",
        ("laws on the way", "at least", "forward", "from both", "standard error", "reverse", "at most", "result"),
        rows,
    )
    if math.isnan(exact):
        report.text(
            "The way back begins at the ends of long chains. If these have not mixed, the value from above may be too "
            "low: compare runs with other numbers of `--sweeps`."
        )


def _draw(report: Report, numbers: list[int], found: list[Sides], exact: float) -> None:
    figure, axes = plots.one(6.2, 4.2)
    for name, values, color in (
        ("reverse: from above", [one.reverse for one in found], "vermillion"),
        ("forward: from below", [one.forward for one in found], "sky"),
    ):
        values = np.array([float(one.log_partition) for one in values])
        axes.plot(numbers, values, "-o", color=plots.PALETTE[color], label=name)
    axes.fill_between(
        numbers,
        np.array([float(one.both.lower) for one in found]),
        np.array([float(one.both.upper) for one in found]),
        color=plots.PALETTE["black"],
        alpha=0.08,
        linewidth=0,
        label="between the bounds",
    )
    middle, errors = (np.array([float(one.both[field]) for one in found]) for field in (0, 1))
    axes.errorbar(numbers, middle, errors, fmt="s", color=plots.PALETTE["black"], capsize=3, label="from both")
    if not math.isnan(exact):
        axes.axhline(exact, color=plots.PALETTE["black"], linewidth=1, linestyle=":", label="all states summed")
    axes.set_xscale("log")
    axes.legend()
    plots.label(axes, "laws on the way", "log Z (nats)")
    report.figure(
        "log_partition",
        figure,
        "log Z from chains that go to the machine (too low in the mean) and from chains that come back from it (too "
        "high). The more laws on the way, the closer the two. The shaded bounds are 3 standard errors further out, and "
        "the bar is one standard error of the estimate from both.",
    )
