"""Ground states of spin glasses by tempering, with cluster moves between two ladders and without them.

Both sides have two ladders. With the moves of Houdayer, the two exchange a cluster on every rung after each step. The
objective is the median number of steps until one rung of either ladder has the energy of the ground state, which is
known: by elimination, or because it was planted. The unit of the time is a step of both ladders. The time to solution
is their product.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.runner import WIDE, Case, Outcome, Side
from benchmarks.running_chains import fast_key, random_spins
from ebmjax import lattices, random_bits
from ebmjax.energies import ising
from ebmjax.graphs import Graph
from ebmjax.loops import iterate_until, repeat
from ebmjax.marginalize.elimination import exact, factors, plans
from ebmjax.problems import planting
from ebmjax.sample import gibbs
from ebmjax.sample.isoenergetic import isoenergetic
from ebmjax.sample.special.checkerboard import checkerboard
from ebmjax.sample.tempering import tempering
from ebmjax.types import SPINS, Kernel


class Glass(NamedTuple):
    """Instances of one kind, of one shape."""

    params: ising.Params
    """Couplings (instances, axes, *lattice)."""
    ground: Any
    """The energy of the ground state of each instance."""
    graph: Graph
    betas: Any
    """Of the rungs."""


def flat_checkerboard(params: ising.Params, beta: Any, shape: tuple[int, ...]) -> Kernel:
    """`checkerboard` with the positions (units,) that cluster moves need."""
    kernel = checkerboard(params, beta, shape, random_bits.hashed)

    def step(rng_key, state):
        parts = ising.split(state.position.reshape(shape), len(shape))
        state, info = kernel.step(rng_key, gibbs.State(parts))
        return gibbs.State(ising.join(state.position).reshape(-1)), info

    return Kernel(lambda position, rng_key=None: gibbs.State(position), step)


def apart(kernel: Kernel) -> Kernel:
    """The kernel of two positions that share nothing: what `isoenergetic` does, without the exchange."""
    init = lambda position, rng_key=None: jax.vmap(kernel.init)(position)
    return Kernel(init, lambda rng_key, state: jax.vmap(kernel.step)(jax.random.split(rng_key), state))


def ladders(glass: Glass, params: ising.Params, exchange: bool) -> Kernel:
    """Two ladders of one instance; positions (2, rungs, units)."""
    shape = params.coupling.shape[1:]
    energy = lambda spins: ising.energy(params, spins.reshape(shape))
    ladder = tempering(energy, lambda beta: flat_checkerboard(params, beta, shape), glass.betas)
    return isoenergetic(energy, ladder, glass.graph) if exchange else apart(ladder)


def starts(glass: Glass, key: Any) -> Any:
    """Random spins of both ladders."""
    return random_spins(key, (2, len(glass.betas), glass.graph.units))


def steps_to_solution(glass: Glass, exchange: bool, runs: int, max_steps: int) -> np.ndarray:
    """The steps that each run on each instance takes, (instances, runs); `max_steps` where it does not succeed."""

    def one(key, params, ground):
        kernel, shape = ladders(glass, params, exchange), params.coupling.shape[1:]
        start_key, begin_key, key = jax.random.split(key, 3)
        least = lambda state: jnp.min(
            jax.vmap(jax.vmap(lambda spins: ising.energy(params, spins.reshape(shape))))(state.position)
        )

        def step(carry):
            key, state = carry
            key, step_key = jax.random.split(key)
            return key, kernel.step(step_key, state)[0]

        done = lambda carry: least(carry[1]) < ground + 0.5
        state = kernel.init(starts(glass, start_key), begin_key)
        return iterate_until(step, (key, state), done, max_steps)[1]

    keys = jax.random.split(fast_key(7), (len(glass.ground), runs))
    of_instance = lambda one_instance: jax.lax.map(lambda key: one(key, *one_instance[1:]), one_instance[0])
    every = lambda keys, params, ground: jax.lax.map(of_instance, (keys, params, ground))
    return np.asarray(jax.jit(every)(keys, glass.params, jnp.asarray(glass.ground)))


def case(name: str, make: Callable[[], Glass], runs: int, max_steps: int, steps: int = 20) -> Case:
    """Tempering of one kind of glass, with Houdayer's moves and without."""
    made = cache(make)

    def side(exchange: bool, name: str = "") -> Side:
        def prepare() -> Callable[[], Outcome]:
            glass = made()
            first = jax.tree.map(lambda x: x[0], glass.params)
            kernel = ladders(glass, first, exchange)
            state = kernel.init(starts(glass, jax.random.key(1)), jax.random.key(2))
            run = lambda key, state: repeat(key, kernel, state, steps).state
            call = jax.jit(run, compiler_options=WIDE).lower(fast_key(3), state).compile()

            @cache
            def outcome():
                taken = steps_to_solution(glass, exchange, runs, max_steps)
                return Outcome(taken, float(np.median(taken)))

            def timed():
                known = outcome()
                jax.block_until_ready(call(fast_key(3), state))
                return known

            return timed

        return Side(prepare, jax.__version__, steps, name)

    def agree(ours: Outcome, peer: Outcome) -> None:
        for outcome in (ours, peer):
            assert (outcome.result < max_steps).mean() > 0.5, f"{(outcome.result < max_steps).mean():.0%} solved"

    note = (
        f"{runs} runs on each instance, two ladders; objective: median steps until the energy of the ground state, "
        f"of at most {max_steps}"
    )
    return Case(name, "step", side(True), {"tempering": side(False, "without cluster moves")}, agree, note)


def plus_minus(side: int, instances: int) -> Glass:
    """Square lattices with random couplings ±1, open in one direction, so that elimination has their ground state."""
    coupling = np.random.default_rng(8).choice([-1.0, 1.0], (instances, 2, side, side)).astype(np.float32)
    coupling[:, 0, -1] = 0
    graph = lattices.hypercubic((side, side), (False, True))
    plan = plans.plan(graph)
    field = np.zeros(side * side, np.float32)
    # the edges along the rows come first, then those along the columns, without the last row of them
    bonds = [np.concatenate([one[1].reshape(-1), one[0, :-1].reshape(-1)]) for one in coupling]
    ground = [exact.free_energy(plan, factors.binary(SPINS, one, field), jnp.inf) for one in bonds]
    params = ising.Params(jnp.asarray(coupling), jnp.zeros(instances))
    betas = 1 / jnp.geomspace(0.2, 2.0, 16)
    return Glass(params, np.array(ground), graph, betas)


def planted_cubes(side: int, instances: int, shares: Any) -> Glass:
    """Cubic lattices of tiles with a planted ground state."""
    keys = jax.random.split(jax.random.key(9), instances)
    planted = jax.vmap(lambda key: planting.cube_tiles(key, (side, side, side), shares))(keys)
    betas = 1 / jnp.geomspace(0.3, 2.5, 20)
    graph = lattices.hypercubic((side,) * 3)
    return Glass(planted.params, np.asarray(planted.energy), graph, betas)
