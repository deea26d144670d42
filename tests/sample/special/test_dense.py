"""The blocked sweep is the single-site scan, unit by unit, whatever the block."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import random_bits
from ebmjax.energies import boltzmann, hopfield
from ebmjax.sample.special.dense import dense
from ebmjax.types import BITS, SPINS

UNITS, CHAINS = 13, 7


def machine():
    params = boltzmann.init(jax.random.key(0), UNITS, scale=3.0)
    return params._replace(bias=0.2 * jax.random.normal(jax.random.key(1), (UNITS,)))


def one_by_one(params, beta, alphabet, units, uniforms):
    """The plain scan in float64, with the same uniforms."""
    weights, bias = (np.asarray(leaf, np.float64) for leaf in params)
    units, span = np.array(units, np.float64), alphabet.high - alphabet.low
    for unit in range(UNITS):
        field = weights[unit] @ units + bias[unit]
        with np.errstate(over="ignore"):
            up = np.asarray(uniforms[unit], np.float64) < 1 / (1 + np.exp(-beta * span * field))
        units[unit] = np.where(up, alphabet.high, alphabet.low)
    return units


@pytest.mark.slow
@pytest.mark.parametrize("alphabet", [SPINS, BITS], ids=["spins", "bits"])
@pytest.mark.parametrize("block", [1, 4, 13, 50])
def test_blocks_change_nothing(block, alphabet):
    params, key = machine(), jax.random.key(2)
    start = jnp.where(jax.random.bernoulli(jax.random.key(3), 0.5, (UNITS, CHAINS)), alphabet.high, alphabet.low)
    kernel = dense(params, 0.7, alphabet, block)
    state, info = jax.jit(kernel.step)(key, kernel.init(start))
    expected = one_by_one(params, 0.7, alphabet, start, random_bits.uniform(key, (UNITS, CHAINS)))
    np.testing.assert_array_equal(state.position, expected)
    np.testing.assert_allclose(info.changed, (expected != np.asarray(start)).mean(), rtol=1e-6)


@pytest.mark.slow
def test_temperatures_may_be_swept():
    kernel = lambda beta: dense(machine(), beta)
    start = -jnp.ones((UNITS, CHAINS))
    step = jax.vmap(lambda beta: kernel(beta).step(jax.random.key(0), kernel(beta).init(start))[0].position)
    hot, cold = step(jnp.array([0.0, jnp.inf]))
    assert 0.2 < float((hot > 0).mean()) < 0.8
    np.testing.assert_array_equal(cold, one_by_one(machine(), np.inf, SPINS, start, np.full((UNITS, CHAINS), 0.5)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dense(machine(), -1.0), "beta: got -1"),
        (lambda: dense(machine(), 1.0, block=0), "block: got 0"),
        (lambda: dense(machine(), 1.0).init(jnp.ones((5, 3))), r"position: got shape \(5, 3\)"),
        (lambda: dense(machine(), 1.0).init(jnp.zeros((UNITS, 3))), "position: got a unit of 0"),
        (lambda: dense(hopfield.Params(jnp.eye(3), jnp.zeros(3)), 1.0), "weights: got a diagonal"),
        (
            lambda: dense(hopfield.Params(jnp.triu(jnp.ones((3, 3)), 1), jnp.zeros(3)), 1.0),
            "differs from its transpose",
        ),
        (lambda: dense(hopfield.Params(jnp.zeros((3, 2)), jnp.zeros(3)), 1.0), "wanted a square matrix"),
        (lambda: dense(hopfield.Params(jnp.zeros((3, 3)), jnp.zeros(2)), 1.0), "bias: got shape"),
    ],
)
def test_what_is_no_machine_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
