"""Convolutions against SciPy and against the matrices they stand for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import convolve2d

from ebmjax.energies import convolutional_encoder
from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies.regularizers import l1

BORDERS = pytest.mark.parametrize("reconstruction", [coding.periodic, coding.valid])
CHANNELS = pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "colour"])


def example(reconstruction, channels=(), filters=3, kernel=(3, 2), picture=(6, 7)):
    keys = jax.random.split(jax.random.key(7), 3)
    params = coding.init(keys[0], filters, (*kernel, *channels))
    y = jax.random.normal(keys[1], (*picture, *channels))
    return params, y, jax.random.normal(keys[2], coding.zeros(params, y, reconstruction).shape)


def matrix(params, z, reconstruction):
    """The reconstruction of every map that is zero but for a one, by SciPy: pixels × coefficients."""
    kernels = np.asarray(params.kernels)
    kernels = kernels.reshape(*kernels.shape[:3], -1)
    columns = []
    for index in range(z.size):
        unit = np.zeros(z.size)
        unit[index] = 1
        unit = unit.reshape(z.shape)
        where = np.unravel_index(index, z.shape)[0]
        one = []
        for channel in range(kernels.shape[3]):
            kernel = kernels[where, :, :, channel]
            if reconstruction is coding.valid:
                one.append(convolve2d(unit[where], kernel, "valid"))
            else:
                rows, columns_of = unit.shape[1:]
                full = convolve2d(unit[where], kernel)
                folded = np.zeros((rows, columns_of))
                for row in range(full.shape[0]):
                    for column in range(full.shape[1]):
                        folded[row % rows, column % columns_of] += full[row, column]
                one.append(folded)
        columns.append(np.stack(one, axis=-1).ravel())
    return np.stack(columns, axis=1)


@pytest.mark.slow
@BORDERS
@CHANNELS
def test_the_energy_is_that_of_the_dense_problem(x64, reconstruction, channels):
    params, y, z = example(reconstruction, channels)
    dense = matrix(params, z, reconstruction)
    residual = np.asarray(y).ravel() - dense @ np.asarray(z).ravel()
    expected = residual @ residual / 2 + 0.3 * np.abs(z).sum()
    np.testing.assert_allclose(coding.energy(params, l1(0.3), y, z, reconstruction), expected, rtol=1e-12)
    slope = jax.grad(coding.misfit, 2)(params, y, z, reconstruction)
    np.testing.assert_allclose(slope.ravel(), -dense.T @ residual, atol=1e-12)
    analysis = coding.analysis(params, y, reconstruction)
    np.testing.assert_allclose(analysis.ravel(), dense.T @ np.asarray(y).ravel(), atol=1e-12)
    weight = coding.largest_weight(params, y, reconstruction)
    np.testing.assert_allclose(weight, np.abs(dense.T @ np.asarray(y).ravel()).max(), rtol=1e-12)


@pytest.mark.slow
@BORDERS
@CHANNELS
def test_the_curvature_is_bounded(x64, reconstruction, channels):
    params, _, z = example(reconstruction, channels)
    largest = np.linalg.norm(matrix(params, z, reconstruction), 2) ** 2
    bound = coding.lipschitz(params, z.shape[1:])
    assert bound >= largest * (1 - 1e-12)
    if reconstruction is coding.periodic:
        assert bound <= largest * (1 + 1e-12) * (3 ** (1 / 16) if channels else 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("picture", "kernel"), [((8, 8), (3, 3)), ((5, 9), (5, 1)), ((7, 4), (1, 1)), ((9, 9), (9, 9))]
)
def test_valid_is_scipys(picture, kernel):
    params, y, z = example(coding.valid, (), 2, kernel, picture)
    expected = sum(convolve2d(*pair, mode="valid") for pair in zip(z, params.kernels, strict=True))
    np.testing.assert_allclose(coding.valid(params, z), expected, atol=1e-5)
    assert coding.valid(params, z).shape == y.shape
    np.testing.assert_allclose(
        coding.valid(params, z), coding.periodic(params, z)[kernel[0] - 1 :, kernel[1] - 1 :], atol=1e-6
    )


@pytest.mark.slow
@BORDERS
def test_the_encoder_turns_what_the_decoder_adds(reconstruction):
    params, y, _ = example(reconstruction, (3,))
    encoder = convolutional_encoder.init_encoder(params)._replace(gain=jnp.array([1.0, 2.0, -1.0]))
    code = convolutional_encoder.encode(encoder, y, jnp.tanh, reconstruction)
    analysis = coding.analysis(params, y, reconstruction)
    np.testing.assert_allclose(code, np.array([1.0, 2.0, -1.0])[:, None, None] * np.tanh(analysis), atol=1e-6)


def test_a_predicted_code_is_the_proximal_point(x64):
    """The operator against a fine grid; the conjugate against the grid's maximum, which it may not fall short of."""
    guess, weight, step = jnp.array([[[0.7]]]), 0.8, 0.6
    near = convolutional_encoder.near_prediction(l1(0.3), guess, weight)
    grid = np.linspace(-4, 4, 800_001)
    values = 0.3 * np.abs(grid) + weight * (grid - 0.7) ** 2 / 2
    for z in (-2.0, 0.1, 1.5):
        least = grid[np.argmin((grid - z) ** 2 / 2 + step * values)]
        np.testing.assert_allclose(near.prox(jnp.full((1, 1, 1), z), step).item(), least, atol=1e-5)
        conjugate = near.conjugate(jnp.full((1, 1, 1), z), jnp.inf)
        np.testing.assert_allclose(conjugate, np.max(z * grid - values), atol=1e-9)
    np.testing.assert_allclose(near.value(jnp.full((1, 1, 1), 2.0)), 0.6 + 0.8 * 1.3**2 / 2)


