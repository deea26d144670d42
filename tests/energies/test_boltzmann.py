"""Boltzmann machines: partitions of their units, and the machine of the free units when the others are clamped."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import posterior, spin_cube
from ebmjax.energies import boltzmann, clamp, hopfield
from ebmjax.energies.boltzmann import Units

KNOWN = np.array([True, False, False, True, False, False])


def machine(key=0):
    params = boltzmann.init(jax.random.key(key), 6, scale=2.0)
    return params._replace(bias=0.3 * jax.random.normal(jax.random.key(key + 1), (6,)))


@pytest.mark.slow
def test_init_is_symmetric_without_a_diagonal():
    params = machine()
    hopfield.check_params(params)
    assert float(jnp.abs(params.weights).max()) > 0


def test_units_in_any_partition_join_into_one_state():
    units = Units(np.array([4, 0]), np.array([2]), np.array([1, 3]))
    boltzmann.check_partition(boltzmann.Params(jnp.zeros((5, 5)), jnp.zeros(5)), units)
    state = boltzmann.join(units, jnp.array([40.0, 0.0]), jnp.array([20.0]), jnp.array([10.0, 30.0]))
    assert state.tolist() == [0, 10, 20, 30, 40]
    parts = boltzmann.partition(3, 2, 1)
    assert [part.tolist() for part in parts] == [[0, 1, 2], [3, 4], [5]]


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.3, 1.7])
def test_a_clamped_machine_has_the_conditional_law(beta, x64):
    """The clamped energy, the clamped machine, and Bayes' rule on the whole cube agree."""
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), machine())
    values = jnp.array([1.0, 0.0, 0.0, -1.0, 0.0, 0.0])
    free = spin_cube(4)
    clamped = clamp.clamp(partial(boltzmann.energy, params), KNOWN, values)
    machine_of_free = partial(boltzmann.energy, boltzmann.clamp_units(params, KNOWN, values))
    cube = spin_cube(6)
    law = np.asarray(posterior(partial(boltzmann.energy, params), cube, beta))
    agrees = (np.asarray(cube.points)[:, KNOWN] == np.array([1.0, -1.0])).all(axis=1)
    exact = law[agrees] / law[agrees].sum()
    np.testing.assert_allclose(posterior(clamped, free, beta), exact, rtol=1e-9)
    np.testing.assert_allclose(posterior(machine_of_free, free, beta), exact, rtol=1e-9)


def test_labels_as_spins():
    assert boltzmann.one_hot_spins(jnp.array([2, 0]), 3).tolist() == [[-1, -1, 1], [1, -1, -1]]
    with pytest.raises(ValueError, match="labels: got 3, wanted 0 to 2"):
        boltzmann.one_hot_spins(jnp.array([0, 3]), 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: boltzmann.partition(-1, 3), "visible: got -1"),
        (lambda: boltzmann.partition(0), "visible: got 0 units"),
        (lambda: boltzmann.check_partition(machine(), boltzmann.partition(3)), "units: got the spins"),
        (lambda: boltzmann.clamp_units(machine(), np.ones(6, bool), jnp.ones(6)), "known: got every unit"),
        (lambda: clamp.clamp(jnp.sum, np.ones(3, bool), jnp.ones(3)), "known: got every unit"),
    ],
)
def test_partitions_and_clamps_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
