"""Problems of `free_energy_league`: laws along a path, with the exact log Z at its end.

    p_t(x) ∝ exp(-u0(x) - t D(x)),    t from 0 to 1

At t = 0 draws and log Z are exact. The path is linear in t, so that the draws of all t can be reweighted by D alone.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from ebmjax import problems
from ebmjax.energies import ellipse, hopfield, ising, potts
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.train import train
from ebmjax.likelihoods import restricted
from ebmjax.likelihoods.paths import base_biases
from ebmjax.marginalize import enumeration
from ebmjax.marginalize.density_of_states import models
from ebmjax.marginalize.elimination import draws, exact, factors, graphs, plans
from ebmjax.problems import planting
from ebmjax.sample.gibbs import alternate
from ebmjax.sample.metropolis import gaussian_step, metropolis
from ebmjax.sample.special import single_site
from ebmjax.sample.special.checkerboard import checkerboard
from ebmjax.sample.special.restricted import binary
from ebmjax.types import SPINS, Kernel
from experiments.data.images import Images, load
from experiments.drawing.mosaics import flat
from experiments.spins.likelihood_training import Gradient, Method, Plan, learner
from experiments.spins.restricted_machines import divided

Draws = Callable[[Key[Array, ""], int], PyTree[Array]]
"""`(key, count) -> positions` with the leading axis count."""


class Levels(NamedTuple):
    """What a density of states needs: u0 = 0, and D = beta E.

    Walkers need several sweeps for each level, so that the levels are those of the laws from 0 to beta alone: what is
    beyond has less than 10⁻⁵ of the weight at either end.
    """

    model: models.Model
    energies: Float[np.ndarray, " levels"]
    beta: float


class Problem(NamedTuple):
    """A path of laws from one that is known to one whose log Z is known too."""

    name: str
    base: Callable[[Any], Any]
    """u0(x)."""
    change: Callable[[Any], Any]
    """D(x)."""
    make_kernel: Callable[[Any], Kernel]
    """t → a kernel that leaves the law at t invariant."""
    starts: Draws
    """Exact draws at t = 0."""
    log_start: float
    """log Z at t = 0."""
    truth: float
    """log Z at t = 1."""
    ends: Draws | None = None
    """Exact draws at t = 1; None where there are none."""
    bend: float = 0.0
    """t = (exp(bend s) - 1) / (exp(bend) - 1) with s at equal distances: 0 is linear, 10 near geometric."""
    truth_error: float = 0.0
    """The standard error of the truth, where it comes from a long run."""
    levels: Levels | None = None

    def path(self, t: Any, position: Any) -> Any:
        """u(t, x)."""
        return self.base(position) + t * self.change(position)

    def schedule(self, points: int) -> Float[np.ndarray, " points"]:
        """Values of t from 0 to 1."""
        s = np.linspace(0, 1, points)
        return np.asarray(np.expm1(self.bend * s) / math.expm1(self.bend) if self.bend else s, np.float32)


def _nothing(position):
    """u0 of paths from beta = 0."""
    return jnp.zeros(())


# ---- A continuous unknown --------------------------------------------------------------------------------------------

ELLIPSE, OBSERVED, ELLIPSE_BETA = (2.0, 1.5), (0.2, 0.3), 1e4
GRID = 2**17  # angles of the quadrature, of which the peak of width 0.005 covers a hundred


def angle() -> Problem:
    """The latent angle of an ellipse at beta = 10⁴, where one of two minima has all the weight in a narrow peak."""
    params, y = ellipse.Params(jnp.array(ELLIPSE)), jnp.array(OBSERVED)
    energy = lambda z: ellipse.energy(params, y, z)
    change = lambda z: ELLIPSE_BETA * energy(z)
    grid = 2 * np.pi * np.arange(GRID) / GRID
    heights = (OBSERVED[0] - ELLIPSE[0] * np.cos(grid)) ** 2 + (OBSERVED[1] - ELLIPSE[1] * np.sin(grid)) ** 2
    weights = np.exp(-ELLIPSE_BETA * (heights - heights.min()))
    truth = -ELLIPSE_BETA * heights.min() + math.log(weights.sum() * 2 * np.pi / GRID)
    shares = jnp.asarray(np.cumsum(weights) / weights.sum(), jnp.float32)

    def ends(key, count):
        cell_key, within_key = jax.random.split(key)
        cell = jnp.searchsorted(shares, jax.random.uniform(cell_key, (count,))).astype(jnp.float32)
        return (cell + jax.random.uniform(within_key, (count,)) - 0.5) * (2 * np.pi / GRID)

    def make_kernel(t):
        width = 2.4 / jnp.sqrt(2 * ELLIPSE[0] * ELLIPSE_BETA * t + 1)  # of a peak with a curvature of about 4
        return metropolis(lambda z: t * change(z), 1.0, gaussian_step(width))

    starts = lambda key, count: jax.random.uniform(key, (count,), maxval=2 * np.pi)
    volume = math.log(2 * np.pi)
    return Problem("ellipse, β = 10⁴", _nothing, change, make_kernel, starts, volume, truth, ends, bend=11.0)


CENTRES, WEIGHTS = ((-4.0, 0.0), (4.0, 1.0), (0.0, 5.0)), (0.2, 0.3, 0.5)
PEAK, BROAD = 0.3, 4.0  # standard deviations of a component, and of the law at t = 0


def mixture() -> Problem:
    """Three Gaussians of the plane that are far apart, from one broad Gaussian."""
    centres, log_weights = jnp.array(CENTRES), jnp.log(jnp.array(WEIGHTS))
    base = lambda x: jnp.sum(x**2) / (2 * BROAD**2)
    distances = lambda x: jnp.sum((x[None] - centres) ** 2, axis=-1)
    last = lambda x: -jax.nn.logsumexp(log_weights - distances(x) / (2 * PEAK**2))
    change = lambda x: last(x) - base(x)

    def make_kernel(t):
        width = 1.7 / jnp.sqrt((1 - t) / BROAD**2 + t / PEAK**2)
        return metropolis(lambda x: base(x) + t * change(x), 1.0, gaussian_step(width))

    starts = lambda key, count: BROAD * jax.random.normal(key, (count, 2))

    def ends(key, count):
        which_key, noise_key = jax.random.split(key)
        which = jax.random.categorical(which_key, log_weights, shape=(count,))
        return centres[which] + PEAK * jax.random.normal(noise_key, (count, 2))

    log_z = lambda width: math.log(2 * np.pi * width**2)
    return Problem(
        "Gaussian mixture", base, change, make_kernel, starts, log_z(BROAD), log_z(PEAK), ends, bend=5.0
    )  # fmt: skip


# ---- Lattices --------------------------------------------------------------------------------------------------------


def _spins(params: ising.Params, side: int, beta: float) -> dict[str, Any]:
    """Fields of a `Problem` with the four sublattices of a square lattice as its position."""
    return {
        "base": _nothing,
        "change": lambda parts: beta * energy_of_parts(params, side, parts),
        "make_kernel": lambda t: checkerboard(params, t * beta, (side, side)),
        "starts": lambda key, count: jax.vmap(ising.split)(
            jax.random.rademacher(key, (count, side, side), jnp.float32)
        ),
        "log_start": side**2 * math.log(2),
    }


def energy_of_parts(params: ising.Params, side: int, parts: ising.Sublattices) -> Float[Array, ""]:
    """`ising.energy` of a lattice without a field, from its sublattices, which is faster than to join them."""
    down, right = (ising.split(bonds) for bonds in jnp.broadcast_to(params.coupling, (2, side, side)))
    total = jnp.zeros(())
    for index, part in enumerate(parts):
        row, column = divmod(index, 2)
        below, beside = parts[index ^ 2], parts[index ^ 1]
        below = jnp.roll(below, -1, 0) if row else below
        beside = jnp.roll(beside, -1, 1) if column else beside
        total = total + jnp.sum(part * (down[index] * below + right[index] * beside))
    return -total


ISING_BETA = 0.44


def lattice(side: int = 32) -> Problem:
    """The Ising model on a periodic square lattice, near its transition."""
    params = ising.Params(jnp.array(1.0), jnp.array(0.0))
    # the mean energy at 0.44 is -1.43 for each spin, and at 0 it is 0, with a standard deviation of √2 side
    energies = np.arange(-1.8 * side**2 // 4 * 4, 7.5 * side + 1, 4, dtype=np.float32)
    return Problem(
        f"Ising, {side} × {side}",
        **_spins(params, side, ISING_BETA),
        truth=problems.periodic_lattice(side, side, ISING_BETA),
        bend=-0.8,
        levels=Levels(models.ising(params, (side, side)), energies, ISING_BETA),
    )


GLASS_BETA = 1.5


def glass(key: Key[Array, ""], side: int = 16) -> Problem:
    """A spin glass of couplings ±1 with a free boundary; elimination says log Z and draws."""
    coupling = np.array(jax.random.rademacher(key, (2, side, side), jnp.float32))
    coupling[0, -1], coupling[1, :, -1] = 0, 0
    params = ising.Params(jnp.asarray(coupling), jnp.array(0.0))
    machine = ising.to_boltzmann(params, (side, side))
    plan = plans.plan(graphs.from_matrix(machine.weights))
    terms = factors.machine(plan, machine, SPINS)

    def ends(key, count):
        spins = factors.values(SPINS, draws.sample(key, plan, terms, GLASS_BETA, count))
        return jax.vmap(ising.split)(spins.reshape(count, side, side))

    return Problem(
        f"spin glass, {side} × {side}",
        **_spins(params, side, GLASS_BETA),
        truth=float(exact.log_partition(plan, terms, GLASS_BETA).log_partition),
        ends=ends,
    )


POTTS_STATES = 10
POTTS = {16: (744.655, 0.018)}
"""log Z and its standard error at the transition of the infinite lattice, by sides: the mean of seven densities of
states, each of 64 walkers, 6,000 sweeps of Wang-Landau and 20,000 to 60,000 multicanonical ones."""


def potts_lattice(side: int = 16) -> Problem:
    """The Potts model with ten states at its transition of first order."""
    params, beta = potts.Params(jnp.array(1.0), jnp.zeros(POTTS_STATES)), potts.critical_beta(POTTS_STATES)
    edges = potts.lattice(side, side)
    truth, truth_error = POTTS[side]
    energies = np.arange(-2.0 * side**2, 1.0, dtype=np.float32)

    def energy(states):
        same = [(states == jnp.roll(states, -1, axis)).astype(states.dtype) for axis in (0, 1)]
        return -jnp.sum(same[0] + same[1])

    return Problem(
        f"Potts, q = {POTTS_STATES}, {side} × {side}",
        base=_nothing,
        change=lambda states: beta * energy(states),
        make_kernel=lambda t: potts_sweep(t * beta, side, POTTS_STATES),
        starts=lambda key, count: jax.random.randint(key, (count, side, side), 0, POTTS_STATES).astype(jnp.float32),
        log_start=side**2 * math.log(POTTS_STATES),
        truth=truth,
        truth_error=truth_error,
        levels=Levels(models.potts(params, edges, side**2), energies, beta),
    )


def potts_sweep(beta: Any, side: int, states: int) -> Kernel:
    """Heat bath of a periodic square lattice with J = 1 and an even side: all sites of a colour of the checkerboard."""
    colors = ising.checkerboard_colors((side, side))
    moves = [(axis, by) for axis in (0, 1) for by in (-1, 1)]

    def of_color(color):
        def draw(key, position):
            around = [jnp.roll(position, by, axis) for axis, by in moves]
            same = lambda state: sum((neighbour == state).astype(position.dtype) for neighbour in around)
            total, below = jnp.zeros_like(position), []
            for state in range(states):
                total = total + jnp.exp(beta * (same(state) - len(moves)))
                below.append(total)
            line = jax.random.uniform(key, position.shape) * total
            drawn = sum((edge <= line).astype(position.dtype) for edge in below[:-1])
            return jnp.where(colors == color, drawn, position)

        return draw

    return alternate([of_color(0), of_color(1)])


# ---- Machines --------------------------------------------------------------------------------------------------------

WISHART_BETA = 5.0


def wishart(key: Key[Array, ""], units: int = 24) -> Problem:
    """A planted glass: all pairs of spins interact, and the ground state was chosen first."""
    params = planting.wishart(key, units, units // 2).params
    energy = lambda spins: hopfield.energy(params, spins)
    return Problem(
        f"planted Wishart, {units} spins",
        base=_nothing,
        change=lambda spins: WISHART_BETA * energy(spins),
        make_kernel=lambda t: single_site.sweep(params, t * WISHART_BETA),
        starts=lambda key, count: jax.random.rademacher(key, (count, units), jnp.float32),
        log_start=units * math.log(2),
        truth=float(enumeration.log_partition(energy, units, WISHART_BETA, SPINS).log_partition),
        ends=lambda key, count: enumeration.draws(key, energy, units, WISHART_BETA, count, SPINS),
        bend=2.0,
    )


def machine(key: Key[Array, ""], hidden: int = 20, updates: int = 2000) -> Problem:
    """A restricted Boltzmann machine after a short training on the digits, from independent units."""
    found, data = machine_of_digits(key, hidden, updates)
    return from_independent(found, base_biases(data))


def machine_of_digits(
    key: Key[Array, ""], hidden: int, updates: int
) -> tuple[rbm.Params, Float[Array, "pictures pixels"]]:
    """A restricted Boltzmann machine after a short training on the digits, and these."""
    data = jnp.asarray(flat(load(Images.DIGITS).train))
    mean, batch = data.mean(axis=0), 100
    epochs, total = divided(len(data), batch, updates, 1)
    plan = Plan(batch, updates, 0.05, 2e-4, chains=100, sweeps=1, rungs=5, measured=1)
    init_key, train_key = jax.random.split(key)
    learns = learner(Method.PCD, Gradient.CENTERED, plan, mean, hidden, total, len(data) // batch)
    return train(train_key, learns, rbm.init(init_key, mean, hidden), data, batch, epochs).params, data


def from_independent(params: rbm.Params, bias: Float[Array, " visible"]) -> Problem:
    """A machine, from visible units with these biases and hidden ones without; a position is (visible, hidden)."""
    hidden = params.hidden_bias.shape[0]
    base = lambda units: -jnp.sum(bias * units[0])

    def starts(key, count):
        visible_key, hidden_key = jax.random.split(key)
        up = lambda key, logits: jax.random.bernoulli(key, jax.nn.sigmoid(logits), (count, len(logits)))
        return up(visible_key, bias).astype(jnp.float32), up(hidden_key, jnp.zeros(hidden)).astype(jnp.float32)

    def ends(key, count):
        visible_key, hidden_key = jax.random.split(key)
        units = restricted.draws(visible_key, params, 1.0, count)
        chances = jax.nn.sigmoid(params.hidden_bias + units @ params.weights)
        return units, jax.random.bernoulli(hidden_key, chances).astype(units.dtype)

    def make_kernel(t):
        between = (1 - t) * bias + t * params.visible_bias
        return binary(rbm.Params(t * params.weights, between, t * params.hidden_bias), 1.0)

    return Problem(
        f"trained RBM, {hidden} hidden units",
        base=base,
        change=lambda units: rbm.energy(params, *units) - base(units),
        make_kernel=make_kernel,
        starts=starts,
        log_start=float(jnp.sum(jax.nn.softplus(bias)) + hidden * math.log(2)),
        truth=float(restricted.log_partition(params, 1.0).log_partition),
        ends=ends,
    )
