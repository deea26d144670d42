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


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_key_implementation_gives_the_default_numbers(draw, seed):
    expected = DRAWS[draw](jax.random.key(seed))
    np.testing.assert_array_equal(DRAWS[draw](random_bits.key(seed)), expected)
    np.testing.assert_array_equal(jax.jit(DRAWS[draw])(random_bits.unrolled(jax.random.key(seed))), expected)


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
