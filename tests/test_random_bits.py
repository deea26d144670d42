"""Bit for bit the numbers of jax.random."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import random_bits

SEEDS = [0, 1, 2**31 - 1, -5]
DRAWS = {
    "bits": lambda key: jax.random.bits(key, (3, 5)),
    "bytes": lambda key: jax.random.bits(key, (7,), jnp.uint8),
    "uniform": lambda key: jax.random.uniform(key, (11,)),
    "normal": lambda key: jax.random.normal(key, (4, 1, 2)),
    "randint": lambda key: jax.random.randint(key, (5,), 0, 1000),
    "categorical": lambda key: jax.random.categorical(key, jnp.arange(4.0), shape=(6,)),
    "permutation": lambda key: jax.random.permutation(key, 50),
    "split": lambda key: jax.random.key_data(jax.random.split(key, (2, 3))),
    "fold_in": lambda key: jax.random.key_data(jax.random.fold_in(key, 2**31 + 7)),
    "vmapped": lambda key: jax.vmap(lambda k: jax.random.normal(k, (3,)))(jax.random.split(key, 4)),
    "scalar": jax.random.bits,
}


@pytest.mark.slow
@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_key_implementation_gives_the_default_numbers(draw, seed):
    expected = DRAWS[draw](jax.random.key(seed))
    np.testing.assert_array_equal(DRAWS[draw](random_bits.key(seed)), expected)
    np.testing.assert_array_equal(jax.jit(DRAWS[draw])(random_bits.unrolled(jax.random.key(seed))), expected)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.uint16, jnp.uint32])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3, 5), (0,), (1000,)])
def test_bits(shape, dtype):
    for key in (jax.random.key(7), random_bits.key(7)):
        expected = jax.random.bits(jax.random.key(7), shape, dtype)
        np.testing.assert_array_equal(random_bits.bits(key, shape, dtype), expected)


def test_bits_of_64(x64):
    key = jax.random.key(7)
    np.testing.assert_array_equal(random_bits.bits(key, (9,), jnp.uint64), jax.random.bits(key, (9,), jnp.uint64))


def test_known_answers():
    """The vectors of the Random123 distribution (kat_vectors, threefry2x32, 20 rounds)."""
    ones = jnp.uint32(0xFFFFFFFF)
    pi = (jnp.array([0x13198A2E, 0x03707344], jnp.uint32), jnp.uint32(0x243F6A88), jnp.uint32(0x85A308D3))
    for arguments, expected in (
        ((jnp.zeros(2, jnp.uint32), jnp.uint32(0), jnp.uint32(0)), (0x6B200159, 0x99BA4EFE)),
        ((jnp.full(2, ones), ones, ones), (0x1CB996FC, 0xBB002BE7)),
        (pi, (0xC4923A9C, 0x483DF7A0)),
    ):
        assert tuple(int(word) for word in random_bits.threefry(*arguments)) == expected


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="key: got key data of shape"):
        random_bits.bits(jax.random.split(jax.random.key(0)))
    with pytest.raises(TypeError, match="dtype: got float32"):
        random_bits.bits(jax.random.key(0), (2,), jnp.float32)
    with pytest.raises(ValueError, match="fewer than 2\\^32"):
        random_bits.bits(jax.random.key(0), (2**16, 2**16))


def test_uniforms_are_on_the_grid_of_the_bits():
    draws = random_bits.uniform(jax.random.key(3), (100_000,))
    assert draws.dtype == jnp.float32
    assert 0 < float(draws.min()) < float(draws.max()) < 1
    words = np.asarray(random_bits.bits(jax.random.key(3), (100_000,)))
    np.testing.assert_array_equal(np.asarray(draws, np.float64), (words >> 9) / 2**23 + 2.0**-24)


@pytest.mark.parametrize(
    ("dtype", "digits"), [(jnp.float32, 23), (jnp.float16, 10), (jnp.bfloat16, 7), (jnp.float64, 32)]
)
def test_midpoints_are_exact_and_inside_the_interval(x64, dtype, digits):
    words = jnp.array([0, 2**9 - 1, 2**9, 2**31, 2**32 - 1], jnp.uint32)
    exact = (np.floor(np.asarray(words, np.float64) / 2 ** (32 - digits)) + 0.5) / 2**digits
    drawn = random_bits.midpoints(words, dtype)
    assert drawn.dtype == dtype
    np.testing.assert_array_equal(np.asarray(drawn, np.float64), exact)
    assert 0 < exact.min() < exact.max() < 1


def test_numbers_around_zero_are_never_zero_and_symmetric():
    words = jnp.array([0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], jnp.uint32)
    drawn = np.asarray(random_bits.around_zero(words), np.float64)
    np.testing.assert_allclose(drawn, (np.asarray(words).astype(np.int32).astype(float) + 0.5) / 2**32, rtol=1e-7)
    np.testing.assert_array_equal(drawn, -drawn[::-1])


def test_hashed_words_have_balanced_independent_bits():
    """Every bit of every word, every pair of bits of a word, and neighbouring words: z beyond 5.5 once in 50,000."""
    words = np.asarray(random_bits.hashed(jax.random.key(5), (2**16,)))
    signs = 2.0 * ((words[:, None] >> np.arange(32)) & 1) - 1
    root = np.sqrt(len(words))
    assert np.abs(signs.mean(axis=0) * root).max() < 5.5
    pairs = signs.T @ signs / root
    assert np.abs(pairs[np.triu_indices(32, 1)]).max() < 5.5
    for lag in (1, 2, 64, 4096):
        assert np.abs((signs[lag:].T @ signs[:-lag]) / np.sqrt(len(words) - lag)).max() < 5.5


@pytest.mark.parametrize("keys", [[(0, 0), (0, 1)], [(0, 1), (0, 2)], [(7, 3), (2**20, 3)], [(0, 5), (0, 5 + 2**31)]])
def test_hashed_words_of_neighbouring_keys_are_unrelated(keys):
    one, two = (
        np.asarray(random_bits.hashed(jax.random.wrap_key_data(jnp.array(words, jnp.uint32)), (2**14,)))
        for words in keys
    )
    signs = [2.0 * ((words[:, None] >> np.arange(32)) & 1) - 1 for words in (one, two)]
    for left, right in ((signs[0], signs[1]), (signs[0][1:], signs[1][:-1]), (signs[0][:-1], signs[1][1:])):
        assert np.abs(left.T @ right / np.sqrt(len(left))).max() < 5.5


LENGTH = 2**16
"""Words of a stream of the battery below. Two of them share LENGTH² / 2³² = 1 word by chance."""

FAMILIES = {
    "consecutive seeds": lambda i: jax.random.key(i),
    "seeds 2^32 apart": lambda i: jax.random.wrap_key_data(jnp.array([i, 17], jnp.uint32)),
    "common high word": lambda i: jax.random.wrap_key_data(jnp.array([17, i], jnp.uint32)),
    "one bit apart": lambda i: jax.random.wrap_key_data(jnp.array([0, 1 << i], jnp.uint32)),
    "folded": lambda i: jax.random.fold_in(jax.random.key(3), i),
    "split": lambda i: jax.random.split(jax.random.key(4), 24)[i],
    "opposite words": lambda i: jax.random.wrap_key_data(jnp.array([i, 2**32 - 1 - i], jnp.uint32)),
}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_hashed_streams_of_related_keys_are_unrelated(family):
    """They share no more words than chance, no stream is another one shifted, and words repeat as often as chance.

    Of 276 pairs, each shares Poisson(1) words: 14 or more once in 10^8. All bounds together fail by chance once in
    10,000 runs of this file.
    """
    draw = jax.jit(lambda key: random_bits.hashed(key, (LENGTH,)))
    streams = [np.asarray(draw(FAMILIES[family](i))) for i in range(24)]
    pairs = [(one, two) for place, one in enumerate(streams) for two in streams[:place]]
    words = [np.unique(stream) for stream in streams]
    shared = [
        len(np.intersect1d(one, two, assume_unique=True)) for place, one in enumerate(words) for two in words[:place]
    ]
    assert max(shared) < 14
    assert abs(sum(shared) - len(pairs)) < 5 * np.sqrt(len(pairs))
    for lag in (0, 1, 2, 3, 64, 1000):
        for one, two in pairs:
            ahead, behind = one[lag:] == two[: LENGTH - lag], two[lag:] == one[: LENGTH - lag]
            assert ahead.sum() < 5
            assert behind.sum() < 5
    signs = [2.0 * ((stream[: 2**12, None] >> np.arange(32)) & 1) - 1 for stream in streams]
    worst = max(np.abs(one.T @ two).max() for place, one in enumerate(signs) for two in signs[:place])
    assert worst / 2**6 < 6


@pytest.mark.slow
def test_hashed_words_repeat_as_often_as_by_chance():
    """Birthdays: n words have n² / 2³³ repeats, Poisson distributed."""
    draw = jax.jit(lambda key: random_bits.hashed(key, (2**20,)))
    repeats = np.array([2**20 - len(np.unique(np.asarray(draw(jax.random.key(i))))) for i in range(12)])
    assert abs(repeats.sum() - 12 * 128) < 5 * np.sqrt(12 * 128)
    assert (np.abs(repeats - 128) < 6 * np.sqrt(128)).all()


def test_hashed_words_of_a_stream_are_unrelated():
    """Bytes of words, of differences and of exclusive ors of words at many lags are uniform, by chi squared."""
    words = np.asarray(random_bits.hashed(jax.random.key(9), (2**18,)))
    for lag in (0, 1, 2, 3, 16, 256, 2**12, 2**16, 2**17):
        rest = words[: len(words) - lag]
        for mixed in (words[lag:] - rest, words[lag:] ^ rest) if lag else (words,):
            for shift in (0, 8, 16, 24):
                counts = np.bincount((mixed >> shift) & 255, minlength=256)
                mean = len(mixed) / 256
                chi_squared = ((counts - mean) ** 2 / mean).sum()
                assert abs(chi_squared - 255) < 5.5 * np.sqrt(2 * 255)  # 255 degrees of freedom


@pytest.mark.parametrize("bit", range(0, 32, 5))
def test_a_bit_of_the_key_turns_half_of_the_bits(bit):
    draw = jax.jit(jax.vmap(lambda words: random_bits.hashed(jax.random.wrap_key_data(words), (8,))))
    keys = jax.random.bits(jax.random.key(1), (2**12, 2), jnp.uint32)
    for word in (0, 1):
        turned = np.asarray(draw(keys) ^ draw(keys.at[:, word].set(keys[:, word] ^ np.uint32(1 << bit))))
        share = ((turned[..., None] >> np.arange(32, dtype=np.uint32)) & 1).mean(axis=0)
        assert np.abs(share - 0.5).max() < 5.5 * 0.5 / 2**6


def test_hashed_words_are_spread_evenly():
    draws = np.asarray(random_bits.hashed(jax.random.key(9), (2**18,))) >> 24
    counts = np.bincount(draws, minlength=256)
    chi_squared = ((counts - 2**10) ** 2 / 2**10).sum()
    assert abs(chi_squared - 255) < 5 * np.sqrt(2 * 255)  # 255 degrees of freedom


@pytest.mark.parametrize("draw", [random_bits.hashed, random_bits.uniform])
def test_other_draws_refuse_what_is_no_key(draw):
    with pytest.raises(TypeError, match="key: got uint32, wanted a typed key"):
        draw(jnp.zeros(2, jnp.uint32), (3,))
