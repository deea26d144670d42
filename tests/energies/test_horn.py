"""The horn by hand, its initialization over 256 seeds, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import generalized_horn, horn

X = jnp.linspace(0, 1, 101)


def test_energy_is_the_squared_distance_from_the_point_at_x_and_z():
    params = horn.init(jax.random.key(0))
    radii, y = params.predictor(0.3), jnp.array([1.0, -2.0])
    expected = (1.0 - radii[0] * np.cos(0.7)) ** 2 + (-2.0 - radii[1] * np.sin(0.7)) ** 2
    np.testing.assert_allclose(horn.energy(params, 0.3, y, 0.7), expected, rtol=1e-5)
    np.testing.assert_allclose(horn.energy(params, 0.3, horn.decode(params, 0.3, 0.7), 0.7), 0, atol=1e-10)


@pytest.mark.slow
def test_no_unit_of_256_seeds_is_dead():
    """Every hidden unit is on somewhere in [0, 1], and every weight of every layer has a gradient."""

    def alive(key):
        predictor = horn.init(key).predictor
        first = jax.nn.relu(jax.vmap(lambda x: predictor.first(x[None]))(X))
        second = jax.nn.relu(predictor.second(first))
        slopes = jax.grad(lambda predictor: jax.vmap(predictor)(X).sum())(predictor)
        moved = jnp.stack([(leaf != 0).any() for leaf in jax.tree.leaves(slopes)])
        return (first > 0).any(axis=0), (second > 0).any(axis=0), moved

    for layer in jax.jit(jax.vmap(alive))(jax.random.split(jax.random.key(0), 256)):
        assert layer.all()


@pytest.mark.slow
def test_generalized_form_takes_scalars_and_vectors():
    for latent in (1, 3):
        params = generalized_horn.init(jax.random.key(1), latent=latent)
        z = jnp.full(latent, 0.4)
        y = generalized_horn.decode(params, 0.2, z)
        np.testing.assert_allclose(generalized_horn.energy(params, 0.2, y + 1, z), 2, rtol=1e-5)
    scalar = generalized_horn.init(jax.random.key(1))
    np.testing.assert_allclose(
        generalized_horn.decode(scalar, 0.2, 0.4), generalized_horn.decode(scalar, 0.2, jnp.array([0.4])), rtol=1e-6
    )


def test_bad_shapes_are_named():
    params = horn.init(jax.random.key(0))
    with pytest.raises(ValueError, match=r"y: got shape \(3,\), wanted \(2,\)"):
        horn.energy(params, 0.3, jnp.ones(3), 0.0)
    with pytest.raises(ValueError, match="y: got shape"):
        generalized_horn.energy(generalized_horn.init(jax.random.key(0)), 0.3, jnp.ones(()), 0.0)