@pytest.mark.slow
def test_pieces_of_pictures_make_kernels():
    """Every kernel is one of the pictures' windows, less its mean, of unit norm."""
    pictures = jax.random.normal(jax.random.key(0), (2, 6, 5, 3))
    params = coding.from_data(jax.random.key(1), pictures, 4, (3, 2))
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(pictures), (3, 2), axis=(1, 2))
    windows = np.moveaxis(windows, 3, -1).reshape(-1, 3, 2, 3)
    windows = windows - windows.mean(axis=(1, 2), keepdims=True)
    windows /= np.linalg.norm(windows.reshape(len(windows), -1), axis=1)[:, None, None, None]
    for kernel in np.asarray(params.kernels):
        assert np.abs(windows - kernel).max(axis=(1, 2, 3)).min() < 1e-5


def test_no_kernels_grow():
    params = coding.normalized(coding.Params(jnp.array([[[3.0, 4.0]], [[0.0, 0.0]]])))
    np.testing.assert_allclose(params.kernels, [[[0.6, 0.8]], [[0.0, 0.0]]])


GREY, COLOUR = coding.Params(jnp.ones((2, 3, 3))), coding.Params(jnp.ones((2, 3, 3, 3)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: coding.init(jax.random.key(0), 0, (3, 3)), "filters: got 0"),
        (lambda: coding.init(jax.random.key(0), 1, (3,)), r"shape: got \(3,\)"),
        (lambda: coding.init(jax.random.key(0), 1, (3, 0)), r"shape: got \(3, 0\)"),
        (lambda: coding.from_data(jax.random.key(0), jnp.ones((1, 4, 4)), 0, (3, 3)), "filters: got 0"),
        (lambda: coding.from_data(jax.random.key(0), jnp.ones((1, 4, 4)), 1, (5, 3)), r"size: got \(5, 3\)"),
        (
            lambda: coding.check_params(coding.Params(jnp.ones((2, 3, 3)).at[1].set(0))),
            r"kernels: got a kernel of zeros \(1\)",
        ),
        (
            lambda: coding.check_params(coding.Params(jnp.ones((2, 3, 3)).at[0, 1, 1].set(jnp.nan))),
            "kernels: got a kernel with",
        ),
        (lambda: coding.check_picture(GREY, jnp.ones((2, 8))), r"y: got shape \(2, 8\), wanted at least 3 by 3"),
        (lambda: coding.check_picture(GREY, jnp.ones((8, 8, 3))), r"y: got shape .* as the kernels are grey"),
        (lambda: coding.check_picture(COLOUR, jnp.ones((8, 8))), r"y: got shape .* wanted \(rows, columns, 3\)"),
        (lambda: coding.check_picture(COLOUR, jnp.ones((8, 8, 4))), r"y: got shape .* wanted \(rows, columns, 3\)"),
        (lambda: coding.check_picture(GREY, jnp.full((8, 8), jnp.inf)), "y: got a number that is not finite"),
        (lambda: coding.periodic(GREY, jnp.ones((3, 8, 8))), r"z: got shape \(3, 8, 8\)"),
        (lambda: coding.valid(GREY, jnp.ones((2, 2, 8))), r"maps: got shape \(2, 8\)"),
        (lambda: coding.lipschitz(GREY, (2, 8)), r"maps: got shape \(2, 8\)"),
        (lambda: coding.misfit(GREY, jnp.ones((8, 8)), jnp.ones((2, 9, 8))), r"y: got shape \(8, 8\), wanted \(9, 8\)"),
        (lambda: convolutional_encoder.near_prediction(l1(1.0), jnp.ones((1, 1, 1)), 0.0), "weight: got 0.0"),
        (lambda: convolutional_encoder.near_prediction(l1(1.0), jnp.ones((1, 1, 1)), -1.0), "weight: got -1.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
