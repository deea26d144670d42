"""Upper bounds of -log p(y) that an encoder makes tractable: variational free energies.

    -log p(y) ≤ -1/K-sample bound ≤ <-log p(y|z)>_q + KL(q(z|y) ‖ p(z)) = <E(y, z)>_q - H(q)

The right side is the variational free energy at beta = 1: q stands in place of the posterior, and equality holds where
q is the posterior. For a diagonal normal q and a standard normal prior, the divergence has two terms,

    KL = ½ Σ μ²  +  ½ Σ (σ² - 1 - log σ²)

The first, the spring, pulls the mean of q to 0. The second, the size control, pulls its variance to 1.

`evidence_bound` is the usual one to take. `importance_weighted_bound` is tighter, the more so the more samples it draws
(K). `doubly_reparameterized_bound` has the same value with a cheaper and less noisy gradient: take it for K above 1.

Kingma and Welling (2014), "Auto-encoding variational Bayes", appendix B.
"""

import math
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.checks import (
    ArgumentError,
    as_float,
    as_number,
    as_scalar,
    check_callable,
    check_count,
    check_not_negative,
    check_record,
    is_static,
)
from ebmjax.gaussian import Gaussian, log_density, reparameterize
from ebmjax.loops import map_chunks
from ebmjax.losses.functional import StochasticLoss, as_samples
from ebmjax.types import Scalar


@runtime_checkable
class Encode(Protocol):
    """An encoder: the variational law q(z|y), such as `ebmjax.energies.variational_autoencoder.encode`."""

    def __call__(self, params: Any, y: Any, /) -> Gaussian:
        """The law of the code of one y."""
        ...


@runtime_checkable
class JointEnergy(Protocol):
    """An energy of y and its code z, in nats, whose parameters are still open."""

    def __call__(self, params: Any, y: Any, z: Any, /) -> Any:
        """The energy of one pair, a scalar."""
        ...


def spring(code: Gaussian) -> Float[Array, "*batch latent"]:
    """½ μ² in nats a dimension, the term that pulls the mean of a code to 0.

    Raises ValueError for a code that is no `Gaussian`.

    >>> spring(Gaussian(jnp.array([2.0]), jnp.zeros(1))).tolist()
    [2.0]
    """
    check_record("code", code, Gaussian)
    return jnp.square(as_float("code", code.mean)) / 2


def size_control(code: Gaussian) -> Float[Array, "*batch latent"]:
    """½ (σ² - 1 - log σ²) in nats a dimension, the term that pulls the variance of a code to 1; it is 0 at σ = 1.

    Raises ValueError for a code that is no `Gaussian`.

    >>> size_control(Gaussian(jnp.array([2.0]), jnp.zeros(1))).tolist()
    [0.0]
    """
    # expm1: near σ = 1 the two terms cancel
    check_record("code", code, Gaussian)
    log_variance = as_float("code", code.log_variance)
    return (jnp.expm1(log_variance) - log_variance) / 2


def evidence_bound(
    misfit: JointEnergy,
    encode: Encode,
    spring_weight: Scalar = 1.0,
    size_weight: Scalar = 1.0,
    free_bits: Scalar = 0.0,
) -> StochasticLoss:
    """Mean of <-log p(y|z)>_q + Σ max(a · spring + b · size_control, free_bits), one z drawn for each y.

    With a = b = 1 it is the negative evidence lower bound. With a = b = w it is the bound with the weight w on the
    divergence, as of a beta-VAE. Both weights may be traced, as in a sweep.

    Args:
        misfit: `misfit(params, y, z)` = -log p(y|z) in nats.
        encode: `encode(params, y) -> Gaussian`.
        spring_weight: a, at least 0.
        size_weight: b, at least 0.
        free_bits: nats, at least 0. A dimension whose divergence, in the mean over the batch, is below it has no
            gradient to fall further. This keeps a dimension from being switched off before it has been learned.

    Returns:
        `loss(key, params, batch)` in nats a sample.

    Raises:
        ValueError: a static weight or free_bits that is negative.

    Kingma and Welling (2014), eq. 10; Higgins et al. (2017), for the weight; Kingma et al. (2016), eq. 15, for free
    bits.

    >>> misfit = lambda params, y, z: jnp.sum((y - z) ** 2) / 2
    >>> encode = lambda params, y: Gaussian(params * y, jnp.zeros(1))
    >>> loss = evidence_bound(misfit, encode)
    >>> bool(loss(jax.random.key(0), jnp.array(0.5), jnp.ones((4, 1))) > 0.125)
    True
    """
    for name, value in (("spring_weight", spring_weight), ("size_weight", size_weight), ("free_bits", free_bits)):
        check_not_negative(name, value)
    check_callable("misfit", misfit)
    check_callable("encode", encode)
    named = (("spring_weight", spring_weight), ("size_weight", size_weight), ("free_bits", free_bits))
    weights = [as_number(name, weight) for name, weight in named]

    def loss(key: Key[Array, ""], params: Any, batch: Any) -> Float[Array, ""]:
        batch, codes = _encoded(misfit, encode, params, batch)
        spring_weight, size_weight, free_bits = (number.astype(codes.mean.dtype) for number in weights)
        z = reparameterize(codes, jax.random.normal(key, codes.mean.shape, codes.mean.dtype))
        costs = jax.vmap(lambda y, z: as_scalar("misfit", misfit(params, y, z)))(batch, z)
        prices = (spring_weight * spring(codes) + size_weight * size_control(codes)).mean(axis=0)
        return costs.mean() + jnp.maximum(prices, free_bits).sum()

    return loss


