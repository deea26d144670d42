"""A phase diagram in one call: everything that energies and an order parameter say of every temperature.

All draws of a ladder of betas are one weighted sample (`reweighting.mixture`), which answers at each of them and in
between. Per unit, of n units with the order parameter m = M / n of each draw:

    free energy      F = -(log Z - log |Z|) / beta / n, the library's free energy: the mean energy at beta = 0
    mean energy      U = <E> / n
    heat capacity    C = beta² (<E²> - <E>²) / n
    entropy          S = (log Z + beta <E>) / n, the logarithm of the number of states per unit at beta = 0
    magnetization    <|m|>
    susceptibility   chi = beta n (<m²> - <|m|>²)
    Binder ratio     1 - <m⁴> / (3 <m²>²): 2/3 in an ordered phase, 0 in a disordered one

Each has a standard error by the jackknife: the equations are solved again without each of some blocks of draws. A block
has the same places of all rows, so that draws of a tempering run that belong together are left out together.

Shirts & Chodera (2008); Landau & Binder, "A guide to Monte Carlo simulations in statistical physics", sections 2.1
and 4.2; Künsch (1989) for the jackknife over blocks.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ebmjax.checks import ArgumentError, as_float, check_betas, check_count, is_static
from ebmjax.loops import map_chunks
from ebmjax.marginalize.importance_sampling import LEAST_EFFECTIVE
from ebmjax.marginalize.reweighting.draws import as_draws, result_for
from ebmjax.marginalize.reweighting.inefficiency import statistical_inefficiency
from ebmjax.marginalize.reweighting.mbar import as_reference
from ebmjax.marginalize.reweighting.mixture import mixture_of, weights_at
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import CONVERGED, NOT_MIXED, Numbers, Scalar

LEAST_BLOCK = 5
"""Blocks are nearly independent where their length is at least so many times the statistical inefficiency.

