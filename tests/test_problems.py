"""The data are what the lectures define."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import problems


def test_true_radii():
    np.testing.assert_allclose(
        problems.horn_radii(jnp.array([0.0, 1.0])), [[2, 1.5], [1.5 * np.e**2, 2 * np.e**2]], rtol=1e-6
    )


def test_ellipse_is_the_slice_at_zero():
    y = np.asarray(problems.ellipse_data(jax.random.key(0), 20_000), np.float64)
    # E[y_k²] = w_k²/2 + σ²; five standard errors
    np.testing.assert_allclose((y**2).mean(axis=0), [2 + 0.0025, 1.125 + 0.0025], atol=5 * 1.5 / np.sqrt(20_000))
    distance = np.abs(np.hypot(y[:, 0] / 2, y[:, 1] / 1.5) - 1)
    assert distance.max() < 6 * 0.05 / 1.5


@pytest.mark.slow
def test_horn_lies_on_its_manifold_within_the_noise():
    x, y = problems.horn_data(jax.random.key(1), 5000)
    assert (x.min() >= 0) & (x.max() < 1)
    on_circle = y / problems.horn_radii(x)
    noise = problems.NOISE / problems.horn_radii(x).min(axis=1)
    assert (jnp.abs(jnp.linalg.norm(on_circle, axis=1) - 1) < 6 * noise).all()
    assert problems.ellipse_data(jax.random.key(0)).shape == (24, 2)


def test_bad_arguments_are_named():
    for make in (problems.horn_data, problems.ellipse_data):
        with pytest.raises(ValueError, match="samples: got 0"):
            make(jax.random.key(0), 0)


def test_closed_forms_when_it_is_cold_or_hot():
    for beta in (100.0, 200.0, 1e5):
        assert problems.onsager_energy(beta) == -2
        assert problems.onsager_magnetization(beta) == 1
    np.testing.assert_allclose([problems.onsager_energy(beta) for beta in (1e-9, 1e-3)], [-2e-9, -2e-3], rtol=1e-5)
    np.testing.assert_allclose(problems.onsager_energy(0.00999), problems.onsager_energy(0.01001), rtol=3e-3)
    assert problems.onsager_magnetization(0.0) == 0


def test_kaufmans_lattice_is_that_of_the_transfer_matrix():
    """At the critical point, where a term vanishes, cold and hot; both signs of beta where the sides are even."""
    for rows, columns in ((3, 4), (5, 3), (7, 6), (8, 8)):
        for beta in (1e-9, 1e-6, 0.1, np.log1p(np.sqrt(2)) / 2, 0.5, 1.0, 19.99, 20.01, 300.0):
            cold = 2 * rows * columns * beta + np.log(2)
            exact = problems.transfer_matrix(rows, columns, beta) if beta < 10 else cold
            np.testing.assert_allclose(problems.periodic_lattice(rows, columns, beta), exact, rtol=1e-12)
    np.testing.assert_allclose(problems.periodic_lattice(8, 8, -0.6), problems.transfer_matrix(8, 8, -0.6), rtol=1e-12)
    for arguments, message in (
        ((3, 4, -0.1), "beta: got"),
        ((2, 4, 0.1), "rows: got 2"),
        ((4, 4, np.inf), "beta: got"),
    ):
        with pytest.raises(ValueError, match=message):
            problems.periodic_lattice(*arguments)


def test_kaufmans_lattice_becomes_onsagers():
    """Far from the critical point, where the boundary does not matter."""
    for beta in (0.3, 0.6):
        cold, hot = (problems.periodic_lattice(64, 64, beta + by) for by in (1e-4, -1e-4))
        np.testing.assert_allclose(-(cold - hot) / 2e-4 / 64**2, problems.onsager_energy(beta), rtol=1e-6)
