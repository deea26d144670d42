"""Regularizers and noise by hand, and what they do to a latent that is free to move."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import composition
from ebmjax.inference.minimize.gradient import newton

free = lambda z: jnp.sum((jnp.array([3.0, -4.0]) - z) ** 2)


def test_values():
    z = jnp.array([1.0, -2.0])
    assert float(composition.regularized(free, composition.squared_norm, 0.5)(z)) == 8 + 0.5 * 5
    assert float(composition.regularized(free, composition.l1_norm, 2.0)(z)) == 8 + 2 * 3
    assert float(composition.squared_norm(jnp.array(3.0))) == 9


def test_a_free_latent_explains_everything_and_a_held_one_does_not():
    """min ‖y - z‖² + λ‖z‖² = λ/(1 + λ) ‖y‖²."""
    np.testing.assert_allclose(newton(free, jnp.zeros(2)).energy, 0, atol=1e-10)
    held = newton(composition.regularized(free, composition.squared_norm, 0.25), jnp.zeros(2))
    np.testing.assert_allclose(held.energy, 0.25 / 1.25 * 25, rtol=1e-6)


def test_noise_adds_its_variance(x64):
    noise = 0.3 * jax.random.normal(jax.random.key(0), (50_000, 2))
    z = jnp.array([1.0, 0.0])
    shift = 2 * noise.mean(axis=0) @ (z - jnp.array([3.0, -4.0]))
    np.testing.assert_allclose(composition.noisy(free, noise)(z), free(z) + (noise**2).sum(axis=1).mean() + shift)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="weight: got -1"):
        composition.regularized(free, composition.l1_norm, -1.0)
    with pytest.raises(ValueError, match="noise: got shape"):
        composition.noisy(free, jnp.ones((0, 2)))
    assert jnp.isfinite(jax.jit(lambda w: composition.regularized(free, composition.l1_norm, w)(jnp.ones(2)))(0.1))
