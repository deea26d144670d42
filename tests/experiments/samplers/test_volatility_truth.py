"""The moments of the volatility law against a sum over a dense grid of its energy, for two times."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.problems.laws.volatility import returns, stochastic_volatility
from experiments.samplers import volatility_truth


def test_sums_over_the_path_are_those_of_the_energy():
    """For pairs of μ and log σ and two a, the path is summed out on a grid of its own, in double precision."""
    energy = stochastic_volatility(2).energy
    level, log_spread = np.array([-1.0, 0.5]), np.array([-0.5, 0.3])
    found = {logit: volatility_truth.moments(returns(2), level, log_spread, logit) for logit in (0.5, 2.0)}
    grid = np.linspace(-14, 14, 281)
    path = jnp.array(list(itertools.product(grid, grid)), jnp.float32)
    expected = {}
    for logit, pair in itertools.product(found, range(2)):
        hyper = jnp.array([level[pair], log_spread[pair], logit], jnp.float32)
        heights = jax.vmap(lambda u, hyper=hyper: energy(jnp.concatenate([hyper, u])))(path)
        logs = -np.asarray(heights, np.float64)
        shares = np.exp(logs - logs.max())
        total = np.log(shares.sum()) + logs.max() + 2 * np.log(grid[1] - grid[0])
        expected[logit, pair] = total, shares @ np.asarray(path, np.float64) ** 2 / shares.sum()
    for (logit, pair), (_, squares) in expected.items():
        np.testing.assert_allclose(found[logit][1][2, :, pair], squares, rtol=2e-3)
    # logarithms of the weights, up to a constant of all
    mine = np.array([found[logit][0][pair] for logit, pair in expected])
    np.testing.assert_allclose(
        mine - mine[0], [total - expected[0.5, 0][0] for total, _ in expected.values()], atol=2e-3
    )
