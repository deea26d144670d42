"""Exact curves against each other, and the transition of a law with two peaks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import problems, spin_cube
from ebmjax.energies import ising
from ebmjax.loops import repeat, thinned, trajectory
from ebmjax.marginalize.density_of_states import multicanonical
from ebmjax.marginalize.thermodynamics import thermodynamics
from ebmjax.sample.special.checkerboard import checkerboard
from ebmjax.sample.tempering import tempering
from experiments.application.report import Report
from experiments.spins import density_curves, exact_curves, glass_diagram, phase_diagram, tempered_lattices


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


@pytest.mark.slow
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
    found = density_curves.of_density(density, np.array([-1.0, 0.0, 1.0]), 100, 1.0)
    assert all(np.isfinite(part).all() for part in jax.tree.leaves((found.values, found.errors)))


@pytest.mark.slow
def test_the_overlap_of_two_replicas_has_its_enumerated_moments(tmp_path, capsys):
    """A glass of 4 × 4 spins at seven temperatures, of whose 65,536 states all pairs count.

    <q²> = 1/N² Σ_ij <s_i s_j>², and <q⁴> the same with four spins, within 5 standard errors of their ratio.
    """
    params = glass_diagram.glass(jax.random.key(3), 4)
    betas = jnp.linspace(0, 1.5, 7)
    report = Report(tmp_path, "phase_diagram", None, 0, False)
    energies, overlaps = glass_diagram.pairs(report, "two replicas", jax.random.key(0), params, betas, 4, 4000, 2)
    said = [line for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert len(said) == 20
    assert said[0].startswith("two replicas … 5%, energy ")
    found = thermodynamics(betas, energies, overlaps, 16, 2 * 16 * np.log(2))
    spins = np.asarray(spin_cube(16).points)
    heights = np.asarray(jax.vmap(lambda s: ising.energy(params, s.reshape(4, 4)))(jnp.asarray(spins)), np.float64)
    pairs = np.einsum("si,sj->sij", spins, spins).reshape(len(spins), -1)
    for index, beta in enumerate(np.asarray(betas, np.float64)):
        law = np.exp(-beta * (heights - heights.min()))
        law /= law.sum()
        square = np.mean((law @ pairs) ** 2)
        fourth = np.mean((pairs.T @ (law[:, None] * pairs)) ** 2)
        wanted = 1 - fourth / (3 * square**2)
        assert abs(found.binder_ratio.value[index] - wanted) < 5 * found.binder_ratio.standard_error[index]
        assert found.binder_ratio.standard_error[index] < 0.1


@pytest.mark.slow
def test_tempered_lattices_are_those_of_a_trajectory(tmp_path):
    """Two lattices of 4 × 4 spins at three temperatures: 10 steps that are not kept, then 50 that are."""
    report, params = Report(tmp_path, "phase_diagram", None, 0, False), ising.Params(jnp.array(1.0), jnp.array(0.1))
    betas, keys = jnp.array([0.0, 0.3, 0.6]), tuple(jax.random.split(jax.random.key(4), (3, 2)))
    total = lambda halves: jnp.stack([half.sum(axis=(2, 3)) for half in halves]).sum(axis=0)
    energies, totals = tempered_lattices.tempered(report, "tempering", keys, params, betas, 4, 50, 2, total)

    def one(start_key, warm_key, run_key):
        energy = lambda halves: ising.energy(params, ising.join(halves))
        kernel = thinned(tempering(energy, lambda beta: checkerboard(params, beta, (4, 4)), betas), 2)
        spins = jax.vmap(ising.split)(jax.random.rademacher(start_key, (3, 4, 4), jnp.float32))
        state = repeat(warm_key, kernel, kernel.init(spins), 10).state
        whole = lambda state: sum(half.sum(axis=(1, 2)) for half in state.position)
        run = trajectory(run_key, kernel, state.position, 50, observe=whole)
        return run.infos.energy, run.positions

    wanted = jax.vmap(one, out_axes=1)(*keys)
    np.testing.assert_allclose(energies, wanted[0], atol=1e-4)
    np.testing.assert_allclose(totals, wanted[1], atol=1e-4)
    assert report.compilations == 1
