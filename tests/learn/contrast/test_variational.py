"""Learning of deep machines on enumerated ones: the slope of the bound, and the chains that estimate it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import binary_cube, free_energy, log_partition, posterior, train
from ebmjax.diagnostics import exact_mean, law_moments, z_scores
from ebmjax.energies import deep_boltzmann as dbm
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import contrastive_divergence, persistent, variational
from ebmjax.loops import trajectory
from ebmjax.marginalize.mean_field import mean_field
from ebmjax.sample.gibbs import block
from ebmjax.types import BITS

SIZES = (4, 3, 2)
DATA = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1]])


def machine(seed, dtype=float):
    random = np.random.default_rng(seed)
    weights = tuple(jnp.asarray(random.normal(size=s), dtype) for s in zip(SIZES, SIZES[1:], strict=False))
    return dbm.Params(weights, tuple(jnp.asarray(random.normal(size=n) / 2, dtype) for n in SIZES))


def split(units):
    return tuple(jnp.split(units, np.cumsum(SIZES)[:-1]))


def around(key, visible):
    return (visible, jnp.full(3, 0.5), jnp.full(2, 0.5))


def chain_start(key):
    return split(jax.random.bernoulli(key, 0.5, (sum(SIZES),)).astype(float))


def gibbs(beta):
    return lambda params: block(partial(dbm.energy, params), beta, dbm.odd_even(3), BITS)


def exact_loss(params, beta):
    """Mean -log p(v) / beta of the data, by enumeration; sums over hidden states."""
    energy = partial(dbm.energy, params)
    normalizer = log_partition(lambda units: energy(split(units)), binary_cube(9), beta)
    given = lambda v, hidden: energy((v, hidden[:3], hidden[3:]))
    log_joint = jax.vmap(lambda v: log_partition(partial(given, v), binary_cube(5), beta))(jnp.asarray(DATA, float))
    return (normalizer - log_joint.mean()) / beta


def bound_loss(params, beta):
    """The same with the variational bound in place of the sum over hidden states."""
    energy = partial(dbm.energy, params)
    normalizer = log_partition(lambda units: energy(split(units)), binary_cube(9), beta)
    of = lambda v: mean_field(energy, around(None, v), beta, dbm.odd_even_hidden(3), BITS, 5000, 1e-12).energy
    constant = 5 * jnp.log(2.0) / beta  # from averages over the cube of hidden states to sums
    return jax.vmap(of)(jnp.asarray(DATA, float)).mean() - constant + normalizer / beta


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.3, 1.7])
def test_the_bound_lies_above_the_likelihood(beta, x64):
    for seed in range(4):
        loss, bound = exact_loss(machine(seed), beta), bound_loss(machine(seed), beta)
        assert loss < bound < loss + 0.5


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.3, 1.7])
def test_the_contrast_with_the_law_has_the_slope_of_the_bound(beta, x64):
    """Positives from the phase, negatives from the enumerated law: equal gradients, to rounding."""
    params = machine(1)
    phase = variational(dbm.energy, around, beta, dbm.odd_even_hidden(3), max_sweeps=5000, tolerance=1e-12)
    positives, _ = phase.sample(jax.random.key(0), params, None, jnp.asarray(DATA, float))
    law = posterior(lambda units: dbm.energy(params, split(units)), binary_cube(9), beta)
    states = jax.vmap(split)(binary_cube(9).points)

    def exact_contrast(params):
        return jax.vmap(lambda s: dbm.energy(params, s))(positives).mean() - law @ jax.vmap(
            lambda s: dbm.energy(params, s)
        )(states)

    expected = jax.grad(bound_loss)(params, beta)
    for slope, exact in zip(jax.tree.leaves(jax.grad(exact_contrast)(params)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(slope, exact, atol=1e-8)


@pytest.mark.slow
def test_the_energy_at_the_means_is_the_mean_energy(x64):
    """E is multilinear: averaged over the independent law of all 32 hidden states it is E at the means."""
    params = machine(2)
    phase = variational(dbm.energy, around, 1.7, dbm.odd_even_hidden(3))
    (visible, first, second), _ = phase.sample(jax.random.key(0), params, None, jnp.asarray(DATA, float))
    hidden = binary_cube(5).points
    for v, mean, above in zip(visible, first, second, strict=True):
        means = jnp.concatenate([mean, above])
        weights = jnp.where(hidden == 1, means[None], 1 - means[None]).prod(axis=1)
        energies = jax.vmap(lambda h, v=v: dbm.energy(params, (v, h[:3], h[3:])))(hidden)
        np.testing.assert_allclose(dbm.energy(params, (v, mean, above)), weights @ energies, atol=1e-12)


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("beta", [0.3, 1.7])
def test_the_learner_steps_along_the_slope_of_the_bound(beta):
    """One update from chains that have mixed: every entry within 5 standard errors of the exact slope.

    29 entries from 20,000 independent chains, each run for 60 sweeps: a false alarm once in 60,000 runs.
    """
    params, chains = machine(3), 20_000
    phase = variational(dbm.energy, around, beta, dbm.odd_even_hidden(3), max_sweeps=200, tolerance=1e-6)
    negative = persistent(gibbs(beta), chain_start, chains, steps=60)
    learner = contrastive(dbm.energy, phase, negative, optax.sgd(1.0))
    key = jax.random.key(4)
    state, metrics = jax.jit(lambda key: learner.update(key, learner.init(key, params), jnp.asarray(DATA, float)))(key)
    states = state.negative.position
    of_state = jax.vmap(lambda s: jax.grad(dbm.energy)(params, s))(states)
    exact = jax.grad(bound_loss)(params, beta)
    for old, new, noise, expected in zip(*map(jax.tree.leaves, (params, state.params, of_state, exact)), strict=True):
        error = noise.std(axis=0) / np.sqrt(chains)
        assert (jnp.abs(old - new - expected) < 5 * error + 1e-5).all()
    assert jnp.isfinite(metrics.loss)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.3, 1.7])
def test_odd_even_sampling_has_the_enumerated_law(beta):
    """45 means and products and 8 bins of the energy: |z| exceeds 4.5 once in 2,800 runs."""
    params = machine(5)
    energy = partial(dbm.energy, params)
    space = binary_cube(9)
    flat = jax.vmap(lambda units: energy(split(units)))(space.points)
    law = posterior(lambda units: energy(split(units)), space, beta)
    order = jnp.argsort(flat)
    upto = jnp.searchsorted(jnp.cumsum(law[order]), jnp.linspace(0, 1, 9)[1:-1])  # bins of about 1/8 each
    bins = jnp.concatenate([flat.min(keepdims=True) - 1, flat[order][upto], flat.max(keepdims=True) + 1])
    truth = exact_mean(law_moments(space.points, flat, bins), law)

    def chain(key):
        start_key, run_key = jax.random.split(key)
        _, positions, _ = trajectory(run_key, gibbs(beta)(params), chain_start(start_key), 2200)
        return jnp.concatenate(positions, axis=1)[200:]

    units = jax.jit(jax.vmap(chain))(jax.random.split(jax.random.key(6), 8))
    moments = law_moments(units, jax.vmap(jax.vmap(lambda u: energy(split(u))))(units), bins)
    assert jnp.abs(z_scores(moments, truth)).max() < 4.5


@pytest.mark.slow
def test_clamped_sampling_leaves_the_data(x64):
    kernel = lambda params: block(partial(dbm.energy, params), 1.7, dbm.odd_even_hidden(3), BITS)
    phase = contrastive_divergence(kernel, lambda key, v: (v, jnp.zeros(3), jnp.zeros(2)), steps=3)
    positions, _ = phase.sample(jax.random.key(0), machine(6), None, jnp.asarray(DATA, float))
    np.testing.assert_array_equal(positions[0], DATA)
    assert set(np.unique(positions[1])) == {0.0, 1.0}


@pytest.mark.slow
@pytest.mark.optax
def test_learning_raises_the_exact_likelihood():
    beta = 1.7
    params = dbm.init(jax.random.key(0), jnp.asarray(DATA, float).mean(axis=0), (3, 2), scale=0.1)
    phase = variational(dbm.energy, around, beta, dbm.odd_even_hidden(3))
    learner = contrastive(dbm.energy, phase, persistent(gibbs(beta), chain_start, 100, 3), optax.sgd(0.1))
    trained = jax.jit(lambda key: train(key, learner, params, jnp.asarray(DATA, float), 6, 500))(jax.random.key(1))
    before, after = exact_loss(params, beta), exact_loss(trained.params, beta)
    assert trained.metrics.finite.all()
    # 4 kinds of sample, two of them twice, have an entropy of 1.33 nats; fair coins would need 2.77
    assert after * beta < before * beta - 0.5
    assert after * beta < 2.1


def test_bad_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match=r"beta: got -1\.0"):
        variational(dbm.energy, around, -1.0, ((1,),))
    with pytest.raises(ValueError, match="max_sweeps: got 0"):
        variational(dbm.energy, around, 1.0, ((1,),), max_sweeps=0)


@pytest.mark.slow
def test_the_free_energy_of_a_law_is_what_the_bound_is_compared_with(x64):
    """log_partition is log|cube| - beta F: the constant that the two conventions differ by."""
    energy = lambda units: dbm.energy(machine(0), split(units))
    np.testing.assert_allclose(
        log_partition(energy, binary_cube(9), 1.7), 9 * np.log(2) - 1.7 * free_energy(energy, binary_cube(9), 1.7)
    )
