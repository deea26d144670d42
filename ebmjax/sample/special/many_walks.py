"""Random-walk Metropolis for many chains at once, at the speed of the arithmetic.

    x' = x + scale · ξ,    accepted with probability min(1, exp(-beta (E(x') - E(x))))

The law is that of `metropolis` with `gaussian_step`; what differs is how it runs. Chains are the last axis of a
position, so that an energy of few unknowns is evaluated over neighbouring memory, and one key draws the noise of all
chains of a step.

Metropolis et al. (1953); Gelman, Roberts and Gilks (1996), "Efficient Metropolis jumping rules".
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from ebmjax import random_bits
from ebmjax.checks import ArgumentError, check_beta, check_not_negative
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Energy, Kernel, Scalar


class State(NamedTuple):
    """Where all chains are, and the energies there."""

    position: Float[Array, "*shape chains"]
    energy: Float[Array, " chains"]


class Info(NamedTuple):
    """What became of the proposals."""

    accepted: Bool[Array, " chains"]  # a refused move counts the old state again
    energy_change: Float[Array, " chains"]  # of the proposal, accepted or not


def random_walk(energy: Energy, beta: Beta, scale: Scalar) -> Kernel:
    """Kernel of all chains of a position (*shape, chains), each of which leaves exp(-beta E)/Z invariant.

    Args:
        energy: `energy(x) -> scalar` of the unknown of ONE chain, of shape `shape`; lifted to all by `jax.vmap`. +inf
            forbids a position.
        beta: inverse temperature in [0, inf]; at inf no move goes up. May be traced.
        scale: standard deviation of a step in each coordinate, not negative; may be traced.

    Raises:
        ValueError: a bad beta, a negative scale; at `init`, a position without an axis of chains.
        TypeError: at `init`, a position that is not of floats.

    Gelman, Roberts and Gilks (1996): in d dimensions a scale of 2.4/√d standard deviations is best.

    >>> kernel = random_walk(lambda x: jnp.sum(x**2) / 2, 2.0, 0.5)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.zeros((2, 5))))
    >>> state.position.shape, info.accepted.shape
    ((2, 5), (5,))
    """
    check_beta(beta)
    check_not_negative("scale", scale)
    energies = jax.vmap(energy, in_axes=-1, out_axes=-1)

    def init(position: Array, rng_key: Key[Array, ""] | None = None) -> State:
        if not jnp.issubdtype(position.dtype, jnp.floating):
            raise TypeError(f"position: got dtype {position.dtype}, wanted floats")
        if position.ndim == 0:
            raise ArgumentError("position: got shape (), wanted (*shape, chains)")
        return State(position, energies(position))

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        noise, bound = _draw(rng_key, state.position.shape)
        proposed = state.position + jnp.asarray(scale).astype(state.position.dtype) * noise.astype(state.position.dtype)
        new = energies(proposed)
        change = new - state.energy
        accepted = bound.astype(change.dtype) >= reduced(change, beta)
        position = jnp.where(accepted, proposed, state.position)
        return State(position, jnp.where(accepted, new, state.energy)), Info(accepted, change)

    return Kernel(init, step)


def _draw(key, shape):
    """Normal noise of this shape, and an exponential draw for each chain.

    XLA on CPU would draw them again for each of their uses: the energy, and the choice between old and new. What a
    conditional returns is kept, and it does not see that this one has no choice.
    """
    words = jax.random.key_data(key)
    fresh = lambda: (_normal_pairs(words, _half(shape)), _exponential_pairs(words, _half(shape[-1:])))
    blank = lambda: tuple(jnp.zeros(_half(shape), jnp.complex64) for shape in (shape, shape[-1:]))
    noise, bound = jax.lax.cond((words[0] | np.uint32(1)) != 0, fresh, blank)
    return _unpaired(noise, shape), _unpaired(bound, shape[-1:])


def _normal_pairs(words, pairs):
    """Standard normal numbers by Box and Muller (1958): a radius and a direction make two."""
    high, low = _two_words(words, 0, pairs)
    radius = jnp.sqrt(-2 * jnp.log(_uniform(high)))
    x, y = _direction(low)
    return jax.lax.complex(radius * x, radius * y)


def _direction(word):
    """A unit vector within an eighth of a turn of an axis, by Taylor's series; the low bits say of which half axis."""
    angle = (_uniform(word) - 0.5) * np.float32(np.pi / 2)
    square = angle * angle
    sine = angle * _polynomial(square, (1, -1 / 6, 1 / 120, -1 / 5040))
    cosine = _polynomial(square, (1, -1 / 2, 1 / 24, -1 / 720, 1 / 40320))
    bit = lambda place: (word & np.uint32(place)) == 0
    x, y = jnp.where(bit(1), cosine, sine), jnp.where(bit(1), sine, cosine)
    return jnp.where(bit(2), x, -x), jnp.where(bit(4), y, -y)


def _exponential_pairs(words, pairs):
    high, low = _two_words(words, 1, pairs)
    return jax.lax.complex(-jnp.log(_uniform(high)), -jnp.log(_uniform(low)))


def _two_words(words, stream, counters):
    """Both words of threefry for each counter: returned as one complex number, they come out of one pass."""
    counter = jax.lax.iota(jnp.uint32, *counters)
    return random_bits.threefry(words, jnp.full_like(counter, stream), counter)


def _uniform(word):
    """The top 24 bits as a number in ]0, 1[, as of `random_bits.uniform`."""
    return (word >> np.uint32(8)).astype(jnp.float32) * np.float32(2.0**-24) + np.float32(2.0**-25)


def _polynomial(x, coefficients):
    return functools.reduce(lambda total, c: total * x + np.float32(c), reversed(coefficients), jnp.zeros_like(x))


def _half(shape):
    """How many pairs make an array of this shape."""
    return (-(-math.prod(shape) // 2),)


def _unpaired(pairs, shape):
    return jnp.concatenate([pairs.real, pairs.imag])[: math.prod(shape)].reshape(shape)
