"""Upper bounds of -log p(y) that an encoder makes tractable: variational free energies.

    -log p(y) ≤ -1/K-sample bound ≤ <-log p(y|z)>_q + KL(q(z|y) ‖ p(z)) = <E(y, z)>_q - H(q)

The right side is the free energy at beta = 1 with q in place of the posterior; it meets -log p(y) where q is the
posterior. Its second term, for a diagonal normal q and a standard normal prior, is a spring and a control of size,

    KL = ½ Σ μ²  +  ½ Σ (σ² - 1 - log σ²)

that hold the fuzzy balls q(z|y) near the origin and near the size of the prior.

Kingma and Welling (2014), "Auto-encoding variational Bayes", appendix B.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, check_count, check_not_negative
from ebmjax.gaussian import Gaussian, log_density, reparameterize
from ebmjax.loops import map_chunks
from ebmjax.losses.functional import StochasticLoss
from ebmjax.types import Scalar

Encode = Callable[[Any, Any], Gaussian]
"""`encode(params, y) -> Gaussian`, the law of one code."""

JointEnergy = Callable[[Any, Any, Any], Any]
"""`energy(params, y, z) -> scalar`, in nats."""


def spring(code: Gaussian) -> Float[Array, "*batch latent"]:
    """½ μ² in nats a dimension: what pulls a code to the origin.

    >>> spring(Gaussian(jnp.array([2.0]), jnp.zeros(1))).tolist()
    [2.0]
    """
    return jnp.square(code.mean) / 2


def size_control(code: Gaussian) -> Float[Array, "*batch latent"]:
    """½ (σ² - 1 - log σ²) in nats a dimension: what keeps the noise on a code from vanishing or growing; 0 at σ = 1.

    >>> size_control(Gaussian(jnp.array([2.0]), jnp.zeros(1))).tolist()
    [0.0]
    """
    # expm1: near σ = 1 the two terms cancel
    return (jnp.expm1(code.log_variance) - code.log_variance) / 2


def evidence_bound(
    misfit: JointEnergy, encode: Encode, pull: Scalar = 1.0, size: Scalar = 1.0, free_bits: Scalar = 0.0
) -> StochasticLoss:
    """Mean of <-log p(y|z)>_q + Σ max(pull · spring + size · size_control, free_bits), one z drawn for each y.

    With pull = size = 1 it is the negative evidence lower bound. With both equal to w it is the bound with a weight on
    the divergence; they may be traced, as in a sweep.

    Args:
        misfit: `misfit(params, y, z)` = -log p(y|z) in nats.
        encode: `encode(params, y) -> Gaussian`.
        pull: weight of the spring, at least 0.
        size: weight of the size control, at least 0.
        free_bits: nats that each dimension may cost, in the mean over the batch, before it is pressed down further, at
            least 0; dimensions then are not given up before they have been learned.

    Returns:
        `loss(key, params, batch)` in nats a sample.

    Raises:
        ValueError: a static weight or free_bits below zero.

    Kingma and Welling (2014), eq. 10; Higgins et al. (2017), for the weight; Kingma et al. (2016), eq. 15, for free
    bits.

    >>> misfit = lambda params, y, z: jnp.sum((y - z) ** 2) / 2
    >>> encode = lambda params, y: Gaussian(params * y, jnp.zeros(1))
    >>> loss = evidence_bound(misfit, encode)
    >>> bool(loss(jax.random.key(0), jnp.array(0.5), jnp.ones((4, 1))) > 0.125)
    True
    """
    for name, value in (("pull", pull), ("size", size), ("free_bits", free_bits)):
        check_not_negative(name, value)

    def loss(key: Key[Array, ""], params: Any, batch: Any) -> Float[Array, ""]:
        codes = jax.vmap(lambda y: encode(params, y))(batch)
        z = reparameterize(codes, jax.random.normal(key, codes.mean.shape, codes.mean.dtype))
        costs = jax.vmap(lambda y, z: misfit(params, y, z))(batch, z)
        prices = (pull * spring(codes) + size * size_control(codes)).mean(axis=0)
        return costs.mean() + jnp.maximum(prices, free_bits).sum()

    return loss


def importance_weighted_bound(energy: JointEnergy, encode: Encode, samples: int) -> StochasticLoss:
    """Mean of -log 1/K Σ_k exp(-E(y, z_k)) / q(z_k|y), K draws z_k of the encoder's law for each y.

    K = 1 is the evidence bound with the divergence drawn too; the bound falls to -log p(y) as K grows.

    Args:
        energy: `energy(params, y, z)` = -log p(y|z) - log p(z) in nats.
        encode: `encode(params, y) -> Gaussian`.
        samples: K, at least 1.

    Returns:
        `loss(key, params, batch)` in nats a sample.

    Raises:
        ValueError: samples below 1.

    Burda, Grosse, Salakhutdinov (2016), "Importance weighted autoencoders", eq. 8.

    >>> energy = lambda params, y, z: jnp.sum((y - z) ** 2 + z**2) / 2 + math.log(2 * math.pi)
    >>> posterior = lambda params, y: Gaussian(y / 2, jnp.full(1, math.log(0.5)))
    >>> loss = importance_weighted_bound(energy, posterior, 5)
    >>> round(float(loss(jax.random.key(0), None, jnp.zeros((3, 1)))), 4)  # log √(4π): q is the posterior
    1.2655
    """
    check_count("samples", samples)

    def loss(key: Key[Array, ""], params: Any, batch: Any) -> Float[Array, ""]:
        codes = jax.vmap(lambda y: encode(params, y))(batch)
        example_weights = lambda y, code, noise: _log_weights(energy, params, y, code, noise)
        weights = jax.vmap(example_weights)(batch, codes, _noise(key, codes, samples))
        return math.log(samples) - jax.nn.logsumexp(weights, axis=1).mean()

    return loss


def doubly_reparameterized_bound(energy: JointEnergy, encode: Encode, samples: int, kept: int) -> StochasticLoss:
    """`importance_weighted_bound` with a gradient that has less noise for the encoder and costs a third.

    The value is the same. The gradient is backpropagated through `kept` of the K draws only, chosen with their
    normalized weights w̃ as probabilities (systematically, so that the number of times each is chosen is w̃_k · kept
    rounded up or down), which leaves its mean as it is:

        decoder: Σ w̃_k ∇ log w_k        encoder: Σ w̃_k² (∂ log w_k / ∂z_k) ∇ z_k

    The encoder's is the doubly reparameterized gradient, of the same mean as that of the bound; its noise does not
    drown it as K grows.

    Args:
        energy, encode, samples: as in `importance_weighted_bound`.
        kept: draws with a gradient, 1 … samples.

    Raises:
        ValueError: samples below 1, kept outside 1 … samples.

    Burda et al. (2016), section 3, for the choice; Tucker, Lawson, Gu, Maddison (2019), eq. 7.

    >>> energy = lambda params, y, z: jnp.sum((y - z) ** 2 + z**2) / 2 + math.log(2 * math.pi)
    >>> posterior = lambda params, y: Gaussian(y / 2, jnp.full(1, math.log(0.5)))
    >>> loss = doubly_reparameterized_bound(energy, posterior, 5, 2)
    >>> round(float(loss(jax.random.key(0), None, jnp.zeros((3, 1)))), 4)
    1.2655
    """
    check_count("samples", samples)
    if not 1 <= kept <= samples:
        raise ArgumentError(f"kept: got {kept}, wanted 1 to {samples}, the number of samples")

    def loss(key: Key[Array, ""], params: Any, batch: Any) -> Float[Array, ""]:
        noise_key, choice_key = jax.random.split(key)
        codes = jax.vmap(lambda y: encode(params, y))(batch)
        held = jax.lax.stop_gradient(codes)
        noise = _noise(noise_key, codes, samples)
        constants = jax.lax.stop_gradient(params)
        # a few examples at a time, so that what is decoded for all their draws stays in the processor's cache
        weights = map_chunks(
            lambda example: _log_weights(energy, constants, *example), (batch, held, noise), max(1, 500 // samples)
        )
        value = math.log(samples) - jax.nn.logsumexp(weights, axis=1).mean()
        choice_keys = jax.random.split(choice_key, len(noise))

        def few(key, y, code, law, noise, weights):
            """Mean -log w over the chosen draws of one y, with the gradient of both parts."""
            shares = jax.nn.softmax(weights)
            places = (jnp.arange(kept, dtype=shares.dtype) + jax.random.uniform(key, (), shares.dtype)) / kept
            passed = jnp.cumsum(shares)[None] < places[:, None]
            chosen = passed.sum(axis=1).clip(max=samples - 1)  # rounded shares may add up to less than the last place
            share = shares[chosen][:, None]
            z = reparameterize(Gaussian(code.mean[None], code.log_variance[None]), noise[chosen])
            z = share * z + jax.lax.stop_gradient((1 - share) * z)  # the value of z, its gradient times its share
            law = Gaussian(law.mean[None], law.log_variance[None])
            log_proposal = log_density(law, (z - law.mean) * jnp.exp(-law.log_variance / 2))
            return (_energies(energy, params, y, z) + log_proposal).mean()

        surrogate = jax.vmap(few)(choice_keys, batch, codes, held, noise, weights).mean()
        return value + surrogate - jax.lax.stop_gradient(surrogate)

    return loss


def _noise(key, codes, samples):
    batch, latent = codes.mean.shape
    return jax.random.normal(key, (batch, samples, latent), codes.mean.dtype)


def _log_weights(energy, params, y, code, noise):
    """log exp(-E(y, z)) / q(z|y) of every draw z = μ + σ ε for one y."""
    code = Gaussian(code.mean[None], code.log_variance[None])
    return -_energies(energy, params, y, reparameterize(code, noise)) - log_density(code, noise)


def _energies(energy, params, y, z):
    return jax.vmap(lambda z: energy(params, y, z))(z)
