"""Gibbs sweeps of a Boltzmann machine, many chains in one position (units, chains), by matrix products.

    E(s) = -½ sᵀWs - bᵀs,    P(s_i = high | rest) = σ(beta (high - low) (Ws + b)_i)

The law and the order of updates are those of `gibbs.systematic` and of `single_site`: one unit after another. Take this
one for many chains, `single_site` if there is one chain or some units are clamped, `gibbs.systematic` for other
energies.

The units are updated in blocks. One product of a block's rows of W with all chains gives the fields of the block; an
inner scan over its units corrects them for those units of the block that have changed. Nearly all of the work is the
product. Chains are the last axis, so that every update runs over contiguous memory.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax import random_bits
from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    check_count,
    check_key,
    check_record,
    check_units,
)
from ebmjax.compiled import compiled
from ebmjax.energies import hopfield
from ebmjax.numerics import matmul
from ebmjax.sample import gibbs
from ebmjax.sample.units import may_be_coldest
from ebmjax.types import SPINS, Alphabet, Beta, Kernel

Chains = Float[Array, "units chains"]
"""Many chains in one position: each column is the position of one chain."""


def dense(params: hopfield.Params, beta: Beta, alphabet: Alphabet = SPINS, block: int = 16) -> Kernel:
    """Systematic Gibbs sweeps of many chains in one position (units, chains), by matrix products.

    Args:
        params: symmetric weights with zero diagonal, and biases.
        beta: inverse temperature in [0, inf]; may be traced.
        alphabet: the two values of a unit, ±1 by default.
        block: how many units have their fields computed by one product, at least 1. It changes only the speed.

    Returns:
        A kernel of positions (units, chains). Its info has `changed`, the share over all chains.

    Raises:
        ValueError: a bad beta, weights that are not symmetric with zero diagonal, a block below 1; at `init`, a
            position that is not (units, chains) or has units outside the alphabet.

    Ackley, Hinton, Sejnowski (1985), "A learning algorithm for Boltzmann machines".

    >>> params = hopfield.Params(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([0.5, 0.0]))
    >>> kernel = dense(params, jnp.inf)
    >>> kernel.step(jax.random.key(0), kernel.init(-jnp.ones((2, 3))))[0].position.tolist()
    [[-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]]
    """
    beta = as_beta(beta)
    check_record("params", params, hopfield.Params)
    check_record("alphabet", alphabet, Alphabet)
    params = hopfield.Params(as_float("weights", params.weights), as_float("bias", params.bias))
    hopfield.check_params(params)
    check_count("block", block)
    units = params.bias.shape[0]
    block = min(int(block), units)

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> gibbs.State:
        position = as_float("position", position)
        if position.ndim != 2 or position.shape[0] != units:
            raise ArgumentError(f"position: got shape {position.shape}, wanted ({units}, chains)")
        check_units("position", position, alphabet)
        return gibbs.State(position)

    def step(rng_key: Key[Array, ""], state: gibbs.State) -> tuple[gibbs.State, gibbs.Info]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, params, beta, alphabet, block, may_be_coldest(beta))

    return Kernel(init, step)


@compiled
def _step(rng_key, state, params, beta, alphabet, block, ties):
    # a barrier: couplings that somebody's program holds as constants would be folded for seconds by XLA
    weights, bias = jax.lax.optimization_barrier((params.weights, params.bias))
    units, chains = state.position.shape
    span = alphabet.high - alphabet.low
    scale = span * (jnp.abs(weights).sum(axis=1) + jnp.abs(bias)) if ties else bias

    def update(position, start, size, uniforms):
        """Draw the units start … start + size - 1, in order, each given all the others."""
        part = lambda array, axis=0: jax.lax.dynamic_slice_in_dim(array, start, size, axis)
        rows = part(weights)

        def unit(fields, index_and_all):
            index, row, value, uniform, scale = index_and_all
            gap = span * jax.lax.dynamic_index_in_dim(fields, index, keepdims=False)
            gap = gibbs.settled(gap, scale, beta) if ties else gap
            new = gibbs.heat_bath(uniform, gap, beta, alphabet).astype(value.dtype)
            return fields + row[:, None] * (new - value)[None, :], new

        fields = matmul(rows, position) + part(bias)[:, None]
        drawn = (jnp.arange(size), part(rows, 1), part(position), uniforms, part(scale))
        new = jax.lax.scan(unit, fields, drawn)[1]
        return jax.lax.dynamic_update_slice_in_dim(position, new, start, 0)

    full = units // block * block
    uniforms = random_bits.around_zero(random_bits.bits(rng_key, (units, chains)))
    position, _ = jax.lax.scan(
        lambda position, start_and_draws: (update(position, start_and_draws[0], block, start_and_draws[1]), None),
        state.position,
        (jnp.arange(0, full, block), uniforms[:full].reshape(-1, block, chains)),
    )
    if full < units:
        position = update(position, full, units - full, uniforms[full:])
    changed = (position != state.position).astype(position.dtype).mean()
    return gibbs.State(position), gibbs.Info(changed)
