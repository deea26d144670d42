"""MBAR against pymbar's recorded answers, the solution in both precisions, and states that are no ladder."""

import json
from functools import partial
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.marginalize.reweighting import bar, mbar, mixture, solve
from ebmjax.marginalize.reweighting.draws import as_draws
from ebmjax.types import CONVERGED, DIVERGED, NO_OVERLAP
from tests import oscillators

PYMBAR = json.loads(Path(__file__).with_name("pymbar_answers.json").read_text())
BETAS = np.geomspace(1.0, 8.0, 7)


def rows(parts):
    """Lists of unequal lengths as one array, filled up with NaN, and their lengths."""
    counts = [len(part) for part in parts]
    filled = np.full((len(parts), max(counts)), np.nan)
    for row, part in zip(filled, parts, strict=True):
        row[: len(part)] = part
    return filled, counts


@pytest.mark.slow
def test_pymbars_ladder(x64):
    case = PYMBAR["ladder"]
    energies, counts = rows(case["energies"])
    estimate = mbar.mbar(np.array(case["betas"]), energies, counts)
    np.testing.assert_allclose(-estimate.log_partition, case["free_energies"], atol=1e-6)
    np.testing.assert_allclose(estimate.standard_error, case["errors"][0], rtol=1e-2, atol=1e-9)
    mixed = mixture.mixture(np.array(case["betas"]), energies, counts)
    C = np.asarray(mixture.covariance(mixed, case["betas"]))
    variances = np.diagonal(C)[:, None] + np.diagonal(C)[None] - 2 * C
    np.testing.assert_allclose(np.sqrt(np.maximum(variances, 0)), case["errors"], rtol=1e-2, atol=1e-6)
    at = mixture.at(mixed, case["beta"])
    np.testing.assert_allclose(at.mean_energy, case["mean_energy"], atol=1e-6)
    np.testing.assert_allclose(at.mean_energy_error, case["mean_energy_error"], rtol=1e-2)


def reduced_of(case):
    centres, stiffness = np.array(case["centres"]), np.array(case["stiffness"])
    x = np.concatenate(case["x"])
    return stiffness[:, None] / 2 * (x[None] - centres[:, None]) ** 2


@pytest.mark.slow
def test_pymbars_states_that_are_no_ladder(x64):
    case = PYMBAR["states"]
    estimate = mbar.mbar_of_states(reduced_of(case), [60, 60, 60])
    np.testing.assert_allclose(-estimate.log_partition, case["free_energies"], atol=1e-6)
    np.testing.assert_allclose(estimate.standard_error, case["errors"][0], rtol=1e-2, atol=1e-9)
    # 1000 kT more for one state, and for one draw under all states
    u = reduced_of(case)
    u[1] += 1000
    u[:, 7] -= 50
    moved = mbar.mbar_of_states(u, [60, 60, 60], None, 2.5)
    np.testing.assert_allclose(
        moved.log_partition, estimate.log_partition + 2.5 - np.array([0.0, 1000.0, 0.0]), atol=1e-9
    )


@pytest.mark.slow
def test_float32_is_the_solution_to_a_hundredth_of_the_error(x64):
    """Seven states whose reduced energies reach 10⁴."""
    energies = np.asarray(oscillators.draws(jax.random.key(0), jnp.asarray(BETAS), 1000, 30)) + 1000
    double = mbar.mbar(BETAS, energies)
    # as far from zero the draws themselves would have few digits in float32
    narrow = mbar.mbar(BETAS.astype(np.float32), jnp.asarray(energies, jnp.float32))
    assert narrow.log_partition.dtype == jnp.float32
    away = np.asarray(double.log_partition - narrow.log_partition.astype(float))
    assert np.all(np.abs(away) <= 0.01 * np.asarray(double.standard_error) + 1e-6 * np.abs(double.log_partition))
    np.testing.assert_allclose(narrow.standard_error, double.standard_error, rtol=5e-3)
    assert np.all(double.result == CONVERGED)
    assert np.all(narrow.result == CONVERGED)


@pytest.mark.slow
def test_the_equations_hold_whatever_the_start(x64):
    """From starts that are hundreds of nats off, the line search leads to the same solution."""
    draws = as_draws(BETAS, oscillators.draws(jax.random.key(1), jnp.asarray(BETAS), 200, 10), None, None)
    reduced = draws.betas[:, None] * draws.energies.reshape(1, -1)
    run = jax.jit(lambda start: solve.solve(reduced, draws.measure.reshape(-1), draws.numbers, start))
    first = run(jnp.zeros(7))
    for seed in range(10):
        other = run(jnp.asarray(np.random.default_rng(seed).normal(size=7) * 300))
        assert bool(other.finished)
        np.testing.assert_allclose(other.log_partition, first.log_partition, atol=1e-9)
    sums = first.shares @ draws.measure.reshape(-1)
    np.testing.assert_allclose(sums, draws.numbers, rtol=1e-9)


