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
    np.testing.assert_allclose(
        draws, (np.asarray(random_bits.bits(jax.random.key(3), (100_000,))) >> 8) / 2**24, atol=1e-7
    )


def test_midpoints_are_never_zero_and_end_at_one(x64):
    """In float32 the last midpoint is rounded to 1; in float64 it is not."""
    words = jnp.array([0, 255, 256, 2**31, 2**32 - 1], jnp.uint32)
    exact = (np.array([0, 0, 1, 2**23, 2**24 - 1]) + 0.5) * 2.0**-24
    np.testing.assert_array_equal(random_bits.midpoints(words), exact.astype(np.float32))
    np.testing.assert_array_equal(random_bits.midpoints(words, jnp.float64), exact)
    assert random_bits.midpoints(words).dtype == jnp.float32
    assert float(random_bits.midpoints(words)[0]) == 2.0**-25


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


def test_hashed_words_are_spread_evenly():
    draws = np.asarray(random_bits.hashed(jax.random.key(9), (2**18,))) >> 24
    counts = np.bincount(draws, minlength=256)
    chi_squared = ((counts - 2**10) ** 2 / 2**10).sum()
    assert abs(chi_squared - 255) < 5 * np.sqrt(2 * 255)  # 255 degrees of freedom


@pytest.mark.parametrize("draw", [random_bits.hashed, random_bits.uniform])
def test_other_draws_refuse_what_is_no_key(draw):
    with pytest.raises(TypeError, match="key: got uint32, wanted a typed key"):
        draw(jnp.zeros(2, jnp.uint32), (3,))
