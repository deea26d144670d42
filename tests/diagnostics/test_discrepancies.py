"""Discrepancies against their formulas in NumPy, pair by pair, and against integrals that are known."""

import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.checks import ArgumentError
from ebmjax.diagnostics import kernel_stein_discrepancy, maximum_mean_discrepancy

BETA = 0.7
DRAWS = np.random.default_rng(0).normal(size=(8, 50, 3)) / np.sqrt(BETA)
"""400 draws of exp(-beta |x|²/2), as chains and steps."""
OTHER = np.random.default_rng(1).normal(size=(300, 3)) / np.sqrt(BETA) + 0.2


def stein_matrix(x, s, length, power=-0.5):
    """All pairs, by the derivatives of k = u^power with u = 1 + ‖x - y‖²/ℓ²; scores in the unit 1/ℓ."""
    r = (x[:, None] - x[None]) / length
    s = s * length
    square = np.sum(r**2, axis=-1)
    u = 1 + square
    slope = 2 * power * u ** (power - 1)
    by_x = slope[..., None] * r
    second = -slope * x.shape[-1] - 4 * power * (power - 1) * u ** (power - 2) * square
    terms = u**power * (s @ s.T) - np.einsum("id,ijd->ij", s, by_x) + np.einsum("jd,ijd->ij", s, by_x) + second
    return terms


def off_diagonal(matrix):
    return (matrix.sum() - np.trace(matrix)) / (len(matrix) * (len(matrix) - 1))


def pairwise(x):
    distances = np.linalg.norm(x[:, None] - x[None], axis=-1)
    return distances[np.triu_indices(len(x), 1)]


def test_stein_is_the_mean_over_all_pairs():
    """Float32, chunks that do not divide the number of draws, the median length; another unit gives the same."""
    flat = DRAWS.reshape(-1, 3)
    length = np.median(pairwise(flat))
    matrix = stein_matrix(flat, -BETA * flat, length)
    for unit in (1.0, 1e-9):
        found = kernel_stein_discrepancy(DRAWS * unit, -BETA * DRAWS / unit, chunk=64)
        np.testing.assert_allclose(found.length, length * unit, rtol=1e-5)
        np.testing.assert_allclose(found.v_statistic, matrix.mean(), rtol=1e-3)
        np.testing.assert_allclose(found.u_statistic, off_diagonal(matrix), atol=1e-3 * matrix.mean())
        np.testing.assert_allclose(found.value, np.sqrt(found.v_statistic), rtol=1e-6)


def test_stein_of_a_normal_law_of_another_temperature():
    """Draws at beta = 1 and scores at 0.5 in one dimension: the expectation is a quadrature over both draws.

    The error of a U-statistic is about 2 sd(row means) / √N; 5 of them, a false alarm in 2 million. The right scores
    have the expectation 0.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    draws = np.random.default_rng(2).normal(size=(1000, 1))
    for beta in (0.5, 1.0):
        exact = weights @ stein_matrix(nodes[:, None], -beta * nodes[:, None], 1.5) @ weights
        found = kernel_stein_discrepancy(draws, -beta * draws, 1.5, chunk=64)
        rows = stein_matrix(draws, -beta * draws, 1.5).mean(axis=1)
        error = 2 * rows.std() / np.sqrt(len(rows)) + 2 / len(rows)
        assert abs(found.u_statistic - exact) < 5 * error
        assert (exact > 0.01) == (beta == 0.5)
        assert abs(exact) > 5 * error or beta == 1.0


def test_mean_discrepancy_is_the_mean_over_all_pairs():
    """Float32; and the median length of both sets together."""
    x, y = DRAWS.reshape(-1, 3), OTHER
    length = np.median(pairwise(np.concatenate([x, y])))
    kernel = lambda a, b: np.exp(-np.sum((a[:, None] - b[None]) ** 2, axis=-1) / (2 * length**2))
    both = kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean()
    unbiased = off_diagonal(kernel(x, x)) + off_diagonal(kernel(y, y)) - 2 * kernel(x, y).mean()
    found = maximum_mean_discrepancy(DRAWS, OTHER, chunk=64)
    np.testing.assert_allclose(found.length, length, rtol=1e-5)
    np.testing.assert_allclose(found.v_statistic, both, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.u_statistic, unbiased, rtol=1e-3, atol=1e-6)


def test_mean_discrepancy_of_two_normal_laws():
    """E k(x, y) of normal laws of variance v whose means are m apart is (ℓ²/(ℓ² + 2v))^(d/2) exp(-m²/(2(ℓ² + 2v))).

    The error of the U-statistic is that of row means, as above; 5 of them.
    """
    length, variance, apart = 1.3, 1 / BETA, np.sqrt(3) * 0.2
    wide = length**2 + 2 * variance
    exact = 2 * (length**2 / wide) ** 1.5 * (1 - np.exp(-(apart**2) / (2 * wide)))
    found = maximum_mean_discrepancy(DRAWS, OTHER, length, chunk=64)
    x, y = DRAWS.reshape(-1, 3), OTHER
    kernel = lambda a, b: np.exp(-np.sum((a[:, None] - b[None]) ** 2, axis=-1) / (2 * length**2)).mean(axis=1)
    errors = [2 * (kernel(a, a) - kernel(a, b)).std() / np.sqrt(len(a)) for a, b in ((x, y), (y, x))]
    assert abs(found.u_statistic - exact) < 5 * np.hypot(*errors)


@pytest.mark.slow
@pytest.mark.optimized
def test_many_draws_in_bounded_memory():
    """20,000 draws: the matrix of all pairs would take 1.6 GB. Equal sets have a distance of 0."""
    draws = np.random.default_rng(3).normal(size=(20_000, 2))
    found = kernel_stein_discrepancy(draws, -draws, chunk=200)
    assert abs(found.u_statistic) < 1e-3
    same = maximum_mean_discrepancy(draws, draws, chunk=200)
    assert same.value < 1e-3


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("draws: got shape \\(5,\\)", lambda: kernel_stein_discrepancy(jnp.ones(5), jnp.ones(5))),
        ("draws: .* at least 2 draws", lambda: kernel_stein_discrepancy(jnp.ones((1, 5)), jnp.ones((1, 5)))),
        ("scores", lambda: kernel_stein_discrepancy(jnp.ones((5, 2)), jnp.ones((5, 3)))),
        ("length", lambda: kernel_stein_discrepancy(jnp.ones((5, 2)), jnp.ones((5, 2)), 0.0)),
        ("chunk", lambda: kernel_stein_discrepancy(jnp.ones((5, 2)), jnp.ones((5, 2)), chunk=0)),
        ("other: got 3 dimensions", lambda: maximum_mean_discrepancy(jnp.ones((5, 2)), jnp.ones((5, 3)))),
    ],
)
def test_bad_input_is_refused_by_name(name, call):
    with pytest.raises(ArgumentError, match=name):
        call()
