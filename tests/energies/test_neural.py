"""Neural energies: confined they have a partition function, normalized they are not steep."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import neural
from ebmjax.energies.penalties import regularized, squared_norm
from ebmjax.networks import spectrally_normalized

BETA = 0.7


def log_partition(energy, half_width):
    """By midpoints, a quarter of a unit apart."""
    edge = jnp.arange(-half_width, half_width, 0.25) + 0.125
    points = jnp.stack(jnp.meshgrid(edge, edge), axis=-1).reshape(-1, 2)
    return jax.scipy.special.logsumexp(-BETA * jax.vmap(energy)(points)) + jnp.log(0.25**2)


@pytest.mark.slow
def test_a_network_alone_has_no_partition_function_and_confined_it_has():
    """Z over ever larger squares: without confinement it grows with the square, or faster."""
    params = neural.init(jax.random.key(0), (2, 16))
    alone = partial(neural.energy, params)
    confined = regularized(alone, squared_norm, 0.2)
    without = [float(jax.jit(partial(log_partition, alone, size))()) for size in (20, 40)]
    held = [float(jax.jit(partial(log_partition, confined, size))()) for size in (20, 40)]
    assert without[1] > without[0] + 1
    np.testing.assert_allclose(held[0], held[1], atol=1e-5)


@pytest.mark.slow
def test_normalized_it_is_not_steeper_than_its_activation(x64):
    """|E(a) - E(b)| ≤ ‖a - b‖ for tanh, whose slope is at most 1; not so before."""
    params = jax.tree.map(lambda leaf: 3 * leaf.astype(float), neural.init(jax.random.key(0), (2, 32, 32), jnp.tanh))
    points = jax.random.normal(jax.random.key(1), (2, 500, 2), float)
    distance = jnp.linalg.norm(points[0] - points[1], axis=1)

    def steepest(params):
        values = jax.vmap(jax.vmap(partial(neural.energy, params)))(points)
        return float(jnp.max(jnp.abs(values[0] - values[1]) / distance))

    assert steepest(spectrally_normalized(params)) <= 1 + 1e-6
    assert steepest(params) > 1


@pytest.mark.slow
def test_the_gradient_in_y_is_continuous():
    """Halving a step halves the change of the slope: no kinks along a line."""
    params = neural.init(jax.random.key(0), (2, 32, 32))
    slope = jax.vmap(lambda t: jax.grad(neural.energy, 1)(params, jnp.stack([t, 1 - t]))[0])
    change = lambda n: float(jnp.max(jnp.abs(jnp.diff(slope(jnp.linspace(-2.0, 2.0, n))))))
    np.testing.assert_allclose(change(401) / change(801), 2, rtol=0.1)


@pytest.mark.slow
def test_pictures_of_a_batch_are_those_of_one():
    params = neural.init_convolutional(jax.random.key(0), (8, 12), (4, 8))
    pictures = jax.random.normal(jax.random.key(1), (5, 8, 12))
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(partial(neural.convolutional_energy, params))))(pictures)
    assert values.shape == (5,)
    for value, slope, picture in zip(values, slopes, pictures, strict=True):
        alone, of_one = jax.value_and_grad(partial(neural.convolutional_energy, params))(picture)
        np.testing.assert_allclose(value, alone, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(slope, of_one, rtol=1e-3, atol=1e-6)


def test_shapes_are_checked():
    with pytest.raises(ValueError, match=r"y: got shape \(3,\), wanted \(2,\)"):
        neural.energy(neural.init(jax.random.key(0)), jnp.ones(3))
    with pytest.raises(ValueError, match=r"y: got shape \(8,\), wanted \(8, 8\)"):
        neural.convolutional_energy(neural.init_convolutional(jax.random.key(0), (8, 8), (2,)), jnp.ones(8))
    with pytest.raises(ValueError, match="sizes: got"):
        neural.init(jax.random.key(0), ())


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "channels"), [((9, 6), (3, 2)), ((4, 8), (2,))])
def test_products_of_patches_are_the_convolution(x64, shape, channels):
    """Sizes odd and even, which are padded on both sides and on one."""
    params = neural.init_convolutional(jax.random.key(0), shape, channels)
    params = jax.tree.map(lambda leaf: leaf.astype(float) + 0.1, params)  # biases too
    picture = jax.random.normal(jax.random.key(1), shape)

    def plain(params, picture):
        hidden = picture[..., None]
        for layer in params.layers:
            hidden = params.activation(layer(hidden))
        return params.last(hidden.ravel())[0]

    ours, theirs = (
        jax.jit(jax.value_and_grad(energy, argnums=(0, 1)))(params, picture)
        for energy in (neural.convolutional_energy, plain)
    )
    for found, expected in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
