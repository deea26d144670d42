"""Spurious attractors of Hopfield networks, and how learning removes them

A network of 16 spins has 65,536 states. All of them are enumerated, so every attractor and the size of its basin are
exact. With Hebb's rule some minima are not stored patterns: the **reversed** patterns, because E(s) = E(-s), and
**spurious** ones, such as mixtures of several patterns. Learning with evolved negatives, W ← W + η(Σ yyᵀ - Σ y'y'ᵀ),
lowers the energy of the patterns y and raises that of the states y' after some sweeps of evolution. Which attractors it
removes depends on the start of this evolution: at the patterns, near them, or anywhere.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from ebmjax import spin_cube, train
from ebmjax.energies.hopfield import Params, energy, hebbian
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.loops import iterate
from ebmjax.losses.evolved_negatives import evolved_loss
from ebmjax.minimize.evolution import evolve
from experiments.application import options
from experiments.application.options import AtLeast, Between, Count, Share
from experiments.application.report import Report
from experiments.drawing import plots

KINDS = ("stored", "reversed", "spurious")
COLORS = ("blue", "sky", "vermillion")


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    units: Annotated[int, Between(4, 20)] = 16
    """Number N of spins, at most 20, because all 2^N states are enumerated."""
    patterns: Annotated[tuple[int, ...], AtLeast(1)] = (2, 3, 4, 5, 6)
    """Numbers of stored patterns."""
    seeds: Count = 12
    """Networks for each number of patterns."""
    updates: Count = 1000
    """Updates of learning; each uses all patterns."""
    rate: float = 0.1
    """First learning rate: the weight of a pattern in an update, in units of its weight in Hebb's rule."""
    near: Share = 0.2
    """Share of the spins that are flipped where evolution starts near a pattern."""
    draws: Count = 8
    """Random starts of evolution for each pattern in each update."""
    sweeps: Count = 6
    """Sweeps from a start to the state whose energy is raised."""

    def __post_init__(self):
        options.check(self)
        options.require(len(self.patterns) > 0, "patterns", self.patterns, "at least one number")


QUICK = Config(units=12, patterns=(2, 4), seeds=4, updates=150, draws=4)


class Census(NamedTuple):
    """The attractors of one network; axes of length 3 are in the order of KINDS."""

    counts: Int[Array, "3"]
    """Number of attractors."""
    basins: Float[Array, "3"]
    """Share of all states in the basins of these attractors."""
    found: Float[Array, ""]
    """Share of the stored patterns that are attractors."""
    recall: Float[Array, ""]
    """Of the states with at most two spins flipped from a pattern, the share in the basin of that pattern."""


def run(config: Config, report: Report) -> None:
    """Train networks, count their attractors before and after, and draw the results."""
    most = max(config.patterns)
    counts = np.repeat(config.patterns, config.seeds)
    keys = jax.random.split(report.key(), (len(counts), 2))
    patterns = jax.vmap(lambda key: jax.random.rademacher(key, (most, config.units), dtype=jnp.float32))(keys[:, 0])
    used = jnp.where(jnp.arange(most)[None] < counts[:, None], 1.0, 0.0)

    shares = {"Hebb": None, "at the patterns": 0.0, "near the patterns": config.near, "anywhere": 0.5}
    networks = {}
    for name, flipped in shares.items():
        with report.stage(f"{name}: {len(counts)} networks"):
            if flipped is None:
                networks[name] = report.compiled(jax.vmap(hebbian), patterns, used)
            else:
                networks[name] = report.compiled(
                    jax.vmap(partial(_learned, config, flipped)), keys[:, 1], patterns, used
                )
    states = spin_cube(config.units).points
    censuses = {}
    with report.stage(f"counting attractors among {len(states):,} states of each network"):
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
        "Mean number of attractors in a network (and share of all states in their basins)",
        (
            "rule, or start of evolution",
            "patterns",
            *KINDS,
            "patterns that are attractors",
            "recall from ≤ 2 flipped spins",
        ),
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
    """Learn from Hebb's rule on. Evolution starts at patterns with a share `flipped` of their spins flipped."""
    masked = patterns * used[:, None]

    def one(key, params, batch):
        flips = jax.random.bernoulli(key, flipped, batch.shape[1:])

        def negative(params, y):
            # A pattern that is not used is all zeros, and remains so.
            return jnp.where(y == 0, y, evolve(params, jnp.where(flips, -y, y), config.sweeps))

        return evolved_loss(negative)(params, batch)

    def loss(key, params, batch):
        return jax.vmap(one, (0, None, None))(jax.random.split(key, config.draws), params, batch).mean()

    rate = optax.cosine_decay_schedule(2 * config.rate * len(patterns) / patterns.shape[1], config.updates)
    learner = stochastic_gradient(loss, optax.sgd(rate))
    return train(key, learner, hebbian(patterns, used), masked, batch_size=len(masked), epochs=config.updates).params


