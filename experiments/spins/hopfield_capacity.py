"""How many patterns a Hopfield network holds

Random patterns are stored in a network of N units. Recall starts at or near a stored pattern y, and ends at a fixed
point s of the evolution. The overlap m = y·s/N is 1 if the pattern is found. Under Hebb's rule the crosstalk of P
patterns acts like noise of variance P/N. Beyond the critical load **P/N = 0.138** (Amit, Gutfreund & Sompolinsky, 1985)
the stored patterns are lost, the more abruptly the larger the network is. Storkey's rule, the projection on the
patterns (pseudo-inverse) and learning with evolved negatives can store more.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from ebmjax import train
from ebmjax.energies.hopfield import Params, hebbian, pseudo_inverse, storkey
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.losses.evolved_negatives import evolved_loss
from ebmjax.minimize.evolution import asynchronous, evolve
from experiments.application import options
from experiments.application.options import AtLeast, Between, Count, Inside, Share
from experiments.application.report import Report
from experiments.application.shown import map_shown
from experiments.drawing import beta_axis, plots

CRITICAL = 0.138
LEARNED = ("learned", "learned, spins turned")
FOUND = 0.7  # between the overlap of a pattern that is found, at least 0.97, and of one that is lost, about 0.35

Units = Annotated[int, AtLeast(20)]
Loads = Annotated[tuple[float, ...], Inside(0, math.inf), Between(0, 2)]


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    sizes: Annotated[tuple[int, ...], AtLeast(20)] = (200, 500, 1000, 2000)
    """Numbers of units N of the networks with Hebb's rule."""
    seeds: Annotated[tuple[int, ...], AtLeast(1)] = (32, 16, 8, 4)
    """Networks at each load, one number for each size."""
    loads: Loads = (0.06, 0.08, 0.1, 0.11, 0.12, 0.13, 0.14, 0.15, 0.16, 0.17, 0.18, 0.2, 0.22, 0.25)
    """Loads P/N of the networks with Hebb's rule, in rising order, in (0, 2]."""
    compared_units: Units = 300
    """Number of units N in the comparison of the rules."""
    compared_seeds: Count = 6
    """Networks at each load in the comparison of the rules."""
    compared_loads: Loads = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    """Loads P/N in the comparison of the rules, in rising order, in (0, 2]."""
    recalled: Count = 8
    """Number of patterns in each network whose recall is measured."""
    flipped: Share = 0.1
    """Share of the spins that are flipped at the start of recall from near a pattern."""
    learned_units: Units = 100
    """Number of units of the networks that learn; training takes too long for large networks."""
    learned_seeds: Count = 4
    """Networks at each load that learn."""
    updates: Count = 300
    """Updates of learning; each uses all patterns."""
    rate: float = 0.1
    """Learning rate: the weight of a pattern in an update, in units of its weight in Hebb's rule."""

    def __post_init__(self):
        options.check(self)
        same = len(self.sizes) == len(self.seeds)
        options.require(same, "seeds", self.seeds, f"one number for each of the {len(self.sizes)} --sizes")
        for name, loads in (("loads", self.loads), ("compared_loads", self.compared_loads)):
            rising = len(loads) > 1 and list(loads) == sorted(loads)
            options.require(rising, name, loads, "two or more numbers in rising order")


QUICK = Config(
    sizes=(200,),
    seeds=(8,),
    loads=(0.08, 0.12, 0.14, 0.16, 0.2, 0.25),
    compared_units=60,
    compared_seeds=3,
    compared_loads=(0.1, 0.2, 0.4, 0.6, 0.9),
    learned_units=40,
    learned_seeds=2,
    updates=100,
)

Store = Callable[[Key[Array, ""], Float[Array, "patterns units"], Float[Array, " patterns"], Float[Array, ""]], Params]
"""`store(key, patterns, used, flipped)`; only learning uses the key and the share of flipped spins."""

Row = Callable[[Float[np.ndarray, "seeds 2"]], dict[str, Any]]
"""What metrics.jsonl says of the overlaps at one load."""


