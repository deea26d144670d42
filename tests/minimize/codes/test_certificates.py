"""A contract over all solvers of codes, in float32: what is certified is true in any unit, of any size and weight.

Energies are compared in float64 with the best code that is known, which bounds the least energy from above.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import elastic_net, group, l1, non_negative
from ebmjax.energies.sparse_coding import Params
from ebmjax.minimize.codes import proximal
from ebmjax.minimize.codes.admm import admm
from ebmjax.minimize.codes.convolutional import convolutional_admm
from ebmjax.minimize.codes.coordinate import coordinate_descent, path, solve_batch
from ebmjax.minimize.codes.find_code import by_proximal, each
from ebmjax.types import CONVERGED, STEP_LIMIT

SOLVERS = {
    "coordinate_descent": each(partial(coordinate_descent, max_steps=30, tolerance=1e-3)),
    "solve_batch": partial(solve_batch, max_steps=60, tolerance=1e-3),
    "admm": each(partial(admm, penalty=0.3, tolerance=1e-3)),
    "admm, tiny penalty": each(partial(admm, penalty=1e-4, tolerance=1e-3)),
    **{
        name: each(by_proximal(partial(getattr(proximal, name), tolerance=1e-3)))
        for name in ("ista", "fista", "fista_restarted", "backtracking")
    },
}
SHAPES = {"wide": (20, 40), "tall": (40, 20), "alike": (30, 40)}
WEIGHTS = (2.0**-2, 2.0**-7, 2.0**-13, 2.0**-20)
UNITS = (2.0**-70, 2.0**-40, 1.0, 2.0**30)


def problem(name, noise):
    """A dictionary and six observations that are sums of three atoms, with noise."""
    random = np.random.default_rng(3)
    observed, atoms = SHAPES[name]
    dictionary = random.normal(size=(observed, atoms)) + (1.0 if name == "alike" else 0.0)
    dictionary = (dictionary / np.linalg.norm(dictionary, axis=0)).astype(np.float32)
    codes = random.normal(size=(6, atoms)) * (np.argsort(random.random((6, atoms))) < 3)
    data = codes @ dictionary.T + noise * random.normal(size=(6, observed))
    return dictionary, data.astype(np.float32)


def energies(dictionary, data, codes, weight):
    """½‖y - Wz‖² + λ‖z‖₁ in float64."""
    dictionary, data, codes = (np.asarray(array, np.float64) for array in (dictionary, data, codes))
    return np.square(data - codes @ dictionary.T).sum(axis=1) / 2 + weight * np.abs(codes).sum(axis=1)


solve_long = jax.jit(lambda W, weight, y: solve_batch(Params(W), l1(weight), y, max_steps=60, tolerance=1e-9).value)


@cache
def best_known(name, noise, weight):
    """The energies of codes of a `problem` that were found in float64."""
    dictionary, data = problem(name, noise)
    with jax.enable_x64(True):
        codes = solve_long(*(jnp.asarray(x, jnp.float64) for x in (dictionary, weight, data)))
        return energies(dictionary, data, codes, weight)


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_certified_is_true(name, shape):
    solve = jax.jit(lambda W, weight, y: SOLVERS[name](Params(W), l1(weight), y, None))
    for noise in (0.0, 0.03):
        dictionary, data = problem(shape, noise)
        for weight in WEIGHTS:
            truth = best_known(shape, noise, weight)
            for unit in UNITS:
                solution = jax.device_get(solve(dictionary, np.float32(weight * unit), data * np.float32(unit)))
                ours = energies(dictionary, data, np.asarray(solution.value, np.float64) / unit, weight)
                gap = np.asarray(solution.gap, np.float64) / unit**2
                assert (gap >= 0).all()
                assert (ours - truth <= gap).all(), (noise, weight, unit)
                sure = solution.result == CONVERGED
                if unit > 1e-15:  # smaller energies underflow
                    reported = np.asarray(solution.energy, np.float64) / unit**2
                    np.testing.assert_allclose(reported[sure], ours[sure], rtol=1e-6)
                    assert (reported[sure] - truth[sure] <= gap[sure]).all()
                    assert (gap[sure] <= 1.01e-3 * reported[sure]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", SOLVERS)
def test_codes_have_the_unit_of_their_data(name):
    dictionary, data = problem("wide", 0.1)
    solve = jax.jit(lambda weight, y: SOLVERS[name](Params(jnp.asarray(dictionary)), l1(weight), y, None))
    codes = {unit: np.asarray(solve(np.float32(0.1 * unit), data * np.float32(unit)).value) for unit in UNITS}
    for unit in UNITS:
        scale = energies(dictionary, data, codes[1.0], 0.1)
        np.testing.assert_allclose(energies(dictionary, data, codes[unit] / unit, 0.1), scale, rtol=2e-3)
    if "admm" not in name:
        assert (solve(np.float32(0.1), data).result == CONVERGED).all()


@pytest.mark.slow
@pytest.mark.parametrize("regularizer", [l1, lambda weight: elastic_net(weight, 0.2), non_negative])
@pytest.mark.parametrize("solver", ["coordinate_descent", "solve_batch", "admm"])
def test_every_regularizer_has_the_unit_of_its_data(solver, regularizer):
    """A ridge is in units of energy over the code squared, which do not change with the unit of the data."""
    dictionary, data = problem("tall", 0.1)
    solve = jax.jit(lambda weight, y: SOLVERS[solver](Params(jnp.asarray(dictionary)), regularizer(weight), y, None))
    plain, small = (solve(np.float32(0.1 * unit), data * np.float32(unit)) for unit in (1.0, 2.0**-60))
    np.testing.assert_allclose(small.value * np.float32(2.0**60), plain.value, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(small.steps, plain.steps)


@pytest.mark.slow
def test_groups_have_the_unit_of_their_data():
    dictionary, data = problem("wide", 0.1)
    solve = lambda unit: admm(Params(dictionary), group(np.float32(0.2 * unit), 2), data[0] * np.float32(unit))
    np.testing.assert_allclose(solve(2.0**-70).value * np.float32(2.0**70), solve(1.0).value, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_atoms_of_any_length():
    """W and z in other units: the code is divided by what the atoms are multiplied by."""
    dictionary, data = problem("tall", 0.1)
    for scale in (2.0**-50, 2.0**30):
        params = Params(dictionary * np.float32(scale))
        for solve in (solve_batch, each(partial(admm, penalty=0.3 * scale**2, tolerance=1e-3))):
            ours = solve(params, l1(np.float32(0.1 * scale)), data, None)
            plain = (solve_batch if solve is solve_batch else SOLVERS["admm"])(Params(dictionary), l1(0.1), data, None)
            np.testing.assert_allclose(ours.value * np.float32(scale), plain.value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_pictures_in_any_unit():
    params, y = coding.init(jax.random.key(0), 3, (3, 3)), jax.random.normal(jax.random.key(1), (12, 12))
    plain = convolutional_admm(params, l1(0.2), y)
    for unit in (2.0**-70, 2.0**-40, 2.0**30):
        unit = np.float32(unit)
        ours = convolutional_admm(params, l1(np.float32(0.2) * unit), y * unit)
        assert int(ours.result) == int(plain.result) == CONVERGED
        np.testing.assert_allclose(ours.value / unit, plain.value, rtol=1e-4, atol=1e-6)
    assert float(plain.gap) > 0


@pytest.mark.slow
def test_pictures_of_bytes_and_integers_are_numbers():
    dictionary, _ = problem("wide", 0.0)
    data = np.random.default_rng(0).integers(0, 256, (3, 20))
    truth = jax.device_get(solve_batch(Params(dictionary), l1(100.0), data.astype(np.float32)))
    for dtype in (np.uint8, np.int16, np.int32, np.float64):
        ours = jax.device_get(solve_batch(Params(dictionary), l1(100), jnp.asarray(data.astype(dtype))))
        jax.tree.map(np.testing.assert_array_equal, ours, truth)
    whole = Params(jnp.eye(3, dtype=jnp.int32))
    for solution in (
        coordinate_descent(whole, l1(0.5), jnp.array([2, 0, 1])),
        admm(whole, l1(0.5), jnp.array([2, 0, 1])),
        by_proximal(proximal.fista)(whole, l1(0.5), jnp.array([2, 0, 1]), jnp.zeros(3, jnp.int32)),
    ):
        np.testing.assert_allclose(solution.value, [1.5, 0, 0.5], atol=1e-3)
    ways = path(whole, l1, jnp.array([2, 0, 1]), jnp.array([1, 0]), tolerance=1e-5)
    np.testing.assert_allclose(ways.value, [[1, 0, 0], [2, 0, 1]], atol=1e-5)


@pytest.mark.slow
def test_a_start_where_the_regularizer_is_infinite_is_projected():
    params, y = Params(jnp.array([[1.0, 0.0, 0.6], [0.0, 1.0, 0.8]])), jnp.array([1.5, 2.0])
    start = jnp.array([0.5, -1e-6, 0.5])
    finders = (
        coordinate_descent,
        admm,
        *(by_proximal(getattr(proximal, name)) for name in ("ista", "fista", "fista_restarted", "backtracking")),
    )
    for find in finders:
        solution = find(params, non_negative(0.1), y, start)
        assert int(solution.result) == CONVERGED
        np.testing.assert_allclose(solution.energy, 0.245, rtol=1e-3)
    kernels, picture = coding.init(jax.random.key(0), 3, (3, 3)), jnp.abs(jax.random.normal(jax.random.key(1), (8, 8)))
    solution = convolutional_admm(kernels, non_negative(0.1), picture, -1e-6 * jnp.ones((3, 8, 8)))
    assert int(solution.result) == CONVERGED


def test_an_energy_that_underflows_is_not_certified_where_the_solver_cannot_rescale_it():
    params, y = Params(jnp.eye(2)), jnp.array([2e-21, 1e-21])
    solution = proximal.fista(partial(sparse_coding.misfit, params, y), l1(5e-22), jnp.zeros(2), 1.0, max_steps=20)
    np.testing.assert_allclose(solution.value, [1.5e-21, 0.5e-21], rtol=1e-5)
    assert int(solution.result) == STEP_LIMIT
    assert float(solution.gap) > 0