@pytest.mark.slow
def test_two_states_are_a_pair(x64):
    energies = oscillators.draws(jax.random.key(1), jnp.asarray(BETAS[:2]), 300, 5)
    one, other = mbar.mbar(BETAS[:2], energies), bar.bar(BETAS[:2], energies)
    np.testing.assert_allclose(one.log_partition, other.log_partition, atol=1e-9)
    np.testing.assert_allclose(one.standard_error, other.standard_error, rtol=0.05)


@pytest.mark.slow
def test_groups_without_overlap_in_any_order():
    """States 0 and 2 have draws in common, and 1 and 3."""
    centres = np.array([0.0, 60.0, 0.5, 60.5])
    x = (np.random.default_rng(0).normal(size=(4, 200)) + centres[:, None]).ravel()
    u = 0.5 * (x[None] - centres[:, None]) ** 2
    estimate = mbar.mbar_of_states(u, [200] * 4)
    assert estimate.result.tolist() == [CONVERGED, NO_OVERLAP, CONVERGED, NO_OVERLAP]
    assert np.isnan(estimate.standard_error[1])
    assert abs(estimate.log_partition[2]) < 5 * estimate.standard_error[2]


@pytest.mark.slow
def test_a_forbidden_draw():
    """Two intervals of lengths 1 and 1/2 within each other: the ratio is the share of draws in the smaller one."""
    x = np.random.default_rng(0).uniform(size=2000) * np.repeat([1.0, 0.5], 1000)
    u = np.stack([np.zeros(2000), np.where(x < 0.5, 0.0, np.inf)])
    estimate = mbar.mbar_of_states(u, [1000, 1000])
    assert abs(estimate.log_partition[1] - np.log(0.5)) < 5 * estimate.standard_error[1]
    assert np.all(estimate.result == CONVERGED)


@pytest.mark.slow
def test_few_draws_and_many_draws_of_the_same_law_overlap():
    for count in (2, 5, 1000):
        energies = jnp.broadcast_to(jnp.linspace(0.0, 1.0, count), (2, count))
        assert np.all(mbar.mbar([1.0, 1.0 + 1e-6], energies).result == CONVERGED)


@pytest.mark.slow
def test_compiled_once_for_betas_and_seeds():
    @jax.jit
    @partial(chex.assert_max_traces, n=1)
    def run(key, betas):
        return mbar.mbar(betas, oscillators.draws(key, betas, 50, 3))

    for seed in range(3):
        betas = jnp.linspace(1.0, 1.5 + seed, 4)
        assert run(jax.random.key(seed), betas).result.shape == (4,)


def test_bad_reduced_energies():
    u = np.zeros((2, 4))
    nan, lost, own = u.copy(), u.copy(), u.copy()
    nan[0, 3], lost[:, 1], own[1, 3] = np.nan, np.inf, np.inf
    for wrong, message in (
        (lambda: mbar.mbar_of_states(u[:1], [4]), "reduced: got 1 state"),
        (lambda: mbar.mbar_of_states(u[0], [2, 2]), r"reduced: got shape \(4,\)"),
        (lambda: mbar.mbar_of_states(u, [1, 3]), "counts: .* at least 2 whose sum is 4"),
        (lambda: mbar.mbar_of_states(u, [2, 3]), "counts: .* whose sum is 4"),
        (lambda: mbar.mbar_of_states(u, [2, 2, 2]), "counts: got shape"),
        (lambda: mbar.mbar_of_states(nan, [2, 2]), "reduced: got a value that is not finite"),
        (lambda: mbar.mbar_of_states(lost, [2, 2]), "reduced: got a value that is not finite"),
        (lambda: mbar.mbar_of_states(own, [2, 2]), "reduced: got a value that is not finite"),
        (lambda: mbar.mbar_of_states(-own, [2, 2]), "reduced: got a value that is not finite"),
        (lambda: mbar.mbar_of_states(u, [2, 2], [0.5, 1.0]), "inefficiency: .* at least 1"),
        (lambda: mbar.mbar_of_states(u, [2, 2], None, np.inf), "log_reference: got inf"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
    run = jax.jit(lambda u: mbar.mbar_of_states(u, [2, 2]).result)
    assert np.all(run(nan) == DIVERGED)
