"""Pseudo-likelihood against conditionals by enumeration, and against the likelihood where the two agree."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import binary_cube, posterior, spin_cube
from ebmjax.energies import hopfield, ising
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.losses.pseudo_likelihood import multilinear_pseudo_likelihood, pseudo_likelihood
from ebmjax.types import BITS, SPINS

BOTH = pytest.mark.parametrize("loss", [pseudo_likelihood, multilinear_pseudo_likelihood])


def machine(units, seed=0):
    random = np.random.default_rng(seed)
    upper = np.triu(random.normal(size=(units, units)), 1)
    return hopfield.Params(jnp.asarray(upper + upper.T), jnp.asarray(random.normal(size=units)))


def restricted(seed=0):
    random = np.random.default_rng(seed)
    return rbm.Params(*(jnp.asarray(random.normal(size=shape)) for shape in ((5, 3), 5, 3)))


def from_the_law(energy, space, beta, sample):
    """-Σ_i log P(s_i | rest), each conditional as a ratio of two sums over the enumerated law."""
    law, points = np.asarray(posterior(energy, space, beta)), np.asarray(space.points)
    agrees = points == np.asarray(sample)
    total = 0.0
    for unit in range(points.shape[1]):
        rest = np.delete(agrees, unit, axis=1).all(axis=1)
        total -= np.log(law[agrees.all(axis=1)].sum() / law[rest].sum())
    return total


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("beta", [0.0, 0.4, 1.7])
def test_it_is_the_product_of_the_enumerated_conditionals(x64, loss, beta):
    params, space = machine(6), spin_cube(6)
    samples = space.points[jnp.array([3, 17, 40, 63])]
    truth = np.mean([from_the_law(partial(hopfield.energy, params), space, beta, s) for s in samples])
    np.testing.assert_allclose(loss(hopfield.energy, beta)(params, samples), truth, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.4, 1.7])
def test_it_holds_for_a_free_energy(x64, beta):
    """The visible units of a restricted machine: their free energy is not linear in a unit."""
    params, space = restricted(), binary_cube(5)
    free = lambda params, visible: rbm.free_energy(params, visible, beta)
    samples = space.points[jnp.array([3, 17, 31])]
    truth = np.mean([from_the_law(partial(free, params), space, beta, s) for s in samples])
    np.testing.assert_allclose(pseudo_likelihood(free, beta, BITS)(params, samples), truth, rtol=1e-10)
    wrong = multilinear_pseudo_likelihood(free, beta, BITS)(params, samples)
    assert abs(wrong - truth) > 1e-3 * truth


@pytest.mark.slow
@pytest.mark.parametrize("alphabet", [SPINS, BITS])
def test_one_gradient_does_for_energies_that_are_linear_in_each_unit(x64, alphabet):
    params = machine(7, seed=1)
    batch = jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, (9, 7)), alphabet.high, alphabet.low)
    energy = lambda params, s: hopfield.energy(params, s) - s[0] * s[1] * s[2]
    flips, slopes = (
        jax.value_and_grad(loss(energy, 0.7, alphabet))(params, batch)
        for loss in (pseudo_likelihood, multilinear_pseudo_likelihood)
    )
    np.testing.assert_allclose(flips[0], slopes[0], rtol=1e-12)
    np.testing.assert_allclose(flips[1].bias, slopes[1].bias, rtol=1e-10, atol=1e-13)
    off = ~np.eye(7, dtype=bool)
    np.testing.assert_allclose(flips[1].weights[off], slopes[1].weights[off], rtol=1e-10, atol=1e-13)


@pytest.mark.slow
@BOTH
def test_units_may_lie_on_a_lattice(x64, loss):
    params = ising.Params(jnp.array(0.3), jnp.array(0.1))
    spins = jnp.where(jax.random.bernoulli(jax.random.key(1), 0.5, (2, 4, 4)), 1.0, -1.0)
    flat = lambda params, units: ising.energy(params, units.reshape(4, 4))
    lattice = loss(ising.energy, 0.7)(params, spins)
    np.testing.assert_allclose(lattice, loss(flat, 0.7)(params, spins.reshape(2, 16)), rtol=1e-12)


@pytest.mark.slow
@BOTH
def test_its_gradient_vanishes_at_the_law_of_the_data(x64, loss):
    """Where all states stand in the batch as often as the machine visits them: Besag's estimate is consistent."""
    beta, params, space = 0.7, machine(5), spin_cube(5)
    law = posterior(partial(hopfield.energy, params), space, beta)
    of_state = lambda params, state: loss(hopfield.energy, beta)(params, state[None])
    slopes = jax.vmap(lambda state: jax.grad(of_state)(params, state))(space.points)
    np.testing.assert_allclose(law @ slopes.bias, 0, atol=1e-12)
    weights = jnp.where(jnp.eye(5, dtype=bool), 0, jnp.einsum("n,nij->ij", law, slopes.weights))
    np.testing.assert_allclose(weights, 0, atol=1e-12)
    assert jnp.abs(slopes.bias).max() > 0.1


@BOTH
def test_independent_units_have_their_likelihood(x64, loss):
    bias, beta = jnp.array([0.3, -1.0]), 1.3
    batch = jnp.array([[1.0, 1.0], [1.0, -1.0]])
    truth = -np.log(jax.nn.sigmoid(2 * beta * batch * bias[None])).sum(axis=1).mean()
    np.testing.assert_allclose(loss(lambda bias, s: -bias @ s, beta)(bias, batch), truth, rtol=1e-12)


@pytest.mark.slow
@BOTH
def test_hot_units_are_fair_coins_and_large_gaps_do_not_overflow(loss):
    batch = jnp.array([[1.0, -1.0, 1.0]])
    np.testing.assert_allclose(loss(lambda w, s: w * s.sum(), 0.0)(5.0, batch), 3 * np.log(2), rtol=1e-6)
    value, slope = jax.value_and_grad(loss(lambda w, s: w * s.sum(), 1.0))(1e4, batch)
    np.testing.assert_allclose([value, slope], [4e4, 4.0], rtol=1e-6)


@BOTH
def test_what_is_wrong_is_named(loss):
    energy = lambda w, s: w * s.sum()
    for beta, message in ((-1.0, "beta: got -1.0"), (np.inf, "beta: got inf, wanted a finite")):
        with pytest.raises(ValueError, match=message):
            loss(energy, beta)
    with pytest.raises(ValueError, match=r"batch: got a unit of 0\.5, wanted -1 or 1"):
        loss(energy, 1.0)(1.0, jnp.array([[0.5]]))


@pytest.mark.slow
@BOTH
def test_learning_can_start_where_all_energies_are_equal(x64, loss):
    """At W = 0 every gap is exactly 0: d/dw of -Σ log σ(2 beta w s₀s₁) is -2 beta s₀s₁ there."""
    energy = lambda w, s: -w * s[0] * s[1]
    value = loss(energy, 0.7)
    slope = jax.grad(value)(0.0, jnp.array([[1.0, 1.0], [1.0, 1.0], [1.0, -1.0]]))
    np.testing.assert_allclose(slope, -2 * 0.7 / 3, rtol=1e-12)
