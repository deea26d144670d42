"""log Z of continuous unknowns and likelihoods of decoders by annealing, against closed forms and grids."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebmjax
from ebmjax.checks import ArgumentError
from ebmjax.energies import variational_autoencoder as vae
from ebmjax.gaussian import Gaussian
from ebmjax.likelihoods import continuous, decoders, paths

RANDOM = np.random.default_rng(3)
BETA = 0.7
SCHEDULE = jnp.linspace(0, 1, 12)
WEIGHTS = jnp.asarray(RANDOM.normal(size=(5, 3)), jnp.float32)
NOISE = 0.7


def wells(x):
    """Two wells in the plane, of different depths."""
    return jnp.square(jnp.square(x[0]) - 1) + 0.3 * x[0] + jnp.square(x[1] - 0.5 * x[0])


def energy(y, z):
    """Of a linear decoder with normal noise: p(y) = N(0, WWᵀ + noise²)."""
    misfit = jnp.sum(jnp.square((y - WEIGHTS @ z) / NOISE)) / 2 + 5 * jnp.log(NOISE)
    return misfit + jnp.sum(jnp.square(z)) / 2 + 8 * jnp.log(2 * jnp.pi) / 2


@pytest.mark.slow
def test_two_wells_there_and_back_against_a_grid():
    """One false alarm in a million. The way back begins at draws of the grid."""
    space = ebmjax.box(-4.0, 4.0, 161, 2)
    log_z = ebmjax.log_partition(wells, space, BETA)
    base = Gaussian(jnp.array([0.2, 0.1]), jnp.array([0.3, 0.6]))
    path = continuous.path(wells, BETA, base, [0.4, 0.3], 4)
    rows = jax.random.categorical(jax.random.key(2), jnp.log(ebmjax.posterior(wells, space, BETA)), shape=(1000,))
    ends = jax.vmap(lambda x: continuous.position(base, x))(space.points[rows])
    np.testing.assert_allclose(continuous.unknown(base, ends[0]), space.points[rows[0]], rtol=1e-5, atol=1e-5)
    found = paths.sandwiched(jax.random.key(1), path, SCHEDULE, ends)
    assert abs(found.log_partition - log_z) < 5 * found.standard_error < 0.3
    assert found.lower - 0.2 < log_z < found.upper + 0.2


@pytest.mark.slow
def test_as_many_dimensions_as_a_picture_has_against_a_quadrature():
    """784 coordinates, each in a flat and tilted well, turned together by a rotation, so that all are coupled.

    log Z is 784 times the logarithm of an integral in one dimension. One false alarm in a million.
    """
    rotation = jnp.asarray(np.linalg.qr(RANDOM.normal(size=(784, 784)))[0], jnp.float32)
    well = lambda x: x**4 / 4 - x**2 / 2 + 0.2 * x
    path = continuous.path(
        lambda x: jnp.sum(well(rotation @ x)), BETA, Gaussian(jnp.zeros(784), jnp.zeros(784)), [0.25, 0.2], 5
    )
    found = paths.forward(jax.random.key(0), path, jnp.linspace(0, 1, 400), 64)
    grid = np.linspace(-6, 6, 4001)
    wanted = 784 * np.log(np.trapezoid(np.exp(-BETA * well(grid)), grid))
    assert abs(found.log_partition - wanted) < 5 * found.standard_error < 1.0


def simulated(samples):
    codes = jnp.asarray(RANDOM.normal(size=(samples, 3)), jnp.float32)
    return codes, codes @ WEIGHTS.T + NOISE * jnp.asarray(RANDOM.normal(size=(samples, 5)), jnp.float32)


@jax.jit
def exact(data):
    covariance = WEIGHTS @ WEIGHTS.T + NOISE**2 * jnp.eye(5)
    return jax.vmap(lambda y: jax.scipy.stats.multivariate_normal.logpdf(y, jnp.zeros(5), covariance))(data)


@pytest.mark.slow
def test_linear_decoder_from_the_prior_against_the_closed_form():
    """Annealed for all examples at once, in chunks, and from both sides. One false alarm in 10,000 runs."""
    codes, data = simulated(7)
    wanted = exact(data)
    prior = Gaussian(jnp.zeros((7, 3)), jnp.zeros((7, 3)))
    found = decoders.sandwiched(
        jax.random.key(0), energy, data, codes, prior, jnp.linspace(0, 1, 40), 200, [0.5, 0.25], 4, chunk=4
    )
    assert (jnp.abs(found.log_partition - wanted) < 5 * found.standard_error + 0.05).all()
    assert (found.standard_error < 0.1).all()
    assert (found.lower.mean() < wanted.mean() + 0.1) & (found.upper.mean() > wanted.mean() - 0.1)


@pytest.mark.slow
def test_a_decoder_from_a_good_base_needs_few_laws():
    """From the exact posterior every weight is p(y); from a shifted one the path corrects it."""
    _, data = simulated(3)
    wanted = exact(data)
    posterior = jnp.linalg.inv(jnp.eye(3) + WEIGHTS.T @ WEIGHTS / NOISE**2)
    means = data @ WEIGHTS @ posterior / NOISE**2
    base = Gaussian(means + 0.1, jnp.broadcast_to(jnp.log(jnp.diag(posterior)), means.shape))
    found = decoders.log_likelihoods(jax.random.key(1), energy, data, base, SCHEDULE, 200, [0.4, 0.4], 4, chunk=3)
    assert (jnp.abs(found.log_partition - wanted) < 5 * found.standard_error).all()
    assert (found.standard_error < 0.1).all()


@pytest.mark.slow
def test_a_variational_autoencoder_from_its_encoder_against_a_grid():
    """Networks with strong weights, whose posteriors of two codes are bent: log p(y) is an integral in the plane."""
    params = vae.init(jax.random.key(0), 12, (8,), 2)
    strong = lambda leaf: 3 * leaf if leaf.ndim == 2 else leaf
    params = params._replace(decoder=jax.tree.map(strong, params.decoder))
    energy = partial(vae.energy, params, vae.bernoulli())
    data = jnp.asarray(RANDOM.random((5, 12)) < 0.5, jnp.float32)
    space = ebmjax.box(-7.0, 7.0, 281, 2)
    wanted = jax.vmap(lambda y: ebmjax.log_partition(partial(energy, y), space, 1.0))(data)
    found = decoders.log_likelihoods(
        jax.random.key(1),
        energy,
        data,
        jax.vmap(partial(vae.encode, params))(data),
        jnp.linspace(0, 1, 40),
        200,
        [0.4, 0.3],
        4,
        chunk=5,
    )
    assert (jnp.abs(found.log_partition - wanted) < 5 * found.standard_error + 0.02).all()
    assert (found.standard_error < 0.1).all()


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("step_sizes", {"step_sizes": [0.1, 0.0]}),
        ("schedule", {"schedule": jnp.array([0.0, 0.5])}),
        ("bases", {"bases": Gaussian(jnp.zeros((2, 3)), jnp.zeros((2, 3)))}),
        ("codes", {"codes": jnp.zeros((7, 2))}),
    ],
)
def test_bad_input_is_refused_by_name(name, changed):
    codes, data = simulated(7)
    prior = Gaussian(jnp.zeros((7, 3)), jnp.zeros((7, 3)))
    right = {"codes": codes, "bases": prior, "schedule": SCHEDULE, "step_sizes": [0.1, 0.1]}
    with pytest.raises(ArgumentError, match=rf"^{name}: "):
        decoders.sandwiched(jax.random.key(0), energy, data, chains=5, steps=2, **(right | changed))
