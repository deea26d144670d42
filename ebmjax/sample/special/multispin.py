"""Multispin coding: checkerboard Gibbs sweeps of the square Ising lattice, 32 spins in every machine word.

The fastest scan of a lattice, for one coupling J, no field and a periodic boundary. `multispin_glass` is the same for
couplings ±J, in 3-D too. `checkerboard` has the same law for any couplings and fields; `gibbs.chromatic` is for any
energy and any colouring.

The 32 bits of a word belong either to 32 chains (`chains`) or to 32 strips of one lattice (`lattice`), whose edges are
neighbours through a rotation of the word. A position is the four sublattices of `ising.split`, with a bit of 1 for a
spin that is up.

If n of its four neighbours are up, a spin is down with probability σ(-4 beta J) for n = 3 and σ(-8 beta J) for n = 4,
up with the same probabilities for n = 1 and n = 0, and either with ½ for n = 2. Neighbours are counted by bitwise
adders. A word whose bits are 1 with probability p is made of `precision` random words, one for each binary digit of p
(`words.bernoulli`). The rest of p, beyond these digits, is rounded up or down at random, once for each word. Each bit
therefore has its probability to 2⁻³², but the bits of one word share a rounding, which makes them dependent to order
4^-precision. With `chains` these are bits of different chains, so that the law of each chain is exact; with `lattice`
they are sites of one lattice, in different strips.

Creutz, Jacobs, Rebbi (1979); Block, Virnau, Preis (2010), "Multi-GPU accelerated multi-spin Monte Carlo simulations".
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32

from ebmjax import random_bits
from ebmjax.checks import ArgumentError, as_beta, as_float, check_callable, check_key
from ebmjax.compiled import compiled
from ebmjax.energies import ising
from ebmjax.sample import gibbs
from ebmjax.sample.special import words as of_spins
from ebmjax.sample.special.words import LANES
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Kernel, Scalar

Words = tuple[UInt32[Array, "half_rows half_columns words"], ...]
"""The four sublattices, 32 spins in a word."""


@runtime_checkable
class MoveRow(Protocol):
    """The row beyond one edge of a lattice, from the row at the other edge."""

    def __call__(self, row: Any, /) -> Any:
        """Words of the same shape."""
        ...


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
    return kernel_of_rows(coupling, beta, bits, precision, _same, _same)


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
    return kernel_of_rows(coupling, beta, bits, precision, of_strip_before, of_strip_after)


def pack_chains(spins: Any) -> Words:
    """Pack spins ±1, (chains, rows, columns), into words: chain 32 w + b becomes bit b of word w.

    Raises:
        ValueError: a number of chains that is not a multiple of 32, an odd side, static spins that are not ±1.

    >>> [part.shape for part in pack_chains(jnp.ones((64, 4, 6)))]
    [(2, 3, 2), (2, 3, 2), (2, 3, 2), (2, 3, 2)]
    """
    spins = as_float("spins", spins, (None, None, None))
    if spins.shape[0] == 0 or spins.shape[0] % LANES:
        raise ArgumentError(f"spins: got {spins.shape[0]} chains, wanted a multiple of {LANES}, a bit of a word each")
    return ising.split(jnp.moveaxis(of_spins.pack(spins), 0, -1))


def unpack_chains(position: Words) -> Float[Array, "chains rows columns"]:
    """The spins of every chain, ±1: the inverse of `pack_chains`.

    >>> spins = jax.random.rademacher(jax.random.key(0), (32, 4, 4), float)
    >>> bool(jnp.all(unpack_chains(pack_chains(spins)) == spins))
    True
    """
    return of_spins.unpack(jnp.moveaxis(ising.join(position), -1, 0))


def pack_lattice(spins: Any) -> Words:
    """Pack spins ±1, (rows, columns), into words: rows b · rows / 32 to (b + 1) · rows / 32 - 1 become bit b.

    Raises:
        ValueError: rows that are not a multiple of 64, an odd number of columns, static spins that are not ±1.

    >>> pack_lattice(jnp.ones((128, 6)))[0].shape
    (2, 3, 1)
    """
    spins = as_float("spins", spins, (None, None))
    rows, columns = spins.shape
    if rows == 0 or rows % (2 * LANES):
        raise ArgumentError(f"spins: got {rows} rows, wanted a multiple of {2 * LANES}: 32 strips with even sides")
    return ising.split(of_spins.pack(spins.reshape(LANES, rows // LANES, columns))[0][..., None])


def unpack_lattice(position: Words) -> Float[Array, "rows columns"]:
    """The spins of the lattice, ±1: the inverse of `pack_lattice`.

    >>> spins = jax.random.rademacher(jax.random.key(0), (64, 4), float)
    >>> bool(jnp.all(unpack_lattice(pack_lattice(spins)) == spins))
    True
    """
    strips = of_spins.unpack(ising.join(position)[None, ..., 0])
    return strips.reshape(-1, strips.shape[-1])


def _same(row):
    return row


def of_strip_before(row: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """The row above the first rows of 32 strips, from their last rows: that of strip b - 1, and of strip 31 for b = 0.

    >>> int(of_strip_before(jnp.uint32(0b101)))
    10
    """
    return (row << np.uint32(1)) | (row >> np.uint32(31))


def of_strip_after(row: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """The row below the last rows of 32 strips, from their first rows: that of strip b + 1, and of strip 0 for b = 31.

    >>> int(of_strip_after(jnp.uint32(0b1010)))
    5
    """
    return (row >> np.uint32(1)) | (row << np.uint32(31))


def kernel_of_rows(
    coupling: Scalar, beta: Beta, bits: random_bits.RandomWords, precision: int, before: MoveRow, after: MoveRow
) -> Kernel:
    """The kernel of `chains`, of `lattice` and of a part of a lattice, which differ in what lies beyond their edges.

    Args:
        coupling, beta, bits, precision: as in `chains`.
        before: the row above the first row, from the last row.
        after: the row below the last row, from the first row.

    Errors are those of `chains`.

    >>> kernel = kernel_of_rows(1.0, 0.4, random_bits.bits, 16, of_strip_before, of_strip_after)
    >>> state, key = kernel.init(pack_lattice(jnp.ones((64, 4)))), jax.random.key(0)
    >>> ours, wanted = (one.step(key, state)[0].position for one in (kernel, lattice(1.0, 0.4)))
    >>> bool(jnp.all(ours[0] == wanted[0]))
    True
    """
    beta = as_beta(beta)
    coupling = as_float("coupling", coupling, ())
    check_callable("bits", bits)
    check_callable("before", before)
    check_callable("after", after)
    of_spins.check_precision(precision)

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> gibbs.State:
        if not isinstance(position, tuple | list) or len(position) != 4:
            raise ArgumentError(f"position: got a {type(position).__name__}, wanted the four arrays of packed spins")
        for part in position:
            if getattr(part, "dtype", None) != np.uint32 or np.ndim(part) != 3:
                got = f"{getattr(part, 'dtype', type(part).__name__)} of shape {np.shape(part)}"
                raise ArgumentError(f"position: got parts of {got}, wanted words of packed spins, uint32")
        return gibbs.State(tuple(jnp.asarray(part) for part in position))

    def step(rng_key: Key[Array, ""], state: gibbs.State) -> tuple[gibbs.State, None]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, coupling, beta, bits, int(precision), before, after), None

    return Kernel(init, step)


@compiled
def _step(rng_key, state, coupling, beta, bits, precision, before, after):
    strength = reduced(jnp.abs(coupling), beta).astype(jnp.float32)
    # with a negative coupling a probability p becomes 1 - p
    inverted = jnp.where(coupling < 0, ~np.uint32(0), np.uint32(0))
    odds = [of_spins.threshold(jax.nn.sigmoid(-factor * strength), precision) for factor in (4.0, 8.0)]

    def drawn(key, vertical, horizontal, vertical_moved, horizontal_moved):
        neighbours = (vertical, vertical_moved, horizontal, horizontal_moved)
        random = bits(key, (precision + 1, *vertical.shape))
        rare = of_spins.bernoulli(random, odds)
        return _heat_bath(neighbours, [word ^ inverted for word in rare], random[precision - 1])

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
    return gibbs.State(tuple(part.reshape(rows, columns, words) for part in sublattices))


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
