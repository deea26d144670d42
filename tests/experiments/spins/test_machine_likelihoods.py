"""log Z of machines by annealing against all states, with exact draws and with those of long chains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.types import CONVERGED
from experiments.spins import machine_likelihoods as likelihoods

RANDOM = np.random.default_rng(0)
MACHINE = rbm.Params(*(jnp.asarray(RANDOM.normal(size=size), jnp.float32) for size in ((12, 7), 12, 7)))
BASE = jnp.asarray(RANDOM.normal(size=12), jnp.float32)


@pytest.mark.slow
@pytest.mark.parametrize("enumerated", [True, False])
def test_both_sides_enclose_the_exact_value(enumerated, monkeypatch):
    """Within 5 standard errors, and the bounds within 5 of theirs, which are near 0.03."""
    if not enumerated:
        monkeypatch.setattr(likelihoods, "MOST_HIDDEN", 0)
    ends = likelihoods.ends(jax.random.key(2), MACHINE, BASE, 300, 100, 200)
    found = likelihoods.sandwiched(jax.random.key(1), MACHINE, BASE, ends, 100)
    exact = likelihoods.log_partition(MACHINE)
    assert int(found.result) == CONVERGED
    assert abs(found.log_partition - exact) < 5 * found.standard_error < 0.3
    assert found.lower - 0.15 < exact < found.upper + 0.15


def test_likelihoods_sum_to_one():
    states = jnp.asarray((np.arange(4096)[:, None] >> np.arange(12)) & 1, jnp.float32)
    values = likelihoods.log_likelihoods(MACHINE, states, likelihoods.log_partition(MACHINE))
    np.testing.assert_allclose(jax.nn.logsumexp(values), 0.0, atol=1e-4)
