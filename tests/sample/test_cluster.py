"""Swendsen-Wang and Wolff against the enumerated law, their clusters against scipy, and what they refuse."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from ebmjax import graphs, lattices, posterior, spin_cube, weighted
from ebmjax.diagnostics import exact_mean, z_scores
from ebmjax.energies import ising_on_graph, potts
from ebmjax.loops import thinned, trajectory
from ebmjax.sample import cluster
from ebmjax.sample.components import components

RANDOM = np.random.default_rng(3)
# a triangle, a square, a double edge, a unit of degree 4, one with a single edge, and one without any
EDGES = np.array([(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 5), (5, 2), (4, 6), (6, 4), (6, 7)])
COUPLING = np.abs(RANDOM.normal(size=len(EDGES))).astype(np.float32)
UNITS, CHAINS, DRAWS, BURN_IN = 9, 64, 150, 20
ISING = ising_on_graph.Params(jnp.asarray(COUPLING), jnp.array(0.0))
THREE_STATES = potts.Params(jnp.asarray(2 * COUPLING), jnp.zeros(3))
MOVES = {"swendsen_wang": (cluster.swendsen_wang, 1), "wolff": (cluster.wolff, 4)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_components_are_those_of_scipy(share, seed):
    lattice = lattices.hypercubic((20, 30))
    shuffled = np.random.default_rng(seed).permutation(lattice.units)[lattice.edges]
    is_open = np.random.default_rng(seed).random(len(shuffled)) < share
    found = np.asarray(COMPONENTS(jnp.asarray(shuffled), is_open))
    one, other = shuffled[is_open].T
    matrix = scipy.sparse.coo_matrix((np.ones(len(one)), (one, other)), shape=(lattice.units, lattice.units))
    count, labels = scipy.sparse.csgraph.connected_components(matrix, directed=False)
    least = np.full(count, lattice.units)
    np.minimum.at(least, labels, np.arange(lattice.units))
    np.testing.assert_array_equal(found, least[labels])


COMPONENTS = jax.jit(partial(components, units=600))


def test_a_long_path_takes_few_rounds_and_many_graphs_at_once():
    path = [(i, i + 1) for i in range(999)]
    is_open = jnp.asarray(np.arange(999) != np.array([[500], [2000]]))
    found = jax.vmap(partial(components, path, units=1000))(is_open)
    np.testing.assert_array_equal(found[0], np.where(np.arange(1000) > 500, 501, 0))
    assert (found[1] == 0).all()


def moments(values, units):
    """Which values single units have, and which pairs are equal."""
    ones = (units[:, None] == values[None]).astype(jnp.float32)[:, 1:].ravel()
    one, other = np.triu_indices(len(units), 1)
    return jnp.concatenate([ones, (units[one] == units[other]).astype(jnp.float32)])


def sampled(name, params, values, beta):
    make, thin = MOVES[name]

    def run(key):
        start_key, run_key = jax.random.split(key)
        start = jax.random.choice(start_key, values, (UNITS,))
        draws = trajectory(run_key, thinned(make(params, beta, EDGES), thin), start, BURN_IN + DRAWS).positions
        return jax.vmap(partial(moments, values))(draws[BURN_IN:])

    return jax.vmap(run)(jax.random.split(jax.random.key(1), CHAINS))


@pytest.mark.slow
@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("model", ["ising", "potts"])
def test_cluster_moves_have_the_enumerated_law(name, model):
    """A score beyond 5 in any of 54 moments of 12 cases happens by chance once in 2700 runs, were they normal."""
    if model == "ising":
        params, values, states = ISING, jnp.array([-1.0, 1.0]), np.asarray(spin_cube(UNITS).points)
        energy = partial(ising_on_graph.energy, ISING, EDGES)
    else:
        params, values = THREE_STATES, jnp.arange(3.0)
        states = np.stack(np.unravel_index(np.arange(3**UNITS), (3,) * UNITS), 1).astype(np.float32)
        energy = partial(potts.energy, THREE_STATES, EDGES)
    truths = jax.vmap(partial(moments, values))(jnp.asarray(states))
    space = weighted(jnp.asarray(states), jnp.zeros(len(states)))
    program = jax.jit(partial(sampled, name, params, values))
    for beta in (0.0, 0.4, 1.3):
        z = np.asarray(z_scores(program(jnp.float32(beta)), exact_mean(truths, posterior(energy, space, beta))))
        assert np.abs(z).max() < 5, f"beta {beta}: the worst moment is {np.abs(z).max():.1f} standard errors off"


@pytest.mark.slow
def test_at_zero_temperature_equal_neighbours_stay_together():
    start = jnp.asarray(RANDOM.choice([-1.0, 1.0], UNITS), jnp.float32)
    kernel = cluster.swendsen_wang(ISING, jnp.inf, EDGES)
    energies = jax.vmap(partial(ising_on_graph.energy, ISING, EDGES))(
        trajectory(jax.random.key(0), kernel, start, 60).positions
    )
    assert (jnp.diff(energies) <= 1e-5).all()
    np.testing.assert_allclose(energies[-1], -COUPLING.sum(), rtol=1e-5)


def test_integers_and_graphs_of_any_kind_walk_alike():
    matrix = ising_on_graph.to_boltzmann(ising_on_graph.Params(1.0, 0.0), lattices.hypercubic((4, 4)), 16).weights
    ends = []
    for edges in (graphs.from_matrix(matrix), graphs.from_matrix(scipy.sparse.csr_array(np.asarray(matrix)))):
        kernel = cluster.swendsen_wang(ising_on_graph.Params(1, 0), 0.4, edges)
        ends.append(trajectory(jax.random.key(0), kernel, np.ones(16, np.int8), 5).positions)
    np.testing.assert_array_equal(*ends)
    assert ends[0].dtype == jnp.float32


@pytest.mark.parametrize("make", [cluster.swendsen_wang, cluster.wolff])
def test_what_clusters_cannot_serve_is_refused_by_name(make):
    def at(coupling, field, edges=EDGES, units=UNITS, kind=ising_on_graph.Params, value=1.0):
        return make(kind(jnp.asarray(coupling), jnp.asarray(field)), 0.7, edges).init(np.full(units, value))

    for message, call in [
        (r"coupling: got -1\.0, wanted at least 0", lambda: at(-1.0, 0.0)),
        ("coupling: got nan", lambda: at(np.where(np.arange(10) == 3, np.nan, 1.0), 0.0)),
        (r"field: got 0\.5, wanted 0", lambda: at(1.0, np.where(np.arange(9) == 3, 0.5, 0.0))),
        (r"field: got 0\.5, wanted 0", lambda: at(1.0, [0.0, 0.5, 0.0], kind=potts.Params)),
        (r"coupling: got shape \(3,\), wanted \(\) or \(10,\)", lambda: at(np.ones(3), 0.0)),
        ("edges: got the unit 5 in edge 5, wanted units from 0 to 4", lambda: at(1.0, 0.0, units=5)),
        ("edges: got edge 0 from unit 2 to itself", lambda: at(1.0, 0.0, [(2, 2)])),
        ("edges: got the unit -1 in edge 0", lambda: at(1.0, 0.0, [(-1, 2)])),
        ("edges: got a graph of 4 units, wanted one of 9", lambda: at(1.0, 0.0, lattices.hypercubic((4,)))),
        (r"position: got a unit of 0\.0, wanted -1 or 1", lambda: at(1.0, 0.0, value=0.0)),
        (r"position: got a state of 0\.5, wanted whole", lambda: at(1.0, np.zeros(3), kind=potts.Params, value=0.5)),
        (r"position: got a state of 3\.0, wanted whole", lambda: at(1.0, np.zeros(3), kind=potts.Params, value=3)),
        ("beta: got -1", lambda: make(ISING, -1.0, EDGES)),
        ("params", lambda: make({"coupling": 1.0}, 1.0, EDGES)),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            call()


def test_what_is_traced_and_not_served_stays_and_says_so():
    @jax.jit
    @partial(jax.vmap, in_axes=(0, 0))
    def walk(coupling, field):
        kernel = cluster.wolff(ising_on_graph.Params(coupling, field), 0.7, EDGES)
        state, info = kernel.step(jax.random.key(0), kernel.init(jnp.ones(UNITS)))
        return info.served, (state.position != 1).any()

    served, moved = walk(jnp.array([1.0, -1.0, 1.0]), jnp.array([0.0, 0.0, 0.3]))
    assert served.tolist() == moved.tolist() == [True, False, False]


@pytest.mark.slow
@pytest.mark.parametrize("make", [cluster.swendsen_wang, cluster.wolff])
def test_double_precision_stays_double(x64, make):
    for params, start in (
        (ising_on_graph.Params(np.abs(RANDOM.normal(size=10)), 0.0), np.ones(UNITS)),
        (potts.Params(1.0, np.zeros(3)), np.arange(UNITS) % 3.0),
    ):
        kernel = make(params, np.float32(0.7), EDGES)
        state, info = kernel.step(jax.random.key(0), kernel.init(start))
        assert state.position.dtype == jnp.float64
        assert info.served
