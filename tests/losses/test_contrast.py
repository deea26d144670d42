"""The contrast: its gradient is the likelihood's where the negatives have the model's law, and only there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import posterior, spin_cube
from ebmjax.energies import hopfield
from ebmjax.losses.contrast import contrast, penalized_contrast
from ebmjax.losses.likelihood import negative_log_likelihood

BETA = 0.7


def machine(units=5):
    random = np.random.default_rng(0)
    upper = np.triu(random.normal(size=(units, units)), 1)
    return hopfield.Params(jnp.asarray(upper + upper.T), jnp.asarray(random.normal(size=units)))


def test_by_hand():
    loss = contrast(lambda w, s: -w * s[0] * s[1])
    positives = jnp.array([[1.0, 1.0], [1.0, -1.0]])
    negatives = jnp.array([[1.0, -1.0]])
    value, slope = jax.value_and_grad(loss)(2.0, (positives, negatives))
    assert (float(value), float(slope)) == (-2.0, -1.0)  # <E> is 0 and 2


@pytest.mark.slow
def test_negatives_of_the_enumerated_law_give_the_likelihood_gradient(x64):
    """∇NLL = beta (<∇E>_data - <∇E>_model): every state as a negative of its own weight."""
    params, space = machine(), spin_cube(5)
    data = space.points[jnp.array([0, 7, 7, 30])]
    law = posterior(lambda s: hopfield.energy(params, s), space, BETA)
    alone = lambda params, state: contrast(hopfield.energy)(params, (data, state[None]))
    averaged = lambda params: law @ jax.vmap(lambda state: alone(params, state))(space.points)
    truth = jax.grad(negative_log_likelihood(hopfield.energy, space, BETA))(params, data)
    slope = jax.grad(averaged)(params)
    for ours, exact in zip(slope, truth, strict=True):
        np.testing.assert_allclose(BETA * ours, exact, rtol=1e-9, atol=1e-12)
    assert jnp.abs(truth.weights).max() > 0.1


def test_nothing_is_differentiated_through_the_positions():
    """Positions that depend on the parameters, as those of a sampler do, count as constants."""
    energy = lambda w, x: w * x**2
    through = lambda w: contrast(energy)(w, (jnp.array([1.0]), w * jnp.array([3.0])))
    assert float(jax.grad(through)(1.0)) == 1.0 - 9.0


def test_any_pytree_and_any_number_of_each():
    energy = lambda w, pair: w * pair[0] @ pair[1]
    batch = ((jnp.ones((4, 2)), jnp.ones((4, 2))), (jnp.ones((3, 2)), -jnp.ones((3, 2))))
    assert float(contrast(energy)(1.0, batch)) == 4.0


def test_the_penalty_by_hand():
    """Energies 2, -2 and 6: contrast (2 - 2)/2 - 6, mean squares 4 and 36."""
    energy = lambda w, s: w * s
    batch = (jnp.array([1.0, -1.0]), jnp.array([3.0]))
    value, slope = jax.value_and_grad(penalized_contrast(energy, 0.5))(2.0, batch)
    assert (float(value), float(slope)) == (-6.0 + 0.5 * 40.0, -3.0 + 0.5 * 40.0)  # d/dw w²(1 + 9) = 2w · 10


@pytest.mark.slow
def test_without_weight_it_is_the_contrast(x64):
    params, points = machine(), spin_cube(5).points
    batch = (points[:4], points[7:])
    for ours, plain in zip(
        jax.grad(penalized_contrast(hopfield.energy, 0.0))(params, batch),
        jax.grad(contrast(hopfield.energy))(params, batch),
        strict=True,
    ):
        np.testing.assert_allclose(ours, plain, rtol=1e-12)


def test_the_penalty_holds_its_positions_constant():
    energy = lambda w, x: w * x
    through = lambda w: penalized_contrast(energy, 1.0)(w, (jnp.array([0.0]), w * jnp.array([1.0])))
    assert float(jax.grad(through)(3.0)) == -3.0 + 2 * 3.0 * 9.0


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match=r"weight: got -1\.0"):
        penalized_contrast(hopfield.energy, -1.0)
