"""Multispin coding of ±J lattices: checkerboard Gibbs sweeps of many replicas of one spin glass, 32 in a machine word.

    E(s) = -Σ_<ij> J_ij s_i s_j,    J_ij = ±J

Square, cubic and other periodic lattices of up to 3 axes, without a field. Every bit of a word is one replica, and all
replicas share the couplings and beta: such are the runs of a quench, or the pairs of replicas whose overlap is
measured. With all couplings of one sign this is the ferromagnet of `multispin.chains`, in 3-D too. `checkerboard` has
the same law for any couplings and fields. A position is the sublattices of `ising.split`, with a bit of 1 for a spin
that is up.

A neighbour asks for a spin up if it is up and J_ij > 0, or down and J_ij < 0: one exclusive or. Of the 2d neighbours
along d axes, bitwise adders count those that ask for up. The spin follows the majority, but for a probability of
σ(-4 beta J), σ(-8 beta J) and σ(-12 beta J) where the majority is larger by 2, 4 and 6; a tie is broken by ½. One
uniform number for each replica and site is compared with these thresholds, digit by digit (`words.bernoulli`).

**What replicas share.** The random numbers of the replicas of a word are different bits of the same random words, and
so independent. Only the digits of a threshold beyond `precision` are shared: they are rounded up or down at random,
once for each word. Every replica alone therefore has the exact law, to 2⁻³², while two replicas of a word are dependent
to order 4^-precision at every update. Replicas of different words share nothing.

Creutz, Jacobs, Rebbi (1979), "Experiments with a gauge-invariant Ising system"; Edwards and Anderson (1975), "Theory of
spin glasses".
"""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt32

from ebmjax import random_bits
from ebmjax.checks import ArgumentError, as_beta, as_float, check_callable, check_key, is_static
from ebmjax.compiled import compiled
from ebmjax.energies import ising
from ebmjax.sample import gibbs
from ebmjax.sample.special import words
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Kernel, Numbers

Words = tuple[UInt32[Array, "*half_lattice words"], ...]
"""The sublattices, 32 replicas in a word."""


def replicas(
    coupling: Annotated[Numbers, "axes *lattice"],
    beta: Beta,
    bits: random_bits.RandomWords = random_bits.bits,
    precision: int = 16,
) -> Kernel:
    """Checkerboard Gibbs sweeps of many replicas of one ±J lattice, a bit of a word for each of 32 replicas.

    Args:
        coupling: (axes, *lattice), that to the next site along each axis as in `ising.Params`, of 1 to 3 axes and even
            sides: all of one size, of any signs.
        beta: inverse temperature in [0, inf]; may be traced.
        bits: source of random words: `random_bits.bits`, or `random_bits.hashed` for speed.
        precision: binary digits of a probability that random words decide, static, 1 to 24. An update of a word takes
            precision + 1 random words.

    Returns:
        A kernel whose positions are those of `pack`. Its info is None: counting the spins that changed would take
        longer than it is worth beside so fast a sweep.

    Raises:
        ValueError: a bad beta, couplings that are static and not ±J, of another shape, or an odd side; a precision
            outside [1, 24]; at `init`, words that do not fit the couplings.

    Creutz, Jacobs, Rebbi (1979).

    >>> coupling = jax.random.rademacher(jax.random.key(0), (3, 4, 4, 4), float)
    >>> kernel = replicas(coupling, 1.5)
    >>> state = kernel.init(pack(jnp.ones((32, 4, 4, 4))))
    >>> unpack(kernel.step(jax.random.key(1), state)[0].position).shape
    (32, 4, 4, 4)
    """
    beta = as_beta(beta)
    coupling = as_float("coupling", coupling)
    axes, shape = coupling.shape[0] if coupling.ndim else 0, coupling.shape[1:]
    if not 1 <= axes <= 3 or len(shape) != axes:
        raise ArgumentError(f"coupling: got shape {coupling.shape}, wanted (axes, *lattice), of 1 to 3 axes")
    if any(side % 2 or side == 0 for side in shape):
        raise ArgumentError(f"coupling: got a lattice of shape {shape}, wanted even sides for a checkerboard")
    if is_static(coupling):
        sizes = np.abs(np.asarray(coupling))
        if not (sizes == sizes.flat[0]).all() or not np.isfinite(sizes.flat[0]):
            raise ArgumentError(f"coupling: got sizes from {sizes.min()} to {sizes.max()}, wanted ±J of one size")
    check_callable("bits", bits)
    words.check_precision(precision)
    half = tuple(side // 2 for side in shape)

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> gibbs.State:
        if not isinstance(position, tuple | list) or len(position) != 2**axes:
            raise ArgumentError(
                f"position: got a {type(position).__name__}, wanted the {2**axes} arrays of packed spins"
            )
        for part in position:
            if getattr(part, "dtype", None) != np.uint32 or np.shape(part)[:-1] != half:
                got = f"{getattr(part, 'dtype', type(part).__name__)} of shape {np.shape(part)}"
                raise ArgumentError(
                    f"position: got parts of {got}, wanted words of packed spins, uint32 {(*half, None)}"
                )
        return gibbs.State(tuple(jnp.asarray(part) for part in position))

    def step(rng_key: Key[Array, ""], state: gibbs.State) -> tuple[gibbs.State, None]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, coupling, beta, bits, int(precision)), None

    return Kernel(init, step)


