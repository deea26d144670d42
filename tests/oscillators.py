"""Harmonic oscillators, E = |z|²/2 in some dimensions: exact draws of their energies, and log Z in closed form."""

import jax
import jax.numpy as jnp
import numpy as np


def draws(key, betas, count, dimensions):
    """Energies of independent draws from exp(-beta E)/Z, (betas, count): Gamma(dimensions/2) / beta."""
    return jax.random.gamma(key, dimensions / 2, (len(betas), count), betas.dtype) / betas[:, None]


def log_ratio(betas, dimensions):
    """log Z(beta) - log Z(betas[0])."""
    betas = np.asarray(betas, np.float64)
    return -dimensions / 2 * np.log(betas / betas[0])


def correlated(key, betas, count, memory):
    """Energies of one oscillator along an autoregression z' = memory z + noise, whose E has the correlation memory²."""
    noise = jax.random.normal(key, (count, len(betas)), betas.dtype)
    start, rest = noise[0], noise[1:] * jnp.sqrt(1 - memory**2)
    _, z = jax.lax.scan(lambda z, noise: (memory * z + noise,) * 2, start, rest)
    return (jnp.concatenate([start[None], z]).T / jnp.sqrt(betas)[:, None]) ** 2 / 2
