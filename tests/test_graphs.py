"""Graphs, lattices and colourings, and the energies on them, against dense machines, quadrature and networkx."""

from functools import partial

import jax
import jax.numpy as jnp
import networkx
import numpy as np
import pytest
import scipy.special

from ebmjax import circle, graphs, lattices, log_partition, product
from ebmjax.energies import hopfield, ising, ising_on_graph, potts, xy
from ebmjax.sample import gibbs
from ebmjax.types import SPINS

RANDOM = np.random.default_rng(0)
GRAPH = graphs.from_edges(6, [(0, 1), (1, 2), (2, 0), (3, 2), (3, 4), (4, 5), (0, 5), (0, 1)])
PARAMS = ising_on_graph.Params(
    jnp.asarray(RANDOM.normal(size=8), jnp.float32), jnp.asarray(RANDOM.normal(size=6), jnp.float32)
)


@pytest.mark.parametrize(
    ("graph", "twin"),
    [
        (lattices.hypercubic((7,)), networkx.cycle_graph(7)),
        (lattices.hypercubic((3, 5), False), networkx.grid_2d_graph(3, 5)),
        (lattices.hypercubic((3, 4, 5)), networkx.grid_graph((5, 4, 3), periodic=True)),
        (lattices.hypercubic((3, 4), (True, False)), networkx.grid_graph((4, 3), periodic=(False, True))),
        (lattices.hypercubic((3, 3, 3, 3), False), networkx.grid_graph((3, 3, 3, 3))),
        (lattices.triangular(2, 2, False), networkx.Graph([(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)])),
    ],
)
def test_lattices_are_those_of_networkx(graph, twin):
    ours = networkx.MultiGraph(graph.edges.tolist())
    assert ours.number_of_nodes() == graph.units
    assert networkx.is_isomorphic(networkx.Graph(ours), twin)
    assert ours.number_of_edges() == twin.number_of_edges()


def test_a_triangular_lattice_has_six_neighbours_and_triangles():
    graph = lattices.triangular(4, 5)
    assert (np.bincount(graph.edges.ravel()) == 6).all()
    assert sum(networkx.triangles(networkx.Graph(graph.edges.tolist())).values()) == 3 * 2 * 20
    wide = lattices.triangular(3, 4, False)
    assert len(wide.edges) == 3 * 3 + 2 * 4 + 2 * 3


@pytest.mark.slow
def test_a_lattice_of_any_dimension_is_the_periodic_one_of_ising():
    shape = (2, 3, 4)
    spins = RANDOM.choice([-1.0, 1.0], shape)
    for params in (ising.Params(0.7, 0.3), ising.Params(RANDOM.normal(size=(3, *shape)), RANDOM.normal(size=shape))):
        edges = lattices.hypercubic(shape)
        coupling = np.asarray(params.coupling)
        flat = coupling if coupling.ndim == 0 else coupling[::-1].reshape(-1)  # the last axis comes first
        on_graph = ising_on_graph.Params(flat, np.asarray(params.field).reshape(-1) if coupling.ndim else params.field)
        np.testing.assert_allclose(
            ising.energy(params, spins), ising_on_graph.energy(on_graph, edges, spins.ravel()), rtol=1e-5
        )
        fields = ising_on_graph.local_field(on_graph, edges, spins.ravel())
        np.testing.assert_allclose(ising.local_field(params, spins).ravel(), fields, rtol=1e-4, atol=1e-5)


