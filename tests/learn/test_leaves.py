"""Whatever is handed to a training: the numbers of float32, or refused by the path of the leaf."""

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.sparse
from flax import nnx
from jaxtyping import config

from ebmjax import gradient, train
from ebmjax.checks import ArgumentError
from ebmjax.energies import restricted_boltzmann
from ebmjax.learn.averaging import averaged
from ebmjax.learn.fingerprint import fingerprint, program_fingerprint
from ebmjax.learn.gradient import State, stochastic_gradient
from ebmjax.learn.layerwise import layerwise
from ebmjax.learn.leaves import as_data, as_params
from ebmjax.learn.train import advance, begin
from ebmjax.types import Learner

pytestmark = pytest.mark.optax

KEY = jax.random.key(0)
DATA = np.full(8, 3.0, np.float32)
mean_square = lambda w, y: jnp.mean((w - y) ** 2)
LEARNER = gradient(mean_square, optax.sgd(0.1))

SAME = {
    "numpy": DATA,
    "float64": DATA.astype(np.float64),
    "big_endian": DATA.astype(">f4"),
    "strided": np.tile(DATA, 2)[::2],
    "uint8": DATA.astype(np.uint8),
    "int64": DATA.astype(np.int64),
    "half": DATA.astype(np.float16),
    "bfloat16": np.asarray(jnp.asarray(DATA, jnp.bfloat16)),
    "list": DATA.tolist(),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SAME)
def test_all_kinds_of_numbers_train_as_float32_does(kind):
    expected = train(KEY, LEARNER, jnp.array(0.0), jnp.asarray(DATA), 4, 20)
    for run in (
        lambda: train(KEY, LEARNER, 0.0, SAME[kind], 4, 20),
        jax.jit(lambda: train(KEY, LEARNER, 0.0, SAME[kind], 4, 20)),
    ):
        trained = run()
        assert trained.params.dtype == jnp.float32
        np.testing.assert_allclose(trained.params, expected.params, rtol=1e-6)


