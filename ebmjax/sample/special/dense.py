"""Gibbs sweeps of a densely coupled Boltzmann machine, many chains at a time, at the speed of matrix products.

The units are visited in order, one after another, as in a plain systematic scan, but in blocks: one product of a
block's rows of W with all chains gives its fields, and an inner scan over the block adds what its own units have
changed since. The order of updates, and so the law, is that of the single-site scan; nearly all of the work is the
product.

Chains are the last axis of a position, so that every update runs over neighbouring memory.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax import random_bits
from ebmjax.checks import ArgumentError, check_beta, check_count, check_units
from ebmjax.energies import hopfield
from ebmjax.temperature import reduced
from ebmjax.types import SPINS, Alphabet, Beta, Kernel


class State(NamedTuple):
    """All chains."""

    position: Float[Array, "units chains"]


class Info(NamedTuple):
    """What happened in a sweep."""

    changed: Float[Array, ""]  # share of all updates that turned a unit over


def dense(params: hopfield.Params, beta: Beta, alphabet: Alphabet = SPINS, block: int = 16) -> Kernel:
    """Systematic Gibbs sweeps of E(s) = -½ sᵀWs - bᵀs for all chains of a position (units, chains) at once.

    Args:
        params: symmetric weights with zero diagonal, and biases; float32.
        beta: inverse temperature in [0, inf].
        alphabet: the two values of a unit, ±1 or {0, 1}.
        block: units whose fields are computed by one product, at least 1; it changes the speed alone.

    Raises:
        ValueError: a bad beta, weights that are not symmetric with zero diagonal, a block below 1; at `init`, a
            position that is not (units, chains) or has units outside the alphabet.

    >>> params = hopfield.Params(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([0.5, 0.0]))
    >>> kernel = dense(params, jnp.inf)
    >>> kernel.step(jax.random.key(0), kernel.init(-jnp.ones((2, 3))))[0].position.tolist()
    [[-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]]
    """
    check_beta(beta)
    hopfield.check_params(params)
    check_count("block", block)
    units = params.bias.shape[0]
    block = min(block, units)
    span = alphabet.high - alphabet.low

    def update(position, start, size, uniforms):
        """Units start … start + size - 1 in order, given all the others."""
        rows = jax.lax.dynamic_slice_in_dim(params.weights, start, size)
        bias = jax.lax.dynamic_slice_in_dim(params.bias, start, size)
        within = jax.lax.dynamic_slice_in_dim(rows, start, size, axis=1)
        old = jax.lax.dynamic_slice_in_dim(position, start, size)

        def unit(fields, index_and_all):
            index, weights, value, uniform = index_and_all
            field = jax.lax.dynamic_index_in_dim(fields, index, keepdims=False)
            # u < σ(x), in a form that neither overflows nor rounds a small probability to nothing
            up = uniform * (1 + jnp.exp(-reduced(span * field, beta))) < 1
            new = jnp.where(up, alphabet.high, alphabet.low).astype(value.dtype)
            return fields + weights[:, None] * (new - value)[None, :], new

        fields = rows @ position + bias[:, None]
        new = jax.lax.scan(unit, fields, (jnp.arange(size), within, old, uniforms))[1]
        return jax.lax.dynamic_update_slice_in_dim(position, new, start, 0)

    def init(position: Float[Array, "units chains"], rng_key: Key[Array, ""] | None = None) -> State:
        if position.ndim != 2 or position.shape[0] != units:
            raise ArgumentError(f"position: got shape {position.shape}, wanted ({units}, chains)")
        check_units("position", position, alphabet)
        return State(position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
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
        return State(position), Info(changed)

    return Kernel(init, step)
