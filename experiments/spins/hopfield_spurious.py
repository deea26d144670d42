"""What a Hopfield network remembers that nobody told it

A network of 16 spins has 65,536 states: all of them are enumerated, so that every attractor and the size of its basin
are exact. Hebb's rule makes minima that are no pattern: the **reversed** patterns, since E(s) = E(-s), and mixtures of
several patterns, the **spurious** ones. Learning with evolved negatives, W ← W + η(Σ yyᵀ - Σ y'y'ᵀ), pushes up what the
network falls into, and what it can forget depends on where evolution starts: at the patterns, near them, or anywhere.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from ebmjax import spin_cube, train
from ebmjax.energies.hopfield import Params, energy, hebbian
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.losses.evolved_negatives import evolved_loss
from ebmjax.minimize.evolution import evolve
from experiments.application.report import Report
from experiments.drawing import plots

KINDS = ("stored", "reversed", "spurious")
COLORS = ("blue", "sky", "vermillion")


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    units: int = 16
    """Spins; all 2^N states are visited."""
    patterns: tuple[int, ...] = (2, 3, 4, 5, 6)
    """Numbers of stored patterns."""
    seeds: int = 12
    """Networks for each number of patterns."""
    updates: int = 1000
    """Updates of learning, all patterns in each."""
    rate: float = 0.1
    """Learning rate at the beginning: the weight of a pattern in an update, against its weight 1 in Hebb's rule."""
    near: float = 0.2
    """Share of the spins turned where evolution starts near a pattern."""
    draws: int = 8
    """Starts drawn for each pattern at each update."""
    sweeps: int = 6
    """Sweeps from a start to the state that is pushed up."""

    def __post_init__(self):
        if not 4 <= self.units <= 20:
            raise ValueError(f"--units is {self.units}, expected 4 to 20: all states are enumerated")
        if not self.patterns or min(self.patterns) < 1:
            raise ValueError(f"--patterns is {self.patterns}, expected numbers of at least 1")
        if min(self.seeds, self.updates, self.draws, self.sweeps) < 1:
            raise ValueError("seeds, updates, draws and sweeps: expected at least 1 of each")
        if not 0 <= self.near <= 1:
            raise ValueError(f"--near is {self.near}, expected a share from 0 to 1")


QUICK = Config(units=12, patterns=(2, 4), seeds=4, updates=150, draws=4)


class Census(NamedTuple):
    """Attractors of one network by kind, in the order of KINDS: how many, and the share of all states they draw."""

    counts: Int[Array, "3"]
    basins: Float[Array, "3"]
    found: Float[Array, ""]  # share of the stored patterns that are attractors
    recall: Float[Array, ""]  # share of the states within two turned spins of a pattern that fall into it


def run(config: Config, report: Report) -> None:
    """Learn, take the census before and after, draw both."""
    most = max(config.patterns)
    counts = np.repeat(config.patterns, config.seeds)
    keys = jax.random.split(report.key(), (len(counts), 2))
    patterns = jax.vmap(lambda key: jax.random.rademacher(key, (most, config.units), dtype=jnp.float32))(keys[:, 0])
    used = jnp.where(jnp.arange(most)[None] < counts[:, None], 1.0, 0.0)

    ways = {"Hebb": None, "at the patterns": 0.0, "near the patterns": config.near, "anywhere": 0.5}
    networks = {}
    for name, flipped in ways.items():
        with report.stage(f"{name}: {len(counts)} networks"):
            if flipped is None:
                networks[name] = report.compiled(jax.vmap(hebbian), patterns, used)
            else:
                networks[name] = report.compiled(
                    jax.vmap(partial(_learned, config, flipped)), keys[:, 1], patterns, used
                )
    states = spin_cube(config.units).points
    censuses = {}
    with report.stage(f"census of {len(states):,} states of each"):
        function = lambda all_of_it: jax.lax.map(lambda one: _census(states, *one), all_of_it)
        for name, params in networks.items():
            census = report.compiled(function, (params, patterns, used))
            censuses[name] = jax.tree.map(
                lambda leaf: np.asarray(leaf).reshape(len(config.patterns), config.seeds, -1), census
            )
    rows = []
    for name, census in censuses.items():
        for index, count in enumerate(config.patterns):
            numbers, basins = census.counts[index].mean(axis=0), census.basins[index].mean(axis=0)
            found, recall = census.found[index].mean(), census.recall[index].mean()
            rows.append(
                (name, count, *(f"{a:.1f} ({b:.0%})" for a, b in zip(numbers, basins, strict=True)), found, recall)
            )
            report.metrics(
                negatives=name, patterns=count, attractors=numbers, basins=basins, stored=found, recall=recall
            )
    report.table(
        "Attractors (share of all states in their basins), mean over networks",
        ("negatives from", "patterns", *KINDS, "patterns that are attractors", "recall from ≤ 2 turned spins"),
        rows,
    )
    report.summary(
        networks=len(counts),
        spurious_attractors={name: census.counts[..., 2].mean() for name, census in censuses.items()},
        spurious_basin_share={name: census.basins[..., 2].mean() for name, census in censuses.items()},
        stored_basin_share={name: census.basins[..., 0].mean() for name, census in censuses.items()},
        patterns_that_are_attractors={name: census.found.mean() for name, census in censuses.items()},
    )
    _draw_basins(config, report, censuses)
    _draw_counts(config, report, censuses)
    _draw_landscape(config, report, states, networks, patterns, used, counts)


