"""Minimizers against closed forms, their result codes, and F_inf of ellipses to 1e-6."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import circle, interval, product
from ebmjax.energies import ellipse
from ebmjax.marginalize.spaces import box
from ebmjax.minimize.descent import gradient_descent, newton
from ebmjax.minimize.search import grid_search, lowest_points, multi_start, refined_search
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT


@pytest.mark.slow
def test_quadratics_have_their_closed_form(x64):
    root = jax.random.normal(jax.random.key(0), (4, 4))
    matrix, target = root @ root.T + jnp.eye(4), jnp.arange(4.0)
    energy = lambda z: 0.5 * (z - target) @ matrix @ (z - target) + 3
    for solution in (
        newton(energy, jnp.zeros(4)),
        gradient_descent(energy, jnp.zeros(4), optax.sgd(0.05), max_steps=5000, tolerance=1e-9),
    ):
        np.testing.assert_allclose(solution.value, target, atol=1e-6)
        np.testing.assert_allclose(solution.energy, 3)
        assert int(solution.result) == CONVERGED
    assert int(newton(energy, jnp.zeros(4)).steps) <= 3


@pytest.mark.optax
@pytest.mark.parametrize(
    "optimizer", [optax.sgd(0.1), optax.adam(0.1), optax.rmsprop(0.03), optax.sgd(0.05, momentum=0.9)]
)
def test_any_optax_optimizer(optimizer):
    energy = lambda z: jnp.sum((z["a"] - 1) ** 2) + (z["b"] + 2) ** 2
    start = {"a": jnp.zeros(3), "b": jnp.array(0.0)}
    solution = jax.jit(lambda start: gradient_descent(energy, start, optimizer, 2000, 1e-3))(start)
    np.testing.assert_allclose(solution.value["a"], 1, atol=1e-2)
    np.testing.assert_allclose(solution.value["b"], -2, atol=1e-2)


def test_result_codes():
    bowl = lambda z: z**2
    assert int(gradient_descent(bowl, jnp.array(1.0), optax.sgd(1e-3), max_steps=5).result) == STEP_LIMIT
    blown_up = gradient_descent(lambda z: z**4, jnp.array(3.0), optax.sgd(10.0))
    assert int(blown_up.result) == DIVERGED
    assert float(blown_up.value) == 3.0  # the lowest finite point is kept
    assert float(blown_up.energy) == 81.0
    assert int(newton(lambda z: z * jnp.nan, jnp.array(1.0)).result) == DIVERGED
    assert int(newton(lambda z: jnp.cosh(z), jnp.array(3.0), max_steps=1).result) == STEP_LIMIT
    assert int(grid_search(lambda z: z * jnp.inf, circle(4)).result) == DIVERGED


def test_newton_goes_downhill_from_a_maximum_s_side():
    solution = newton(jnp.cos, jnp.array(0.1))
    np.testing.assert_allclose(jnp.abs(solution.value), jnp.pi, atol=1e-3)
    np.testing.assert_allclose(solution.energy, -1)
    # the first step goes downhill although the curvature is negative, because its absolute value is used
    assert newton(jnp.cos, jnp.array(0.1), max_steps=1).energy < jnp.cos(0.1)
    saddle = lambda z: z[0] ** 2 - z[1] ** 2 + z[1] ** 4
    assert newton(saddle, jnp.array([0.0, 0.1]), max_steps=1).energy < saddle(jnp.array([0.0, 0.1]))


def test_many_starts_ignore_those_that_diverge():
    energy = lambda z: jnp.where(z > 2, jnp.nan, jnp.cos(3 * z) + 0.1 * z)
    best = multi_start(energy, jnp.array([-3.0, -1.0, 1.0, 2.5]))
    assert int(best.result) == CONVERGED
    np.testing.assert_allclose(best.energy, energy(jnp.linspace(-4, 2, 10_001)).min(), atol=0.25)
    assert jnp.isfinite(best.energy)


def test_lowest_prefers_valleys():
    heights = jnp.array([3.0, 1.0, 1.1, 1.2, 5.0, 2.0, 4.0, 9.0])
    space = circle(8)._replace(points=jnp.arange(8))
    assert lowest_points(lambda i: heights[i], space, 3).tolist() == [1, 5, 2]


@pytest.mark.slow
@pytest.mark.parametrize("radii", [(2.0, 1.5), (11.08, 14.78), (0.3, 15.0), (1.0, 1.0)])
def test_refined_search_finds_f_inf(x64, radii):
    """Against two million angles with a local polish, for points on, inside and outside the ellipse."""
    rng = np.random.default_rng(0)
    w = np.array(radii)
    angles = np.arange(2_000_000) * np.pi * 1e-6
    search = jax.jit(lambda y: refined_search(partial(ellipse.energy, ellipse.Params(jnp.asarray(w)), y), circle(48)))
    for scale in (0.0, 0.4, 1.0, 1.0, 1.7):
        direction = rng.uniform(0, 2 * np.pi)
        y = scale * w * [np.cos(direction), np.sin(direction)] + 0.05 * rng.normal(size=2)
        squared = lambda z, y=y: (y[0] - w[0] * np.cos(z)) ** 2 + (y[1] - w[1] * np.sin(z)) ** 2
        near = angles[squared(angles).argmin()] + np.linspace(-1e-6, 1e-6, 2001)
        solution = search(jnp.asarray(y))
        assert int(solution.result) == CONVERGED
        np.testing.assert_allclose(solution.energy, squared(near).min(), rtol=1e-6)


@pytest.mark.slow
def test_the_grid_alone_is_far_off_at_the_mouth():
    """At radius 15 the grid is 20 times as high as the refined search, which is at the noise of the data, 0.0025."""
    params = ellipse.Params(jnp.array([11.08, 14.78]))
    z = jax.random.uniform(jax.random.key(0), (200,), maxval=2 * jnp.pi)
    y = jax.vmap(partial(ellipse.decode, params))(z) + 0.05 * jax.random.normal(jax.random.key(1), (200, 2))
    search = lambda method: jax.vmap(lambda y: method(partial(ellipse.energy, params, y), circle(48)).energy)(y)
    assert search(grid_search).mean() > 20 * search(refined_search).mean()
    np.testing.assert_allclose(search(refined_search).mean(), 0.0025, rtol=0.25)


@pytest.mark.slow
def test_refined_search_over_a_product():
    energy = lambda z: (jnp.cos(z[0]) + 0.2) ** 2 + (z[1] - 0.123) ** 2
    minimizer = lambda energy, start: multi_start(lambda v: energy((v[0], v[1])), jnp.stack(start)[None])
    solution = refined_search(energy, product(circle(16), interval(-1.0, 1.0, 9)), minimizer)
    np.testing.assert_allclose(solution.energy, 0, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("unit", [1e-21, 1e-12, 1.0, 1e9])
def test_steps_and_tolerances_have_no_unit_of_energy(unit):
    """The same steps, whatever the unit of energy; the optimizer's rate is in units of z² over energy."""
    unit = np.float32(unit)
    bowl = lambda z: unit * jnp.sum(jnp.cosh(z - jnp.array([1.0, 3.0])))
    plain = newton(lambda z: jnp.sum(jnp.cosh(z - jnp.array([1.0, 3.0]))), jnp.zeros(2))
    ours = newton(bowl, jnp.zeros(2))
    np.testing.assert_allclose(ours.value, plain.value, rtol=1e-5)
    assert (int(ours.steps), int(ours.result)) == (int(plain.steps), CONVERGED)
    slopes = gradient_descent(lambda z: unit * jnp.sum((z - 1) ** 2), jnp.array([3.0, -2.0]), optax.sgd(0.1 / unit))
    assert (int(slopes.steps), int(slopes.result)) == (62, CONVERGED)
    np.testing.assert_allclose(slopes.value, 1, atol=1e-5)


