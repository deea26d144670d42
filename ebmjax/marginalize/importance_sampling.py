"""Partition functions by importance sampling, for vectors with too many dimensions for a grid.

    Z = ∫ exp(-beta E(z)) dz ≈ 1/K Σ_k w_k,    w_k = exp(-beta E(z_k)) / q(z_k),    z_k ~ q

The proposal q is a Gaussian close to exp(-beta E)/Z. The estimate of Z is unbiased. The estimate of log Z is too low in
the mean, by about half the variance of w/Z divided by K.
Kahn and Marshall (1953); Burda, Grosse, Salakhutdinov (2016), section 3, for the likelihood of a decoder.
"""

import math
from typing import NamedTuple

import jax
import jax.extend.core
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import (
    as_beta,
    as_floats,
    as_scalar,
    check_callable,
    check_count,
    check_finite_beta,
    check_key,
    check_record,
)
from ebmjax.compiled import compiled
from ebmjax.gaussian import Gaussian, log_density, reparameterize
from ebmjax.numerics import added, below
from ebmjax.records import record
from ebmjax.temperature import reduced
from ebmjax.types import CONVERGED, NO_OVERLAP, Beta, Energy, Estimate

LEAST_EFFECTIVE = 10
"""Fewer effective samples than this are no estimate: one draw more could change it by as much as all others."""


@record
class _Sums(NamedTuple):
    """Sums over the weights so far, each divided by the largest of them."""

    largest: Float[Array, ""]  # its logarithm
    first: Float[Array, ""]  # Σw
    first_lost: Float[Array, ""]  # what rounding has lost of it
    second: Float[Array, ""]  # Σw²
    second_lost: Float[Array, ""]


def estimate_log_partition(
    key: Key[Array, ""], energy: Energy, proposal: Gaussian, beta: Beta, samples: int, chunk: int
) -> Estimate:
    """Estimate log Z = log ∫ exp(-beta E(z)) dz over all real vectors z, with `chunk` of them in memory at a time.

    The memory is that of a chunk under `jax.vmap` too.

    With E(z) = -log p(y|z) - log p(z), beta = 1 and the encoder's q(z|y) as the proposal, it is log p(y), the test
    log-likelihood of a variational autoencoder. For many y, use `jax.vmap`, with a key for each: the estimates are then
    computed one after the other. A reverse-mode gradient keeps what it needs of all draws.

    Args:
        key: typed random key.
        energy: `energy(z) -> scalar`, of one z of the shape of the proposal's mean.
        proposal: the Gaussian q of the draws. Where it is narrower than exp(-beta E), few draws have most of the
            weight, and the estimate has a heavy tail.
        beta: inverse temperature in [0, inf), static or traced.
        samples: K, at least 1.
        chunk: how many draws are evaluated together, at least 1.

    Returns:
        `Estimate`, whose `effective_samples` are (Σw)² / Σw² and whose lower bound is 3 of its standard errors
        below the estimate, which is too low in the mean. `result` is `NO_OVERLAP` below 10 effective samples.

    Raises:
        ValueError: a bad or infinite beta, samples or chunk below 1; an energy that is no function or not a scalar, a
            proposal that is no `Gaussian`, a key that is not typed.

    >>> bowl = lambda z: jnp.sum(z**2) / 2  # Z = 2π/beta in two dimensions
    >>> wide = Gaussian(jnp.zeros(2), jnp.full(2, 0.5))
    >>> estimate = estimate_log_partition(jax.random.key(0), bowl, wide, 0.8, samples=4000, chunk=1000)
    >>> bool(abs(estimate.log_partition - jnp.log(2 * jnp.pi / 0.8)) < 0.03)
    True
    """
    check_finite_beta(beta)
    check_key("key", key)
    check_callable("energy", energy)
    check_record("proposal", proposal, Gaussian)
    check_count("samples", samples)
    check_count("chunk", chunk)
    proposal = as_floats("proposal", proposal)
    return _estimate(key, energy, proposal, jnp.asarray(as_beta(beta)), samples, min(chunk, samples))


@compiled
def _estimate(key, energy, proposal, beta, samples, chunk):
    example = jax.ShapeDtypeStruct(proposal.mean.shape, proposal.mean.dtype)
    program = jax.make_jaxpr(energy)(example)
    energy_of = lambda constants, z: as_scalar(
        "energy", *jax.extend.core.jaxpr_as_fun(jax.extend.core.ClosedJaxpr(program.jaxpr, constants))(z)
    )

    def run(key, constants, proposal, beta):
        return _sum_chunks(energy_of, key, constants, proposal, beta, samples, chunk)

    # under vmap one after the other, since a chunk of each at once would take as many times the memory
    @jax.custom_jvp
    def bounded(*arrays):
        return jax.custom_batching.sequential_vmap(run)(*arrays)

    bounded.defjvp(lambda primals, tangents: jax.jvp(run, primals, tangents))
    return bounded(key, program.consts, proposal, beta)


def _sum_chunks(energy, key, constants, proposal, beta, samples, chunk):
    def log_weight(noise):
        z = reparameterize(proposal, noise)
        return -reduced(energy(constants, z), beta) - log_density(proposal, noise)

    def add(sums, key, count):
        log_weights = jax.vmap(log_weight)(jax.random.normal(key, (count, *proposal.mean.shape), proposal.mean.dtype))
        largest = jnp.maximum(sums.largest, log_weights.max())
        # where every weight so far is zero, or one is infinite, the weights are not divided
        unit = jnp.where(jnp.isfinite(largest), largest, 0)
        old, new = jnp.exp(sums.largest - unit), jnp.exp(log_weights - unit)
        first = added(sums.first * old, sums.first_lost * old, new.sum())
        second = added(sums.second * old**2, sums.second_lost * old**2, (new**2).sum())
        return _Sums(largest, *first, *second)

    whole, rest = divmod(samples, chunk)
    chunks_key, rest_key = jax.random.split(key)
    zero = jnp.zeros((), proposal.mean.dtype)
    sums = _Sums(zero - jnp.inf, zero, zero, zero, zero)
    sums, _ = jax.lax.scan(lambda sums, key: (add(sums, key, chunk), None), sums, jax.random.split(chunks_key, whole))
    if rest:
        sums = add(sums, rest_key, rest)
    unit = jnp.where(jnp.isfinite(sums.largest), sums.largest, 0)
    effective = jnp.where(sums.second > 0, sums.first**2 / jnp.where(sums.second > 0, sums.second, 1), 0)
    value = jnp.log(sums.first) + unit - math.log(samples)
    # the variance of log Σw is that of w over the square of its mean, by linearization
    share = jnp.maximum(1 / jnp.where(effective > 0, effective, jnp.nan) - 1 / samples, 0)
    result = jnp.where(effective >= LEAST_EFFECTIVE, CONVERGED, NO_OVERLAP).astype(jnp.int32)
    error = jnp.sqrt(share)
    return Estimate(value, error, effective, below(value, error), jnp.full_like(value, jnp.inf), result)
