"""One scan: the same numbers as a Python loop, every sample once an epoch, and members that blow up alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import gradient, train
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.learn.train import _shuffled
from ebmjax.types import Learner

mean_square = lambda w, y: jnp.mean((w - y) ** 2)


@pytest.mark.slow
def test_the_scan_is_the_python_loop():
    key, data = jax.random.key(1), jnp.arange(7.0)
    learner = gradient(mean_square, optax.sgd(0.1, momentum=0.5))
    trained = jax.jit(lambda key: train(key, learner, jnp.array(0.0), data, batch_size=3, epochs=4))(key)

    init_key, epochs_key = jax.random.split(key)
    state, losses = learner.init(init_key, jnp.array(0.0)), []
    for epoch_key in jax.random.split(epochs_key, 4):
        order_key, updates_key = jax.random.split(epoch_key)
        order = _shuffled(order_key, 7)
        for number, update_key in enumerate(jax.random.split(updates_key, 2)):
            state, metrics = learner.update(update_key, state, data[order[3 * number : 3 * number + 3]])
            losses.append(metrics.loss)
    np.testing.assert_allclose(trained.params, state.params, rtol=1e-5)
    np.testing.assert_allclose(trained.metrics.learner.loss.ravel(), jnp.stack(losses), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 2, 3, 400, 4096, 5000])
def test_shuffles_are_permutations(samples):
    orders = np.asarray(jax.vmap(lambda key: _shuffled(key, samples))(jax.random.split(jax.random.key(0), 3)))
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(samples), (3, 1)))


def test_shuffles_are_uniform():
    """All 24 orders of 4 samples in 24,000 draws: chi-squared with 23 degrees of freedom exceeds 64 once in 10^5."""
    keys = jax.random.split(jax.random.key(1), 24_000)
    orders = np.asarray(jax.jit(jax.vmap(lambda key: _shuffled(key, 4)))(keys))
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 1000) ** 2 / 1000).sum() < 64


def test_every_sample_is_seen_once_an_epoch():
    """A learner that counts what it is given: the protocol needs no gradient, and data may be any pytree."""

    def update(key, state, batch):
        seen = state.at[batch["row"]].add(batch["weight"])
        return Counter(seen, seen), seen.sum()

    learner = Learner(
        lambda key, params: Counter(params, params), lambda key, state, batch: update(key, state.params, batch)
    )
    data = {"row": jnp.arange(12), "weight": jnp.ones(12)}
    trained = train(jax.random.key(0), learner, jnp.zeros(12), data, batch_size=4, epochs=5)
    np.testing.assert_array_equal(trained.params, 5)
    assert trained.metrics.learner.shape == (5, 3)


class Counter(tuple):
    """A learner's state: `params` and a copy."""

    __slots__ = ()

    def __new__(cls, params, copy):
        return super().__new__(cls, (params, copy))

    @property
    def params(self):
        return self[0]


jax.tree_util.register_pytree_node(Counter, lambda c: (tuple(c), None), lambda _, leaves: Counter(*leaves))


@pytest.mark.slow
def test_a_member_that_blows_up_stops_alone_and_says_so():
    data = jnp.full(8, 2.0)
    run = lambda rate: train(
        jax.random.key(0), gradient(lambda w, y: jnp.mean((w - y) ** 4), optax.sgd(rate)), jnp.array(0.0), data, 4, 40
    )
    trained = jax.jit(jax.vmap(run))(jnp.array([1e-2, 10.0, 2e-2]))
    assert jnp.isfinite(trained.params).all()
    assert trained.metrics.finite[0].all()
    assert trained.metrics.finite[2].all()
    stopped = np.asarray(trained.metrics.finite[1]).ravel()
    assert not stopped[-1]
    assert (np.diff(stopped.astype(int)) <= 0).all()  # once stopped, stopped
    alone = run(1e-2)
    np.testing.assert_allclose(trained.params[0], alone.params, rtol=1e-5)


def test_parameters_that_start_non_finite_are_reported():
    trained = train(jax.random.key(0), gradient(mean_square, optax.sgd(0.1)), jnp.array(jnp.nan), jnp.ones(4), 2, 2)
    assert not trained.metrics.finite.any()


def test_stochastic_losses_get_a_fresh_key_each_update():
    draws = stochastic_gradient(lambda key, w, y: 0 * w * y.sum() + jax.random.normal(key), optax.sgd(0.1))
    trained = train(jax.random.key(0), draws, jnp.array(0.0), jnp.ones(6), 2, 5)
    assert len(np.unique(trained.metrics.learner.loss)) == 15


@pytest.mark.parametrize(
    ("data", "batch_size", "epochs", "message"),
    [
        (jnp.ones(4), 5, 1, "batch_size: got 5, wanted 1 to 4"),
        (jnp.ones(4), 0, 1, "batch_size: got 0"),
        (jnp.ones(4), 2, 0, "epochs: got 0"),
        ((jnp.ones(4), jnp.ones(3)), 2, 1, "data: got arrays of shapes"),
        (jnp.ones((0, 2)), 1, 1, "data: got arrays of shapes"),
        (jnp.array(1.0), 1, 1, "data: got arrays of shapes"),
    ],
)
def test_bad_arguments_are_named(data, batch_size, epochs, message):
    with pytest.raises(ValueError, match=message):
        train(jax.random.key(0), gradient(mean_square, optax.sgd(0.1)), jnp.array(0.0), data, batch_size, epochs)
