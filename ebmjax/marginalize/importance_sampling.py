"""Partition functions by importance sampling, for vectors with too many dimensions for a grid.

    Z = ∫ exp(-beta E(z)) dz ≈ 1/K Σ_k w_k,    w_k = exp(-beta E(z_k)) / q(z_k),    z_k ~ q

The proposal q is a Gaussian close to exp(-beta E)/Z. The estimate of Z is unbiased. The estimate of log Z is too low in
the mean, by about half the variance of w/Z divided by K.
Kahn and Marshall (1953); Burda, Grosse, Salakhutdinov (2016), section 3, for the likelihood of a decoder.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import check_count, check_finite_beta
from ebmjax.gaussian import Gaussian, log_density, reparameterize
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Energy


class Estimate(NamedTuple):
    """An estimate of a partition function, and of how good it is."""

    log_partition: Float[Array, ""]
    """log Z, in nats."""
    effective_samples: Float[Array, ""]
    """(Σw)² / Σw²: about how many draws from exp(-beta E)/Z itself would be as good as the K draws from q."""


class _Sums(NamedTuple):
    """Sums over the weights so far, each divided by the largest of them."""

    largest: Float[Array, ""]  # its logarithm
    first: Float[Array, ""]  # Σw
    second: Float[Array, ""]  # Σw²


def estimate_log_partition(
    key: Key[Array, ""], energy: Energy, proposal: Gaussian, beta: Beta, samples: int, chunk: int
) -> Estimate:
    """Estimate log Z = log ∫ exp(-beta E(z)) dz over all real vectors z, with `chunk` of them in memory at a time.

    With E(z) = -log p(y|z) - log p(z), beta = 1 and the encoder's q(z|y) as the proposal, it is log p(y), the test
    log-likelihood of a variational autoencoder. For many y, use `jax.vmap`, with a key for each.

    Args:
        key: typed random key.
        energy: `energy(z) -> scalar`, of one z of the shape of the proposal's mean.
        proposal: the Gaussian q of the draws. Where it is narrower than exp(-beta E), few draws have most of the
            weight, and the estimate has a heavy tail.
        beta: inverse temperature in [0, inf), static or traced.
        samples: K, at least 1.
        chunk: how many draws are evaluated together, at least 1.

    Returns:
        `Estimate(log_partition, effective_samples)`.

    Raises:
        ValueError: a bad or infinite beta, samples or chunk below 1.

    >>> bowl = lambda z: jnp.sum(z**2) / 2  # Z = 2π/beta in two dimensions
    >>> wide = Gaussian(jnp.zeros(2), jnp.full(2, 0.5))
    >>> estimate = estimate_log_partition(jax.random.key(0), bowl, wide, 0.8, samples=4000, chunk=1000)
    >>> bool(abs(estimate.log_partition - jnp.log(2 * jnp.pi / 0.8)) < 0.03)
    True
    """
    check_finite_beta(beta)
    check_count("samples", samples)
    check_count("chunk", chunk)

    def log_weight(noise):
        z = reparameterize(proposal, noise)
        return -reduced(energy(z), beta) - log_density(proposal, noise)

    def add(sums, key, count):
        log_weights = jax.vmap(log_weight)(jax.random.normal(key, (count, *proposal.mean.shape), proposal.mean.dtype))
        largest = jnp.maximum(sums.largest, log_weights.max())
        # where every weight so far is zero, or one is infinite, the weights are not divided
        unit = jnp.where(jnp.isfinite(largest), largest, 0)
        old, new = jnp.exp(sums.largest - unit), jnp.exp(log_weights - unit)
        return _Sums(largest, sums.first * old + new.sum(), sums.second * old**2 + (new**2).sum())

    chunk = min(chunk, samples)
    whole, rest = divmod(samples, chunk)
    chunks_key, rest_key = jax.random.split(key)
    zero = jnp.zeros((), proposal.mean.dtype)
    sums = _Sums(zero - jnp.inf, zero, zero)
    sums, _ = jax.lax.scan(lambda sums, key: (add(sums, key, chunk), None), sums, jax.random.split(chunks_key, whole))
    if rest:
        sums = add(sums, rest_key, rest)
    unit = jnp.where(jnp.isfinite(sums.largest), sums.largest, 0)
    effective = jnp.where(sums.second > 0, sums.first**2 / jnp.where(sums.second > 0, sums.second, 1), 0)
    return Estimate(jnp.log(sums.first) + unit - math.log(samples), effective)
