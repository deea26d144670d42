"""Pictures of digits recalled by Hopfield networks

Every pixel is a spin, and every stored picture should be a minimum of E(s) = -½ sᵀWs. **Evolution** sets one spin after
another to the sign of its field, and should lead from a corrupted picture to the stored one. Three rules compute W from
the pictures: Hebb's, Storkey's, and the projection on the span of the pictures (pseudo-inverse). Pictures of digits are
correlated: they have the same background and many common strokes. Hebb's rule therefore fails for more than a few
pictures; the projection does not depend on correlations.
"""

from dataclasses import dataclass
from itertools import cycle
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.energies import hopfield
from ebmjax.energies.hopfield import hebbian, pseudo_inverse, storkey
from ebmjax.loops import map_chunks
from ebmjax.minimize.evolution import asynchronous, energy_trace
from experiments.application import options
from experiments.application.options import AtLeast, Count, Share
from experiments.application.report import Report
from experiments.data.images import Images, Pictures, load
from experiments.drawing import plots
from experiments.drawing.mosaics import show

RULES = {"Hebb": hebbian, "Storkey": storkey, "pseudo-inverse": pseudo_inverse}
COLORS = {"Hebb": "vermillion", "Storkey": "orange", "pseudo-inverse": "blue"}
FRAMES = (0.0, 0.25, 0.5, 1.0, 2.0)  # times that are drawn, in sweeps


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Pictures = Images.DIGITS
    """The pictures: digits, mnist, binarized-mnist, fashion-mnist, or a folder of PNG or JPEG files."""
    stored: Count = 5
    """Number of pictures stored in the networks whose evolution is drawn; the classes take turns."""
    shown: Count = 5
    """Number of pictures whose evolution is drawn, at most --stored."""
    loads: Annotated[tuple[int, ...], AtLeast(1)] = (2, 3, 5, 10, 20, 40)
    """Numbers of stored pictures in the table."""
    flipped: Share = 0.3
    """Share of the pixels that are flipped in a corrupted picture."""
    sweeps: Annotated[int, AtLeast(3)] = 12
    """Sweeps that are drawn; for the table, evolution continues to a fixed point."""

    def __post_init__(self):
        options.check(self)
        options.require(self.shown <= self.stored, "shown", self.shown, f"at most --stored, {self.stored}")
        options.require(len(self.loads) > 0, "loads", self.loads, "at least one number")


QUICK = Config(loads=(2, 5, 10), sweeps=6)


def run(config: Config, report: Report) -> None:
    """Corrupt pictures, draw the evolution from them, and count the pictures that are recalled."""
    flip_key, half_key, order_key = jax.random.split(report.key(), 3)
    pictures = _pictures(config)
    side = pictures.shape[1:]
    patterns = jnp.asarray(pictures.reshape(len(pictures), -1))
    order = jax.random.permutation(order_key, patterns.shape[1])
    corrupted = _corrupt(flip_key, half_key, patterns, side, config.flipped)

    with report.stage("evolving"):
        networks = {name: jax.jit(rule)(patterns[: config.stored]) for name, rule in RULES.items()}
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks.values())
        starts = jnp.stack(list(corrupted.values()))[:, : config.shown]
        trace = lambda params, spins: energy_trace(params, spins, order, config.sweeps)
        traces = report.compiled(jax.vmap(jax.vmap(jax.vmap(trace, (None, 0)), (None, 0)), (0, None)), stacked, starts)
        floors = jax.vmap(jax.vmap(hopfield.energy, (None, 0)), (0, None))(stacked, patterns[: config.shown])
    for index, name in enumerate(corrupted):
        frames = _frames(np.asarray(traces.spins[:, index]), np.asarray(starts[index]), np.asarray(order))
        _draw_frames(config, report, name, frames, pictures[: config.shown])
    _draw_energies(report, np.asarray(traces.energies[:, 0]), np.asarray(floors), patterns.shape[1])
    rises = np.diff(np.asarray(traces.energies).reshape(3, len(corrupted), config.shown, -1), axis=-1).max()
    _table(config, report, patterns, corrupted, order)
    closeness = np.abs(np.corrcoef(pictures[: config.stored].reshape(config.stored, -1)))
    report.summary(
        units=patterns.shape[1],
        largest_rise_of_energy=max(0.0, float(rises)),
        mean_correlation_of_stored=float(closeness[np.triu_indices(config.stored, 1)].mean()),
    )


