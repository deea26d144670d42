"""Networks of other libraries are parameters like any others: Linen, Equinox, plain dicts."""

import equinox
import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import gradient, train
from ebmjax.learn.checkpoint import train_resumable

X = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
DATA = (X, np.sin(3 * X))
LINEN = flax.linen.Sequential([flax.linen.Dense(16), flax.linen.tanh, flax.linen.Dense(1)])


def linen_loss(params, batch):
    x, y = batch
    return jnp.mean((LINEN.apply(params, x) - y) ** 2)


def equinox_loss(network, batch):
    x, y = batch
    return jnp.mean((jax.vmap(network)(x) - y) ** 2)


def dict_loss(params, batch):
    x, y = batch
    return jnp.mean((jnp.tanh(x @ params["in"] + params["bias"][None]) @ params["out"] - y) ** 2)


def dictionary():
    keys = jax.random.split(jax.random.key(2), 2)
    return {
        "in": jax.random.normal(keys[0], (1, 16)),
        "bias": jnp.zeros(16),
        "out": 0.3 * jax.random.normal(keys[1], (16, 1)),
    }


NETWORKS = {
    "Linen": (linen_loss, lambda: LINEN.init(jax.random.key(0), X[:1])),
    "Equinox": (equinox_loss, lambda: equinox.nn.MLP(1, 1, 16, 1, jnp.tanh, key=jax.random.key(1))),
    "dict": (dict_loss, dictionary),
}


@pytest.fixture(autouse=True)
def usual_promotion():
    """The rules of promotion under which these libraries are written."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_another_library_learns(name):
    loss, start = NETWORKS[name]
    before = start()
    trained = train(jax.random.key(3), gradient(loss, optax.adam(1e-2)), before, DATA, 16, 200)
    assert loss(trained.params, DATA) < 0.05 * loss(before, DATA)
    assert jax.tree.structure(trained.params) == jax.tree.structure(before)


def test_a_function_in_an_equinox_network_is_carried():
    loss, start = NETWORKS["Equinox"]
    trained = train(jax.random.key(3), gradient(loss, optax.sgd(0.1)), start(), DATA, 16, 1)
    assert callable(trained.params.activation)
    assert trained.params(jnp.ones(1)).shape == (1,)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_its_training_resumes(name, tmp_path):
    loss, start = NETWORKS[name]
    run = (jax.random.key(3), gradient(loss, optax.adam(1e-2)), start(), DATA, 16)
    train_resumable(*run, 2, tmp_path / "parts", 2)
    parts = train_resumable(*run, 4, tmp_path / "parts", 2)
    whole = train_resumable(*run, 4, tmp_path / "whole", 2)
    arrays = lambda tree: [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array)]
    for one, other in zip(arrays(parts.trained.params), arrays(whole.trained.params), strict=True):
        np.testing.assert_array_equal(one, other)
