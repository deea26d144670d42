"""Sparse coding: the bound of the curvature, dictionaries that are refused, and the energy's closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import l1
from ebmjax.energies.sparse_coding import Params


def coherent(observed, atoms):
    """All atoms near one direction."""
    return sparse_coding.normalized(
        Params(1 + 0.05 * jax.random.normal(jax.random.key(1), (observed, atoms), jnp.result_type(float)))
    )


DICTIONARIES = {
    "wide": lambda: sparse_coding.init(jax.random.key(0), 64, 128),
    "tall": lambda: sparse_coding.init(jax.random.key(0), 128, 64),
    "square": lambda: sparse_coding.init(jax.random.key(0), 200, 200),
    "one atom": lambda: sparse_coding.init(jax.random.key(0), 8, 1),
    "orthogonal": lambda: Params(jnp.linalg.qr(jax.random.normal(jax.random.key(0), (64, 64)))[0]),
    "coherent": lambda: coherent(64, 96),
    "far from unit length": lambda: Params(1e6 * coherent(16, 24).dictionary),
    "small": lambda: Params(1e-6 * coherent(16, 24).dictionary),
    "twins": lambda: Params(jnp.repeat(coherent(16, 1).dictionary, 2, axis=1)),
}


def largest_eigenvalue(params):
    dictionary = np.asarray(params.dictionary, np.float64)
    return np.linalg.eigvalsh(dictionary.T @ dictionary)[-1]


@pytest.mark.slow
@pytest.mark.parametrize("name", DICTIONARIES)
def test_lipschitz_is_never_from_below(name):
    params = DICTIONARIES[name]()
    true = largest_eigenvalue(params)
    size = min(params.dictionary.shape)
    for iterations in (1, 10):
        bound = float(sparse_coding.lipschitz(params, iterations))
        assert true <= bound * (1 + 1e-6)
        assert bound <= true * size ** (1 / 2 ** (iterations + 1)) * (1 + 1e-5)


@pytest.mark.slow
def test_lipschitz_in_double_precision(x64):
    params = sparse_coding.init(jax.random.key(0), 64, 128)
    np.testing.assert_allclose(sparse_coding.lipschitz(params, 40), largest_eigenvalue(params), rtol=1e-12)


def test_lipschitz_of_special_dictionaries():
    assert float(sparse_coding.lipschitz(Params(jnp.zeros((3, 2))))) == 0
    assert np.isnan(float(sparse_coding.lipschitz(Params(jnp.array([[jnp.nan, 1.0]])))))
    stack = jnp.stack([jnp.eye(3), 2 * jnp.eye(3)])
    np.testing.assert_allclose(jax.vmap(lambda w: sparse_coding.lipschitz(Params(w)))(stack), [1, 4], rtol=1e-3)


def test_the_energy_is_half_the_square_and_the_regularizer():
    params = Params(jnp.array([[1.0, 0.6], [0.0, 0.8]]))
    y, z = jnp.array([2.0, 1.0]), jnp.array([1.0, -0.5])
    np.testing.assert_allclose(sparse_coding.reconstruction(params, z), [0.7, -0.4], rtol=1e-6)
    np.testing.assert_allclose(sparse_coding.misfit(params, y, z), (1.3**2 + 1.4**2) / 2, rtol=1e-6)
    np.testing.assert_allclose(
        sparse_coding.energy(params, l1(0.2), y, z), (1.3**2 + 1.4**2) / 2 + 0.2 * 1.5, rtol=1e-6
    )
    np.testing.assert_allclose(sparse_coding.largest_weight(params, y), 2.0, rtol=1e-6)


@pytest.mark.slow
def test_dictionaries_have_unit_columns():
    data = jax.random.normal(jax.random.key(0), (30, 8))
    for params in (
        sparse_coding.init(jax.random.key(1), 8, 12),
        sparse_coding.from_data(jax.random.key(1), data, 12),
    ):
        assert params.dictionary.shape == (8, 12)
        np.testing.assert_allclose(jnp.linalg.norm(params.dictionary, axis=0), 1, rtol=1e-6)
        sparse_coding.check_params(params)
        sparse_coding.check_data(params, data)
    # different samples, each its own direction
    drawn = sparse_coding.from_data(jax.random.key(1), data, 30).dictionary
    overlap = jnp.abs(drawn.T @ (data / jnp.linalg.norm(data, axis=1, keepdims=True)).T)
    np.testing.assert_allclose(jnp.sort(jnp.argmax(overlap, axis=1)), jnp.arange(30))
    np.testing.assert_array_equal(sparse_coding.normalized(Params(jnp.zeros((2, 2)))).dictionary, 0)


def test_check_leaves_traced_values_alone():
    assert jax.jit(lambda w: sparse_coding.check_params(Params(w)) or w.sum())(jnp.zeros((2, 2))) == 0


def test_bad_arguments_are_named():
    good = Params(jnp.eye(3))
    data = jnp.ones((5, 3))
    for run, message in (
        (
            lambda: sparse_coding.check_params(Params(jnp.array([[1.0, 0.0], [1.0, 0.0]]))),
            r"dictionary: .* zeros \(1\)",
        ),
        (lambda: sparse_coding.check_params(Params(jnp.array([[jnp.nan, 1.0]]))), r"dictionary: .* nan \(0\)"),
        (lambda: sparse_coding.check_params(Params(jnp.array([[1.0, jnp.inf]]))), r"dictionary: .* inf \(1\)"),
        (lambda: sparse_coding.check_params(Params(jnp.zeros((3, 0)))), r"dictionary: got shape \(3, 0\)"),
        (lambda: sparse_coding.check_data(good, data[:2]), "data: got 2 samples, wanted at least 3"),
        (lambda: sparse_coding.check_data(good, data[:, :2]), r"data: got shape \(5, 2\)"),
        (lambda: sparse_coding.check_data(good, data.at[0, 0].set(jnp.nan)), "data: got a number that is not finite"),
        (lambda: sparse_coding.from_data(jax.random.key(0), data, 6), "data: got 5 samples, wanted at least 6"),
        (lambda: sparse_coding.from_data(jax.random.key(0), data, 0), "atoms: got 0"),
        (lambda: sparse_coding.init(jax.random.key(0), 3, 0), "atoms: got 0"),
        (lambda: sparse_coding.init(jax.random.key(0), 0, 3), "observed: got 0"),
        (lambda: sparse_coding.misfit(good, jnp.ones(2), jnp.ones(3)), r"y: got shape \(2,\)"),
        (lambda: sparse_coding.lipschitz(good, 0), "iterations: got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            run()
