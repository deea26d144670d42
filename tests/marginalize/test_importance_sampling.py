"""Importance sampling against closed forms: partition functions of normal laws, likelihoods of linear decoders.

exp(estimate) has no bias, so means of it over many keys are held against Z within 5 standard errors: a false alarm has
a probability of 6e-7 for each number compared.
"""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy import stats

from ebmjax import interval, product
from ebmjax import log_partition as on_a_grid
from ebmjax.energies import variational_autoencoder as vae
from ebmjax.gaussian import Gaussian, log_density, reparameterize
from ebmjax.marginalize.importance_sampling import estimate_log_partition
from ebmjax.types import CONVERGED, NO_OVERLAP

STIFFNESS, CENTRE, DEPTH = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([0.4, -0.7]), 0.9


def bowl(z):
    away = z - jnp.asarray(CENTRE, z.dtype)
    return away @ jnp.asarray(STIFFNESS, z.dtype) @ away / 2 + DEPTH


def of_the_bowl(beta):
    """log Z in closed form."""
    return math.log(2 * math.pi / beta) - np.log(np.linalg.det(STIFFNESS)) / 2 - beta * DEPTH


def wide(beta, factor=1.5):
    """A law that is wider than exp(-beta E) in every direction."""
    variance = factor / beta / np.linalg.eigvalsh(STIFFNESS)[0]
    return Gaussian(jnp.array([0.2, -0.4]), jnp.full(2, math.log(variance)))


def ratios(run, truth, keys):
    """exp(estimate - truth) for every key: their mean is 1."""
    return np.exp(np.asarray(jax.jit(jax.vmap(run))(keys).log_partition) - truth)


def assert_mean(values, wanted):
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert abs(values.mean() - wanted) < 5 * error, (values.mean(), wanted, error)
    assert error < 0.05 * abs(wanted), "too noisy to tell"


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.3, 2.5])
def test_a_quadratic_energy_at_every_temperature(x64, beta):
    run = lambda key: estimate_log_partition(key, bowl, wide(beta), beta, 103, 10)
    assert_mean(ratios(run, of_the_bowl(beta), jax.random.split(jax.random.key(0), 1000)), 1.0)


@pytest.mark.slow
def test_the_standard_error_is_that_of_repetitions_and_few_effective_samples_are_no_estimate(x64):
    beta = 2.5
    run = jax.jit(jax.vmap(lambda key: estimate_log_partition(key, bowl, wide(beta), beta, 400, 100)))
    many = run(jax.random.split(jax.random.key(7), 400))
    scores = np.asarray((many.log_partition - of_the_bowl(beta)) / many.standard_error)
    assert 0.8 < scores.std() < 1.2
    assert abs(scores.mean()) < 0.3
    assert np.all(many.result == CONVERGED)
    assert (many.lower < of_the_bowl(beta)).mean() > 0.98
    narrow = Gaussian(jnp.full(2, 30.0), jnp.full(2, -4.0))
    assert int(estimate_log_partition(jax.random.key(0), bowl, narrow, beta, 400, 100).result) == NO_OVERLAP


def second_moment(beta):
    """<(w/Z)²> under the proposal, in closed form: 1 + the relative variance of one weight.

    w²q is exp(-2 beta E)/q, whose exponent is -½ zᵀPz + hᵀz + c.
    """
    law = jax.tree.map(np.asarray, wide(beta))
    precision = np.diag(np.exp(-law.log_variance))
    inverse = 2 * beta * STIFFNESS - precision
    pulled = 2 * beta * STIFFNESS @ CENTRE - precision @ law.mean
    constant = -beta * CENTRE @ STIFFNESS @ CENTRE + law.mean @ precision @ law.mean / 2 - 2 * beta * DEPTH
    normal = math.log(2 * math.pi) + law.log_variance.sum() / 2  # -log of the proposal's largest density
    integral = (
        math.log(2 * math.pi) - np.log(np.linalg.det(inverse)) / 2 + pulled @ np.linalg.solve(inverse, pulled) / 2
    )
    return np.exp(integral + constant + normal - 2 * of_the_bowl(beta))


def effective_by_hand(beta, samples, count):
    """(Σw)²/Σw² of `samples` draws, `count` times."""
    law = jax.tree.map(np.asarray, wide(beta))
    noise = np.random.default_rng(0).normal(size=(count, samples, 2))
    away = law.mean + np.exp(law.log_variance / 2) * noise - CENTRE
    weights = np.exp(-beta * np.einsum("...i,ij,...j", away, STIFFNESS, away) / 2 + (noise**2).sum(axis=-1) / 2)
    return weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 7, 20, 1000])