def test_a_graph_is_the_machine_of_its_matrix():
    machine = ising_on_graph.to_boltzmann(PARAMS, GRAPH, 6)
    for spins in RANDOM.choice([-1.0, 1.0], (5, 6)):
        energy = partial(ising_on_graph.energy, PARAMS, GRAPH)
        np.testing.assert_allclose(energy(spins), hopfield.energy(machine, spins), rtol=1e-5)
        field = ising_on_graph.local_field(PARAMS, GRAPH, spins)
        np.testing.assert_allclose(field, hopfield.field(machine, spins), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(field, -jax.grad(energy)(jnp.asarray(spins, jnp.float32)), rtol=1e-5, atol=1e-6)
    again = graphs.from_matrix(machine.weights)
    weights = ising_on_graph.to_boltzmann(ising_on_graph.from_graph(again), again, 6).weights
    np.testing.assert_array_equal(weights, machine.weights)


@pytest.mark.slow
def test_angles_of_an_open_chain_and_of_a_pair_in_a_field():
    """Z = (2π)^n I_0(beta J)^(n - 1) of an open chain; one spin in a field has Z = 2π I_0(beta h)."""
    space, beta = product(circle(24), circle(24), circle(24)), 1.7
    chain = lambda params, edges: lambda angles: xy.energy(params, edges, jnp.stack(angles))
    open_chain = chain(xy.Params(jnp.array([0.8, -1.1]), jnp.zeros(())), [(0, 1), (1, 2)])
    truth = 3 * np.log(2 * np.pi) + np.log(scipy.special.iv(0, beta * np.array([0.8, 1.1]))).sum()
    np.testing.assert_allclose(log_partition(open_chain, space, beta), truth, rtol=1e-5)
    alone = chain(xy.Params(jnp.zeros(()), jnp.array([0.5, 0.0, -0.9])), [])
    truth = 3 * np.log(2 * np.pi) + np.log(scipy.special.iv(0, beta * np.array([0.5, 0.0, 0.9]))).sum()
    np.testing.assert_allclose(log_partition(alone, space, beta), truth, rtol=1e-5)


def test_a_vortex_and_its_opposite_are_found():
    rows, columns = np.indices((12, 12)) - 5.5
    pair = np.arctan2(rows - 0.5, columns + 2.5) - np.arctan2(rows - 0.5, columns - 2.5)
    turns = np.asarray(xy.vorticity(pair))
    assert turns.sum() == 0
    assert sorted(turns[turns != 0]) == [-1.0, 1.0]
    assert turns[5, 2] * turns[5, 7] == -1 or turns[6, 2] * turns[6, 7] == -1 or (turns != 0).sum() == 2


@pytest.mark.parametrize(
    ("graph", "most"),
    [
        (lattices.hypercubic((6, 8)), 2),
        (lattices.hypercubic((4, 4, 4)), 2),
        (lattices.hypercubic((5, 7)), 3),
        (lattices.triangular(6, 6), 4),
        (graphs.from_networkx(networkx.balanced_tree(3, 5)), 2),
        (graphs.from_networkx(networkx.petersen_graph()), 3),
        (graphs.from_networkx(networkx.complete_graph(7)), 7),
        (graphs.from_networkx(networkx.star_graph(3000)), 2),
        (graphs.from_networkx(networkx.random_regular_graph(5, 200, seed=1)), 6),
        (graphs.from_edges(3, []), 1),
    ],
)
def test_colours_of_neighbours_differ_and_are_few(graph, most):
    colors = graphs.coloring(graph)
    assert (colors[graph.edges[:, 0]] != colors[graph.edges[:, 1]]).all()
    assert set(colors) == set(range(colors.max() + 1))
    assert colors.max() + 1 <= most


def test_a_colouring_serves_a_chromatic_sampler():
    energy = partial(ising_on_graph.energy, PARAMS, GRAPH)
    kernel = gibbs.chromatic(energy, 0.7, graphs.coloring(GRAPH), SPINS)
    state, info = kernel.step(jax.random.key(0), kernel.init(np.ones(6, np.int8)))
    assert set(np.unique(state.position)) <= {-1.0, 1.0}
    assert not info.forbidden


def test_the_edges_of_a_large_lattice_may_be_traced():
    """A compiled function takes long arrays of integers as data."""
    lattice = lattices.hypercubic((50, 50))
    spins = jnp.asarray(RANDOM.choice([-1.0, 1.0], 2500), jnp.float32)
    bonds = jax.jit(lambda edges: ising_on_graph.energy(ising_on_graph.Params(1.0, 0.0), edges, spins))(lattice.edges)
    np.testing.assert_allclose(bonds, ising.energy(ising.Params(1.0, 0.0), spins.reshape(50, 50)))
    with pytest.raises((ValueError, TypeError), match="edges: got"):
        jax.jit(lambda edges: ising_on_graph.energy(ising_on_graph.Params(1.0, 0.0), edges, spins))(jnp.ones((3, 2)))


def test_what_does_not_fit_is_refused_by_name():
    spins, field = np.ones(6), np.zeros(6)
    for message, call in [
        (r"coupling: got shape \(3,\), wanted \(\) or \(8,\)", lambda: _energy(np.ones(3), field, GRAPH, spins)),
        (r"field: got shape \(5,\), wanted \(\) or \(6,\)", lambda: _energy(1.0, np.zeros(5), GRAPH, spins)),
        ("edges: got a graph of 6 units, wanted one of 4", lambda: _energy(1.0, 0.0, GRAPH, np.ones(4))),
        ("edges: got edge 1 from unit 2 to itself", lambda: _energy(1.0, 0.0, [(0, 1), (2, 2)], spins)),
        ("edges: got the unit 6 in edge 0", lambda: _energy(1.0, 0.0, [(0, 6)], spins)),
        ("edges: got a", lambda: xy.energy(PARAMS, "text", spins)),
        ("angles: got shape", lambda: xy.energy(PARAMS, GRAPH, np.ones((2, 6)))),
        ("edges: got a graph of 6 units", lambda: potts.energy(potts.Params(1.0, np.zeros(3)), GRAPH, np.ones(3))),
        ("shape: got ", lambda: lattices.hypercubic(())),
        (r"shape\[1\]: got 0", lambda: lattices.hypercubic((2, 0))),
        ("periodic: got", lambda: lattices.hypercubic((2, 3), (True,))),
        ("graph", lambda: graphs.coloring([(0, 1)])),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            call()


def _energy(coupling, field, edges, spins):
    return ising_on_graph.energy(ising_on_graph.Params(coupling, field), edges, spins)
