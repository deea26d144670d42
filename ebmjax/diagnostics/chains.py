"""How far the draws of Markov chains are to be trusted: effective sample size, R-hat, acceptance."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ebmjax.checks import ArgumentError


def effective_sample_size(samples: Float[Array, "chains draws"]) -> Float[Array, ""]:
    """How many independent draws would estimate the mean of one quantity as well as these chains do.

        ESS = chains · draws / τ,    τ = 1 + 2 Σ_t ρ_t

    with autocorrelations ρ_t pooled over chains, the disagreement between chains counted in, and the sum cut by Geyer's
    initial monotone sequence.

    Args:
        samples: at least 4 draws of at least one chain. `jax.vmap` over a trailing axis of quantities.

    Returns:
        A number up to chains · draws · log10(chains · draws), as for antithetic chains it may exceed their count; that
        count for a quantity that never changes in any chain.

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
    # biased by 1/draws at each lag, which keeps late lags quiet
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
    """Split R-hat of one quantity: how much wider all chains are together than each half alone. 1 when they agree.

    NaN where no chain ever moves. Raises ValueError for fewer than 4 draws. Gelman et al., section 11.4.

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
    """Share of proposals that were accepted, over all steps and chains.

    >>> float(acceptance_rate(jnp.array([True, False, True, True])))
    0.75
    """
    return accepted.astype(jnp.result_type(float)).mean()
