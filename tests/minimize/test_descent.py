"""Minimizers against closed forms, their result codes, and F_inf of ellipses to 1e-6."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import circle, interval, product
from ebmjax.energies import ellipse
from ebmjax.minimize.descent import gradient_descent, newton
from ebmjax.minimize.search import grid_search, lowest_points, multi_start, refined_search
from ebmjax.types import CONVERGED, DIVERGED, STEP_LIMIT


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
