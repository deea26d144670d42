"""Scalar networks of pictures, and spectral normalization against numpy's singular values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from ebmjax import networks


def matrices(module):
    return [np.asarray(leaf).reshape(-1, leaf.shape[-1]) for leaf in jax.tree.leaves(module) if leaf.ndim >= 2]


def vectors(module):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(module) if leaf.ndim < 2]


def largest(matrix):
    return np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)[0]


def scaled(module, factor):
    return jax.tree.map(lambda leaf: factor * leaf, module)


NETWORKS = {
    "dense": lambda key: networks.MLP(key, (2, 128, 64, 1), jax.nn.silu),
    "convolutional": lambda key: networks.ScalarConvolution(key, (12, 9), (8, 16)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bound", [1.0, 0.3])
def test_no_singular_value_exceeds_the_bound(name, bound):
    module = scaled(NETWORKS[name](jax.random.key(0)), 3.0)
    normalized = jax.jit(networks.spectrally_normalized)(module, bound)
    before, after = matrices(module), matrices(normalized)
    assert max(map(largest, before)) > 3
    for ours, old in zip(after, before, strict=True):
        assert largest(ours) <= bound * (1 + 1e-5)
        np.testing.assert_allclose(ours, old * min(1, bound / largest(old)), rtol=1e-4, atol=1e-7)
    for ours, old in zip(vectors(normalized), vectors(module), strict=True):
        np.testing.assert_array_equal(ours, old)


@pytest.mark.slow
def test_what_is_within_the_bound_is_left_alone():
    module = NETWORKS["dense"](jax.random.key(0))
    for ours, old in zip(matrices(networks.spectrally_normalized(module, 100.0)), matrices(module), strict=True):
        np.testing.assert_array_equal(ours, old)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (6, 1), (1, 6)])
def test_the_slope_is_that_of_the_exact_singular_value(x64, shape):
    """Through W/σ(W), with σ from numpy: central differences."""
    random = np.random.default_rng(0)
    matrix, weights = random.normal(size=shape) + 1, random.normal(size=shape)
    exact = lambda matrix: np.sum(weights * matrix / largest(matrix))
    slope = jax.grad(lambda matrix: jnp.sum(weights * networks.spectrally_normalized(matrix)))(jnp.asarray(matrix))
    steps = np.eye(matrix.size).reshape(-1, *shape) * 1e-6
    truth = [(exact(matrix + step) - exact(matrix - step)) / 2e-6 for step in steps]
    np.testing.assert_allclose(np.ravel(slope), truth, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "matrix",
    [np.zeros((3, 2)), 7 * np.eye(4), np.ones((40, 30)), np.array([[1.0, -1.0], [-1.0, 1.0]]), np.full((2, 2), 1e-20)],
    ids=["zero", "ties", "rank one", "orthogonal to ones", "tiny"],
)
def test_degenerate_kernels(matrix):
    """No NaN, in values or slopes; the bound holds."""
    of = lambda matrix: networks.spectrally_normalized(matrix, 0.5)
    assert largest(of(jnp.asarray(matrix, jnp.float32))) <= 0.5 * (1 + 1e-5)
    assert jnp.isfinite(jax.jacobian(of)(jnp.asarray(matrix[:4, :4], jnp.float32))).all()


def test_it_is_a_function_of_params_under_vmap():
    stacked = jnp.stack([scale * jax.random.normal(jax.random.key(0), (6, 4)) for scale in (0.01, 1.0, 10.0)])
    together = jax.jit(jax.vmap(networks.spectrally_normalized))(stacked)
    for ours, alone in zip(together, stacked, strict=True):
        np.testing.assert_allclose(ours, networks.spectrally_normalized(alone), rtol=1e-5)


@pytest.mark.parametrize("bound", [0.0, -1.0, np.nan])
def test_the_bound_is_checked(bound):
    with pytest.raises(ValueError, match="bound: got"):
        networks.spectrally_normalized(jnp.ones((2, 2)), bound)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(12, 9), (7, 5)])
def test_a_scalar_convolution_is_convolutions_and_a_dense_layer(x64, shape):
    """Against lax's own, for sizes that are no power of two either."""
    network = networks.ScalarConvolution(jax.random.key(0), shape, (3, 4), jnp.tanh)
    picture = jax.random.normal(jax.random.key(1), shape, jnp.float32)
    hidden = picture[None, :, :, None]
    for layer in network.layers:
        kernel, bias = jnp.asarray(layer.kernel), jnp.asarray(layer.bias)
        layout = ("NHWC", "HWIO", "NHWC")
        convolved = lax.conv_general_dilated(hidden, kernel, (2, 2), "SAME", dimension_numbers=layout)
        hidden = jnp.tanh(convolved + bias[None, None, None])
    truth = hidden.ravel() @ jnp.asarray(network.last.kernel)[:, 0] + jnp.asarray(network.last.bias)[0]
    np.testing.assert_allclose(network(picture), truth, rtol=1e-5)


def test_sizes_are_checked():
    for channels in ((), (4, 0)):
        with pytest.raises(ValueError, match="channels: got"):
            networks.ScalarConvolution(jax.random.key(0), (8, 8), channels)
    with pytest.raises(ValueError, match="shape: got"):
        networks.ScalarConvolution(jax.random.key(0), (8, 7), (2, 2, 2))


@pytest.mark.parametrize(
    ("network", "name", "shapes"),
    [
        (networks.MLP(jax.random.key(0), (3, 4, 2)), "inputs", [(2,), (3, 1)]),
        # of as many pixels, or halved to as many
        (networks.ConvolutionalEncoder(jax.random.key(0), (8, 12), 6), "picture", [(12, 8), (7, 11)]),
        (networks.ConvolutionalDecoder(jax.random.key(0), 6, (8, 12)), "code", [(5,), (1,)]),
    ],
)
def test_what_does_not_fit_is_named(network, name, shapes):
    for shape in shapes:
        with pytest.raises(ValueError, match=f"{name}: got shape"):
            network(jnp.ones(shape))
