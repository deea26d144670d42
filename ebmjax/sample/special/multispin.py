"""Multispin coding: checkerboard Gibbs sweeps of the square Ising lattice, 32 spins in every machine word.

The fastest of three scans of a lattice, for one coupling J, no field and a periodic boundary. `checkerboard` has the
same law for any couplings and fields; `gibbs.chromatic` is for any energy and any colouring.

The 32 bits of a word belong either to 32 chains (`chains`) or to 32 strips of one lattice (`lattice`), whose edges are
neighbours through a rotation of the word. A position is the four sublattices of `ising.split`, with a bit of 1 for a
spin that is up.

If n of its four neighbours are up, a spin is down with probability σ(-4 beta J) for n = 3 and σ(-8 beta J) for n = 4,
up with the same probabilities for n = 1 and n = 0, and either with ½ for n = 2. Neighbours are counted by bitwise
adders. A word whose bits are 1 with probability p is made of `precision` random words r, from the lowest binary digit
of p to the highest: `word | r` where the digit is 1, `word & r` where it is 0. The rest of p, beyond these digits, is
rounded up or down at random, once for each word. Each bit therefore has its probability to 2⁻³², but the bits of one
word share a rounding, which makes them dependent to order 4^-precision. With `chains` these are bits of different
chains, so that the law of each chain is exact; with `lattice` they are sites of one lattice, in different strips.

Creutz, Jacobs, Rebbi (1979); Block, Virnau, Preis (2010), "Multi-GPU accelerated multi-spin Monte Carlo simulations".
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32

from ebmjax import random_bits
from ebmjax.checks import ArgumentError, check_beta, check_units
from ebmjax.energies import ising
from ebmjax.sample import gibbs
from ebmjax.temperature import reduced
from ebmjax.types import SPINS, Beta, Kernel, Scalar

Words = tuple[UInt32[Array, "half_rows half_columns words"], ...]
"""The four sublattices, 32 spins in a word."""

LANES = 32


def chains(
    coupling: Scalar, beta: Beta, bits: random_bits.RandomWords = random_bits.bits, precision: int = 16
) -> Kernel:
    """Checkerboard Gibbs sweeps of many chains in one position, a bit of a word for each of 32 chains.

    Args:
        coupling: J of all bonds, of either sign; there is no field.
        beta: inverse temperature in [0, inf]; may be traced.
        bits: source of random words: `random_bits.bits`, or `random_bits.hashed` for speed.
        precision: binary digits of a probability that random words decide, static, 1 to 24. An update of a word takes
            precision + 1 random words.

    Returns:
        A kernel whose positions are those of `pack_chains`. Its info is None: counting the spins that changed would
        take longer than it is worth beside so fast a sweep.

    Raises:
        ValueError: a bad beta, a precision outside [1, 24].

    Creutz, Jacobs, Rebbi (1979).

    >>> kernel = chains(1.0, jnp.inf)
    >>> state = kernel.init(pack_chains(jnp.ones((32, 4, 4))))
    >>> bool(jnp.all(unpack_chains(kernel.step(jax.random.key(0), state)[0].position) == 1))
    True
    """
    return _kernel(coupling, beta, bits, precision, lambda row: row, lambda row: row)


def lattice(
    coupling: Scalar, beta: Beta, bits: random_bits.RandomWords = random_bits.bits, precision: int = 16
) -> Kernel:
    """Checkerboard Gibbs sweeps of one lattice, a bit of a word for each of 32 strips of rows.

    Positions are those of `pack_lattice`. Arguments and errors as in `chains`, and no info either.

    Block, Virnau, Preis (2010).

    >>> kernel = lattice(1.0, jnp.inf)
    >>> state = kernel.init(pack_lattice(jnp.ones((64, 4))))
    >>> bool(jnp.all(unpack_lattice(kernel.step(jax.random.key(0), state)[0].position) == 1))
    True
    """
    # The row above the first row of strip b is the last row of strip b - 1, and periodic: strip 31 for b = 0.
    before = lambda row: (row << np.uint32(1)) | (row >> np.uint32(31))
    after = lambda row: (row >> np.uint32(1)) | (row << np.uint32(31))
    return _kernel(coupling, beta, bits, precision, before, after)


def pack_chains(spins: Float[Array, "chains rows columns"]) -> Words:
    """Pack spins ±1 into words: chain 32 w + b becomes bit b of word w.

    Raises:
        ValueError: a number of chains that is not a multiple of 32, an odd side, static spins that are not ±1.

    >>> [part.shape for part in pack_chains(jnp.ones((64, 4, 6)))]
    [(2, 3, 2), (2, 3, 2), (2, 3, 2), (2, 3, 2)]
    """
    if spins.shape[0] == 0 or spins.shape[0] % LANES:
        raise ArgumentError(f"spins: got {spins.shape[0]} chains, wanted a multiple of {LANES}, a bit of a word each")
    return ising.split(jnp.moveaxis(_pack(spins), 0, -1))


def unpack_chains(position: Words) -> Float[Array, "chains rows columns"]:
    """The spins of every chain, ±1: the inverse of `pack_chains`.

    >>> spins = jax.random.rademacher(jax.random.key(0), (32, 4, 4), float)
    >>> bool(jnp.all(unpack_chains(pack_chains(spins)) == spins))
    True
    """
    return _unpack(jnp.moveaxis(ising.join(position), -1, 0))


def pack_lattice(spins: Float[Array, "rows columns"]) -> Words:
    """Pack spins ±1 into words: the strip of rows b · rows / 32 to (b + 1) · rows / 32 - 1 becomes bit b.

    Raises:
        ValueError: rows that are not a multiple of 64, an odd number of columns, static spins that are not ±1.

    >>> pack_lattice(jnp.ones((128, 6)))[0].shape
    (2, 3, 1)
    """
    rows, columns = spins.shape
    if rows == 0 or rows % (2 * LANES):
        raise ArgumentError(f"spins: got {rows} rows, wanted a multiple of {2 * LANES}: 32 strips with even sides")
    return ising.split(_pack(spins.reshape(LANES, rows // LANES, columns))[0][..., None])


def unpack_lattice(position: Words) -> Float[Array, "rows columns"]:
    """The spins of the lattice, ±1: the inverse of `pack_lattice`.

    >>> spins = jax.random.rademacher(jax.random.key(0), (64, 4), float)
    >>> bool(jnp.all(unpack_lattice(pack_lattice(spins)) == spins))
    True
    """
    strips = _unpack(ising.join(position)[None, ..., 0])
    return strips.reshape(-1, strips.shape[-1])


def _pack(spins):
    check_units("spins", spins, SPINS)
    up = (spins > 0).astype(jnp.uint32).reshape(-1, LANES, *spins.shape[1:])
    shifts = jnp.arange(LANES, dtype=jnp.uint32).reshape(1, LANES, *[1] * (spins.ndim - 1))
    return jnp.sum(up << shifts, axis=1, dtype=jnp.uint32)


def _unpack(words):
    shifts = jnp.arange(LANES, dtype=jnp.uint32).reshape(1, LANES, *[1] * (words.ndim - 1))
    up = (words[:, None] >> shifts) & np.uint32(1)
    return (2 * up.astype(jnp.float32) - 1).reshape(-1, *words.shape[1:])


def _kernel(coupling, beta, bits, precision, before, after):
    check_beta(beta)
    if not 1 <= precision <= 24:
        raise ArgumentError(f"precision: got {precision}, wanted 1 to 24 binary digits")
    coupling = jnp.asarray(coupling, jnp.float32)
    strength = reduced(jnp.abs(coupling), beta)
    # with a negative coupling a probability p becomes 1 - p, whose binary digits are the opposite ones
    inverted = jnp.where(coupling < 0, ~np.uint32(0), np.uint32(0))
    odds = [_digits(jax.nn.sigmoid(-factor * strength), precision, inverted) for factor in (4.0, 8.0)]

    def drawn(key, vertical, horizontal, vertical_moved, horizontal_moved):
        neighbours = (vertical, vertical_moved, horizontal, horizontal_moved)
        random = bits(key, (precision + 1, *vertical.shape))
        rare = [jnp.where(random[-1] < rest, ~np.uint32(0), np.uint32(0)) for _, rest in odds]
        for digit in range(precision):
            rare = [_majority(random[digit], r, digits[digit]) for r, (digits, _) in zip(rare, odds, strict=True)]
        return _heat_bath(neighbours, rare, random[precision - 1])

    def step(rng_key: Key[Array, ""], state: gibbs.State) -> tuple[gibbs.State, None]:
        rows, columns, words = state.position[0].shape
        sublattices = [part.reshape(rows, columns * words) for part in state.position]
        up_of = lambda x: jnp.concatenate([before(x[-1:]), x[:-1]])
        down_of = lambda x: jnp.concatenate([x[1:], after(x[:1])])
        left_of = lambda x: jnp.concatenate([x[:, -words:], x[:, :-words]], axis=1)
        right_of = lambda x: jnp.concatenate([x[:, words:], x[:, :words]], axis=1)
        for index, part in zip((0, 3, 1, 2), jax.random.split(rng_key, 4), strict=True):
            row, column = divmod(index, 2)
            vertical, horizontal = sublattices[index ^ 2], sublattices[index ^ 1]
            sublattices[index] = drawn(
                part,
                vertical,
                horizontal,
                down_of(vertical) if row else up_of(vertical),
                right_of(horizontal) if column else left_of(horizontal),
            )
        return gibbs.State(tuple(part.reshape(rows, columns, words) for part in sublattices)), None

    return Kernel(lambda position, rng_key=None: gibbs.State(position), step)


def _digits(probability, precision, inverted):
    """The first `precision` binary digits of a probability as masks, lowest first, and the rest times 2³²."""
    scaled = probability * np.float32(2.0**precision)
    whole = jnp.floor(scaled)
    rest = ((scaled - whole) * np.float32(2.0**32)).astype(jnp.uint32)
    whole = whole.astype(jnp.uint32)
    masks = [(np.uint32(0) - ((whole >> np.uint32(digit)) & np.uint32(1))) ^ inverted for digit in range(precision)]
    return masks, rest ^ inverted


def _majority(a, b, c):
    return (a & b) | (c & (a | b))


def _heat_bath(neighbours, rare, half):
    """New spins from four neighbours and words that are 1 with probabilities σ(-4 beta J), σ(-8 beta J) and ½."""
    n1, n2, n3, n4 = neighbours
    carry, other_carry = n1 & n2, n3 & n4
    odd = n1 ^ n2 ^ n3 ^ n4
    all_up, all_down = carry & other_carry, ~(n1 | n2 | n3 | n4)
    two = ~(odd | all_up | all_down)
    three = carry | other_carry  # where odd
    of_odd = (three & ~rare[0]) | (~three & rare[0])
    return (all_up & ~rare[1]) | (all_down & rare[1]) | (two & half) | (odd & of_odd)