def importance_weighted_bound(energy: JointEnergy, encode: Encode, samples: int) -> StochasticLoss:
    """Mean of -log 1/K Σ_k exp(-E(y, z_k)) / q(z_k|y), K draws z_k of the encoder's law for each y.

    K = 1 is the evidence bound with its divergence estimated from the same draw. The bound falls to -log p(y) as K
    grows.

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
    check_callable("energy", energy)
    check_callable("encode", encode)
    check_count("samples", samples)

    def loss(key: Key[Array, ""], params: Any, batch: Any) -> Float[Array, ""]:
        batch, codes = _encoded(energy, encode, params, batch)
        example_weights = lambda y, code, noise: _log_weights(energy, params, y, code, noise)
        weights = jax.vmap(example_weights)(batch, codes, _noise(key, codes, samples))
        return math.log(samples) - jax.nn.logsumexp(weights, axis=1).mean()

    return loss


def doubly_reparameterized_bound(energy: JointEnergy, encode: Encode, samples: int, kept: int) -> StochasticLoss:
    """`importance_weighted_bound` with a cheaper gradient, which has less noise for the encoder.

    The value is the same, and so is the mean of the gradient. It is backpropagated through `kept` of the K draws only,
    chosen with their normalized weights w̃ as probabilities. The choice is systematic: each draw is chosen w̃_k · kept
    times, rounded up or down.

        decoder: Σ w̃_k ∇ log w_k        encoder: Σ w̃_k² (∂ log w_k / ∂z_k) ∇ z_k

    The encoder's is the doubly reparameterized gradient. Its ratio of signal to noise does not vanish as K grows,
    unlike that of the bound itself.

    Args:
        energy, encode, samples: as in `importance_weighted_bound`.
        kept: draws with a gradient, from 1 to `samples`.

    Returns:
        `loss(key, params, batch)` in nats a sample.

    Raises:
        ValueError: samples below 1, kept below 1 or above samples.

    Burda et al. (2016), section 3, for the choice; Tucker, Lawson, Gu, Maddison (2019), eq. 7.

    >>> energy = lambda params, y, z: jnp.sum((y - z) ** 2 + z**2) / 2 + math.log(2 * math.pi)
    >>> posterior = lambda params, y: Gaussian(y / 2, jnp.full(1, math.log(0.5)))
    >>> loss = doubly_reparameterized_bound(energy, posterior, 5, 2)
    >>> round(float(loss(jax.random.key(0), None, jnp.zeros((3, 1)))), 4)
    1.2655
    """
    check_callable("energy", energy)
    check_callable("encode", encode)
    check_count("samples", samples)
    if not isinstance(kept, int) or not 1 <= kept <= samples:
        raise ArgumentError(f"kept: got {kept}, wanted 1 to {samples}, the number of samples")

    def loss(key: Key[Array, ""], params: Any, batch: Any) -> Float[Array, ""]:
        noise_key, choice_key = jax.random.split(key)
        batch, codes = _encoded(energy, encode, params, batch)
        fixed = jax.lax.stop_gradient(codes)
        noise = _noise(noise_key, codes, samples)
        constants = jax.lax.stop_gradient(params)
        # a few examples at a time, so that the decoded draws stay in the processor's cache
        weights = map_chunks(
            lambda example: _log_weights(energy, constants, *example), (batch, fixed, noise), max(1, 500 // samples)
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

        surrogate = jax.vmap(few)(choice_keys, batch, codes, fixed, noise, weights).mean()
        return value + surrogate - jax.lax.stop_gradient(surrogate)

    return loss


def _encoded(energy, encode, params, batch):
    """The batch as floats, and the laws of its codes; a static y that the energy refuses is refused before tracing."""
    floats = as_samples("batch", batch)
    codes = jax.vmap(lambda y: encode(params, y))(floats)
    check_record("encode", codes, Gaussian)
    if isinstance(batch, jax.Array | np.ndarray) and is_static(batch) and np.ndim(batch) > 1:
        rows = np.asarray(batch).reshape(len(batch), -1)
        code = jax.ShapeDtypeStruct(codes.mean.shape[1:], codes.mean.dtype)
        for row in {int(rows.min(axis=1).argmin()), int(rows.max(axis=1).argmax())}:
            y = np.asarray(batch)[row]
            jax.eval_shape(lambda z, y=y: energy(params, y, z), code)
    return floats, codes


def _noise(key, codes, samples):
    batch, latent = codes.mean.shape
    return jax.random.normal(key, (batch, samples, latent), codes.mean.dtype)


def _log_weights(energy, params, y, code, noise):
    """log exp(-E(y, z)) / q(z|y) of every draw z = μ + σ ε for one y."""
    code = Gaussian(code.mean[None], code.log_variance[None])
    return -_energies(energy, params, y, reparameterize(code, noise)) - log_density(code, noise)


def _energies(energy, params, y, z):
    return jax.vmap(lambda z: as_scalar("energy", energy(params, y, z)))(z)
