"""Ground states of the spin glasses, by enumeration; the law of the labelled pictures."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import free_energy, posterior, spin_cube
from ebmjax.energies import hopfield, ising
from experiments.data import glasses
from experiments.spins.boltzmann_learning import true_law


@pytest.mark.slow
def test_the_planted_energy_is_the_least_of_all_states():
    for seed in range(3):
        params = glasses.planted(jax.random.key(seed), 4)
        flat = lambda units, params=params: ising.energy(params, units.reshape(4, 4))
        least = jax.jit(lambda flat=flat: free_energy(flat, spin_cube(16), jnp.inf))()
        np.testing.assert_allclose(least, glasses.planted_energy(4), rtol=1e-6)


@pytest.mark.slow
def test_every_tile_is_frustrated_and_no_bond_is_left_out():
    coupling = np.asarray(glasses.planted(jax.random.key(0), 6).coupling)
    assert sorted(np.abs(coupling).ravel()) == [1.0] * 36 + [2.0] * 36
    down, right = coupling
    tiles = [down, np.roll(down, -1, 1), right, np.roll(right, -1, 0)]
    black = np.indices((6, 6)).sum(axis=0) % 2 == 0
    assert (np.prod(tiles, axis=0)[black] < 0).all()
    assert (np.sum(np.abs(tiles), axis=0)[black] == 6).all()


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
