"""Annealing against quench: slow cooling finds lower energies

Spin glasses have many local minima. A **quench** puts spins that point anywhere at zero temperature, where Gibbs sweeps
only ever lower the energy: it ends in the next minimum. **Annealing** lowers the temperature a little after each sweep;
the slower, the longer the spins stay in equilibrium and the lower they end. **Parallel tempering** lets replicas at all
temperatures exchange places for as long as it runs, so that none is ever stuck for good.

Both glasses have ground states that are known exactly. That of the Sherrington-Kirkpatrick model, where every pair of
spins is coupled, is found by enumeration. The lattice is laid with frustrated tiles around a state that is then hidden:
no tile can have less energy than in that state, and so the lattice cannot.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from matplotlib.ticker import FuncFormatter, NullFormatter

from ebmjax.energies import hopfield, ising
from ebmjax.loops import map_chunks, trajectory
from ebmjax.random_bits import unrolled
from ebmjax.sample.annealing import annealing, geometric_schedule
from ebmjax.sample.gibbs import chromatic
from ebmjax.sample.special.single_site import sweep
from ebmjax.sample.tempering import tempering
from ebmjax.types import Kernel
from experiments.application.report import Report
from experiments.data.glasses import least_energy, mean_energies, planted, planted_energy, sherrington_kirkpatrick
from experiments.drawing import plots

COLORS = {"quench": "vermillion", "repeated quench": "orange", "annealing": "blue", "parallel tempering": "green"}
MOST_UNITS = 20  # of the glass that is enumerated
RESTART = 16  # sweeps of each repeated quench, the first of which only draws the spins
TOLERANCE = 1e-5  # in energy a spin: far above rounding, far below the gap over the ground state


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    units: int = 18
    """Spins of the Sherrington-Kirkpatrick model: 2^units states are enumerated."""
    side: int = 10
    """Side of the lattice, even."""
    instances: int = 16
    """Glasses of each kind."""
    chains: int = 32
    """Runs of each method on each glass."""
    sweeps: tuple[int, ...] = (4, 16, 64, 256, 1024)
    """Lengths of the runs, in sweeps over all spins."""
    hot: float = 3.0
    """Temperature at which annealing begins, in units of the energy."""
    cold: float = 0.2
    """Temperature at which it ends."""
    rungs: int = 8
    """Temperatures of parallel tempering, from hot to cold."""

    def __post_init__(self):
        if not 3 <= self.units <= MOST_UNITS:
            raise ValueError(f"--units is {self.units}, expected 3 to {MOST_UNITS} (2^units states are enumerated)")
        if self.side < 4 or self.side % 2:
            raise ValueError(f"--side is {self.side}, expected an even number of at least 4")
        if not 0 < self.cold < self.hot < math.inf:
            raise ValueError(f"--cold is {self.cold} and --hot {self.hot}, expected 0 < cold < hot")
        if self.rungs < 2:
            raise ValueError(f"--rungs is {self.rungs}, expected at least 2")
        if len(self.sweeps) < 2 or list(self.sweeps) != sorted(set(self.sweeps)) or self.sweeps[0] < 2:
            raise ValueError(f"--sweeps is {self.sweeps}, expected two or more rising numbers from 2")
        if self.sweeps[-1] < 2 * self.rungs:
            raise ValueError(f"--sweeps is {self.sweeps}, expected a longest run of at least twice --rungs")
        if min(self.instances, self.chains) < 1:
            raise ValueError("--instances and --chains: expected at least 1 of each")


QUICK = Config(units=12, side=6, instances=6, chains=12, sweeps=(4, 16, 64, 256))


class Glass(NamedTuple):
    """Instances of one kind of spin glass."""

    name: str
    params: Any
    """Leading axis: instances."""
    ground: Float[Array, " instances"]
    shape: tuple[int, ...]
    """Of a state."""
    energy: Callable[[Any, Any], Any]
    make_kernel: Callable[[Any, Any], Kernel]
    equilibrium: Float[np.ndarray, "instances temperatures"] | None
    """Exact mean energies at `_temperatures`, where they can be enumerated."""


class Runs(NamedTuple):
    """What one method came to, in (E - E0)/N, the lowest so far."""

    sweeps: np.ndarray
    """Sweeps behind each entry."""
    lowest: np.ndarray
    """(instances, chains, entries)."""


class Cooling(NamedTuple):
    """Mean (E - E0)/N on the way down, and in equilibrium."""

    schedules: list[np.ndarray]
    """Inverse temperatures of each run of annealing."""
    means: list[np.ndarray]
    rungs: np.ndarray
    """Temperatures of parallel tempering, and the means of the second half of its run."""
    tempered: np.ndarray
    equilibrium: np.ndarray | None
    """Exact means at `_temperatures`."""


def run(config: Config, report: Report) -> None:
    """Both glasses under all methods."""
    glass_key, lattice_key, *run_keys = jax.random.split(unrolled(report.key()), 4)
    glasses = (_connected(config, report, glass_key), _lattice(config, lattice_key))
    results, coolings = {}, {}
    for glass, key in zip(glasses, run_keys, strict=True):
        results[glass.name], coolings[glass.name] = _measure(config, report, key, glass)
    _tell(report, results)
    _draw_cooling(config, report, coolings)
    _draw_final(report, results)
    _draw_success(config, report, results)


def _connected(config: Config, report: Report, key: Key[Array, ""]) -> Glass:
    make = lambda key: sherrington_kirkpatrick(key, config.units)
    params = jax.jit(jax.vmap(make))(jax.random.split(key, config.instances))
    with report.stage(f"enumerating {config.instances} glasses of 2^{config.units} states"):
        betas = jnp.asarray(1 / _temperatures(config))
        both = lambda params: (least_energy(params), mean_energies(params, betas))
        ground, means = report.compiled(lambda params: map_chunks(both, params, 1), params)
    name = f"Sherrington-Kirkpatrick, {config.units} spins"
    return Glass(name, params, ground, (config.units,), hopfield.energy, sweep, np.asarray(means))


def _lattice(config: Config, key: Key[Array, ""]) -> Glass:
    params = jax.jit(jax.vmap(lambda key: planted(key, config.side)))(jax.random.split(key, config.instances))
    shape = (config.side, config.side)
    kernel = lambda params, beta: chromatic(partial(ising.energy, params), beta, ising.checkerboard_colors(shape))
    ground = jnp.full(config.instances, planted_energy(config.side))
    return Glass(f"planted lattice, {config.side} × {config.side}", params, ground, shape, ising.energy, kernel, None)


def _measure(config: Config, report: Report, key: Key[Array, ""], glass: Glass) -> tuple[dict[str, Runs], Cooling]:
    """Every method on every instance from every start, and the energy on the way down."""
    cool_key, temper_key = jax.random.split(key)
    longest = config.sweeps[-1]
    schedules = [np.asarray(_schedule(config, sweeps)) for sweeps in config.sweeps]
    # one run after another in a single scan: a sweep at beta = 0, which is not counted, draws all spins afresh
    quench = np.full(longest, np.inf, np.float32)
    again = np.where(np.arange(longest) % RESTART == 0, 0, np.inf).astype(np.float32)
    parts = [np.concatenate([[np.float32(0)], part]) for part in (quench, again, *schedules)]
    with report.stage(f"{glass.name}: quench and annealing"):
        cooled = _all(report, config, glass, cool_key, partial(_cooled, glass, np.concatenate(parts)))
    with report.stage(f"{glass.name}: parallel tempering"):
        tempered = _all(report, config, glass, temper_key, partial(_tempered, config, glass))

    def above(heights):
        ground = np.asarray(glass.ground).reshape(-1, *(1,) * (heights.ndim - 1))
        return (np.asarray(heights) - ground) / math.prod(glass.shape)

    lowest = lambda heights: np.minimum.accumulate(above(heights), axis=-1)
    quenched, repeated, *annealed = (
        part[..., 1:] for part in np.split(np.asarray(cooled), np.cumsum([len(part) for part in parts])[:-1], axis=-1)
    )
    sweeps = np.arange(1, longest + 1)
    steps = np.arange(1, tempered.shape[2] + 1) * config.rungs
    runs = {
        "quench": Runs(sweeps, lowest(quenched)),
        "repeated quench": Runs(sweeps, lowest(repeated)),
        "annealing": Runs(np.array(config.sweeps), np.stack([lowest(part)[..., -1] for part in annealed], axis=-1)),
        "parallel tempering": Runs(steps, lowest(tempered.min(axis=-1))),
    }
    means = [above(part).mean(axis=(0, 1)) for part in annealed]
    settled = above(tempered[:, :, tempered.shape[2] // 2 :]).mean(axis=(0, 1, 2))
    exact = None if glass.equilibrium is None else above(glass.equilibrium).mean(axis=0)
    return runs, Cooling(schedules, means, 1 / np.asarray(_schedule(config, config.rungs)), settled, exact)


def _all(
    report: Report, config: Config, glass: Glass, key: Key[Array, ""], method: Callable[[Array, Any], Array]
) -> Float[Array, "instances chains ..."]:
    """`method(key, params)` for all instances × chains in one compiled call."""
    keys = jax.random.split(key, (config.instances, config.chains))
    return report.compiled(jax.vmap(jax.vmap(method, (0, None))), keys, glass.params)


def _schedule(config: Config, rounds: int) -> Float[Array, " rounds"]:
    """Inverse temperatures: T falls by the same factor after each round, from hot to cold."""
    return geometric_schedule(config.hot, (config.cold / config.hot) ** (1 / (rounds - 1)), rounds)


def _temperatures(config: Config) -> Float[np.ndarray, " temperatures"]:
    """Where equilibrium is drawn."""
    return np.geomspace(config.hot, config.cold, 40).astype(np.float32)


def _cooled(glass: Glass, betas: np.ndarray, key: Key[Array, ""], params: Any) -> Float[Array, " rounds"]:
    """One chain, one sweep at each beta, the first of which is 0, so that any start will do: the energy after each."""
    make_kernel, energy = partial(glass.make_kernel, params), lambda state: glass.energy(params, state.position)
    return annealing(key, make_kernel, jnp.asarray(betas), jnp.ones(glass.shape), steps=1, observe=energy).positions


def _tempered(config: Config, glass: Glass, key: Key[Array, ""], params: Any) -> Float[Array, "steps rungs"]:
    """One ladder, with as many sweeps in all: the energy of every rung after each step."""
    start_key, run_key = jax.random.split(key)
    start = jax.random.rademacher(start_key, (config.rungs, *glass.shape), jnp.float32)
    ladder = _schedule(config, config.rungs)
    kernel = tempering(partial(glass.energy, params), partial(glass.make_kernel, params), ladder)
    return trajectory(run_key, kernel, start, config.sweeps[-1] // config.rungs).infos.energy


def _found(runs: Runs) -> np.ndarray:
    """Share of the chains that have found the ground state: (instances, entries)."""
    return (runs.lowest < TOLERANCE).mean(axis=1)


def _tell(report: Report, results: dict[str, dict[str, Runs]]) -> None:
    rows = []
    for short, (glass, runs) in zip(("sk", "lattice"), results.items(), strict=True):
        for name, method in runs.items():
            found = _found(method)[:, -1].mean()
            quartiles = np.quantile(method.lowest[..., -1], [0.25, 0.5, 0.75])
            rows.append((glass, name, int(method.sweeps[-1]), *(f"{x:.4f}" for x in quartiles), f"{found:.1%}"))
            report.metrics(glass=glass, method=name, quartiles=quartiles, found=found)
            if name in ("quench", "annealing", "parallel tempering"):
                report.summary(**{f"{short}_found_{name.replace(' ', '_')}": found})
    report.table(
        "Energy per spin above the ground state at the end of the longest runs: quartiles over chains and instances",
        ("glass", "method", "sweeps", "lower quartile", "median", "upper quartile", "ground state found"),
        rows,
    )


def _draw_cooling(config: Config, report: Report, coolings: dict[str, Cooling]) -> None:
    figure, axes = plots.panels(1, 2, width=5.2, height=4.2)
    for panel, (name, cooling) in zip(axes[0], coolings.items(), strict=True):
        shades = plots.beta_colors(np.arange(len(cooling.means)) + 1.0)
        for betas, heights, shade in zip(cooling.schedules, cooling.means, shades, strict=True):
            panel.plot(1 / betas, heights, color=shade, label=f"annealing, {len(betas)} sweeps")
        if cooling.equilibrium is not None:
            panel.plot(_temperatures(config), cooling.equilibrium, "k--", linewidth=1.2, label="equilibrium, exact")
        panel.plot(cooling.rungs, cooling.tempered, "o", color="black", markersize=4, label="parallel tempering")
        panel.set_xscale("log")
        panel.invert_xaxis()
        panel.set_ylim(bottom=0)
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.xaxis.set_minor_formatter(NullFormatter())
        coldest, hottest = cooling.rungs.min(), cooling.rungs.max()
        panel.set_xticks([t for t in (10, 3, 1, 0.3, 0.1, 0.03) if coldest <= 1.01 * t <= 1.02 * hottest])
        plots.label(panel, "temperature T, falling", "mean energy per spin above the ground state", name)
    axes[0, 0].legend()
    report.figure(
        "cooling",
        figure,
        "On the way down. As long as there is time at each temperature, the energy follows that of equilibrium "
        "(dashed: over all states, where they can be enumerated); below some temperature the spins freeze, the later "
        "the slower they are cooled. Dots: the second half of a run of parallel tempering, which is in equilibrium "
        "where the run was long enough, and above it elsewhere.",
    )


def _draw_final(report: Report, results: dict[str, dict[str, Runs]]) -> None:
    figure, axes = plots.panels(1, 2, width=5.2, height=4.0)
    for panel, (glass, runs) in zip(axes[0], results.items(), strict=True):
        shown = {name: method.lowest[..., -1].ravel() for name, method in runs.items() if name != "repeated quench"}
        edges = np.linspace(0, max(1e-3, *(values.max() for values in shown.values())), 31) - TOLERANCE
        edges[-1] += 2 * TOLERANCE
        for name, values in shown.items():
            weights = np.full(values.size, 1 / values.size)
            color = plots.PALETTE[COLORS[name]]
            panel.hist(values, edges, weights=weights, histtype="stepfilled", alpha=0.3, color=color, label=name)
            panel.hist(values, edges, weights=weights, histtype="step", color=color, linewidth=1.4)
        plots.label(panel, "energy per spin above the ground state", "share of runs", glass)
    axes[0, 0].legend()
    report.figure(
        "final_energies",
        figure,
        f"The lowest energy of every run, over all chains and instances, after {next(iter(runs.values())).sweeps[-1]} "
        "sweeps: the leftmost bin holds the ground state.",
    )


def _draw_success(config: Config, report: Report, results: dict[str, dict[str, Runs]]) -> None:
    figure, axes = plots.panels(2, 2, width=5.2, height=3.8, share_x=True)
    for column, (glass, runs) in enumerate(results.items()):
        for name, method in runs.items():
            color = plots.PALETTE[COLORS[name]]
            at = np.searchsorted(method.sweeps, config.sweeps, "right") - 1
            at = at[at >= 0]
            residual = method.lowest[..., at].reshape(-1, len(at))
            for panel, values in ((axes[0, column], residual), (axes[1, column], _found(method)[:, at])):
                low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
                panel.fill_between(method.sweeps[at], low, high, color=color, alpha=0.15, linewidth=0)
                panel.plot(method.sweeps[at], middle, "-o", markersize=4, color=color, label=name)
        axes[0, column].set_xscale("log", base=2)
        axes[0, column].set_ylim(bottom=0)
        axes[1, column].set_ylim(-0.02, 1.02)
        plots.label(axes[0, column], "", "energy per spin above the ground state", glass)
        plots.label(axes[1, column], "sweeps over all spins", "share of runs at the ground state")
    axes[0, 0].legend()
    report.figure(
        "success",
        figure,
        "What a run of so many sweeps comes to: medians and quartiles, above over all runs, below over instances. A "
        "quench is over after some sweeps and gains nothing from the rest; repeated from new starts it does. "
        "Annealing needs to know beforehand how long it may take: each point is a schedule of its own. The sweeps of "
        "all temperatures count for parallel tempering.",
    )
