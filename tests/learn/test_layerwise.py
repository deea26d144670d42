"""Layer-wise training: who moves in which phase, and that it goes where training all at once does not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax.energies import sparse_coding
from ebmjax.learn.layerwise import from_layer_before, layerwise
from ebmjax.losses import inferred_codes
from ebmjax.losses.energy import energy_loss
from ebmjax.minimize.unrolled.alista import Alista, alista, analytic_weights
from ebmjax.minimize.unrolled.unroll import per_layer

KEY = jax.random.key(0)


def _sum_of_squares(weights, y):
    """Every layer is drawn to 1, at its own speed."""
    return jnp.sum((weights["w"] - 1.0) ** 2) + jnp.mean(y) * 0.0


@pytest.mark.slow
def test_first_the_new_layer_moves_alone_then_all():
    """One update a phase, by hand: sgd(0.25 · scale) takes w to w - 0.5 · scale · (w - 1)."""
    start = {"w": jnp.array([0.0, -1.0])}
    run = lambda joint: layerwise(
        KEY, _sum_of_squares, lambda scale: optax.sgd(0.25 * scale), start, jnp.ones(2), 2, 1, joint
    )
    weights, losses = run(())
    np.testing.assert_allclose(weights["w"], [0.5, 0.0])  # layer 1 did not move at stage 2
    np.testing.assert_allclose(losses, [[1.0], [0.25 + 4.0]])
    weights, losses = run((0.5,))
    # stage 1: 0 → 0.5 → 0.625; stage 2: -1 → 0, then both by a quarter of the way
    np.testing.assert_allclose(weights["w"], [0.71875, 0.25])
    np.testing.assert_allclose(losses, [[1.0, 0.25], [0.140625 + 4.0, 0.140625 + 1.0]])


@pytest.mark.slow
def test_adam_leaves_the_layers_at_rest_where_they_are():
    start = {"w": jnp.array([0.0, -1.0, -3.0])}
    with jax.numpy_dtype_promotion("standard"):
        first, _ = layerwise(KEY, _sum_of_squares, lambda s: optax.adam(0.1 * s), start, jnp.ones(2), 2, 1, ())
    np.testing.assert_allclose(first["w"], [0.1, -0.9, -2.9], rtol=1e-5)


@pytest.mark.slow
def test_a_layer_may_start_from_the_one_before():
    start = {"w": jnp.array([0.0, -1.0, 5.0])}
    weights, _ = layerwise(
        KEY, _sum_of_squares, lambda s: optax.sgd(0.25 * s), start, jnp.ones(2), 2, 1, (), init_layer=from_layer_before
    )
    np.testing.assert_allclose(weights["w"], [0.5, 0.75, 0.875])


def test_stages_may_add_several_layers():
    start = {"w": jnp.array([0.0, -1.0, 5.0])}
    weights, losses = layerwise(
        KEY, _sum_of_squares, lambda s: optax.sgd(0.25 * s), start, jnp.ones(2), 2, 1, (), depths=(1, 3)
    )
    np.testing.assert_allclose(weights["w"], [0.5, 0.0, 3.0])
    assert losses.shape == (2, 1)


def test_each_phase_is_told_when_it_ends():
    told, start = [], {"w": jnp.array([0.0, -1.0])}
    tell = lambda depth, phase, loss: told.append((depth, phase, float(loss)))
    _, losses = layerwise(
        KEY, _sum_of_squares, lambda s: optax.sgd(0.25 * s), start, jnp.ones(2), 2, 1, (0.5,), tell=tell
    )
    assert told == [(stage + 1, phase, float(losses[stage, phase])) for stage in range(2) for phase in range(2)]


@pytest.mark.slow
@pytest.mark.optax
def test_alista_learns_its_numbers():
    params = sparse_coding.init(jax.random.key(1), 30, 50)
    value_key, support_key = jax.random.split(jax.random.key(2))
    shape = (512, 50)
    codes = jnp.where(jax.random.bernoulli(support_key, 0.06, shape), jax.random.normal(value_key, shape), 0.0)
    data = (codes @ params.dictionary.T, codes)
    analytic = analytic_weights(params)
    loss = energy_loss(inferred_codes.supervised(lambda weights, y: alista(params, analytic, weights, y).last))
    start = per_layer(Alista(jnp.array(0.8), jnp.array(0.5)), 4)
    weights, losses = layerwise(
        KEY,
        loss,
        lambda scale: optax.adam(3e-2 * scale),
        start,
        data,
        64,
        5,
        init_layer=from_layer_before,
        depths=(2, 4),
    )
    assert (np.diff(losses[:, -1]) < 0).all()  # every layer helps
    assert float(loss(weights, data)) < 0.3 * float(loss(start, data))


def test_bad_input_is_refused_by_name():
    call = lambda weights, **rest: layerwise(
        KEY, _sum_of_squares, lambda s: optax.sgd(s), weights, jnp.ones(2), 2, 1, **rest
    )
    for match, weights, rest in (
        ("weights: got", {"w": jnp.zeros(2), "v": jnp.zeros(3)}, {}),
        ("weights: got", {"w": jnp.zeros(())}, {}),
        ("depths: got", {"w": jnp.zeros(3)}, {"depths": (2, 2, 3)}),
        ("depths: got", {"w": jnp.zeros(3)}, {"depths": (1, 2)}),
    ):
        with pytest.raises(ValueError, match=match):
            call(weights, **rest)
