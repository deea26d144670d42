"""Ground states and mean energies of glasses, by enumeration; the law of the labelled pictures."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import free_energy, posterior, spin_cube
from ebmjax.energies import hopfield
from experiments.data import glasses
from experiments.spins.boltzmann_learning import true_law


@pytest.mark.slow
def test_half_of_the_states_are_enough_without_a_field():
    params = glasses.sherrington_kirkpatrick(jax.random.key(0), 7)
    truth = free_energy(partial(hopfield.energy, params), spin_cube(7), jnp.inf)
    np.testing.assert_allclose(glasses.least_energy(params), truth, rtol=1e-6)
    assert (params.weights == params.weights.T).all()


@pytest.mark.slow
def test_mean_energies_are_those_of_all_states():
    params, betas = glasses.sherrington_kirkpatrick(jax.random.key(1), 7), jnp.array([0.0, 0.7, 3.0])
    space, energy = spin_cube(7), partial(hopfield.energy, params)
    truth = [posterior(energy, space, beta) @ jax.vmap(energy)(space.points) for beta in (0.0, 0.7, 3.0)]
    np.testing.assert_allclose(glasses.mean_energies(params, betas), truth, rtol=1e-5, atol=1e-6)


def test_the_law_of_rows_and_columns():
    law = np.asarray(true_law(0.05)).reshape(-1, 2)
    np.testing.assert_allclose(law.sum(axis=0), [0.5, 0.5], rtol=1e-5)
    pictures = np.asarray(spin_cube(9).points).reshape(-1, 3, 3)
    for label in (0, 1):
        best = pictures[np.argsort(-law[:, label])[:3]] > 0
        assert (best.all(axis=2 - label).sum(axis=1) == 1).all()
        assert (best.sum(axis=(1, 2)) == 3).all()
    np.testing.assert_allclose(law.max(), 0.5 / 3 * 0.95**9, rtol=0.01)
