"""Graphs, orders of elimination and plans: what they are, how wide, and what is refused."""

import networkx
import numpy as np
import pytest
import scipy.sparse

from ebmjax.checks import ArgumentError
from ebmjax.marginalize.elimination import graphs, orders, plans


def lattice(rows, columns):
    place = np.arange(rows * columns).reshape(rows, columns)
    across = np.stack([place[:, :-1].ravel(), place[:, 1:].ravel()], axis=1)
    down = np.stack([place[:-1].ravel(), place[1:].ravel()], axis=1)
    return graphs.from_edges(rows * columns, np.concatenate([across, down]))


def test_one_graph_in_many_forms():
    rng = np.random.default_rng(0)
    upper = np.triu(rng.standard_normal((7, 7)) * (rng.random((7, 7)) < 0.5), 1)
    matrix = upper + upper.T
    truth = graphs.from_matrix(matrix)
    one, other = np.nonzero(upper)
    assert truth.edges.tolist() == np.stack([one, other], axis=1).tolist()
    network = networkx.Graph()
    network.add_nodes_from(range(7))
    network.add_weighted_edges_from(zip(one.tolist(), other.tolist(), upper[one, other].tolist(), strict=True))
    forms = [graphs.from_networkx(network), graphs.from_edges(7, np.stack([one, other], 1), upper[one, other])]
    sparse = [scipy.sparse.csr_matrix, scipy.sparse.coo_matrix, scipy.sparse.csc_array]
    for found in [*forms, *(graphs.from_matrix(of(matrix)) for of in sparse)]:
        assert found.edges.tolist() == truth.edges.tolist()
        np.testing.assert_allclose(found.weights, truth.weights, rtol=1e-6)


def test_the_best_width_of_several_orders():
    rng = np.random.default_rng(1)
    for graph, width in (
        (lattice(10, 10), 10),
        (lattice(4, 30), 4),
        (graphs.from_edges(9, [(i, j) for i in range(9) for j in range(i)]), 8),
        (graphs.from_networkx(networkx.balanced_tree(3, 4)), 1),
        (graphs.from_networkx(networkx.star_graph(2000)), 1),
        (graphs.from_networkx(networkx.cycle_graph(50)), 2),
        (graphs.from_edges(3, []), 0),
    ):
        found = orders.best(graph)
        assert found.width == width
        assert orders.least_width(graph) <= width
        # a lattice that is numbered anyhow is about as narrow
        names = rng.permutation(graph.units)
        shuffled = orders.best(graphs.from_edges(graph.units, names[graph.edges] if len(graph.edges) else []))
        assert width <= shuffled.width <= 1.5 * width
        again = orders.given(graph, found.units)
        assert again.width == width
        assert again.neighbors == found.neighbors


def test_plans_hold_together():
    """Every unit once, every edge at the step of its first unit, and at the place of the other."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        units = int(rng.integers(1, 40))
        pairs = rng.integers(0, units, (units, 2))
        graph = graphs.from_edges(units, pairs[pairs[:, 0] != pairs[:, 1]])
        plan = plans.plan(graph)
        steps = plan.steps
        assert sorted(steps.unit[steps.unit < units]) == list(range(units))
        at = tuple(plan.edge_step.T)
        for edge, (first, second) in enumerate(zip(steps.unit[at], steps.neighbors[at], strict=True)):
            assert {first, second[plan.edge_place[edge]]} == set(plan.edges[edge].tolist())
        assert steps.target.max() < plan.depth
        assert np.all(steps.source < plan.depth)


@pytest.mark.slow
def test_too_wide_is_refused_with_the_number():
    complete = [(i, j) for i in range(40) for j in range(i)]
    with pytest.raises(ArgumentError, match=r"^graph: .* tables of 2\^40 entries, wanted at most 4194304"):
        plans.plan(graphs.from_edges(40, complete))
    with pytest.raises(ArgumentError, match=r"^graph: .* tables of 2\^(2[6-9]|3\d) entries"):
        plans.plan(lattice(25, 25))
    with pytest.raises(ArgumentError, match=r"^graph: .* tables of at least 2\^66 entries"):
        plans.plan(graphs.from_networkx(networkx.random_regular_graph(3, 1000, seed=0)))
    with pytest.raises(ArgumentError, match=r"^graph: .* an order of it that needs tables of 2\^24"):
        plans.plan(graphs.from_edges(24, [(0, i) for i in range(1, 24)]), order=range(24))
    assert plans.size(plans.plan(lattice(16, 16))).entries == 2**17


def test_bad_graphs_are_refused_by_name():
    for edges, message in (
        ([(0, 0)], r"edges: got edge 0 from unit 0 to itself"),
        ([(0, 1), (1, 5)], r"edges: got the unit 5 in edge 1, wanted units from 0 to 2"),
        ([(-1, 1)], r"edges: got the unit -1"),
        ([(0.5, 1)], r"edges: got a float64 array"),
        ([0, 1], r"edges: got a int64 array of shape \(2,\)"),
        ("text", r"edges: got a str"),
        ([(0,), (1, 2)], r"edges: got"),
    ):
        with pytest.raises(ArgumentError, match=f"^{message}"):
            graphs.from_edges(3, edges)
    for weights, message in (([1.0], r"weights: got shape \(1,\)"), ([1.0, np.nan], "weights: got NaN at edge 1")):
        with pytest.raises(ArgumentError, match=f"^{message}"):
            graphs.from_edges(3, [(0, 1), (1, 2)], weights)
    for matrix, message in (
        (np.ones((2, 3)), "matrix: got shape"),
        (np.eye(3), "matrix: got a diagonal entry at unit 0"),
        (np.triu(np.ones((3, 3)), 1), "matrix: got one that is not symmetric"),
        (np.array([[0, np.nan], [np.nan, 0]]), "matrix: got an entry that is not finite"),
        (scipy.sparse.csr_matrix(np.eye(2)), "matrix: got a diagonal entry"),
    ):
        with pytest.raises(ArgumentError, match=f"^{message}"):
            graphs.from_matrix(matrix)
    with pytest.raises(ArgumentError, match=r"^graph: got a directed graph"):
        graphs.from_networkx(networkx.DiGraph([(0, 1)]))
    with pytest.raises(ArgumentError, match=r"^order: got"):
        plans.plan(graphs.from_edges(2, []), order=[0, 0])
    with pytest.raises(ArgumentError, match=r"^states: got 1"):
        plans.plan(graphs.from_edges(2, []), states=1)
