"""Partition functions by importance sampling, where no grid reaches: draws from a law that lies near.

    Z = ∫ exp(-beta E(z)) dz ≈ 1/K Σ_k w_k,    w_k = exp(-beta E(z_k)) / q(z_k),    z_k ~ q

The estimate of Z has no bias, so that of log Z lies below in the mean, by about half the variance of w/Z over K.
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
    """log Z in nats, and how many draws from exp(-beta E)/Z itself would weigh as much: (Σw)² / Σw²."""

    log_partition: Float[Array, ""]
    effective_samples: Float[Array, ""]


class _Sums(NamedTuple):
    """Of the weights so far, divided by the largest of them."""

    largest: Float[Array, ""]
    first: Float[Array, ""]
    second: Float[Array, ""]


def estimate_log_partition(
    key: Key[Array, ""], energy: Energy, proposal: Gaussian, beta: Beta, samples: int, chunk: int
) -> Estimate:
    """Estimate log ∫ exp(-beta E(z)) dz over all real vectors z, in memory for `chunk` of them.

    With E(z) = -log p(y|z) - log p(z), beta = 1 and the encoder's law of z as the proposal, it is log p(y), the test
    log-likelihood of a variational autoencoder. `jax.vmap` over many y, with a key for each.

    Args:
        key: typed random key.
        energy: `energy(z) -> scalar` of z with the shape of the proposal's mean.
        proposal: the law q that is drawn from; where it is narrower than exp(-beta E) the estimate has a heavy tail.
        beta: inverse temperature in [0, inf[.
        samples: K, at least 1.
        chunk: draws evaluated together, at least 1.

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
        # where every weight so far is zero, or one is infinite, there is nothing to be divided by
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
