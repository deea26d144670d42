"""Random bits that are fast on CPU and equal, bit for bit, to those of `jax.random`.

    key, unrolled         keys with which every function of `jax.random` uses this implementation
    bits, uniform         random words, and numbers between 0 and 1, of one key
    hashed                random words of a weaker and faster generator
    midpoints, threefry   the parts that they are made of

The generator is Threefry-2x32 with 20 rounds. JAX compiles these rounds on CPU to a loop, which takes most of a
sampler's time; here they are unrolled, and XLA compiles them to one vectorized kernel. Word i is the exclusive or of
both outputs at the counter (0, i), which is the definition of `jax.random.bits` under `jax_threefry_partitionable`, the
default of JAX.

Salmon, Moraes, Dror, Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
"""

import math
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key, UInt32

from ebmjax.checks import ArgumentError

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)


@runtime_checkable
class RandomWords(Protocol):
    """A source of random words, which a sampler takes as an argument: `bits`, or `hashed` for speed."""

    def __call__(self, key: Any, shape: tuple[int, ...], /) -> Any:
        """Independent uniform uint32 words of this shape."""
        ...


def threefry(
    key: UInt32[Array, "2"], high: UInt32[Array, "..."], low: UInt32[Array, "..."]
) -> tuple[UInt32[Array, "..."], UInt32[Array, "..."]]:
    """Threefry-2x32 with 20 rounds: two random words for each counter (high, low).

    Args:
        key: two words.
        high: first words of the counters.
        low: second words, of the same shape.

    Returns:
        two arrays of words, each of the shape of the counters.

    Salmon et al. (2011).

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
    """Uniform random bits, equal to `jax.random.bits(key, shape, dtype)` and several times as fast on CPU.

    Args:
        key: typed threefry key, of JAX's implementation or of this one.
        shape: of the result, with fewer than 2³² elements.
        dtype: uint8, uint16, uint32 or uint64 (with x64 on).

    Raises:
        TypeError: a key that is not one typed threefry key, a dtype that is not an unsigned integer.
        ValueError: a shape of 2³² elements or more.

    >>> key = jax.random.key(1)
    >>> bool(jnp.all(bits(key, (5,)) == jax.random.bits(key, (5,))))
    True
    """
    words = _key_words(key)
    if not jnp.issubdtype(dtype, jnp.unsignedinteger):
        raise TypeError(f"dtype: got {np.dtype(dtype).name}, wanted an unsigned integer type")
    return _random_bits(words, np.dtype(dtype).itemsize * 8, shape)


def uniform(key: Array, shape: tuple[int, ...] = ()) -> Array:
    """Uniform float32 numbers: the `midpoints` of random words, never 0.

    Arguments and errors as in `bits`.

    >>> bool(jnp.all((uniform(jax.random.key(0), (9,)) > 0) & (uniform(jax.random.key(0), (9,)) < 1)))
    True
    """
    return midpoints(bits(key, shape))


def midpoints(words: UInt32[Array, "*shape"], dtype: DTypeLike = jnp.float32) -> Float[Array, "*shape"]:
    """Uniform numbers from random words: the top 24 bits n become (n + ½) 2⁻²⁴, the midpoint of one of 2²⁴ intervals.

    The least value is 2⁻²⁵, so that logarithms are finite. Float32 has 24 bits: from ½ on it rounds the last ½ to even,
    and the largest value is 1 instead of 1 - 2⁻²⁵.

    >>> midpoints(jnp.array([0, 2**31], jnp.uint32)).tolist() == [2.0**-25, 0.5]
    True
    """
    return (words >> np.uint32(8)).astype(dtype) * 2.0**-24 + 2.0**-25


def hashed(key: Array, shape: tuple[int, ...] = ()) -> UInt32[Array, "..."]:
    """Uniform 32-bit words by hashing: five to ten times as fast as `bits`, and statistically weaker.

        word(i) = hash((i + start) stride),    start and stride (odd) from the key

    The hash is two rounds of multiplication and xor-shift, Wellons' lowbias32. Threefry passes the usual batteries of
    statistical tests (Salmon et al. 2011); this generator has not been examined so far. The tests of the
    samplers that offer it pass with it as they do with `bits`. Its words are not those of `jax.random`.

    Arguments and errors as in `bits`.

    Wellons (2018), "Prospecting for hash functions".

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
    """A key that gives the same numbers as `jax.random.key(seed)`, faster on CPU.

    `jax.random.split`, `normal`, `permutation` and all other functions of `jax.random` accept it, and so do the
    samplers of other packages.

    >>> draw = lambda key: jax.random.normal(jax.random.split(key)[0])
    >>> bool(draw(key(0)) == draw(jax.random.key(0)))
    True
    """
    return jax.random.key(seed, impl=THREEFRY)


def unrolled(key: Key[Array, "*batch"]) -> Key[Array, "*batch"]:
    """The same key or keys under this implementation: they give the same numbers, faster on CPU.

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


@partial(jax.jit, static_argnums=(1, 2))
def _random_bits(words, bit_width, shape):
    high, low = threefry(words, *_counters(shape))
    if bit_width == 64:
        return (high.astype(jnp.uint64) << np.uint64(32)) | low.astype(jnp.uint64)
    return (high ^ low).astype(f"uint{bit_width}")


@partial(jax.jit, static_argnums=1)
def _split(words, shape):
    """Keys of a key: both outputs of each counter, which is the definition of JAX's `split`."""
    return _computed_once(jnp.stack(threefry(words, *_counters(shape)), axis=-1))


def _computed_once(words):
    """The same words, which XLA computes once however many kernels read them.

    XLA would fuse the rounds into every consumer of a key, and again for every split of a split, so that three splits
    in a row would take minutes to compile. It does not repeat a reduction: here the exclusive or with zeros.
    """
    with_zeros = jnp.stack([words, jnp.zeros_like(words)])
    return jax.lax.reduce(with_zeros, np.uint32(0), jax.lax.bitwise_xor, (0,))


_DEFAULT = jax.extend.random.threefry_prng_impl

THREEFRY = jax.extend.random.define_prng_impl(
    key_shape=(2,),
    seed=_DEFAULT.seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_DEFAULT.fold_in,
    name="ebmjax_threefry",
    tag="eft",
)
"""The implementation of keys, for `jax.random.key(seed, impl=THREEFRY)`."""
