"""Weights of chains that never ran: log-normal ones, whose mean is known, in one direction and in both."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.marginalize.path_weights import estimate_of_both, estimate_of_reverse, estimate_of_weights
from ebmjax.types import CONVERGED, DIVERGED, NO_OVERLAP, NOT_MIXED, TOO_FEW_TEMPERATURES

TRUTH = 2.0


def rows(key, spread, shape):
    """log w of paths whose work is normal: forward TRUTH - spread²/2 in the mean, back -TRUTH - spread²/2."""
    forward, back = spread * jax.random.normal(key, (2, *shape)) - spread**2 / 2
    return forward + TRUTH, back - TRUTH


@pytest.mark.slow
def test_estimates_and_their_errors():
    """400 repetitions: the mean within 5 of its errors, z-scores with a standard deviation within 15% of one."""
    forward, back = rows(jax.random.key(0), 0.7, (400, 100))
    one = jax.vmap(partial(estimate_of_weights, log_partition=3.0))(forward)
    both = jax.vmap(partial(estimate_of_both, log_partition=3.0))(forward, back)
    for found in (one, both):
        z = (np.asarray(found.log_partition) - 3 - TRUTH) / np.asarray(found.standard_error)
        assert 0.85 < z.std() < 1.15
        assert abs(z.mean()) < 5 / 20 + 0.1  # the logarithm of a mean is too low by a tenth of its error
        assert (found.result == CONVERGED).mean() > 0.95
    assert (both.standard_error < one.standard_error).mean() > 0.95
    # the direction that is too low in the mean, and the one that is too high, with 3 errors each
    reverse = jax.vmap(partial(estimate_of_reverse, log_partition=3.0))(back)
    assert np.mean(one.log_partition) < 3 + TRUTH < np.mean(reverse.log_partition)
    assert ((one.lower < 3 + TRUTH) & (reverse.upper > 3 + TRUTH)).mean() > 0.97
    np.testing.assert_allclose(both.lower, one.lower, rtol=1e-5)
    np.testing.assert_allclose(both.upper, reverse.upper, rtol=1e-5)
    assert np.all(np.isposinf(one.upper) & np.isneginf(reverse.lower))


@pytest.mark.slow
def test_chains_of_several_runs_are_judged_together():
    forward, back = rows(jax.random.key(1), 0.5, (60,))
    whole = estimate_of_weights(forward, 0.0)
    parts = [float(estimate_of_weights(part, 0.0).log_partition) for part in forward.reshape(3, 20)]
    np.testing.assert_allclose(float(whole.log_partition), np.log(np.mean(np.exp(parts))), rtol=1e-5)
    # one direction may have fewer chains
    assert estimate_of_both(forward, back[:20], 0.0).result == CONVERGED


@pytest.mark.slow
def test_what_went_wrong_is_said():
    forward, back = rows(jax.random.key(2), 0.5, (50,))
    wide, from_wide = rows(jax.random.key(3), 6.0, (50,))
    forbidden = jnp.full(50, -jnp.inf)
    codes = [int(estimate_of_weights(row, 0.0).result) for row in (wide, forbidden, forward.at[0].set(jnp.nan))]
    assert codes == [TOO_FEW_TEMPERATURES, NO_OVERLAP, DIVERGED]
    pairs = ((wide, from_wide), (forward, back + 0.8), (forbidden, back), (forward, back.at[3].set(jnp.inf)))
    codes = [int(estimate_of_both(*pair, 0.0).result) for pair in pairs]
    assert codes == [TOO_FEW_TEMPERATURES, NOT_MIXED, NO_OVERLAP, DIVERGED]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (partial(estimate_of_weights, np.ones(1), 0.0), "log_weights: got 1 chain, wanted at least 2"),
        (partial(estimate_of_weights, np.ones((2, 2)), 0.0), "log_weights: got shape"),
        (partial(estimate_of_both, np.ones(2), np.ones(1), 0.0), "back: got 1 chain"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
