"""Ratios of probabilities against the enumerated law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import posterior, spin_cube
from ebmjax.marginalize.free_energy import log_ratio

BETA = 0.7


def energy(spins):
    return -spins[0] * spins[1] + 0.5 * spins[1] * spins[2] - 0.3 * spins[2]


@pytest.mark.slow
def test_the_ratio_is_that_of_the_enumerated_law(x64):
    space = spin_cube(3)
    law = posterior(energy, space, BETA)
    pairs = jax.vmap(jax.vmap(lambda x, other: log_ratio(energy, x, other, BETA), (None, 0)), (0, None))
    truth = jnp.log(law)[:, None] - jnp.log(law)[None]
    np.testing.assert_allclose(pairs(space.points, space.points), truth, atol=1e-12)


def test_at_zero_temperature_only_the_order_counts():
    low, high = jnp.array([1.0, 1.0, -1.0]), jnp.array([1.0, -1.0, 1.0])
    assert energy(low) < energy(high)
    assert log_ratio(energy, low, high, jnp.inf) == jnp.inf
    assert log_ratio(energy, high, low, jnp.inf) == -jnp.inf
    assert log_ratio(energy, low, low, jnp.inf) == 0
    assert log_ratio(energy, low, high, 0.0) == 0


def test_beta_is_checked():
    with pytest.raises(ValueError, match="beta: got -1"):
        log_ratio(energy, jnp.ones(3), jnp.ones(3), -1.0)
