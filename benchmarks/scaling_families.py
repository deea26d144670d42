"""What grows in the group `scaling`: a function of each kind of work, its arguments at a size, and what is timed.

Every family does the same number of steps at every size, so that its cost is that of the size alone.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ebmjax import circle, free_energy, gradient, problems, random_bits, train
from ebmjax.energies import ellipse, hopfield
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies.regularizers import l1
from ebmjax.learn.contrast import phases
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.loops import repeat
from ebmjax.losses.energy import energy_loss
from ebmjax.minimize.codes.proximal import fista
from ebmjax.sample.gibbs import systematic
from ebmjax.sample.hamiltonian import hamiltonian
from ebmjax.sample.special import multispin
from ebmjax.sample.special.restricted import binary
from ebmjax.sample.tempering import tempering


class Work(NamedTuple):
    """One family at one size."""

    function: Callable[..., Any]
    """What is compiled."""
    arguments: tuple[Any, ...]
    """The first one has the leading axis that grows, where the family can lie on several devices."""


class Family(NamedTuple):
    """One kind of work."""

    name: str
    """What grows."""
    what: str
    """What is done."""
    sizes: tuple[int, ...]
    """Four sizes over two decades; multiples of eight, the number of devices."""
    make: Callable[[int], Work]
    spread: bool = False
    """Whether what grows lies along the leading axis of the first argument, so that it can be laid over devices."""


def families(quick: bool) -> list[Family]:
    """All families; with `quick` at their two smallest sizes."""
    sizes = lambda *every: every[:2] if quick else every
    return [
        Family("members", "16 epochs of ellipses at as many temperatures", sizes(16, 64, 320, 1600), _members, True),
        Family("chains", "100 steps of Hamiltonian Monte Carlo", sizes(64, 320, 1280, 6400), _chains, True),
        Family("spins", "100 sweeps of one lattice, 64 columns", sizes(4096, 16_384, 81_920, 409_600), _spins),
        Family(
            "units",
            "20 updates of a machine with 784 visible and as many hidden units",
            sizes(16, 64, 320, 1600),
            _units,
        ),
        Family("atoms", "100 steps of FISTA, 64 codes of 64 pixels", sizes(64, 320, 1280, 6400), _atoms),
        Family("samples", "free energies at 16 temperatures", sizes(640, 3200, 12_800, 64_000), _samples, True),
        Family("temperatures", "20 rounds of tempering, 16 units", sizes(8, 40, 160, 800), _temperatures),
    ]


def _members(size):
    y = problems.ellipse_data(jax.random.key(0))
    keys, betas = jax.random.split(random_bits.key(1), size), jnp.geomspace(0.1, 100, size)

    def fit(key, beta):
        free = lambda params, y: free_energy(partial(ellipse.energy, params, y), circle(48), beta)
        learner = gradient(energy_loss(free), optax.adam(0.03))
        return train(key, learner, ellipse.init(key), y, batch_size=8, epochs=16).params

    return Work(lambda keys, betas: jax.vmap(fit)(keys, betas), (keys, betas))


def _chains(size):
    kernel = hamiltonian(lambda x: jnp.sum(x**4) - jnp.sum(x), 2.0, 0.1, 5)
    one = lambda key: repeat(key, kernel, kernel.init(jnp.zeros(10)), 100).positions
    return Work(lambda keys: jax.vmap(one)(keys), (jax.random.split(random_bits.key(1), size),))


def _spins(size):
    kernel = multispin.lattice(1.0, 0.44)
    position = multispin.pack_lattice(jax.random.rademacher(jax.random.key(0), (size // 64, 64), jnp.float32))
    return Work(lambda position: repeat(random_bits.key(1), kernel, kernel.init(position), 100).positions, (position,))


def _units(size):
    visible, batch, updates = 784, 100, 20
    first = rbm.init(jax.random.key(0), jnp.full(visible, 0.2), size)
    data = jax.random.bernoulli(jax.random.key(1), 0.2, (batch * updates, visible)).astype(jnp.float32)
    means = lambda params, v: rbm.with_hidden_means(params, v, 1.0)
    negative = phases.contrastive_divergence(
        lambda params: binary(params, 1.0), lambda key, v: (v, jnp.zeros(size)), steps=1
    )
    learner = contrastive(
        lambda params, position: rbm.energy(params, *position),
        phases.viewed(phases.observed(), means),
        phases.viewed(negative, lambda params, position: means(params, position[0])),
        optax.sgd(0.05),
    )
    return Work(lambda params, data: train(random_bits.key(2), learner, params, data, batch, 1).params, (first, data))


def _atoms(size):
    atoms = jax.random.normal(jax.random.key(0), (64, size))
    dictionary = atoms / jnp.linalg.norm(atoms, axis=0, keepdims=True)
    patches = jax.random.normal(jax.random.key(1), (64, 64))
    lipschitz = jnp.linalg.norm(dictionary, 2) ** 2

    def code(dictionary, patch):
        smooth = lambda z: jnp.sum((patch - dictionary @ z) ** 2) / 2
        return fista(smooth, l1(0.1), jnp.zeros(size), lipschitz, max_steps=100, tolerance=0.0).value

    return Work(lambda dictionary, patches: jax.vmap(partial(code, dictionary))(patches), (dictionary, patches))


def _samples(size):
    y = jax.random.normal(jax.random.key(0), (size, 2))
    betas = jnp.geomspace(0.1, 100, 16)
    params = ellipse.Params(jnp.array([2.0, 1.5]))
    one = lambda y: jax.vmap(lambda beta: free_energy(partial(ellipse.energy, params, y), circle(48), beta))(betas)
    return Work(lambda y: jax.vmap(one)(y), (y,))


def _temperatures(size):
    units = 16
    weights = jax.random.normal(jax.random.key(0), (units, units)) / units**0.5
    params = hopfield.Params(weights + weights.T - jnp.diag(jnp.diag(weights + weights.T)), jnp.zeros(units))
    energy = partial(hopfield.energy, params)
    kernel = tempering(energy, lambda beta: systematic(energy, beta), jnp.linspace(0.1, 2, size))
    start = jax.random.rademacher(jax.random.key(1), (size, units), jnp.float32)
    return Work(lambda start: repeat(random_bits.key(2), kernel, kernel.init(start), 20).positions, (start,))
