"""The group `samplers`: spin glasses in 3-D, cluster moves at the critical point, ground states, and gradients.

How sides of spins run, and when two agree, says `running_chains`.
"""

import importlib
import importlib.util
from functools import cache, partial
from importlib.metadata import version
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import gradients, ground_states
from benchmarks.runner import WIDE, Case, Outcome, Side
from benchmarks.running_chains import (
    Sampler,
    agree,
    energy_per_spin,
    fast_key,
    of_kernel,
    random_spins,
    side_of,
    thrml,
)
from ebmjax import lattices, random_bits
from ebmjax.diagnostics import autocorrelation_time, mean_standard_error
from ebmjax.energies import ising, ising_on_graph
from ebmjax.loops import repeat, trajectory
from ebmjax.sample import cluster
from ebmjax.sample.special import multispin, multispin_glass

GLASS_BETA = 0.4
"""Inverse temperature of the glass, above that of its transition, so that it equilibrates quickly."""
UNIFORM = ising.Params(jnp.array(1.0), jnp.array(0.0))
ON_GRAPH = ising_on_graph.Params(jnp.array(1.0), jnp.array(0.0))
FAST: dict[str, Any] = {"bits": random_bits.hashed, "precision": 8}


def cases(quick: bool) -> list[Case]:
    """All cases; `quick` makes the problems small."""
    side, instances, runs, most = (4, 2, 1, 200) if quick else (10, 8, 2, 1000)
    square = 6 if quick else 16
    flat = partial(ground_states.plus_minus, square, instances)
    cubes = partial(ground_states.planted_cubes, side, instances, np.array([1.0, 0.0, 0.0], np.float32))
    return [
        _glass(quick, FAST, ""),
        _glass(quick, {}, ", default random bits"),
        _moves(quick, "swendsen_wang"),
        _moves(quick, "wolff"),
        _single_flips(quick),
        _autocorrelation(quick),
        ground_states.case(f"ground states of ±J glasses, {square} x {square}", flat, 2 * runs, most),
        ground_states.case(f"ground states of planted cubes F22, {side} x {side} x {side}", cubes, runs, most),
        *gradients.cases(quick),
    ]


def _glass(quick, options, name):
    """A ±J glass in 3-D, 32 replicas in a word."""
    side, replicas, sweeps, chains, few = (8, 64, 20, 2, 5) if quick else (16, 256, 200, 16, 10)
    coupling = np.random.default_rng(3).choice([-1.0, 1.0], (3, side, side, side)).astype(np.float32)
    energy = energy_per_spin(ising.Params(jnp.asarray(coupling), jnp.array(0.0)), 3)

    def start():
        kernel = multispin_glass.replicas(coupling, GLASS_BETA, **options)
        position = multispin_glass.pack(random_spins(jax.random.key(0), (replicas, side, side, side)))
        return of_kernel(kernel, lambda words: energy(multispin_glass.unpack(words)), 1, position, sweeps)

    peers, missing = thrml(coupling, GLASS_BETA, chains, few)
    ours = side_of(start, "", replicas * side**3 * sweeps)
    drawn = "hashed counters, 8 + 1" if options else "threefry, 16 + 1"
    note = f"couplings ±1, beta = {GLASS_BETA}; {replicas} replicas of ours, {chains} of thrml; {drawn} random words"
    case_name = f"spin glass ±J, {side} x {side} x {side}{name}"
    return Case(case_name, "spin update", ours, peers, agree, note, missing)


def _rust(sides):
    """The sides of Rust that are installed: `sides` has the arguments of each package, and how much work a call is."""
    peers, missing = {}, []
    for package, (name, arguments, updates) in sides.items():
        if not importlib.util.find_spec(package):
            missing.append(package)
            continue
        make = getattr(importlib.import_module("benchmarks.peers.rust_ising"), package)
        peers[package] = side_of(partial(lambda make, arguments: Sampler(*make(*arguments)), make, arguments),
                                 version(package), updates, f"{package}, {name}")  # fmt: skip
    return peers, tuple(missing)


def _cluster_kernel(name, side):
    make = {"swendsen_wang": cluster.swendsen_wang, "wolff": cluster.wolff}[name]
    return make(ON_GRAPH, ising.CRITICAL_BETA, lattices.hypercubic((side, side)), random_bits.hashed)


def _moves(quick, name):
    """Cluster moves at the critical point, beside those of packages in Rust."""
    side, moves = (16, 10) if quick else (128, 20)

    def start():
        mean = energy_per_spin(UNIFORM)
        kernel = _cluster_kernel(name, side)
        position = random_spins(jax.random.key(0), (side**2,))
        return of_kernel(kernel, lambda spins: mean(spins.reshape(side, side)), 1, position, moves)

    # moves of one Wolff cluster are cheap, and so are those of the peers beside the call
    many = 5000 if name == "wolff" else 50
    short = "sw" if name == "swendsen_wang" else "wolff"
    peers, missing = _rust(
        {
            "mcising": ("one thread", (side, ising.CRITICAL_BETA, name, many), many),
            "peapods": ("a sweep of single flips between moves", (side, ising.CRITICAL_BETA, short, 200), 200),
        }
    )
    title = {"swendsen_wang": "Swendsen-Wang", "wolff": "Wolff"}[name]
    note = "beta of the critical point, J = 1, one lattice; hashed counters; objective: energy per spin"
    return Case(
        f"{title}, {side} x {side}", "move", side_of(start, "", moves, apart=5), peers, agree, note, missing
    )  # fmt: skip


