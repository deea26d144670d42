"""Ground states: the least energies against enumeration, and times to solution by hand."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import ising_on_graph
from experiments.samplers import ground_problems, ground_states
from experiments.samplers.ground_solvers import Found


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
    half = jnp.array(list(itertools.product((-1, 1), repeat=kind.graph.units - 1)), jnp.float32)
    states = jnp.concatenate([jnp.ones((len(half), 1)), half], axis=1)
    for coupling, least in zip(kind.couplings, kind.least, strict=True):
        params = ising_on_graph.Params(coupling, jnp.zeros(()))
        energies = jax.vmap(lambda spins, params=params: ising_on_graph.energy(params, kind.graph.edges, spins))(states)
        np.testing.assert_allclose(energies.min(), least, rtol=1e-5)


def test_times_to_solution():
    """With p = 0.9 two runs are enough for 99%; with more certainty one is, and never less."""
    found = ground_states.times(np.array([10, 20]), np.array([[0.9, 0.999], [0.0, 0.5]]))
    np.testing.assert_allclose(found, [[20, 20], [np.inf, 20 * np.log(0.01) / np.log(0.5)]])


def test_the_best_length_and_its_spread():
    shares = np.array([[0.0, 0.9, 1.0]] * 5 + [[0.0, 0.0, 0.0]])
    row = ground_states.solved("made up", Found("annealing", np.array([1, 10, 30]), shares, 2e-6))
    assert (row.sweeps, row.length, row.low) == (20, 10, 20)
    assert row.solved == 5 / 6
    assert row.microseconds == 2
