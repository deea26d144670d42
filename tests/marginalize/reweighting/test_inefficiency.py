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


@pytest.mark.slow
def test_it_is_the_published_algorithm(x64):
    energies = oscillators.correlated(jax.random.key(0), BETAS.astype(float), 500, MEMORY)
    expected = [chodera(np.asarray(row)) for row in energies]
    np.testing.assert_allclose(statistical_inefficiency(energies), expected, rtol=1e-9)
    np.testing.assert_allclose(statistical_inefficiency(1e6 * energies + 3), expected, rtol=1e-6)


@pytest.mark.slow
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


@pytest.mark.slow
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


STATES, STEPS, MODE = 8, 400, 0.3


def carried(key):
    """Noise of variance 1 in each state, and a weak mode that each replica keeps in a random walk over the states."""
    noise_key, mode_key, walk_key = jax.random.split(key, 3)
    replicas = jnp.argsort(jax.random.uniform(walk_key, (STATES, STEPS)), axis=0).astype(jnp.int32)
    modes = MODE * jax.random.normal(mode_key, (STATES,))
    return jax.random.normal(noise_key, (STATES, STEPS)) + modes[replicas], replicas


@pytest.mark.slow
def test_a_slow_mode_that_is_weak_is_seen_in_the_replicas():
    """In energies it is a constant. Of 400 runs: scatter of the integral over its error, 1 with replicas, 6 without.

    The variance of the mean over 8 states is (1/400 + MODE²) / 8, of which only the first part shows in a series. The
    scatter is known to 4% and the mean error to 2%, so that the bounds are 5 standard errors away.
    """
    betas = jnp.linspace(0.0, 1.0, STATES)

    def run(key):
        energies, replicas = carried(key)
        last = lambda g: jax.tree.map(lambda leaf: leaf[-1], thermodynamic_integration(betas, energies, None, g))
        return last(ladder_inefficiency(betas, energies, replicas)), last(ladder_inefficiency(betas, energies))

    told, untold = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(8), 400))
    scatter = lambda found: np.asarray(found.log_partition).std() / np.asarray(found.standard_error).mean()
    assert 0.8 < scatter(told) < 1.25, scatter(told)
    assert scatter(untold) > 4, scatter(untold)


@pytest.mark.slow
def test_replicas_that_stay_know_nothing_of_each_other():
    betas = jnp.linspace(0.0, 1.0, STATES)
    energies, replicas = carried(jax.random.key(9))
    still = jnp.broadcast_to(jnp.arange(STATES, dtype=jnp.int32)[:, None], replicas.shape)
    g = ladder_inefficiency(betas, energies, still)
    assert g.tolist() == [STEPS] * STATES
    assert set(mbar(betas, energies, None, g).result.tolist()) == {NOT_MIXED}
    assert ladder_inefficiency(betas, jnp.ones((STATES, STEPS)), replicas).tolist() == [1] * STATES


METHODS = [mbar, bar, stepping_stones, thermodynamic_integration]


@pytest.mark.slow
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
        (partial(ladder_inefficiency, [0.0, 1.0], np.ones((2, 9)), np.zeros((2, 8))), "replicas: got shape"),
        (partial(ladder_inefficiency, [0.0, 1.0], np.ones((2, 9)), np.full((2, 9), 2)), "replicas: .* from 0 to 1"),
        (partial(thinned, np.ones(3), [1.0]), "energies: got shape"),
        (partial(thinned, np.ones((2, 3)), [1.0]), "inefficiency: got shape"),
        (partial(thinned, np.ones((2, 3)), [0.0, 1.0]), "inefficiency: .* at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
