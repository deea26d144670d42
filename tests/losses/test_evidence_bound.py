"""Variational bounds against integrals on grids and closed forms.

Means over random keys are held to a truth, or to each other, within 5 standard errors: a false alarm has a probability
of 6e-7 for each number compared.
"""

import itertools
import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.tree_util import Partial
from scipy import stats
from sklearn.datasets import load_digits

from ebmjax import interval, log_partition, posterior, product, train
from ebmjax.energies import variational_autoencoder as vae
from ebmjax.gaussian import Gaussian, log_density
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.loops import map_chunks
from ebmjax.losses.evidence_bound import (
    doubly_reparameterized_bound,
    evidence_bound,
    importance_weighted_bound,
    size_control,
    spring,
)

BERNOULLI, NORMAL = vae.bernoulli(), vae.gaussian(0.6)
PICTURE = np.array([1.0, 0.0, 1.0, 1.0])
LOADING = np.array([[1.0, 0.5], [0.5, -1.0], [-1.0, 0.5], [1.0, 0.5]])  # orthogonal columns: so is the posterior


def smooth(latent):
    """A decoder of four pixels with a hidden layer, and an encoder that knows little."""
    random = np.random.default_rng(latent)
    inner, outer = (jnp.asarray(random.normal(size=size)) for size in ((5, latent), (4, 5)))
    decoder = Partial(lambda inner, outer, z: outer @ jnp.tanh(0.7 * (inner @ z)), inner, outer)
    encoder = Partial(lambda weights, y: weights @ y, jnp.asarray(0.5 * random.normal(size=(2 * latent, 4))))
    return vae.Params(encoder, decoder)


def solved():
    """A linear decoder with normal noise, and the encoder that is its posterior."""
    covariance = np.linalg.inv(np.eye(2) + LOADING.T @ LOADING / 0.36)
    assert abs(covariance[0, 1]) < 1e-12
    weights, log_variance = jnp.asarray(covariance @ LOADING.T / 0.36), jnp.log(jnp.asarray(np.diag(covariance)))
    encoder = Partial(lambda weights, bias, y: jnp.concatenate([weights @ y, bias]), weights, log_variance)
    return vae.Params(encoder, Partial(lambda loading, z: loading @ z, jnp.asarray(LOADING)))


def energy_of(observation):
    return lambda params, y, z: vae.energy(params, observation, y, z)


def misfit_of(observation):
    return lambda params, y, z: vae.misfit(params, observation, y, z)


def drawn(loss, params, batch, count, seed=0):
    """The loss for many keys."""
    keys = jax.random.split(jax.random.key(seed), count)
    return np.asarray(jax.jit(lambda params: jax.vmap(lambda key: loss(key, params, batch))(keys))(params))


def error_of(values):
    return values.std(axis=0, ddof=1) / math.sqrt(len(values))


def grid(latent):
    return product(*[interval(-8.0, 8.0, 1001 if latent == 1 else 161)] * latent)


def on_the_grid(params, observation, y, latent):
    """-log p(y), and KL(q(z|y) ‖ p(z|y)) summed over the points."""
    energy = lambda point: vae.energy(params, observation, y, jnp.stack(point))
    space = grid(latent)
    truth = -log_partition(energy, space, 1.0)
    code = vae.encode(params, y)
    noise = (jnp.stack(space.points, axis=1) - code.mean[None]) * jnp.exp(-code.log_variance / 2)[None]
    log_q = log_density(Gaussian(code.mean[None], code.log_variance[None]), noise) + space.log_weights
    log_q += space.log_volume
    law = jnp.log(posterior(energy, space, 1.0))
    shares = jnp.exp(log_q)
    np.testing.assert_allclose(shares.sum(), 1.0, rtol=1e-6)  # the grid sees all of the ball
    return float(truth), float(jnp.sum(jnp.where(shares > 1e-200, shares * (log_q - law), 0)))


@pytest.mark.slow
@pytest.mark.parametrize("latent", [1, 2])
def test_the_gap_is_the_divergence_from_the_posterior(x64, latent):
    """Mean of the evidence bound = -log p(y) + KL(q ‖ posterior), the latter integrated."""
    params = smooth(latent)
    truth, gap = on_the_grid(params, BERNOULLI, jnp.asarray(PICTURE), latent)
    for loss in (
        evidence_bound(misfit_of(BERNOULLI), vae.encode),
        importance_weighted_bound(energy_of(BERNOULLI), vae.encode, 1),  # the divergence drawn too
    ):
        values = drawn(loss, params, jnp.asarray(PICTURE[None]), 20_000)
        error = error_of(values)
        assert abs(values.mean() - truth - gap) < 5 * error
        assert gap > 20 * error, "too noisy to tell"