def _learned(config: Config, flipped: float, key, patterns, used) -> Params:
    """From Hebb's rule, with negatives evolved from patterns some of whose spins were turned; half: from anywhere."""
    masked = patterns * used[:, None]

    def one(key, params, batch):
        turned = jax.random.bernoulli(key, flipped, batch.shape[1:])

        def negative(params, y):
            # A pattern that is left out is all zeros, and stays so.
            return jnp.where(y == 0, y, evolve(params, jnp.where(turned, -y, y), config.sweeps))

        return evolved_loss(negative)(params, batch)

    def loss(key, params, batch):
        return jax.vmap(one, (0, None, None))(jax.random.split(key, config.draws), params, batch).mean()

    rate = optax.cosine_decay_schedule(2 * config.rate * len(patterns) / patterns.shape[1], config.updates)
    learner = stochastic_gradient(loss, optax.sgd(rate))
    return train(key, learner, hebbian(patterns, used), masked, batch_size=len(masked), epochs=config.updates).params


def _census(states, params: Params, patterns, used) -> Census:
    """Follow every state to its attractor and sort the attractors."""
    ends = _ends(states, params)
    numbers = jnp.arange(len(states))
    sizes = jnp.zeros(len(states), jnp.int32).at[ends].add(1)
    attractor = ends == numbers
    # Numbers of the stored patterns and their reversals; those that are left out get none.
    stored = jnp.where(used > 0, _number(patterns), len(states))
    reversed_ = jnp.where(used > 0, _number(-patterns), len(states))
    mark = lambda places: jnp.zeros(len(states), bool).at[places].set(True, mode="drop")
    is_stored = mark(stored)
    is_reversed = mark(reversed_) & ~is_stored
    kinds = [attractor & kind for kind in (is_stored, is_reversed, ~is_stored & ~is_reversed)]
    close = ((states @ patterns.T) >= patterns.shape[1] - 4) & (used[None] > 0)
    right = close & (ends[:, None] == stored[None])
    return Census(
        jnp.stack([kind.sum() for kind in kinds]),
        jnp.stack([jnp.where(kind, sizes, 0).sum() for kind in kinds]) / len(states),
        jnp.where(used > 0, attractor[jnp.minimum(stored, len(states) - 1)], False).sum() / used.sum(),
        right.sum() / close.sum(),
    )


def _ends(states, params: Params) -> Int[Array, " states"]:
    """The number of the attractor of each state: one sweep is a map of states, and its square is two sweeps."""
    swept = _number(jax.vmap(evolve, (None, 0, None))(params, states, 1))
    return jax.lax.fori_loop(0, 8, lambda _, ends: ends[ends], swept)


def _number(spins: Array) -> Int[Array, "..."]:
    """The place of a state in `spin_cube`: its spins are the binary digits, the first the highest."""
    powers = 2 ** jnp.arange(spins.shape[-1] - 1, -1, -1, dtype=jnp.int32)
    return jnp.where(spins > 0, powers, 0).sum(axis=-1)