def _pictures(config: Config) -> Float[np.ndarray, "patterns rows columns"]:
    """Pictures of values -1 and +1, as many as are stored at most; the classes take turns."""
    split = load(config.images)
    count = max(config.stored, *config.loads)
    if split.train_labels is None:
        chosen = np.arange(len(split.train))
    else:
        # The n-th picture of every class comes before the (n+1)-th of any.
        turns = np.zeros(len(split.train), int)
        for label in np.unique(split.train_labels):
            turns[split.train_labels == label] = np.arange(np.sum(split.train_labels == label))
        chosen = np.lexsort((split.train_labels, turns))
    return np.where(split.train[chosen[:count]] > 0.5, 1.0, -1.0).astype(np.float32)


def _corrupt(flip_key, half_key, patterns: Array, side: tuple[int, ...], flipped: float) -> dict[str, Array]:
    """Starts of the evolution, under the names of the kinds of corruption."""
    lower = jnp.broadcast_to(jnp.arange(side[0])[:, None] >= side[0] // 2, side).reshape(1, -1)
    lower = jnp.broadcast_to(lower, patterns.shape)
    noise = jax.random.rademacher(half_key, patterns.shape, dtype=patterns.dtype)
    return {
        "flipped": jnp.where(jax.random.bernoulli(flip_key, flipped, patterns.shape), -patterns, patterns),
        "half_random": jnp.where(lower, noise, patterns),
        "half_blank": jnp.where(lower, -1, patterns),
    }


def _frames(spins, starts, order) -> Float[np.ndarray, "rules pictures frames units"]:
    """The states at the times of FRAMES and at the end. Within a sweep, sites already visited have their new spin."""
    rank = np.argsort(order)
    states = np.concatenate([np.broadcast_to(starts[None, :, None], spins[:, :, :1].shape), spins], axis=2)
    frames = []
    for time in FRAMES:
        sweep = int(time)
        visited = rank < (time - sweep) * len(order)
        frames.append(np.where(visited, states[:, :, sweep + 1], states[:, :, sweep]))
    return np.stack([*frames, states[:, :, -1]], axis=2)


def _draw_frames(config, report, name, frames, pictures) -> None:
    rows, columns = pictures.shape[1:]
    titles = {
        "flipped": f"{config.flipped:.0%} of the pixels flipped",
        "half_random": "the lower half replaced by noise",
        "half_blank": "the lower half blank",
    }
    named = ["start", *(f"{time:g}" for time in FRAMES[1:]), "end", "stored"]
    figure, axes = plots.panels(1, 3, width=4.6, height=4.6 * len(pictures) / len(named) + 0.7)
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr]  (constrained, as `panels` makes it)
    for panel, rule, states in zip(axes[0], RULES, frames, strict=True):
        evolutions = states.reshape(len(pictures), -1, rows, columns)
        end = float((states[:, -1] * pictures.reshape(len(pictures), -1)).mean())
        mosaic = (np.concatenate([evolutions, pictures[:, None]], axis=1) + 1) / 2
        show(panel, mosaic, f"{rule}: mean overlap {end:.2f} at the end", across=named)
        panel.set_xlabel("sweeps, and the stored picture")
    report.figure(
        f"frames_{name}",
        figure,
        f"Evolution from pictures with {titles[name]}, in networks with {config.stored} stored pictures: the states "
        "after the given numbers of sweeps and at the end, and the stored picture that should be recalled.",
    )


