"""Enumeration in blocks against all states in memory at once."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebmjax
from ebmjax import binary_cube, spin_cube
from ebmjax.checks import ArgumentError
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.marginalize import enumeration
from ebmjax.types import BITS, CONVERGED, SPINS

COUPLINGS = np.triu(np.random.default_rng(0).normal(size=(14, 14)), 1)


def energy(couplings, units):
    return -units @ couplings @ units - 0.3 * units.sum()


@pytest.mark.slow
@pytest.mark.parametrize("units", [3, 12, 14])
@pytest.mark.parametrize("beta", [0.0, 0.7, 40.0, math.inf])
def test_free_energies_are_those_of_the_cube(units, beta):
    couplings = jnp.asarray(COUPLINGS[:units, :units], jnp.float32)
    for alphabet, cube in ((BITS, binary_cube), (SPINS, spin_cube)):
        found = enumeration.free_energy(lambda s: energy(couplings, s), units, beta, alphabet)
        wanted = ebmjax.free_energy(lambda s: energy(couplings, s), cube(units), beta)
        np.testing.assert_allclose(found, wanted, rtol=2e-6, atol=1e-6)  # energies are between 0.1 and 30


@pytest.mark.slow
def test_gradients_are_means_over_all_states():
    couplings = jnp.asarray(COUPLINGS, jnp.float32)
    of = lambda free, space: jax.grad(lambda w: free(lambda s: energy(w, s), space, 0.7))(couplings)
    found = of(enumeration.free_energy, 14)
    np.testing.assert_allclose(found, of(ebmjax.free_energy, binary_cube(14)), atol=1e-5)


@pytest.mark.slow
def test_log_partition_of_a_machine_from_either_side():
    random = np.random.default_rng(1)
    params = rbm.Params(*(jnp.asarray(random.normal(size=size), jnp.float32) for size in ((13, 5), 13, 5)))
    turned = rbm.Params(params.weights.T, params.hidden_bias, params.visible_bias)
    beta = 0.8
    found = [
        enumeration.log_partition(lambda state, one=one: rbm.summed_free_energy(one, state, beta), units, beta)
        for one, units in ((params, 13), (turned, 5))
    ]
    np.testing.assert_allclose(found[0].log_partition, found[1].log_partition, rtol=1e-6)
    wanted = ebmjax.log_partition(lambda v: rbm.summed_free_energy(params, v, beta), binary_cube(13), beta)
    for one in found:
        np.testing.assert_allclose(one.log_partition, wanted, rtol=1e-6)
        assert (float(one.standard_error), int(one.result)) == (0.0, CONVERGED)
        assert float(one.lower) == float(one.log_partition) == float(one.upper)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.4, 1.5])
def test_draws_have_the_enumerated_law(beta):
    """Every state of 13 spins is compared in sums over 4 spins: within 5 standard errors, a false alarm in 1e5 runs."""
    couplings = jnp.asarray(COUPLINGS[:13, :13], jnp.float32)
    law = lambda s: energy(couplings, s)
    found = np.asarray(enumeration.draws(jax.random.key(0), law, 13, beta, 4000, SPINS))
    cube = spin_cube(13)
    weights = np.asarray(ebmjax.posterior(law, cube, beta), float)
    # the last units number the blocks, the first ones the states within
    for chosen in ([0, 4, 9, 12], [10, 11, 12, 2]):
        number = lambda states, chosen=chosen: (states[:, chosen] > 0) @ (2 ** np.arange(4))
        wanted = np.bincount(number(np.asarray(cube.points)), weights, 16)
        counts = np.bincount(number(found), minlength=16) / len(found)
        error = np.sqrt(wanted * (1 - wanted) / len(found)) + 1e-4
        assert np.all(np.abs(counts - wanted) < 5 * error), (counts - wanted) / error


@pytest.mark.slow
def test_the_coldest_draws_are_ground_states():
    couplings = jnp.asarray(COUPLINGS, jnp.float32)
    law = lambda s: energy(couplings, s)
    found = enumeration.draws(jax.random.key(0), law, 14, math.inf, 3)
    lowest = enumeration.free_energy(law, 14, math.inf)
    np.testing.assert_allclose(jax.vmap(law)(found), jnp.full(3, lowest), rtol=1e-6)


def test_forbidden_states_and_bad_input():
    half = lambda s: jnp.where(s[0] > 0, 0.0, jnp.inf)
    np.testing.assert_allclose(enumeration.log_partition(half, 13, 1.0).log_partition, 12 * math.log(2), rtol=1e-6)
    with pytest.raises(ArgumentError, match="units: got 29, wanted at most 28"):
        enumeration.free_energy(half, 29, 1.0)
    with pytest.raises(ArgumentError, match="beta"):
        enumeration.log_partition(half, 3, math.inf)
    with pytest.raises(ArgumentError, match="count"):
        enumeration.draws(jax.random.key(0), half, 3, 1.0, 0)
