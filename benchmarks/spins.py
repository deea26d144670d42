"""The group `spins`: samplers of binary units, and learning with them. The unit of work of a sampler is a spin update.

How sides run, and when two agree, says `running_chains`.
"""

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import restricted_boltzmann
from benchmarks.peers import c_ising, naive_boltzmann
from benchmarks.runner import WIDE, Case
from benchmarks.running_chains import (
    Sampler,
    agree,
    energy_per_spin,
    fast_key,
    of_kernel,
    random_spins,
    running,
    side_of,
    thrml,
)
from ebmjax import problems, random_bits
from ebmjax.energies import hopfield, ising
from ebmjax.loops import repeat
from ebmjax.sample.special import multispin
from ebmjax.sample.special.checkerboard import checkerboard
from ebmjax.sample.special.dense import dense
from ebmjax.sample.tempering import tempering

BETA = 0.35
"""Inverse temperature of the uniform lattices. Their correlation length is 2.6 sites, so they equilibrate quickly."""
# Fast random bits are a choice of the user, like the generator of the C program. The law is the same as with 32 bits.
FAST: dict[str, Any] = {"bits": random_bits.hashed, "precision": 8}


def cases(quick: bool) -> list[Case]:
    """All cases; `quick` makes the problems small."""
    return [
        _lattice(quick, FAST, ""),
        _lattice(quick, {}, ", default random bits"),
        _chains(quick),
        _bonds(quick),
        _dense(quick, 256),
        _dense(quick, 1024),
        _betas(quick, 1),
        _betas(quick, 20),
        _tempering(quick),
        _million(quick),
        restricted_boltzmann.case(quick),
    ]


UNIFORM = ising.Params(jnp.array(1.0), jnp.array(0.0))


def _c(shape, chains, sweeps):
    """The C side of a uniform lattice, where there is a C compiler."""
    if not c_ising.available():
        return {}, ("a C compiler (cc)",)

    def start():
        model = c_ising.Ising(shape, chains, BETA, seed=2, hot=True)
        last = [0.0]

        def advance():
            last[0] = model.run(sweeps)

        return Sampler(advance, lambda: last[0])

    updates = int(np.prod(shape)) * (chains or 1) * sweeps
    name = f"C, AVX-512, {c_ising.BITS} random bits"
    return {"c": side_of(start, c_ising.version(), updates, name)}, ()


def _plain(coupling, beta, sweeps):
    """The side of one lattice in plain JAX."""
    params = ising.Params(jnp.asarray(coupling), jnp.array(0.0))

    def start():
        run = lambda key, spins: naive_boltzmann.ising_sweeps(params.coupling, beta, key, spins, sweeps)
        spins = random_spins(jax.random.key(4), coupling[0].shape)
        return running(run, energy_per_spin(params), jax.random.key(5), spins)

    updates = coupling[0].size * sweeps
    return {"naive-vmap:checkerboard": side_of(start, jax.__version__, updates, "plain JAX checkerboard")}, ()


def _gather(*sides):
    """The peers that are installed, and the names of those that are not."""
    peers = {name: side for here, _ in sides for name, side in here.items()}
    return peers, tuple(name for _, missing in sides for name in missing)


def _lattice(quick, fast, name):
    side, sweeps, few = (128, 100, 20) if quick else (512, 1000, 20)

    def start():
        kernel = multispin.lattice(1.0, BETA, **fast)
        position = multispin.pack_lattice(random_spins(jax.random.key(0), (side, side)))
        energy = lambda words: energy_per_spin(UNIFORM)(multispin.unpack_lattice(words))
        return of_kernel(kernel, energy, 1, position, sweeps)

    coupling = np.ones((2, side, side), np.float32)
    c = _c((side, side), None, sweeps)
    peers, missing = _gather(thrml(coupling, BETA, None, few), c, _plain(coupling, BETA, few))
    exact = problems.onsager_energy(BETA)
    note = f"beta = {BETA}, J = 1; {_words(fast)}; energy per spin in an infinite lattice: {exact:.5f}"
    ours = side_of(start, "", side**2 * sweeps)
    return Case(f"uniform Ising model, {side} x {side}{name}", "spin update", ours, peers, agree, note, missing)


