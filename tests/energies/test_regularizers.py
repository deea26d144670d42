"""Regularizers against brute force: proximal operators, conjugates, and what they refuse."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies.regularizers import elastic_net, group, l1, non_negative, shrink

REGULARIZERS = {
    "l1": l1(0.7),
    "elastic net": elastic_net(0.4, 1.3),
    "elastic net, ridge alone": elastic_net(0.0, 1.3),
    "non-negative": non_negative(0.6),
    "group": group(0.9, 2),
}
PLANE = np.linspace(-4, 4, 801)  # spacing 0.01, in double precision


def values(regularizer):
    """R on a grid of the plane."""
    points = np.stack(np.meshgrid(PLANE, PLANE, indexing="ij"), axis=-1).reshape(-1, 2)
    return points, np.asarray(jax.vmap(regularizer.value)(jnp.asarray(points)))


@pytest.mark.slow
@pytest.mark.parametrize("name", REGULARIZERS)
def test_the_proximal_operator_minimizes(x64, name):
    regularizer = REGULARIZERS[name]
    points, held = values(regularizer)
    for z, step in itertools.product(([1.7, -0.3], [0.2, 0.4], [-2.0, 3.0], [0.0, 0.0]), (0.3, 1.5)):
        best = points[np.argmin(((points - np.array(z)) ** 2).sum(axis=1) / 2 + step * held)]
        np.testing.assert_allclose(regularizer.prox(jnp.array(z), step), best, atol=0.011)


@pytest.mark.parametrize("name", REGULARIZERS)
def test_the_conjugate_is_a_supremum(x64, name):
    """No smaller than what a grid finds; equal to it, but for the elastic net, for which it may be larger."""
    regularizer = REGULARIZERS[name]
    points, held = values(regularizer)
    for slope, bound in itertools.product(([1.7, -0.3], [0.2, 0.4], [-2.0, 1.0], [0.0, 0.0]), (0.5, 1.5)):
        brute = (points @ np.array(slope) - held)[held <= bound].max()
        found = float(regularizer.conjugate(jnp.array(slope), bound))
        assert found >= brute - 1e-12
        if "elastic" not in name:
            np.testing.assert_allclose(found, brute, atol=0.04)  # the grid misses the corner by up to 0.02


def test_the_elastic_net_s_conjugate_is_exact_where_the_bound_does_not_bind(x64):
    points, held = values(REGULARIZERS["elastic net"])
    for slope in ([1.7, -0.3], [-2.0, 1.0], [0.1, 0.1]):
        brute = (points @ np.array(slope) - held).max()
        found = float(REGULARIZERS["elastic net"].conjugate(jnp.array(slope), 1e6))
        np.testing.assert_allclose(found, brute, atol=1e-3)


def test_without_a_weight_nothing_bounds_the_code():
    slope = jnp.array([0.5, -1.0])
    for regularizer in (l1(0.0), elastic_net(0.0, 0.0), non_negative(0.0), group(0.0, 2)):
        assert float(regularizer.conjugate(slope, 1.0)) == float("inf")
        assert float(regularizer.conjugate(0 * slope, 1.0)) == 0.0
        assert float(regularizer.conjugate(slope, 0.0)) in (0.0, float("inf"))  # and not NaN
        np.testing.assert_array_equal(regularizer.prox(jnp.abs(slope), 1.0), jnp.abs(slope))


@pytest.mark.parametrize("name", REGULARIZERS)
def test_zero_is_free_and_nothing_is_negative(name):
    regularizer = REGULARIZERS[name]
    assert float(regularizer.value(jnp.zeros((3, 4)))) == 0.0
    assert float(regularizer.value(jax.random.normal(jax.random.key(0), (3, 4)))) > 0.0
    assert regularizer.prox(jnp.ones((3, 4)), 0.1).shape == (3, 4)


def test_special_cases_agree(x64):
    z = jax.random.normal(jax.random.key(0), (12,))
    plain = l1(0.7)
    for other in (elastic_net(0.7, 0.0), group(0.7, 1)):
        np.testing.assert_allclose(other.value(z), plain.value(z))
        np.testing.assert_allclose(other.prox(z, 0.3), plain.prox(z, 0.3), rtol=1e-12)
        np.testing.assert_allclose(other.conjugate(z, 2.0), plain.conjugate(z, 2.0))
    np.testing.assert_allclose(non_negative(0.7).prox(jnp.abs(z), 0.3), plain.prox(jnp.abs(z), 0.3))
    np.testing.assert_allclose(shrink(z, 0.2), jnp.sign(z) * jnp.maximum(jnp.abs(z) - 0.2, 0))
    assert float(non_negative(0.7).value(-jnp.abs(z))) == float("inf")


def test_weights_may_be_traced():
    z = jnp.array([3.0, 4.0])
    path = jax.vmap(lambda weight: group(weight, 2).prox(z, 1.0))(jnp.array([0.0, 2.5, 6.0]))
    np.testing.assert_allclose(path, [[3.0, 4.0], [1.5, 2.0], [0.0, 0.0]], rtol=1e-6)
    slope = jax.grad(lambda weight: group(weight, 2).value(jnp.zeros(2)) + l1(weight).value(z))(1.0)
    assert float(slope) == 7.0


def test_the_slope_of_an_inactive_group_is_not_nan():
    np.testing.assert_allclose(jax.grad(group(1.0, 2).value)(jnp.array([3.0, 4.0, 0.0, 0.0])), [0.6, 0.8, 0, 0])


def test_bad_arguments_are_named():
    for make, message in (
        (lambda: l1(-0.1), "weight: got -0.1"),
        (lambda: l1(float("nan")), "weight: got nan"),
        (lambda: elastic_net(-1.0, 1.0), "weight: got -1"),
        (lambda: elastic_net(1.0, -1.0), "ridge: got -1"),
        (lambda: non_negative(-1.0), "weight: got -1"),
        (lambda: group(-1.0, 2), "weight: got -1"),
        (lambda: group(1.0, 0), "size: got 0"),
        (lambda: group(1.0, 1).prox(jnp.array(2.0), 1.0), "z: got a single number"),
        (lambda: group(1.0, 3).value(jnp.zeros(4)), "size: got 3, wanted a divisor of 4"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
