"""Planted states have the least energy, by elimination and enumeration; tiles are those of the papers; cuts."""

from functools import partial

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


def least_energy(params, shape):
    """Of a periodic lattice, by elimination."""
    plan = plans.plan(lattices.hypercubic(shape))
    bonds = params.coupling[::-1].reshape(-1)  # the last axis comes first
    return exact.free_energy(plan, factors.binary(SPINS, bonds, jnp.zeros(plan.units)), jnp.inf)


@pytest.mark.parametrize(
    ("make", "shape", "classes"),
    [(planting.square_tiles, (4, 6), 4), (planting.cube_tiles, (2, 2, 6), 3)],
)
def test_no_state_is_lower_than_the_planted_one(make, shape, classes):
    for number, shares in enumerate([*np.eye(classes), np.ones(classes)]):
        planted = make(jax.random.key(number), shape, shares)
        np.testing.assert_array_equal(ising.energy(planted.params, planted.spins), planted.energy)
        np.testing.assert_array_equal(least_energy(planted.params, shape), planted.energy)
        assert np.unique(planted.spins).tolist() == [-1, 1]


# Of each class: the least energy, the pairs ±s of states that have it, frustrated faces, and forms of the tile
SQUARES = {0: (-5, 1, 1, 4), 1: (-4, 2, 1, 12), 2: (-3, 3, 1, 12), 3: (-2, 4, 1, 4)}
CUBES = {0: (-8, 4, 2, 12), 1: (-8, 2, 4, 6), 2: (-6, 8, 6, 8)}


@pytest.mark.parametrize(
    ("make", "side", "dimensions", "table"),
    [(planting.square_tiles, 16, 2, SQUARES), (planting.cube_tiles, 8, 3, CUBES)],
)
def test_tiles_are_those_of_the_papers(make, side, dimensions, table):
    corners = np.indices((2,) * dimensions).reshape(dimensions, -1).T
    states = np.asarray(spin_cube(2**dimensions).points)
    faces = [(a, b) for a in range(dimensions) for b in range(a)]
    for number, row in table.items():
        planted = make(jax.random.key(number), (side,) * dimensions, np.eye(len(table))[number])
        spins, forms = np.asarray(planted.spins), set()
        # the couplings before the gauge transformation
        coupling = np.stack(
            [bonds * spins * np.roll(spins, -1, axis) for axis, bonds in enumerate(planted.params.coupling)]
        )
        for corner in np.argwhere((np.indices(spins.shape) % 2 == np.indices(spins.shape)[:1] % 2).all(axis=0)):
            bond = lambda axis, place: coupling[(axis, *((corner + place) % side))]
            ends = [(axis, place) for axis in range(dimensions) for place in corners if place[axis] == 0]
            bonds = [bond(*end) for end in ends]
            number_of = lambda place: int(np.ravel_multi_index(tuple(place), (2,) * dimensions))
            pairs = [(number_of(place), number_of(place + np.eye(dimensions, dtype=int)[axis])) for axis, place in ends]
            energies = -sum(J * states[:, i] * states[:, j] for J, (i, j) in zip(bonds, pairs, strict=True))
            unit = np.eye(dimensions, dtype=int)
            frustrated = sum(
                bond(a, place) * bond(b, place) * bond(a, place + unit[b]) * bond(b, place + unit[a]) < 0
                for a, b in faces
                for place in corners
                if place[a] == place[b] == 0
            )
            assert (energies.min(), (energies == energies.min()).sum() / 2, frustrated) == row[:3]
            assert energies[-1] == energies.min()
            forms.add(tuple(bonds))
        assert len(forms) == row[3]


def test_shares_are_those_asked_for_and_may_be_traced():
    make = lambda share: planting.cube_tiles(jax.random.key(0), (20, 20, 20), jnp.stack([share, 0.0, 1 - share])).energy
    energies = jax.jit(jax.vmap(make))(jnp.array([0.0, 0.25, 1.0]))
    assert energies[0] == -6 * 2000
    assert energies[2] == -8 * 2000
    # of 2000 tiles a quarter has two units of energy less: five standard deviations
    assert abs(energies[1] + 6.5 * 2000) < 5 * 2 * np.sqrt(2000 * 3 / 16)


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