def _words(fast):
    """A description of our random bits, for the table."""
    return (
        f"hashed counters, {fast['precision']} + 1 random words per update"
        if fast
        else "threefry, 16 + 1 random words per update"
    )


def _chains(quick):
    chains, side, sweeps, few = (64, 16, 100, 20) if quick else (256, 64, 400, 10)

    def start():
        kernel = multispin.chains(1.0, BETA, **FAST)
        position = multispin.pack_chains(random_spins(jax.random.key(0), (chains, side, side)))
        energy = lambda words: energy_per_spin(UNIFORM)(multispin.unpack_chains(words))
        return of_kernel(kernel, energy, 1, position, sweeps)

    coupling = np.ones((2, side, side), np.float32)
    peers, missing = _gather(thrml(coupling, BETA, chains, few), _c((side, side), chains, sweeps))
    ours = side_of(start, "", chains * side**2 * sweeps)
    name = f"uniform Ising model, {chains} chains of {side} x {side}"
    return Case(name, "spin update", ours, peers, agree, f"beta = {BETA}, J = 1; {_words(FAST)}", missing)


def _bonds(quick):
    side, sweeps, few, beta = (32, 50, 20, 0.5) if quick else (256, 100, 20, 0.5)
    coupling = np.random.default_rng(6).normal(size=(2, side, side)).astype(np.float32)
    params = ising.Params(jnp.asarray(coupling), jnp.array(0.0))

    def start():
        kernel = checkerboard(params, beta, (side, side), random_bits.hashed)
        position = ising.split(random_spins(jax.random.key(0), (side, side)))
        return of_kernel(kernel, lambda parts: energy_per_spin(params)(ising.join(parts)), 1, position, sweeps)

    peers, missing = _gather(thrml(coupling, beta, None, few), _plain(coupling, beta, few))
    note = f"spin glass with a normal coupling for every bond, beta = {beta}; hashed counters"
    name = f"Ising model with a coupling a bond, {side} x {side}"
    return Case(name, "spin update", side_of(start, "", side**2 * sweeps), peers, agree, note, missing)


