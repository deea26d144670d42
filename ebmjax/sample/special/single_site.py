"""Gibbs sweeps of a Boltzmann machine, one chain, one spin after another; spins may be clamped.

    E(s) = -½ sᵀWs - bᵀs,    P(s_i = +1 | rest) = σ(2 beta (Ws + b)_i)

An update reads one row of W, so that a sweep costs N² operations. `gibbs.systematic` has the same law for any energy;
a sweep of it costs N³ operations for this one. `dense` has the same law too: take it for many chains without clamped
spins, and this module if some spins are clamped or there is one chain.

Ackley, Hinton, Sejnowski (1985), "A learning algorithm for Boltzmann machines".
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ebmjax import random_bits
from ebmjax.checks import ArgumentError, as_beta, as_float, check_key, check_record, check_units
from ebmjax.compiled import compiled
from ebmjax.energies import hopfield
from ebmjax.numerics import matmul
from ebmjax.sample import gibbs
from ebmjax.sample.units import may_be_coldest
from ebmjax.temperature import reduced
from ebmjax.types import SPINS, Beta, Kernel


def sweep(params: hopfield.Params, beta: Beta, sites: Any = None) -> Kernel:
    """Draw the spins of `sites` one after another, in this order, each from its conditional law given all the others.

    Args:
        params: symmetric weights with zero diagonal, and biases.
        beta: inverse temperature in [0, inf]; may be traced.
        sites: static indices of the spins that are drawn, (visits,); the others are clamped. None is all spins, in
            order.

    Returns:
        A kernel of positions (units,), which leaves exp(-beta E)/Z given the clamped spins invariant. Its info has
        `changed`, the share of the draws that changed a spin.

    Raises:
        ValueError: a bad beta, weights that are not symmetric with zero diagonal, no site or one outside the machine;
            at `init`, a position of another shape or with units other than -1 and +1.

    Ackley et al. (1985), eq. 5.

    >>> params = hopfield.Params(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.zeros(2))
    >>> kernel = sweep(params, jnp.inf, np.array([1]))
    >>> kernel.step(jax.random.key(0), kernel.init(jnp.array([-1.0, 1.0])))[0].position.tolist()
    [-1.0, -1.0]
    """
    beta = as_beta(beta)
    check_record("params", params, hopfield.Params)
    params = hopfield.Params(as_float("weights", params.weights), as_float("bias", params.bias))
    hopfield.check_params(params)
    units = params.bias.shape[0]
    sites = np.arange(units) if sites is None else np.asarray(sites)
    if sites.ndim != 1 or sites.dtype.kind not in "iu" or not sites.size or sites.min() < 0 or sites.max() >= units:
        raise ArgumentError(f"sites: got {sites.tolist()}, wanted at least one index of 0 to {units - 1}")

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> gibbs.State:
        position = as_float("position", position, (units,))
        check_units("position", position, SPINS)
        return gibbs.State(position)

    def step(rng_key: Key[Array, ""], state: gibbs.State) -> tuple[gibbs.State, gibbs.Info]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, params, beta, sites, may_be_coldest(beta))

    return Kernel(init, step)


@compiled
def _step(rng_key, state, params, beta, sites, ties):
    # a barrier: couplings that somebody's program holds as constants would be folded for seconds by XLA
    weights, bias = jax.lax.optimization_barrier((params.weights, params.bias))
    # all random numbers of a sweep come from one key, since splitting keys would take longer than the updates
    uniform = random_bits.around_zero(jax.random.bits(rng_key, sites.shape, jnp.uint32))
    tail = jnp.abs(uniform)
    thresholds = jnp.sign(uniform) * (jnp.log(tail) - jnp.log1p(-tail))

    def visit(spins, site_and_threshold):
        site, threshold = site_and_threshold
        row = weights[site]
        gap = 2 * (matmul(row, spins) + bias[site])
        if ties:
            gap = gibbs.settled(gap, 2 * (jnp.abs(row).sum() + jnp.abs(bias[site])), beta)
        up = threshold.astype(gap.dtype) < reduced(gap, beta)
        return spins.at[site].set(jnp.where(up, 1, -1).astype(spins.dtype)), None

    spins, _ = jax.lax.scan(visit, state.position, (jnp.asarray(sites), thresholds))
    changed = jnp.sum(spins != state.position) / sites.size
    return gibbs.State(spins), gibbs.Info(changed)
