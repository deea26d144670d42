"""The ellipse by hand, against the published table, under rigid motions, and the collapse of its radii when hot."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import ellipse, placed_ellipse
from ebmjax.marginalize.free_energy import free_energy
from ebmjax.marginalize.spaces import circle
from ebmjax.minimize.search import refined_search
from experiments.ellipse.ellipse_inference import GOLDEN, GOLDEN_Y2

LECTURE = ellipse.Params(jnp.array([2.0, 1.5]))


def even(radii, angle=0.0, centre=(0.0, 0.0), n=48):
    """n points of an ellipse at equal angles z, in float64."""
    z = np.arange(n) * (2 * np.pi / n)
    return moved(np.asarray(radii) * np.stack([np.cos(z), np.sin(z)], axis=1), angle, centre)


def moved(points, angle, shift):
    """Points turned by an angle around the origin, then shifted."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.asarray(points) @ np.array([[cos, sin], [-sin, cos]]) + np.asarray(shift)


@jax.jit
@partial(jax.vmap, in_axes=(None, 0))
def squared_distance(params, y):
    """F_inf of a placed ellipse, with the angle refined."""
    return refined_search(partial(placed_ellipse.energy, params, y), circle(48)).energy


def mean_free_energy(radii, data, beta):
    free = lambda y: free_energy(partial(ellipse.energy, ellipse.Params(radii), y), circle(48), beta)
    return jax.vmap(free)(data).mean()


@pytest.mark.parametrize(
    ("y", "z", "expected"),
    [((2.0, 0.0), 0.0, 0.0), ((0.0, 0.0), 0.0, 4.0), ((1.0, 3.0), np.pi / 2, 1 + 2.25), ((-5.0, 4.0), np.pi, 9 + 16)],
)
def test_energy_by_hand(y, z, expected):
    np.testing.assert_allclose(ellipse.energy(LECTURE, jnp.array(y), z), expected, rtol=1e-6, atol=1e-10)


def test_placed_energy_by_hand():
    """Turned by a quarter, the first axis points along y2: the point at angle 0 is the centre + (0, 2)."""
    params = placed_ellipse.Params(LECTURE.radii, jnp.array([10.0, 20.0]), jnp.array(np.pi / 2))
    np.testing.assert_allclose(placed_ellipse.decode(params, 0.0), [10, 22], rtol=1e-6)
    np.testing.assert_allclose(placed_ellipse.decode(params, np.pi / 2), [8.5, 20], rtol=1e-6)
    np.testing.assert_allclose(placed_ellipse.energy(params, jnp.array([13.0, 26.0]), 0.0), 9 + 16, rtol=1e-5)


@pytest.mark.slow
def test_free_energies_match_the_published_table():
    free = lambda beta, y2: free_energy(
        partial(ellipse.energy, LECTURE, jnp.stack([jnp.zeros_like(y2), y2])), circle(48), beta
    )
    table = jax.vmap(jax.vmap(free, in_axes=(None, 0)), in_axes=(0, None))
    measured = table(jnp.array(list(GOLDEN)), jnp.array(GOLDEN_Y2))
    np.testing.assert_allclose(measured, list(GOLDEN.values()), rtol=0, atol=0.5e-3)


@pytest.mark.parametrize("signs", [(-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)])
def test_the_sign_of_a_radius_does_not_matter(signs):
    data = jnp.asarray(even((1.0, 3.0), centre=(0.2, 0.2)), jnp.float32)
    free = jax.jit(lambda radii: mean_free_energy(radii, data, 0.7))
    np.testing.assert_allclose(free(LECTURE.radii * jnp.array(signs)), free(LECTURE.radii), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("angle", [0.0, 0.4, 1.5, 2.9])
@pytest.mark.parametrize("radii", [(3.0, 1.0), (2.0, 1.9), (0.5, 0.01)])
def test_init_placed_is_exact_on_an_evenly_sampled_ellipse(x64, angle, radii):
    points = jnp.asarray(even(radii, angle, (7.0, -2.0)))
    params = placed_ellipse.init(points)
    np.testing.assert_allclose(params.centre, (7, -2), rtol=1e-12)
    np.testing.assert_allclose(params.radii, radii, rtol=1e-9)
    np.testing.assert_allclose(np.sin(params.angle - angle), 0, atol=1e-9)
    assert squared_distance(params, points).max() < 1e-18


def test_init_placed_of_points_on_a_line_is_flat_and_finite():
    params = placed_ellipse.init(jnp.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]))
    assert all(jnp.isfinite(leaf).all() for leaf in params)
    np.testing.assert_allclose(params.radii[1], 0, atol=1e-3)


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match=r"points: got shape \(2, 2\), wanted \(N, 2\) with N at least 3"):
        placed_ellipse.init(jnp.ones((2, 2)))


