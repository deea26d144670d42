"""Ground states: the least energies against enumeration, and times to solution by hand."""

import itertools

import jax
import numpy as np
import pytest

from experiments.samplers import ground_problems, ground_states
from experiments.samplers.ground_solvers import Found


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        lambda key: ground_problems._max_cut(key, 2, 12),
        lambda key: ground_problems._tiles(key, 2, (4, 4), (0.0, 1.0, 0.0, 0.0)),
        lambda key: ground_problems._wishart(key, 2, 12),
    ],
    ids=["max-cut", "tiles", "Wishart"],
)
def test_no_state_is_lower_and_one_is_as_low(kind):
    kind = kind(jax.random.key(0))
    # a state and its opposite have the same energy
    half = np.array(list(itertools.product((-1, 1), repeat=kind.graph.units - 1)), np.int8)
    states = np.concatenate([np.ones((len(half), 1), np.int8), half], axis=1)
    one, other = kind.graph.edges.T
    energies = -(states[:, one] * states[:, other]) @ np.asarray(kind.couplings).T
    np.testing.assert_allclose(energies.min(axis=0), kind.least, rtol=1e-5)


def test_times_to_solution():
    """With p = 0.9 two runs are enough for 99%; with more certainty one is, and never less."""
    found = ground_states.times(np.array([10, 20]), np.array([[0.9, 0.999], [0.0, 0.5]]))
    np.testing.assert_allclose(found, [[20, 20], [np.inf, 20 * np.log(0.01) / np.log(0.5)]])


def test_the_best_length_and_its_spread():
    shares = np.array([[0.0, 0.9, 1.0]] * 5 + [[0.0, 0.0, 0.0]])
    row = ground_states.solved("made up", Found("annealing", np.array([1, 10, 30]), shares, 2e-6))
    np.testing.assert_allclose([row.sweeps, row.length, row.low], [20, 10, 20])
    np.testing.assert_allclose([row.solved, row.microseconds], [5 / 6, 2])