def run(config: Config, report: Report) -> None:
    """Measure Hebb's rule at every size, then compare all rules at one size."""
    sizes_key, rules_key = jax.random.split(report.key())
    crossings, curves = {}, {}
    for units, seeds, key in zip(
        config.sizes, config.seeds, jax.random.split(sizes_key, len(config.sizes)), strict=True
    ):
        title = f"Hebb, {units} units: {len(config.loads)} loads × {seeds} networks"
        of_hebb = {"Hebb": 0.0}
        overlaps = _measure(config, report, title, key, _plain(hebbian), units, seeds, config.loads, of_hebb, _spread)
        curves[units] = overlaps[0, :, :, 0]
        crossings[units] = _crossing(config.loads, curves[units].mean(axis=1), FOUND)
    _draw_sizes(config, report, curves, crossings)

    stores = {
        ("Hebb",): _plain(hebbian),
        ("Storkey",): _plain(storkey),
        ("pseudo-inverse",): _plain(pseudo_inverse),
        LEARNED: partial(_learned, config),
    }
    compared = {}
    for (names, store), key in zip(stores.items(), jax.random.split(rules_key, len(stores)), strict=True):
        units, seeds = config.compared_units, config.compared_seeds
        if names == LEARNED:
            units, seeds = config.learned_units, config.learned_seeds
        title = f"{' and '.join(names)}, {units} units"
        flips = dict(zip(names, (0.0, config.flipped), strict=False))
        overlaps = _measure(config, report, title, key, store, units, seeds, config.compared_loads, flips, _starts)
        compared |= zip(names, overlaps.mean(axis=2), strict=True)
    _draw_rules(config, report, compared)
    report.summary(
        load_where_hebb_loses_its_patterns={str(units): crossing for units, crossing in crossings.items()},
        steepest_fall_between_loads={str(units): _fall(config.loads, curve) for units, curve in curves.items()},
        load_where_half_of_the_turned_spins_come_back={
            name: _crossing(config.compared_loads, curve[:, 1], 1 - config.flipped) for name, curve in compared.items()
        },
    )


def _plain(rule) -> Store:
    return lambda key, patterns, used, flipped: rule(patterns, used)


def _learned(config: Config, key, patterns, used, flipped) -> Params:
    """Learn from Hebb's rule on with evolved negatives: two sweeps from a pattern, of which some spins are flipped."""
    masked = patterns * used[:, None]

    def loss(key, params, batch):
        flips = jax.random.bernoulli(key, flipped, batch.shape[1:])

        def negative(params, y):
            # A pattern that is not used is all zeros, and remains so.
            return jnp.where(y == 0, y, evolve(params, jnp.where(flips, -y, y), 2))

        return evolved_loss(negative)(params, batch)

    # The gradient is the mean of ½(yyᵀ - y'y'ᵀ). With this factor a pattern has its weight in Hebb's rule times rate.
    rate = optax.cosine_decay_schedule(2 * config.rate * len(patterns) / patterns.shape[1], config.updates, 0.1)
    learner = stochastic_gradient(loss, optax.sgd(rate))
    return train(key, learner, hebbian(patterns, used), masked, batch_size=len(masked), epochs=config.updates).params


