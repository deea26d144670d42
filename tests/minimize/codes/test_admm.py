"""ADMM beyond the tests of every solver in `test_proximal.py`: its penalty, its start, nearly parallel atoms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import elastic_net, group, l1
from ebmjax.energies.sparse_coding import Params
from ebmjax.minimize.codes.admm import admm
from ebmjax.minimize.codes.proximal import fista_restarted
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT
from tests.programs import equations


def problem(observed, atoms):
    random = np.random.default_rng(0)
    dictionary = random.normal(size=(observed, atoms))
    dictionary /= np.linalg.norm(dictionary, axis=0)
    return Params(jnp.asarray(dictionary)), jnp.asarray(dictionary[:, :4] @ [1.0, -2.0, 1.5, 0.5])


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(12, 20), (20, 12)])
def test_every_penalty_leads_to_the_same_code(x64, shape):
    """Wide and tall dictionaries: both forms of the inverse."""
    params, y = problem(*shape)
    solve = jax.jit(lambda penalty: admm(params, l1(0.3), y, penalty=penalty, max_steps=20_000, tolerance=1e-10))
    runs = [solve(penalty) for penalty in (0.1, 1.0, 10.0)]
    for run in runs:
        assert int(run.result) == CONVERGED
        np.testing.assert_allclose(run.energy, runs[0].energy, rtol=3e-10)
        np.testing.assert_allclose(run.value, runs[0].value, atol=1e-4)
    slope = params.dictionary.T @ (params.dictionary @ runs[1].value - y)
    assert float(jnp.abs(slope).max()) <= 0.3 + 1e-5
    assert len({int(run.steps) for run in runs}) > 1


@pytest.mark.slow
def test_few_steps_where_atoms_are_alike(x64):
    """All atoms near one direction: L is large, most curvatures are small, and gradient steps make little progress."""
    random = np.random.default_rng(0)
    dictionary = 1 + 0.1 * random.normal(size=(40, 30))
    params = Params(jnp.asarray(dictionary / np.linalg.norm(dictionary, axis=0)))
    y = params.dictionary[:, 0] - 0.5 * params.dictionary[:, 1]
    bound = sparse_coding.lipschitz(params)
    smooth = lambda z: sparse_coding.misfit(params, y, z)
    ours = jax.jit(lambda y: admm(params, l1(1e-3), y, penalty=0.01, tolerance=1e-4))(y)
    crawling = jax.jit(lambda z: fista_restarted(smooth, l1(1e-3), z, bound, max_steps=20_000))(jnp.zeros(30))
    assert int(ours.result) == int(crawling.result) == CONVERGED
    np.testing.assert_allclose(ours.energy, crawling.energy, rtol=2e-4)
    assert 2 * int(ours.steps) < int(crawling.steps)


def test_a_tolerance_that_rounding_forbids_ends_at_the_limit():
    params, y = problem(12, 20)
    solution = jax.jit(lambda y: admm(params, elastic_net(0.3, 0.1), y, max_steps=200, tolerance=0.0))(y)
    assert int(solution.result) == STEP_LIMIT
    assert float(solution.gap) < 1e-4 * float(solution.energy)


def test_what_is_not_finite_diverges():
    params, y = problem(12, 20)
    solution = jax.jit(lambda y: admm(params, l1(0.3), y))(y * jnp.nan)
    assert int(solution.result) == DIVERGED
    assert float(solution.gap) == float("inf")


@pytest.mark.slow
def test_one_factor_serves_a_whole_batch(x64):
    params, y = problem(12, 20)
    ys = jnp.stack([y, 2 * y, y[::-1]])
    solve = lambda y: admm(params, group(0.3, 2), y, tolerance=1e-9)
    together = jax.jit(jax.vmap(solve))(ys)
    for i in range(3):
        np.testing.assert_allclose(together.energy[i], jax.jit(solve)(ys[i]).energy, rtol=2e-9)
    factors = lambda solve, y: [
        each.outvars[0].aval.shape for each in equations(solve, y) if each.primitive.name == "cholesky"
    ]
    assert factors(jax.vmap(solve), ys) == factors(solve, y) == [(12, 12)]  # none for each observation


def test_bad_arguments_are_named():
    params, y = problem(12, 20)
    for run, message in (
        (lambda: admm(Params(params.dictionary.at[:, 3].set(0.0)), l1(0.1), y), r"dictionary: .* zeros \(3\)"),
        (lambda: admm(Params(params.dictionary.at[0, 2].set(jnp.nan)), l1(0.1), y), r"dictionary: .* nan \(2\)"),
        (lambda: admm(params, l1(0.1), y[:3]), r"y: got shape \(3,\)"),
        (lambda: admm(params, l1(0.1), y, start=jnp.zeros(3)), r"start: got shape \(3,\)"),
        (lambda: admm(params, l1(0.1), y, penalty=0.0), "penalty: got 0"),
        (lambda: admm(params, l1(0.1), y, max_steps=0), "max_steps: got 0"),
        (lambda: admm(params, l1(0.1), y, tolerance=-1.0), "tolerance: got -1"),
        (lambda: admm(params, group(0.1, 3), y), "size: got 3, wanted a divisor of 20"),
    ):
        with pytest.raises(ValueError, match=message):
            run()