def test_every_draw_counts_once_whatever_the_chunk(x64, chunk):
    """The variance of a mean of K independent weights is that of one weight over K; a draw used twice changes it."""
    beta, samples = 0.7, 20
    run = lambda key: estimate_log_partition(key, bowl, wide(beta), beta, samples, chunk)
    estimates = jax.jit(jax.vmap(run))(jax.random.split(jax.random.key(1), 8000))
    squares = np.expm1(np.asarray(estimates.log_partition) - of_the_bowl(beta)) ** 2 * samples
    assert_mean(squares, second_moment(beta) - 1)
    ours, by_hand = np.asarray(estimates.effective_samples), effective_by_hand(beta, samples, 8000)
    error = math.sqrt((ours.var() + by_hand.var()) / 8000)
    assert abs(ours.mean() - by_hand.mean()) < 5 * error < 0.02 * samples


@pytest.mark.slow
def test_effective_samples_say_how_far_the_proposal_is_off(x64):
    """(Σw)²/Σw² of K draws is about K / <(w/Z)²>."""
    beta, samples = 0.7, 200_000
    estimate = estimate_log_partition(jax.random.key(2), bowl, wide(beta), beta, samples, 10_000)
    np.testing.assert_allclose(estimate.effective_samples, samples / second_moment(beta), rtol=0.02)
    assert 0.2 < float(estimate.effective_samples) / samples < 0.95


@pytest.mark.slow
@pytest.mark.parametrize(("samples", "chunk"), [(1, 1), (12, 5), (12, 4), (3, 100)])
def test_nothing_is_left_to_chance_where_the_proposal_is_the_law(x64, samples, chunk):
    beta = 2.5
    energy = lambda z: jnp.sum(jnp.array([2.0, 0.5, 1.0]) * (z - 0.3) ** 2) / 2 + DEPTH
    law = Gaussian(jnp.full(3, 0.3), -jnp.log(beta * jnp.array([2.0, 0.5, 1.0])))
    estimate = estimate_log_partition(jax.random.key(3), energy, law, beta, samples, chunk)
    truth = 1.5 * math.log(2 * math.pi / beta) - beta * DEPTH  # the stiffnesses multiply to 1
    np.testing.assert_allclose(estimate.log_partition, truth, rtol=1e-12)
    np.testing.assert_allclose(estimate.effective_samples, samples, rtol=1e-12)


@pytest.mark.slow
def test_the_likelihood_of_a_linear_decoder(x64):
    """log N(y; b, W Wᵀ + s² I), with a proposal that is not the posterior."""
    random = np.random.default_rng(0)
    loading, bias, scale = random.normal(size=(5, 2)), random.normal(size=5), 0.8
    decoder = Partial(lambda loading, bias, z: loading @ z + bias, jnp.asarray(loading), jnp.asarray(bias))
    params = vae.Params(None, decoder)
    law = stats.multivariate_normal(bias, loading @ loading.T + scale**2 * np.eye(5))
    pictures = law.rvs(4, random_state=np.random.default_rng(1))
    covariance = np.linalg.inv(np.eye(2) + loading.T @ loading / scale**2)

    def one(key, y):
        mean = jnp.asarray(covariance @ loading.T) @ (y - jnp.asarray(bias)) / scale**2
        proposal = Gaussian(mean + 0.1, jnp.log(1.6 * jnp.asarray(np.diag(covariance))))
        return estimate_log_partition(
            key, lambda z: vae.energy(params, vae.gaussian(scale), y, z), proposal, 1.0, 5000, 300
        )

    estimates = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(4), 4), jnp.asarray(pictures))
    errors = np.sqrt(1 / np.asarray(estimates.effective_samples) - 1 / 5000)
    assert (np.abs(estimates.log_partition - law.logpdf(pictures)) < 5 * errors).all()
    assert (errors < 0.05).all()


@pytest.mark.slow
def test_a_binary_decoder_against_a_grid(x64):
    random = np.random.default_rng(1)
    decoder = Partial(lambda weights, z: weights @ jnp.tanh(z), jnp.asarray(2 * random.normal(size=(6, 2))))
    energy = lambda z: vae.energy(vae.Params(None, decoder), vae.bernoulli(), jnp.array([1.0, 0, 0, 1, 1, 0]), z)
    beta = 0.8
    truth = on_a_grid(lambda point: energy(jnp.stack(point)), product(*[interval(-12.0, 12.0, 301)] * 2), beta)
    prior = Gaussian(jnp.zeros(2), jnp.full(2, 0.5))
    run = lambda key: estimate_log_partition(key, energy, prior, beta, 500, 120)
    assert_mean(ratios(run, float(truth), jax.random.split(jax.random.key(5), 1000)), 1.0)


@pytest.mark.slow
def test_memory_is_that_of_a_chunk():
    """A hundred times the draws need the same memory, except for their keys."""

    def temporary(samples):
        run = lambda key: estimate_log_partition(
            key, lambda z: jnp.sum(z**4), Gaussian(*jnp.zeros((2, 30))), 1.0, samples, 500
        )
        return jax.jit(run).lower(jax.random.key(0)).compile().memory_analysis().temp_size_in_bytes

    few, many = temporary(1000), temporary(100_000)
    assert many < few + 100_000
    assert many < 100_000 * 30 * 4 / 10


