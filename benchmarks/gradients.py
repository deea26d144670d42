"""Hamiltonian Monte Carlo and MALA beside BlackJAX's: the same algorithm, step size and law, many chains.

The unit of the time is a gradient. The objective is the smallest bulk effective sample size of any unknown, for a
thousand gradients of a chain: it is that of the algorithm, and so the same on both sides within its error.
"""

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.runner import WIDE, Case, Outcome, Side, compiled
from benchmarks.running_chains import fast_key
from ebmjax.diagnostics import bulk_effective_sample_size
from ebmjax.loops import trajectory
from ebmjax.problems.laws.gaussian import gaussian
from ebmjax.sample.hamiltonian import hamiltonian
from ebmjax.sample.langevin import mala
from ebmjax.types import Kernel

UNKNOWNS, CONDITION, LEAPS = 20, 10.0, 8
HMC_STEP, MALA_STEP = 0.45, 0.12  # accepted with a probability of 0.85 and 0.6


def cases(quick: bool) -> list[Case]:
    """Both algorithms."""
    problem = gaussian(UNKNOWNS, CONDITION)
    log_density = lambda x: -problem.energy(x)
    hmc = hamiltonian(problem.energy, 1.0, HMC_STEP, LEAPS)
    langevin = mala(problem.energy, 1.0, MALA_STEP)
    return [
        _case(
            quick, "Hamiltonian Monte Carlo", hmc, lambda peer: peer.hmc(log_density, HMC_STEP, LEAPS, UNKNOWNS), LEAPS
        ),
        _case(quick, "MALA", langevin, lambda peer: peer.mala(log_density, MALA_STEP), 1),
    ]


def _case(quick: bool, name: str, kernel: Kernel, of_peer: Callable[[Any], Any], gradients: int) -> Case:
    chains, steps = (16, 100) if quick else (64, 16_000 // gradients)
    problem = gaussian(UNKNOWNS, CONDITION)
    start = jax.vmap(problem.start)(jax.random.split(jax.random.key(5), chains))

    def side(run, key, made="", name=""):
        def prepare():
            call = compiled(run, (key, start), WIDE)

            @cache
            def outcome():
                draws = np.moveaxis(np.asarray(call()), 0, 1)[:, steps // 8 :]
                smallest = float(jnp.min(bulk_effective_sample_size(draws)))
                per_thousand = 1000 * smallest / (draws.shape[0] * draws.shape[1] * gradients)
                return Outcome((draws**2).mean(axis=1), per_thousand)

            def timed():
                known = outcome()
                call()
                return known

            return timed

        return Side(prepare, made, chains * steps * gradients, name)

    def ours(key, start):
        run = lambda key, start: trajectory(key, kernel, start, steps).positions
        return jnp.moveaxis(jax.vmap(run)(jax.random.split(key, chains), start), 0, 1)

    peers, missing = {}, ("blackjax",)
    if importlib.util.find_spec("blackjax"):
        peer, missing = importlib.import_module("benchmarks.peers.blackjax_gradients"), ()
        run, made = peer.draws(of_peer(peer), steps), version("blackjax")
        peers["blackjax"] = side(run, jax.random.key(2), made, "blackjax, default keys")
        peers["blackjax:our keys"] = side(run, fast_key(2), made, "blackjax, keys of random_bits")

    def agree(ours: Outcome, peer: Outcome) -> None:
        truth = problem.truth
        assert truth is not None
        for outcome in (ours, peer):
            squares = outcome.result  # of each chain, which are independent
            z = (squares.mean(0) - truth.squares) / (squares.std(0, ddof=1) / np.sqrt(len(squares)))
            assert np.abs(z).max() < 6, f"second moments are {np.abs(z).max():.1f} standard errors off"
        assert quick or abs(np.log(ours.objective / peer.objective)) < 0.25, "another effective sample size"

    note = (
        f"normal law of {UNKNOWNS} unknowns, condition {CONDITION:g}, {chains} chains x {steps} steps of {gradients} "
        "gradients; objective: smallest bulk effective sample size for 1000 gradients of a chain"
    )
    return Case(name, "gradient", side(ours, fast_key(1)), peers, agree, note, missing)
