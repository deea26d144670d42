"""Random bits that are fast on CPU and bit-identical to `jax.random`: threefry with its twenty rounds unrolled.

JAX lowers threefry on CPU to a rolled loop, which takes most of a sampler's time. Here the rounds stand in a row, so
that XLA compiles them into one vectorized kernel. The word of draw i is the xor of both outputs at the counter (0, i):
the definition of `jax.random.bits` with `jax_threefry_partitionable`, the default.

`key(seed)` makes keys of this implementation, with which every function of `jax.random` runs on it unchanged.
Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
"""

import math

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Key, UInt32

from ebmjax.checks import ArgumentError

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)


def threefry(
    key: UInt32[Array, "2"], high: UInt32[Array, "..."], low: UInt32[Array, "..."]
) -> tuple[UInt32[Array, "..."], UInt32[Array, "..."]]:
    """Threefry-2x32 with 20 rounds: two words for each counter (high, low).

    >>> word, _ = threefry(jnp.zeros(2, jnp.uint32), jnp.uint32(0), jnp.uint32(0))
    >>> hex(int(word))
    '0x6b200159'
    """
    schedule = (key[0], key[1], key[0] ^ key[1] ^ PARITY)
    high, low = high + schedule[0], low + schedule[1]
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            high = high + low
            low = (low << np.uint32(rotation)) | (low >> np.uint32(32 - rotation))
            low = low ^ high
        high = high + schedule[(group + 1) % 3]
        low = low + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return high, low


def bits(key: Array, shape: tuple[int, ...] = (), dtype: DTypeLike = jnp.uint32) -> Array:
    """Uniform random bits, equal to `jax.random.bits(key, shape, dtype)` for a threefry key, several times as fast.

    Args:
        key: typed key, of the default implementation or of this one.
        shape: fewer than 2³² draws.
        dtype: uint8, uint16, uint32 or uint64 (with x64 on).

    Raises:
        TypeError: a key that is not a typed threefry key, a dtype that is not an unsigned integer.
        ValueError: 2³² draws or more.

    >>> key = jax.random.key(1)
    >>> bool(jnp.all(bits(key, (5,)) == jax.random.bits(key, (5,))))
    True
    """
    words = _key_words(key)
    if not jnp.issubdtype(dtype, jnp.unsignedinteger):
        raise TypeError(f"dtype: got {np.dtype(dtype).name}, wanted an unsigned integer type")
    return _random_bits(words, np.dtype(dtype).itemsize * 8, shape)


def uniform(key: Array, shape: tuple[int, ...] = ()) -> Array:
    """Float32 uniforms on a grid of 2²⁴ midpoints in ]0, 1[: neither 0 nor 1, so that logarithms and odds are finite.

    Raises TypeError and ValueError as `bits`.

    >>> bool(jnp.all((uniform(jax.random.key(0), (9,)) > 0) & (uniform(jax.random.key(0), (9,)) < 1)))
    True
    """
    return (bits(key, shape) >> np.uint32(8)).astype(jnp.float32) * np.float32(2.0**-24) + np.float32(2.0**-25)


def hashed(key: Array, shape: tuple[int, ...] = ()) -> UInt32[Array, "..."]:
    """Uniform 32-bit words by hashing a counter twice with a key: an opt-in, five to ten times as fast as `bits`.

    The counter walks from a start in strides, an odd number, which both follow from the key; two rounds of multiply and
    xor-shift (Wellons' lowbias32) make a word of each stop. No proof stands behind it as behind threefry; the tests of
    the samplers that offer it pass with it as they do with `bits`.

    Raises TypeError and ValueError as `bits`.

    >>> hashed(jax.random.key(0), (2, 3)).shape
    (2, 3)
    """
    words = _key_words(key)
    _, counter = _counters(shape)
    start = words[0] ^ (words[1] * np.uint32(0x85EBCA6B))
    stride = ((words[1] << np.uint32(1)) | np.uint32(1)) * np.uint32(0x9E3779B1)
    mixed = (counter + start) * stride
    mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(0x7FEB352D)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(0x846CA68B)
    return mixed ^ (mixed >> np.uint32(16))


def key(seed: int) -> Key[Array, ""]:
    """A key for `jax.random`, with the numbers of `jax.random.key(seed)`, drawn by the unrolled rounds.

    `jax.random.split`, `normal`, `permutation` and all others accept it, as do other people's samplers.

    >>> draw = lambda key: jax.random.normal(jax.random.split(key)[0])
    >>> bool(draw(key(0)) == draw(jax.random.key(0)))
    True
    """
    return jax.random.key(seed, impl=THREEFRY)


def unrolled(key: Key[Array, "*batch"]) -> Key[Array, "*batch"]:
    """The same key under this implementation: the same numbers, faster on CPU.

    >>> bool(jax.random.uniform(unrolled(jax.random.key(3))) == jax.random.uniform(jax.random.key(3)))
    True
    """
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=THREEFRY)


def _key_words(key):
    if not jnp.issubdtype(getattr(key, "dtype", np.dtype(float)), jax.dtypes.prng_key):
        raise TypeError(
            f"key: got {getattr(key, 'dtype', type(key).__name__)}, wanted a typed key: jax.random.key(seed)"
        )
    words = jax.random.key_data(key)
    if words.shape != (2,):
        raise TypeError(f"key: got key data of shape {words.shape}, wanted one threefry key, shape (2,)")
    return words


def _counters(shape):
    size = math.prod(shape)
    if size >= 2**32:
        raise ArgumentError(f"shape: got {shape}, which is {size} draws, wanted fewer than 2^32 from one key")
    low = jax.lax.iota(jnp.uint32, size).reshape(shape)
    return jnp.zeros_like(low), low


def _random_bits(words, bit_width, shape):
    high, low = threefry(words, *_counters(shape))
    if bit_width == 64:
        return (high.astype(jnp.uint64) << np.uint64(32)) | low.astype(jnp.uint64)
    return (high ^ low).astype(f"uint{bit_width}")


# Keys are split by the default's rolled loop: XLA would fuse unrolled rounds into every consumer of a key, and again
# for every split of a split, so that three in a row compile for minutes.
_DEFAULT = jax.extend.random.threefry_prng_impl

THREEFRY = jax.extend.random.define_prng_impl(
    key_shape=(2,),
    seed=_DEFAULT.seed,
    split=_DEFAULT.split,
    random_bits=_random_bits,
    fold_in=_DEFAULT.fold_in,
    name="ebmjax_threefry",
    tag="eft",
)
"""The implementation itself: `jax.random.key(seed, impl=THREEFRY)`."""
