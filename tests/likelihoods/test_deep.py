"""Likelihoods of deep Boltzmann machines against all states, by mean fields and by annealing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import binary_cube
from ebmjax.checks import ArgumentError
from ebmjax.energies import deep_boltzmann as dbm
from ebmjax.likelihoods import deep, paths

RANDOM = np.random.default_rng(2)
BETA = 0.8
SIZES = 4, 3, 3, 2
numbers = lambda *shape: jnp.asarray(RANDOM.normal(size=shape), jnp.float32)
MACHINE = dbm.Params(
    tuple(numbers(below, above) for below, above in zip(SIZES, SIZES[1:], strict=False)),
    tuple(numbers(size) for size in SIZES),
)
SPLITS = np.cumsum(SIZES)[:-1].tolist()


@functools.cache
def log_sums():
    """The 16 visible states, and log Σ_h exp(-beta E(v, h)) of each."""
    cube = binary_cube(sum(SIZES)).points
    energies = jax.jit(jax.vmap(lambda units: dbm.energy(MACHINE, tuple(jnp.split(units, SPLITS)))))(cube)
    visible = binary_cube(SIZES[0]).points
    same = (cube[:, None, : SIZES[0]] == visible[None]).all(axis=-1)
    return visible, jax.nn.logsumexp(jnp.where(same, -BETA * energies[:, None], -jnp.inf), axis=0)


@pytest.mark.slow
def test_exact_log_partition_and_a_path_that_ends_there():
    """With 5 laws, within 5 standard errors: one false alarm in a million."""
    log_z = deep.log_partition(MACHINE, BETA).log_partition
    np.testing.assert_allclose(log_z, jax.nn.logsumexp(log_sums()[1]), rtol=1e-6)
    path = deep.path(MACHINE, BETA, tuple(numbers(size) for size in SIZES))
    odd = SIZES[1] + SIZES[3]
    positions = tuple(jnp.split(binary_cube(odd).points, [SIZES[1]], axis=1))
    for t, wanted in ((0.0, path.log_partition), (1.0, log_z)):
        sums = jax.nn.logsumexp(-jax.jit(jax.vmap(path.reduced_energy, (None, 0)))(t, positions))
        np.testing.assert_allclose(sums, wanted, rtol=1e-5)
    found = paths.forward(jax.random.key(0), path, jnp.linspace(0, 1, 5), 2000)
    assert abs(found.log_partition - log_z) < 5 * found.standard_error < 0.4


@pytest.mark.slow
def test_bounds_are_below_and_annealed_likelihoods_right():
    """The posterior is annealed over 4 laws only, so that the kernel counts. One false alarm in 100,000."""
    visible, sums = log_sums()
    log_z = deep.log_partition(MACHINE, BETA)
    wanted = sums - log_z.log_partition
    bounds = deep.bounds(MACHINE, visible, BETA, log_z)
    assert (bounds.log_partition < wanted + 1e-5).all()
    assert (bounds.log_partition > wanted - 1).all()
    found = deep.log_likelihoods(jax.random.key(1), MACHINE, visible, BETA, log_z, jnp.linspace(0, 1, 4), 1000, 16)
    assert (jnp.abs(found.log_partition - wanted) < 5 * found.standard_error).all()
    assert (found.standard_error < 0.05).all()
    assert found.log_partition.mean() > bounds.log_partition.mean() + 0.01


def test_the_clamped_machine_has_the_energy_of_the_whole_one():
    layers = [jnp.asarray(RANDOM.integers(0, 2, size), jnp.float32) for size in SIZES]
    rest, weight = deep.clamped(MACHINE, layers[0])
    np.testing.assert_allclose(dbm.energy(rest, layers[1:]) - weight, dbm.energy(MACHINE, layers), rtol=1e-5)


def test_bad_input_is_refused_by_name():
    with pytest.raises(ArgumentError, match=r"^base: got 2"):
        deep.path(MACHINE, BETA, (jnp.zeros(4), jnp.zeros(3)))
    single = dbm.Params(MACHINE.weights[:1], MACHINE.biases[:2])
    with pytest.raises(ArgumentError, match=r"^params: got one hidden layer"):
        deep.clamped(single, jnp.zeros(4))
