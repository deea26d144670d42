"""The problems of `spin_league`: laws of discrete units with exact means, by closed forms, enumeration and elimination.

Samplers are judged by a few quantities of a state, such as its energy and its magnetization, whose means are known.
"""

import enum
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from ebmjax import lattices, problems
from ebmjax.energies import ising, ising_on_graph, neural, potts
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.graphs import Graph, from_edges
from ebmjax.learn.gradient import gradient
from ebmjax.learn.train import train
from ebmjax.likelihoods import restricted
from ebmjax.losses.likelihood import negative_log_likelihood
from ebmjax.marginalize import spaces
from ebmjax.marginalize.elimination import draws, factors, plans
from ebmjax.marginalize.free_energy import posterior
from ebmjax.types import BITS, SPINS, Alphabet
from experiments.samplers import hidden_chains
from experiments.samplers.league_scores import Known
from experiments.spins.league_problems import machine_of_digits


class Which(enum.Enum):
    """The problems, by their names on the command line."""

    BERNOULLI = "bernoulli"
    ISING_HOT = "ising_hot"
    ISING_CRITICAL = "ising_critical"
    ISING_COLD = "ising_cold"
    POTTS = "potts"
    GLASS = "glass"
    MACHINE = "machine"
    HIDDEN_CHAINS = "hidden_chains"
    NEURAL = "neural"


class Coupled(NamedTuple):
    """A law of spins ±1 whose energy is that of `ising_on_graph`."""

    params: ising_on_graph.Params
    graph: Graph


class Lattice(NamedTuple):
    """A square lattice, periodic but for bonds of 0."""

    params: ising.Params
    side: int


class SpinLaw(NamedTuple):
    """A law exp(-beta E)/Z of discrete units, what is measured of a state, and what samplers may know of the energy."""

    name: str
    energy: Callable[[Any], Any]
    """Of one array of units; of one-hot rows where there is no alphabet."""
    beta: float
    alphabet: Alphabet | None
    start: Callable[[Key[Array, ""]], Float[Array, "..."]]
    observe: Callable[[Any], Float[Array, " quantities"]]
    known: Known
    colors: np.ndarray | None = None
    """Such that no two units of a colour interact."""
    coupled: Coupled | None = None
    lattice: Lattice | None = None
    machine: rbm.Params | None = None
    """Whose visible units these are."""
    edges: np.ndarray | None = None
    """Of the Potts model of coupling 1 whose states the rows are."""
    hottest: float | None = None
    """The least beta of a ladder, as a share of beta; None where none is needed."""


def law(which: Which, key: Key[Array, ""]) -> SpinLaw:
    """The problem of a name; the key makes the random ones."""
    return {
        Which.BERNOULLI: bernoulli,
        Which.ISING_HOT: lambda key: ferromagnet("hot", 0.3),
        Which.ISING_CRITICAL: lambda key: ferromagnet("critical", CRITICAL),
        Which.ISING_COLD: lambda key: ferromagnet("cold", 0.6),
        Which.POTTS: potts_lattice,
        Which.GLASS: glass,
        Which.MACHINE: machine,
        Which.HIDDEN_CHAINS: factorial_chains,
        Which.NEURAL: network,
    }[which](key)


def _signs(shape: tuple[int, ...]) -> Callable[[Key[Array, ""]], Float[Array, "..."]]:
    return lambda key: jax.random.rademacher(key, shape, jnp.float32)


def _bits(units: int) -> Callable[[Key[Array, ""]], Float[Array, " units"]]:
    return lambda key: jax.random.bernoulli(key, shape=(units,)).astype(jnp.float32)


def _exact(source: str, means: Any, sds: Any) -> Known:
    means, sds = np.asarray(means, np.float64), np.asarray(sds, np.float64)
    return Known(source, means, np.zeros_like(means), np.asarray, means, sds)


def _of_draws(source: str, values: Any) -> Known:
    """What independent exact draws (draws, quantities) say."""
    values = np.asarray(values, np.float64)
    means, sds = values.mean(axis=0), values.std(axis=0)
    return Known(f"{source}, {len(values):,} draws", means, sds / math.sqrt(len(values)), np.asarray, means, sds)


