"""The statistical inefficiency against autoregressions, where it is known; and errors of estimates that take it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.marginalize.reweighting.bar import bar
from ebmjax.marginalize.reweighting.inefficiency import ladder_inefficiency, statistical_inefficiency, thinned
from ebmjax.marginalize.reweighting.integration import thermodynamic_integration
from ebmjax.marginalize.reweighting.mbar import mbar
from ebmjax.marginalize.reweighting.stepping_stones import stepping_stones
from ebmjax.types import CONVERGED, NOT_MIXED
from tests import oscillators

MEMORY = 0.8
TRUTH = (1 + MEMORY**2) / (1 - MEMORY**2)  # of z², whose autocorrelation at lag t is memory^2t
BETAS = jnp.array([1.0, 1.4, 2.0])


def chodera(series):
    """The published loop (Chodera et al., 2007, as in pymbar's `timeseries`), in double precision."""
    away, count, g = series - series.mean(), len(series), 1.0
    for t in range(1, count - 1):
        correlation = np.sum(away[:-t] * away[t:]) / ((count - t) * away.var())
        if correlation <= 0 and t > 3:
            break
        g += 2 * correlation * (1 - t / count)
    return max(g, 1.0)


def test_it_is_the_published_algorithm(x64):
    energies = oscillators.correlated(jax.random.key(0), BETAS.astype(float), 500, MEMORY)
    expected = [chodera(np.asarray(row)) for row in energies]
    np.testing.assert_allclose(statistical_inefficiency(energies), expected, rtol=1e-9)
    np.testing.assert_allclose(statistical_inefficiency(1e6 * energies + 3), expected, rtol=1e-6)


def test_the_truth_of_an_autoregression():
    """Within 5 of its own errors, from 200 chains: the bias of the truncation is of the order of 1/draws."""
    run = lambda key: statistical_inefficiency(oscillators.correlated(key, BETAS[:1], 5000, MEMORY))[0]
    many = np.asarray(jax.vmap(run)(jax.random.split(jax.random.key(1), 200)))
    assert abs(many.mean() - TRUTH) < 5 * many.std() / np.sqrt(200) + 0.02 * TRUTH
    independent = jax.random.normal(jax.random.key(2), (5000,))
    assert abs(statistical_inefficiency(independent) - 1) < 0.15
    assert statistical_inefficiency(jnp.full(10, 0.1)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["told", "thinned", "ignored"])
def test_the_error_of_correlated_draws(how):
    """z-scores of 300 repetitions: told or thinned they have a standard deviation of about 1, ignored √g."""

    def run(key):
        energies = oscillators.correlated(key, BETAS, 1000, MEMORY)
        g = jnp.repeat(statistical_inefficiency(energies).mean(), 3)
        if how == "thinned":
            return mbar(BETAS, *thinned(energies, g))
        return mbar(BETAS, energies, None, g if how == "told" else None)

    many = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(3), 300))
    z = (np.asarray(many.log_partition) - oscillators.log_ratio(BETAS, 1))[:, 1:] / np.asarray(many.standard_error)[
        :, 1:
    ]
    expected = np.sqrt(TRUTH) if how == "ignored" else 1.0
    assert np.all((z.std(axis=0) > 0.8 * expected) & (z.std(axis=0) < 1.2 * expected)), z.std(axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("method", [mbar, thermodynamic_integration])
def test_the_error_of_states_that_move_together(method):
    """z-scores of 300 repetitions at the last beta: 1 with the inefficiency of the ladder, more with that of each."""

    def run(key):
        # the same walk in all states, as of replicas that carry a mode from one to the next
        energies = oscillators.correlated(key, BETAS[:1], 1000, MEMORY) * BETAS[0] / BETAS[:, None]
        last = lambda estimate: (estimate.log_partition[-1], estimate.standard_error[-1])
        ladder, each = ladder_inefficiency(BETAS, energies), statistical_inefficiency(energies)
        return last(method(BETAS, energies, None, ladder)), last(method(BETAS, energies, None, each))

    ladder, each = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(4), 300))
    scatter = lambda found: np.asarray(found[0]).std() / np.asarray(found[1]).mean()
    assert 0.8 < scatter(ladder) < 1.2, scatter(ladder)
    assert scatter(each) > 1.25, scatter(each)


def test_a_ladder_of_independent_states_has_the_inefficiency_of_each():
    """Of 50 repetitions, in the mean within 10%: the noise of an inefficiency falls with the number of draws."""

    def run(key):
        energies = oscillators.correlated(key, BETAS, 1000, MEMORY)
        return ladder_inefficiency(BETAS, energies), statistical_inefficiency(energies)

    ladder, each = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(5), 50))
    np.testing.assert_allclose(np.mean(ladder), np.mean(each), rtol=0.1)
    constant = jnp.ones((3, 10))
    assert ladder_inefficiency(BETAS, constant).tolist() == [1, 1, 1]
    several = oscillators.correlated(jax.random.key(6), BETAS, 100, MEMORY)
    np.testing.assert_allclose(
        ladder_inefficiency(BETAS / 7, 7e3 * several), ladder_inefficiency(BETAS, several), rtol=1e-4
    )


METHODS = [mbar, bar, stepping_stones, thermodynamic_integration]


@pytest.mark.parametrize("method", METHODS)
def test_a_short_chain_says_that_it_has_not_mixed(method):
    """200 draws that are worth 20 in the state in the middle: from there on the code is NOT_MIXED, with an error."""
    betas = jnp.array([1.0, 1.1, 1.2])
    energies = oscillators.draws(jax.random.key(7), betas, 200, 1)
    codes = lambda g: method(betas, energies, None, jnp.array(g)).result.tolist()
    assert codes([1.0, 10.0, 1.0]) == [CONVERGED, NOT_MIXED, NOT_MIXED]
    assert codes([1.0, 3.0, 1.0]) == [CONVERGED] * 3
    assert np.isfinite(method(betas, energies, None, jnp.array([1.0, 10.0, 1.0])).standard_error).all()
    few = method(betas, energies[:, :40], None, None)  # independent draws may be few
    assert NOT_MIXED not in few.result.tolist()


def test_thinning_keeps_one_in_g():
    energies = jnp.arange(20.0).reshape(2, 10)
    kept = thinned(energies, [2.5, 1.0])
    assert kept.counts.tolist() == [4, 10]
    assert kept.energies[0].tolist() == [0, 2, 5, 8] + [8] * 6
    assert kept.energies[1].tolist() == list(range(10, 20))
    assert jax.jit(thinned)(energies, jnp.array([100.0, 3.0])).counts.tolist() == [1, 4]


def test_refusals():
    for wrong, message in (
        (partial(statistical_inefficiency, np.ones(3)), "series: .* at least 4 draws"),
        (partial(statistical_inefficiency, np.array([1, 2, np.inf, 3])), "series: got a value that is not finite"),
        (partial(ladder_inefficiency, [0.0, 1.0], np.ones((2, 3))), "energies: .* at least 4 draws"),
        (partial(ladder_inefficiency, [1.0, 0.0], np.ones((2, 9))), "betas: got"),
        (partial(thinned, np.ones(3), [1.0]), "energies: got shape"),
        (partial(thinned, np.ones((2, 3)), [1.0]), "inefficiency: got shape"),
        (partial(thinned, np.ones((2, 3)), [0.0, 1.0]), "inefficiency: .* at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
