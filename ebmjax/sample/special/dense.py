"""Gibbs sweeps of a Boltzmann machine, many chains in one position (units, chains), by matrix products.

    E(s) = -½ sᵀWs - bᵀs,    P(s_i = high | rest) = σ(beta (high - low) (Ws + b)_i)

The law and the order of updates are those of `gibbs.systematic` and of `single_site`: one unit after another. Take this
one for many chains, `single_site` if there is one chain or some units are clamped, `gibbs.systematic` for other
energies.

The units are updated in blocks. One product of a block's rows of W with all chains gives the fields of the block; an
inner scan over its units corrects them for those units of the block that have changed. Nearly all of the work is the
product. Chains are the last axis, so that every update runs over contiguous memory.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax import random_bits
from ebmjax.checks import ArgumentError, check_beta, check_count, check_units
from ebmjax.energies import hopfield
from ebmjax.numerics import matmul
from ebmjax.sample import gibbs
from ebmjax.types import SPINS, Alphabet, Beta, Kernel

Chains = Float[Array, "units chains"]
"""Many chains in one position: each column is the position of one chain."""


def dense(params: hopfield.Params, beta: Beta, alphabet: Alphabet = SPINS, block: int = 16) -> Kernel:
    """Systematic Gibbs sweeps of many chains in one position (units, chains), by matrix products.

    Args:
        params: symmetric weights with zero diagonal, and biases, of the dtype of the positions.
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
    check_beta(beta)
    hopfield.check(params)
    check_count("block", block)
    units = params.bias.shape[0]
    block = min(block, units)
    span = alphabet.high - alphabet.low

    def update(position, start, size, uniforms):
        """Draw the units start … start + size - 1, in order, each given all the others."""
        rows = jax.lax.dynamic_slice_in_dim(params.weights, start, size)
        bias = jax.lax.dynamic_slice_in_dim(params.bias, start, size)
        within = jax.lax.dynamic_slice_in_dim(rows, start, size, axis=1)
        old = jax.lax.dynamic_slice_in_dim(position, start, size)

        def unit(fields, index_and_all):
            index, weights, value, uniform = index_and_all
            field = jax.lax.dynamic_index_in_dim(fields, index, keepdims=False)
            new = gibbs.heat_bath(uniform, span * field, beta, alphabet).astype(value.dtype)
            return fields + weights[:, None] * (new - value)[None, :], new

        fields = matmul(rows, position) + bias[:, None]
        new = jax.lax.scan(unit, fields, (jnp.arange(size), within, old, uniforms))[1]
        return jax.lax.dynamic_update_slice_in_dim(position, new, start, 0)

    def init(position: Chains, rng_key: Key[Array, ""] | None = None) -> gibbs.State:
        if position.ndim != 2 or position.shape[0] != units:
            raise ArgumentError(f"position: got shape {position.shape}, wanted ({units}, chains)")
        check_units("position", position, alphabet)
        return gibbs.State(position)

    def step(rng_key: Key[Array, ""], state: gibbs.State) -> tuple[gibbs.State, gibbs.Info]:
        chains = state.position.shape[1]
        full = units // block * block
        uniforms = random_bits.uniform(rng_key, (units, chains)).astype(state.position.dtype)
        starts = jnp.arange(0, full, block)
        position, _ = jax.lax.scan(
            lambda position, start_and_draws: (update(position, start_and_draws[0], block, start_and_draws[1]), None),
            state.position,
            (starts, uniforms[:full].reshape(-1, block, chains)),
        )
        if full < units:
            position = update(position, full, units - full, uniforms[full:])
        changed = (position != state.position).astype(position.dtype).mean()
        return gibbs.State(position), gibbs.Info(changed)

    return Kernel(init, step)
