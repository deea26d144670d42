"""Planted states have the least energy, by elimination and enumeration; tiles are those of the papers; cuts."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import networkx
import numpy as np
import pytest

from ebmjax import free_energy, graphs, lattices, spin_cube
from ebmjax.energies import hopfield, ising, ising_on_graph
from ebmjax.marginalize.elimination import exact, factors, plans
from ebmjax.problems import max_cut, planting
from ebmjax.types import SPINS

# Of each class: the least energy, the pairs ±s of states that have it, frustrated faces, and forms of the tile
SQUARES = ((-5, 1, 1, 4), (-4, 2, 1, 12), (-3, 3, 1, 12), (-2, 4, 1, 4))
CUBES = ((-8, 4, 2, 12), (-8, 2, 4, 6), (-6, 8, 6, 8))
LATTICES = [(planting.square_tiles, (4, 6), SQUARES), (planting.cube_tiles, (2, 2, 6), CUBES)]
INSTANCES = 16


@cache
def planted_lattices(make, shape, classes):
    """Instances of each class, and last those of all classes mixed: (classes + 1, instances, …), in NumPy."""
    shares = jnp.concatenate([jnp.eye(classes), jnp.ones((1, classes))])
    keys = jax.random.split(jax.random.key(0), (classes + 1, INSTANCES))
    planted = jax.vmap(jax.vmap(lambda key, shares: make(key, shape, shares), (0, None)))(keys, shares)
    return jax.tree.map(np.asarray, planted)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "shape", "table"), LATTICES)
def test_no_state_is_lower_than_the_planted_one(make, shape, table):
    planted = planted_lattices(make, shape, len(table))
    found = jax.jit(jax.vmap(jax.vmap(ising.energy)))(planted.params, planted.spins)
    np.testing.assert_array_equal(found, planted.energy)
    plan = plans.plan(lattices.hypercubic(shape))
    bonds = planted.params.coupling[:, 0, ::-1].reshape(len(table) + 1, -1)  # the last axis comes first
    field = np.zeros(plan.units, np.float32)
    least = [exact.free_energy(plan, factors.binary(SPINS, one, field), jnp.inf) for one in bonds]
    np.testing.assert_array_equal(least, planted.energy[:, 0])
    assert np.unique(planted.spins).tolist() == [-1, 1]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "shape", "table"), LATTICES)
def test_tiles_are_those_of_the_papers(make, shape, table):
    dimensions = len(shape)
    unit, corners = np.eye(dimensions, dtype=int), np.indices((2,) * dimensions).reshape(dimensions, -1).T
    number_of = lambda place: int(np.ravel_multi_index(tuple(place), (2,) * dimensions))
    states = 2 * np.indices((2,) * 2**dimensions).reshape(2**dimensions, -1).T - 1
    ends = [(axis, place) for axis in range(dimensions) for place in corners if place[axis] == 0]
    pairs = [(number_of(place), number_of(place + unit[axis])) for axis, place in ends]
    products = np.stack([states[:, one] * states[:, other] for one, other in pairs])
    place = np.indices(shape)
    tiles = np.argwhere((place % 2 == place[:1] % 2).all(axis=0))
    planted = planted_lattices(make, shape, len(table))
    for number, (least, ground, frustrated, different) in enumerate(table):
        forms = set()
        for coupling, spins in zip(planted.params.coupling[number], planted.spins[number], strict=True):
            # the couplings before the gauge transformation
            plain = [bonds * spins * np.roll(spins, -1, axis) for axis, bonds in enumerate(coupling)]
            for corner in tiles:
                bond = {(axis, *step): plain[axis][tuple((corner + step) % shape)] for axis, step in ends}
                faces = [
                    bond[a, *step] * bond[b, *step] * bond[a, *(step + unit[b])] * bond[b, *(step + unit[a])]
                    for a, step in ends
                    for b in range(a)
                    if step[b] == 0
                ]
                energies = -np.array(list(bond.values())) @ products
                assert (energies.min(), energies[-1], (energies == least).sum() / 2) == (least, least, ground)
                assert np.sum(np.array(faces) < 0) == frustrated
                forms.add(tuple(bond.values()))
        assert len(forms) == different


def test_classes_are_mixed_in_equal_shares():
    energy = planted_lattices(planting.cube_tiles, (2, 2, 6), 3).energy[-1].sum()
    tiles = INSTANCES * 6
    # one tile in three has two units of energy less: within five standard deviations
    assert abs(energy + tiles * (8 - 2 / 3)) < 5 * 2 * np.sqrt(tiles * 2 / 9)


def test_the_planted_state_of_a_dense_glass_is_the_lowest():
    planted = planting.wishart(jax.random.key(1), 10, 4)
    energy = jax.jit(partial(hopfield.energy, planted.params))
    np.testing.assert_allclose(energy(planted.spins), planted.energy, rtol=1e-5)
    np.testing.assert_allclose(free_energy(energy, spin_cube(10), jnp.inf), planted.energy, rtol=1e-5)


def test_the_largest_cut_is_a_ground_state():
    weights = np.random.default_rng(0).normal(size=(9, 9))
    graph = graphs.from_matrix(np.triu(weights, 1) + np.triu(weights, 1).T)
    twin = networkx.Graph()
    twin.add_weighted_edges_from(
        (*edge, weight) for edge, weight in zip(graph.edges.tolist(), graph.weights, strict=True)
    )
    states = np.asarray(spin_cube(9).points)
    cuts = jax.jit(jax.vmap(partial(max_cut.cut, graph)))(states)
    truth = [networkx.cut_size(twin, np.flatnonzero(state > 0).tolist(), weight="weight") for state in states]
    np.testing.assert_allclose(cuts, truth, rtol=1e-4, atol=1e-4)
    energies = jax.vmap(partial(ising_on_graph.energy, max_cut.to_ising(graph), graph))(states)
    assert np.argmin(energies) in np.flatnonzero(np.isclose(truth, np.max(truth)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: planting.square_tiles(jax.random.key(0), (4, 5), np.ones(4)), r"shape\[1\]: got 5, wanted an even"),
        (lambda: planting.cube_tiles(jax.random.key(0), (4, 4, 4), [0, 0, 0]), r"shares: got \[0.0, 0.0, 0.0\]"),
        (lambda: planting.cube_tiles(jax.random.key(0), (4, 4, 4), [1, -1, 0]), r"shares: got \[1.0, -1.0, 0.0\]"),
        (lambda: planting.wishart(jax.random.key(0), 1, 1), "units: got 1"),
        (lambda: max_cut.cut(graphs.from_edges(3, [(0, 1)]), jnp.ones(4)), r"spins: got shape \(4,\)"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