def _draw_energies(report, energies, floors, units) -> None:
    figure, axes = plots.panels(1, 3, width=3.9, height=3.4)
    heights = energies.reshape(*energies.shape[:2], -1) / units
    times = np.arange(1, heights.shape[-1] + 1) / units
    moving = heights > heights[..., -1:]
    shown = min(times[-1], 0.5 + times[moving.any(axis=(0, 1))].max(initial=1.0))
    for panel, rule, traces, floor in zip(axes[0], RULES, heights, floors / units, strict=True):
        for trace, least, color in zip(traces, floor, cycle(plots.PALETTE.values()), strict=False):
            panel.plot(times, trace, color=color)
            panel.plot(1.02 * shown, least, "<", color=color, markersize=6, clip_on=False)
        panel.set_xlim(0, shown)
        plots.label(panel, "sweeps", "energy per spin" if rule == "Hebb" else "", rule)
    report.figure(
        "energies",
        figure,
        "The energy after every visit to a spin, from pictures with flipped pixels. It never increases. Arrowheads "
        "mark the energies of the stored pictures. A curve that ends below its arrowhead is in a spurious state or in "
        "another picture. The projection gives all stored pictures the same energy, and no state has a lower one.",
    )


def _table(config, report, patterns, corrupted, order) -> None:
    """Overlap of the fixed point with the right picture, for every rule, number of pictures and kind of corruption."""
    counts = jnp.array(config.loads)
    used = (jnp.arange(len(patterns))[None] < counts[:, None]).astype(patterns.dtype)
    starts = jnp.stack([patterns, *corrupted.values()])

    def measure(network):
        params, used = network
        solve = lambda spins: asynchronous(params, spins, order, max_sweeps=200)
        solution = jax.vmap(jax.vmap(solve))(starts)
        overlap = (solution.value * patterns[None]).mean(axis=2)
        average = lambda values: (values * used[None]).sum(axis=1) / used.sum()
        return average(overlap), average(jnp.where(overlap == 1, 1.0, 0.0)), jnp.max(solution.result)

    rows = []
    figure, axes = plots.panels(1, 4, width=3.2, height=3.3, share_y=True)
    named = ("the picture itself", "flipped pixels", "half noise", "half blank")
    before = np.asarray((starts * patterns[None]).mean(axis=(1, 2)))
    results = {}
    for rule, build in RULES.items():
        with report.stage(f"recall by {rule}"):
            networks = jax.jit(lambda used, build=build: (jax.vmap(build, (None, 0))(patterns, used), used))
            overlaps, exact, result = report.compiled(lambda networks: map_chunks(measure, networks, 1), networks(used))
        results[rule] = (overlaps, exact)
        for count, overlap, share in zip(config.loads, np.asarray(overlaps), np.asarray(exact), strict=True):
            rows.append((rule, count, *(f"{m:.2f} ({part:.0%})" for m, part in zip(overlap, share, strict=True))))
            report.metrics(rule=rule, stored=count, overlap=overlap, recalled_exactly=share)
        for panel, overlap in zip(axes[0], np.asarray(overlaps).T, strict=True):
            panel.plot(config.loads, overlap, "o-", color=plots.PALETTE[COLORS[rule]], label=rule)
        report.summary(
            **{
                f"overlap_from_flipped_{rule.lower().replace('-', '_')}": np.asarray(overlaps)[:, 1],
                f"unfinished_{rule.lower().replace('-', '_')}": int(np.max(result)),
            }
        )
    for panel, name, start in zip(axes[0], named, before, strict=True):
        panel.axhline(start, color="#777777", linestyle=":", linewidth=1.4, label="at the start")
        panel.set_xscale("log")
        panel.set_xticks(config.loads, [str(count) for count in config.loads])
        panel.minorticks_off()
        plots.label(panel, "stored pictures", "mean overlap" if name == named[0] else "", f"from {name}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    report.figure(
        "overlaps",
        figure,
        "Overlap of the fixed point with the right picture, averaged over the stored pictures. Any two digits have the "
        "same background, so even a wrong fixed point has an overlap well above zero.",
    )
    report.table("Mean overlap (and share of pictures recalled without an error)", ("rule", "stored", *named), rows)
