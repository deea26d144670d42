"""Exact curves against each other, and the transition of a law with two peaks."""

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax import problems
from ebmjax.marginalize.density_of_states import multicanonical
from experiments.spins import exact_curves, phase_diagram


def test_the_curves_of_the_infinite_lattice_are_those_of_a_large_one():
    """Away from the critical point, at beta = 0.3 and 0.6; the energy is the slope of beta F, S is beta (U - F)."""
    betas = np.array([0.3, 0.6])
    limit = exact_curves.infinite(betas)
    large = exact_curves.finite(64, betas)
    for name, one, other in zip(limit._fields, limit, large, strict=True):
        # below the critical temperature the finite lattice has the two phases, log 2 / 64² each
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=4e-4, err_msg=name)
    np.testing.assert_allclose(large.entropy, betas * (large.mean_energy - large.free_energy) + np.log(2), atol=1e-12)
    np.testing.assert_allclose(large.mean_energy, [problems.onsager_energy(beta) for beta in betas], rtol=1e-5)


def _density(log_density):
    levels = jnp.arange(-200.0, 1.0)
    shape = (4, len(levels))
    return multicanonical.Density(
        levels, log_density(levels), jnp.zeros(len(levels)), jnp.full(shape, 0.25), jnp.ones((4, 2), jnp.int32),
        jnp.array(1.0), jnp.array(0),
    )  # fmt: skip


def test_the_transition_is_where_both_phases_have_the_same_weight():
    """Two Gaussian phases at -150 and -60 with equal weights at beta = 1.4; and one phase."""
    phases = lambda levels: jnp.logaddexp(-((levels + 150) ** 2) / 200, -((levels + 60) ** 2) / 200)
    found = phase_diagram._transition(_density(lambda levels: phases(levels) + 1.4 * levels), 100, 1.3)
    assert abs(found.beta - 1.4) < 2e-3
    np.testing.assert_allclose(found.peaks, (-1.5, -0.6), atol=0.03)
    assert found.dip < 0.05
    one = phase_diagram._transition(_density(lambda levels: -((levels + 100) ** 2) / 400 + 1.4 * levels), 100, 1.4)
    assert one.peaks is None
    assert one.dip == 1


def test_errors_at_beta_zero_are_finite():
    density = _density(lambda levels: -((levels + 100) ** 2) / 400)
    found = phase_diagram._of_density(density, np.array([-1.0, 0.0, 1.0]), 100, 1.0)
    assert all(np.isfinite(part).all() for part in jax.tree.leaves((found.values, found.errors)))
