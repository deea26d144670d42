"""The standard error of any estimator of this package from blocks of its draws, drawn again with replacement.

A block keeps the correlation of successive draws. The same blocks are drawn for all states: the draws of a tempering
run at one step have exchanged their temperatures and belong together. The asymptotic error, by contrast, believes that
all draws are independent, or as correlated as it was told. Where the two disagree, the result says so.

Künsch (1989); Politis and Romano (1992), for blocks on a circle.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ebmjax.checks import ArgumentError, as_float, check_callable, check_count, check_key
from ebmjax.compiled import compiled
from ebmjax.loops import map_chunks
from ebmjax.marginalize.reweighting.draws import as_draws
from ebmjax.records import record
from ebmjax.types import CONVERGED, NOT_MIXED, Estimate, Numbers

SLACK = 0.1
"""Errors whose ratio is within 10% of one, beyond the noise of the bootstrap, agree."""


@record
class Bootstrap(NamedTuple):
    """An estimate with a second opinion on its error."""

    estimate: Estimate
    """From all draws, with the asymptotic error."""
    standard_error: Float[Array, " states"]
    """Of log Z relative to that at betas[0], by the bootstrap."""
    covariance: Float[Array, "states states"]
    result: Int[Array, " states"]
    """That of the estimate; `NOT_MIXED` where it is `CONVERGED` and the two standard errors disagree."""


def block_bootstrap(
    key: Key[Array, ""],
    estimator: Callable[[Numbers, Numbers], Estimate],
    betas: Numbers,
    energies: Numbers,
    block: int,
    replicates: int,
    chunk: int = 16,
) -> Bootstrap:
    """Estimate log Z, and its standard error from blocks of draws that are drawn again.

    The errors disagree where their ratio differs from one by more than 3 standard errors of the bootstrap itself, which
    is about 1/√(2 replicates) + 1/√(2 draws/block) in relative terms, and by more than 10%.

    Args:
        key: typed random key.
        estimator: `estimator(betas, energies) -> Estimate`, such as `mbar` or `bar`; with `functools.partial` for other
            arguments.
        betas: (states,), as in `mbar`.
        energies: (states, draws), in the order in which they were drawn.
        block: how many successive draws belong together: some times the statistical inefficiency, at most half of the
            draws.
        replicates: how many times the draws are drawn again, at least 2; 100 give the error to 7%.
        chunk: how many replicates are in memory together.

    Raises:
        ValueError: as in `mbar`; a block of less than 1 or more than half of the draws; fewer than 2 replicates; a key
            that is not typed; an estimator that is no function.

    Künsch (1989), section 2; Politis and Romano (1992).

    >>> from ebmjax.marginalize.reweighting.bar import bar
    >>> betas = jnp.array([1.0, 1.5, 2.0])
    >>> draws = jax.random.normal(jax.random.key(0), (3, 1000)) / jnp.sqrt(betas)[:, None]
    >>> bootstrap = block_bootstrap(jax.random.key(1), bar, betas, draws**2 / 2, block=10, replicates=50)
    >>> bootstrap.result.tolist()
    [0, 0, 0]
    """
    check_key("key", key)
    check_callable("estimator", estimator)
    draws = as_draws(betas, energies, None, None)
    check_count("block", block)
    check_count("replicates", replicates)
    check_count("chunk", chunk)
    if replicates < 2:
        raise ArgumentError(f"replicates: got {replicates}, wanted at least 2")
    if block > draws.energies.shape[1] // 2:
        raise ArgumentError(f"block: got {block}, wanted at most half of {draws.energies.shape[1]} draws")
    betas, energies = as_float("betas", betas), as_float("energies", energies)
    return _bootstrap(key, estimator, betas, energies, block, replicates, min(chunk, replicates))


@compiled
def _bootstrap(key, estimator, betas, energies, block, replicates, chunk):
    draws = energies.shape[1]
    blocks = -(-draws // block)

    def again(key):
        starts = jax.random.randint(key, (blocks, 1), 0, draws, jnp.int32)
        places = (starts + jnp.arange(block, dtype=jnp.int32)[None]).reshape(-1)[:draws] % draws
        return estimator(betas, energies[:, places]).log_partition

    estimate = estimator(betas, energies)
    values = map_chunks(again, jax.random.split(key, replicates), chunk)
    away = values - values.mean(axis=0)[None]
    covariance = away.T @ away / (replicates - 1)
    error = jnp.sqrt(jnp.diagonal(covariance))
    noise = math.hypot(1 / math.sqrt(2 * replicates), 1 / math.sqrt(2 * draws / block))
    ratio = error / jnp.where(estimate.standard_error > 0, estimate.standard_error, 1)
    agree = (jnp.abs(jnp.log(ratio)) <= 3 * noise + SLACK) | (estimate.standard_error == 0)
    result = jnp.where((estimate.result == CONVERGED) & ~agree, NOT_MIXED, estimate.result)
    return Bootstrap(estimate, error, covariance, result.astype(jnp.int32))
