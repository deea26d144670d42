"""Pictures of digits recalled by Hopfield networks

Every pixel is a spin, every stored picture should be a minimum of E(s) = -½ sᵀWs, and **evolution**, one spin after the
other turning towards its field, should lead a spoilt picture back to the stored one. Three rules write the pictures
into W: Hebb's, Storkey's, and the projection on the pictures' span (pseudo-inverse). Digits are far from random: they
share the background and many strokes. That is what breaks Hebb's rule at a few pictures; the projection does not mind.
"""

from dataclasses import dataclass
from itertools import cycle

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.energies import hopfield
from ebmjax.energies.hopfield import hebbian, pseudo_inverse, storkey
from ebmjax.loops import map_chunks
from ebmjax.minimize.evolution import asynchronous, energy_trace
from experiments.application.report import Report
from experiments.data.images import Images, load
from experiments.drawing import plots

RULES = {"Hebb": hebbian, "Storkey": storkey, "pseudo-inverse": pseudo_inverse}
COLORS = {"Hebb": "vermillion", "Storkey": "orange", "pseudo-inverse": "blue"}
FRAMES = (0.0, 0.25, 0.5, 1.0, 2.0)  # in sweeps


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Images = Images.DIGITS
    """Where the pictures come from."""
    stored: int = 5
    """Pictures stored in the networks whose evolution is drawn; the classes take turns."""
    shown: int = 5
    """Pictures whose evolution is drawn."""
    loads: tuple[int, ...] = (2, 3, 5, 10, 20, 40)
    """Numbers of stored pictures in the table."""
    flipped: float = 0.3
    """Share of the pixels turned in a spoilt picture."""
    sweeps: int = 12
    """Sweeps drawn; in the table evolution goes on to the fixed point."""

    def __post_init__(self):
        if not 0 <= self.flipped <= 1:
            raise ValueError(f"--flipped is {self.flipped}, expected a share from 0 to 1")
        if not 1 <= self.shown <= self.stored:
            raise ValueError(f"--shown is {self.shown}, expected 1 to {self.stored}, the number of stored pictures")
        if not self.loads or min(self.loads) < 1:
            raise ValueError(f"--loads is {self.loads}, expected numbers of at least 1")
        if self.sweeps <= FRAMES[-1]:
            raise ValueError(f"--sweeps is {self.sweeps}, expected at least 3")


QUICK = Config(loads=(2, 5, 10), sweeps=6)


def run(config: Config, report: Report) -> None:
    """Spoil, evolve, draw, and count what is recalled."""
    flip_key, half_key, order_key = jax.random.split(report.key(), 3)
    pictures = _one_of_each(config)
    side = pictures.shape[1:]
    patterns = jnp.asarray(pictures.reshape(len(pictures), -1))
    order = jax.random.permutation(order_key, patterns.shape[1])
    spoilt = _spoil(flip_key, half_key, patterns, side, config.flipped)

    with report.stage("evolving"):
        networks = {name: jax.jit(rule)(patterns[: config.stored]) for name, rule in RULES.items()}
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks.values())
        starts = jnp.stack(list(spoilt.values()))[:, : config.shown]
        trace = lambda params, spins: energy_trace(params, spins, order, config.sweeps)
        traces = report.compiled(jax.vmap(jax.vmap(jax.vmap(trace, (None, 0)), (None, 0)), (0, None)), stacked, starts)
        floors = jax.vmap(jax.vmap(hopfield.energy, (None, 0)), (0, None))(stacked, patterns[: config.shown])
    for index, name in enumerate(spoilt):
        frames = _frames(np.asarray(traces.spins[:, index]), np.asarray(starts[index]), np.asarray(order))
        _draw_frames(config, report, name, frames, pictures[: config.shown])
    _draw_energies(report, np.asarray(traces.energies[:, 0]), np.asarray(floors), patterns.shape[1])
    rises = np.diff(np.asarray(traces.energies).reshape(3, len(spoilt), config.shown, -1), axis=-1).max()
    _table(config, report, patterns, spoilt, order)
    closeness = np.abs(np.corrcoef(pictures[: config.stored].reshape(config.stored, -1)))
    report.summary(
        units=patterns.shape[1],
        largest_rise_of_energy=max(0.0, float(rises)),
        mean_correlation_of_stored=float(closeness[np.triu_indices(config.stored, 1)].mean()),
    )


def _one_of_each(config: Config) -> Float[np.ndarray, "patterns rows columns"]:
    """Pictures in -1 and +1, the classes taking turns, as many as are stored at most."""
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