def bernoulli(key: Key[Array, ""], units: int = 50) -> SpinLaw:
    """Independent spins, whose fields are normal with standard deviation 1."""
    graph = from_edges(units, [])
    params = ising_on_graph.Params(jnp.zeros(0), jax.random.normal(key, (units,), jnp.float32))
    means = np.tanh(np.asarray(params.field, np.float64))
    return SpinLaw(
        f"Bernoulli, {units} spins",
        partial(ising_on_graph.energy, params, graph.edges),
        1.0,
        SPINS,
        _signs((units,)),
        lambda spins: spins,
        _exact("closed form", means, np.sqrt(1 - means**2)),
        colors=np.zeros(units, int),
        coupled=Coupled(params, graph),
    )


# ---- Lattices --------------------------------------------------------------------------------------------------------

SIDE, CRITICAL = 16, math.log(1 + math.sqrt(2)) / 2
MAGNETIZATIONS = {0.3: 0.1684, CRITICAL: 0.7387, 0.6: 0.9740}
"""Root mean square magnetization of a spin, by 95,000 draws of Swendsen-Wang: the unit of errors, and no truth."""


def ferromagnet(name: str, beta: float) -> SpinLaw:
    """The Ising model on a periodic square lattice: energy and magnetization of a spin.

    The mean energy and its spread are derivatives of Kaufman's log Z, and the mean magnetization is 0.
    """
    sites, step = SIDE**2, 1e-4
    graph = lattices.hypercubic((SIDE, SIDE))
    params = ising_on_graph.Params(jnp.array(1.0), jnp.array(0.0))
    energy = partial(ising_on_graph.energy, params, graph.edges)
    low, middle, high = (problems.periodic_lattice(SIDE, SIDE, beta + away) for away in (-step, 0, step))
    mean, spread = (low - high) / (2 * step) / sites, math.sqrt(low - 2 * middle + high) / step / sites
    return SpinLaw(
        f"Ising, {name}, {SIDE} × {SIDE}",
        energy,
        beta,
        SPINS,
        _signs((sites,)),
        lambda spins: jnp.stack([energy(spins) / sites, jnp.mean(spins)]),
        _exact("closed form", [mean, 0.0], [spread, MAGNETIZATIONS[beta]]),
        colors=ising.checkerboard_colors((SIDE, SIDE)).ravel(),
        coupled=Coupled(params, graph),
        lattice=Lattice(ising.Params(jnp.array(1.0), jnp.array(0.0)), SIDE),
        hottest=0.5,
    )


def glass(key: Key[Array, ""], side: int = 16, beta: float = 1.5, count: int = 20_000) -> SpinLaw:
    """Couplings ±1 on a square lattice with an open boundary: the energy, and 16 spins, whose means are 0."""
    bonds_key, draws_key = jax.random.split(key)
    graph = lattices.hypercubic((side, side), periodic=False)
    coupling = jax.random.rademacher(bonds_key, (len(graph.edges),), jnp.float32)
    params = ising_on_graph.Params(coupling, jnp.array(0.0))
    energy = partial(ising_on_graph.energy, params, graph.edges)
    watched = np.linspace(0, side**2 - 1, 16).astype(int)
    observe = lambda spins: jnp.concatenate([jnp.atleast_1d(energy(spins)), spins[watched]])
    plan = plans.plan(graph)
    terms = factors.binary(SPINS, coupling, jnp.zeros(side**2))
    states = factors.values(SPINS, draws.sample(draws_key, plan, terms, beta, count))
    known = _of_draws("elimination", jax.jit(jax.vmap(observe))(states))
    # without a field a state and its opposite are equally likely
    means = np.where(np.arange(len(known.means)) == 0, known.means, 0)
    known = known._replace(means=means, moment_means=means, mean_errors=np.where(means == 0, 0, known.mean_errors))
    bonds = np.zeros((2, side * side), np.float32)
    for (one, other), value in zip(graph.edges, np.asarray(coupling), strict=True):
        bonds[0 if other - one == side else 1, one] = value
    return SpinLaw(
        f"spin glass, {side} × {side}",
        energy,
        beta,
        SPINS,
        _signs((side**2,)),
        observe,
        known,
        colors=ising.checkerboard_colors((side, side)).ravel(),
        coupled=Coupled(params, graph),
        lattice=Lattice(ising.Params(jnp.asarray(bonds.reshape(2, side, side)), jnp.array(0.0)), side),
        hottest=0.2,
    )


