"""The Hopfield energy on enumerated states, and the three rules against their definitions."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import spin_cube
from ebmjax.energies import hopfield
from ebmjax.energies.hopfield import Params, energy, field, hebbian, pseudo_inverse, storkey

RULES = {"hebbian": hebbian, "pseudo_inverse": pseudo_inverse, "storkey": storkey}


def random_patterns(seed, count, units):
    return jax.random.rademacher(jax.random.key(seed), (count, units), dtype=jnp.result_type(float))


@pytest.mark.slow
def test_energy_is_the_double_sum(x64):
    weights = np.random.default_rng(0).normal(size=(4, 4))
    weights = np.triu(weights, 1) + np.triu(weights, 1).T
    bias = np.arange(4) - 1.5
    params = Params(jnp.asarray(weights), jnp.asarray(bias))
    hopfield.check_params(params)
    for s in spin_cube(4).points:
        pairs = sum(weights[i, j] * s[i] * s[j] for i, j in itertools.combinations(range(4), 2))
        np.testing.assert_allclose(energy(params, s), -pairs - bias @ s, atol=1e-12)
        np.testing.assert_allclose(field(params, s), -jax.grad(partial(energy, params))(s), atol=1e-12)
        for i in range(4):
            turned = s.at[i].multiply(-1)
            np.testing.assert_allclose(energy(params, turned) - energy(params, s), 2 * s[i] * field(params, s)[i])


def test_hebb_is_the_sum_of_outer_products(x64):
    patterns = random_patterns(1, 3, 7)
    expected = sum(np.outer(y, y) for y in patterns) / 7
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(hebbian(patterns).weights, expected, atol=1e-15)


def test_projection_is_the_pseudo_inverse(x64):
    patterns = np.array(random_patterns(2, 4, 12))
    expected = np.linalg.pinv(patterns) @ patterns
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(pseudo_inverse(jnp.asarray(patterns)).weights, expected, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("units", [12, 60])
def test_projection_takes_dependent_patterns(units):
    """A pattern twice, its negative, and three of which one is a product: nothing changes, and nothing is NaN."""
    patterns = random_patterns(3, 5, units)
    repeated = jnp.concatenate([patterns, patterns[:2], -patterns[1:3]])
    np.testing.assert_allclose(pseudo_inverse(repeated).weights, pseudo_inverse(patterns).weights, atol=2e-6)


@pytest.mark.slow
def test_projection_recalls_correlated_patterns_where_hebb_fails():
    """50 patterns of 200 units, each a copy of one with a tenth of the units turned; the fields tell."""
    base, noise = random_patterns(4, 1, 200), jax.random.bernoulli(jax.random.key(5), 0.1, (50, 200))
    patterns = jnp.where(noise, -base, jnp.broadcast_to(base, noise.shape))
    stable = lambda params: jnp.all(jax.vmap(partial(field, params))(patterns) * patterns > 0, axis=1).mean()
    assert stable(pseudo_inverse(patterns)) == 1
    assert stable(hebbian(patterns)) == 0


def test_storkey_is_its_definition(x64):
    patterns = np.array(random_patterns(6, 4, 8))
    weights = np.zeros((8, 8))
    for y in patterns:
        old = weights.copy()
        for i, j in itertools.permutations(range(8), 2):
            h_ij = sum(old[i, k] * y[k] for k in range(8) if k not in (i, j))
            h_ji = sum(old[j, k] * y[k] for k in range(8) if k not in (i, j))
            weights[i, j] = old[i, j] + (y[i] * y[j] - y[i] * h_ji - h_ij * y[j]) / 8
    np.testing.assert_allclose(storkey(jnp.asarray(patterns)).weights, weights, atol=1e-14)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rules_make_hopfield_networks(rule):
    params = jax.jit(rule)(random_patterns(7, 9, 40))
    hopfield.check_params(params)
    np.testing.assert_array_equal(params.weights, params.weights.T)
    assert not params.bias.any()


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_patterns_can_be_masked_under_vmap(rule):
    patterns = random_patterns(8, 6, 30)
    used = jnp.tri(6)
    together = jax.jit(jax.vmap(rule, (None, 0)))(patterns, used)
    for count in range(1, 7):
        np.testing.assert_allclose(together.weights[count - 1], rule(patterns[:count]).weights, atol=2e-6)
    odd = jnp.array([1.0, 0.0, 1.0, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(rule(patterns, odd).weights, rule(patterns[::2]).weights, atol=2e-6)
    assert not rule(patterns, jnp.zeros(6)).weights.any()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_rules_refuse_what_is_no_pattern(rule):
    with pytest.raises(ValueError, match=r"patterns: got a unit of 0.5, wanted -1 or 1"):
        rule(jnp.array([[1.0, 0.5]]))
    with pytest.raises(ValueError, match=r"used: got shape \(2,\), wanted \(1,\)"):
        rule.__wrapped__(jnp.ones((1, 3)), jnp.ones(2))
    with pytest.raises(ValueError, match=r"patterns: got shape \(2, 0\), wanted .* at least one unit"):
        rule(jnp.ones((2, 0)))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (Params(jnp.ones((2, 3)), jnp.zeros(2)), r"weights: got shape \(2, 3\)"),
        (Params(jnp.zeros((2, 2)), jnp.zeros(3)), r"bias: got shape \(3,\), wanted \(2,\)"),
        (Params(jnp.array([[0.0, 1.0], [2.0, 0.0]]), jnp.zeros(2)), r"differs from its transpose by 1"),
        (Params(jnp.array([[0.0, jnp.nan], [2.0, 0.0]]), jnp.zeros(2)), r"differs from its transpose by nan"),
    ],
)
def test_check_names_what_is_wrong(params, message):
    with pytest.raises(ValueError, match=message):
        hopfield.check_params(params)
