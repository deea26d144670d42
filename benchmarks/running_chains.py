"""Sides of benchmarks that run chains of spins: they continue from call to call, and must agree in the mean energy.

A side continues its chains from call to call, and only sweeps are timed. Before the timing, after a burn-in, every side
measures its mean energy per spin `BLOCKS` times, one or more calls apart. Two sides agree if the difference of their
means is within 5 standard errors, estimated from the spread of these blocks. Equal laws fail this by chance less than
once in 10,000 comparisons (Student's law with 31 degrees of freedom).
"""

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.runner import WIDE, Outcome, Side
from ebmjax import random_bits
from ebmjax.energies import ising
from ebmjax.loops import repeat

BURN_IN, BLOCKS = 8, 32


class Sampler(NamedTuple):
    """A running chain, or several."""

    advance: Callable[[], Any]
    """Makes the sweeps of one call; this is timed."""
    energy: Callable[[], Any]
    """The mean energy per spin of the present state."""


class Estimate(NamedTuple):
    """A mean energy per spin."""

    mean: float
    error: float
    """Standard error of the mean."""


def fast_key(seed):
    """A key with the same draws as `jax.random.key(seed)`, in a fraction of the time."""
    return random_bits.unrolled(jax.random.key(seed))


def random_spins(key, shape, dtype=jnp.float32):
    """Spins of ±1, each with probability ½."""
    return jax.random.rademacher(key, shape, dtype)


def side_of(start: Callable[[], Sampler], package: str, updates: int, name: str = "", apart: int = 1) -> Side:
    """`start()` compiles. The first call, which is not timed, burns in and measures energies, `apart` calls apart."""

    def prepare():
        sampler = start()

        @cache
        def outcome():
            for _ in range(BURN_IN * apart):
                sampler.advance()
            means = []
            for _ in range(BLOCKS):
                for _ in range(apart):
                    sampler.advance()
                means.append(float(np.mean(sampler.energy())))
            estimate = Estimate(float(np.mean(means)), float(np.std(means, ddof=1) / np.sqrt(BLOCKS)))
            return Outcome(estimate, estimate.mean)

        def call():
            known = outcome()
            sampler.advance()
            return known

        return call

    return Side(prepare, package, updates, name)


def running(run, energy, key, state) -> Sampler:
    """A sampler from `run(key, state) -> state`. The key is split inside, so that every call has new random numbers."""

    def advance(key, state):
        key, run_key = jax.random.split(key)
        return key, run(run_key, state)

    executable = jax.jit(advance, compiler_options=WIDE).lower(key, state).compile()
    measure = jax.jit(energy)
    held = [key, state]

    def call():
        held[:] = jax.block_until_ready(executable(*held))

    return Sampler(call, lambda: measure(held[1]))


def of_kernel(kernel, energy, seed, position, sweeps) -> Sampler:
    """Our side: sweeps of a kernel from the last state."""
    run = lambda key, state: repeat(key, kernel, state, sweeps).state
    return running(run, lambda state: energy(state.position), fast_key(seed), kernel.init(position))


def agree(ours: Outcome, peer: Outcome) -> None:
    """Both have the same mean energy, within 5 standard errors."""
    gap, error = ours.result.mean - peer.result.mean, np.hypot(ours.result.error, peer.result.error)
    assert abs(gap) <= 5 * error, f"energies {ours.result} and {peer.result}"


def energy_per_spin(params: ising.Params, axes: int = 2) -> Callable[[Any], Any]:
    """A function of lattices (..., *lattice) of so many axes: their mean energy per spin."""

    def energy(spins):
        spins = spins.reshape(-1, *spins.shape[spins.ndim - axes :]).astype(jnp.float32)
        return jnp.mean(jax.vmap(partial(ising.energy, params))(spins)) / spins[0].size

    return energy


def thrml(
    coupling: np.ndarray, beta: float, chains: int | None, sweeps: int
) -> tuple[dict[str, Side], tuple[str, ...]]:
    """The thrml side of a lattice, where thrml is installed; `chains` is None for one chain without an axis."""
    if not importlib.util.find_spec("thrml"):
        return {}, ("thrml",)

    def start():
        module = importlib.import_module("benchmarks.peers.thrml_ising")
        sweep, lattice = module.sampler(np.asarray(coupling), beta, sweeps)
        energy = energy_per_spin(ising.Params(jnp.asarray(coupling), jnp.array(0.0)), len(coupling))
        begin = partial(module.start, sites=coupling[0].size)
        key = jax.random.key(3)
        if chains is None:
            return running(sweep, lambda state: energy(lattice(state)), key, begin(key))
        many = int(chains)
        run = lambda key, state: jax.vmap(sweep)(jax.random.split(key, many), state)
        state = jax.vmap(begin)(jax.random.split(key, many))
        return running(run, lambda state: energy(jax.vmap(lattice)(state)), key, state)

    return {"thrml": side_of(start, version("thrml"), coupling[0].size * (chains or 1) * sweeps)}, ()
