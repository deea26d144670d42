"""Likelihoods of Gaussian and labelled machines against quadrature and all states, exactly and by annealing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import binary_cube
from ebmjax.energies import restricted_boltzmann as binary
from ebmjax.energies import restricted_boltzmann_gaussian as gaussian
from ebmjax.energies import restricted_boltzmann_labels as labels
from ebmjax.gaussian import Gaussian
from ebmjax.likelihoods import paths, restricted_gaussian, restricted_labels
from ebmjax.marginalize.enumeration import exact_estimate

RANDOM = np.random.default_rng(1)
BETA = 0.6
numbers = lambda *shape: jnp.asarray(RANDOM.normal(size=shape), jnp.float32)
REAL = gaussian.Params(0.8 * numbers(2, 5), numbers(2), numbers(5), jnp.log(jnp.array([0.5, 2.0])))
CLASSES = 3
LABELLED = binary.Params(numbers(7, 4), numbers(7), numbers(4))
IMAGES, HIDDEN = binary_cube(4).points, binary_cube(4).points
GRID = np.linspace(-16, 16, 321)
PLANE = jnp.asarray(np.stack(np.meshgrid(GRID / 2, GRID * 1.5, indexing="ij"), -1).reshape(-1, 2), jnp.float32)
CELL = (GRID[1] - GRID[0]) ** 2 * 0.75


@pytest.mark.slow
def test_density_of_a_gaussian_machine_integrates_to_one():
    hidden = binary_cube(5).points
    joint = jax.vmap(lambda v: jax.vmap(lambda h: gaussian.energy(REAL, v, h))(hidden))(PLANE)
    wanted = jax.nn.logsumexp(-BETA * joint, axis=1)
    log_z = restricted_gaussian.log_partition(REAL, BETA)
    np.testing.assert_allclose(log_z.log_partition, jax.nn.logsumexp(wanted) + np.log(CELL), atol=1e-4)
    found = restricted_gaussian.log_likelihoods(REAL, PLANE[::100], BETA, log_z)
    np.testing.assert_allclose(found.log_partition, wanted[::100] - log_z.log_partition, rtol=1e-5, atol=1e-4)


@pytest.mark.slow
def test_gaussian_machine_by_annealing_there_and_back():
    """Five laws only, so that a wrong weight or kernel shows. One false alarm in a million."""
    log_z = restricted_gaussian.log_partition(REAL, BETA).log_partition
    path = restricted_gaussian.path(REAL, BETA, Gaussian(jnp.zeros(2), jnp.log(jnp.array([4.0, 20.0]))))
    ends = restricted_gaussian.draws(jax.random.key(1), REAL, BETA, 2000)
    density = jnp.exp(restricted_gaussian.log_likelihoods(REAL, PLANE, BETA, exact_estimate(log_z)).log_partition)
    mean = CELL * density @ PLANE
    deviation = jnp.sqrt(CELL * density @ jnp.square(PLANE - mean[None]))
    kernel = path.make_kernel(1.0)
    step = jax.jit(jax.vmap(lambda key, visible: kernel.step(key, kernel.init(visible))[0].position))
    for drawn in (ends, step(jax.random.split(jax.random.key(2), 2000), ends)):  # the kernel leaves the law as it is
        assert (jnp.abs(drawn.mean(axis=0) - mean) < 5 * deviation / jnp.sqrt(2000)).all()
        assert (jnp.abs(drawn.std(axis=0) / deviation - 1) < 0.1).all()  # 5 standard errors are 0.08 for a normal law
    found = paths.sandwiched(jax.random.key(0), path, jnp.linspace(0, 1, 5), ends)
    assert abs(found.log_partition - log_z) < 5 * found.standard_error < 0.4
    assert found.lower - 0.3 < log_z < found.upper + 0.3


@pytest.mark.slow
def test_labelled_machine_against_all_its_states():
    of_label = lambda v, c: jax.vmap(lambda h: labels.energy(LABELLED, v, c, h, CLASSES))(HIDDEN)
    joint = jnp.stack([jax.vmap(lambda v, c=c: of_label(v, c))(IMAGES) for c in range(CLASSES)], axis=1)
    wanted = jax.nn.logsumexp(-BETA * joint, axis=2)
    log_z = restricted_labels.log_partition(LABELLED, BETA, CLASSES)
    np.testing.assert_allclose(log_z.log_partition, jax.nn.logsumexp(wanted), rtol=1e-6)
    classes = jnp.arange(16, dtype=jnp.int32) % CLASSES
    pairs = wanted[np.arange(16), np.arange(16) % CLASSES]
    found = restricted_labels.log_likelihoods(LABELLED, IMAGES, classes, BETA, CLASSES, log_z)
    np.testing.assert_allclose(found.log_partition, pairs - log_z.log_partition, atol=1e-5)
    found = restricted_labels.image_log_likelihoods(LABELLED, IMAGES, BETA, CLASSES, log_z)
    np.testing.assert_allclose(jax.nn.logsumexp(found.log_partition), 0, atol=1e-5)
    found = restricted_labels.label_log_likelihoods(LABELLED, IMAGES, classes, BETA, CLASSES)
    np.testing.assert_allclose(found, pairs - jax.nn.logsumexp(wanted, axis=1), atol=1e-5)


@pytest.mark.slow
def test_labelled_machine_by_annealing():
    """Few laws: within 5 standard errors of the exact value, with one label unit of each position at 1."""
    path = restricted_labels.path(LABELLED, BETA, numbers(7), CLASSES)
    found = paths.forward(jax.random.key(0), path, jnp.linspace(0, 1, 5), 2000)
    log_z = restricted_labels.log_partition(LABELLED, BETA, CLASSES).log_partition
    assert abs(found.log_partition - log_z) < 5 * found.standard_error < 0.3
    states = jnp.concatenate([jnp.repeat(IMAGES, CLASSES, axis=0), jnp.tile(jnp.eye(CLASSES), (16, 1))], axis=1)
    for t, value in ((0.0, path.log_partition), (1.0, log_z)):
        sums = jax.nn.logsumexp(-jax.jit(jax.vmap(path.reduced_energy, (None, 0)))(t, states))
        np.testing.assert_allclose(sums, value, rtol=1e-5)
    ends = paths.chained_ends(jax.random.key(1), path, jnp.linspace(0, 1, 5), 2000, 1)
    assert (ends[:, -CLASSES:].sum(axis=1) == 1).all()


@pytest.mark.parametrize("beta", [0.0, jnp.inf, -1.0])
def test_beta_is_refused_where_there_is_no_law(beta):
    with pytest.raises(ValueError, match=r"^beta: "):
        restricted_gaussian.log_partition(REAL, beta)
