"""Centering is gradient descent in units that are measured from their means."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import binary_cube
from ebmjax.energies import deep_boltzmann as dbm
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast.centering import Means, centering, deep_centering
from ebmjax.losses.contrast import contrast

BETA = 0.7


def restricted():
    random = np.random.default_rng(0)
    return rbm.Params(*(jnp.asarray(0.7 * random.normal(size=shape)) for shape in ((6, 5), 6, 5)))


def free_energy(params, visible):
    return rbm.free_energy(params, visible, BETA)


def pictures():
    return binary_cube(6).points[jnp.array([0, 1, 1, 5, 40, 63])]


@pytest.mark.slow
def test_centering_descends_in_centred_parameters(x64):
    """The step in plain parameters is that of gradient descent on (W, a', b') of the energy in v - μ and h - λ."""
    params, means = restricted(), Means(jnp.linspace(0.1, 0.9, 6), jnp.linspace(0.3, 0.6, 5))
    loss, batch = contrast(free_energy), (pictures(), binary_cube(6).points[20:24])

    def plain(centred):
        """a = a' - Wλ, b = b' - Wᵀμ: linear, so that it maps steps as it maps parameters."""
        weights, visible, hidden = centred
        return rbm.Params(weights, visible - weights @ means.hidden, hidden - means.visible @ weights)

    centred = rbm.Params(
        params.weights,
        params.visible_bias + params.weights @ means.hidden,
        params.hidden_bias + means.visible @ params.weights,
    )
    truth = plain(jax.grad(lambda centred: loss(plain(centred), batch))(centred))
    step, kept = centering(means.visible, decay=1.0).apply(params, means, jax.grad(loss)(params, batch), batch[0])
    for ours, exact in zip([*step, *kept], [*truth, *means], strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-9, atol=1e-12)


def test_centering_does_not_mind_which_value_is_called_one(x64):
    """Visible units 1 and 4 turned over, in the data and in the parameters: the step turns with them."""
    turned = jnp.zeros(6).at[jnp.array([1, 4])].set(1.0)
    sign = 1 - 2 * turned

    def turn(params, offset=1.0):
        """The same law of turned units; for a step, which is a difference, offsets cancel."""
        weights = params.weights * sign[:, None]
        return rbm.Params(weights, params.visible_bias * sign, params.hidden_bias + offset * turned @ params.weights)

    def step(params, positives, negatives):
        slope = jax.grad(contrast(free_energy))(params, (positives, negatives))
        preconditioner = centering(positives.mean(axis=0), decay=0.7)
        return slope, preconditioner.apply(params, preconditioner.init(params), slope, positives)[0]

    params, positives, negatives = restricted(), pictures(), binary_cube(6).points[20:24]
    flip = lambda units: units * sign[None] + turned[None]
    plain, centred = step(params, positives, negatives)
    other_plain, other_centred = step(turn(params), flip(positives), flip(negatives))
    for ours, exact in zip(other_centred, turn(centred), strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-9, atol=1e-12)
    assert jnp.abs(other_plain.weights - turn(plain).weights).max() > 0.1


@pytest.mark.slow
def test_centering_of_a_deep_machine(x64):
    """With two layers it is that of the restricted machine; with three, a step in the centred parameters of the energy.

    Those are (W, b') of the energy in s - μ for every layer, from which the plain biases are linear.
    """
    params, batch = restricted(), pictures()
    hidden = jax.nn.sigmoid(jax.vmap(partial(rbm.hidden_field, params))(batch))
    slope = rbm.Params(jnp.ones((6, 5)).at[2].set(3.0), jnp.arange(6.0), jnp.arange(5.0))
    known = centering(batch.mean(axis=0))
    truth, _ = known.apply(params, known.init(params), slope, batch)
    deep = lambda one: dbm.Params((one.weights,), (one.visible_bias, one.hidden_bias))
    ours = deep_centering(batch.mean(axis=0))
    step, means = ours.apply(deep(params), ours.init(deep(params)), deep(slope), (batch, hidden))
    for one, exact in zip(jax.tree.leaves(step), jax.tree.leaves(deep(truth)), strict=True):
        np.testing.assert_allclose(one, exact, rtol=1e-12)
    np.testing.assert_allclose(means[1], 0.99 * 0.5 + 0.01 * hidden.mean(axis=0))

    keys = jax.random.split(jax.random.key(3), 3)
    params = dbm.init(keys[0], jnp.linspace(0.2, 0.8, 4), (3, 2), scale=0.5)
    means = tuple(jnp.linspace(0.3, 0.6, size) for size in (4, 3, 2))
    sides = tuple(
        tuple(jax.random.bernoulli(keys[side], mean[None], (7, len(mean))).astype(float) for mean in means)
        for side in (1, 2)
    )
    loss = lambda params: contrast(dbm.energy)(params, sides)

    def plain(centred, sign=-1.0):
        (first, second), (visible, middle, top) = centred
        biases = visible + sign * first @ means[1], middle + sign * (means[0] @ first + second @ means[2])
        return dbm.Params((first, second), (*biases, top + sign * means[1] @ second))

    truth = plain(jax.grad(lambda centred: loss(plain(centred)))(plain(params, 1.0)))
    step, _ = deep_centering(means[0], decay=1.0).apply(params, means, jax.grad(loss)(params), sides[0])
    for one, exact in zip(jax.tree.leaves(step), jax.tree.leaves(truth), strict=True):
        np.testing.assert_allclose(one, exact, rtol=1e-9, atol=1e-12)
    with pytest.raises(ValueError, match="positives"):
        deep_centering(means[0]).apply(params, means, jax.grad(loss)(params), sides[0][:2])
