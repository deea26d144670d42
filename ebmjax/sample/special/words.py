"""Spins as bits of machine words, 32 in each, and words whose bits are 1 with chosen probabilities.

`multispin` and `multispin_glass` are made of these.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from ebmjax.checks import ArgumentError, as_float, check_count, check_units
from ebmjax.records import record
from ebmjax.types import SPINS, Scalar

LANES = 32
"""How many spins a word has."""
ALL = ~np.uint32(0)
"""The word whose bits are all 1."""


@record
class Threshold(NamedTuple):
    """A probability in binary digits."""

    digits: list[UInt32[Array, ""]]
    """The first digits, lowest first: a word of ones for each 1, a word of zeros for each 0."""
    rest: UInt32[Array, ""]
    """What is left of the probability beyond its digits, times 2³² and relative to the last digit."""


def pack(spins: Any) -> UInt32[Array, "words *rest"]:
    """Spins ±1, (32 words, *rest), as words: spin 32 w + b is bit b of word w, which is 1 where the spin is up.

    Raises ValueError for static spins that are not ±1.

    >>> pack(jnp.ones((64, 3))).shape
    (2, 3)
    """
    spins = as_float("spins", spins)
    check_units("spins", spins, SPINS)
    up = (spins > 0).astype(jnp.uint32).reshape(-1, LANES, *spins.shape[1:])
    return jnp.sum(up << _shifts(spins.ndim - 1), axis=1, dtype=jnp.uint32)


def unpack(words: UInt32[Array, "words *rest"]) -> Float[Array, "spins *rest"]:
    """The spins ±1 of words: the inverse of `pack`.

    >>> unpack(pack(jnp.ones((64, 3)))).shape
    (64, 3)
    """
    up = (words[:, None] >> _shifts(words.ndim - 1)) & np.uint32(1)
    return (2 * up.astype(jnp.float32) - 1).reshape(-1, *words.shape[1:])


def check_precision(precision: int) -> None:
    """Raise ValueError for a number of binary digits outside [1, 24]: a float32 has no more of them.

    >>> check_precision(25)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: precision: got 25, wanted 1 to 24 binary digits
    """
    check_count("precision", precision)
    if precision > 24:
        raise ArgumentError(f"precision: got {precision}, wanted 1 to 24 binary digits")


def threshold(probability: Scalar, precision: int) -> Threshold:
    """The first `precision` binary digits of a probability below 1, and the rest.

    Raises ValueError for a probability that is no number, or a precision outside [1, 24].

    >>> [int(digit & 1) for digit in threshold(jnp.float32(0.75), 3).digits]
    [0, 1, 1]
    """
    check_precision(precision)
    scaled = as_float("probability", probability, ()).astype(jnp.float32) * np.float32(2.0**precision)
    whole = jnp.floor(scaled)
    rest = ((scaled - whole) * np.float32(2.0**32)).astype(jnp.uint32)
    whole = whole.astype(jnp.uint32)
    return Threshold([np.uint32(0) - ((whole >> np.uint32(digit)) & np.uint32(1)) for digit in range(precision)], rest)


def bernoulli(random: UInt32[Array, "draws *shape"], thresholds: Sequence[Any]) -> list[UInt32[Array, "*shape"]]:
    """Words whose bits are 1 with the probability of each threshold; all thresholds compare the same uniform numbers.

    From the lowest binary digit of p to the highest, a word becomes `word | r` where the digit is 1 and `word & r`
    where it is 0, with a random word r each. It begins with all bits 1 or all 0, as the rest of p is rounded up or down
    at random: each bit has its probability to 2⁻³², and the bits of one word share a rounding.

    Args:
        random: a random word for each digit, and one for the rounding.
        thresholds: `Threshold`s, with as many digits each.

    >>> [word.shape for word in bernoulli(jnp.zeros((4, 5), jnp.uint32), [threshold(jnp.float32(0.3), 3)])]
    [(5,)]
    """
    words = [jnp.where(random[-1] < one.rest, ALL, np.uint32(0)) for one in thresholds]
    for digit in range(len(random) - 1):
        words = [majority(random[digit], word, one.digits[digit]) for word, one in zip(words, thresholds, strict=True)]
    return words


def majority(a: UInt32[Array, "*a"], b: UInt32[Array, "*b"], c: UInt32[Array, "*c"]) -> UInt32[Array, "*abc"]:
    """Bits that are 1 in two or three of three words.

    >>> int(majority(jnp.uint32(0b0011), jnp.uint32(0b0101), jnp.uint32(0b1001)))
    1
    """
    return (a & b) | (c & (a | b))


def _shifts(axes):
    return jnp.arange(LANES, dtype=jnp.uint32).reshape(1, LANES, *[1] * axes)
