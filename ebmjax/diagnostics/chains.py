"""Diagnostics of the mean, from the draws of Markov chains alone: effective sample size, autocorrelation time, R-hat.

All functions of `chains`, `ranks` and `errors` have one form. They take draws of shape (chains, steps, ...), and
return one number for each quantity in the trailing axes, of shape (...).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float
from ebmjax.compiled import compiled

AXES = "(chains, steps, ...)"


def effective_sample_size(draws: Any) -> Float[Array, "..."]:
    """The number of independent draws that would estimate the mean of a quantity as precisely as these chains do.

        ESS = chains · steps / τ,    τ = 1 + 2 Σ_t ρ_t

    The autocorrelations ρ_t are pooled over the halves of all chains, and include the variance between them. The sum is
    truncated by Geyer's initial monotone sequence. The first steps of a chain should be dropped as burn-in before. It
    is the method "mean" of ArviZ. `ebmjax.diagnostics.bulk_effective_sample_size` is what ArviZ calls `ess`.

    Args:
        draws: (chains, steps, ...), at least 4 steps of at least one chain, in any unit; each place in the trailing
            axes is a quantity of its own.

    Returns:
        For each quantity a number of at most chains · steps · log10(chains · steps): antithetic chains may have more
        effective samples than draws. It is chains · steps for a quantity that has one value in all draws, and NaN for
        one that is NaN in a draw.

    Raises:
        ValueError: draws that have not the axes (chains, steps, ...), fewer than 4 steps; a hundred times as many
            chains as steps, which are axes in the wrong order.

    Gelman et al., "Bayesian Data Analysis", 3rd edition, section 11.5; Vehtari et al. (2021), eq. 10 to 14.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(abs(effective_sample_size(draws) - 4000) < 600)
    True
    """
    return _effective_sample_size(as_chains(draws))


@compiled
def _effective_sample_size(draws):
    return of_quantities(lambda draws: ess_of_chains(split(draws)), draws)


@compiled
def ess_of_chains(draws: Float[Array, "chains steps"]) -> Float[Array, ""]:
    """The effective sample size of checked draws of one quantity; the chains are not cut into halves.

    >>> float(ess_of_chains(jnp.ones((3, 10))))
    30.0
    """
    chains, steps = draws.shape
    total = chains * steps
    first, unit, centred = standardized(draws)
    means = mean(centred)
    rest = centred - means[:, None]
    padded = jnp.fft.rfft(rest, 2 * steps, axis=1)
    power = padded.real**2 + padded.imag**2
    # divided by `steps` at each lag, not by the number of pairs: biased, but late lags have less noise
    covariance = jnp.fft.irfft(power, axis=1)[:, :steps].mean(axis=0) / steps
    # the sum of squares itself is right to the last digits, where a transform is not
    covariance = covariance.at[0].set(mean(rest**2).mean())
    within = covariance[0] * steps / (steps - 1)
    between = (means + (first - first[0]) / unit).var(ddof=1) if chains > 1 else jnp.zeros((), draws.dtype)
    variance = covariance[0] + between
    constant = variance <= 0
    safe = jnp.where(constant, 1, variance)
    rho = (1 - (within - covariance) / safe).at[0].set(1)
    # pairs of lags; Stan does not look at the last lags
    last = max((steps - 3) // 2, 0)
    pairs = rho[: 2 * last + 2].reshape(-1, 2)
    sums = pairs.sum(axis=1)
    positive = jnp.cumprod(jnp.where(sums > 0, 1, 0).astype(jnp.int32))
    end = jnp.minimum(positive.sum(), last)
    counted = (jnp.arange(last + 1) < end).astype(draws.dtype)
    tau = -1 + 2 * jnp.sum(jax.lax.cummin(sums) * counted)
    # the even lag at which the sum ends counts once, which takes a part of the bias of the truncation away
    even = pairs[end, 0]
    tau = tau + jnp.where((even > 0) | (sums[end] >= 0), even, 0)
    tau = jnp.maximum(tau, 1 / jnp.log10(jnp.asarray(total, draws.dtype)))
    # a sum that ends before its first NaN is a number
    return jnp.where(constant, total, jnp.where(jnp.isnan(variance), jnp.nan, total / tau))


def autocorrelation_time(draws: Any) -> Float[Array, "..."]:
    """The integrated autocorrelation time: how many steps of the chains are worth one independent draw of the mean.

        τ = 1 + 2 Σ_t ρ_t = chains · steps / ESS

    Where chains disagree with each other, it is the number of steps for which they would have to agree. Arguments and
    errors are those of `effective_sample_size`, which says how the sum is truncated.

    Sokal (1997), "Monte Carlo methods in statistical mechanics", section 3.

    >>> noise = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(autocorrelation_time(noise) < 1.3), bool(autocorrelation_time(jnp.repeat(noise, 10, axis=1)) > 7)
    (True, True)
    """
    draws = as_chains(draws)
    return _autocorrelation_time(draws)


@compiled
def _autocorrelation_time(draws):
    return draws.shape[0] * draws.shape[1] / _effective_sample_size(draws)


def split_r_hat(draws: Any) -> Float[Array, "..."]:
    """Split R-hat of the mean: √(pooled variance / variance within), with every chain cut into two halves.

    It is near 1 where all halves agree, and larger where the chains differ or drift. NaN where all draws are equal, inf
    where each half is constant but they differ. It is the method "split" of ArviZ. `ebmjax.diagnostics.r_hat` is the
    one of Vehtari et al. (2021) that is quoted today: it is also right for laws without a variance, and finds chains of
    different spreads. Arguments and errors are those of `effective_sample_size`.

    Gelman et al., "Bayesian Data Analysis", 3rd edition, section 11.4.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000))
    >>> bool(split_r_hat(draws) < 1.01), bool(split_r_hat(draws + jnp.arange(4.0)[:, None]) > 1.5)
    (True, True)
    """
    return _split_r_hat(as_chains(draws))


@compiled
def _split_r_hat(draws):
    return of_quantities(lambda draws: r_hat_of_chains(split(draws)), draws)


def r_hat_of_chains(draws: Float[Array, "chains steps"]) -> Float[Array, ""]:
    """√(pooled variance / variance within) of checked draws of one quantity; the chains are not cut into halves.

    >>> round(float(r_hat_of_chains(jnp.array([[0.0, 1.0], [0.0, 1.0]]))), 4)  # √(1/2)
    0.7071
    """
    steps = draws.shape[1]
    first, unit, centred = standardized(draws)
    means = mean(centred)
    within = mean((centred - means[:, None]) ** 2).mean() * (steps / (steps - 1))
    between = (means + (first - first[0]) / unit).var(ddof=1)
    return jnp.sqrt((steps - 1) / steps + between / within)


def split(draws: Float[Array, "chains steps"]) -> Float[Array, "halves half"]:
    """The first halves of all chains, then the second halves; of an odd number of steps the one in the middle is left.

    >>> split(jnp.array([[0.0, 1.0, 2.0, 3.0, 4.0]])).tolist()
    [[0.0, 1.0], [3.0, 4.0]]
    """
    half = draws.shape[1] // 2
    return jnp.concatenate([draws[:, :half], draws[:, -half:]])


def of_quantities(
    function: Callable[[Float[Array, "chains steps"]], Float[Array, ""]], draws: Float[Array, "chains steps ..."]
) -> Float[Array, "..."]:
    """A function of one quantity, applied to all quantities in the trailing axes.

    >>> of_quantities(jnp.max, jnp.ones((2, 4, 3))).tolist()
    [1.0, 1.0, 1.0]
    """
    many = draws.reshape(*draws.shape[:2], -1)
    return jax.vmap(function, in_axes=2)(many).reshape(draws.shape[2:])


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


def as_chains(draws: Any) -> Float[Array, "chains steps ..."]:
    """Draws as floats; errors are those of `effective_sample_size`.

    >>> as_chains([[1, 2, 3, 4]]).shape
    (1, 4)
    """
    draws = as_float("draws", draws)
    if draws.ndim < 2:
        hint = "; one chain is draws[None]" if draws.ndim == 1 else ""
        raise ArgumentError(f"draws: got shape {draws.shape}, wanted {AXES}{hint}")
    check_steps(draws.shape, AXES)
    chains, steps = draws.shape[:2]
    if chains >= 100 * steps:
        raise ArgumentError(f"draws: got {chains} chains of {steps} steps, wanted {AXES}: are the axes exchanged?")
    return draws


def check_steps(shape: tuple[int, ...], axes: str) -> None:
    """Raise ArgumentError, naming the axes, for no chain, no quantity, or fewer than 4 steps.

    >>> check_steps((4, 3), "(chains, steps, ...)")
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: draws: got 3 steps of 4 chains, wanted (chains, steps, ...), at least 4 steps
    """
    chains, steps = shape[:2]
    if chains < 1 or steps < 4:
        raise ArgumentError(f"draws: got {steps} steps of {chains} chains, wanted {axes}, at least 4 steps")
    if 0 in shape:
        raise ArgumentError(f"draws: got shape {shape}, wanted {axes}, at least one quantity")
