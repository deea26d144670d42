"""The problems of `ground_states`: spin glasses of a known least energy, several instances of each kind."""

import enum
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax import lattices
from ebmjax.graphs import Graph, from_edges
from ebmjax.marginalize.elimination import draws, factors, plans
from ebmjax.problems import max_cut, planting
from ebmjax.types import SPINS


class Which(enum.Enum):
    """The kinds of problems, by their names on the command line."""

    MAX_CUT = "max_cut"
    SQUARE = "square_tiles"
    CUBE = "cube_tiles"
    WISHART = "wishart"


class Kind(NamedTuple):
    """Instances of one kind, which share their graph: E(s) = -Σ_e J_e s_a s_b."""

    name: str
    graph: Graph
    couplings: Float[Array, "instances edges"]
    least: Float[np.ndarray, " instances"]
    """The energies of the ground states."""
    hottest: float
    coldest: float
    """Inverse temperatures at the ends of schedules and ladders."""
    clusters: bool
    """Whether the graph has so few edges that clusters of replicas are of use."""


def kind(which: Which, key: Key[Array, ""], instances: int, quick: bool = False) -> Kind:
    """So many instances of a kind, of a small size where it has to be quick."""
    if which is Which.MAX_CUT:
        return _max_cut(key, instances, 24 if quick else 60)
    if which is Which.SQUARE:
        return _tiles(key, instances, (4, 4) if quick else (10, 10), (0.0, 1.0, 0.0, 0.0))
    if which is Which.CUBE:
        return _tiles(key, instances, (4, 4, 4) if quick else (6, 6, 6), (1.0, 0.0, 0.0))
    return _wishart(key, instances, 12 if quick else 32)


def _max_cut(key, instances, units):
    """Weights of ±1 on a random graph with three edges at each unit; the largest cuts by elimination."""
    random = np.random.default_rng(0)
    graph = from_edges(units, _regular(random, units, 3))
    weights = jax.random.rademacher(key, (instances, len(graph.edges)), jnp.float32)
    plan = plans.plan(graph)
    couplings = jnp.stack([max_cut.to_ising(graph._replace(weights=np.asarray(each))).coupling for each in weights])
    ground = jax.jit(
        lambda coupling: draws.ground_state(plan, factors.binary(SPINS, coupling, jnp.zeros(units))).energy
    )
    least = np.array([float(ground(coupling)) for coupling in couplings])
    return Kind(f"max-cut, {units} units of degree 3", graph, couplings, least, 0.2, 8.0, True)


def _regular(random, units, degree):
    """The edges of a random regular graph: stubs are paired until no pair is a loop or repeated."""
    while True:
        pairs = np.sort(random.permutation(np.repeat(np.arange(units), degree)).reshape(-1, 2), axis=1)
        if (pairs[:, 0] != pairs[:, 1]).all() and len(np.unique(pairs, axis=0)) == len(pairs):
            return pairs


def _tiles(key, instances, shape, shares):
    plant = planting.square_tiles if len(shape) == 2 else planting.cube_tiles
    planted = jax.vmap(lambda key: plant(key, shape, jnp.array(shares)))(jax.random.split(key, instances))
    graph = lattices.hypercubic(shape)
    size = " × ".join(map(str, shape))
    # the edges of the lattice begin with those along the last axis
    couplings = planted.params.coupling[:, ::-1].reshape(instances, -1)
    return Kind(f"planted tiles, {size}", graph, couplings, np.asarray(planted.energy), 0.2, 4.0, True)


def _wishart(key, instances, units):
    planted = jax.vmap(lambda key: planting.wishart(key, units, units * 3 // 4))(jax.random.split(key, instances))
    one, other = np.triu_indices(units, 1)
    graph = from_edges(units, np.stack([one, other], axis=1))
    couplings = planted.params.weights[:, one, other]
    return Kind(f"planted Wishart, {units} units", graph, couplings, np.asarray(planted.energy), 0.3, 12.0, False)
