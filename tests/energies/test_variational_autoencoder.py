"""Autoencoders against integrals, closed forms and scipy: two routes to a likelihood, two ways for y to scatter."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial
from scipy import stats

from ebmjax import free_energy, gauss_hermite, interval, log_partition, posterior, product
from ebmjax.energies import variational_autoencoder as vae


def smooth(latent, pixels=3, seed=0):
    """A decoder with one hidden layer, and a linear encoder, in double precision."""
    random = np.random.default_rng(seed)
    inner, outer, bias = (jnp.asarray(random.normal(size=size)) for size in ((4, latent), (pixels, 4), pixels))
    decoder = Partial(lambda inner, outer, bias, z: outer @ jnp.tanh(0.6 * (inner @ z)) + bias, inner, outer, bias)
    encoder = Partial(lambda weights, y: weights @ y, jnp.asarray(random.normal(size=(2 * latent, pixels))))
    return vae.Params(encoder, decoder)


def linear(latent, pixels=4, seed=1):
    """y = W z + b, and W and b."""
    random = np.random.default_rng(seed)
    loading, bias = random.normal(size=(pixels, latent)), random.normal(size=pixels)
    decoder = Partial(lambda loading, bias, z: loading @ z + bias, jnp.asarray(loading), jnp.asarray(bias))
    return vae.Params(None, decoder), loading, bias


def as_code(point):
    """A point of one space is a number, one of a product a tuple of them."""
    return jnp.stack(jax.tree.leaves(point))


def prior_in_the_space(params, observation, y, latent, nodes):
    space = product(*[gauss_hermite(nodes)] * latent)
    return free_energy(lambda point: vae.misfit(params, observation, y, as_code(point)), space, 1.0)


def prior_in_the_energy(params, observation, y, latent, points):
    space = product(*[interval(-9.0, 9.0, points)] * latent)
    return -log_partition(lambda point: vae.energy(params, observation, y, as_code(point)), space, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("latent", "nodes", "points"), [(1, 180, 801), (2, 90, 181)])
@pytest.mark.parametrize(
    ("observation", "y"), [(vae.bernoulli(), [1.0, 0.0, 0.3]), (vae.gaussian(0.8), [0.5, -1.2, 2.0])]
)
def test_two_routes_to_one_likelihood(x64, latent, nodes, points, observation, y):
    """-log p(y): the prior as the measure of the space, or as a part of the energy."""
    params, y = smooth(latent), jnp.array(y)
    one = prior_in_the_space(params, observation, y, latent, nodes)
    other = prior_in_the_energy(params, observation, y, latent, points)
    np.testing.assert_allclose(one, other, rtol=1e-8)


@pytest.mark.slow
def test_binary_pictures_have_probabilities_that_add_up(x64):
    params = smooth(1)
    pictures = jnp.array(list(itertools.product([0.0, 1.0], repeat=3)))
    free = jax.vmap(lambda y: prior_in_the_energy(params, vae.bernoulli(), y, 1, 401))(pictures)
    np.testing.assert_allclose(jnp.exp(-free).sum(), 1.0, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("latent", "nodes", "points"), [(1, 180, 801), (2, 90, 181)])
def test_a_linear_decoder_makes_a_normal_law(x64, latent, nodes, points):
    """p(y) = N(b, W Wᵀ + s² I), and the posterior's mean is that of a regression."""
    scale = 0.7
    params, loading, bias = linear(latent)
    y = np.array([0.4, -1.0, 0.3, 1.5])
    covariance = loading @ loading.T + scale**2 * np.eye(4)
    truth = -stats.multivariate_normal(bias, covariance).logpdf(y)
    observation = vae.gaussian(scale)
    np.testing.assert_allclose(prior_in_the_energy(params, observation, jnp.asarray(y), latent, points), truth, 1e-9)
    np.testing.assert_allclose(prior_in_the_space(params, observation, jnp.asarray(y), latent, nodes), truth, 1e-6)

    space = product(*[interval(-9.0, 9.0, points)] * latent)
    law = posterior(lambda point: vae.energy(params, observation, jnp.asarray(y), as_code(point)), space, 1.0)
    mean = np.stack([law @ coordinate for coordinate in space.points])
    wanted = np.linalg.solve(loading.T @ loading + scale**2 * np.eye(latent), loading.T @ (y - bias))
    np.testing.assert_allclose(mean, wanted, rtol=1e-8)


