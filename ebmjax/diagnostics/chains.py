"""Diagnostics from the draws of Markov chains alone: effective sample size, R-hat, acceptance rate."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float
from ebmjax.compiled import compiled

AXES = "(chains, draws)"


def effective_sample_size(samples: Any) -> Float[Array, ""]:
    """The number of independent draws that would estimate the mean of a quantity as precisely as these chains do.

        ESS = chains · draws / τ,    τ = 1 + 2 Σ_t ρ_t

    The autocorrelations ρ_t are pooled over the chains and include the variance between chains. The sum is truncated by
    Geyer's initial monotone sequence. The first draws of a chain should be dropped as burn-in before.

    Args:
        samples: one quantity, (chains, draws), at least 4 draws of at least one chain, in any unit. Use `jax.vmap` for
            many quantities.

    Returns:
        A number of at most chains · draws · log10(chains · draws): antithetic chains may have more effective samples
        than draws. It is chains · draws for a quantity that has one value in all draws of all chains.

    Raises:
        ValueError: samples that have not the axes (chains, draws), fewer than 4 draws; a hundred times as many chains
            as draws, which are axes in the wrong order.

    Gelman et al., "Bayesian Data Analysis", 3rd edition, section 11.5; Vehtari et al. (2021), eq. 10 to 14.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(abs(effective_sample_size(draws) - 4000) < 600)
    True
    """
    return ess_of_chains(_quantity(samples))


@compiled
def ess_of_chains(samples: Float[Array, "chains draws"]) -> Float[Array, ""]:
    """`effective_sample_size` of checked samples.

    >>> float(ess_of_chains(jnp.ones((3, 10))))
    30.0
    """
    chains, draws = samples.shape
    total = chains * draws
    first, unit, centred = standardized(samples)
    means = mean(centred)
    rest = centred - means[:, None]
    padded = jnp.fft.rfft(rest, 2 * draws, axis=1)
    power = padded.real**2 + padded.imag**2
    # divided by `draws` at each lag, not by the number of pairs: biased, but late lags have less noise
    covariance = jnp.fft.irfft(power, axis=1)[:, :draws].mean(axis=0) / draws
    # the sum of squares itself is right to the last digits, where a transform is not
    covariance = covariance.at[0].set(mean(rest**2).mean())
    within = covariance[0] * draws / (draws - 1)
    between = (means + (first - first[0]) / unit).var(ddof=1) if chains > 1 else jnp.zeros((), samples.dtype)
    variance = covariance[0] + between
    constant = variance <= 0
    safe = jnp.where(constant, 1, variance)
    rho = (1 - (within - covariance) / safe).at[0].set(1)
    pairs = rho[: draws // 2 * 2].reshape(-1, 2).sum(axis=1)
    positive = jnp.cumprod(jnp.where(pairs > 0, 1, 0)).astype(samples.dtype)
    tau = -1 + 2 * jnp.sum(jax.lax.cummin(pairs) * positive)
    tau = jnp.maximum(tau, 1 / jnp.log10(jnp.asarray(total, samples.dtype)))
    return jnp.where(constant, total, total / tau)


def r_hat(samples: Any) -> Float[Array, ""]:
    """Split R-hat of one quantity: √(pooled variance / variance within), with every chain cut into two halves.

    It is near 1 where all halves agree, and larger where the chains differ or drift. The first draws should be dropped
    as burn-in before. NaN where all draws are equal, inf where each half is constant but they differ. Arguments and
    errors are those of `effective_sample_size`.

    Gelman et al., "Bayesian Data Analysis", 3rd edition, section 11.4.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(r_hat(draws) < 1.01), bool(r_hat(draws + jnp.arange(4.0)[:, None]) > 1.5)
    (True, True)
    """
    return _r_hat(_quantity(samples))


@compiled
def _r_hat(samples):
    half = samples.shape[1] // 2
    first, unit, centred = standardized(samples[:, : 2 * half].reshape(-1, half))
    means = mean(centred)
    within = mean((centred - means[:, None]) ** 2).mean() * (half / (half - 1))
    between = (means + (first - first[0]) / unit).var(ddof=1)
    return jnp.sqrt((half - 1) / half + between / within)


def acceptance_rate(accepted: Any) -> Float[Array, ""]:
    """The share of proposals that were accepted, over all steps and chains, a number in [0, 1].

    Args:
        accepted: truth values or numbers, an array of any shape.

    Raises:
        ValueError: no proposal, or what is not numbers.

    >>> float(acceptance_rate(jnp.array([True, False, True, True])))
    0.75
    """
    accepted = as_float("accepted", accepted)
    if accepted.size == 0:
        raise ArgumentError(f"accepted: got shape {accepted.shape}, wanted at least one proposal")
    return _share(accepted)


@compiled
def _share(accepted):
    return mean(accepted.reshape(1, -1))[0]


def mean(samples: Float[Array, "rows draws"]) -> Float[Array, " rows"]:
    """The mean of every row, however long: blocks of at most √draws are summed first, and then their sums.

    >>> bool(abs(mean(jnp.full((1, 2**22), 0.1))[0] - 0.1) < 1e-7)
    True
    """
    rows, draws = samples.shape
    block = max(1, int(draws**0.5))
    whole = draws // block * block
    total = samples[:, :whole].reshape(rows, -1, block).sum(axis=2).sum(axis=1) + samples[:, whole:].sum(axis=1)
    return total / draws


def standardized(
    samples: Float[Array, "rows draws"],
) -> tuple[Float[Array, " rows"], Float[Array, ""], Float[Array, "rows draws"]]:
    """`(first, unit, centred)`: samples = first + unit · centred, where `first` is the first draw of each row.

    Rows that are constant become exact zeros, also where their value is not exact in binary. The unit is the largest
    deviation of all, so that squares neither overflow nor underflow; it is 1 where nothing deviates.

    >>> standardized(jnp.array([[0.1, 0.1], [0.0, 2.0]]))[2].tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """
    first = samples[:, 0]
    apart = samples - first[:, None]
    largest = jnp.maximum(jnp.abs(apart).max(), jnp.abs(first - first[0]).max())
    unit = jnp.where(largest > 0, largest, 1)
    return first, unit, apart / unit


def _quantity(samples):
    samples = as_float("samples", samples)
    if samples.ndim != 2:
        hint = {1: "; one chain is samples[None]", 3: "; jax.vmap takes many quantities"}.get(samples.ndim, "")
        raise ArgumentError(f"samples: got shape {samples.shape}, wanted {AXES}{hint}")
    chains, draws = samples.shape
    check_draws(chains, draws, AXES)
    if chains >= 100 * draws:
        raise ArgumentError(f"samples: got {chains} chains of {draws} draws, wanted {AXES}: are the axes exchanged?")
    return samples


def check_draws(chains: int, draws: int, axes: str) -> None:
    """Raise ArgumentError, naming the axes, for no chain or too few draws.

    >>> check_draws(4, 3, "(chains, draws)")
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: samples: got 3 draws of 4 chains, wanted (chains, draws), at least 4 draws
    """
    if chains < 1 or draws < 4:
        raise ArgumentError(f"samples: got {draws} draws of {chains} chains, wanted {axes}, at least 4 draws")