@pytest.mark.slow
def test_energies_far_from_zero_and_forbidden_places():
    law = Gaussian(jnp.zeros(2), jnp.full(2, 0.3))
    key = jax.random.key(6)
    near = estimate_log_partition(key, bowl, law, 0.8, 1000, 90)
    for offset in (1e4, -1e4):
        far = estimate_log_partition(key, lambda z, offset=offset: bowl(z) + offset, law, 0.8, 1000, 90)
        np.testing.assert_allclose(far.log_partition, near.log_partition - 0.8 * offset, rtol=1e-6)
        np.testing.assert_allclose(far.effective_samples, near.effective_samples, rtol=0.01)
    # half of the plane, for an energy that is symmetric about its edge
    half = lambda z: jnp.where(z[0] > 0, jnp.sum(z**2) / 2, jnp.inf)
    estimate = estimate_log_partition(key, half, law, 1.0, 20_000, 1500)
    error = math.sqrt(1 / float(estimate.effective_samples))
    assert abs(float(estimate.log_partition) - math.log(math.pi)) < 5 * error
    assert 0.3 < float(estimate.effective_samples) / 20_000 < 0.5
    nowhere = estimate_log_partition(key, lambda z: jnp.inf + z.sum(), law, 1.0, 10, 4)
    assert float(nowhere.log_partition) == -math.inf


@pytest.mark.slow
def test_a_sweep_over_temperatures_and_keys_compiles_once():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def swept(keys, betas, proposal):
        return jax.vmap(lambda key, beta: estimate_log_partition(key, bowl, proposal, beta, 100, 30))(keys, betas)

    betas = jnp.array([0.3, 1.0, 2.0])
    first = swept(jax.random.split(jax.random.key(0), 3), betas, wide(1.0))
    swept(jax.random.split(jax.random.key(1), 3), 2 * betas, wide(2.0))
    alone = estimate_log_partition(jax.random.split(jax.random.key(0), 3)[2], bowl, wide(1.0), 2.0, 100, 30)
    np.testing.assert_allclose(first.log_partition[2], alone.log_partition, rtol=1e-5)


def test_densities_are_scipys(x64):
    law = Gaussian(jnp.array([0.3, -2.0]), jnp.array([0.8, -1.7]))
    noise = jnp.array([[0.5, 1.3], [-2.0, 0.1]])
    z = np.asarray(jax.vmap(reparameterize, in_axes=(None, 0))(law, noise))
    deviation = np.exp([0.4, -0.85])
    np.testing.assert_allclose(z, [0.3, -2.0] + deviation * np.asarray(noise))
    truth = stats.norm([0.3, -2.0], deviation).logpdf(z).sum(axis=1)
    np.testing.assert_allclose(jax.vmap(log_density, in_axes=(None, 0))(law, noise), truth)


@pytest.mark.parametrize(
    ("beta", "samples", "chunk", "complaint"),
    [(-1.0, 10, 5, "beta"), (math.nan, 10, 5, "beta"), (1.0, 0, 5, "samples"), (1.0, 10, 0, "chunk")],
)
def test_bad_arguments_are_refused(beta, samples, chunk, complaint):
    with pytest.raises(ValueError, match=f"{complaint}: got"):
        estimate_log_partition(jax.random.key(0), bowl, wide(1.0), beta, samples, chunk)


@pytest.mark.slow
def test_memory_is_that_of_a_chunk_under_vmap():
    """A hundred y need the memory of one, except for what is theirs."""

    def temporary(count):
        decoder = jnp.ones((200, 30))
        one = lambda key, y: estimate_log_partition(
            key, lambda z: jnp.sum((decoder @ jnp.tanh(z - y)) ** 2), Gaussian(*jnp.zeros((2, 30))), 1.0, 5000, 500
        )
        keys, y = jax.random.split(jax.random.key(0), count), jnp.zeros((count, 30))
        return jax.jit(jax.vmap(one)).lower(keys, y).compile().memory_analysis().temp_size_in_bytes

    assert temporary(100) < temporary(1) + 200_000


@pytest.mark.slow
def test_a_gradient_through_the_estimate():
    energy = lambda width, z: jnp.sum(z**2) * width / 2
    log_z = lambda width: (
        estimate_log_partition(jax.random.key(0), lambda z: energy(width, z), wide(1.0), 1.0, 4000, 500).log_partition
    )
    slopes = jax.vmap(jax.grad(log_z))(jnp.array([0.9, 1.1]))
    np.testing.assert_allclose(slopes, [-1 / 0.9, -1 / 1.1], rtol=0.1)
