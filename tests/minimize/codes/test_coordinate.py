"""Coordinate descent: scikit-learn's solutions, optimality conditions, certificates, paths, and bad arguments."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, Lasso

from ebmjax.energies import regularizers, sparse_coding
from ebmjax.energies.sparse_coding import Params
from ebmjax.minimize.codes import coordinate, rounds
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT

OBSERVED, ATOMS, SAMPLES = 20, 37, 9  # 37: more than one word of 32 bits, and no multiple of 16


@pytest.fixture
def problem(x64):
    generator = np.random.default_rng(0)
    dictionary = generator.normal(size=(OBSERVED, ATOMS))
    dictionary /= np.linalg.norm(dictionary, axis=0)
    return Params(jnp.asarray(dictionary)), jnp.asarray(generator.normal(size=(SAMPLES, OBSERVED)))


# A regularizer, and the scikit-learn estimator of the same problem, whose energies are divided by the rows.
CASES = {
    "l1": (regularizers.l1(0.3), Lasso(0.3 / OBSERVED, fit_intercept=False, tol=1e-14, max_iter=100_000)),
    "elastic net": (
        regularizers.elastic_net(0.3, 0.4),
        ElasticNet(0.7 / OBSERVED, l1_ratio=0.3 / 0.7, fit_intercept=False, tol=1e-14, max_iter=100_000),
    ),
    "non-negative": (
        regularizers.non_negative(0.3),
        Lasso(0.3 / OBSERVED, fit_intercept=False, tol=1e-14, max_iter=100_000, positive=True),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_energy_is_scikit_learns(problem, name):
    params, data = problem
    regularizer, estimator = CASES[name]
    solution = coordinate.solve_batch(params, regularizer, data, tolerance=1e-10)
    assert (solution.result == CONVERGED).all()
    energies = jax.vmap(partial(sparse_coding.energy, params, regularizer))
    truth = energies(data, jnp.stack([jnp.asarray(estimator.fit(params.dictionary, y).coef_) for y in data]))
    np.testing.assert_allclose(solution.energy, truth, rtol=1e-9)
    np.testing.assert_allclose(energies(data, solution.value), solution.energy, rtol=1e-10)


@pytest.mark.slow
def test_the_optimality_conditions_hold(problem):
    params, data = problem
    solution = coordinate.solve_batch(params, regularizers.l1(0.3), data, tolerance=1e-12)
    slope = (data - solution.value @ params.dictionary.T) @ params.dictionary
    support = solution.value != 0
    np.testing.assert_allclose(slope[support], 0.3 * jnp.sign(solution.value[support]), atol=1e-7)
    assert (jnp.abs(slope[~support]) <= 0.3 + 1e-7).all()
    assert 0 < support.mean() < 0.7


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("tolerance", [0.3, 1e-2, 1e-4])
def test_the_gap_is_a_certificate(problem, name, tolerance):
    params, data = problem
    regularizer, _ = CASES[name]
    least = coordinate.solve_batch(params, regularizer, data, tolerance=1e-13).energy
    solution = coordinate.solve_batch(params, regularizer, data, tolerance=tolerance)
    assert (solution.energy - least <= solution.gap + 1e-12).all()
    assert (solution.gap <= tolerance * solution.energy).all()
    # every search needs at least one round
    assert (solution.steps >= 1).all()


@pytest.mark.slow
def test_one_by_one_together_and_in_chunks_are_the_same(problem):
    params, data = problem
    regularizer = regularizers.l1(0.3)
    solve = partial(coordinate.coordinate_descent, params, regularizer, tolerance=1e-6)
    single = [solve(y) for y in data]
    whole = coordinate.solve_batch(params, regularizer, data, tolerance=1e-6)
    for other in (
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *single),
        jax.vmap(solve)(data),
        coordinate.solve_batch(params, regularizer, data, tolerance=1e-6, chunk=4),
        coordinate.solve_batch(params, regularizer, data, tolerance=1e-6, chunk=3),
    ):
        np.testing.assert_allclose(other.value, whole.value, atol=1e-12)
        np.testing.assert_array_equal(other.steps, whole.steps)


@pytest.mark.slow
def test_a_large_weight_gives_zeros(problem):
    params, data = problem
    weight = jax.vmap(partial(sparse_coding.largest_weight, params))(data).max()
    solution = coordinate.solve_batch(params, regularizers.l1(weight), data)
    assert (solution.value == 0).all()
    assert (solution.result == CONVERGED).all()
    assert (coordinate.solve_batch(params, regularizers.l1(0.99 * weight), data).value != 0).any()


@pytest.mark.slow
def test_a_start_is_used_and_does_not_change_the_end(problem):
    params, data = problem
    regularizer = regularizers.l1(0.3)
    cold = coordinate.solve_batch(params, regularizer, data, tolerance=1e-9)
    warm = coordinate.solve_batch(params, regularizer, data, cold.value, tolerance=1e-9)
    assert (warm.steps == 0).all()
    elsewhere = coordinate.solve_batch(params, regularizer, data, -cold.value, tolerance=1e-9)
    np.testing.assert_allclose(elsewhere.energy, cold.energy, rtol=1e-8)


@pytest.mark.slow
def test_a_path_is_the_codes_of_its_weights_in_one_call(problem):
    params, data = problem
    weights = jnp.geomspace(1.0, 0.05, 6)
    path = lambda y: coordinate.path(params, regularizers.l1, y, weights, tolerance=1e-9)
    paths = jax.jit(jax.vmap(path))(data)
    together = jax.vmap(
        lambda weight: coordinate.solve_batch(params, regularizers.l1(weight), data, tolerance=1e-9), out_axes=1
    )(weights)
    np.testing.assert_allclose(paths.energy, together.energy, rtol=1e-8)
    warm, cold = paths.steps[:, 1:].sum(), together.steps[:, 1:].sum()
    assert warm < cold


@pytest.mark.slow
def test_outer_gradients_see_a_constant(problem):
    params, data = problem

    def least(params, weight, data):
        regularizer = regularizers.l1(weight)
        codes = coordinate.solve_batch(params, regularizer, data, tolerance=1e-12).value
        return jax.vmap(partial(sparse_coding.energy, params, regularizer))(data, codes).sum()

    slopes = jax.grad(least, (0, 1))(params, 0.3, data)
    codes = coordinate.solve_batch(params, regularizers.l1(0.3), data, tolerance=1e-12).value
    # Danskin's theorem
    np.testing.assert_allclose(slopes[1], jnp.abs(codes).sum(), rtol=1e-6)
    change = jnp.zeros_like(params.dictionary).at[0, 1].set(1e-6)
    difference = [least(Params(params.dictionary + sign * change), 0.3, data) for sign in (1, -1)]
    np.testing.assert_allclose(slopes[0].dictionary[0, 1], (difference[0] - difference[1]) / 2e-6, rtol=1e-4)


@pytest.mark.slow
def test_columns_of_any_length(x64):
    params = Params(jnp.array([[2.0, 0.0, 0.0], [0.0, 0.5, 0.0]]))
    solve = partial(coordinate.coordinate_descent, regularizer=regularizers.l1(0.1), tolerance=1e-10)
    solution = jax.jit(solve)(params, y=jnp.array([1.0, 1.0]))
    # min ½(1 - a z)² + λ|z| is at (a - λ)/a², and the code of an atom of zeros stays zero
    np.testing.assert_allclose(solution.value, [(2 - 0.1) / 4, (0.5 - 0.1) / 0.25, 0.0], rtol=1e-9)


@pytest.mark.slow
def test_limits_and_bad_numbers_are_told():
    params = sparse_coding.init(jax.random.key(0), 20, 40)
    data = jax.random.normal(jax.random.key(1), (3, 20)).at[1, 2].set(jnp.nan)
    solution = coordinate.solve_batch(params, regularizers.l1(0.01), data, max_steps=1, tolerance=1e-6)
    assert solution.result.tolist() == [STEP_LIMIT, DIVERGED, STEP_LIMIT]
    assert (solution.gap[jnp.array([0, 2])] > 0).all()
    # with a tolerance below rounding the search ends too
    data = data[jnp.array([0, 2])]
    solution = coordinate.solve_batch(params, regularizers.l1(0.01), data, max_steps=30, tolerance=0.0)
    assert (solution.steps <= 30).all()
    least = coordinate.solve_batch(params, regularizers.l1(0.01), data).energy
    assert (solution.energy <= least * (1 + 1e-5)).all()


def test_bad_arguments_are_named():
    params, y = Params(jnp.eye(3)), jnp.ones(3)
    regularizer = regularizers.l1(0.1)
    for column in (0.0, jnp.nan):
        with pytest.raises(ValueError, match="dictionary: got a column"):
            coordinate.solve_batch(Params(params.dictionary.at[:, 1].set(column)), regularizer, y[None])
    with pytest.raises(ValueError, match="weight: got -1"):
        regularizers.l1(-1.0)
    with pytest.raises(ValueError, match="max_steps: got 0"):
        coordinate.coordinate_descent(params, regularizer, y, max_steps=0)
    with pytest.raises(ValueError, match="tolerance: got -1"):
        coordinate.solve_batch(params, regularizer, y[None], tolerance=-1.0)
    with pytest.raises(ValueError, match="y: got shape"):
        coordinate.coordinate_descent(params, regularizer, jnp.ones(4))
    with pytest.raises(ValueError, match="start: got shape"):
        coordinate.coordinate_descent(params, regularizer, y, jnp.ones(4))
    with pytest.raises(ValueError, match="data: got shape"):
        coordinate.solve_batch(params, regularizer, jnp.ones((2, 4)))
    with pytest.raises(ValueError, match="chunk: got 0"):
        coordinate.solve_batch(params, regularizer, y[None], chunk=0)
    with pytest.raises(ValueError, match="regularizer"):
        coordinate.coordinate_descent(Params(jnp.eye(4)), regularizers.group(0.1, 2), jnp.ones(4))


@pytest.mark.slow
def test_the_list_of_what_is_set():
    generator = np.random.default_rng(0)
    for size in (1, 31, 32, 33, 64, 100):
        for density in (0.0, 0.1, 0.9, 1.0):
            mask = generator.random(size) < density
            listed, count = rounds._listed(jnp.asarray(mask))
            assert np.asarray(listed)[: int(count)].tolist() == np.flatnonzero(mask).tolist()
