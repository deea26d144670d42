"""Refined marginals against brute force at small and large beta, where a plain grid misses the peaks."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import circle, free_energy, gauss_hermite, interval, refine
from ebmjax.energies import ellipse

CASES = {
    "on the lecture's ellipse": ([2.0, 1.5], [1.3, 1.2]),
    "at its centre": ([2.0, 1.5], [0.0, 0.0]),
    "at the horn's mouth": ([11.08, 14.78], [8.3, 9.7]),
    "inside the mouth": ([11.08, 14.78], [1.0, 2.0]),
    "near the cusp of a flat one": ([15.0, 0.5], [14.9, 0.01]),
}
BETAS = [0.0, 1e-2, 1.0, 10.0, 100.0, 1e3, 1e4, 1e6]


def brute_force(radii, y, beta):
    """Float64 numpy on two million angles, and Newton's method for the minimum."""
    squared = lambda z: (y[0] - radii[0] * np.cos(z)) ** 2 + (y[1] - radii[1] * np.sin(z)) ** 2
    angles = np.arange(2_000_000) * np.pi * 1e-6
    energies = squared(angles)
    least, step = energies.min(), 1e-6
    near = angles[energies.argmin()] + np.linspace(-step, step, 20_001)
    least = min(least, squared(near).min())
    if beta == 0:
        return energies.mean(), least
    return least - np.log(np.exp(-beta * (energies - least)).mean()) / beta, least


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_ellipse_at_every_temperature(x64, case):
    radii, y = (np.array(numbers) for numbers in CASES[case])
    energy = partial(ellipse.energy, ellipse.Params(jnp.asarray(radii)), jnp.asarray(y))
    refined = jax.jit(lambda beta: free_energy(energy, refine(energy, circle(48), beta), beta))
    for beta in BETAS:
        truth, least = brute_force(radii, y, beta)
        scale = max(abs(truth), 1 / beta if beta else np.inf)
        assert abs(float(refined(beta)) - truth) <= 1e-6 * scale, beta
    np.testing.assert_allclose(refined(jnp.inf), least, rtol=1e-6)


@pytest.mark.slow
def test_interval_with_a_minimum_at_its_end(x64):
    """E = a z on [0, 1]: F = -log((1 - exp(-beta a))/(beta a))/beta."""
    energy = lambda z: 3 * z
    for beta in (1e-3, 1.0, 100.0, 1e5):
        truth = -np.log(-np.expm1(-3 * beta) / (3 * beta)) / beta
        space = refine(energy, interval(0.0, 1.0, 9), beta)
        np.testing.assert_allclose(free_energy(energy, space, beta), truth, rtol=1e-7)
    assert float(free_energy(energy, refine(energy, interval(0.0, 1.0, 9), jnp.inf), jnp.inf)) == 0


@pytest.mark.slow
def test_several_valleys_share_the_mass(x64):
    """cos(3z) has three equal valleys: each is a third of the whole, F = -log I₀(beta)/beta."""
    from scipy import special

    for beta in (1.0, 50.0, 5e3):
        space = refine(lambda z: jnp.cos(3 * z), circle(48), beta)
        truth = -(np.log(special.i0e(beta)) + beta) / beta
        np.testing.assert_allclose(free_energy(lambda z: jnp.cos(3 * z), space, beta), truth, rtol=1e-7)


@pytest.mark.slow
def test_gradients_are_those_of_the_marginal(x64):
    """d/dw of the refined F is <∂E/∂w>: compared with a grid of 100,000 points."""
    y, radii = jnp.array([8.3, 9.7]), jnp.array([11.08, 14.78])
    free = lambda make: jax.grad(lambda radii: make(partial(ellipse.energy, ellipse.Params(radii), y)))(radii)
    for beta in (1.0, 100.0):
        got = free(lambda energy, beta=beta: free_energy(energy, refine(energy, circle(48), beta), beta))
        truth = free(lambda energy, beta=beta: free_energy(energy, circle(100_000), beta))
        np.testing.assert_allclose(got, truth, rtol=1e-5)


@pytest.mark.slow
def test_volume_and_measure_are_kept():
    for space in (circle(12), interval(-2.0, 5.0, 12)):
        for beta in (0.0, 3.0, 1e4):
            refined = refine(lambda z: jnp.sin(z) ** 2, space, beta)
            np.testing.assert_allclose(jnp.exp(refined.log_weights).sum(), 1, rtol=1e-5)
            assert refined.log_volume == space.log_volume


@pytest.mark.parametrize(
    ("space", "peaks", "message"),
    [(circle(3), 1, "at least 4 scalars"), (circle(8), 5, "peaks: got 5"), (circle(8), 0, "peaks: got 0")],
)
def test_bad_arguments_are_named(space, peaks, message):
    with pytest.raises(ValueError, match=message):
        refine(jnp.cos, space, 1.0, peaks)
    with pytest.raises(ValueError, match="beta: got -2"):
        refine(jnp.cos, circle(8), -2.0)


@pytest.mark.slow
@pytest.mark.parametrize("length", [1e-9, 0.3, 0.7, 1.0, 3.0])
def test_the_minimum_counts_on_intervals_of_any_length(length):
    space = interval(0.0, length, 40)
    for energy in (lambda z: 7 * z + z**2, lambda z: (z - 0.31 * length) ** 2):
        refined = refine(energy, space, jnp.inf)
        assert jnp.isfinite(refined.log_weights[-4])
        np.testing.assert_allclose(free_energy(energy, refined, jnp.inf), 0, atol=1e-12 * length)


def test_other_spaces_are_refused():
    for space in (gauss_hermite(8), interval(0.0, 1.0, 8)._replace(points=jnp.arange(8.0)[::-1])):
        with pytest.raises(ValueError, match="space: got points"):
            refine(jnp.cos, space, 1.0)
