"""Annealed importance sampling against enumeration: weights without bias, bounds from both sides, honest errors.

Means over many chains are held against the truth within 5 standard errors: a false alarm has a probability of 6e-7 for
each number compared.
"""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import binary_cube, log_partition, posterior, spin_cube
from ebmjax.checks import ArgumentError
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies.composition import interpolated
from ebmjax.marginalize.annealed import annealed, annealed_importance, bidirectional, both_ways, tempered
from ebmjax.sample.gibbs import alternate, systematic
from ebmjax.sample.metropolis import gaussian_step, metropolis
from ebmjax.sample.units import draw
from ebmjax.types import BITS, CONVERGED, DIVERGED, NO_OVERLAP, NOT_MIXED, TOO_FEW_TEMPERATURES

SPINS = 6
COUPLINGS = np.triu(np.random.default_rng(0).normal(size=(SPINS, SPINS)), 1)
FIELD = np.random.default_rng(1).normal(size=SPINS)
BETA = 0.7


def energy(spins):
    return -spins @ jnp.asarray(COUPLINGS, spins.dtype) @ spins - jnp.asarray(FIELD, spins.dtype) @ spins


def kernel(beta):
    return systematic(energy, beta)


def hot(key, chains):
    return jax.random.rademacher(key, (chains, SPINS), float)


def cold(key, chains, beta=BETA):
    """Exact draws, by enumeration."""
    space = spin_cube(SPINS)
    return space.points[jax.random.choice(key, len(space.points), (chains,), p=posterior(energy, space, beta))]


def schedule(links):
    return jnp.linspace(0, BETA, links + 1)


TRUTH = float(log_partition(energy, spin_cube(SPINS), BETA))
VOLUME = SPINS * math.log(2)


@jax.jit
def there_and_back(key):
    starts, ends, forward, back = jax.random.split(key, 4)
    chains = 4000
    first = annealed(forward, tempered(energy), kernel, schedule(3), hot(starts, chains))
    second = annealed(back, tempered(energy), kernel, schedule(3)[::-1], cold(ends, chains))
    return first, second


def assert_mean(values, wanted):
    values = np.asarray(values, float)
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert abs(values.mean() - wanted) < 5 * error, (values.mean(), wanted, error)
    assert error < 0.05 * abs(wanted), "too noisy to tell"


@pytest.mark.slow
def test_weights_have_the_right_mean_in_both_directions():
    first, second = there_and_back(jax.random.key(0))
    assert_mean(np.exp(np.asarray(first.log_weights) - (TRUTH - VOLUME)), 1.0)
    assert_mean(np.exp(np.asarray(second.log_weights) + (TRUTH - VOLUME)), 1.0)


@pytest.mark.slow
def test_weighted_positions_are_draws_of_the_last_law():
    first, _ = there_and_back(jax.random.key(1))
    space = spin_cube(SPINS)
    wanted = np.asarray(posterior(energy, space, BETA) @ space.points)
    weights = np.exp(np.asarray(first.log_weights) - (TRUTH - VOLUME))[:, None]
    for spin in range(SPINS):
        values = (np.asarray(first.positions) - wanted) * weights
        error = values[:, spin].std(ddof=1) / math.sqrt(len(values))
        assert abs(values[:, spin].mean()) < 5 * error


@jax.jit
@jax.vmap
def repeated(key):
    starts, ends, one, two = jax.random.split(key, 4)
    args = tempered(energy), kernel, schedule(8), hot(starts, 100)
    both = *args, cold(ends, 100)
    return annealed_importance(one, *args, VOLUME), bidirectional(two, *both, VOLUME), both_ways(two, *both)


@pytest.mark.slow
def test_standard_errors_are_those_of_repetitions_and_bounds_are_bounds():
    """The standard deviation of 200 z-scores is within 5 of its own errors, 0.05, of [0.9, 1.1]."""
    one_sided, both, weights = repeated(jax.random.split(jax.random.key(2), 200))
    for found in (one_sided, both):
        assert np.all(found.result == CONVERGED)
        scores = np.asarray((found.log_partition - TRUTH) / found.standard_error)
        assert 0.75 < scores.std() < 1.3
        assert abs(scores.mean()) < 0.4
        assert np.mean((found.lower < TRUTH) & (found.upper > TRUTH)) > 0.97  # 3 standard errors further out
    # a bound in the mean: the estimate below, and the one above, of its exponential
    assert_mean(np.exp(np.asarray(one_sided.log_partition) - TRUTH), 1.0)
    assert_mean(np.exp(np.asarray(weights.back) + TRUTH - VOLUME).mean(axis=1), 1.0)
    assert np.mean(both.standard_error) < np.mean(one_sided.standard_error)


MACHINE = rbm.Params(*(jnp.asarray(np.random.default_rng(2).normal(size=size)) for size in ((5, 4), 5, 4)))


def scaled(t):
    """From a machine without couplings to the machine itself."""
    return MACHINE._replace(weights=t * MACHINE.weights)


