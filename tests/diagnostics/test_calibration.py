"""Simulation-based calibration, of ranks whose law is known, and of BlackJAX's kernels, right and broken on purpose.

The joint law is exp(-beta E) / Z at beta = 0.5, with E = |z|²/2 + |x - z|²/2 of two unknowns z and data x.
"""

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.checks import ArgumentError
from ebmjax.diagnostics import calibration_test, invariance_test, rank_test
from ebmjax.sample.gibbs import State
from ebmjax.types import Kernel

BETA = 0.5


def likelihood_energy(x, z):
    return jnp.sum(jnp.square(x - z)) / 2


def prior(key):
    return jax.random.normal(key, (2,)) / BETA**0.5


def simulate(key, z):
    return z + prior(key)


def statistics(z, x):
    """An unknown, its square, and the energy of the data: the last one knows whether a sampler forgets the data."""
    return jnp.stack([z[0], z[0] ** 2, likelihood_energy(x, z)])


def hmc(density):
    return blackjax.hmc(density, 0.5, jnp.ones(2), 4)


def nuts(density):
    return blackjax.nuts(density, 0.7, jnp.ones(2))


def random_walk(density):
    return blackjax.additive_step_random_walk(density, blackjax.mcmc.random_walk.normal(jnp.ones(2)))


STEPS = {hmc: 1, nuts: 1, random_walk: 15}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", STEPS)
def test_kernels_of_blackjax(algorithm):
    """Right ones pass, and three broken ones do not. All are one compiled program, whose constants are traced.

    One in 10,000 runs of the right kernel would fail by chance. A sampler that forgets the data has uniform ranks of
    all unknowns; only the statistic of both finds it.
    """

    def density(beta, weight, x):
        return lambda z: -beta * (jnp.sum(jnp.square(z)) / 2 + weight * likelihood_energy(x, z))

    @jax.jit
    def both(beta, weight):
        make_kernel = lambda x: algorithm(density(beta, weight, x))
        x = jnp.array([1.0, -0.5])
        exact = x[None] / 2 + jax.random.normal(jax.random.key(1), (1000, 2)) / (2 * BETA) ** 0.5
        steps = STEPS[algorithm]
        still = invariance_test(jax.random.key(2), make_kernel(x), exact, lambda z: statistics(z, x), steps)
        found = calibration_test(jax.random.key(0), make_kernel, prior, simulate, statistics, 300, 31, steps, 10)
        return found, still

    found, still = both(BETA, 1.0)
    assert found.p_value > 1e-4
    assert still.p_value > 1e-4
    assert np.all(found.effective_samples > 10)
    found, still = both(BETA**2, 1.0)  # beta twice
    assert found.p_value < 1e-6
    assert still.p_value < 1e-6
    assert found.spreads[0] < -5  # the draws are too wide
    found, still = both(BETA, 2.0)  # data count twice
    assert found.p_value < 1e-6
    assert still.p_value < 1e-6
    found, still = both(BETA, 0.0)  # data are forgotten
    assert found.p_value < 1e-6
    assert found.p_values[0] > 1e-4
    assert still.p_value < 1e-6


def of_draw(draw):
    """A kernel of independent draws."""
    return Kernel(lambda position, rng_key=None: State(position), lambda key, state: (State(draw(key)), None))


@pytest.mark.slow
def test_ranks_of_equal_values_and_of_values_that_are_not_finite():
    """A bit of the prior probability 0.3 with a noisy copy of it as data: the posterior is drawn exactly.

    The second statistic is NaN in some draws of the sampler. The right one has a p-value above 1e-4, but in one run of
    10,000; that with the prior alone has 0.
    """
    bit = lambda key, p: jax.random.bernoulli(key, p).astype(jnp.float32)
    copy = lambda key, z: jnp.abs(z - bit(key, 0.1))
    posterior = lambda x: jnp.where(x == 1, 0.3 * 0.9 / (0.3 * 0.9 + 0.7 * 0.1), 0.3 * 0.1 / (0.3 * 0.1 + 0.7 * 0.9))

    def test(share):
        make_kernel = lambda x: of_draw(lambda key: bit(key, share * posterior(x) + (1 - share) * 0.3) * 2)
        observe = lambda z, x: jnp.stack([jnp.minimum(z, 1), jnp.minimum(z, 1) * x, jnp.where(z == 2, jnp.nan, z)])
        return calibration_test(
            jax.random.key(0), make_kernel, lambda key: bit(key, 0.3), copy, observe, 2000, 20, burn_in=1
        )

    right, wrong = test(jnp.array(1.0)), test(jnp.array(0.0))
    assert np.all(right.p_values[:2] > 1e-4)
    assert right.p_values[2] == right.p_value == 0
    assert wrong.p_values[1] < 1e-6
    assert 0 <= right.ranks.min() <= right.ranks.max() <= 20


def test_uniform_ranks_are_rejected_as_often_as_is_stated():
    """Of 2000 p-values 200 ± 13.4 are below 0.1, and 20 ± 4.5 below 0.01; 5 standard errors are allowed."""
    ranks = np.random.default_rng(0).integers(0, 64, (200, 2000))
    found = rank_test(ranks, 63)
    assert abs(np.sum(np.asarray(found.p_values) < 0.1) - 200) < 67
    assert abs(np.sum(np.asarray(found.p_values) < 0.01) - 20) < 23
    assert abs(np.std(found.shifts) - 1) < 0.1
    assert abs(np.std(found.spreads) - 1) < 0.1
    assert found.p_value == 1 or found.p_value == 2000 * np.min(found.p_values)


def test_ranks_tell_how_a_sampler_errs():
    """True values of a standard normal law among 31 draws of N(shift, width²)."""
    rng = np.random.default_rng(1)
    cases = {(0.0, 1.0): (0, 0), (-0.5, 1.0): (1, 0), (0.0, 0.7): (0, 1), (0.0, 1.4): (0, -1)}
    ranks = [
        np.sum(shift + width * rng.normal(size=(400, 31)) < rng.normal(size=(400, 1)), axis=1) for shift, width in cases
    ]
    found = rank_test(np.stack(ranks, axis=1), 31)
    for i, (shift, spread) in enumerate(cases.values()):
        assert (found.p_values[i] < 1e-4) == (shift != 0 or spread != 0)
        assert np.sign(found.shifts[i]) == shift or abs(found.shifts[i]) < 4
        assert np.sign(found.spreads[i]) == spread or abs(found.spreads[i]) < 4
        assert shift == 0 or found.shifts[i] > 5
        assert spread == 0 or found.spreads[i] * spread > 5


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("simulations: got 49, wanted at least 50", {"simulations": 49}),
        ("draws: got 3, wanted at least 4", {"draws": 3}),
        ("steps", {"steps": 0}),
        ("burn_in", {"burn_in": 0}),
        ("statistics: got shape", {"statistics": lambda z, x: z[None]}),
    ],
)
def test_bad_input_is_refused_by_name(name, change):
    arguments = {
        "make_kernel": lambda x: of_draw(prior),
        "prior": prior,
        "simulate": simulate,
        "statistics": lambda z, x: z,
        **change,
    }
    with pytest.raises(ArgumentError, match=name):
        calibration_test(jax.random.key(0), **arguments)


def test_what_are_no_ranks_is_refused_by_name():
    ranks = np.zeros((50, 2))
    for name, wrong in (
        ("got 32", ranks + 32),
        ("got 0.5", ranks + 0.5),
        ("got shape", ranks[:49]),
        ("got shape", ranks[0]),
    ):
        with pytest.raises(ArgumentError, match=f"ranks: {name}"):
            rank_test(wrong, 31)