REFUSED = {
    "sparse": (scipy.sparse.csr_matrix(np.eye(8)), "data: got a csr_matrix, wanted a JAX or NumPy array"),
    "in a pair": ((DATA, scipy.sparse.csr_matrix(np.eye(8))), r"data\[1\]: got a csr_matrix"),
    "strings": (np.array(list("abcdefgh")), "data: got an array of <U1, wanted numbers"),
    "objects": (np.array([None] * 8), "data: got an array of object, wanted numbers"),
    "masked": (np.ma.masked_array(DATA), "data: got a MaskedArray"),
    "large": (np.full(8, 2**40), "data: got integers from 1099511627776 .* wanted what int32 holds"),
    "none": (None, "data: got no array"),
    "scalar": (3.0, r"data: got arrays of shapes \(\), wanted a leading axis"),
    "empty": (DATA[:0], "data: got arrays of shapes .* wanted at least one sample"),
    "unequal": ((DATA, DATA[:4]), r"data: got arrays of shapes \(8,\) at \[0\] and \(4,\) at \[1\]"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_foreign_data_are_refused_by_name(kind):
    data, message = REFUSED[kind]
    with pytest.raises(ArgumentError, match=message):
        train(KEY, LEARNER, jnp.array(0.0), data, 4, 2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_loss_sees_half_precision_as_float32(dtype):
    seen = []

    def loss(w, y):
        seen.append(y.dtype)
        return jnp.mean((w - y) ** 2)

    data = jnp.full(8, 3.0, dtype)
    train(jax.random.key(0), gradient(loss, optax.sgd(0.1)), jnp.array(0.0), data, 4, 1)
    gradient(loss, optax.sgd(0.1)).update(
        jax.random.key(1), gradient(loss, optax.sgd(0.1)).init(jax.random.key(0), jnp.array(0.0)), data
    )
    assert set(seen) == {jnp.dtype("float32")}


def test_labels_stay_integers_masks_truth_values_and_bytes_do_not_wrap():
    seen = {}

    def loss(w, batch):
        seen.update({name: leaf.dtype for name, leaf in batch.items()})
        return jnp.mean((w - jnp.where(batch["mask"], -batch["bytes"], 0).astype(float)) ** 2) + 0.0 * w * jnp.mean(
            jax.nn.one_hot(batch["label"], 3)
        )

    data = {"label": np.arange(8, dtype=np.int64) % 3, "mask": np.ones(8, bool), "bytes": np.full(8, 200, np.uint8)}
    trained = train(KEY, gradient(loss, optax.sgd(0.5)), 0.0, data, 4, 3)
    assert seen == {"label": jnp.int32, "mask": jnp.bool_, "bytes": jnp.int32}
    assert float(trained.params) == -200.0
    assert as_data("data", DATA[None]).shape == (1, 8)


WRONG = {
    "loss and optimizer": (
        lambda: gradient(optax.sgd(0.1), mean_square),
        "loss: got a GradientTransformation.*, wanted a function",
    ),
    "no optimizer": (lambda: gradient(mean_square, mean_square), "optimizer: got a function, wanted an optimizer"),
    "learner for optimizer": (lambda: gradient(mean_square, LEARNER), "optimizer: got a Learner"),
    "loss first": (lambda: train(mean_square, KEY, 0.0, DATA, 4, 2), "key: got a function, wanted a typed key"),
    "learner first": (lambda: train(LEARNER, KEY, 0.0, DATA, 4, 2), "key: got a Learner, wanted a typed key"),
    "loss for learner": (lambda: train(KEY, mean_square, 0.0, DATA, 4, 2), "learner: got a function, wanted ebmjax"),
    "optimizer": (lambda: train(KEY, optax.sgd(0.1), 0.0, DATA, 4, 2), "learner: got a GradientTransformation"),
    "raw key": (lambda: train(jax.random.PRNGKey(0), LEARNER, 0.0, DATA, 4, 2), "key: got a uint32 array of shape"),
    "raw key of update": (lambda: LEARNER.update(jax.random.PRNGKey(0), LEARNER.init(KEY, 0.0), DATA), "key: got"),
    "many keys": (lambda: train(jax.random.split(KEY), LEARNER, 0.0, DATA, 4, 2), "key: got keys of shape"),
    "batch_size": (lambda: train(KEY, LEARNER, 0.0, DATA, 4.0, 2), "batch_size: got 4.0, wanted an integer"),
    "epochs": (lambda: train(KEY, LEARNER, 0.0, DATA, 4, 2.0), "epochs: got 2.0, wanted an integer"),
    "epochs of begin": (lambda: begin(KEY, LEARNER, 0.0, 2.0), "epochs: got 2.0, wanted an integer"),
    "keys of advance": (lambda: advance(KEY, LEARNER, begin(KEY, LEARNER, 0.0, 2)[0], DATA, 4), "keys: got"),
    "progress": (lambda: advance(jax.random.split(KEY), LEARNER, 0.0, DATA, 4), "progress: got a float"),
    "no scalar": (
        lambda: train(KEY, gradient(lambda w, y: w - y, optax.sgd(0.1)), 0.0, DATA, 4, 2),
        "loss: got a value of",
    ),
    "whole parameters": (lambda: train(KEY, LEARNER, np.arange(3), DATA, 4, 2), "params: got no floating array"),
    "object": (lambda: train(KEY, LEARNER, {"w": object()}, DATA, 4, 2), r"params\['w'\]: got an object"),
    "sparse": (lambda: train(KEY, LEARNER, {"w": scipy.sparse.eye(3)}, DATA, 4, 2), r"params\['w'\]: got a dia_matrix"),
    "averaged": (lambda: averaged(mean_square, 0.5), "learner: got a function"),
    "decay": (lambda: averaged(LEARNER, "a"), "decay: got a str"),
    "layerwise": (lambda: layerwise(KEY, optax.sgd, optax.sgd(0.1), DATA, DATA, 2, 1), "optimizer: got"),
    "tell": (lambda: layerwise(KEY, mean_square, optax.sgd, DATA, DATA, 2, 1, tell=3), "tell: got"),
    "depths": (lambda: layerwise(KEY, mean_square, optax.sgd, DATA, DATA, 2, 1, depths=(2.0, 8)), "depths: got 2.0"),
}


@pytest.fixture
def unchecked():
    """Without the type checks of the tests, which users do not have."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("what", WRONG)
def test_wrong_order_and_kind_name_the_argument(what, unchecked):
    call, message = WRONG[what]
    with pytest.raises(ArgumentError, match=message):
        call()


def test_a_state_of_another_form_names_its_leaf():
    init = lambda key, params: State(params, jnp.zeros(3))
    wider = Learner(init, lambda key, state, batch: (State(state.params, jnp.zeros(4)), None))
    with pytest.raises(
        ArgumentError, match=r"learner: got float32\[4\] for state.optimizer from an update, wanted float32\[3\]"
    ):
        train(KEY, wider, 0.0, DATA, 4, 2)


OPTIMIZERS = {
    "lbfgs": (optax.lbfgs(), 1e-4),
    "polyak_sgd": (optax.polyak_sgd(), 1e-3),
    "reduce_on_plateau": (optax.chain(optax.sgd(0.1), optax.contrib.reduce_on_plateau()), 1e-2),
    "backtracking": (optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(15)), 1e-3),
    "sam": (optax.contrib.sam(optax.sgd(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.01))), 0.1),
    "opaque sam": (
        optax.contrib.sam(optax.sgd(0.1), optax.chain(optax.contrib.normalize(), optax.sgd(0.01)), opaque_mode=True),
        0.1,
    ),
    "momo": (optax.contrib.momo(0.5), 0.2),
    "sophia": (optax.contrib.sophia(0.1), 1.0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_that_want_more_than_a_gradient(name):
    optimizer, tolerance = OPTIMIZERS[name]
    trained = train(KEY, gradient(mean_square, optimizer), 0.0, DATA, 4, 40)
    np.testing.assert_allclose(trained.params, 3.0, atol=tolerance)


def test_a_loss_that_is_not_a_number_stops_the_training():
    """Its gradient may be finite: d/dw (w + inf - inf) = 1."""
    loss = lambda w, y: w + jnp.where(jnp.mean(y) > 2, jnp.nan, 0.0)
    trained = train(KEY, gradient(loss, optax.sgd(0.1)), 1.0, DATA, 4, 2)
    assert not trained.metrics.finite.any()
    assert float(trained.params) == 1.0


class Net(nnx.Module):
    def __init__(self, extra):
        rngs = nnx.Rngs(0)
        self.a, self.extra, self.b = nnx.Linear(2, 8, rngs=rngs), extra, nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, y):
        return self.b(self.extra(jax.nn.silu(self.a(y))))[..., 0]


POINTS = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
whole_batch = lambda net, y: jnp.mean((net(y) - 1.0) ** 2)
one_by_one = lambda net, y: jnp.mean((jax.vmap(net)(y) - 1.0) ** 2)


@pytest.mark.slow
def test_batch_normalization_trains_and_keeps_its_running_statistics():
    net = Net(nnx.BatchNorm(8, rngs=nnx.Rngs(0)))
    trained = train(KEY, gradient(whole_batch, optax.adamw(1e-2, weight_decay=1.0)), net, POINTS, 8, 60)
    assert trained.metrics.finite.all()
    assert trained.metrics.learner.loss[-1, 0] < 0.5 * trained.metrics.learner.loss[0, 0]
    # the statistics move as Flax moves them, and no optimizer decays them
    by_hand, mean = Net(nnx.BatchNorm(8, rngs=nnx.Rngs(0))), jnp.zeros(8)
    one = train(KEY, gradient(whole_batch, optax.adamw(1e-2, weight_decay=1.0)), net, POINTS, 8, 1).params
    mean = 0.99 * mean + 0.01 * jax.nn.silu(by_hand.a(POINTS)).mean(axis=0)
    np.testing.assert_allclose(one.extra.mean[...], mean, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_dropout_trains_with_fresh_masks_and_its_counts_are_carried():
    net = Net(nnx.Dropout(0.5, rngs=nnx.Rngs(0)))
    trained = train(KEY, gradient(whole_batch, optax.sgd(0.0)), net, POINTS, 8, 5)
    assert int(trained.params.extra.rngs.count[...]) == 5
    assert len(np.unique(trained.metrics.learner.loss)) == 5
    assert int(net.extra.rngs.count[...]) == 0  # the network that was handed in stays as it is


@pytest.mark.parametrize("layer", [nnx.BatchNorm, nnx.Dropout])
def test_what_flax_cannot_change_under_vmap_is_said(layer):
    extra = layer(8, rngs=nnx.Rngs(0)) if layer is nnx.BatchNorm else layer(0.5, rngs=nnx.Rngs(0))
    with pytest.raises(ArgumentError, match=r"loss: got a network that changes its variables under jax.vmap"):
        train(KEY, gradient(one_by_one, optax.sgd(0.1)), Net(extra), POINTS, 4, 1)
    quiet = Net(extra)
    quiet.eval()
    assert train(KEY, gradient(one_by_one, optax.sgd(0.1)), quiet, POINTS, 4, 1).metrics.finite.all()


def test_shared_layers_are_refused():
    net = Net(nnx.Linear(8, 8, rngs=nnx.Rngs(0)))
    net.c = net.a
    with pytest.raises(ArgumentError, match=r"params: got one variable at params\.a\.bias and params\.c\.bias"):
        train(KEY, gradient(whole_batch, optax.sgd(0.1)), net, POINTS, 4, 1)


@jax.tree_util.register_pytree_node_class
class LikeEquinox:
    """A module whose activation and counter are leaves, as Equinox has them."""

    def __init__(self, weight, activation, count):
        self.weight, self.activation, self.count = weight, activation, count

    def tree_flatten(self):
        return (self.weight, self.activation, self.count), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        return cls(*leaves)


def test_functions_and_integers_among_the_parameters_are_carried():
    loss = lambda net, y: jnp.mean((net.activation(y * net.weight) - 0.5) ** 2)
    learner = averaged(gradient(loss, optax.adam(0.1)), 0.9)
    trained = train(KEY, learner, LikeEquinox(np.float32(0.0), jnp.tanh, 7), POINTS[:, 0], 4, 10)
    assert trained.params.activation is jnp.tanh
    assert int(trained.params.count) == 7
    assert float(trained.params.weight) != 0.0
    assert 0 < abs(float(trained.state.mean.weight)) < abs(float(trained.params.weight)) * 2


def test_whole_numbers_in_a_record_of_parameters_are_learned():
    params = as_params(restricted_boltzmann.Params(np.zeros((2, 3)), 0, [1, 2, 3]))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(jnp.float32)}
    assert as_params({"steps": 3})["steps"].dtype == jnp.int32


@pytest.fixture
def compilations():
    """How many programs were compiled so far."""
    count = [0]
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration, **_: count.__setitem__(0, count[0] + ("backend_compile" in event))
    )
    return lambda: count[0]


@pytest.mark.slow
def test_a_plain_loop_over_trainings_compiles_once(compilations):
    def call(seed):
        key, start = jax.random.key(seed), jnp.float32(seed)
        learner = gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.adam(0.1))
        trained = train(key, averaged(learner, 0.9 + 0.01 * seed), start, DATA + seed, 4, 3)
        noisy = stochastic_gradient(lambda key, w, y: jnp.mean((w + jax.random.normal(key) - y) ** 2), optax.sgd(0.1))
        train(key, noisy, start, DATA, 4, 3)
        averaged(learner, 0.9).update(key, averaged(learner, 0.9).init(key, start), DATA)
        return layerwise(
            key, lambda w, y: jnp.mean((w.sum() - y) ** 2), lambda s: optax.sgd(s), DATA, DATA, 4, 1, depths=(4, 8)
        ), trained

    call(0), call(1)
    before = compilations()
    jax.block_until_ready(call(2)[0])
    assert compilations() == before


def test_fingerprints_tell_learners_apart():
    def of(rate, power, data):
        learner = gradient(lambda w, y: jnp.mean((w - y) ** power * data), optax.sgd(rate))
        return program_fingerprint(learner.update, KEY, learner.init(KEY, jnp.array(0.0)), DATA).tobytes()

    data = np.ones(len(DATA), np.float32)
    assert of(0.1, 2, data) == of(0.1, 2, data.copy())
    assert len({of(0.1, 2, data), of(0.2, 2, data), of(0.1, 3, data), of(0.1, 2, 2 * data)}) == 4


def test_fingerprints_tell_arrays_apart():
    array = np.arange(3, dtype=np.float32)
    others = [array, array[::-1], array.astype(np.int32), array[None], {"a": array}, KEY, jax.random.key(1)]
    assert len({fingerprint(other).tobytes() for other in others}) == len(others)
    assert (fingerprint(jnp.asarray(array)) == fingerprint(array)).all()
