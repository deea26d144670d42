"""Diagnostics from the draws of Markov chains alone: effective sample size, R-hat, acceptance rate."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ebmjax.checks import ArgumentError


def effective_sample_size(samples: Float[Array, "chains draws"]) -> Float[Array, ""]:
    """The number of independent draws that would estimate the mean of a quantity as precisely as these chains do.

        ESS = chains · draws / τ,    τ = 1 + 2 Σ_t ρ_t

    The autocorrelations ρ_t are pooled over the chains and include the variance between chains. The sum is truncated by
    Geyer's initial monotone sequence. The first draws of a chain should be dropped as burn-in before.

    Args:
        samples: one quantity, at least 4 draws of at least one chain. Use `jax.vmap` for many quantities.

    Returns:
        A number of at most chains · draws · log10(chains · draws): antithetic chains may have more effective samples
        than draws. It is chains · draws for a quantity that has one value in all draws of all chains.

    Raises:
        ValueError: fewer than 4 draws.

    Gelman et al., "Bayesian Data Analysis", 3rd edition, section 11.5; Vehtari et al. (2021), eq. 10 to 14.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(abs(effective_sample_size(draws) - 4000) < 600)
    True
    """
    chains, draws = samples.shape
    if draws < 4:
        raise ArgumentError(f"samples: got {draws} draws, wanted at least 4")
    total = chains * draws
    centred = samples - samples.mean(axis=1, keepdims=True)
    padded = jnp.fft.rfft(centred, 2 * draws, axis=1)
    power = padded.real**2 + padded.imag**2
    # divided by `draws` at each lag, not by the number of pairs: biased, but late lags have less noise
    covariance = jnp.fft.irfft(power, axis=1)[:, :draws].mean(axis=0) / draws
    within = covariance[0] * draws / (draws - 1)
    between = samples.mean(axis=1).var(ddof=1) if chains > 1 else jnp.zeros((), samples.dtype)
    variance = covariance[0] + between
    constant = variance <= 0
    safe = jnp.where(constant, 1, variance)
    rho = (1 - (within - covariance) / safe).at[0].set(1)
    pairs = rho[: draws // 2 * 2].reshape(-1, 2).sum(axis=1)
    positive = jnp.cumprod(jnp.where(pairs > 0, 1, 0)).astype(samples.dtype)
    tau = -1 + 2 * jnp.sum(jax.lax.cummin(pairs) * positive)
    tau = jnp.maximum(tau, 1 / jnp.log10(jnp.asarray(total, samples.dtype)))
    return jnp.where(constant, total, total / tau)


def r_hat(samples: Float[Array, "chains draws"]) -> Float[Array, ""]:
    """Split R-hat of one quantity: √(pooled variance / variance within), with every chain cut into two halves.

    It is near 1 where all halves agree, and larger where the chains differ or drift. The first draws should be dropped
    as burn-in before. NaN where all draws are equal, inf where each half is constant but they differ. Raises ValueError
    for fewer than 4 draws.

    Gelman et al., "Bayesian Data Analysis", 3rd edition, section 11.4.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(r_hat(draws) < 1.01), bool(r_hat(draws + jnp.arange(4.0)[:, None]) > 1.5)
    (True, True)
    """
    draws = samples.shape[1]
    if draws < 4:
        raise ArgumentError(f"samples: got {draws} draws, wanted at least 4")
    half = draws // 2
    halves = samples[:, : 2 * half].reshape(-1, half)
    within = halves.var(axis=1, ddof=1).mean()
    between = halves.mean(axis=1).var(ddof=1)
    return jnp.sqrt((half - 1) / half + between / within)


def acceptance_rate(accepted: Bool[Array, "*steps"]) -> Float[Array, ""]:
    """The share of proposals that were accepted, over all steps and chains, a number in [0, 1].

    >>> float(acceptance_rate(jnp.array([True, False, True, True])))
    0.75
    """
    return accepted.astype(jnp.result_type(float)).mean()
