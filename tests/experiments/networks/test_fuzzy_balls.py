"""What is measured of fuzzy balls, against integrals and what can be said beforehand."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ebmjax.gaussian import Gaussian
from experiments.networks import fuzzy_balls


def test_overlaps_are_integrals(x64):
    """∫ √(p q) of every two balls, on a grid; and the distance in units of σ."""
    mean = np.array([[0.3, -1.0], [1.5, 0.4], [-0.8, 0.1]])
    deviation = np.array([[1.0, 0.5], [0.7, 1.4], [0.9, 0.8]])
    distances, overlaps = fuzzy_balls.pairs(Gaussian(jnp.asarray(mean), 2 * jnp.log(jnp.asarray(deviation))))
    axis = np.linspace(-12, 12, 601)
    laws = np.array(
        [
            np.multiply.outer(stats.norm(m[0], s[0]).pdf(axis), stats.norm(m[1], s[1]).pdf(axis))
            for m, s in zip(mean, deviation, strict=True)
        ]
    )
    shared = [np.sqrt(laws[i] * laws[j]).sum() * (axis[1] - axis[0]) ** 2 for i, j in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_allclose(overlaps, shared, rtol=1e-8)
    apart = np.sqrt(1.2**2 / ((1 + 0.49) / 2) + 1.4**2 / ((0.25 + 1.96) / 2))
    np.testing.assert_allclose(distances[0], apart, rtol=1e-10)


@pytest.mark.slow
def test_equal_balls(x64):
    """Of one size, the distance is that of the centres over σ; stretched as a whole, nothing but the sizes changes."""
    mean = jnp.asarray(np.random.default_rng(0).normal(size=(7, 2)))
    plain = fuzzy_balls.measured(Gaussian(mean, jnp.full((7, 2), 2 * np.log(0.5))), 3.0)
    lengths = np.linalg.norm(np.asarray(mean)[:, None] - np.asarray(mean)[None], axis=2)
    np.testing.assert_allclose(plain.separation, lengths[np.triu_indices(7, 1)].mean() / 0.5, rtol=1e-10)
    np.testing.assert_allclose(plain.radius, np.sqrt((np.asarray(mean) ** 2).sum(axis=1).mean()), rtol=1e-10)
    np.testing.assert_allclose(plain.deviation, 0.5, rtol=1e-12)
    stretched = fuzzy_balls.measured(Gaussian(4 * mean, jnp.full((7, 2), 2 * np.log(2.0))), 3.0)
    np.testing.assert_allclose(stretched.overlap, plain.overlap, rtol=1e-10)
    np.testing.assert_allclose(stretched.separation, plain.separation, rtol=1e-10)
    np.testing.assert_allclose([stretched.radius, stretched.sigma], [4 * plain.radius, 2.0], rtol=1e-10)


def test_moments_are_in_order():
    for epochs in (5, 12, 60, 1000):
        chosen = fuzzy_balls.moments(epochs, fuzzy_balls.COLUMNS)
        assert len(chosen) == fuzzy_balls.COLUMNS
        assert (chosen[0], chosen[1], chosen[-1]) == (0, 1, epochs)
        assert sorted(chosen) == chosen


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"pulls": (1.0,), "sizes": (1.0, 2.0)}, "--sizes"),
        ({"pulls": (), "sizes": ()}, "--sizes"),
        ({"pulls": (-1.0,), "sizes": (1.0,)}, "--pulls"),
        ({"pulls": (1.0,), "sizes": (float("inf"),)}, "--sizes"),
        ({"shown": 1}, "--shown"),
        ({"epochs": 2}, "--epochs"),
        ({"batch_size": 0}, "--batch-size"),
        ({"hidden": ()}, "--hidden"),
        ({"rate": 0.0}, "--rate"),
    ],
)
def test_what_makes_no_sense_is_refused(options, complaint):
    with pytest.raises(ValueError, match=f"{complaint}: got"):
        fuzzy_balls.Config(**options)