def _spoil(flip_key, half_key, patterns: Array, side: tuple[int, ...], flipped: float) -> dict[str, Array]:
    """Starts of the evolution, by what was done to the picture."""
    lower = jnp.broadcast_to(jnp.arange(side[0])[:, None] >= side[0] // 2, side).reshape(1, -1)
    lower = jnp.broadcast_to(lower, patterns.shape)
    noise = jax.random.rademacher(half_key, patterns.shape, dtype=patterns.dtype)
    return {
        "flipped": jnp.where(jax.random.bernoulli(flip_key, flipped, patterns.shape), -patterns, patterns),
        "half_random": jnp.where(lower, noise, patterns),
        "half_blank": jnp.where(lower, -1, patterns),
    }


def _frames(spins, starts, order) -> Float[np.ndarray, "rules pictures frames units"]:
    """The states at the times of FRAMES and the last: within a sweep, sites visited by then have their new spin."""
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
        "flipped": f"{config.flipped:.0%} of the pixels turned",
        "half_random": "the lower half replaced by noise",
        "half_blank": "the lower half blank",
    }
    named = ["start", *(f"{time:g}" for time in FRAMES[1:]), "end", "stored"]
    figure, axes = plots.panels(1, 3, width=4.6, height=4.6 * len(pictures) / len(named) + 0.7)
    figure.get_layout_engine().set(wspace=0.06)  # type: ignore[union-attr]  (constrained, as `panels` makes it)
    gap = max(1, rows // 8)
    for panel, rule, states in zip(axes[0], RULES, frames, strict=True):
        width = columns + gap
        mosaic = np.full((len(pictures) * (rows + gap) - gap, len(named) * width - gap), np.nan)
        for row, (picture, evolution) in enumerate(zip(pictures, states, strict=True)):
            for column, frame in enumerate([*evolution.reshape(-1, rows, columns), picture]):
                top, left = row * (rows + gap), column * width
                mosaic[top : top + rows, left : left + columns] = frame
        panel.imshow(mosaic, cmap="gray_r", vmin=-1, vmax=1, interpolation="nearest")
        panel.set_xticks([column * width + columns / 2 - 0.5 for column in range(len(named))], named, fontsize=8.5)
        panel.set_yticks([])
        panel.grid(visible=False)
        panel.spines[:].set_visible(False)
        panel.tick_params(length=0)
        panel.axvline(len(named[:-1]) * width - (gap + 1) / 2, color=plots.PALETTE["black"], linewidth=0.8)
        end = float((states[:, -1] * pictures.reshape(len(pictures), -1)).mean())
        plots.label(panel, "sweeps", "", f"{rule}: overlap {end:.2f} with the stored")
    report.figure(
        f"frames_{name}",
        figure,
        f"Evolution from {titles[name]}, with {config.stored} pictures stored: the states after so many sweeps, at the "
        "end, and the picture that should be recalled.",
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
        "The energy after every visit to a spin, from turned pixels: it never rises. Arrowheads mark the energies of "
        "the stored pictures; what ends below its own is in a state that nobody stored, or in another picture. The "
        "projection gives all stored pictures one energy, and none is lower.",
    )


def _table(config, report, patterns, spoilt, order) -> None:
    """Overlap with the right picture for every rule, number of pictures and way of spoiling, at the fixed point."""
    counts = jnp.array(config.loads)
    used = (jnp.arange(len(patterns))[None] < counts[:, None]).astype(patterns.dtype)
    starts = jnp.stack([patterns, *spoilt.values()])

    def measure(network):
        params, used = network
        solve = lambda spins: asynchronous(params, spins, order, max_sweeps=200)
        solution = jax.vmap(jax.vmap(solve))(starts)
        overlap = (solution.value * patterns[None]).mean(axis=2)
        average = lambda values: (values * used[None]).sum(axis=1) / used.sum()
        return average(overlap), average(jnp.where(overlap == 1, 1.0, 0.0)), jnp.max(solution.result)

    rows = []
    figure, axes = plots.panels(1, 4, width=3.2, height=3.3, share_y=True)
    named = ("the picture itself", "turned pixels", "half noise", "half blank")
    before = np.asarray((starts * patterns[None]).mean(axis=(1, 2)))
    results = {}
    for rule, build in RULES.items():
        with report.stage(f"recall by {rule}"):
            all_of_it = jax.jit(lambda used, build=build: (jax.vmap(build, (None, 0))(patterns, used), used))
            overlaps, exact, result = report.compiled(
                lambda networks: map_chunks(measure, networks, 1), all_of_it(used)
            )
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
        "Overlap of the fixed point with the right picture, mean over the stored ones. Any two digits overlap, for "
        "they share the background, so that even a wrong memory has an overlap well above zero.",
    )
    report.table("Mean overlap (share recalled without an error)", ("rule", "stored", *named), rows)