The variance that they tell is then too small by about a tenth.
"""

SMALL = 0.01
"""The share of the weight at a beta that may come from states that are not to be trusted."""


@record
class Measured(NamedTuple):
    """A quantity, such as one at each beta."""

    value: Float[Array, "..."]
    standard_error: Float[Array, "..."]
    """NaN where the value cannot be trusted at all."""


@record
class PhaseDiagram(NamedTuple):
    """Quantities per unit at each beta; energies in the unit that was given, the rest without unit."""

    betas: Float[Array, " betas"]
    log_partition: Measured
    """log Z / n, of the sum over all states, or the integral."""
    free_energy: Measured
    """F_beta / n = -(log Z - log |Z|) / (beta n)."""
    mean_energy: Measured
    heat_capacity: Measured
    entropy: Measured
    magnetization: Measured
    """<|m|>."""
    susceptibility: Measured
    """beta n (<m²> - <|m|>²), in 1/energy."""
    binder_ratio: Measured
    """1 - <m⁴> / (3 <m²>²)."""
    effective_samples: Float[Array, " betas"]
    """About how many of the draws, taken as independent, count at this beta."""
    result: Int[Array, " betas"]
    """`CONVERGED`; `NO_OVERLAP` where too few draws count at a beta, or none join it with betas[0], which log Z, F and
    S need; `NOT_MIXED` where draws are correlated over more than a fifth of a block; `DIVERGED`."""


def thermodynamics(
    betas: Numbers,
    energies: Numbers,
    observable: Numbers,
    units: int,
    log_volume: Scalar,
    log_reference: Scalar | None = None,
    at: Numbers | None = None,
    blocks: int = 20,
) -> PhaseDiagram:
    """F, U, C, S, magnetization, susceptibility and Binder ratio at every beta, each with its standard error.

    Args:
        betas: (states,), at least 2, rising, in [0, inf).
        energies: (states, draws); row k has energies E of the whole system, of draws at betas[k] in the order in which
            they were drawn. Many chains may stand one after the other in a row.
        observable: (states, draws), the order parameter M of the whole system in each draw, such as the sum of the
            spins; only |M| counts.
        units: n, how many units the system has, static.
        log_volume: log |Z|, the logarithm of the number of all states (or of the volume), such as n log 2.
        log_reference: log Z at betas[0]. None is log |Z|, for ladders that begin at beta = 0.
        at: (betas,), where to answer, in [0, inf), between the betas of the ladder or little beyond; None is the ladder
            itself.
        blocks: static, at least 2. A block should have some five times as many draws as are worth one independent one;
            the errors are known to a share of 1/√(2 blocks).

    Returns:
        `PhaseDiagram`, each quantity a `Measured(value, standard_error)` with one entry for each beta. It needs memory
        for some times states · states · draws numbers.

    Raises:
        ValueError: as in `mbar`; an observable of another shape than the energies, or not finite; a ladder that does
            not begin at 0 without a reference; fewer than 2 draws in a block; betas that are infinite or negative.

    Shirts & Chodera (2008), eq. 11 and 15.

    >>> betas, n = jnp.linspace(0.0, 1.0, 5), 16
    >>> p = jax.nn.sigmoid(2 * betas)  # n spins in a field of 1: E = -M
    >>> up = jax.random.bernoulli(jax.random.key(0), p[:, None, None], (5, 800, n))
    >>> M = jnp.sum(2.0 * up - 1, axis=-1)
    >>> found = thermodynamics(betas, -M, M, n, n * jnp.log(2))
    >>> bool(jnp.all(abs(found.mean_energy.value + jnp.tanh(betas)) < 5 * found.mean_energy.standard_error))
    True
    """
    draws = as_draws(betas, energies, None, None)
    observable = as_float("observable", observable)
    if observable.shape != draws.energies.shape:
        raise ArgumentError(f"observable: got shape {observable.shape}, wanted that of the energies")
    if is_static(observable) and not np.isfinite(np.asarray(observable)).all():
        raise ArgumentError("observable: got a value that is not finite, wanted finite values of draws")
    check_count("units", units)
    check_count("blocks", blocks)
    count = draws.energies.shape[1]
    if blocks < 2 or count < 2 * blocks:
        raise ArgumentError(f"blocks: got {blocks} of {count} draws, wanted at least 2, with at least 2 draws in each")
    log_volume = as_float("log_volume", log_volume, ())
    if log_reference is None:
        if is_static(draws.betas) and float(draws.betas[0]) != 0:
            first = float(draws.betas[0])
            raise ArgumentError(f"log_reference: got None, wanted log Z at betas[0] = {first:g}, which is not 0")
        log_reference = log_volume
    reference = as_reference(log_reference)
    wanted = draws.betas
    if at is not None:
        check_betas(at)
        wanted = as_float("at", at)
        if is_static(wanted) and np.isinf(np.asarray(wanted)).any():
            raise ArgumentError("at: got inf, wanted finite inverse temperatures")
    wanted = wanted.astype(draws.energies.dtype)
    return _thermodynamics(draws, observable, log_volume, reference, wanted, units, blocks)


@functools.partial(jax.jit, static_argnums=(5, 6))
def _thermodynamics(draws, observable, log_volume, reference, betas, units, blocks):
    dtype = draws.energies.dtype
    count = draws.energies.shape[1]
    size = jnp.abs(observable.astype(dtype)).reshape(-1) / units
    centre = jnp.mean(draws.energies)  # sums around it lose no digits
    energies = draws.energies.reshape(-1) - centre
    powers = jnp.stack([energies, size, size**2, size**4], axis=1)
    above = (reference - log_volume).astype(dtype)  # log Z at betas[0], over the volume

    def quantities(measure):
        """All quantities at all betas, (8, betas), and what tells how far to trust them."""
        mixed = mixture_of(draws._replace(measure=measure, numbers=measure.sum(axis=1)), jnp.zeros((), dtype))
        first = draws.betas[:1].astype(betas.dtype)
        log_z, weights = jax.vmap(lambda beta: weights_at(mixed, beta))(jnp.concatenate([first, betas]))
        log_ratio = log_z[1:] - log_z[0]  # exactly 0 at betas[0], where log Z is known
        weights = weights[1:].reshape(len(betas), -1)
        mean, magnetization, square, fourth = matmul(weights, powers).T
        variance = jnp.sum(weights * jnp.square(energies[None] - mean[:, None]), axis=1)
        log_share = log_ratio + above
        energy = mean + centre
        at_zero = betas == 0
        free_energy = jnp.where(at_zero, energy, -log_share / jnp.where(at_zero, 1, betas))
        entropy = log_share + betas * energy
        volume = log_volume.astype(dtype)
        per_unit = jnp.stack([log_share + volume, free_energy, energy, betas**2 * variance, entropy + volume]) / units
        susceptibility = betas * units * (square - magnetization**2)
        binder = 1 - fourth / (3 * square**2)
        return jnp.concatenate([per_unit, jnp.stack([magnetization, susceptibility, binder])]), mixed, weights

    block_of = jnp.asarray(np.arange(count) * blocks // count, jnp.int32)
    without = lambda block: quantities(jnp.where(block_of == block, 0, draws.measure))[0]
    values, mixed, weights = quantities(draws.measure)
    replicates = map_chunks(without, jnp.arange(blocks, dtype=jnp.int32), 1)
    away = replicates - replicates.mean(axis=0)[None]
    errors = jnp.sqrt((blocks - 1) / blocks * jnp.sum(jnp.square(away), axis=0))

    effective = 1 / jnp.sum(jnp.square(weights), axis=1)
    share_of_state = matmul(weights, mixed.fit.shares.T)
    some = lambda marked: matmul(share_of_state, marked.astype(dtype)) > SMALL
    slowest = jnp.maximum(*(statistical_inefficiency(x.reshape(-1, count)) for x in (draws.energies, size)))
    slow = some(slowest * LEAST_BLOCK > count / blocks)
    joined = ~some(mixed.estimate.result != CONVERGED)
    overlaps = (effective >= LEAST_EFFECTIVE) & joined
    result = result_for(draws.sound, values[0], overlaps, jnp.where(slow, NOT_MIXED, CONVERGED))
    # without a connection to betas[0] only averages at a beta are known
    known = (effective >= LEAST_EFFECTIVE)[None] & (joined[None] | ~jnp.asarray(_OF_LOG_Z)[:, None])
    errors = jnp.where(known, errors, jnp.nan)
    measured = [Measured(*pair) for pair in zip(values, errors, strict=True)]
    return PhaseDiagram(betas, *measured, effective_samples=effective, result=result)


_OF_LOG_Z = np.array([True, True, False, False, True, False, False, False])
"""Which quantities, in the order of `PhaseDiagram`, need log Z."""
