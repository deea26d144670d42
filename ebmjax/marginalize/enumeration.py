"""All states of up to 28 binary units, in bounded memory: exact free energies, partition functions and draws.

    F_beta = softmin over blocks of (softmin over the states of a block)

`ebmjax.free_energy` on `ebmjax.binary_cube` has all states in memory at once, which ends near 20 units. Here they are
counted in blocks. A machine with many units is within reach where those of one side are independent given the other
side, as in a restricted Boltzmann machine: the energy is then the free energy over the larger side, in closed form.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    as_scalar,
    check_callable,
    check_count,
    check_finite_beta,
    check_key,
    check_record,
)
from ebmjax.compiled import compiled
from ebmjax.loops import map_chunks
from ebmjax.temperature import reduced, softmin
from ebmjax.types import BITS, CONVERGED, Alphabet, Beta, Energy, Estimate, Numbers

MOST = 28
"""The most units: 270 million states."""
BLOCK = 12
"""A block has the states of so many units."""


def free_energy(energy: Energy, units: int, beta: Beta, alphabet: Alphabet = BITS) -> Float[Array, ""]:
    """F_beta = -1/beta log 1/2^n Σ exp(-beta E) over all states of n binary units: their mean at 0, the least at inf.

    Args:
        energy: `energy(state) -> scalar` of one state, an array (units,).
        units: n, static, from 1 to 28. Time is that of 2^n energies; memory that of 2^12 of them, gradients included.
        beta: inverse temperature in [0, inf], static or traced.
        alphabet: the two values of a unit, {0, 1} by default; `ebmjax.types.SPINS` for ±1.

    Raises:
        ValueError: an energy that is no function, or not a scalar; units below 1 or above 28; beta negative, NaN or not
            a scalar; an alphabet that is none.

    >>> [float(free_energy(jnp.sum, 16, beta)) for beta in (0.0, jnp.inf)]
    [8.0, 0.0]
    """
    beta = _checked(energy, units, beta, alphabet)
    return softmin(_blocks(energy, units, beta, alphabet), beta)


def log_partition(energy: Energy, units: int, beta: Beta, alphabet: Alphabet = BITS) -> Estimate:
    """log Z = log Σ exp(-beta E) over all states of n binary units, exactly.

    Arguments and errors as in `free_energy`, but beta is finite. With the free energy over one side of a restricted
    Boltzmann machine as the energy of a state of the other side, it is log Z of the machine. So it is for hidden units,
    where they are fewer:

        turned = rbm.Params(params.weights.T, params.hidden_bias, params.visible_bias)
        log_partition(lambda h: rbm.summed_free_energy(turned, h, beta), len(params.hidden_bias), beta)

    Returns:
        `Estimate` with a standard error of zero.

    >>> round(float(log_partition(jnp.sum, 16, 0.5).log_partition), 4)  # 16 log(1 + exp(-0.5))
    7.5852
    """
    check_finite_beta(beta)
    beta = _checked(energy, units, beta, alphabet)
    return _log_partition(energy, units, jnp.asarray(beta), alphabet)


def draws(
    key: Key[Array, ""], energy: Energy, units: int, beta: Beta, count: int, alphabet: Alphabet = BITS
) -> Float[Array, "count units"]:
    """Independent exact draws from exp(-beta E)/Z: first the block of each, then its state within the block.

    Args:
        key: typed random key.
        energy, units, beta, alphabet: as in `free_energy`; at beta = inf they are shared equally among ground states.
        count: how many, at least 1.

    Raises:
        ValueError: as in `free_energy`; a key that is not typed, a count below 1.

    >>> draws(jax.random.key(0), lambda state: -jnp.sum(state), 3, jnp.inf, 2).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    check_key("key", key)
    check_count("count", count)
    beta = _checked(energy, units, beta, alphabet)
    return _draws(key, energy, units, beta, count, alphabet)


def _checked(energy, units, beta, alphabet):
    check_callable("energy", energy)
    check_count("units", units)
    if units > MOST:
        raise ArgumentError(f"units: got {units}, wanted at most {MOST}: there are 2^{units} states")
    check_record("alphabet", alphabet, Alphabet)
    return as_beta(beta)


@compiled
def _log_partition(energy, units, beta, alphabet):
    free = softmin(_blocks(energy, units, beta, alphabet), beta)
    return exact_estimate(units * math.log(2) - reduced(free, beta))


@compiled
def _blocks(energy, units, beta, alphabet):
    """The free energy of each block."""
    size = min(units, BLOCK)
    # without the checkpoint a gradient would keep what it needs of all states
    one = jax.checkpoint(lambda block: softmin(_energies(energy, block, size, units, alphabet), beta))
    return map_chunks(one, jnp.arange(2 ** (units - size), dtype=jnp.uint32), 1)


@compiled
def _draws(key, energy, units, beta, count, alphabet):
    size = min(units, BLOCK)
    blocks_key, states_key = jax.random.split(key)
    scores = lambda values: -reduced(jnp.where(values == jnp.min(values), 0, values - jnp.min(values)), beta)
    blocks = jax.random.categorical(blocks_key, scores(_blocks(energy, units, beta, alphabet)), shape=(count,))

    def draw(one):
        key, block = one
        within = jax.random.categorical(key, scores(_energies(energy, block, size, units, alphabet)))
        return _states(block * jnp.uint32(2**size) + within.astype(jnp.uint32), units, alphabet)

    return map_chunks(draw, (jax.random.split(states_key, count), blocks.astype(jnp.uint32)), 1)


def _energies(energy, block, size, units, alphabet):
    numbers = block * jnp.uint32(2**size) + jnp.arange(2**size, dtype=jnp.uint32)
    return jax.vmap(lambda number: as_scalar("energy", energy(_states(number, units, alphabet))))(numbers)


def _states(number, units, alphabet):
    bits = (number >> jnp.arange(units, dtype=jnp.uint32)) & jnp.uint32(1)
    return jnp.where(bits == 1, jnp.asarray(alphabet.high, float), jnp.asarray(alphabet.low, float))


def exact_estimate(log_partition: Numbers) -> Estimate:
    """The `Estimate` of a log Z that is known exactly: an error of zero, and both bounds equal to it.

    Args:
        log_partition: log Z in nats, of one model or of many.

    Raises ValueError for what is not numbers.

    >>> exact_estimate(2.0).standard_error.item()
    0.0
    """
    value = as_float("log_partition", log_partition)
    zeros, result = jnp.zeros_like(value), jnp.full(value.shape, CONVERGED, jnp.int32)
    return Estimate(value, zeros, zeros + jnp.inf, value, value, result)
