"""Free energies against closed forms: Bessel functions, independent spins, a Gaussian, an RBM summed by hand."""

import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from ebmjax import (
    binary_cube,
    circle,
    free_energy,
    gauss_hermite,
    interval,
    log_partition,
    posterior,
    product,
    spin_cube,
)
from ebmjax.energies import ellipse
from ebmjax.marginalize.free_energy import marginal
from ebmjax.types import CONVERGED, TOO_COARSE

BETAS = [0.0, 1e-6, 0.3, 1.7, 30.0, float("inf")]


@pytest.mark.parametrize("beta", BETAS)
def test_circle(x64, beta):
    """E = -cos z: F = -log I₀(beta)/beta."""
    truth = {0.0: 0.0, float("inf"): -1.0}.get(beta)
    if truth is None:
        with mpmath.workdps(40):
            truth = float(-mpmath.log(mpmath.besseli(0, beta)) / beta)
    got = free_energy(lambda z: -jnp.cos(z), circle(96), beta)
    np.testing.assert_allclose(got, truth, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS)
def test_spins(x64, beta):
    """Independent spins in a field: log Z = Σ log 2cosh(beta b), <s> = tanh(beta b)."""
    field = jnp.array([0.5, -1.0, 0.2, 2.0])
    energy = lambda spins: -field @ spins
    space = spin_cube(4)
    weights = posterior(energy, space, beta)
    magnetization = jnp.where(beta == 0, 0, jnp.tanh(beta * field))
    np.testing.assert_allclose(weights @ space.points, magnetization, atol=1e-12)
    np.testing.assert_allclose(weights.sum(), 1)
    if beta < float("inf"):
        log_z = jnp.log(2 * jnp.cosh(beta * field)).sum()
        np.testing.assert_allclose(log_partition(energy, space, beta), log_z, rtol=1e-9)
        slope = jax.grad(lambda beta: log_partition(energy, space, beta))(beta)
        np.testing.assert_allclose(slope, field @ magnetization, atol=1e-9)  # d log Z/dbeta = -<E>
    else:
        np.testing.assert_allclose(free_energy(energy, space, beta), -jnp.abs(field).sum())
        assert log_partition(energy, space, beta) == jnp.inf


@pytest.mark.slow
def test_gaussian_latent(x64):
    """E = (y - z)²/2 over z ~ N(0, 1) at beta: F = y²/(2(1 + beta)) + log(1 + beta)/(2 beta)."""
    beta, y = 1.7, 0.8
    truth = y**2 / (2 * (1 + beta)) + np.log(1 + beta) / (2 * beta)
    np.testing.assert_allclose(free_energy(lambda z: (y - z) ** 2 / 2, gauss_hermite(60), beta), truth, rtol=1e-9)


@pytest.mark.slow
def test_integral_over_a_plane(x64):
    """log ∫∫ exp(-beta (u² + v²)/2) = log(2π/beta)."""
    plane = product(interval(-9.0, 9.0, 181), interval(-9.0, 9.0, 181))
    got = log_partition(lambda point: (point[0] ** 2 + point[1] ** 2) / 2, plane, 0.7)
    np.testing.assert_allclose(got, np.log(2 * np.pi / 0.7), rtol=1e-9)


@pytest.mark.slow
def test_hidden_units_summed_by_hand(x64):
    """RBM: F(v) = -aᵀv - 1/beta Σ softplus(beta(b + vᵀW)) + log|H|/beta, the last from mean instead of sum."""
    beta = 0.6
    keys = jax.random.split(jax.random.key(0), 3)
    weights, a, b = (jax.random.normal(k, s) for k, s in zip(keys, [(3, 5), (3,), (5,)], strict=True))
    v = jnp.array([1.0, 0.0, 1.0])
    energy = lambda h: -(a @ v + b @ h + v @ weights @ h)
    truth = -a @ v - jax.nn.softplus(beta * (b + v @ weights)).sum() / beta + 5 * jnp.log(2.0) / beta
    np.testing.assert_allclose(free_energy(energy, binary_cube(5), beta), truth, rtol=1e-10)


@pytest.mark.slow
def test_beta_is_applied_once():
    """Twice the energy at beta is the energy at twice beta, times two."""
    energy = lambda z: (1.5 - jnp.cos(z)) ** 2
    double = free_energy(lambda z: 2 * energy(z), circle(48), 0.7)
    np.testing.assert_allclose(double, 2 * free_energy(energy, circle(48), 1.4), rtol=1e-6)