def test_energy_less_misfit_is_the_prior(x64):
    params, y, z = smooth(2), jnp.array([1.0, 0.0, 1.0]), np.array([0.7, -1.9])
    both = [function(params, vae.bernoulli(), y, jnp.asarray(z)) for function in (vae.energy, vae.misfit)]
    np.testing.assert_allclose(both[0] - both[1], -stats.norm.logpdf(z).sum(), rtol=1e-12)


def logits_of_all_sizes(count, seed=0):
    """Moderate ones, and the largest that a trained decoder comes to on either side."""
    logits = 5 * np.random.default_rng(seed).normal(size=count)
    logits[::3] = 80.0
    logits[1::7] = -80.0
    return logits


# 112 is how many terms share a logarithm
@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 64, 111, 112, 113, 784])
def test_bernoulli_cost_is_the_cross_entropy(count):
    logits = logits_of_all_sizes(count)
    y = np.random.default_rng(1).uniform(size=count)
    truth = np.sum(np.logaddexp(0, logits) - y * logits)
    largest = np.abs(logits).sum()  # what single precision sums up before it cancels
    single = vae.bernoulli().cost(jnp.asarray(logits, jnp.float32), jnp.asarray(y, jnp.float32))
    assert single.dtype == jnp.float32
    assert abs(float(single) - truth) < 1e-6 * largest
    with jax.enable_x64(True):
        np.testing.assert_allclose(vae.bernoulli().cost(jnp.asarray(logits), jnp.asarray(y)), truth, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(113,), (10, 12), (784,)])
def test_bernoulli_slope_is_the_mean_less_the_picture(x64, shape):
    observation = vae.bernoulli()
    logits = jnp.asarray(logits_of_all_sizes(np.prod(shape)).reshape(shape))
    y = jnp.asarray(np.random.default_rng(1).uniform(size=shape))
    truth = 1 / (1 + np.exp(-np.asarray(logits))) - np.asarray(y)
    np.testing.assert_allclose(jax.grad(observation.cost)(logits, y), truth, rtol=1e-12)
    np.testing.assert_allclose(jax.jit(jax.grad(observation.cost))(logits, y), truth, rtol=1e-12)
    np.testing.assert_allclose(observation.mean(logits) - y, truth, rtol=1e-12)
    direction = jnp.cos(logits)
    slope = jax.jvp(observation.cost, (logits, y), (direction, jnp.zeros(shape)))[1]
    np.testing.assert_allclose(slope, np.sum(truth * np.asarray(direction)), rtol=1e-12)


@pytest.mark.slow
def test_bernoulli_curvature_is_the_variance(x64):
    logits = jnp.array([-3.0, 0.0, 0.4, 7.0])
    curvature = jax.hessian(vae.bernoulli().cost)(logits, jnp.ones(4))
    p = 1 / (1 + np.exp(-np.asarray(logits)))
    np.testing.assert_allclose(curvature, np.diag(p * (1 - p)), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("logit", [80.0, -80.0, 1e4, -1e4, 1e30, -1e30])
def test_bernoulli_at_extreme_logits(logit):
    """A picture that the decoder is sure of costs nothing; one that it excludes costs the logit a pixel; no NaN."""
    logits, cost = jnp.full(150, logit), vae.bernoulli().cost
    sure = jnp.full(150, 1.0 if logit > 0 else 0.0)
    assert float(cost(logits, sure)) == pytest.approx(0.0, abs=1e-30)
    np.testing.assert_allclose(cost(logits, 1 - sure), 150 * abs(logit), rtol=1e-6)
    for y in (sure, 1 - sure):
        np.testing.assert_allclose(jax.grad(cost)(logits, y), jax.nn.sigmoid(logits) - y)


def test_gaussian_cost_is_scipys(x64):
    random = np.random.default_rng(0)
    y, decoded = random.normal(size=(2, 5, 7))
    for scale in (0.05, 1.0, 3.0):
        truth = -stats.norm(decoded, scale).logpdf(y).sum()
        np.testing.assert_allclose(vae.gaussian(scale).cost(jnp.asarray(decoded), jnp.asarray(y)), truth, rtol=1e-12)
    cost = lambda scale: vae.gaussian(scale).cost(jnp.asarray(decoded), jnp.asarray(y))
    slope = jax.jit(jax.grad(cost))(jnp.array(0.6))  # a scale can be learned
    np.testing.assert_allclose(slope, 35 / 0.6 - np.sum((y - decoded) ** 2) / 0.6**3, rtol=1e-10)
    np.testing.assert_array_equal(vae.gaussian(0.6).mean(jnp.asarray(decoded)), decoded)


@pytest.mark.slow
def test_dense_networks_have_the_shapes_they_were_asked_for():
    params = vae.init(jax.random.key(0), 7, (6, 5), 3)
    widths = lambda network: [layer.kernel.shape for layer in network.layers]
    assert widths(params.encoder) == [(7, 6), (6, 5), (5, 6)]
    assert widths(params.decoder) == [(3, 5), (5, 6), (6, 7)]
    code = vae.encode(params, np.ones(7, np.float32))
    assert code.mean.shape == code.log_variance.shape == (3,)
    both = params.encoder(jnp.ones(7))
    np.testing.assert_array_equal(jnp.concatenate([code.mean, code.log_variance]), both)  # in this order
    assert vae.decode(params, code.mean).shape == (7,)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "observation"), [((4, 12), vae.bernoulli()), ((28, 28), vae.gaussian(0.5))])