def potts_lattice(key: Key[Array, ""], side: int = 8, states: int = 3, count: int = 20_000) -> SpinLaw:
    """The Potts model at its critical beta on a square lattice with an open boundary.

    The quantities are the energy, and the shares of the states, which are equal on average.
    """
    graph, beta = lattices.hypercubic((side, side), periodic=False), potts.critical_beta(states)
    edges, sites = graph.edges, side**2

    def energy(rows):
        return -jnp.sum(rows[edges[:, 0]] * rows[edges[:, 1]])

    observe = lambda rows: jnp.concatenate([jnp.atleast_1d(energy(rows)) / sites, jnp.mean(rows, axis=0)])
    terms = factors.potts(jnp.ones(len(edges)), jnp.zeros((sites, states)))
    drawn = draws.sample(key, plans.plan(graph, states), terms, beta, count)
    known = _of_draws("elimination", jax.jit(jax.vmap(observe))(jax.nn.one_hot(drawn, states)))
    means, errors = known.means.copy(), known.mean_errors.copy()
    means[1:], errors[1:] = 1 / states, 0
    return SpinLaw(
        f"Potts, {states} states, {side} × {side}",
        energy,
        beta,
        None,
        lambda key: jax.nn.one_hot(jax.random.randint(key, (sites,), 0, states), states),
        observe,
        known._replace(means=means, moment_means=means, mean_errors=errors),
        colors=ising.checkerboard_colors((side, side)).ravel(),
        edges=edges,
    )


# ---- Machines, hidden chains, networks -------------------------------------------------------------------------------


def machine(key: Key[Array, ""], hidden: int = 12, count: int = 50_000) -> SpinLaw:
    """The visible units of a restricted Boltzmann machine trained on 8 × 8 digits.

    The quantities are the free energy, and the probabilities of the hidden units.
    """
    train_key, draws_key = jax.random.split(key)
    params, _ = machine_of_digits(train_key, hidden, 1000)
    energy = partial(rbm.free_energy, params, beta=1.0)
    observe = lambda bits: jnp.concatenate(
        [jnp.atleast_1d(energy(bits)), jax.nn.sigmoid(rbm.hidden_field(params, bits))]
    )
    known = _of_draws("enumeration", jax.jit(jax.vmap(observe))(restricted.draws(draws_key, params, 1.0, count)))
    visible = len(params.visible_bias)
    return SpinLaw(
        f"trained RBM, {visible} and {hidden} units",
        energy,
        1.0,
        BITS,
        _bits(visible),
        observe,
        known,
        machine=params,
        hottest=0.1,
    )


def factorial_chains(key: Key[Array, ""], chains: int = 4, steps: int = 20) -> SpinLaw:
    """A factorial hidden Markov model: hidden bits of several chains, given a path that sums them.

    The quantities are the sums at every time.
    """
    model = hidden_chains.model(key, chains, steps)
    means, sds = hidden_chains.sums(model)
    colors = np.arange(steps)[:, None] % 2 * chains + np.arange(chains)
    return SpinLaw(
        f"factorial HMM, {chains} chains, {steps} steps",
        lambda bits: hidden_chains.energy(model, bits.reshape(steps, chains)),
        1.0,
        BITS,
        _bits(steps * chains),
        lambda bits: bits.reshape(steps, chains) @ model.weights,
        _exact("forward and backward", means, sds),
        colors=colors.ravel(),
    )


def network(key: Key[Array, ""], rows: int = 3, columns: int = 4, epochs: int = 300) -> SpinLaw:
    """A network as the energy of pictures of bars and stripes, trained by the exact likelihood: energy and pixels."""
    stripes = lambda count: spaces.binary_cube(count).points
    across = jnp.repeat(stripes(rows)[:, :, None], columns, axis=2).reshape(-1, rows * columns)
    down = jnp.repeat(stripes(columns)[:, None], rows, axis=1).reshape(-1, rows * columns)
    data, cube = jnp.concatenate([across, down]), spaces.binary_cube(rows * columns)
    init_key, train_key = jax.random.split(key)
    loss = negative_log_likelihood(neural.energy, cube, 1.0)
    start = neural.init(init_key, (rows * columns, 32))
    params = train(train_key, gradient(loss, optax.adam(0.01)), start, data, len(data), epochs).params
    energy = partial(neural.energy, params)
    observe = lambda bits: jnp.concatenate([jnp.atleast_1d(energy(bits)), bits])
    weights = np.asarray(posterior(energy, cube, 1.0), np.float64)
    values = np.asarray(jax.jit(jax.vmap(observe))(cube.points), np.float64)
    means = weights @ values
    sds = np.sqrt(weights @ (values - means) ** 2)
    return SpinLaw(
        f"network, {rows} × {columns} bits",
        energy,
        1.0,
        BITS,
        _bits(rows * columns),
        observe,
        _exact("enumeration", means, sds),
        hottest=0.1,
    )
