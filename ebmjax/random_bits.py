"""Random bits that are fast on CPU and equal, bit for bit, to those of `jax.random`.

    key, unrolled         keys with which every function of `jax.random` uses this implementation
    bits, uniform         random words, and numbers between 0 and 1, of one key
    hashed                random words of a weaker and faster generator
    bits_at, hashed_at    those of the words of `bits` and `hashed` that a part of a whole needs, by their places
    midpoints             numbers inside (0, 1) from random words
    around_zero           the same, fine at both ends
    threefry              the generator of the words

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


@runtime_checkable
class WordsAt(Protocol):
    """A source of random words by their places: `bits_at`, or `hashed_at` for speed."""

    def __call__(self, key: Any, places: Any, /) -> Any:
        """The words at these places, uint32."""
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


def bits_at(key: Array, places: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """The words of `bits` at these places, in the order of a flat array: a device draws those of its own part alone.

        bits_at(key, i) = bits(key, (n,))[i]    for each n > i

    Raises TypeError for a key that is not one typed threefry key.

    >>> key = jax.random.key(1)
    >>> bool(jnp.all(bits_at(key, jnp.arange(2, 5, dtype=jnp.uint32)) == bits(key, (5,))[2:]))
    True
    """
    return _bits_at(_key_words(key), places)


def uniform(key: Array, shape: tuple[int, ...] = ()) -> Array:
    """Uniform float32 numbers: the `midpoints` of random words, never 0 and never 1.

    Arguments and errors as in `bits`.

    >>> bool(jnp.all((uniform(jax.random.key(0), (9,)) > 0) & (uniform(jax.random.key(0), (9,)) < 1)))
    True
    """
    return midpoints(bits(key, shape))


def midpoints(words: UInt32[Array, "*shape"], dtype: DTypeLike = jnp.float32) -> Float[Array, "*shape"]:
    """Uniform numbers inside (0, 1) from random words: the midpoints of 2^b equal intervals.

        (n + ½) 2^-b,    n the top b bits of a word

    The dtype holds b + 1 binary digits, so that every midpoint is exact and none is rounded to 0 or 1: b is 23 for
    float32, 10 for float16, 7 for bfloat16, and all 32 bits for float64. `around_zero` has finer numbers at both ends.

    Raises TypeError for a dtype that is not of floats.

    >>> midpoints(jnp.array([0, 2**31, 2**32 - 1], jnp.uint32)).tolist() == [2.0**-24, 0.5 + 2.0**-24, 1 - 2.0**-24]
    True
    """
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"dtype: got {np.dtype(dtype).name}, wanted a floating type")
    digits = min(32, int(jnp.finfo(dtype).nmant))
    return (words >> np.uint32(32 - digits)).astype(dtype) * 2.0**-digits + 2.0 ** -(digits + 1)


def around_zero(words: UInt32[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Uniform float32 numbers in [-½, ½] from random words, never 0: fine at both ends of the interval (0, 1).

        (n + ½) 2⁻³²,    n the word as a signed integer

    A number t < 0 stands for 1 + t in (½, 1), which float32 could not tell from 1. The least size is 2⁻³³.
    `ebmjax.sample.gibbs.heat_bath` takes these numbers.

    >>> around_zero(jnp.array([0, 2**32 - 1], jnp.uint32)).tolist() == [2.0**-33, -(2.0**-33)]
    True
    """
    return jax.lax.bitcast_convert_type(words, jnp.int32).astype(jnp.float32) * 2.0**-32 + 2.0**-33


def hashed(key: Array, shape: tuple[int, ...] = ()) -> UInt32[Array, "..."]:
    """Uniform 32-bit words by hashing: several times as fast as `bits`, and statistically weaker.

        word(i) = mix'(mix(p stride) + p),    p = i + start,    start and stride (odd) from the key

    Both mixes are of multiplications and xor-shifts, after Wellons' lowbias32. The sum of two permutations is no
    permutation: words repeat as often as by chance. Start and stride are the output of Threefry for the key, so that
    the streams of related keys, such as those of consecutive seeds, are as unrelated as those of random keys.

    The tests hold related streams, shifts and repeated words against chance, and the samplers that offer this
    generator pass their tests with it as they do with `bits`. Threefry passes larger batteries (Salmon et al. 2011),
    which were not run on this one. Its words are not those of `jax.random`.

    Arguments and errors as in `bits`.

    Wellons (2018), "Prospecting for hash functions".

    >>> hashed(jax.random.key(0), (2, 3)).shape
    (2, 3)
    """
    return hashed_at(key, _counters(shape)[1])


def hashed_at(key: Array, places: UInt32[Array, "*shape"]) -> UInt32[Array, "*shape"]:
    """The words of `hashed` at these places, as `bits_at` has those of `bits`.

    Raises TypeError for a key that is not one typed threefry key.

    >>> key = jax.random.key(1)
    >>> bool(jnp.all(hashed_at(key, jnp.arange(2, 5, dtype=jnp.uint32)) == hashed(key, (5,))[2:]))
    True
    """
    first, second = threefry(_key_words(key), jnp.uint32(0x9E3779B9), jnp.uint32(0x7F4A7C15))
    # without the barrier the rounds of Threefry would be computed again for every word
    start, stride = jax.lax.optimization_barrier((first, (second << np.uint32(1)) | np.uint32(1)))
    place = places + start
    mixed = place * stride
    mixed = (mixed ^ (mixed >> np.uint32(16))) * np.uint32(0x7FEB352D)
    mixed = ((mixed ^ (mixed >> np.uint32(15))) + place) * np.uint32(0x846CA68B)
    return mixed ^ (mixed >> np.uint32(16))


def key(seed: int) -> Key[Array, ""]:
    """A key that gives the same numbers as `jax.random.key(seed)`, faster on CPU.

    `jax.random.split`, `normal`, `permutation` and all other functions of `jax.random` accept it, and so do the
    samplers of other packages.

    Raises ValueError for an argument of another kind.

    >>> draw = lambda key: jax.random.normal(jax.random.split(key)[0])
    >>> bool(draw(key(0)) == draw(jax.random.key(0)))
    True
    """
    if not isinstance(seed, jax.Array | np.ndarray | np.integer | int) or np.issubdtype(
        jnp.result_type(seed), np.floating
    ):
        raise ArgumentError(f"seed: got {seed!r}, wanted a whole number")
    return jax.random.key(seed, impl=THREEFRY)


def unrolled(key: Key[Array, "*batch"]) -> Key[Array, "*batch"]:
    """The same key or keys under this implementation: they give the same numbers, faster on CPU.

    Raises ValueError for an argument of another kind.

    >>> bool(jax.random.uniform(unrolled(jax.random.key(3))) == jax.random.uniform(jax.random.key(3)))
    True
    """
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)):
        raise ArgumentError(f"key: got a {type(key).__name__}, wanted typed keys: jax.random.key(seed)")
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


@jax.jit
def _bits_at(words, places):
    high, low = threefry(words, jnp.zeros_like(places), places)
    return high ^ low


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
