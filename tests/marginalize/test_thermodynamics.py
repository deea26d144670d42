"""Phase diagrams against enumeration and closed forms: a periodic Ising lattice of 3 × 4 spins.

Each comparison is within 5 standard errors by the jackknife over 20 blocks: one of 12,000 numbers is beyond by chance
(Student's law with 19 degrees of freedom). z-scores over 200 repetitions have a standard deviation of 1.06 ± 0.06.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import problems
from ebmjax.checks import ArgumentError
from ebmjax.marginalize.spaces import spin_cube
from ebmjax.marginalize.thermodynamics import thermodynamics
from ebmjax.types import CONVERGED, DIVERGED, NO_OVERLAP, NOT_MIXED

ROWS, COLUMNS = 3, 4
UNITS = ROWS * COLUMNS
STATES = np.asarray(spin_cube(UNITS).points, np.float64)
_lattices = STATES.reshape(-1, ROWS, COLUMNS)
LEVELS = -sum((_lattices * np.roll(_lattices, 1, axis)).sum((1, 2)) for axis in (1, 2))
MOMENTS = STATES.sum(axis=1)
BETAS = np.linspace(0.0, 0.7, 8)
VOLUME = UNITS * math.log(2)
NAMES = (
    *("log_partition", "free_energy", "mean_energy", "heat_capacity", "entropy"),
    *("magnetization", "susceptibility", "binder_ratio"),
)


def exact(beta):
    """The eight quantities in double precision."""
    p = np.exp(-beta * LEVELS - np.max(-beta * LEVELS))
    log_z = math.log(p.sum()) + np.max(-beta * LEVELS)
    p /= p.sum()
    energy, m = p @ LEVELS, np.abs(MOMENTS) / UNITS
    free = energy if beta == 0 else -(log_z - VOLUME) / beta
    heat = beta**2 * p @ (LEVELS - energy) ** 2
    return np.array(
        [
            *(x / UNITS for x in (log_z, free, energy, heat, log_z + beta * energy)),
            *(p @ m, beta * UNITS * (p @ m**2 - (p @ m) ** 2), 1 - p @ m**4 / (3 * (p @ m**2) ** 2)),
        ]
    )


def drawn(key, betas, count):
    """Energies and magnetizations of exact draws."""
    # as sums of the weights of states, which takes less memory than Gumbel noise for each
    cumulated = np.cumsum([np.exp(-b * (LEVELS - LEVELS.min())) for b in np.asarray(betas, float)], axis=1)
    cumulated = jnp.asarray(cumulated / cumulated[:, -1:], jnp.float32)
    uniforms = jax.random.uniform(key, (len(betas), count))
    which = jax.vmap(lambda a, u: jnp.searchsorted(a, u))(cumulated, uniforms)
    return jnp.asarray(LEVELS, jnp.float32)[which], jnp.asarray(MOMENTS, jnp.float32)[which]


def stacked(found):
    """Values and errors of the eight quantities, (8, betas) each."""
    pairs = [getattr(found, name) for name in NAMES]
    return np.stack([np.asarray(p.value) for p in pairs]), np.stack([np.asarray(p.standard_error) for p in pairs])


@jax.jit
def answered(key):
    at = jnp.asarray([0.0, 0.15, 0.4, 0.55, 0.7])
    return thermodynamics(BETAS, *drawn(key, BETAS, 800), UNITS, VOLUME, at=at)


TRUTH = np.stack([exact(beta) for beta in (0.0, 0.15, 0.4, 0.55, 0.7)], axis=1)


@pytest.mark.slow
def test_every_quantity_on_the_ladder_and_between_against_enumeration():
    found = answered(jax.random.key(0))
    assert np.all(found.result == CONVERGED)
    values, errors = stacked(found)
    assert np.all(np.abs(values - TRUTH) < 5 * errors + 1e-5), np.abs(values - TRUTH) / errors
    assert np.all(errors < 0.05 * np.abs(TRUTH).max(axis=1, keepdims=True))
    # at beta = 0 the number of states is known
    np.testing.assert_allclose(values[[0, 4], 0], math.log(2), rtol=1e-6)
    assert values[3, 0] == values[6, 0] == 0


@pytest.mark.slow
def test_errors_are_those_of_repetitions():
    found = jax.lax.map(answered, jax.random.split(jax.random.key(1), 200))
    assert np.all(found.result == CONVERGED)
    values, errors = stacked(found)
    scores = (values - TRUTH[:, None]) / np.where(errors > 0, errors, 1)
    inexact = np.ones(TRUTH.shape, bool)
    inexact[[0, 3, 4, 6], 0] = False  # log Z, C, S and chi at beta = 0
    assert np.all(errors.max(axis=1)[~inexact] < 1e-5)
    spread = scores.std(axis=1)[inexact]
    assert np.all((spread > 0.8) & (spread < 1.3)), spread
    assert np.all(np.abs(scores.mean(axis=1)[inexact]) < 0.4)


@pytest.mark.slow
def test_a_ladder_that_begins_elsewhere_needs_a_reference():
    betas = np.linspace(0.3, 0.7, 4)
    energies, moments = drawn(jax.random.key(2), betas, 800)
    reference = problems.transfer_matrix(ROWS, COLUMNS, 0.3)
    found = thermodynamics(betas, energies, moments, UNITS, VOLUME, reference)
    values, errors = stacked(found)
    truth = np.stack([exact(beta) for beta in betas], axis=1)
    assert np.all(found.result == CONVERGED)
    assert np.all(np.abs(values - truth) < 5 * errors + 1e-5)
    with pytest.raises(ArgumentError, match="log_reference: got None, wanted log Z at"):
        thermodynamics(betas, energies, moments, UNITS, VOLUME)
    # the same in another unit of energy
    scaled = thermodynamics(betas / 1e3, 1e3 * energies, moments, UNITS, VOLUME, reference)
    others = stacked(scaled)[0] / np.array([1, 1e3, 1e3, 1, 1, 1, 1e-3, 1])[:, None]
    np.testing.assert_allclose(others, values, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_correlated_draws_have_larger_errors_or_are_told():
    energies, moments = (np.asarray(x) for x in drawn(jax.random.key(3), BETAS, 800))
    plain = stacked(thermodynamics(BETAS, energies, moments, UNITS, VOLUME))[1]
    repeated = [np.repeat(x[:, :200], 4, axis=1) for x in (energies, moments)]
    found = thermodynamics(BETAS, *repeated, UNITS, VOLUME)
    assert np.all(found.result == CONVERGED)
    ratio = stacked(found)[1][:, 1:] / plain[:, 1:]
    assert 1.6 < np.median(ratio) < 2.5  # a quarter of the draws: twice the error
    stuck = [np.repeat(x[:, :40], 20, axis=1) for x in (energies, moments)]
    assert np.all(thermodynamics(BETAS, *stuck, UNITS, VOLUME).result[1:] == NOT_MIXED)


@pytest.mark.slow
def test_what_cannot_be_known_is_told():
    """Two betas without overlap: averages at each are right, log Z of the second is not."""
    betas = np.array([0.0, 0.7])
    energies, moments = drawn(jax.random.key(4), betas, 800)
    wide = thermodynamics(betas, 30 * energies, moments, UNITS, VOLUME)
    assert wide.result.tolist() == [CONVERGED, NO_OVERLAP]
    for name in NAMES:
        of_log_z = name in ("log_partition", "free_energy", "entropy")
        assert np.isnan(getattr(wide, name).standard_error[1]) == of_log_z
    beyond = thermodynamics(BETAS, *drawn(jax.random.key(5), BETAS, 800), UNITS, VOLUME, at=[0.5, 50.0])
    assert int(beyond.result[0]) == CONVERGED
    broken = jax.jit(lambda e: thermodynamics(betas, e, moments, UNITS, VOLUME).result)(energies * jnp.nan)
    assert np.all(broken == DIVERGED)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("observable: got shape", {"observable": np.ones((8, 39))}),
        ("observable: got a value that is not finite", {"observable": np.full((8, 40), np.inf)}),
        ("blocks: got 1 of 40", {"blocks": 1}),
        ("blocks: got 21 of 40", {"blocks": 21}),
        ("units", {"units": 0}),
        ("at: got inf", {"at": [0.5, math.inf]}),
        ("betas", {"betas": BETAS[::-1]}),
        ("energies", {"energies": np.ones((7, 40))}),
    ],
)
def test_bad_input_is_refused_by_name(name, change):
    arguments = {
        **{"betas": BETAS, "energies": np.ones((8, 40)), "observable": np.ones((8, 40)), "units": UNITS},
        **{"log_volume": VOLUME, **change},
    }
    with pytest.raises(ArgumentError, match=name):
        thermodynamics(**arguments)
