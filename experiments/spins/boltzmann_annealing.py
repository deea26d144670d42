"""Annealing against quench: slow cooling finds lower energies

Spin glasses have many local minima. A **quench** starts at random spins and makes Gibbs sweeps at zero temperature, at
which the energy never increases. It ends in the nearest local minimum. **Annealing** lowers the temperature a little
after each sweep. The slower it is, the longer the spins stay in equilibrium, and the lower is the final energy.
**Parallel tempering** runs replicas at several temperatures and swaps them, so that a replica at a low temperature can
leave a local minimum by way of the high temperatures.

The ground states of both glasses are known exactly. In the Sherrington-Kirkpatrick model all pairs of spins are
coupled, and its ground state is found by enumeration. The lattice is made of frustrated tiles, each of which has its
least energy in one common (planted) state. No state of the lattice can therefore have a lower energy.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree
from matplotlib.ticker import FuncFormatter, NullFormatter

from ebmjax.energies import hopfield, ising
from ebmjax.loops import map_chunks, repeat
from ebmjax.problems.planting import square_tiles
from ebmjax.sample.annealing import geometric_schedule
from ebmjax.sample.gibbs import chromatic
from ebmjax.sample.special.single_site import sweep
from ebmjax.sample.tempering import tempering
from ebmjax.states import begun, continued
from ebmjax.types import Beta, Kernel, ModelEnergy
from experiments.application import options
from experiments.application.options import AtLeast, Between, Count, Positive
from experiments.application.report import Report
from experiments.application.shown import scan_shown
from experiments.data.glasses import least_energy, mean_energies, sherrington_kirkpatrick
from experiments.drawing import beta_axis, plots

COLORS = {"quench": "vermillion", "repeated quench": "orange", "annealing": "blue", "parallel tempering": "green"}
MOST_UNITS = 20  # of the glass whose states are enumerated
TILES = (0.0, 1.0, 0.0, 0.0)  # shares of the classes: bonds of -1, 1, 2 and 2 in every tile
RESTART = 16  # sweeps of each repeated quench, the first of which only draws the spins
TOLERANCE = 1e-5  # in energy per spin: far above rounding, and far below the energy gap above the ground state


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    units: Annotated[int, Between(3, MOST_UNITS)] = 18
    """Spins of the Sherrington-Kirkpatrick model, at most 20, because 2^units states are enumerated."""
    side: Annotated[int, AtLeast(4)] = 10
    """Side of the lattice, an even number."""
    instances: Count = 16
    """Glasses of each kind."""
    chains: Count = 32
    """Runs of each method on each glass."""
    sweeps: Annotated[tuple[int, ...], AtLeast(2)] = (4, 16, 64, 256, 1024)
    """Lengths of the runs in sweeps over all spins, in rising order."""
    hot: Positive = 3.0
    """Temperature at which annealing starts, in units of the energy."""
    cold: Positive = 0.2
    """Temperature at which it ends."""
    rungs: Annotated[int, AtLeast(2)] = 8
    """Number of temperatures (rungs) of parallel tempering, from hot to cold."""

    def __post_init__(self):
        options.check(self)
        options.require(self.side % 2 == 0, "side", self.side, "an even number of at least 4")
        options.require(self.cold < self.hot, "cold", self.cold, f"a number below --hot, {self.hot}")
        rising = len(self.sweeps) > 1 and list(self.sweeps) == sorted(set(self.sweeps))
        options.require(rising, "sweeps", self.sweeps, "two or more rising numbers")
        long = max(self.sweeps) >= 2 * self.rungs
        options.require(long, "sweeps", self.sweeps, f"a last one of at least twice --rungs, {2 * self.rungs}")


QUICK = Config(units=12, side=6, instances=6, chains=12, sweeps=(4, 16, 64, 256))


class Glass(NamedTuple):
    """Instances of one kind of spin glass."""

    name: str
    params: PyTree[Array]
    """Leading axis: instances."""
    ground: Float[Array, " instances"]
    """Energies of the ground states."""
    shape: tuple[int, ...]
    """Of a state."""
    energy: ModelEnergy
    make_kernel: Callable[[PyTree[Array], Beta], Kernel]
    """`make_kernel(params, beta)`, a Gibbs sweep."""
    equilibrium: Float[np.ndarray, "instances temperatures"] | None
    """Exact mean energies at `_temperatures`; None where the states cannot be enumerated."""


class Chain(NamedTuple):
    """A method as a scan over its steps."""

    schedule: np.ndarray
    """A number for each step: the inverse temperature, where it changes."""
    begin: Callable[[Key[Array, ""], PyTree[Array]], tuple[Any, Key[Array, " steps"]]]
    """`begin(key, params)`: the state of one chain, and the keys of its steps."""
    step: Callable[[PyTree[Array], Array, Key[Array, ""], Any], tuple[Any, Array]]
    """`step(params, number, key, state)`: the state after a step, and its energy, or that of each rung."""


class Runs(NamedTuple):
    """The lowest energy that each chain of one method has visited after some numbers of sweeps."""

    sweeps: np.ndarray
    """These numbers of sweeps."""
    lowest: np.ndarray
    """(E - E0)/N, in the shape (instances, chains, sweeps)."""


class Cooling(NamedTuple):
    """Mean (E - E0)/N during annealing, in parallel tempering, and in equilibrium."""

    schedules: list[np.ndarray]
    """Inverse temperatures of each length of annealing."""
    means: list[np.ndarray]
    """Means at these inverse temperatures."""
    rungs: np.ndarray
    """Temperatures of parallel tempering."""
    tempered: np.ndarray
    """Means at these temperatures, over the second half of the run."""
    equilibrium: np.ndarray | None
    """Exact means at `_temperatures`; None where the states cannot be enumerated."""


def run(config: Config, report: Report) -> None:
    """Run all methods on both glasses, and draw the energies that they find."""
    glass_key, lattice_key, *run_keys = jax.random.split(report.key(), 4)
    glasses = (_connected(config, report, glass_key), _lattice(config, lattice_key))
    results, coolings = {}, {}
    for glass, key in zip(glasses, run_keys, strict=True):
        results[glass.name], coolings[glass.name] = _measure(config, report, key, glass)
        for name, method in results[glass.name].items():
            report.metrics(
                glass=glass.name, method=name, quartiles=_quartiles(method), found=_found(method)[:, -1].mean()
            )
    _summarize(report, results)
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
    shape = (config.side, config.side)
    make = lambda key: square_tiles(key, shape, TILES)
    planted = jax.vmap(make)(jax.random.split(key, config.instances))
    kernel = lambda params, beta: chromatic(partial(ising.energy, params), beta, ising.checkerboard_colors(shape))
    name = f"planted lattice, {config.side} × {config.side}"
    return Glass(name, planted.params, jnp.asarray(planted.energy), shape, ising.energy, kernel, None)


def _measure(config: Config, report: Report, key: Key[Array, ""], glass: Glass) -> tuple[dict[str, Runs], Cooling]:
    """Run every method on every instance from every start, and measure the energy during annealing."""
    cool_key, temper_key = jax.random.split(key)
    longest = config.sweeps[-1]
    schedules = [np.asarray(_schedule(config, sweeps)) for sweeps in config.sweeps]
    # All runs follow one another in one scan. A sweep at beta = 0, which is not counted, draws new random spins.
    quench = np.full(longest, np.inf, np.float32)
    again = np.where(np.arange(longest) % RESTART == 0, 0, np.inf).astype(np.float32)
    parts = [np.concatenate([[np.float32(0)], part]) for part in (quench, again, *schedules)]

    cooled = _all(config, report, glass, "quench and annealing", cool_key, _cooled(glass, np.concatenate(parts)))
    tempered = _all(config, report, glass, "parallel tempering", temper_key, _tempered(config, glass))

    above = partial(_above, glass)
    lowest = lambda heights: np.minimum.accumulate(above(heights), axis=-1)
    quenched, repeated, *annealed = (
        part[..., 1:] for part in np.split(cooled, np.cumsum([len(part) for part in parts])[:-1], axis=-1)
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
    config: Config, report: Report, glass: Glass, name: str, key: Key[Array, ""], chain: Chain
) -> Float[np.ndarray, "instances chains steps ..."]:
    """The energies of all chains on all instances, in pieces of one compiled program, with a bar."""
    keys = jax.random.split(key, (config.instances, config.chains))
    begin = jax.vmap(jax.vmap(chain.begin, (0, None), (0, 1)), out_axes=(0, 1))
    states, step_keys = jax.jit(begin)(keys, glass.params)
    step = lambda state, item, params: chain.step(params, item[1], item[0], state)
    steps = jax.vmap(jax.vmap(step, (0, (0, None), None)), (0, (0, None), 0))
    tell = lambda done, energies: f"mean (E - E0)/N {_above(glass, energies[-1]).mean():.3g}"
    items = (step_keys, chain.schedule)
    _, energies = scan_shown(report, f"{glass.name}: {name}", steps, states, items, glass.params, tell=tell)
    return np.ascontiguousarray(np.moveaxis(energies, 0, 2))


def _above(glass: Glass, heights: Float[np.ndarray, "instances ..."]) -> Float[np.ndarray, "instances ..."]:
    """(E - E0)/N."""
    ground = np.asarray(glass.ground).reshape(-1, *(1,) * (heights.ndim - 1))
    return (np.asarray(heights) - ground) / math.prod(glass.shape)


def _schedule(config: Config, rounds: int) -> Float[Array, " rounds"]:
    """Inverse temperatures: the temperature falls from hot to cold by the same factor in each round."""
    return geometric_schedule(config.hot, (config.cold / config.hot) ** (1 / (rounds - 1)), rounds)


def _temperatures(config: Config) -> Float[np.ndarray, " temperatures"]:
    """Temperatures at which the equilibrium is drawn."""
    return np.geomspace(config.hot, config.cold, 40).astype(np.float32)


def _cooled(glass: Glass, betas: Float[np.ndarray, " rounds"]) -> Chain:
    """One sweep at each beta, as `annealing` does them. The first beta is 0, so the start does not matter."""

    def begin(key, params):
        kernel = glass.make_kernel(params, jnp.asarray(betas[0]))
        return begun(key, kernel, jnp.ones(glass.shape)), jax.random.split(key, len(betas))

    def step(params, beta, key, state):
        make_kernel, energy = partial(glass.make_kernel, params), lambda state: glass.energy(params, state.position)
        run = repeat(key, make_kernel(beta), continued(key, make_kernel, beta, state), 1, energy)
        return run.state, run.positions

    return Chain(betas, begin, step)


def _tempered(config: Config, glass: Glass) -> Chain:
    """The energies of all rungs in parallel tempering, with as many sweeps in total as annealing."""
    steps = config.sweeps[-1] // config.rungs
    ladder = _schedule(config, config.rungs)
    kernel = lambda params: tempering(partial(glass.energy, params), partial(glass.make_kernel, params), ladder)

    def begin(key, params):
        start_key, run_key = jax.random.split(key)
        start = jax.random.rademacher(start_key, (config.rungs, *glass.shape), jnp.float32)
        return kernel(params).init(start), jax.random.split(run_key, steps)

    def step(params, _, key, state):
        state, info = kernel(params).step(key, state)
        return state, info.energy

    return Chain(np.arange(steps), begin, step)


def _found(runs: Runs) -> np.ndarray:
    """Share of the chains that have found the ground state, in the shape (instances, sweeps)."""
    return (runs.lowest < TOLERANCE).mean(axis=1)


def _quartiles(runs: Runs) -> np.ndarray:
    """Quartiles of the lowest energies in the longest runs."""
    return np.quantile(runs.lowest[..., -1], [0.25, 0.5, 0.75])


def _summarize(report: Report, results: dict[str, dict[str, Runs]]) -> None:
    rows = []
    for short, (glass, runs) in zip(("sk", "lattice"), results.items(), strict=True):
        for name, method in runs.items():
            found = _found(method)[:, -1].mean()
            rows.append(
                (glass, name, int(method.sweeps[-1]), *(f"{x:.4f}" for x in _quartiles(method)), f"{found:.1%}")
            )
            if name in ("quench", "annealing", "parallel tempering"):
                report.summary(**{f"{short}_found_{name.replace(' ', '_')}": found})
    report.table(
        "Lowest energy per spin above the ground state in the longest runs: quartiles over chains and instances",
        ("glass", "method", "sweeps", "lower quartile", "median", "upper quartile", "runs that find the ground state"),
        rows,
    )


def _draw_cooling(config: Config, report: Report, coolings: dict[str, Cooling]) -> None:
    figure, axes = plots.panels(1, 2, width=5.2, height=4.2)
    for panel, (name, cooling) in zip(axes[0], coolings.items(), strict=True):
        shades = beta_axis.colors(np.arange(len(cooling.means)) + 1.0)
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
        plots.label(panel, "temperature T (falls to the right)", "mean energy per spin above the ground state", name)
    axes[0, 0].legend()
    report.figure(
        "cooling",
        figure,
        "Mean energy during annealing. At high temperature it is that of equilibrium (dashed: the exact mean over all "
        "states, where they can be enumerated). Below some temperature the spins no longer reach equilibrium; the "
        "slower the annealing, the lower is this temperature. Dots: means over the second half of parallel tempering. "
        "They are those of equilibrium if the run was long enough, and higher otherwise.",
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
        f"The lowest energy of every run after {next(iter(runs.values())).sweeps[-1]} sweeps, over all chains and "
        "instances. The leftmost bin contains the ground state.",
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
        "Lowest energies and shares of runs that find the ground state, against the number of sweeps: medians and "
        "quartiles, over all runs (above) and over instances (below). A quench reaches a minimum after a few sweeps "
        "and does not improve after that; quenches repeated from new starts do. The schedule of annealing depends on "
        "the number of sweeps, so each of its points is a run of its own. For parallel tempering the sweeps at all "
        "temperatures are counted.",
    )