@pytest.mark.slow
def test_it_is_met_by_the_posterior(x64):
    """The closed form of a linear decoder: on average by the evidence bound, at every draw by the weighted ones."""
    params = solved()
    batch = np.array([[0.3, -1.0, 0.8, 0.1], [2.0, 0.5, -0.4, 1.0]])
    covariance = LOADING @ LOADING.T + 0.36 * np.eye(4)
    truth = -stats.multivariate_normal(np.zeros(4), covariance).logpdf(batch).mean()
    values = drawn(evidence_bound(misfit_of(NORMAL), vae.encode), params, jnp.asarray(batch), 10_000)
    assert abs(values.mean() - truth) < 5 * error_of(values) < 0.05
    energy = energy_of(NORMAL)
    for loss in (
        importance_weighted_bound(energy, vae.encode, 1),
        importance_weighted_bound(energy, vae.encode, 3),
        doubly_reparameterized_bound(energy, vae.encode, 3, 2),
    ):
        np.testing.assert_allclose(drawn(loss, params, jnp.asarray(batch), 5), truth, rtol=1e-12)
    # and there the encoder has nothing to learn, whatever was drawn
    loss = doubly_reparameterized_bound(energy, vae.encode, 3, 2)
    slope = jax.jit(jax.grad(lambda params: loss(jax.random.key(0), params, jnp.asarray(batch))))(params)
    for leaf in jax.tree.leaves(slope.encoder):
        np.testing.assert_allclose(leaf, 0, atol=1e-12)
    assert float(jnp.abs(slope.decoder.args[0]).max()) > 0.01


@pytest.mark.slow
def test_more_samples_come_nearer(x64):
    """The weighted bound falls with K, to -log p(y) itself."""
    params = smooth(1)
    truth, gap = on_the_grid(params, BERNOULLI, jnp.asarray(PICTURE), 1)
    means, errors = [], []
    for samples in (1, 4, 32, 500):
        loss = importance_weighted_bound(energy_of(BERNOULLI), vae.encode, samples)
        values = drawn(loss, params, jnp.asarray(PICTURE[None]), 6000 if samples < 100 else 400)
        means.append(values.mean() - truth)
        errors.append(error_of(values))
    for (far, near), (one, other) in zip(itertools.pairwise(means), itertools.pairwise(errors), strict=True):
        assert near < far - 5 * math.hypot(one, other)
    assert all(mean > -5 * error for mean, error in zip(means, errors, strict=True))
    assert means[-1] < 5 * errors[-1] + 0.01 * gap


TILTED = jnp.array([1.3, 0.1, 0.1])  # y = 1.3 z + noise; q(z|y) = N(0.1 y, exp(0.1))


def tilted_energy(params, y, z):
    return jnp.sum((y - params[0] * z) ** 2 + z**2) / 2 + math.log(2 * math.pi)


def tilted_code(params, y):
    return Gaussian(params[1] * y, jnp.full(1, params[2]))


@pytest.fixture(scope="module")
def slopes():
    """Values and gradients of three losses for 20,000 keys, by the parameters of decoder and encoder."""
    batch = jnp.array([[1.5], [-0.3]])

    def many(loss, seed):
        one = lambda key: jax.value_and_grad(lambda params: loss(key, params, batch))(TILTED)
        keys = jax.random.split(jax.random.key(seed), 20_000)
        return jax.tree.map(np.asarray, jax.jit(lambda keys: map_chunks(one, keys, 2000))(keys))

    plain = many(importance_weighted_bound(tilted_energy, tilted_code, 6), 0)
    return plain, {
        kept: many(doubly_reparameterized_bound(tilted_energy, tilted_code, 6, kept), kept) for kept in (2, 6)
    }


@pytest.mark.slow
@pytest.mark.parametrize("kept", [2, 6])
def test_the_other_gradient_has_the_same_mean(slopes, kept):
    (_, plain), (_, ours) = slopes[0], slopes[1][kept]
    errors = np.hypot(error_of(plain), error_of(ours))
    assert (np.abs(ours.mean(axis=0) - plain.mean(axis=0)) < 5 * errors).all()
    assert (np.abs(plain.mean(axis=0)) > 10 * errors).all(), "too noisy to tell"