def _draw_basins(config: Config, report: Report, censuses) -> None:
    figure, axes = plots.panels(1, len(censuses), width=3.1, height=3.5, share_y=True)
    places = np.arange(len(config.patterns))
    for panel, (name, census) in zip(axes[0], censuses.items(), strict=True):
        bottom = np.zeros(len(places))
        for kind, color, share in zip(KINDS, COLORS, census.basins.mean(axis=1).T, strict=True):
            panel.bar(places, share, bottom=bottom, color=plots.PALETTE[color], label=kind, width=0.8)
            bottom = bottom + share
        panel.set_xticks(places, [str(count) for count in config.patterns])
        panel.set_ylim(0, 1)
        title = "Hebb's rule" if name == "Hebb" else f"negatives from\n{name.removeprefix('at ')}"
        plots.label(panel, "stored patterns", "share of all states" if name == "Hebb" else "", title)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    report.figure(
        "basins",
        figure,
        f"Where all {2**config.units:,} states end, mean over {config.seeds} networks. Learning takes the states from "
        "the spurious attractors and gives them to the patterns.",
    )


def _draw_counts(config: Config, report: Report, censuses) -> None:
    figure, axes = plots.panels(1, 2, width=4.8, height=4.2)
    for (name, census), color in zip(censuses.items(), ("black", "orange", "green", "purple"), strict=True):
        label = "Hebb's rule" if name == "Hebb" else f"negatives from {name.removeprefix('at ')}"
        spurious = census.counts[..., 2]
        error = spurious.std(axis=1) / np.sqrt(config.seeds)
        axes[0, 0].errorbar(config.patterns, spurious.mean(axis=1), error, fmt="o-", capsize=2,
                            color=plots.PALETTE[color], label=label)  # fmt: skip
        axes[0, 1].plot(config.patterns, census.recall.mean(axis=(1, 2)), "o-", color=plots.PALETTE[color])
    plots.label(axes[0, 0], "stored patterns", "spurious attractors in a network")
    plots.label(axes[0, 1], "stored patterns", "recalled from ≤ 2 turned spins")
    for panel in axes[0]:
        panel.set_xticks(config.patterns)
        panel.set_ylim(bottom=0)
    axes[0, 1].set_ylim(0, 1.03)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    report.figure(
        "counts", figure, "How many attractors are nobody's patterns, and how well the patterns are recalled."
    )


def _draw_landscape(config: Config, report: Report, states, networks, patterns, used, counts) -> None:
    """Every attractor of one network, its energy and the size of its basin, before and after."""
    which = int(np.flatnonzero(counts == config.patterns[len(config.patterns) // 2])[0])
    names = ("Hebb", "anywhere")
    figure, axes = plots.panels(1, 2, width=5.0, height=4.0, share_x=True, share_y=True)
    ends_of = jax.jit(lambda params: (_ends(states, params), jax.vmap(energy, (None, 0))(params, states)))
    stored = np.asarray(_number(patterns[which]))[np.asarray(used[which]) > 0]
    turned = np.asarray(_number(-patterns[which]))[np.asarray(used[which]) > 0]
    for panel, name in zip(axes[0], names, strict=True):
        params = jax.tree.map(lambda leaf: leaf[which], networks[name])
        ends, heights = (np.asarray(leaf) for leaf in ends_of(params))
        attractors, sizes = np.unique(ends, return_counts=True)
        kind = np.where(np.isin(attractors, stored), 0, np.where(np.isin(attractors, turned), 1, 2))
        scale = np.abs(heights[stored]).mean()
        for index in (2, 1, 0):
            of_kind = kind == index
            color = plots.PALETTE[COLORS[index]]
            # A reversed pattern has the energy and the basin of its pattern: a ring around it shows both.
            panel.scatter(
                sizes[of_kind] / len(states), heights[attractors[of_kind]] / scale, s=(34, 120, 34)[index],
                facecolors="none" if index == 1 else color, edgecolors=color, linewidths=1.8 if index == 1 else 0,
                alpha=0.9, label=f"{KINDS[index]} ({of_kind.sum()})",
            )  # fmt: skip
        title = "Hebb's rule" if name == "Hebb" else f"learned, negatives from {name}"
        y = "energy (mean of the stored: -1)" if name == "Hebb" else ""
        plots.label(panel, "share of all states in the basin", y, title)
    for panel in axes[0]:
        panel.margins(0.1)
        panel.set_xlim(left=0)
        panel.legend(title="attractors")
    report.figure(
        "landscape",
        figure,
        f"All attractors of one network of {config.units} spins with {counts[which]} stored patterns. "
        "Under Hebb's rule mixtures of patterns can lie lower than the patterns themselves.",
    )