def pack(spins: Any) -> Words:
    """Pack spins ±1, (replicas, *lattice), into words: replica 32 w + b becomes bit b of word w.

    Raises:
        ValueError: a number of replicas that is not a multiple of 32, an odd side, more than three axes of the lattice,
            static spins that are not ±1.

    >>> [part.shape for part in pack(jnp.ones((64, 4, 4, 6)))][:2]
    [(2, 2, 3, 2), (2, 2, 3, 2)]
    """
    spins = as_float("spins", spins)
    if not 2 <= spins.ndim <= 4:
        raise ArgumentError(f"spins: got shape {spins.shape}, wanted (replicas, *lattice), of 1 to 3 axes")
    if spins.shape[0] == 0 or spins.shape[0] % words.LANES:
        raise ArgumentError(
            f"spins: got {spins.shape[0]} replicas, wanted a multiple of {words.LANES}, a bit of a word each"
        )
    return ising.split(jnp.moveaxis(words.pack(spins), 0, -1), spins.ndim - 1)


def unpack(position: Words) -> Float[Array, "replicas *lattice"]:
    """The spins of every replica, ±1: the inverse of `pack`.

    >>> spins = jax.random.rademacher(jax.random.key(0), (32, 4, 4, 4), float)
    >>> bool(jnp.all(unpack(pack(spins)) == spins))
    True
    """
    return words.unpack(jnp.moveaxis(ising.join(position), -1, 0))


@compiled
def _step(rng_key, state, coupling, beta, bits, precision):
    axes = len(coupling)
    strength = reduced(jnp.max(jnp.abs(coupling)), beta).astype(jnp.float32)
    sizes = np.arange(1, axes + 1, dtype=np.float32)
    thresholds = [words.threshold(jax.nn.sigmoid(-4 * size * strength), precision) for size in sizes]
    negative = [jnp.where(bonds < 0, words.ALL, np.uint32(0))[..., None] for bonds in coupling]
    ahead = [ising.split(signs, axes) for signs in negative]
    behind = [ising.split(jnp.roll(signs, 1, axis), axes) for axis, signs in enumerate(negative)]
    parts = list(state.position)
    for index, key in zip(ising.sublattices_in_turn(axes), jax.random.split(rng_key, 2**axes), strict=True):
        asking = []
        for axis in range(axes):
            beside, odd = ising.sublattice_beside(index, axis, axes)
            near = parts[beside]
            before, after = (near, jnp.roll(near, -1, axis)) if odd else (jnp.roll(near, 1, axis), near)
            asking += [before ^ behind[axis][index], after ^ ahead[axis][index]]
        random = bits(key, (precision + 1, *parts[index].shape))
        parts[index] = _heat_bath(asking, words.bernoulli(random, thresholds), random[precision - 1])
    return gibbs.State(tuple(parts))


def _heat_bath(asking, rare, half):
    """New spins from what their 2d neighbours ask for, d ≤ 3, and words of the probabilities σ(-4 m beta J), m = 1 … d.

    `half` is a word of probability ½ that may depend on `rare`, since the two are used for different bits.
    """
    # two more neighbours that ask for opposite spins change nothing, so that there are always six
    missing, none = 3 - len(rare), jnp.zeros_like(half)
    asking, rare = [*asking, *[~none, none] * missing], [*rare, *[none] * missing]
    one, carry = _added(*asking[:3])
    other, other_carry = _added(*asking[3:])
    ones, last_carry = one ^ other, one & other
    twos, fours = _added(carry, other_carry, last_carry)
    # of n = 0 … 6 that ask for up, 4 or more have the bit of four, and 3 are a tie
    even, apart = ~ones, twos ^ fours
    against = (even & apart & rare[0]) | (ones & ~twos & rare[1]) | (even & ~apart & rare[2])
    tie = ones & twos
    return (tie & half) | (~tie & (fours ^ against))


def _added(a, b, c):
    """The sum of three bits: ones and twos."""
    return a ^ b ^ c, words.majority(a, b, c)
