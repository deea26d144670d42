"""A test of kernels: right ones pass as often as is stated, and kernels that are wrong in the known ways do not.

All kernels act on 5 spins at beta = 0.7, with exact draws by enumeration, or on a Gaussian.
"""

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ebmjax import posterior, spin_cube
from ebmjax.checks import ArgumentError
from ebmjax.diagnostics import invariance_test
from ebmjax.diagnostics.invariance import _two_sided
from ebmjax.sample.gibbs import State, systematic
from ebmjax.sample.metropolis import flip_one, metropolis
from ebmjax.types import Kernel

SPINS, BETA = 5, 0.7
COUPLINGS = np.triu(np.random.default_rng(0).normal(size=(SPINS, SPINS)), 1)
FIELD = np.random.default_rng(1).normal(size=SPINS)
SPACE = spin_cube(SPINS)


def energy(spins):
    return -spins @ jnp.asarray(COUPLINGS, spins.dtype) @ spins - jnp.asarray(FIELD, spins.dtype) @ spins


LAW = posterior(energy, SPACE, BETA)


def statistics(spins):
    return jnp.concatenate([energy(spins)[None], jnp.square(energy(spins))[None], spins])


def exact(key, count):
    return SPACE.points[jax.random.choice(key, len(SPACE.points), (count,), p=LAW)]


def of_step(step):
    return Kernel(
        lambda position, rng_key=None: State(position), lambda rng_key, state: (State(step(rng_key, state[0])), None)
    )


def flips(spins):
    """All states that differ in one spin, and by how much their energies are above."""
    others = spins[None] * (1 - 2 * jnp.eye(SPINS, dtype=spins.dtype))
    return others, jax.vmap(energy)(others) - energy(spins)


def forgetful(key, spins):
    """Metropolis that proposes until a move is accepted, and does not count the refused ones."""
    others, above = flips(spins)
    return others[jax.random.categorical(key, jnp.minimum(-BETA * above, 0))]


def upside_down(key, spins):
    """Metropolis that accepts with min(1, exp(+beta (E' - E)))."""
    which, accept = jax.random.split(key)
    others, above = flips(spins)
    i = jax.random.randint(which, (), 0, SPINS, jnp.int32)
    return jnp.where(jnp.log(jax.random.uniform(accept)) < BETA * above[i], others[i], spins)


RIGHT = {"gibbs": systematic(energy, BETA), "metropolis": metropolis(energy, BETA, flip_one)}
WRONG = {
    "beta twice": systematic(energy, BETA**2),
    "beta 10% too large": systematic(energy, 1.1 * BETA),
    "wrong sign": of_step(upside_down),
    "refused moves not counted": of_step(forgetful),
    "drifts": of_step(lambda key, spins: jnp.ones_like(spins)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name != "gibbs")) for name in RIGHT])
def test_right_kernels_pass(name):
    """One in 10,000 runs would fail by chance."""
    found = invariance_test(jax.random.key(0), RIGHT[name], exact(jax.random.key(1), 5000), statistics)
    assert found.p_value > 1e-4
    assert np.all(found.changed > 0.005)
    assert found.p_values.shape == found.z_scores.shape == (SPINS + 2,)


SHORT = ("beta twice", "refused moves not counted")


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in SHORT)) for name in WRONG])
def test_wrong_kernels_do_not(name):
    found = invariance_test(jax.random.key(2), WRONG[name], exact(jax.random.key(3), 20_000), statistics)
    assert found.p_value < 1e-6
    if name == "beta 10% too large":  # it lowers the energy
        assert found.z_scores[0] < -5


@pytest.mark.slow
def test_a_right_kernel_is_rejected_as_often_as_is_stated():
    """Of 1000 p-values 100 ± 9.5 are below 0.1, and of the overall ones at most so many; 5 standard errors are allowed.

    With 200 draws each, several steps and a statistic that is skew.
    """
    run = lambda key: invariance_test(key, RIGHT["gibbs"], exact(jax.random.fold_in(key, 1), 200), statistics, steps=2)
    found = jax.lax.map(run, jax.random.split(jax.random.key(4), 1000))
    below = np.sum(np.asarray(found.p_values) < 0.1, axis=0)
    assert np.all(np.abs(below - 100) < 48), below
    assert np.sum(np.asarray(found.p_value) < 0.1) < 148
    assert abs(np.asarray(found.z_scores).std() - 1) < 0.1


@pytest.mark.slow
def test_kernels_of_blackjax():
    """Hamiltonian steps at beta = 0.7 pass with draws at beta = 0.7, and fail with those at beta = 0.9."""
    kernel = blackjax.hmc(lambda x: -BETA * jnp.sum(jnp.square(x)), 0.4, jnp.ones(3), 3)
    draws = lambda beta: jax.random.normal(jax.random.key(5), (5000, 3)) / jnp.sqrt(2 * beta)
    test = lambda beta: invariance_test(jax.random.key(6), kernel, draws(beta), jnp.square)
    assert test(BETA).p_value > 1e-4
    assert test(0.9).p_value < 1e-6


def test_p_values_are_those_of_students_law():
    for degrees in (49, 200, 10_000):
        t = np.array([0.0, 0.1, 1.0, 2.0, 3.5, 6.0])
        wanted = 2 * scipy.stats.t.sf(t, degrees)
        np.testing.assert_allclose(_two_sided(jnp.asarray(t, jnp.float32), degrees), wanted, rtol=1e-2)


@pytest.mark.slow
def test_what_cannot_be_decided_is_told():
    """Statistics that never change have a p-value of 1; where a kernel goes to NaN, the p-value is 0."""
    draws = exact(jax.random.key(7), 100)
    still = invariance_test(jax.random.key(0), of_step(lambda key, spins: spins), draws, lambda s: s)
    assert float(still.p_value) == 1
    assert np.all(still.changed == 0)
    broken = of_step(lambda key, spins: spins.at[0].set(jnp.nan))
    found = invariance_test(jax.random.key(0), broken, draws, lambda s: s)
    assert float(found.p_value) == 0
    assert found.p_values.tolist() == [0] + [1] * (SPINS - 1)
    unknown = invariance_test(jax.random.key(0), broken, draws.at[3, 0].set(jnp.nan), lambda s: s)
    assert np.isnan(unknown.p_value)


@pytest.mark.slow
def test_integers_keep_their_bits():
    """Packed words: a kernel that turns a random bit of 32."""
    words = jax.random.bits(jax.random.key(8), (500,))
    turn = of_step(lambda key, word: word ^ (jnp.uint32(1) << jax.random.randint(key, (), 0, 32).astype(jnp.uint32)))
    found = invariance_test(jax.random.key(9), turn, words, lambda word: (word & jnp.uint32(1)).astype(jnp.float32))
    assert 0 < found.changed[0] < 0.1
    assert found.p_value > 1e-4


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("exact_draws: got 49 draws", {"exact_draws": np.ones((49, 2))}),
        ("exact_draws", {"exact_draws": 1.0}),
        ("steps", {"steps": 0}),
        ("statistics: got shape", {"statistics": lambda s: s[None]}),
    ],
)
def test_bad_input_is_refused_by_name(name, change):
    arguments = {"kernel": RIGHT["gibbs"], "exact_draws": np.ones((50, SPINS)), "statistics": lambda s: s, **change}
    with pytest.raises(ArgumentError, match=name):
        invariance_test(jax.random.key(0), **arguments)
