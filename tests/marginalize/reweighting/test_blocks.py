"""The block bootstrap against errors that are known, for independent and for correlated draws."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.marginalize.reweighting.bar import bar
from ebmjax.marginalize.reweighting.blocks import block_bootstrap
from ebmjax.marginalize.reweighting.inefficiency import statistical_inefficiency
from ebmjax.marginalize.reweighting.mbar import mbar
from ebmjax.types import CONVERGED, NOT_MIXED
from tests import oscillators

BETAS, MEMORY = jnp.array([1.0, 1.4, 2.0]), 0.8


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [pytest.param(mbar, marks=pytest.mark.slow), bar])
def test_it_agrees_with_the_asymptotic_error_of_independent_draws(estimator):
    energies = oscillators.draws(jax.random.key(0), BETAS, 1000, 4)
    bootstrap = block_bootstrap(jax.random.key(1), estimator, BETAS, energies, block=5, replicates=200)
    assert bootstrap.result.tolist() == [CONVERGED] * 3
    # 200 replicates know the error to 5%, 200 blocks to 5% more
    np.testing.assert_allclose(bootstrap.standard_error, bootstrap.estimate.standard_error, rtol=0.3)
    np.testing.assert_allclose(np.diagonal(bootstrap.covariance), bootstrap.standard_error**2, rtol=1e-5)


@pytest.mark.slow
def test_correlated_draws_disagree_until_their_inefficiency_is_told():
    energies = oscillators.correlated(jax.random.key(2), BETAS, 4000, MEMORY)
    run = lambda estimator: block_bootstrap(jax.random.key(3), estimator, BETAS, energies, block=40, replicates=200)
    untold = run(bar)
    assert untold.result.tolist() == [CONVERGED, NOT_MIXED, NOT_MIXED]
    told = run(partial(bar, counts=None, inefficiency=statistical_inefficiency(energies)))
    assert told.result.tolist() == [CONVERGED] * 3
    np.testing.assert_allclose(untold.standard_error, told.standard_error, rtol=0.05)
    assert np.all(np.asarray(told.standard_error)[1:] > 1.5 * np.asarray(untold.estimate.standard_error)[1:])


@pytest.mark.slow
def test_replicates_do_not_depend_on_the_chunk():
    energies = oscillators.draws(jax.random.key(0), BETAS, 100, 4)
    run = partial(block_bootstrap, jax.random.key(1), bar, BETAS, energies, 5, 10)
    np.testing.assert_allclose(run(3).standard_error, run(10).standard_error, rtol=1e-3)


def test_refusals():
    energies = np.ones((2, 10))
    run = partial(block_bootstrap, jax.random.key(0), bar, [1.0, 2.0])
    for wrong, message in (
        (lambda: run(energies, 6, 10), "block: got 6, wanted at most half of 10"),
        (lambda: run(energies, 0, 10), "block: got 0"),
        (lambda: run(energies, 2, 1), "replicates: got 1, wanted at least 2"),
        (lambda: run(energies[:1], 2, 10), "energies: got shape"),
        (lambda: run(energies * np.nan, 2, 10), "energies: got a value that is not finite"),
        (lambda: run(energies, 2, 10, 0), "chunk: got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