@pytest.mark.slow
def test_marginal_tells_a_grid_that_is_too_coarse():
    """At the wide end (radius 15) 48 points resolve no peak from about beta = 0.3 on; at inf they are 25 times off."""
    params = ellipse.Params(jnp.array([11.08, 14.78]))
    y = ellipse.decode(params, jnp.array(0.7)) + jnp.array([0.02, -0.04])
    energy = partial(ellipse.energy, params, y)
    results = {
        beta: int(marginal(energy, circle(48), beta).result) for beta in (0.0, 0.01, 0.1, 1.0, 1e2, float("inf"))
    }
    assert results == {
        0.0: CONVERGED,
        0.01: CONVERGED,
        0.1: CONVERGED,
        1.0: TOO_COARSE,
        1e2: TOO_COARSE,
        float("inf"): TOO_COARSE,
    }
    assert int(marginal(energy, circle(4096), 1e2).result) == CONVERGED


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.0, 0.1, 1.0, 10.0, 100.0])
def test_what_marginal_calls_converged_is(x64, beta):
    energy = partial(ellipse.energy, ellipse.Params(jnp.array([2.0, 1.5])), jnp.array([1.0, 0.3]))
    truth = free_energy(energy, circle(100_000), beta)
    for points in (8, 12, 16, 24, 48, 96, 192):
        answer = marginal(energy, circle(points), beta)
        if int(answer.result) == CONVERGED:
            assert abs(answer.free_energy - truth) <= 1e-3 * max(abs(truth), 1 / beta if beta else np.inf)
        assert abs(answer.free_energy - truth) <= answer.error + 1e-12


@pytest.mark.parametrize("function", [free_energy, posterior, log_partition, marginal])
def test_bad_arguments_are_named(function):
    energy = lambda z: z**2
    for beta in (-0.5, float("nan")):
        with pytest.raises(ValueError, match="beta: got"):
            function(energy, circle(8), beta)
    with pytest.raises(ValueError, match="wanted one scalar a point"):
        function(lambda z: jnp.stack([z, z]), circle(8), 1.0)
    empty = circle(8)._replace(points=jnp.ones(0), log_weights=jnp.ones(0))
    with pytest.raises(ValueError, match="space: got no points"):
        function(energy, empty, 1.0)


def test_marginal_refuses_what_it_cannot_compare():
    with pytest.raises(ValueError, match="wanted at least 4"):
        marginal(lambda z: z, circle(3), 1.0)
    with pytest.raises(ValueError, match="tolerance: got -1"):
        marginal(lambda z: z, circle(8), 1.0, tolerance=-1.0)


@pytest.mark.slow
@pytest.mark.parametrize("points", [100, 101])
def test_symmetry_does_not_hide_a_narrow_peak(points):
    """The even and the odd points of 100 are mirror images, and their free energies are equal and wrong."""
    energy = lambda z: 5000 * z**2
    truth = -np.log(np.sqrt(2 * np.pi / 1e4) / 10)
    answer = marginal(energy, interval(-5.0, 5.0, points), 1.0)
    assert int(answer.result) == TOO_COARSE
    assert abs(answer.free_energy - truth) <= 1.001 * answer.error
    both = marginal(lambda z: 450 * jnp.cos(z) ** 2, circle(points // 2), 100.0)
    assert int(both.result) == TOO_COARSE
    assert int(marginal(energy, interval(-5.0, 5.0, 20_001), 1.0).result) == CONVERGED


@pytest.mark.slow
@pytest.mark.parametrize("unit", [1e-21, 1.0, 1e9])
def test_what_is_exactly_zero_is_converged(unit):
    for energy in (lambda z: unit * z**2, lambda z: unit * (1 - jnp.cos(z)), lambda z: 0 * z):
        answer = marginal(energy, interval(-2.0, 2.0, 41), float("inf"))
        assert answer.free_energy == 0
        assert int(answer.result) == CONVERGED
    assert int(marginal(lambda z: unit * (z - 0.03) ** 2, interval(-2.0, 2.0, 41), float("inf")).result) == TOO_COARSE


@pytest.mark.slow
def test_forbidden_states_have_no_volume_when_it_is_hot():
    half = lambda units: jnp.where(units[0] > 0, jnp.inf, 1.0)
    for beta in (0.0, 0.5):
        np.testing.assert_allclose(log_partition(half, binary_cube(3), beta), np.log(4) - beta, rtol=1e-6)
    assert log_partition(lambda units: jnp.inf + units[0], binary_cube(2), 0.0) == -jnp.inf


WRONG_ORDER = """
import jax.numpy as jnp
import ebmjax
from ebmjax import circle, marginal
for function in (ebmjax.free_energy, ebmjax.posterior, ebmjax.log_partition, marginal):
    for arguments in ((circle(8), jnp.cos, 1.0), (jnp.cos, 1.0, circle(8)), (jnp.cos, circle(8), jnp.cos)):
        try:
            function(*arguments)
        except ebmjax.checks.ArgumentError as error:
            print(str(error).split(",")[0])
for space in (circle, ebmjax.interval, ebmjax.gauss_hermite, ebmjax.binary_cube, ebmjax.spin_cube):
    try:
        space(0.0, 1.0, 8.0) if space is ebmjax.interval else space(8.0)
    except ebmjax.checks.ArgumentError as error:
        print(str(error).split(",")[0])
"""


@pytest.mark.slow
def test_arguments_in_the_wrong_order_are_named():
    """In a process of its own, without the tests' type checks, as a user has it."""
    ran = subprocess.run([sys.executable, "-c", WRONG_ORDER], capture_output=True, text=True, check=True)
    energy, space, beta = "energy: got a Space", "space: got a float", "beta: got a PjitFunction"
    assert ran.stdout.splitlines() == [energy, space, beta] * 4 + ["n: got 8.0"] * 5


def test_integer_energies_are_numbers():
    np.testing.assert_allclose(free_energy(lambda units: 3, binary_cube(2), 1.0), 3, rtol=1e-6)
