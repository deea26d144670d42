"""The contrast: its gradient is the likelihood's where the negatives have the model's law, and only there."""

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax import posterior, spin_cube
from ebmjax.energies import hopfield
from ebmjax.losses.contrastive_divergence import contrast
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