@pytest.mark.slow
def test_the_other_gradient_has_less_noise_for_the_encoder(slopes):
    plain = slopes[0][1].std(axis=0)
    assert (slopes[1][6][1].std(axis=0)[1:] < 0.6 * plain[1:]).all()
    assert (slopes[1][2][1].std(axis=0)[1:] < plain[1:]).all()


@pytest.mark.parametrize("kept", [2, 6])
def test_the_value_has_the_same_law(slopes, kept):
    """Two-sample Kolmogorov-Smirnov: a false alarm in a million."""
    plain, ours = slopes[0][0], slopes[1][kept][0]
    assert stats.ks_2samp(plain, ours).pvalue > 1e-6


def test_spring_and_size_control_are_the_divergence(x64):
    random = np.random.default_rng(0)
    code = Gaussian(jnp.asarray(random.normal(size=(5, 3))), jnp.asarray(random.normal(size=(5, 3))))
    variance = np.exp(np.asarray(code.log_variance))
    formula = (np.asarray(code.mean) ** 2 + variance - 1 - np.log(variance)) / 2
    ours = np.asarray(spring(code) + size_control(code))
    np.testing.assert_allclose(ours, formula, rtol=1e-10)
    z = np.linspace(-30, 30, 60_001)
    for mean, spread, value in zip(np.ravel(code.mean), np.ravel(np.sqrt(variance)), ours.ravel(), strict=True):
        law = stats.norm(mean, spread)
        integrand = np.where(law.pdf(z) > 0, law.pdf(z) * (law.logpdf(z) - stats.norm.logpdf(z)), 0)
        np.testing.assert_allclose(np.trapezoid(integrand, z), value, rtol=1e-7)


def test_size_control_keeps_its_digits_near_one():
    """¼ (log σ²)² for small ones: the plain formula has none left in single precision."""
    logs = jnp.array([1e-3, -1e-3, 1e-2])
    np.testing.assert_allclose(size_control(Gaussian(jnp.zeros(3), logs)), np.square(np.asarray(logs)) / 4, rtol=4e-3)


@pytest.mark.slow
def test_weights_of_spring_and_size(x64):
    params, batch = smooth(2), jnp.array([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.5], [1.0, 1.0, 0.0, 0.0]])
    key, misfit = jax.random.key(0), misfit_of(BERNOULLI)
    loss = lambda pull, size: float(evidence_bound(misfit, vae.encode, pull, size)(key, params, batch))
    codes = jax.vmap(lambda y: vae.encode(params, y))(batch)
    prices = [float(control(codes).sum(axis=1).mean()) for control in (spring, size_control)]
    assert min(prices) > 0.05
    for pull, size in ((1.0, 1.0), (0.3, 0.0), (0.0, 2.0), (4.0, 0.5)):
        np.testing.assert_allclose(loss(pull, size) - loss(0.0, 0.0), pull * prices[0] + size * prices[1], rtol=1e-10)