@pytest.mark.parametrize("unit", [1e-12, 1e9])
def test_steps_have_no_unit_of_the_unknown(unit):
    unit = np.float32(unit)
    ours = newton(lambda z: jnp.sum(jnp.cosh(z / unit - 3)), jnp.array([0.5, 1.0]) * unit)
    assert int(ours.result) == CONVERGED
    np.testing.assert_allclose(ours.value / unit, 3, rtol=1e-3)
    flat = newton(lambda z: 3 * z, jnp.array(1.0) * unit, max_steps=1)  # no curvature: a step as long as the unknown
    np.testing.assert_allclose(flat.value / unit, 0, atol=1e-6)


def test_the_gradient_is_short_at_the_very_point_that_is_returned():
    energy = lambda z: 1e4 + jnp.sum((z - 1) ** 2)  # whose float32 values are level long before the minimum
    for rate in (0.1, 0.4):
        solution = gradient_descent(energy, jnp.array([3.0, -2.0]), optax.sgd(rate))
        assert int(solution.result) == CONVERGED
        assert float(jnp.linalg.norm(jax.grad(energy)(solution.value))) <= 1e-5
        assert float(solution.energy) <= float(energy(jnp.array([3.0, -2.0])))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("energy", "minimum"),
    [
        (lambda z: (z + 1.5) ** 2, -1.0),
        (lambda z: 3 * z, -1.0),
        (lambda z: -3 * z, 1.0),
        (lambda z: (z - 0.987) ** 2, 0.987),
        (lambda z: -jnp.log(1 - z * z + 1e-6) - 0.1 * z, 0.05),
    ],
)
def test_refined_search_stays_in_its_interval(energy, minimum):
    solution = refined_search(energy, interval(-1.0, 1.0, 20))
    assert int(solution.result) == CONVERGED
    assert -1 <= float(solution.value) <= 1
    np.testing.assert_allclose(solution.value, minimum, atol=1e-3)
    assert float(solution.energy) <= float(jax.vmap(energy)(jnp.linspace(-1, 1, 20)).min())
    low, high = (energy(jnp.array(minimum)), energy(solution.value))
    np.testing.assert_allclose(high, low, atol=1e-5)


