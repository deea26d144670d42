"""The plain JAX side of the group `spins`: simple code with the default random keys.

Spins are not packed, units are not updated in blocks, and a Python loop over jitted calls replaces an axis of
temperatures or replicas. What needs no effort is done well: everything is jitted, keys are split inside of the
jitted functions, and results are waited for only where they are needed.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array


def dense_sweeps(weights: Array, bias: Array, beta: float, sweeps: int) -> Callable[[Array, Array], Array]:
    """Sweeps of one chain of spins, site by site; for `jax.vmap` over chains.

    s_i = +1 with probability σ(2 beta (W s + b)_i). At every site the key is split and one uniform is drawn.
    """

    def update(carry, site):
        spins, key = carry
        key, draw_key = jax.random.split(key)
        return (_updated(weights, bias, beta, spins, site, jax.random.uniform(draw_key)), key), None

    sites = jnp.tile(jnp.arange(len(bias)), sweeps)
    return lambda key, spins: jax.lax.scan(update, (spins, key), sites)[0][0]


def dense_sweeps_drawn_ahead(weights: Array, bias: Array, beta: float, sweeps: int) -> Callable[[Array, Array], Array]:
    """As `dense_sweeps`, but all uniforms of a sweep are drawn before it, in one call."""
    units = len(bias)

    def sweep(spins, key):
        uniforms = jax.random.uniform(key, (units,))
        return jax.lax.fori_loop(
            0, units, lambda site, spins: _updated(weights, bias, beta, spins, site, uniforms[site]), spins
        ), None

    return lambda key, spins: jax.lax.scan(sweep, spins, jax.random.split(key, sweeps))[0]


def _updated(weights, bias, beta, spins, site, uniform):
    field = weights[site] @ spins + bias[site]
    return spins.at[site].set(jnp.where(uniform < jax.nn.sigmoid(2 * beta * field), 1.0, -1.0))


def ising_sweep(coupling: Array, beta: Array | float, key: Array, spins: Array) -> Array:
    """One sweep of a periodic lattice of float spins, first one colour of the checkerboard, then the other.

    Args:
        coupling: (2, rows, columns), the bonds to the next row and to the next column.
        beta: inverse temperature.
        key: typed random key.
        spins: (rows, columns), of -1 and +1.
    """
    rows, columns = spins.shape
    colour = (jnp.arange(rows)[:, None] + jnp.arange(columns)[None]) % 2
    for half, half_key in enumerate(jax.random.split(key)):
        field = sum(
            coupling[axis] * jnp.roll(spins, -1, axis) + jnp.roll(coupling[axis] * spins, 1, axis) for axis in range(2)
        )
        up = jax.random.uniform(half_key, spins.shape) < jax.nn.sigmoid(2 * beta * field)
        spins = jnp.where(colour == half, jnp.where(up, 1.0, -1.0), spins)
    return spins


def ising_energy(coupling: Array, spins: Array) -> Array:
    """E(s) of one lattice."""
    return -sum(jnp.sum(coupling[axis] * spins * jnp.roll(spins, -1, axis)) for axis in range(2))


def ising_sweeps(coupling: Array, beta: Array | float, key: Array, spins: Array, sweeps: int) -> Array:
    """Several sweeps by `ising_sweep` in one scan."""
    step = lambda spins, key: (ising_sweep(coupling, beta, key, spins), None)
    return jax.lax.scan(step, spins, jax.random.split(key, sweeps))[0]


class BetaLoop:
    """One chain for each temperature: a Python loop over calls of one jitted function, which waits at its end.

    Args:
        run: `run(beta, key, spins) -> spins`, jitted once for all betas.
        betas: (chains,).
        key: typed random key, split into one key for each chain.
        spins: first states, with the leading axis chains.
        options: compiler options.
    """

    def __init__(self, run: Callable[..., Array], betas: np.ndarray, key: Array, spins: Array, options: dict):
        def call(beta, key, spins):
            key, run_key = jax.random.split(key)
            return key, run(beta, run_key, spins)

        self._call = jax.jit(call, compiler_options=options)
        self._betas = list(np.asarray(betas))
        self._chains = list(zip(jax.random.split(key, len(spins)), spins, strict=True))
        self.run()  # compiles

    def run(self) -> None:
        """One call for every temperature."""
        self._chains = [self._call(beta, *chain) for beta, chain in zip(self._betas, self._chains, strict=True)]
        jax.block_until_ready(self._chains)

    def spins(self) -> Array:
        """The present states of all chains."""
        return jnp.stack([spins for _, spins in self._chains])


class Tempering:
    """Parallel tempering as a Python loop: a jitted sweep and energy for each replica, and swaps by NumPy."""

    def __init__(self, coupling: Array, betas: np.ndarray, seed: int, options: dict | None = None):
        def sweep(beta, key, spins):
            key, sweep_key = jax.random.split(key)
            spins = ising_sweep(coupling, beta, sweep_key, spins)
            return key, spins, ising_energy(coupling, spins)

        self._sweep = jax.jit(sweep, compiler_options=options)
        self._betas = list(np.asarray(betas, np.float32))
        self._random = np.random.default_rng(seed)
        self._keys = list(jax.random.split(jax.random.key(seed), len(betas)))
        start = self._random.choice([-1.0, 1.0], (len(betas), *coupling.shape[1:]))
        self._replicas = list(jnp.asarray(start, jnp.float32))
        self._turn = 0

    def run(self, sweeps: int) -> np.ndarray:
        """Make sweeps of all replicas, each followed by swaps of every other pair; return the last energies by beta."""
        betas, energies = self._betas, []
        for _ in range(sweeps):
            calls = zip(betas, self._keys, self._replicas, strict=True)
            self._keys, self._replicas, energies = map(list, zip(*(self._sweep(*call) for call in calls), strict=True))
            energies = jax.device_get(energies)
            for i in range(self._turn, len(betas) - 1, 2):
                gain = (betas[i] - betas[i + 1]) * (energies[i] - energies[i + 1])
                if np.log1p(-self._random.uniform()) < gain:
                    for row in (self._replicas, energies):
                        row[i], row[i + 1] = row[i + 1], row[i]
            self._turn = 1 - self._turn
        return np.array(energies)
