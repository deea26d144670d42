"""Exact elimination of a spin glass, for the group `free_energy`."""

import importlib
import importlib.util
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.runner import Case, Outcome, Side
from ebmjax.marginalize.elimination import draws, exact, factors, graphs, plans
from ebmjax.types import SPINS


def cases(quick: bool) -> list[Case]:
    """log Z at beta = 1 and the ground state of a square lattice with free ends and normal couplings."""
    side = 6 if quick else 16
    place = lambda row, column: row * side + column
    rows = [(place(i, j), place(i, j + 1)) for i in range(side) for j in range(side - 1)]
    edges = rows + [(place(i, j), place(i + 1, j)) for i in range(side - 1) for j in range(side)]
    couplings = np.random.default_rng(0).normal(size=len(edges))
    return [
        _case(f"log Z of a {side} x {side} spin glass", edges, couplings, side, _log_partition, "log_partition"),
        _case(f"ground state of a {side} x {side} spin glass", edges, couplings, side, _ground_energy, "ground_energy"),
    ]


def _log_partition(plan, terms):
    return exact.log_partition(plan, terms, 1.0).log_partition


def _ground_energy(plan, terms):
    return draws.ground_state(plan, terms).energy


def _case(name, edges, couplings, side, solve, peer_function):
    units = side**2

    def ours():
        graph = graphs.from_edges(units, edges)
        terms = factors.binary(SPINS, jnp.asarray(couplings, jnp.float32), jnp.zeros(units))

        def call():
            # the order is sought anew in every call, as the peer does
            value = float(jax.block_until_ready(solve(plans.plan(graph), terms)))
            return Outcome(value, value)

        call()
        return call

    peers = {}
    here = importlib.util.find_spec("dwave") is not None and importlib.util.find_spec("dwave.samplers") is not None
    if here:
        module = importlib.import_module("benchmarks.peers.dwave_elimination")
        function = getattr(module, peer_function)
        problem = module.model(edges, couplings)
        for label, order in (("its own order", None), ("row by row", range(units))):

            def prepare(order=order):
                def call():
                    value = function(problem, order)
                    return Outcome(value, value)

                return call

            title = f"dwave-samplers, {label}"
            peers[f"dwave:{label}"] = Side(prepare, version("dwave-samplers"), name=title)

    def agree(ours, peer):
        np.testing.assert_allclose(ours.result, peer.result, rtol=1e-5)

    note = f"{units} spins, normal couplings, free ends; objective: the value itself"
    return Case(name, "solution", Side(ours), peers, agree, note, () if here else ("dwave",))
