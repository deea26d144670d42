"""Gabor functions: drawn by their formula, and found again by the fit."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.codes import gabor
from experiments.codes.gabor import Gabor, draw, fit, peak_frequency

SIZE, COUNT = 12, 48


def some(count=COUNT, size=SIZE):
    """Gabor functions of all directions, phases and forms, with their centres well inside."""
    random = np.random.default_rng(0)
    frequency = np.exp(random.uniform(np.log(0.08), np.log(0.4), count))
    values = (
        *random.uniform(0.2 * size, 0.8 * size, (2, count)),
        random.uniform(0, math.pi, count),
        frequency,
        random.uniform(-math.pi, math.pi, count),
        random.uniform(0.25, 0.6, count) / frequency,
        random.uniform(0.25, 0.9, count) / frequency,
        random.uniform(0.5, 2, count),
    )
    return Gabor(*(jnp.asarray(value, jnp.float32) for value in values))


def drawn(many, rows=SIZE, columns=SIZE):
    return jax.vmap(lambda values: draw(values, rows, columns))(many)


def others():
    """No Gabor functions, and large."""
    return 37 * jax.random.normal(jax.random.key(2), (3, SIZE, SIZE))


@pytest.fixture(scope="module")
def fitted():
    atoms = drawn(some())
    noise = jax.random.normal(jax.random.key(1), atoms.shape)
    power = jnp.sum(atoms**2, axis=(1, 2), keepdims=True)
    share = jnp.sum(noise**2, axis=(1, 2), keepdims=True) / power
    return fit(jnp.concatenate([atoms, atoms + noise * jnp.sqrt(0.05 / share), others()]))


def test_a_drawing_is_the_formula():
    values = Gabor(2.5, 4.0, math.radians(30), 0.15, 0.7, 3.0, 1.5, 2.0)
    picture = draw(values, 6, 9)
    assert picture.shape == (6, 9)
    row, column = 1, 7
    right, up = column - 4.0, 2.5 - row
    u = right * math.cos(math.radians(30)) + up * math.sin(math.radians(30))
    v = right * math.sin(math.radians(30)) - up * math.cos(math.radians(30))
    expected = 2 * math.exp(-(u**2) / 18 - v**2 / 4.5) * math.cos(2 * math.pi * 0.15 * u + 0.7)
    np.testing.assert_allclose(picture[row, column], expected, rtol=1e-5)


def test_directions_are_as_seen():
    """0 runs to the right, so that columns differ; π/2 upwards; at π/4 the crests fall from left to right."""
    right, up, slant = (draw(Gabor(5.0, 5.0, angle, 0.25, 0.0, 9.0, 9.0, 1.0), 11, 11) for angle in (0, 1.5708, 0.7854))
    assert abs(right[5, 7]) > 0.5 > 0.1 > abs(right[5, 6])
    assert abs(up[7, 5]) > 0.5 > 0.1 > abs(up[6, 5])
    assert slant[7, 7] > 0.8  # down and to the right is along a crest
    assert slant[4, 6] < 0 < slant[5, 5]


@pytest.mark.slow
def test_known_functions_are_found_again(fitted):
    truth = some()
    found = jax.tree.map(lambda leaf: leaf[:COUNT], fitted)
    assert float(found.residual.max()) < 1e-6
    for name in ("row", "column", "frequency", "along", "across"):
        np.testing.assert_allclose(getattr(found.gabor, name), getattr(truth, name), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.gabor.amplitude, truth.amplitude, rtol=1e-3)
    for name, period in (("direction", math.pi), ("phase", 2 * math.pi)):
        off = (getattr(found.gabor, name) - getattr(truth, name)) / period
        # a direction next to 0 may come back next to π, with the phase turned round
        same = np.abs(found.gabor.direction - truth.direction) < 1
        np.testing.assert_allclose((off - np.round(off))[same], 0, atol=1e-3)
        assert same.mean() > 0.9
    assert np.all((found.gabor.direction >= 0) & (found.gabor.direction <= math.pi))
    assert np.all(found.gabor.amplitude > 0)


@pytest.mark.slow
def test_the_parameters_found_draw_the_atom(fitted):
    atoms = drawn(some())
    again = drawn(jax.tree.map(lambda leaf: leaf[:COUNT], fitted.gabor))
    np.testing.assert_allclose(again, atoms, atol=2e-3)


def test_noise_is_what_is_left(fitted):
    """Noise of 5% of the power, of which eight fitted numbers of 144 can take some: nothing else is left, and nothing
    of the Gabor function is missed."""
    left = np.asarray(fitted.residual[COUNT : 2 * COUNT])
    assert np.all(left < 0.05)
    assert np.median(left) > 0.05 / 1.05 * (1 - 8 / 144) * 0.9
    truth, found = some(), jax.tree.map(lambda leaf: leaf[COUNT : 2 * COUNT], fitted.gabor)
    assert np.median(np.abs(found.frequency - truth.frequency)) < 0.01
    assert np.median(np.hypot(found.row - truth.row, found.column - truth.column)) < 0.3


def test_the_residual_is_of_the_drawing(fitted):
    """Of pictures that are no Gabor functions, at another scale: ‖a - g‖² / ‖a‖² with the g that is returned."""
    atoms, found = others(), jax.tree.map(lambda leaf: leaf[2 * COUNT :], fitted)
    again = drawn(found.gabor)
    expected = jnp.sum((atoms - again) ** 2, axis=(1, 2)) / jnp.sum(atoms**2, axis=(1, 2))
    np.testing.assert_allclose(found.residual, expected, atol=1e-4)
    assert np.all(np.asarray(found.residual) > 0.2)


@pytest.mark.slow
def test_peak_frequency_is_that_of_the_spectrum():
    """Against the discrete Fourier transform of a drawing along the wave, four points to a pixel, 512 pixels long."""
    truth = some(20)
    coarse = truth._replace(
        row=jnp.zeros(20),
        column=jnp.full(20, 1024.0),
        direction=jnp.zeros(20),
        frequency=truth.frequency / 4,
        along=truth.along * 4,
    )
    lines = jax.vmap(lambda values: draw(values, 1, 2048)[0])(coarse)
    expected = np.argmax(np.abs(np.fft.rfft(lines)), axis=1) / 512
    np.testing.assert_allclose(peak_frequency(truth), expected, atol=0.002)


@pytest.mark.slow
def test_pictures_need_not_be_square():
    truth = Gabor(*(jnp.array([value]) for value in (2.0, 6.0, 0.6, 0.2, 0.3, 2.0, 2.5, 1.5)))
    found = fit(drawn(truth, 5, 14), starts=2, steps=15)
    for name in Gabor._fields:
        np.testing.assert_allclose(getattr(found.gabor, name), getattr(truth, name), rtol=1e-3)


@pytest.mark.parametrize(
    ("atoms", "options", "name"),
    [
        (jnp.ones((2, 3, 9)), {}, "atoms: got 3 x 9"),
        (jnp.zeros((1, 8, 8)), {}, "atoms: got one that is zero"),
        (jnp.full((1, 8, 8), jnp.nan), {}, "atoms: got one that is zero or not finite"),
        (jnp.ones((1, 8, 8)), {"starts": 0}, "starts: got 0"),
        (jnp.ones((1, 8, 8)), {"starts": 49}, "starts: got 49"),
        (jnp.ones((1, 8, 8)), {"steps": 0}, "steps: got 0"),
    ],
)
def test_fit_refuses(atoms, options, name):
    assert gabor.DIRECTIONS * gabor.FREQUENCIES == 48
    with pytest.raises(ValueError, match=name):
        fit(atoms, **options)
