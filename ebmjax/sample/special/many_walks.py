"""Random-walk Metropolis of many chains in one position (*shape, chains), fast for energies of few unknowns.

    x' = x + step_size · ξ,    accepted with probability min(1, exp(-beta (E(x') - E(x))))

The law is that of `metropolis` with the proposal `gaussian_step`. It is faster because chains are the last axis of the
position, so that the energy is evaluated over contiguous memory, and because one key gives the noise of all chains.

Metropolis et al. (1953); Gelman, Roberts and Gilks (1996), "Efficient Metropolis jumping rules".
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from ebmjax import random_bits
from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    as_scalar,
    check_callable,
    check_key,
    check_not_negative,
)
from ebmjax.compiled import compiled
from ebmjax.records import record
from ebmjax.sample.metropolis import check_allowed, is_forbidden
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Energy, Kernel, Scalar

Chains = Float[Array, "*shape chains"]
"""Many chains in one position: the last axis counts them."""


@record
class State(NamedTuple):
    """The positions of all chains and their energies, which are evaluated once a step."""

    position: Chains
    energy: Float[Array, " chains"]


@record
class Info(NamedTuple):
    """What happened to the proposals of a step."""

    accepted: Bool[Array, " chains"]
    """Whether the chain moved to the proposal."""
    energy_change: Float[Array, " chains"]
    """E(x') - E(x) of the proposal, accepted or not."""
    forbidden: Bool[Array, " chains"]
    """Whether the energy where a chain now is is +inf or NaN. There it cannot be, and it can be stuck there."""


def random_walk(energy: Energy, beta: Beta, step_size: Scalar) -> Kernel:
    """Kernel of many chains in one position (*shape, chains), each of which leaves exp(-beta E)/Z invariant.

    Args:
        energy: `energy(x) -> scalar` of the unknown of one chain, of shape `shape`; `jax.vmap` lifts it to all chains.
            +inf forbids a position.
        beta: inverse temperature in [0, inf]; may be traced. At inf no move that raises the energy is accepted.
        step_size: standard deviation of a step in each coordinate, in units of position, not negative; may be traced.
            In d dimensions 2.4/√d standard deviations of the law is best (Gelman, Roberts and Gilks 1996).

    Returns:
        Kernel whose info has `accepted`, `energy_change` and `forbidden`, for each chain.

    Raises:
        ValueError: a bad beta, a static step size that is negative; at `init`, a position without an axis of chains, or
            a static one of which a chain has an energy of +inf or NaN.

    Metropolis et al. (1953).

    >>> kernel = random_walk(lambda x: jnp.sum(x**2) / 2, 2.0, 0.5)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.zeros((2, 5))))
    >>> state.position.shape, info.accepted.shape
    ((2, 5), (5,))
    """
    beta = as_beta(beta)
    check_callable("energy", energy)
    check_not_negative("step_size", step_size)
    step_size = as_float("step_size", step_size, ())

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> State:
        position = as_float("position", position)
        if position.ndim == 0:
            raise ArgumentError("position: got shape (), wanted (*shape, chains)")
        heights = _heights(energy, position)
        check_allowed("position", heights)
        return State(position, heights)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, energy, beta, step_size)

    return Kernel(init, step)


@compiled
def _heights(energy, position):
    return jax.vmap(lambda x: as_scalar("energy", energy(x)), in_axes=-1, out_axes=-1)(position)


@compiled
def _step(rng_key, state, energy, beta, step_size):
    noise, bound = _draw(rng_key, state.position.shape)
    dtype = state.position.dtype
    proposed = state.position + step_size.astype(dtype) * noise.astype(dtype)
    new = _heights(energy, proposed)
    change = new - state.energy
    # the decision of `metropolis.accepts`, with the exponential numbers of all chains from `_draw`
    left = is_forbidden(state.energy) & ~is_forbidden(new)
    accepted = left | (bound.astype(change.dtype) >= reduced(change, beta))
    position = jnp.where(accepted, proposed, state.position)
    height = jnp.where(accepted, new, state.energy)
    return State(position, height), Info(accepted, change, is_forbidden(height))


def _draw(key, shape):
    """Normal noise of this shape, and an exponential random number for each chain.

    XLA on CPU would compute these numbers again for each of their uses, which are the energy and the choice between old
    and new positions. The conditional is a barrier against that: XLA keeps its result, and does not know that its
    condition is always true.
    """
    words = jax.random.key_data(key)
    fresh = lambda: (_normal_pairs(words, _half(shape)), _exponential_pairs(words, _half(shape[-1:])))
    blank = lambda: tuple(jnp.zeros(_half(shape), jnp.complex64) for shape in (shape, shape[-1:]))
    noise, bound = jax.lax.cond((words[0] | np.uint32(1)) != 0, fresh, blank)
    return _unpaired(noise, shape), _unpaired(bound, shape[-1:])


def _normal_pairs(words, pairs):
    """Pairs of standard normal numbers, from a random radius and a random direction (Box and Muller 1958)."""
    high, low = _two_words(words, 0, pairs)
    radius = jnp.sqrt(-2 * jnp.log(random_bits.midpoints(high)))
    x, y = _direction(low)
    return jax.lax.complex(radius * x, radius * y)


def _direction(word):
    """A unit vector of uniform direction: an angle in ±π/4 by Taylor's series, about one of four half axes.

    The angle is of the high 23 bits of the word, the half axis of its low bits.
    """
    angle = (random_bits.midpoints(word) - 0.5) * np.float32(np.pi / 2)
    square = angle * angle
    sine = angle * _polynomial(square, (1, -1 / 6, 1 / 120, -1 / 5040))
    cosine = _polynomial(square, (1, -1 / 2, 1 / 24, -1 / 720, 1 / 40320))
    bit = lambda place: (word & np.uint32(place)) == 0
    x, y = jnp.where(bit(1), cosine, sine), jnp.where(bit(1), sine, cosine)
    return jnp.where(bit(2), x, -x), jnp.where(bit(4), y, -y)


def _exponential_pairs(words, pairs):
    high, low = _two_words(words, 1, pairs)
    return jax.lax.complex(_exponential(high), _exponential(low))


def _exponential(word):
    """Of 31 bits, which float32 holds where they are few: up to 22.2, with a probability of 2⁻³²."""
    return -jnp.log(2 * jnp.abs(random_bits.around_zero(word)))


def _two_words(words, stream, counters):
    """Both words of threefry for each counter; callers join them to one complex number, so that one pass makes both."""
    counter = jax.lax.iota(jnp.uint32, *counters)
    return random_bits.threefry(words, jnp.full_like(counter, stream), counter)


def _polynomial(x, coefficients):
    return functools.reduce(lambda total, c: total * x + np.float32(c), reversed(coefficients), jnp.zeros_like(x))


def _half(shape):
    """How many pairs make an array of this shape."""
    return (-(-math.prod(shape) // 2),)


def _unpaired(pairs, shape):
    return jnp.concatenate([pairs.real, pairs.imag])[: math.prod(shape)].reshape(shape)