def of_machine(beta):
    def path(t, visible):
        return beta * rbm.summed_free_energy(scaled(t), visible, beta)

    def make_kernel(t):
        def sweep(key, visible):
            up, down = jax.random.split(key)
            hidden = draw(up, rbm.hidden_field(scaled(t), visible), beta, BITS)
            return draw(down, rbm.visible_field(scaled(t), hidden), beta, BITS)

        return alternate([sweep])

    return path, make_kernel


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.6, 1.4])
def test_a_machine_from_its_biases_by_its_own_gibbs_sampler(beta):
    path, make_kernel = of_machine(beta)
    space = binary_cube(5)
    exact = lambda t: float(log_partition(lambda v: rbm.summed_free_energy(scaled(t), v, beta), space, beta))
    starts_key, ends_key, key = jax.random.split(jax.random.key(3), 3)
    starts = jax.random.bernoulli(starts_key, jax.nn.sigmoid(beta * MACHINE.visible_bias)[None], (1000, 5)).astype(
        float
    )
    law = posterior(lambda v: rbm.summed_free_energy(MACHINE, v, beta), space, beta)
    ends = space.points[jax.random.choice(ends_key, len(space.points), (1000,), p=law)]
    found = bidirectional(key, path, make_kernel, jnp.linspace(0, 1, 9), starts, ends, exact(0.0))
    assert int(found.result) == CONVERGED
    assert abs(float(found.log_partition) - exact(1.0)) < 5 * float(found.standard_error) < 0.2
    assert float(found.lower) - 0.1 < exact(1.0) < float(found.upper) + 0.1


@pytest.mark.slow
def test_between_two_continuous_energies_at_one_beta():
    beta = 0.5
    narrow, wide = lambda x: 4 * jnp.sum(jnp.square(x - 1)), lambda x: jnp.sum(jnp.square(x))
    at = lambda t: interpolated(wide, narrow, t)
    path = lambda t, x: beta * at(t)(x)
    make_kernel = lambda t: metropolis(at(t), beta, gaussian_step(0.7))
    starts_key, key = jax.random.split(jax.random.key(4))
    starts = jax.random.normal(starts_key, (1000, 2)) / math.sqrt(2 * beta)
    volume = math.log(math.pi / beta)
    found = annealed_importance(key, path, make_kernel, jnp.linspace(0, 1, 65), starts, volume, steps=2)
    assert int(found.result) == CONVERGED
    truth = math.log(math.pi / (4 * beta))
    assert abs(float(found.log_partition) - truth) < 5 * float(found.standard_error) < 0.4


@pytest.mark.slow
def test_what_went_wrong_is_told():
    run = lambda law, betas, chains=100: annealed_importance(
        jax.random.key(5), tempered(law), lambda beta: systematic(law, beta), betas, hot(jax.random.key(6), chains), 0.0
    )
    assert int(run(lambda s: 10 * energy(s), jnp.array([0.0, 1.0])).result) == TOO_FEW_TEMPERATURES
    refused = lambda law: lambda beta: systematic(lambda s: 0 * law(s), beta)
    start = jnp.ones((20, 2))
    nowhere, unknown = lambda s: jnp.inf + s.sum(), lambda s: jnp.nan * s.sum()
    for law, wanted in ((nowhere, NO_OVERLAP), (unknown, DIVERGED)):
        path = lambda t, s, law=law: jnp.where(t > 0, law(s), 0.0)
        found = annealed_importance(
            jax.random.key(0), path, refused(lambda s: s.sum()), jnp.array([0.0, 1.0]), start, 0.0
        )
        assert int(found.result) == wanted


@pytest.mark.slow
def test_ends_that_have_not_mixed_are_told():
    """All of them in the state of highest energy: the way back says that Z is smaller than the way there does."""
    space = spin_cube(SPINS)
    highest = space.points[jnp.argmax(jax.vmap(energy)(space.points))]
    stuck = jnp.broadcast_to(highest, (400, SPINS))
    found = bidirectional(
        *(jax.random.key(7), tempered(energy), kernel, schedule(8)),
        *(hot(jax.random.key(8), 400), stuck, VOLUME),
    )
    assert int(found.result) == NOT_MIXED


@pytest.mark.slow
def test_a_sweep_over_keys_and_schedules_compiles_once():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def swept(keys, betas):
        run = lambda key, beta: annealed_importance(
            key, tempered(energy), kernel, beta * jnp.linspace(0, 1, 4), hot(key, 10), VOLUME
        )
        return jax.vmap(run)(keys, betas)

    many = swept(jax.random.split(jax.random.key(0), 3), jnp.array([0.1, 0.4, 0.7]))
    swept(jax.random.split(jax.random.key(1), 3), jnp.array([0.2, 0.5, 0.9]))
    one = annealed_importance(
        jax.random.split(jax.random.key(0), 3)[2],
        *(tempered(energy), kernel, 0.7 * jnp.linspace(0, 1, 4)),
        *(hot(jax.random.split(jax.random.key(0), 3)[2], 10), VOLUME),
    )
    np.testing.assert_allclose(many.log_partition[2], one.log_partition, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "betas", "chains", "steps"),
    [
        ("schedule: got one that goes back", [0.0, 0.5, 0.4], 4, 1),
        ("schedule: got one that goes back or repeats", [0.0, 0.5, 0.5], 4, 1),
        ("schedule: got", [0.0, math.inf], 4, 1),
        ("schedule: got 1 value", [0.5], 4, 1),
        ("starts: got 1 chain", [0.0, 0.5], 1, 1),
        ("steps", [0.0, 0.5], 4, 0),
    ],
)
def test_bad_input_is_refused_by_name(name, betas, chains, steps):
    with pytest.raises(ArgumentError, match=name):
        annealed(jax.random.key(0), tempered(energy), kernel, betas, jnp.ones((chains, SPINS)), steps)


def test_bad_ends_are_refused_by_their_name():
    with pytest.raises(ArgumentError, match="ends: got 1 chain"):
        bidirectional(
            *(jax.random.key(0), tempered(energy), kernel, schedule(2)), *(jnp.ones((4, 6)), jnp.ones((1, 6)), 0.0)
        )
