"""The group `free_energy`: partition functions from draws, by annealing, by elimination, and for all temperatures."""

import importlib
import importlib.util
from functools import partial
from importlib.metadata import version

import jax
import numpy as np

from benchmarks import annealing, density_of_states, elimination
from benchmarks.runner import Case, Outcome, Side
from ebmjax.marginalize.reweighting.mbar import mbar


def cases(quick: bool) -> list[Case]:
    """All cases; `quick` makes the problems small."""
    states = [_states(quick, np.float64), _states(quick, np.float32)]
    return [*states, *annealing.cases(quick), *elimination.cases(quick), *density_of_states.cases(quick)]


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
