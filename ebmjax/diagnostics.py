"""How far samples are to be trusted: effective sample size, R-hat, acceptance, and distance from an exact law."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


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
        raise ValueError(f"samples: got {draws} draws, wanted at least 4")
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
        raise ValueError(f"samples: got {draws} draws, wanted at least 4")
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


def z_scores(
    samples: Float[Array, "chains draws moments"], truth: Float[Array, " moments"]
) -> Float[Array, " moments"]:
    """(mean - truth) / standard error of many moments, the error from the effective sample size of each.

    For a right sampler each is close to a standard normal: with 55 moments one exceeds 4.5 once in 2,700 runs. Infinite
    where a quantity never changes and is not what it should be; 0 where it is.

    >>> draws = jax.random.normal(jax.random.key(0), (4, 1000, 3))
    >>> bool(jnp.all(jnp.abs(z_scores(draws, jnp.zeros(3))) < 4.5))
    True
    """
    count = jax.vmap(effective_sample_size, -1)(samples)
    flat = samples.reshape(-1, samples.shape[-1])
    error = flat.std(axis=0) / jnp.sqrt(count)
    gap = flat.mean(axis=0) - truth
    rounding = 1e-6 * (1 + jnp.abs(truth))
    return jnp.where(error > 0, gap / jnp.where(error > 0, error, 1), jnp.where(jnp.abs(gap) < rounding, 0, jnp.inf))


def law_moments(
    units: Float[Array, "*batch units"], energies: Float[Array, "*batch"], bins: Float[Array, " edges"]
) -> Float[Array, "*batch moments"]:
    """What a sampler of binary units is judged by: every unit, every product of two, and the energy's histogram.

    Args:
        units: states.
        energies: their energies.
        bins: edges of the histogram; each of the edges - 1 bins counts as one moment, 1 where the energy is in it.

    >>> law_moments(jnp.array([1.0, -1.0]), jnp.array(0.5), jnp.array([0.0, 1.0, 2.0])).tolist()
    [1.0, -1.0, -1.0, 1.0, 0.0]
    """
    first, second = jnp.triu_indices(units.shape[-1], 1)
    lower = energies[..., None] >= jnp.expand_dims(bins[:-1], tuple(range(energies.ndim)))
    upper = energies[..., None] < jnp.expand_dims(bins[1:], tuple(range(energies.ndim)))
    histogram = (lower & upper).astype(units.dtype)
    return jnp.concatenate([units, units[..., first] * units[..., second], histogram], axis=-1)


def exact_mean(moments: Float[Array, "points moments"], law: Float[Array, " points"]) -> Float[Array, " moments"]:
    """Mean of moments under an enumerated law, such as `ebmjax.posterior` over a cube.

    >>> exact_mean(jnp.array([[0.0], [4.0]]), jnp.array([0.75, 0.25])).tolist()
    [1.0]
    """
    return law @ moments
