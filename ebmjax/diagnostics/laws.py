"""Comparison of samples with a law that is known exactly."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.diagnostics.chains import effective_sample_size
from ebmjax.numerics import matmul


def z_scores(
    samples: Float[Array, "chains draws moments"], truth: Float[Array, " moments"]
) -> Float[Array, " moments"]:
    """(mean - truth) / standard error of each moment, with the standard error from its effective sample size.

    For a correct sampler each score is nearly standard normal: of 55 moments one exceeds 4.5 once in 2,700 runs. For a
    moment that is the same in all draws the score is 0 where it equals the truth up to rounding, else inf.

    Args:
        samples: at least 4 draws.
        truth: the exact means of the moments.

    Raises:
        ValueError: fewer than 4 draws.

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
    """Moments to test a sampler of binary units: each unit, each product of two units, and the histogram of the energy.

    Args:
        units: states.
        energies: the energies of the states.
        bins: increasing edges of the histogram. Each of the edges - 1 bins is one moment: 1 where low ≤ energy < high.

    >>> law_moments(jnp.array([1.0, -1.0]), jnp.array(0.5), jnp.array([0.0, 1.0, 2.0])).tolist()
    [1.0, -1.0, -1.0, 1.0, 0.0]
    """
    first, second = jnp.triu_indices(units.shape[-1], 1)
    lower = energies[..., None] >= jnp.expand_dims(bins[:-1], tuple(range(energies.ndim)))
    upper = energies[..., None] < jnp.expand_dims(bins[1:], tuple(range(energies.ndim)))
    histogram = (lower & upper).astype(units.dtype)
    return jnp.concatenate([units, units[..., first] * units[..., second], histogram], axis=-1)


def exact_mean(moments: Float[Array, "points moments"], law: Float[Array, " points"]) -> Float[Array, " moments"]:
    """The mean of each moment under an enumerated law, such as `ebmjax.posterior` over a cube.

    >>> exact_mean(jnp.array([[0.0], [4.0]]), jnp.array([0.75, 0.25])).tolist()
    [1.0]
    """
    return matmul(law, moments)
