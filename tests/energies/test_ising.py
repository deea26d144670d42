"""The Ising lattice by hand, and against the dense network of the same bonds."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import log_partition, problems, spin_cube
from ebmjax.energies import hopfield, ising


def random_params(shape, seed=0):
    random = np.random.default_rng(seed)
    return ising.Params(
        jnp.asarray(random.normal(size=(len(shape), *shape)), jnp.float32),
        jnp.asarray(random.normal(size=shape), jnp.float32),
    )


def test_energy_of_a_ring_by_hand():
    params = ising.Params(jnp.array([[1.0, 2.0, 4.0]]), jnp.array([0.5, 0.0, 0.0]))
    # bonds 0-1, 1-2 and, around the edge, 2-0
    assert float(ising.energy(params, jnp.array([1.0, 1.0, -1.0]))) == -(1 - 2 - 4) - 0.5


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(2,), (5,), (2, 2), (4, 3), (2, 4)])
def test_the_dense_network_has_the_same_energies_and_fields(shape):
    params = random_params(shape)
    network = ising.to_boltzmann(params, shape)
    hopfield.check_params(network)
    for seed in range(4):
        spins = jax.random.rademacher(jax.random.key(seed), shape, jnp.float32)
        np.testing.assert_allclose(
            ising.energy(params, spins), hopfield.energy(network, spins.ravel()), rtol=1e-4, atol=1e-4
        )
        fields = hopfield.field(network, spins.ravel()).reshape(shape)
        np.testing.assert_allclose(ising.local_field(params, spins), fields, rtol=1e-4, atol=1e-4)
        # the field is half of what turning a spin from -1 to +1 gives back
        gradient = jax.grad(partial(ising.energy, params))(spins)
        np.testing.assert_allclose(-gradient, fields, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(2,), (6,), (4, 6), (2, 2)])
def test_no_neighbours_share_a_colour(shape):
    colors = ising.checkerboard_colors(shape)
    for axis in range(len(shape)):
        assert (colors != np.roll(colors, 1, axis)).all()


def test_split_lattices_join():
    lattice = jnp.arange(48).reshape(4, 6, 2)
    parts = ising.split(lattice)
    assert [part.shape for part in parts] == [(2, 3, 2)] * 4
    assert (ising.join(parts) == lattice).all()
    assert (parts[1] == lattice[::2, 1::2]).all()


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("field", [0.0, 0.3])
def test_the_transfer_matrix_is_the_enumerated_partition_function(beta, field, x64):
    energy = lambda spins: ising.energy(ising.Params(jnp.array(1.0), jnp.array(field)), spins.reshape(4, 3))
    exact = jax.jit(lambda: log_partition(energy, spin_cube(12), beta))()
    np.testing.assert_allclose(problems.transfer_matrix(4, 3, beta, field), exact, rtol=1e-12)


@pytest.mark.parametrize("beta", [0.2, 0.6])
def test_large_tori_approach_onsager(beta):
    energy = lambda size: (
        -(problems.transfer_matrix(size, size, beta + 1e-5) - problems.transfer_matrix(size, size, beta - 1e-5))
        / (2e-5 * size**2)
    )
    errors = [abs(energy(size) - problems.onsager_energy(beta)) for size in (4, 6, 8)]
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.02


def test_onsager_is_the_derivative_of_the_free_energy_and_refuses_what_it_does_not_know():
    # Onsager's free energy by quadrature: log Z / N = log(2 cosh² 2β) / 2 + 1/2π ∫ log(1 + √(1 - k² sin²)) ...
    angles = (np.arange(4000) + 0.5) * np.pi / 4000

    def log_z(beta):
        modulus = 2 * np.sinh(2 * beta) / np.cosh(2 * beta) ** 2
        integral = np.log((1 + np.sqrt(1 - (modulus * np.sin(angles)) ** 2)) / 2).mean()
        return np.log(2 * np.cosh(2 * beta)) + integral / 2

    for beta in (0.1, 0.3, 0.5, 1.0):
        slope = -(log_z(beta + 1e-5) - log_z(beta - 1e-5)) / 2e-5
        np.testing.assert_allclose(problems.onsager_energy(beta), slope, rtol=1e-6)
    assert problems.onsager_magnetization(0.44) == 0 < problems.onsager_magnetization(0.4407)
    for bad in (0.0, -1.0, np.inf):
        with pytest.raises(ValueError, match="beta: got"):
            problems.onsager_energy(bad)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ising.energy(random_params((4, 4)), jnp.ones((4, 6))), "coupling: got shape"),
        (lambda: ising.energy(random_params((4, 4)), jnp.ones(4)), "coupling: got shape"),
        (lambda: ising.energy(ising.Params(jnp.array(1.0), jnp.ones(3)), jnp.ones((4, 4))), "field: got shape"),
        (lambda: ising.energy(ising.Params(jnp.array(1.0), jnp.array(0.0)), jnp.ones((2, 1, 2))), "at least one axis"),
        (lambda: ising.checkerboard_colors((4, 5)), "lattice: got shape"),
        (lambda: problems.transfer_matrix(4, 11, 1.0), "columns: got 11"),
        (lambda: problems.transfer_matrix(2, 4, 1.0), "rows: got 2"),
    ],
)
def test_lattices_that_do_not_fit_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
