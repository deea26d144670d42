"""Part of the group `free_energy`: a walk for the density of states, against a loop in C."""

from functools import cache
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
from ebmjax.types import Kernel


class Walking(NamedTuple):
    """Walkers, and where they were in the sweeps of a call."""

    position: walkers.Walkers
    histogram: jax.Array


def cases(quick: bool) -> list[Case]:
    """All cases; `quick` makes the problems small."""
    return [_walk(quick)]


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
