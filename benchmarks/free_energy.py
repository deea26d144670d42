"""The group `free_energy`: partition functions from draws."""

import importlib
import importlib.util
from functools import cache, partial
from importlib.metadata import version
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import c_ising, c_wang_landau
from benchmarks.runner import Case, Outcome, Side
from ebmjax.energies import ising
from ebmjax.loops import repeat
from ebmjax.marginalize.density_of_states import models, walkers
from ebmjax.marginalize.density_of_states.wang_landau import wang_landau
from ebmjax.marginalize.reweighting.mbar import mbar
from ebmjax.types import Kernel


class Walking(NamedTuple):
    """Walkers, and where they were in the sweeps of a call."""

    position: walkers.Walkers
    histogram: jax.Array


def cases(quick: bool) -> list[Case]:
    """All cases; `quick` makes the problems small."""
    return [_states(quick, np.float64), _states(quick, np.float32), _walk(quick)]


def _states(quick, dtype):
    """MBAR of harmonic oscillators, E = |z|²/2 in 20 dimensions: log Z of all states and its error."""
    states, draws, dimensions = (6, 200, 20) if quick else (32, 2000, 20)
    betas = np.geomspace(1.0, 32.0, states)
    energies = np.random.default_rng(0).gamma(dimensions / 2, 1 / betas[:, None], (states, draws))
    truth = -dimensions / 2 * np.log(betas / betas[0])
    double = dtype == np.float64

    def outcome(log_partitions, errors):
        values, errors = np.asarray(log_partitions, np.float64), np.asarray(errors, np.float64)
        scores = (values[1:] - truth[1:]) / errors[1:]
        return Outcome(np.stack([values, errors]), float(np.sqrt(np.mean(scores**2))))

    def ours():
        with jax.enable_x64(double):
            arguments = jax.device_put((betas.astype(dtype), energies.astype(dtype)))
            executable = jax.jit(mbar).lower(*arguments).compile()

        def call():
            estimate = jax.block_until_ready(executable(*arguments))
            return outcome(estimate.log_partition, estimate.standard_error)

        return call

    peers = {}
    here = importlib.util.find_spec("pymbar") is not None
    if here:
        module = importlib.import_module("benchmarks.peers.pymbar_states")
        for protocol, start in (("default", "BAR"), ("robust", "BAR"), ("default", "zeros")):
            run = partial(module.log_partitions, betas, energies, protocol, start)
            side = lambda run=run: lambda: outcome(*run())
            label = f"pymbar, protocol {protocol}, start {start}"
            peers[f"pymbar:{protocol},{start}"] = Side(side, version("pymbar"), name=label)

    def agree(ours, peer):
        # in float32 to a thousandth of the standard errors
        tolerance = 1e-6 if double else 1e-3 * ours.result[1].max()
        np.testing.assert_allclose(ours.result[0], peer.result[0], atol=tolerance, rtol=1e-6)
        np.testing.assert_allclose(ours.result[1], peer.result[1], rtol=1e-2, atol=1e-6)

    precision = "float64" if double else "float32"
    note = f"{draws:,} draws of each state; objective: root mean square of the z-scores against the closed form"
    name = f"log Z of {states} states, {precision}"
    return Case(name, "estimate", Side(ours), peers, agree, note, () if here else ("pymbar",))


def _walk(quick):
    """A multicanonical walk of the square Ising lattice at fixed weights, those of Wang-Landau.

    Before the timing each side walks through `BLOCKS` calls. The objective is the mean energy per spin of the flat
    histogram; two sides agree within 5 standard errors, from the spread of the walk in blocks.
    """
    side, count, learning, sweeps, blocks = (8, 64, 1000, 40, 16) if quick else (32, 256, 1500, 40, 16)
    model = models.ising(ising.Params(jnp.array(1.0), jnp.array(0.0)), (side, side))
    levels = jnp.arange(-2.0 * side**2, 2.0 * side**2 + 1, 4.0)
    visits = side**2 * count * sweeps

    @cache
    def learned():
        return jax.block_until_ready(wang_landau(jax.random.key(0), model, levels, count, learning))

    def measured(run):
        """Means over blocks of the energy per spin, of a function that makes the sweeps of a call."""
        histograms = np.stack([run() for _ in range(blocks)])
        means = histograms @ np.asarray(levels) / histograms.sum(axis=1) / side**2
        mean, error = float(means.mean()), float(means.std(ddof=1) / np.sqrt(blocks))
        return Outcome((mean, error), mean)

    def ours():
        weights = learned()

        def advance(key, positions, log_density):
            def step(rng_key, state):
                positions, visited = walkers.sweep(rng_key, model, levels, log_density, state.position)
                return Walking(positions, state.histogram + walkers.histogram(visited, levels)), None

            kernel = Kernel(lambda position, rng_key=None: position, step)
            key, run_key = jax.random.split(key)
            return key, *repeat(run_key, kernel, Walking(positions, jnp.zeros_like(levels)), sweeps).state

        held = [jax.random.key(1), weights.walkers]
        program = jax.jit(advance).lower(*held, weights.log_density).compile()

        def run():
            *held[:], histogram = jax.block_until_ready(program(*held, weights.log_density))
            return np.asarray(histogram, np.float64)

        return _continued(run, measured)

    def c():
        weights = learned()
        spins = np.asarray(weights.walkers.positions).T.reshape(count, side, side)
        walk = c_wang_landau.Walk(spins, np.asarray(weights.log_density), seed=2)
        return _continued(lambda: walk.run(sweeps), measured)

    def agree(ours, peer):
        (ours, error), (peer, other) = ours.result, peer.result
        # both start from the same positions, and blocks of one walk are correlated
        assert abs(ours - peer) <= 5 * np.hypot(error, other) + 0.05, f"mean energies {ours} and {peer}"

    here = c_ising.available()
    peers = {"c": Side(c, c_ising.version(), visits, "C, one walker after another")} if here else {}
    note = f"{count} walkers, one spin after another by the heat bath; objective: mean energy per spin of the histogram"
    name = f"density of states, Ising {side} x {side}"
    return Case(
        name, "visit of a spin", Side(ours, per_call=visits), peers, agree, note, () if here else ("a C compiler (cc)",)
    )


def _continued(run, measured):
    """A call that is timed: it goes on from the last state, and returns what was measured before the first call."""
    outcome = cache(lambda: measured(run))

    def call():
        known = outcome()
        run()
        return known

    return call