@pytest.mark.slow
def test_refined_search_stays_in_boxes_and_products():
    target = jnp.array([2.0, 0.3])
    solution = refined_search(lambda z: jnp.sum((z - target) ** 2), box(-1.0, 1.0, 8, 2))
    np.testing.assert_allclose(solution.value, [1.0, 0.3], atol=1e-3)
    slope = partial(gradient_descent, optimizer=optax.sgd(0.1))
    energy = lambda z: (jnp.cos(z[0]) + 0.2) ** 2 + (z[1] - 3) ** 2
    angle, height = refined_search(energy, product(circle(16), interval(-1.0, 1.0, 9)), slope).value
    np.testing.assert_allclose(jnp.cos(angle), -0.2, atol=1e-3)
    np.testing.assert_allclose(height, 1)
    derivative = jax.grad(lambda t: refined_search(lambda z: t * z + z * z, interval(-1.0, 1.0, 9)).energy)(5.0)
    np.testing.assert_allclose(derivative, -1)  # Danskin's theorem on the border


def test_whole_numbers_are_numbers():
    np.testing.assert_allclose(newton(lambda z: (z - 3.0) ** 2, 0).value, 3)
    np.testing.assert_allclose(newton(lambda z: jnp.sum((z - 3) ** 2), np.zeros(2, np.uint8)).value, 3)
    solution = gradient_descent(lambda z: jnp.sum((z - 3) ** 2), jnp.zeros(2, int), optax.sgd(0.4))
    np.testing.assert_allclose(solution.value, 3, atol=1e-5)
    np.testing.assert_allclose(multi_start(lambda z: (z - 3.5) ** 2, np.arange(3)).value, 3.5)


def test_bad_arguments_are_named():
    bowl = lambda z: jnp.sum(z**2)
    for run, message in (
        (lambda: gradient_descent(bowl, jnp.zeros(2), optax.sgd(0.1), max_steps=0), "max_steps: got 0"),
        (lambda: gradient_descent(bowl, jnp.zeros(2), optax.sgd(0.1), tolerance=-1.0), "tolerance: got -1"),
        (lambda: newton(bowl, jnp.zeros((2, 2))), "start: got shape"),
        (lambda: newton(bowl, jnp.zeros(2), tolerance=float("nan")), "tolerance: got nan"),
        (lambda: refined_search(bowl, circle(4), starts=5), "count: got 5"),
        (lambda: lowest_points(bowl, circle(4), 0), "count: got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            run()