@pytest.mark.slow
def test_free_bits_hold_for_the_mean_of_the_batch(x64):
    """A dimension whose mean price is below costs free_bits and has no gradient; single examples may lie on either
    side."""
    means = jnp.array([[3.0, 0.0], [0.0, 0.1], [0.0, 0.2]])  # prices 4.5/3 = 1.5 and 0.025/3
    encode = lambda params, row: Gaussian(params * means[row], jnp.zeros(2))
    nothing, ones, rows = lambda params, y, z: 0.0 * z.sum(), jnp.ones(2), jnp.arange(3)
    for free_bits, value, slope in (
        (0.0, 1.5 + 0.025 / 3, [3.0, 0.05 / 3]),
        (1.0, 2.5, [3.0, 0.0]),
        (2.0, 4.0, [0.0, 0.0]),
    ):
        loss = evidence_bound(nothing, encode, free_bits=free_bits)
        ours = jax.value_and_grad(lambda params, loss=loss: loss(jax.random.key(0), params, rows))(ones)
        np.testing.assert_allclose(ours[0], value, rtol=1e-12)
        np.testing.assert_allclose(ours[1], slope, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.optax
def test_training_lowers_the_bound_of_digits_it_has_not_seen():
    pictures = jnp.asarray(load_digits().data > 7, jnp.float32)
    seen, unseen = pictures[:1500], pictures[1500:]
    vae.check_unit_interval(seen)
    loss = evidence_bound(misfit_of(BERNOULLI), vae.encode)
    params = vae.init(jax.random.key(0), 64, (32,), 2)
    learner = stochastic_gradient(loss, optax.adam(1e-2))
    trained = jax.jit(lambda key: train(key, learner, params, seen, 50, 20))(jax.random.key(1))
    judge = jax.jit(lambda params: loss(jax.random.key(2), params, unseen))
    # a picture of independent pixels, each with its mean over all digits, costs this
    mean, wanted = np.asarray(seen).mean(axis=0).clip(1e-3, 1 - 1e-3), np.asarray(unseen)
    alone = -(wanted * np.log(mean) + (1 - wanted) * np.log1p(-mean)).sum(axis=1).mean()
    assert float(judge(trained.params)) < float(alone) - 2 < float(judge(params)) - 5


@pytest.mark.slow
@pytest.mark.optax
def test_seeds_and_weights_compile_once():
    data = jax.random.uniform(jax.random.key(0), (24, 6))

    def one(key, pull, size):
        loss = evidence_bound(misfit_of(BERNOULLI), vae.encode, pull, size)
        learner = stochastic_gradient(loss, optax.adam(1e-2))
        return train(key, learner, vae.init(key, 6, (5,), 2), data, 8, 2)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def swept(keys, pulls, sizes):
        over_weights = jax.vmap(one, in_axes=(None, 0, 0))
        return jax.vmap(over_weights, in_axes=(0, None, None))(keys, pulls, sizes).metrics.learner.loss

    weights = jnp.array([0.0, 1.0, 4.0])
    losses = swept(jax.random.split(jax.random.key(0), 2), weights, weights)
    swept(jax.random.split(jax.random.key(1), 2), 2 * weights, weights)
    assert losses.shape == (2, 3, 2, 3)
    assert (losses[:, 0, 0, 0] < losses[:, 1, 0, 0]).all()
    assert (losses[:, 1, 0, 0] < losses[:, 2, 0, 0]).all()
    alone = one(jax.random.split(jax.random.key(0), 2)[1], 1.0, 1.0).metrics.learner.loss
    np.testing.assert_allclose(losses[1, 1], alone, rtol=1e-4)


@pytest.mark.parametrize("name", ["spring_weight", "size_weight", "free_bits"])
@pytest.mark.parametrize("value", [-1.0, math.nan])
def test_a_negative_weight_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}: got"):
        partial(evidence_bound, misfit_of(BERNOULLI), vae.encode)(**{name: value})


def test_bad_numbers_of_samples_are_refused():
    energy = energy_of(BERNOULLI)
    for samples in (0, -3):
        with pytest.raises(ValueError, match="samples: got"):
            importance_weighted_bound(energy, vae.encode, samples)
        with pytest.raises(ValueError, match="samples: got"):
            doubly_reparameterized_bound(energy, vae.encode, samples, 1)
    for kept in (0, 6, -1):
        with pytest.raises(ValueError, match=r"kept: got .* wanted 1 to 5"):
            doubly_reparameterized_bound(energy, vae.encode, 5, kept)


@pytest.mark.slow
def test_bytes_of_a_picture_are_refused_or_not_a_number():
    """A picture of 0 … 255 has no Bernoulli likelihood: refused by name if static, else NaN with its slopes."""
    params = vae.init(jax.random.key(0), 6, (5,), 2)
    loss = evidence_bound(lambda params, y, z: vae.misfit(params, vae.bernoulli(), y, z), vae.encode)
    pictures = np.arange(18, dtype=np.uint8).reshape(3, 6)
    with pytest.raises(ValueError, match="y: got values from"):
        loss(jax.random.key(0), params, pictures)
    value, slopes = jax.jit(jax.value_and_grad(loss, 1))(jax.random.key(0), params, jnp.asarray(pictures))
    assert jnp.isnan(value)
    assert all(jnp.isnan(leaf).any() for leaf in jax.tree.leaves(slopes))
    binary = (pictures > 7).astype(np.uint8)
    assert loss(jax.random.key(0), params, binary) == loss(jax.random.key(0), params, binary.astype(np.float32))
