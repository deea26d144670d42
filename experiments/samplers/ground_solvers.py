"""The solvers of `ground_states`: in which share of many runs a ground state was seen, after how many sweeps.

A sweep updates every unit once. A step of a ladder is a sweep for each of its rungs, and one of pairs of ladders twice
as many.
"""

import importlib
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ebmjax.energies import hopfield, ising_on_graph
from ebmjax.graphs import coloring
from ebmjax.loops import trajectory
from ebmjax.sample.annealing import annealing
from ebmjax.sample.gibbs import chromatic
from ebmjax.sample.isoenergetic import isoenergetic
from ebmjax.sample.special.single_site import sweep
from ebmjax.sample.tempering import tempering
from ebmjax.types import SPINS
from experiments.application.report import Report
from experiments.samplers.ground_problems import Kind

PEER = "dwave-samplers"


class Sizes(NamedTuple):
    """How much all solvers run."""

    runs: int
    """Of each instance."""
    lengths: tuple[int, ...]
    """Sweeps of a run of annealing."""
    sweeps: int
    """Of a run of a ladder, all rungs together."""
    rungs: int


class Found(NamedTuple):
    """The share of runs that have seen a ground state."""

    solver: str
    sweeps: np.ndarray
    """After so many sweeps, (times,)."""
    shares: np.ndarray
    """(instances, times)."""
    seconds: float
    """Processor time of a sweep."""


def peer_version() -> str | None:
    """The version of dwave-samplers; None where it is not installed."""
    try:
        return version(PEER)
    except PackageNotFoundError:
        return None


def _make(kind: Kind, coupling: Any) -> Any:
    """`beta -> Kernel` of an instance."""
    edges = kind.graph.edges
    if kind.clusters:
        energy = lambda spins: ising_on_graph.energy(ising_on_graph.Params(coupling, jnp.zeros(())), edges, spins)
        colors = coloring(kind.graph)
        return lambda beta: chromatic(energy, beta, colors, SPINS)
    params = _dense(kind, coupling)
    return lambda beta: sweep(params, beta)


def _dense(kind, coupling):
    one, other = kind.graph.edges.T
    upper = jnp.zeros((kind.graph.units,) * 2, coupling.dtype).at[one, other].set(coupling)
    return hopfield.Params(upper + upper.T, jnp.zeros(kind.graph.units, coupling.dtype))


def _energy(kind, coupling):
    return lambda spins: ising_on_graph.energy(ising_on_graph.Params(coupling, jnp.zeros(())), kind.graph.edges, spins)


def annealed(report: Report, kind: Kind, key: Key[Array, ""], sizes: Sizes) -> Found:
    """Annealing, with beta rising by equal steps, in runs of several lengths."""
    shares, seconds = [], 0.0
    for length in sizes.lengths:
        betas = jnp.linspace(kind.hottest, kind.coldest, length)

        def run(key, coupling, betas=betas):
            start_key, run_key = jax.random.split(key)
            start = jax.random.rademacher(start_key, (kind.graph.units,), jnp.float32)
            energy = _energy(kind, coupling)
            observe = lambda state: energy(state.position)
            return annealing(run_key, _make(kind, coupling), betas, start, 1, observe=observe).positions.min()

        least, seconds = _timed(report, kind, run, jax.random.fold_in(key, length), sizes)
        shares.append(_at_ground(kind, least).mean(axis=1))
        seconds /= length * least.size
    return Found("annealing", np.array(sizes.lengths), np.stack(shares, axis=1), seconds)


def tempered(report: Report, kind: Kind, key: Key[Array, ""], sizes: Sizes) -> Found:
    """Parallel tempering, with rungs at equal ratios of beta."""
    return _ladder(report, kind, key, sizes, pairs=1)


def tempered_pairs(report: Report, kind: Kind, key: Key[Array, ""], sizes: Sizes) -> Found:
    """The same in pairs, with isoenergetic cluster moves."""
    return _ladder(report, kind, key, sizes, pairs=2)


def _ladder(report, kind, key, sizes, pairs):
    betas = jnp.geomspace(kind.hottest, kind.coldest, sizes.rungs)
    steps = sizes.sweeps // (sizes.rungs * pairs)

    def run(key, coupling):
        start_key, run_key = jax.random.split(key)
        energy = _energy(kind, coupling)
        kernel: Any = tempering(energy, _make(kind, coupling), betas)
        start = jax.random.rademacher(start_key, (pairs, sizes.rungs, kind.graph.units), jnp.float32)
        if pairs == 2:
            kernel = isoenergetic(energy, kernel, kind.graph)
        observe = lambda state: jnp.min(jax.vmap(energy)(state.position.reshape(-1, kind.graph.units)))
        return trajectory(run_key, kernel, start if pairs == 2 else start[0], steps, observe=observe).positions

    energies, seconds = _timed(report, kind, run, key, sizes)
    # on the host: within the program this takes XLA minutes to compile
    least = np.minimum.accumulate(energies, axis=2)
    hit = _at_ground(kind, least).mean(axis=1)
    shown = np.unique(np.geomspace(1, steps, 30).astype(int)) - 1
    name = "tempering" if pairs == 1 else "tempering, isoenergetic"
    per_step = sizes.rungs * pairs
    return Found(name, (shown + 1) * per_step, hit[:, shown], seconds / (steps * per_step * hit.shape[0] * sizes.runs))


def _timed(report, kind, run, key, sizes):
    """What `run(key, coupling)` returns for all instances and runs, and the processor time of all."""
    shape = len(kind.couplings), sizes.runs
    # one axis for both: a vmap within another one doubles the time of compiling
    members = jax.random.split(key, shape).ravel(), jnp.repeat(kind.couplings, sizes.runs, axis=0)
    program = report.program(jax.vmap(run), *members)
    begun = time.process_time()
    result = np.asarray(jax.block_until_ready(program(*members)))
    return result.reshape(*shape, *result.shape[1:]), time.process_time() - begun


def _at_ground(kind, energies):
    """Whether energies (instances, runs, …) are those of a ground state, to rounding."""
    least = kind.least.reshape(-1, *[1] * (energies.ndim - 1))
    return energies < least + 1e-4 * np.abs(least)


def peer_annealed(report: Report, kind: Kind, key: Key[Array, ""], sizes: Sizes) -> Found:
    """The simulated annealing of dwave-samplers, in its default settings."""
    samplers: Any = importlib.import_module("dwave.samplers")
    shares, seconds = [], 0.0
    seed = int(jax.random.randint(key, (), 0, 2**30))
    for length in sizes.lengths:
        energies, begun = [], time.process_time()
        for number, coupling in enumerate(np.asarray(kind.couplings, np.float64)):
            bonds = {(int(a), int(b)): -value for (a, b), value in zip(kind.graph.edges, coupling, strict=True)}
            found = samplers.SimulatedAnnealingSampler().sample_ising(
                {}, bonds, num_reads=sizes.runs, num_sweeps=length, seed=seed + number
            )
            energies.append(found.record.energy)
        seconds = (time.process_time() - begun) / (length * sizes.runs * len(energies))
        shares.append(_at_ground(kind, np.stack(energies)).mean(axis=1))
    return Found(f"annealing of {PEER}", np.array(sizes.lengths), np.stack(shares, axis=1), seconds)
