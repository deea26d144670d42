"""One signature for every search of a code: all solvers find the same code through it, alone and in a batch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import l1
from ebmjax.minimize.codes import find_code, proximal
from ebmjax.minimize.codes.admm import admm
from ebmjax.minimize.codes.convolutional import convolutional_admm
from ebmjax.minimize.codes.coordinate import coordinate_descent, solve_batch
from ebmjax.types import CONVERGED

EXACT = {"max_steps": 5000, "tolerance": 1e-9}
DENSE = {
    "coordinate descent": partial(coordinate_descent, **EXACT),
    "ADMM": partial(admm, **EXACT),
    "FISTA": find_code.by_proximal(partial(proximal.fista_restarted, **EXACT)),
    "backtracking": find_code.by_proximal(partial(proximal.backtracking, **EXACT)),
}


def problem():
    random = np.random.default_rng(0)
    dictionary = random.normal(size=(8, 12))
    params = sparse_coding.Params(jnp.asarray(dictionary / np.linalg.norm(dictionary, axis=0)))
    return params, jnp.asarray(random.normal(size=(3, 8)))


@pytest.mark.slow
@pytest.mark.parametrize("name", DENSE)
def test_every_solver_finds_the_code_of_the_batch(x64, name):
    params, data = problem()
    regularizer = l1(0.3)
    wanted = solve_batch(params, regularizer, data, None, **EXACT)
    assert isinstance(DENSE[name], find_code.FindCode)
    together = jax.jit(lambda data: find_code.each(DENSE[name])(params, regularizer, data, None))(data)
    assert (together.result == CONVERGED).all()
    np.testing.assert_allclose(together.energy, wanted.energy, rtol=1e-8)
    again = jax.jit(lambda start: find_code.each(DENSE[name])(params, regularizer, data, start))(wanted.value)
    assert (again.steps != together.steps).any(), "the start was not used"


@pytest.mark.slow
@pytest.mark.parametrize("reconstruction", [coding.periodic, coding.valid])
def test_maps_by_a_proximal_solver(x64, reconstruction):
    params = coding.init(jax.random.key(0), 2, (3, 3))
    y = jax.random.normal(jax.random.key(1), (6, 7))
    term = partial(find_code.convolutional_term, reconstruction=reconstruction)
    find = find_code.by_proximal(partial(proximal.fista_restarted, **EXACT), term)
    solution = jax.jit(lambda y: find(params, l1(0.2), y, None))(y)
    assert solution.result == CONVERGED
    assert solution.value.shape == coding.zeros(params, y, reconstruction).shape
    np.testing.assert_allclose(
        solution.energy, coding.energy(params, l1(0.2), y, solution.value, reconstruction), rtol=1e-12
    )
    if reconstruction is coding.periodic:
        other = jax.jit(partial(convolutional_admm, params, l1(0.2), max_steps=2000, tolerance=1e-9))(y)
        np.testing.assert_allclose(solution.energy, other.energy, rtol=1e-7)


def test_bad_input_is_named():
    params, data = problem()
    with pytest.raises(ValueError, match="y: got shape"):
        DENSE["FISTA"](params, l1(0.3), data[0, 1:], None)
    with pytest.raises(ValueError, match="y: got shape"):
        find_code.convolutional_term(coding.Params(jnp.ones((1, 3, 3))), jnp.ones((2, 5)))
