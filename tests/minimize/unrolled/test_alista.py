"""Analytic weights against the optimality conditions of their definition; ALISTA and HyperLISTA without noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import sparse_coding
from ebmjax.minimize.unrolled import lista
from ebmjax.minimize.unrolled.alista import Alista, alista, analytic_weights, coherence, symmetric_weights
from ebmjax.minimize.unrolled.hyperlista import HyperLista, hyperlista, prepare
from ebmjax.minimize.unrolled.support import growing_support, shrink_but_largest

PARAMS = sparse_coding.init(jax.random.key(0), 60, 100)


def _double():
    dictionary = np.random.default_rng(0).normal(size=(12, 20))
    return sparse_coding.Params(jnp.asarray(dictionary / np.linalg.norm(dictionary, axis=0)))


def _sparse(samples, density):
    """Noiseless observations of sparse codes, and the codes."""
    value_key, support_key = jax.random.split(jax.random.key(1))
    shape = (samples, 100)
    codes = jnp.where(jax.random.bernoulli(support_key, density, shape), jax.random.normal(value_key, shape), 0.0)
    return codes @ PARAMS.dictionary.T, codes


def _nmse_db(found, codes):
    return float(10 * jnp.log10(jnp.sum((found - codes) ** 2) / jnp.sum(codes**2)))


@pytest.mark.parametrize("make", [analytic_weights, symmetric_weights])
def test_the_diagonal_is_one_and_the_coherence_below_the_dictionarys(x64, make):
    params = _double()
    weights = make(params)
    np.testing.assert_allclose(jnp.sum(weights * params.dictionary, axis=0), 1.0, rtol=1e-10)
    off = lambda weights: float(jnp.sum((weights.T @ params.dictionary) ** 2)) - 20
    assert off(weights) < 0.9 * off(params.dictionary)


@pytest.mark.slow
def test_the_largest_coherence_falls_on_the_larger_problem():
    own = float(coherence(PARAMS, PARAMS.dictionary))
    for make in (analytic_weights, symmetric_weights):
        assert float(coherence(PARAMS, make(PARAMS))) < 0.9 * own


def test_no_feasible_change_lowers_the_coherence_program(x64):
    """First-order optimality: the gradient of ‖W̃ᵀW‖² is orthogonal to all changes that keep the diagonal.

    Both programs are convex, so that this is being the minimum.
    """
    params = _double()
    W, random = params.dictionary, np.random.default_rng(1)
    free = W @ W.T @ analytic_weights(params)  # half the gradient; changes of column i are orthogonal to w_i
    along = jnp.sum(free * W, axis=0, keepdims=True) * W
    np.testing.assert_allclose(free, along, atol=1e-9)

    symmetric = symmetric_weights(params)
    product = symmetric.T @ W
    np.testing.assert_allclose(product, product.T, atol=1e-10)
    # changes of M by symmetric D with w_iᵀ D w_i = 0
    basis = [np.outer(a, b) + np.outer(b, a) for a in np.eye(12) for b in np.eye(12)]
    constraints = np.stack([[w @ D @ w for w in np.asarray(W).T] for D in basis], axis=1)
    change = random.normal(size=len(basis))
    change -= np.linalg.pinv(constraints) @ (constraints @ change)
    D = sum(c * d for c, d in zip(change, basis, strict=True))
    assert np.abs(D).max() > 0.1
    np.testing.assert_allclose(np.sum(np.asarray(product) * np.asarray(W.T @ D @ W)), 0.0, atol=1e-9)


@pytest.mark.slow
def test_alista_is_its_python_loop():
    weights = Alista(jnp.array([1.0, 0.9, 0.8]), jnp.array([0.5, 0.3, 0.2]))
    support = jnp.array([0, 3, 6])
    analytic = analytic_weights(PARAMS)
    y = _sparse(1, 0.1)[0][0]
    found = alista(PARAMS, analytic, weights, y, support=support)
    z = jnp.zeros(100)
    for k in range(3):
        moved = z + weights.step_size[k] * (analytic.T @ (y - PARAMS.dictionary @ z))
        z = shrink_but_largest(moved, weights.threshold[k], int(support[k]))
        np.testing.assert_allclose(found.every[k], z, atol=1e-5)
    plain = alista(PARAMS, analytic, weights, y)
    same = lista.coupled(PARAMS, lista.Coupled(analytic, weights.threshold), y)
    one = alista(PARAMS, analytic, weights._replace(step_size=jnp.array(1.0)), y)
    np.testing.assert_allclose(one.every, same.every, atol=1e-5)
    assert not np.allclose(plain.last, found.last, atol=1e-3)


@pytest.mark.slow
def test_untrained_alista_recovers_codes_and_selection_helps():
    y, codes = _sparse(64, 0.04)
    analytic = analytic_weights(PARAMS)
    weights = Alista(jnp.array(1.0), 0.7 * 0.75 ** jnp.arange(20.0))
    plain = jax.vmap(lambda y: alista(PARAMS, analytic, weights, y).last)(y)
    support = growing_support(100, 20, 0.01, 0.08)
    selected = jax.vmap(lambda y: alista(PARAMS, analytic, weights, y, support=support).last)(y)
    ista = lista.init_coupled(PARAMS, 0.1)
    slow = jax.vmap(lambda y: lista.coupled(PARAMS, ista, y, 20).last)(y)
    assert _nmse_db(plain, codes) < _nmse_db(slow, codes) - 10
    assert _nmse_db(selected, codes) < _nmse_db(plain, codes) - 5


@pytest.mark.slow
def test_hyperlista_goes_below_sixty_decibels():
    y, codes = _sparse(64, 0.04)
    prepared = prepare(PARAMS)
    numbers = HyperLista(jnp.array(0.12), jnp.array(0.02), jnp.array(3.0))
    found = jax.jit(jax.vmap(lambda y: hyperlista(prepared, numbers, y, 24).last))(y)
    assert _nmse_db(found, codes) < -60


def test_hyperlista_is_its_formulas(x64):
    """A loop over the layers in NumPy, with a sort in place of our selection."""
    params = _double()
    prepared, W = prepare(params), np.asarray(params.dictionary)
    analytic, inverse = np.asarray(prepared.analytic), np.linalg.pinv(W)
    np.testing.assert_allclose(prepared.inverse, inverse, atol=1e-10)
    code = np.zeros(20)
    code[[2, 11]] = 1.5, -2.0
    y, (c1, c2, c3) = W @ code, (0.3, 0.05, 2.0)
    off = analytic.T @ W
    mu = np.abs(off - np.diag(np.diag(off))).max()
    z, before = np.zeros(20), np.zeros(20)
    found = hyperlista(prepared, HyperLista(*map(jnp.asarray, (c1, c2, c3))), jnp.asarray(y), 8)
    for k in range(8):
        error = np.abs(inverse @ (W @ z - y)).sum()
        count = int(c3 * min(np.log(np.abs(inverse @ y).sum() / error), 20))
        moved = z + analytic.T @ (y - W @ z) + c2 * mu * np.count_nonzero(z) * (z - before)
        threshold = c1 * mu * error
        kept = np.sort(np.abs(moved))[::-1][count - 1] if count else np.inf
        shrunk = np.sign(moved) * np.maximum(np.abs(moved) - threshold, 0)
        passes = (np.abs(moved) >= kept) & (np.abs(moved) > threshold)
        z, before = np.where(passes, moved, shrunk), z
        np.testing.assert_allclose(found.every[k], z, atol=1e-9)
    assert np.count_nonzero(z) > 0


def test_an_observation_of_zero_has_the_code_zero():
    found = hyperlista(prepare(PARAMS), HyperLista(*jnp.array([0.1, 0.01, 3.0])), jnp.zeros(60), 5)
    np.testing.assert_array_equal(found.every, 0.0)


def test_numbers_may_be_searched_by_vmap():
    prepared = prepare(PARAMS)
    y = _sparse(1, 0.04)[0][0]
    grid = HyperLista(jnp.array([0.05, 0.1]), jnp.full(2, 0.01), jnp.full(2, 3.0))
    together = jax.vmap(lambda numbers: hyperlista(prepared, numbers, y, 5).last)(grid)
    for row, threshold in zip(together, grid.threshold, strict=True):
        alone = hyperlista(prepared, HyperLista(threshold, jnp.array(0.01), jnp.array(3.0)), y, 5).last
        np.testing.assert_allclose(row, alone, atol=1e-5)


def test_bad_input_is_refused_by_name():
    analytic = analytic_weights(PARAMS)
    weights = Alista(jnp.array(1.0), jnp.full(3, 0.1))
    zeros = sparse_coding.Params(jnp.zeros((2, 2)))
    for match, call in (
        ("y: got shape", lambda: alista(PARAMS, analytic[1:], weights, jnp.zeros(59))),
        ("analytic: got shape", lambda: alista(PARAMS, analytic[:, 1:], weights, jnp.zeros(60))),
        ("threshold: got 3 layers, wanted 4", lambda: alista(PARAMS, analytic, weights, jnp.zeros(60), 4)),
        ("support: got shape", lambda: alista(PARAMS, analytic, weights, jnp.zeros(60), support=jnp.arange(4))),
        ("column of zeros", lambda: analytic_weights(zeros)),
        ("column of zeros", lambda: prepare(zeros)),
        ("y: got shape", lambda: hyperlista(prepare(PARAMS), HyperLista(*jnp.ones(3)), jnp.zeros(3), 2)),
        ("layers: got None", lambda: hyperlista(prepare(PARAMS), HyperLista(*jnp.ones(3)), jnp.zeros(60))),
    ):
        with pytest.raises(ValueError, match=match):
            call()