def _census(states, params: Params, patterns, used) -> Census:
    """Find the attractor of every state, and count the attractors of each kind."""
    ends = _ends(states, params)
    numbers = jnp.arange(len(states))
    sizes = jnp.zeros(len(states), jnp.int32).at[ends].add(1)
    attractor = ends == numbers
    # The numbers of the stored patterns and of their reversals; a pattern that is not used gets an invalid number.
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
    """The number of the attractor of each state: the map of one sweep, composed with itself 8 times: 256 sweeps."""
    swept = _number(jax.vmap(evolve, (None, 0, None))(params, states, 1))
    return iterate(lambda ends: ends[ends], swept, 8)


def _number(spins: Array) -> Int[Array, "..."]:
    """The index of a state in `spin_cube`: its spins are binary digits, of which the first is the highest."""
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
        title = "Hebb's rule" if name == "Hebb" else f"evolution starts\n{name}"
        plots.label(panel, "stored patterns", "share of all states" if name == "Hebb" else "", title)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    report.figure(
        "basins",
        figure,
        f"Shares of all {2**config.units:,} states in the basins of the attractors, averaged over {config.seeds} "
        "networks. Learning makes the basins of the spurious attractors smaller, and those of the patterns larger.",
    )


def _draw_counts(config: Config, report: Report, censuses) -> None:
    figure, axes = plots.panels(1, 2, width=4.8, height=4.2)
    for (name, census), color in zip(censuses.items(), ("black", "orange", "green", "purple"), strict=True):
        label = "Hebb's rule" if name == "Hebb" else f"learned, evolution starts {name}"
        spurious = census.counts[..., 2]
        error = spurious.std(axis=1) / np.sqrt(config.seeds)
        axes[0, 0].errorbar(config.patterns, spurious.mean(axis=1), error, fmt="o-", capsize=2,
                            color=plots.PALETTE[color], label=label)  # fmt: skip
        axes[0, 1].plot(config.patterns, census.recall.mean(axis=(1, 2)), "o-", color=plots.PALETTE[color])
    plots.label(axes[0, 0], "stored patterns", "mean number of spurious attractors")
    plots.label(axes[0, 1], "stored patterns", "recall from ≤ 2 flipped spins")
    for panel in axes[0]:
        panel.set_xticks(config.patterns)
        panel.set_ylim(bottom=0)
    axes[0, 1].set_ylim(0, 1.03)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    report.figure(
        "counts",
        figure,
        "Left: mean number of attractors that are neither patterns nor reversed patterns. Right: share of the states "
        "with at most two flipped spins from which a pattern is recalled.",
    )


def _draw_landscape(config: Config, report: Report, states, networks, patterns, used, counts) -> None:
    """Draw the energy and the size of the basin of every attractor of one network, before and after learning."""
    which = int(np.flatnonzero(counts == config.patterns[len(config.patterns) // 2])[0])
    names = ("Hebb", "anywhere")
    figure, axes = plots.panels(1, 2, width=5.0, height=4.0, share_x=True, share_y=True)
    ends_of = jax.jit(lambda params: (_ends(states, params), jax.vmap(energy, (None, 0))(params, states)))
    stored = np.asarray(_number(patterns[which]))[np.asarray(used[which]) > 0]
    reversed_ = np.asarray(_number(-patterns[which]))[np.asarray(used[which]) > 0]
    for panel, name in zip(axes[0], names, strict=True):
        params = jax.tree.map(lambda leaf: leaf[which], networks[name])
        ends, heights = (np.asarray(leaf) for leaf in ends_of(params))
        attractors, sizes = np.unique(ends, return_counts=True)
        kind = np.where(np.isin(attractors, stored), 0, np.where(np.isin(attractors, reversed_), 1, 2))
        scale = np.abs(heights[stored]).mean()
        for index in (2, 1, 0):
            of_kind = kind == index
            color = plots.PALETTE[COLORS[index]]
            # A reversed pattern has the energy and the basin size of its pattern, and is drawn as a ring around it.
            panel.scatter(
                sizes[of_kind] / len(states), heights[attractors[of_kind]] / scale, s=(34, 120, 34)[index],
                facecolors="none" if index == 1 else color, edgecolors=color, linewidths=1.8 if index == 1 else 0,
                alpha=0.9, label=f"{KINDS[index]} ({of_kind.sum()})",
            )  # fmt: skip
        title = "Hebb's rule" if name == "Hebb" else f"learned, evolution starts {name}"
        y = "energy / mean |E| of the patterns" if name == "Hebb" else ""
        plots.label(panel, "share of all states in the basin", y, title)
    for panel in axes[0]:
        panel.margins(0.1)
        panel.set_xlim(left=0)
        panel.legend(title="attractors")
    report.figure(
        "landscape",
        figure,
        f"All attractors of one network of {config.units} spins with {counts[which]} stored patterns. "
        "With Hebb's rule mixtures of patterns can have a lower energy than the patterns.",
    )
