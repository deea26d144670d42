"""Densities of the plane: normalized, and the law of their samples; divergences on a grid against closed forms.

Of at most 100 bins, one is more than 5 standard errors off by chance in 17,000 runs a density; keys are fixed.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.loops import map_chunks
from experiments.data.densities import Densities, density
from experiments.networks.learned_densities import divergence, grid, log_densities
from experiments.networks.neural_density import Config

BETA = 0.7
SAMPLES = 20_000


@pytest.mark.slow
@pytest.mark.parametrize("which", Densities)
def test_a_density_is_normalized_and_the_law_of_its_samples(which):
    of = density(which)
    where = grid(half_width=5.0, cells=200)
    mass = np.exp(np.asarray(map_chunks(of.log_density, where.points, 2000), np.float64)) * where.area
    np.testing.assert_allclose(mass.sum(), 1, atol=1e-5)
    samples = np.asarray(of.sample(jax.random.key(0), SAMPLES))
    assert samples.shape == (SAMPLES, 2)
    # squares of one unit, which the grid and the board's fields share
    expected = SAMPLES * mass.reshape(10, 20, 10, 20).sum(axis=(1, 3))
    counts = np.histogram2d(*samples.T, bins=10, range=((-5, 5), (-5, 5)))[0]
    assert counts.sum() >= SAMPLES - 1
    common = expected > 20
    error = np.sqrt(expected * (1 - expected / SAMPLES))
    assert np.abs((counts - expected)[common] / error[common]).max() < 5
    assert counts[~common].sum() <= expected[~common].sum() + 5 * np.sqrt(expected[~common].sum()) + 1


def test_densities_differ():
    points = grid(half_width=4.0, cells=40).points
    values = [np.asarray(map_chunks(density(which).log_density, points, 400)) for which in Densities]
    for row, one in enumerate(values):
        for other in values[row + 1 :]:
            assert not np.allclose(np.exp(one), np.exp(other), atol=1e-2)


@pytest.mark.slow
def test_the_divergence_of_gaussians_is_the_closed_form(x64):
    """Model exp(-beta E)/Z of width 1/√(beta k): KL = log(s/σ) + (σ² + m²)/2s² - ½ for each component."""
    where = grid(half_width=8.0, cells=160)
    width, mean, stiffness = 0.8, 0.5, 1.3
    log_true = -jnp.sum(where.points**2, axis=1) / (2 * width**2) - jnp.log(2 * jnp.pi * width**2)
    log_model = log_densities(lambda y: 3 + stiffness * jnp.sum((y - mean) ** 2) / 2, BETA, where)
    model = 1 / np.sqrt(BETA * stiffness)
    each = np.log(model / width) + (width**2 + mean**2) / (2 * model**2) - 0.5
    np.testing.assert_allclose(divergence(log_true, log_model, where), 2 * each, rtol=1e-5)


def test_cells_without_mass_count_nothing():
    where = grid(half_width=1.0, cells=2)
    log_true = jnp.array([0.0, -jnp.inf, -jnp.inf, -jnp.inf])
    assert divergence(log_true, jnp.full(4, -1.0), where) == 1.0


@pytest.mark.parametrize(
    ("option", "value"),
    [("densities", ()), ("losses", ()), ("beta", 0.0), ("restart", -0.1), ("restart", 1.1), ("samples", 499),
     ("updates", 0), ("units", 0), ("cells", 23)],
)  # fmt: skip
def test_bad_options_are_named(option, value):
    with pytest.raises(ValueError, match=f"--{option}: got .*, wanted "):
        Config(**{option: value})
