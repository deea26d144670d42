"""Spaces are normalized measures with the right integrals."""

import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.marginalize import spaces

EVERY = {
    "circle": (spaces.circle(7), 2 * np.pi),
    "interval": (spaces.interval(-1.0, 3.0, 9), 4.0),
    "box": (spaces.box(-1.0, 3.0, 4, 3), 64.0),
    "gauss_hermite": (spaces.gauss_hermite(5), 1.0),
    "binary_cube": (spaces.binary_cube(3), 8.0),
    "spin_cube": (spaces.spin_cube(4), 16.0),
    "product": (spaces.product(spaces.circle(3), spaces.spin_cube(2), spaces.interval(0.0, 2.0, 2)), 16 * np.pi),
    "weighted": (spaces.weighted(jnp.arange(3.0), jnp.log(jnp.array([1.0, 2.0, 4.0]))), 7.0),
}


@pytest.mark.parametrize("name", EVERY)
def test_measures_are_normalized_and_know_their_volume(name):
    space, volume = EVERY[name]
    assert abs(float(jax.nn.logsumexp(space.log_weights))) < 1e-6
    np.testing.assert_allclose(jnp.exp(space.log_volume), volume, rtol=1e-5)
    assert {len(leaf) for leaf in jax.tree.leaves(space.points)} == {len(space.log_weights)}


def test_circle_is_the_lecture_grid():
    np.testing.assert_allclose(spaces.circle(48).points, np.arange(48) * np.pi / 24, rtol=1e-6)


def test_a_box_has_the_midpoints_of_its_cells():
    space = spaces.box(-4.0, 2.0, 3, 2)
    assert space.points.tolist() == [[first, second] for first in (-3.0, -1.0, 1.0) for second in (-3.0, -1.0, 1.0)]
    np.testing.assert_allclose(jnp.exp(space.log_weights), 1 / 9, rtol=1e-6)


def test_sums_over_a_box_are_integrals(x64):
    """∫ exp(-‖y‖²/2) over the plane is 2π; the tails beyond 7 are 1e-11 of it."""
    space = spaces.box(-7.0, 7.0, 60, 2)
    density = jnp.exp(-jnp.sum(space.points**2, axis=1) / 2)
    np.testing.assert_allclose(jnp.exp(space.log_weights + space.log_volume) @ density, 2 * np.pi, rtol=1e-9)


def test_cubes_hold_every_state_once():
    for space, values in ((spaces.binary_cube(5), {0.0, 1.0}), (spaces.spin_cube(5), {-1.0, 1.0})):
        points = np.asarray(space.points)
        assert points.shape == (32, 5)
        assert len({tuple(row) for row in points}) == 32
        assert set(points.ravel()) == values


def test_quadrature(x64):
    hermite = spaces.gauss_hermite(20)
    moments = [float(jnp.exp(hermite.log_weights) @ hermite.points**n) for n in (1, 2, 4, 6, 8)]
    np.testing.assert_allclose(moments, [0, 1, 3, 15, 105], atol=1e-9)
    line = spaces.interval(0.0, np.pi, 2001)
    np.testing.assert_allclose(jnp.exp(line.log_weights) @ jnp.sin(line.points) * np.pi, 2, rtol=1e-6)
    far = spaces.gauss_hermite(180)
    assert jnp.isfinite(far.log_weights).all()


def test_products_hold_every_combination():
    space = spaces.product(spaces.interval(0.0, 1.0, 2), spaces.binary_cube(1))
    pairs = list(zip(*[leaf.ravel().tolist() for leaf in space.points], strict=True))
    assert pairs == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_weighted_takes_any_pytree_under_jit():
    space = jax.jit(lambda w: spaces.weighted({"a": jnp.ones((2, 3)), "b": jnp.arange(2)}, w))(
        jnp.array([0.0, -jnp.inf])
    )
    np.testing.assert_allclose(jnp.exp(space.log_weights), [1, 0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: spaces.circle(0), "n: got 0, wanted at least 1"),
        (lambda: spaces.interval(0.0, 1.0, 1), "n: got 1, wanted at least 2"),
        (lambda: spaces.interval(1.0, 1.0, 5), "low, high: got"),
        (lambda: spaces.interval(0.0, math.inf, 5), "low, high: got"),
        (lambda: spaces.box(0.0, 1.0, 0, 2), "n: got 0, wanted at least 1"),
        (lambda: spaces.box(0.0, 1.0, 3, 0), "dimensions: got 0, wanted at least 1"),
        (lambda: spaces.box(2.0, 1.0, 3, 2), "low, high: got 2.0, 1.0"),
        (lambda: spaces.box(0.0, math.inf, 3, 2), "low, high: got"),
        (lambda: spaces.gauss_hermite(181), "n: got 181"),
        (lambda: spaces.binary_cube(25), "n: got 25"),
        (lambda: spaces.spin_cube(0), "n: got 0"),
        (lambda: spaces.product(), "spaces: got none"),
        (lambda: spaces.weighted(jnp.ones(3), jnp.ones(2)), "points: got shape"),
        (lambda: spaces.weighted(jnp.ones(0), jnp.ones(0)), "log_weights: got shape"),
        (lambda: spaces.weighted(jnp.ones(2), jnp.full(2, -jnp.inf)), "log_weights: got a total"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no `resource`, which tells the largest memory")
@pytest.mark.parametrize("name", ["binary_cube", "spin_cube"])
def test_a_cube_takes_little_more_memory_than_its_points(name):
    """In a process of its own, whose largest memory is measured. NumPy's integers took four times as much."""
    script = f"""
import resource, jax, ebmjax
peak = lambda: 1e3 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ebmjax.{name}(3).points.block_until_ready()
before = peak()
points = ebmjax.{name}(21).points.block_until_ready()
print((peak() - before) / points.nbytes)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(ran.stdout) < 1.5
