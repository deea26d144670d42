"""Likelihoods of restricted Boltzmann machines against all states, by enumeration and by annealing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import binary_cube
from ebmjax.checks import ArgumentError
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.likelihoods import paths, restricted
from ebmjax.marginalize.annealed import annealed
from ebmjax.marginalize.enumeration import exact_estimate
from ebmjax.types import CONVERGED

RANDOM = np.random.default_rng(0)
MACHINE = rbm.Params(*(jnp.asarray(RANDOM.normal(size=size), jnp.float32) for size in ((8, 5), 8, 5)))
BASE = jnp.asarray(RANDOM.normal(size=8), jnp.float32)
TURNED = rbm.Params(MACHINE.weights.T, MACHINE.hidden_bias, MACHINE.visible_bias)
STATES = binary_cube(8).points
BETA = 0.7


def densities(params, beta):
    """log Σ_h exp(-beta E(v, h)) of all visible states, from the joint energies."""
    visible, hidden = (binary_cube(len(bias)).points for bias in params[1:])
    joint = jax.vmap(lambda v: jax.vmap(lambda h: rbm.energy(params, v, h))(hidden))(visible)
    return jax.nn.logsumexp(-beta * joint, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, BETA])
@pytest.mark.parametrize("params", [MACHINE, TURNED])
def test_exact_log_partition_from_either_side(params, beta):
    found = restricted.log_partition(params, beta)
    np.testing.assert_allclose(found.log_partition, jax.nn.logsumexp(densities(params, beta)), rtol=1e-6)
    assert float(found.standard_error) == 0


@pytest.mark.slow
def test_likelihoods_of_all_states():
    found = restricted.log_likelihoods(MACHINE, STATES, BETA, restricted.log_partition(MACHINE, BETA))
    np.testing.assert_allclose(found.log_partition, jax.nn.log_softmax(densities(MACHINE, BETA)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("params", [MACHINE, TURNED])
def test_exact_draws_have_the_law_of_the_machine_and_keep_it(params):
    """Every state within 5 standard errors of a multinomial law: a false alarm in a thousand runs or so."""
    count = 20_000
    drawn = np.asarray(restricted.draws(jax.random.key(3), params, BETA, count))
    cube = np.asarray(binary_cube(drawn.shape[1]).points)
    law = np.exp(jax.nn.log_softmax(densities(params, BETA)))
    powers = 2.0 ** np.arange(drawn.shape[1])
    order = np.argsort(cube @ powers)
    kernel = restricted.path(params, BETA, jnp.zeros(drawn.shape[1])).make_kernel(1.0)
    step = jax.jit(jax.vmap(lambda key, visible: kernel.step(key, kernel.init(visible))[0].position))
    moved = np.asarray(step(jax.random.split(jax.random.key(4), count), drawn))
    for states in (drawn, moved):  # the kernel of the path leaves the law as it is
        found = np.bincount((states @ powers).astype(int), minlength=len(cube)) / count
        assert (np.abs(found - law[order]) < 5 * np.sqrt(law[order] / count) + 5 / count).all()


@pytest.mark.slow
@pytest.mark.parametrize("exact", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_both_sides_enclose_the_exact_value(exact):
    """Within 5 standard errors, and the bounds within 5 of theirs: a false alarm in a million runs."""
    path, schedule = restricted.path(MACHINE, BETA, BASE), jnp.linspace(0, 1, 60)
    key = jax.random.key(2)
    ends = restricted.draws(key, MACHINE, BETA, 300) if exact else paths.chained_ends(key, path, schedule, 300, 200)
    found = paths.sandwiched(jax.random.key(1), path, schedule, ends)
    truth = restricted.log_partition(MACHINE, BETA).log_partition
    assert int(found.result) == CONVERGED
    assert abs(found.log_partition - truth) < 5 * found.standard_error < 0.2
    assert found.lower - 0.15 < truth < found.upper + 0.15


@pytest.mark.slow
def test_weights_of_the_path_and_its_kernels_are_those_of_its_laws():
    """Along a path of 3 laws only, E[w] is the ratio of the sums: a wrong weight, kernel or start would show."""
    path, schedule, chains = restricted.path(MACHINE, BETA, BASE), jnp.array([0.0, 0.5, 1.0]), 5000
    sums = jax.vmap(lambda t: jax.nn.logsumexp(-jax.vmap(lambda v: path.reduced_energy(t, v))(STATES)))(schedule)
    np.testing.assert_allclose(sums[0], path.log_partition, rtol=1e-6)
    np.testing.assert_allclose(sums[-1], restricted.log_partition(MACHINE, BETA).log_partition, rtol=1e-6)
    starts = path.starts(jax.random.key(6), chains)
    run = annealed(jax.random.key(5), path.reduced_energy, path.make_kernel, schedule, starts)
    weights = jax.nn.softmax(run.log_weights)
    law = jax.nn.softmax(densities(MACHINE, BETA))
    spread = 5 * jnp.sqrt(jnp.sum(weights**2))
    found = path.log_partition + jax.nn.logsumexp(run.log_weights) - jnp.log(chains)
    assert abs(found - sums[-1]) < spread < 0.25
    np.testing.assert_allclose(weights @ run.positions, law @ STATES, atol=float(spread))


def test_relative_takes_bounds_and_errors_of_both():
    log_z = exact_estimate(jnp.array(2.0))._replace(lower=jnp.array(1.5), upper=jnp.array(2.25), standard_error=0.3)
    density = exact_estimate(jnp.array([1.0, 5.0]))._replace(lower=jnp.array([0.5, 4.0]), standard_error=0.4)
    found = paths.relative(density, log_z)
    np.testing.assert_allclose(found.log_partition, [-1.0, 3.0])
    np.testing.assert_allclose(found.lower, [-1.75, 1.75])
    np.testing.assert_allclose(found.upper, [-0.5, 3.5])
    np.testing.assert_allclose(found.standard_error, 0.5)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("schedule", lambda path: paths.forward(jax.random.key(0), path, jnp.linspace(0, 0.9, 5), 10)),
        ("schedule", lambda path: paths.forward(jax.random.key(0), path, jnp.array([0, 0.6, 0.5, 1.0]), 10)),
        ("ends", lambda path: paths.sandwiched(jax.random.key(0), path, jnp.linspace(0, 1, 5), jnp.zeros((1, 8)))),
        ("base", lambda path: restricted.path(MACHINE, 1.0, jnp.zeros(7))),
        ("beta", lambda path: restricted.path(MACHINE, jnp.inf, BASE)),
    ],
)
def test_bad_input_is_refused_by_name(name, call):
    with pytest.raises(ArgumentError, match=rf"^{name}: "):
        call(restricted.path(MACHINE, BETA, BASE))