def _dense(quick, units):
    units, chains, beta = (units // 8 if quick else units), 128, 0.3
    sweeps = few = 4 if units > 512 else 16
    upper = np.triu(np.random.default_rng(7).normal(size=(units, units)) / np.sqrt(units), 1).astype(np.float32)
    params = hopfield.Params(jnp.asarray(upper + upper.T), jnp.zeros(units))
    energy = lambda spins: jnp.mean(jax.vmap(partial(hopfield.energy, params))(spins)) / units

    def start():
        position = random_spins(jax.random.key(0), (units, chains))
        return of_kernel(dense(params, beta), lambda spins: energy(spins.T), 1, position, sweeps)

    def naive(sweeper):
        one = sweeper(params.weights, params.bias, beta, few)
        run = lambda key, spins: jax.vmap(one)(jax.random.split(key, chains), spins)
        return running(run, energy, jax.random.key(3), random_spins(jax.random.key(0), (chains, units)))

    ours = side_of(start, "", units * chains * sweeps)
    plain = lambda sweeper, name: side_of(partial(naive, sweeper), jax.__version__, units * chains * few, name)
    peers = {
        "naive-vmap": plain(naive_boltzmann.dense_sweeps, "plain JAX, vmapped scan over sites"),
        "naive-vmap:ahead": plain(naive_boltzmann.dense_sweeps_drawn_ahead, "the same, uniforms drawn ahead"),
    }
    note = f"normal couplings / sqrt(N), beta = {beta}, {chains} chains"
    return Case(f"dense Boltzmann machine, {units} units", "spin update", ours, peers, agree, note)


def _betas(quick, sweeps):
    side, apart = (8 if quick else 16), 20 // sweeps
    betas = jnp.linspace(0.05, 0.4, 32)
    start_of = lambda: random_spins(jax.random.key(0), (len(betas), side, side))
    energy = energy_per_spin(UNIFORM)

    def ours_at(beta, key, spins):
        kernel = checkerboard(UNIFORM, beta, (side, side), random_bits.hashed)
        return ising.join(repeat(key, kernel, kernel.init(ising.split(spins)), sweeps).positions)

    def plain_at(beta, key, spins):
        return naive_boltzmann.ising_sweeps(jnp.ones((2, side, side)), beta, key, spins, sweeps)

    def start():
        run = lambda key, spins: jax.vmap(ours_at)(betas, jax.random.split(key, len(betas)), spins)
        return running(run, energy, fast_key(1), start_of())

    def loop(at, key):
        chains = naive_boltzmann.BetaLoop(at, np.asarray(betas), key, start_of(), WIDE)
        return Sampler(chains.run, lambda: energy(chains.spins()))

    updates = len(betas) * side**2 * sweeps
    here = lambda at, key, name: side_of(partial(loop, at, key), jax.__version__, updates, name, apart)
    peers = {
        "python-loop:ours": here(ours_at, fast_key(2), "Python loop of the same kernel"),
        "python-loop:plain": here(plain_at, jax.random.key(3), "Python loop of plain JAX"),
    }
    note = "beta = 0.05 to 0.4, hashed counters; agreement of the mean over all betas"
    name = f"32 betas of a {side} x {side} lattice in one call, sweeps a call: {sweeps}"
    return Case(name, "spin update", side_of(start, "", updates, apart=apart), peers, agree, note)


def _tempering(quick):
    side, rungs, sweeps, few = (8, 4, 20, 5) if quick else (16, 16, 100, 5)
    betas = np.linspace(0.2, 0.44, rungs).astype(np.float32)
    coupling = jnp.ones((2, side, side))

    def start():
        energy = lambda parts: ising.energy(UNIFORM, ising.join(parts))
        at = lambda beta: checkerboard(UNIFORM, beta, (side, side))
        position = jax.vmap(ising.split)(random_spins(jax.random.key(0), (rungs, side, side)))
        mean = lambda parts: jnp.mean(jax.vmap(energy)(parts)) / side**2
        return of_kernel(tempering(energy, at, jnp.asarray(betas)), mean, 1, position, sweeps)

    def loop():
        model = naive_boltzmann.Tempering(coupling, betas, seed=2, options=WIDE)
        energies = [np.zeros(rungs)]
        model.run(1)  # compiles

        def advance():
            energies[0] = model.run(few)

        return Sampler(advance, lambda: energies[0] / side**2)

    ours = side_of(start, "", rungs * side**2 * sweeps)
    peer = side_of(loop, jax.__version__, rungs * side**2 * few, "jitted sweeps, swaps in Python", 4)
    note = f"beta = 0.2 to 0.44, a sweep between swaps; {sweeps} of them in one call"
    name = f"parallel tempering, {rungs} replicas of {side} x {side}"
    return Case(name, "spin update", ours, {"python-loop": peer}, agree, note)


def _million(quick):
    """The memory of 32 chains of a million spins, 4 MB."""
    side, sweeps = (64, 10) if quick else (1024, 10)
    kernel = multispin.chains(1.0, BETA, **FAST)
    position = ising.split(jax.random.bits(jax.random.key(0), (side, side, 1)))
    run = lambda key, state: repeat(key, kernel, state, sweeps).state
    energy = lambda words: energy_per_spin(UNIFORM)(multispin.unpack_chains(words))

    @cache
    def memory():
        state = kernel.init(position)
        analysis: Any = jax.jit(run, compiler_options=WIDE).lower(fast_key(1), state).compile().memory_analysis()
        sizes = (analysis.argument_size_in_bytes, analysis.temp_size_in_bytes, analysis.output_size_in_bytes)
        return sum(leaf.nbytes for leaf in jax.tree.leaves(state)), sum(sizes)

    state_bytes, all_bytes = memory()
    if all_bytes >= 100e6:
        raise AssertionError(f"the million-spin lattice takes {all_bytes / 1e6:.0f} MB, wanted less than 100")
    peers, missing = _c((side, side), 64, sweeps)
    ours = side_of(lambda: of_kernel(kernel, energy, 1, position, sweeps), "", 32 * side**2 * sweeps)
    note = f"state {state_bytes / 1e6:.2f} MB; with inputs, outputs and all that XLA allocates {all_bytes / 1e6:.1f} MB"
    name = f"memory of 32 chains of {side} x {side}"
    return Case(name, "spin update", ours, peers, agree, note + "; C takes 64 chains", missing)
