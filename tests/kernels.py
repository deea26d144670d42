"""Every sampler of binary units, on a machine of ten of them that is small enough to be enumerated.

A new kernel is one line of `KERNELS`; `tests/sample/test_laws.py` then compares it with the enumerated law
for both alphabets at three temperatures.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.energies import hopfield
from ebmjax.sample import gibbs, informed, metropolis, tempering
from ebmjax.sample.special import dense
from ebmjax.types import BITS, Alphabet, Kernel

UNITS = 10
LAYERS = (6, 4)
COLORS = np.arange(UNITS) % 3


class KernelExample(NamedTuple):
    """How a sampler is asked to sample ten units, and how its positions are read."""

    module: str
    params: hopfield.Params
    make: Callable[[Any, Alphabet], Kernel]
    """`(beta, alphabet) -> kernel`."""
    position: Callable[[Any], Any] = lambda units: units
    """The kernel's position, of ten units."""
    units: Callable[[Any], Any] = lambda position: position
    """The ten units, of a position."""
    thin: int = 1
    """Steps between two draws."""


def _machine(seed: int, meets: np.ndarray) -> hopfield.Params:
    """Random couplings where two units may meet, and biases."""
    random = np.random.default_rng(seed)
    upper = np.triu(random.normal(size=(UNITS, UNITS)) * meets, 1) * 0.4
    return hopfield.Params(
        jnp.asarray(upper + upper.T, jnp.float32), jnp.asarray(0.3 * random.normal(size=UNITS), jnp.float32)
    )


ALL = _machine(0, np.ones((UNITS, UNITS)))
COLORED = _machine(1, COLORS[:, None] != COLORS)
LAYERED = _machine(2, (np.arange(UNITS)[:, None] < LAYERS[0]) != (np.arange(UNITS) < LAYERS[0]))

_energy = partial(hopfield.energy, ALL)
_colored_energy = partial(hopfield.energy, COLORED)


def _layers(units):
    return units[: LAYERS[0]], units[LAYERS[0] :]


def _layered_energy(layers):
    return hopfield.energy(LAYERED, jnp.concatenate(layers))


def _flip(alphabet):
    return metropolis.flip_one_bit if alphabet == BITS else metropolis.flip_one


def _ladder(beta, alphabet):
    """Three rungs, of which the middle one has the asked temperature."""
    make_kernel = lambda beta: metropolis.metropolis(_energy, beta, _flip(alphabet))
    return tempering.tempering(_energy, make_kernel, beta * jnp.array([0.6, 1.0, 1.5]))


def _langevin(beta, alphabet):
    """As many changes for bits as for spins."""
    return informed.langevin(_energy, beta, (alphabet.high - alphabet.low) ** 2, alphabet)


def _alternate(beta, alphabet):
    """Two kernels in turn: what leaves the law invariant one by one does so together."""
    kernels = (gibbs.random_scan(_energy, beta, alphabet), metropolis.metropolis(_energy, beta, _flip(alphabet)))
    as_draw = lambda kernel: lambda key, units: kernel.step(key, kernel.init(units))[0].position
    return gibbs.alternate([as_draw(kernel) for kernel in kernels])


KERNELS = {
    "systematic": KernelExample("gibbs", ALL, partial(gibbs.systematic, _energy)),
    "random_scan": KernelExample("gibbs", ALL, partial(gibbs.random_scan, _energy)),
    "chromatic": KernelExample(
        "gibbs", COLORED, lambda beta, alphabet: gibbs.chromatic(_colored_energy, beta, COLORS, alphabet)
    ),
    "block": KernelExample(
        "gibbs",
        LAYERED,
        lambda beta, alphabet: gibbs.block(_layered_energy, beta, ((1,), (0,)), alphabet),
        _layers,
        jnp.concatenate,
    ),
    "alternate": KernelExample("gibbs", ALL, _alternate),
    "metropolis": KernelExample(
        "metropolis", ALL, lambda beta, alphabet: metropolis.metropolis(_energy, beta, _flip(alphabet)), thin=10
    ),
    "gibbs_with_gradients": KernelExample("informed", ALL, partial(informed.gibbs_with_gradients, _energy), thin=10),
    "discrete langevin": KernelExample("informed", ALL, _langevin, thin=2),
    "dense": KernelExample(
        "dense",
        ALL,
        lambda beta, alphabet: dense.dense(ALL, beta, alphabet, block=4),
        lambda units: units[:, None],
        lambda position: position[:, 0],
    ),
    "tempering": KernelExample(
        "tempering", ALL, _ladder, lambda units: jnp.stack([units] * 3), lambda position: position[1], thin=10
    ),
}


def start(key: jax.Array, chains: int, alphabet: Alphabet) -> jax.Array:
    """Ten random units a chain."""
    return jnp.where(jax.random.bernoulli(key, 0.5, (chains, UNITS)), alphabet.high, alphabet.low)