def test_convolutional_networks(shape, observation):
    params = vae.init_convolutional(jax.random.key(0), shape, 3, channels=(4, 5))
    y = jnp.asarray(np.random.default_rng(0).uniform(size=shape), jnp.float32)

    @jax.jit
    def all_of_it(params, y):
        code = vae.encode(params, y)
        return code, vae.decode(params, code.mean), vae.energy(params, observation, y, code.mean)

    code, decoded, energy = all_of_it(params, y)
    assert (code.mean.shape, code.log_variance.shape, decoded.shape, energy.shape) == ((3,), (3,), shape, ())
    slopes = jax.jit(jax.grad(lambda params: all_of_it(params, y)[2]))(params)
    leaves = jax.tree.leaves(slopes)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in leaves)
    # every layer of both networks learns
    assert all(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(slopes.decoder))
    assert all(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(slopes.encoder))


@pytest.mark.parametrize("shape", [(6, 8), (8, 10), (2, 8), (0, 8)])
def test_pictures_that_cannot_be_halved_twice_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape: got .* multiples of 4"):
        vae.init_convolutional(jax.random.key(0), shape, 2)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_bad_scale_is_refused(scale):
    with pytest.raises(ValueError, match=r"scale: got .* positive"):
        vae.gaussian(scale)


@pytest.mark.parametrize("sizes", [(0, (5,), 2), (6, (0,), 2), (6, (5,), 0)])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match=r"(observed|sizes|latent): got"):
        vae.init(jax.random.key(0), *sizes)


@pytest.mark.slow
@pytest.mark.parametrize("function", [vae.energy, vae.misfit])
def test_a_bad_picture_is_refused(function):
    params, z = vae.init(jax.random.key(0), 6, (5,), 2), jnp.zeros(2)
    cost = partial(function, params, vae.bernoulli())
    for shape in ((), (1,), (5,), (6, 1), (2, 6)):
        with pytest.raises(ValueError, match=r"y: got shape .*, wanted \(6,\)"):
            cost(jnp.ones(shape), z)
        with pytest.raises(ValueError, match="y: got shape"):
            jax.jit(cost)(jnp.ones(shape), z)
    for worst in (1.5, -0.1, float("nan"), float("inf")):
        y = np.full(6, 0.5, np.float32)
        y[3] = worst
        with pytest.raises(ValueError, match="y: got values from"):
            cost(y, z)
        with pytest.raises(ValueError, match="y: got values from"):
            vae.check_unit_interval(np.stack([np.zeros(6, np.float32), y]))
        # in a batch it is traced: it alone is NaN
        costs = jax.vmap(lambda y: cost(y, z))(jnp.stack([jnp.zeros(6), y, jnp.ones(6)]))
        assert jnp.isnan(costs).tolist() == [False, True, False]
    good = jnp.array([0.0, 1.0, 0.5, 0.0, 1.0, 0.25])
    # a picture may be known while the code is traced
    np.testing.assert_allclose(jax.jit(lambda z: cost(good, z))(z), cost(good, z), rtol=1e-6)
    # a number of any size may be seen with normal noise
    assert bool(jnp.isfinite(function(params, vae.gaussian(1.0), jnp.full(6, -7.0), z)))