def _single_flips(quick):
    """Single flips at a temperature where all sides equilibrate, beside packages in Rust."""
    side, sweeps, few, beta = (64, 20, 20, 0.35) if quick else (128, 1000, 200, 0.35)

    def start():
        kernel = multispin.lattice(1.0, beta, **FAST)
        position = multispin.pack_lattice(random_spins(jax.random.key(0), (side, side)))
        mean = energy_per_spin(UNIFORM)
        return of_kernel(kernel, lambda words: mean(multispin.unpack_lattice(words)), 1, position, sweeps)

    peers, missing = _rust(
        {
            "mcising": ("Metropolis", (side, beta, "metropolis", few), few * side**2),
            "peapods": ("Metropolis", (side, beta, None, few), few * side**2),
        }
    )
    note = (
        f"beta = {beta}, J = 1, one lattice; ours: heat bath, 8 + 1 hashed words an update; objective: energy per spin"
    )
    name = f"single flips, {side} x {side}"
    return Case(name, "spin update", side_of(start, "", side**2 * sweeps), peers, agree, note, missing)


def _autocorrelation(quick):
    """The autocorrelation time of |m| at the critical point: Swendsen-Wang, Wolff, and single flips.

    All chains start from states that Swendsen-Wang has drawn, so that none has to equilibrate by single flips.
    """
    side, moves, warm, blocks, apart = (16, 50, 10, 40, 5) if quick else (128, 50, 60, 100, 50)
    size = lambda spins: jnp.abs(spins.mean())

    @cache
    def equilibrium():
        kernel = _cluster_kernel("swendsen_wang", side)
        run = lambda key, spins: repeat(key, kernel, kernel.init(spins), warm).positions
        spins = random_spins(jax.random.key(0), (32, side**2))
        keys = jax.random.split(fast_key(1), 32)
        return jax.jit(lambda keys, spins: jax.lax.map(lambda pair: run(*pair), (keys, spins)))(keys, spins)

    def clusters(name):
        kernel, chains = _cluster_kernel(name, side), 2

        def run(key, spins):
            found = trajectory(key, kernel, spins, moves, lambda state: size(state.position))
            return found.state.position, (found.positions, found.infos.changed.mean())

        def call(key, spins):
            keys = jax.random.split(key, chains)
            spins, (sizes, changed) = jax.lax.map(lambda pair: run(*pair), (keys, spins))
            return spins, (sizes, changed.mean() if name == "wolff" else jnp.ones(()))

        prepare = lambda: _running_sizes(call, equilibrium()[:chains], 4 if quick else 30, 1)
        return Side(prepare, "", chains * moves, name.replace("_", "-"))

    def flips():
        kernel = multispin.chains(1.0, ising.CRITICAL_BETA, **FAST)

        def call(key, words):
            def block(state, key):
                state = repeat(key, kernel, state, apart).state
                return state, jax.vmap(size)(multispin.unpack_chains(state.position))

            state, sizes = jax.lax.scan(block, kernel.init(words), jax.random.split(key, blocks))
            return state.position, (sizes.T, jnp.ones(()))

        words = lambda: multispin.pack_chains(equilibrium().reshape(32, side, side))
        prepare = lambda: _running_sizes(call, words(), 4 if quick else 40, apart)
        return Side(prepare, "", 32 * blocks * apart, "single flips, 32 lattices in a word")

    def agreed(ours, peer):
        gap, error = ours.result[0] - peer.result[0], np.hypot(ours.result[1], peer.result[1])
        assert abs(gap) <= 5 * error, f"mean sizes of the magnetization {ours.result} and {peer.result}"

    peers = {"wolff": clusters("wolff"), "single-flips": flips()}
    note = (
        "unit: a move or a sweep of one lattice; objective: integrated autocorrelation time of |m| in sweeps of flips"
    )
    return Case(f"|m| at the critical point, {side} x {side}", "move", clusters("swendsen_wang"), peers, agreed, note)


def _running_sizes(run, start, calls, apart):
    """A side of so many calls of `run(key, state) -> (state, (sizes (chains, draws), share of spins that move))`.

    The draws are `apart` moves apart. The calls that measure are not timed.
    """
    executable = jax.jit(run, compiler_options=WIDE).lower(fast_key(2), start).compile()

    @cache
    def outcome():
        state, kept, changed = start, [], []
        for key in jax.random.split(fast_key(3), calls):
            state, (sizes, share) = executable(key, state)
            kept.append(np.asarray(sizes))
            changed.append(float(share))
        sizes = np.concatenate(kept, axis=1)
        time = float(autocorrelation_time(sizes)) * apart * np.mean(changed)
        return Outcome((float(sizes.mean()), float(mean_standard_error(sizes))), float(time))

    def call():
        known = outcome()
        jax.block_until_ready(executable(fast_key(4), start))
        return known

    return call