def _measure(
    config: Config,
    report: Report,
    title: str,
    key: Key[Array, ""],
    store: Store,
    units: int,
    seeds: int,
    loads: tuple[float, ...],
    flips: dict[str, float],
    row_of: Row,
) -> Float[np.ndarray, "flips loads seeds 2"]:
    """Mean overlap after evolution from stored patterns, and from near them; all networks in one compiled program."""
    counts = np.maximum(1, np.round(np.array(loads) * units)).astype(np.int32)
    shape = (len(flips), len(loads), seeds)
    networks = (
        jax.random.split(key, shape).reshape(-1),
        jnp.broadcast_to(jnp.asarray(counts)[None, :, None], shape).reshape(-1),
        jnp.broadcast_to(jnp.array([*flips.values()])[:, None, None], shape).reshape(-1),
    )
    trial = partial(_trial, config, store, units, int(counts.max()))
    rows = [(name, load) for name in flips for load in loads]
    found = []

    def tell(done, overlaps):
        found.append(overlaps)
        every = np.concatenate(found)
        for row in range(done // seeds, len(every) // seeds):  # a line as soon as all networks at a load are done
            name, load = rows[row]
            report.metrics(rule=name, units=units, load=load, **row_of(every[row * seeds : (row + 1) * seeds]))
        return f"overlap {overlaps[-1, 0]:.3g}"

    # As many networks at once as fit into a cache: a matrix of 2,000 units takes 16 MB.
    trials = map_shown(report, title, lambda one: trial(*one), networks, max(1, 800 // units), tell=tell)
    return trials.reshape(*shape, 2)


def _trial(
    config: Config, store: Store, units: int, most: int, key: Key[Array, ""], count: Int[Array, ""], flipped: Array
) -> Float[Array, "2"]:
    """Mean overlaps of one network: store `count` of `most` random patterns, and evolve from some of them."""
    pattern_key, store_key, flip_key, order_key = jax.random.split(key, 4)
    patterns = jax.random.rademacher(pattern_key, (most, units), dtype=jnp.float32)
    used = jnp.where(jnp.arange(most) < count, 1.0, 0.0)
    params = store(store_key, patterns, used, flipped)
    asked = patterns[: config.recalled]
    flips = jax.random.bernoulli(flip_key, config.flipped, asked.shape)
    starts = jnp.stack([asked, jnp.where(flips, -asked, asked)])
    order = jax.random.permutation(order_key, units)
    solve = jax.vmap(jax.vmap(lambda spins: asynchronous(params, spins, order, max_sweeps=100).value))
    overlaps = (solve(starts) * asked[None]).mean(axis=2)
    weights = used[: config.recalled]
    return (overlaps * weights[None]).sum(axis=1) / weights.sum()


def _spread(overlaps: Float[np.ndarray, "seeds 2"]) -> dict[str, Any]:
    return {"overlap": overlaps[:, 0].mean(), "spread": overlaps[:, 0].std()}


def _starts(overlaps: Float[np.ndarray, "seeds 2"]) -> dict[str, Any]:
    from_it, from_near = overlaps.mean(axis=0)
    return {"overlap": from_it, "overlap_from_flipped": from_near}


def _crossing(loads: tuple[float, ...], overlaps: Float[np.ndarray, " loads"], level: float) -> float:
    """The load at which the overlap falls below a level, by interpolation; infinity if it never does."""
    below = np.flatnonzero(overlaps < level)
    if len(below) == 0:
        return float("inf")
    last = below[0]
    if last == 0:
        return float(loads[0])
    share = (overlaps[last - 1] - level) / (overlaps[last - 1] - overlaps[last])
    return float(loads[last - 1] + share * (loads[last] - loads[last - 1]))


def _fall(loads: tuple[float, ...], overlaps: Float[np.ndarray, "loads seeds"]) -> float:
    """The steepest slope with which the mean overlap falls with the load."""
    return float(np.max(-np.diff(overlaps.mean(axis=1)) / np.diff(loads)))


def _draw_sizes(config: Config, report: Report, curves, crossings) -> None:
    figure, axes = plots.one(7.2, 4.6)
    colors = beta_axis.colors(list(curves))
    for color, (units, overlaps) in zip(colors, curves.items(), strict=True):
        mean, error = overlaps.mean(axis=1), overlaps.std(axis=1) / np.sqrt(overlaps.shape[1])
        axes.errorbar(
            config.loads, mean, error, fmt="o-", color=color, capsize=2, markersize=4,
            label=f"N = {units}, m = {FOUND} at {crossings[units]:.3f}",
        )  # fmt: skip
    axes.axvline(CRITICAL, color=plots.PALETTE["black"], linestyle="--", linewidth=1.2, label="theory for N → ∞: 0.138")
    axes.set_ylim(0, 1.03)
    plots.label(axes, "load P/N", "overlap m after evolution from a stored pattern", "Hebb's rule")
    axes.legend()
    report.figure(
        "sizes",
        figure,
        "Mean overlap, and its standard error over networks. Below 0.138 the fixed point differs from the pattern in a "
        "few spins. Above it the pattern is lost, the more abruptly the larger the network is.",
    )


def _draw_rules(config: Config, report: Report, compared) -> None:
    figure, axes = plots.panels(1, 2, width=5.2, height=4.4, share_y=True)
    colors = ("vermillion", "orange", "blue", "green", "purple")
    starts = (1.0, 1 - 2 * config.flipped)
    titles = ("from a stored pattern", f"from a pattern with {config.flipped:.0%} of the spins flipped")
    for column, (panel, start, title) in enumerate(zip(axes[0], starts, titles, strict=True)):
        for color, (name, curve) in zip(colors, compared.items(), strict=True):
            units = config.learned_units if name in LEARNED else config.compared_units
            panel.plot(
                config.compared_loads, curve[:, column], "o-", markersize=4, color=plots.PALETTE[color],
                label=f"{name.replace('turned', 'flipped')}, N = {units}",
            )  # fmt: skip
        panel.axhline(start, color="#777777", linestyle=":", linewidth=1.4, label="at the start")
        panel.axvline(CRITICAL, color=plots.PALETTE["black"], linestyle="--", linewidth=1.2, label="0.138")
        panel.set_ylim(0, 1.03)
        plots.label(panel, "load P/N", "overlap m after evolution" if column == 0 else "", title)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    report.figure(
        "rules",
        figure,
        "A pattern that is a fixed point (left) is not always found from nearby (right). As the load approaches 1 the "
        "projection becomes the identity, for which every state is a fixed point. Learning that starts evolution at "
        "flipped spins makes basins of attraction; learning that starts at the patterns makes only fixed points.",
    )