def test_placed_energy_does_not_change_when_everything_is_moved(x64):
    """E depends on the distance alone: turn and shift both the point and the ellipse."""
    params = placed_ellipse.Params(jnp.array([2.0, 0.7]), jnp.array([1.0, -3.0]), jnp.array(0.3))
    y, z = jax.random.normal(jax.random.key(0), (20, 2)), jnp.linspace(-4.0, 4.0, 20)
    energies = jax.vmap(placed_ellipse.energy, in_axes=(None, 0, 0))
    for angle, shift in ((0.0, (5.0, 1.0)), (1.1, (0.0, 0.0)), (-2.3, (-4.0, 100.0))):
        centre = jnp.asarray(moved(params.centre, angle, shift))
        there = placed_ellipse.Params(params.radii, centre, params.angle + angle)
        after = energies(there, jnp.asarray(moved(y, angle, shift)), z)
        np.testing.assert_allclose(after, energies(params, y, z), rtol=1e-10, atol=1e-12)


def test_unplaced_and_placed_agree_at_the_origin(x64):
    y, z = jnp.array([0.3, -1.2]), jnp.array(2.2)
    plain = ellipse.Params(jnp.array([2.0, 1.5]))
    placed = placed_ellipse.Params(plain.radii, jnp.zeros(2), jnp.array(0.0))
    np.testing.assert_allclose(placed_ellipse.energy(placed, y, z), ellipse.energy(plain, y, z), rtol=1e-14)


@pytest.mark.slow
def test_the_cold_free_energy_of_a_circle_is_the_squared_distance(x64):
    """(‖y - c‖ - r)²."""
    params = placed_ellipse.Params(jnp.array([3.0, 3.0]), jnp.array([1.0, 2.0]), jnp.array(0.8))
    y = 5 * jax.random.normal(jax.random.key(1), (50, 2))
    distance = np.linalg.norm(np.asarray(y) - np.asarray(params.centre), axis=1) - 3
    np.testing.assert_allclose(squared_distance(params, y), distance**2, rtol=1e-8, atol=1e-14)


@pytest.mark.slow
def test_critical_beta_is_where_the_loss_turns_over(x64):
    """∂²L/∂w_k² = 1 - 2 beta E[y_k²] at w = 0, which vanishes at the critical beta of either axis."""
    data = jax.random.normal(jax.random.key(2), (30, 2)) * jnp.array([[1.0, 2.5]])
    square = (data**2).mean(axis=0)
    betas = jnp.array([0.05, 0.7, *ellipse.critical_beta(square)])
    curvature = lambda beta: jnp.diag(jax.hessian(mean_free_energy)(jnp.zeros(2), data, beta))
    measured = jax.jit(jax.vmap(curvature))(betas)
    np.testing.assert_allclose(measured, 1 - 2 * np.outer(betas, square), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(jnp.diag(measured[2:]), 0, atol=1e-12)


def test_radii_collapse_below_their_critical_betas():
    """Gradient descent from (1.5, 0.4), at all temperatures at once, on an ellipse with critical betas 0.248 and 0.448.

    The end points were computed elsewhere, on noisy points of the same second moments, to two digits.
    """
    critical = 0.248, 0.448
    data = jnp.asarray(even(1 / np.sqrt(critical)), jnp.float32)  # E[y²] = w²/2 = 1/(2 beta_c)
    ends = {0.23: (0.0, 0.0), 0.26: (0.54, 0.0), 0.4: (1.41, 0.0), 0.5: (1.59, 0.86)}
    slope = jax.grad(mean_free_energy)

    def descend(beta):
        step = lambda _, radii: radii - 0.3 * slope(radii, data, beta)
        return jax.lax.fori_loop(0, 1000, step, jnp.array([1.5, 0.4]))

    radii = jax.jit(jax.vmap(descend))(jnp.array(list(ends)))
    np.testing.assert_allclose(jnp.abs(radii), list(ends.values()), atol=0.01)
    np.testing.assert_allclose(ellipse.critical_beta((data**2).mean(axis=0)), critical, rtol=1e-5)


@pytest.mark.parametrize("energy", [ellipse.energy, placed_ellipse.energy])
def test_energies_compile_batch_and_differentiate(energy):
    params = LECTURE
    if energy is placed_ellipse.energy:
        params = placed_ellipse.Params(LECTURE.radii, jnp.array([1.0, 2.0]), jnp.array(0.5))
    y, z = jnp.zeros((7, 2)), jnp.linspace(0.0, 6.0, 7)
    value, slopes = jax.jit(jax.vmap(jax.value_and_grad(energy, argnums=(0, 1, 2)), in_axes=(None, 0, 0)))(params, y, z)
    assert value.shape == (7,)
    assert value.dtype == jnp.float32
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((value, slopes)))


def test_init_depends_on_its_key_alone_and_stays_in_its_range():
    radii = jax.vmap(lambda key: ellipse.init(key).radii)(jax.random.split(jax.random.key(0), 100))
    assert radii.shape == (100, 2)
    assert ((radii >= 0.4) & (radii < 1.6)).all()
    assert len(np.unique(np.asarray(radii))) == 200
