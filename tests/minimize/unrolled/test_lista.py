"""LISTA: equal to ISTA before training, better after it, and with the gradients of a Python loop over layers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import gradient, train
from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import l1, shrink
from ebmjax.losses import inferred_codes
from ebmjax.losses.energy import energy_loss
from ebmjax.minimize.codes import proximal
from ebmjax.minimize.unrolled import lista
from ebmjax.minimize.unrolled.support import growing_support, nth_largest, shrink_but_largest
from ebmjax.minimize.unrolled.unroll import Codes, per_layer, unroll

PARAMS = sparse_coding.init(jax.random.key(0), 10, 20)
Y = jax.random.normal(jax.random.key(1), (10,))
LAYERS, WEIGHT = 6, 0.2


def _lista(weights, y, layers=None):
    return lista.lista(weights, y, layers)


def _coupled(weights, y, layers=None):
    return lista.coupled(PARAMS, weights, y, layers)


NETWORKS = [
    pytest.param(lista.init_lista, _lista, id="lista"),
    pytest.param(lista.init_coupled, _coupled, id="coupled"),
]


def _double():
    """The dictionary and an observation in double precision."""
    dictionary = np.random.default_rng(0).normal(size=(10, 20))
    params = sparse_coding.Params(jnp.asarray(dictionary / np.linalg.norm(dictionary, axis=0)))
    return params, jnp.asarray(np.random.default_rng(1).normal(size=10))


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True])
def test_initial_weights_are_ista_step_for_step(x64, own):
    params, y = _double()
    bound = float(np.linalg.norm(params.dictionary, 2) ** 2)
    smooth = partial(sparse_coding.misfit, params, y)
    wanted = [
        proximal.ista(smooth, l1(WEIGHT), jnp.zeros(20), bound, max_steps=steps, tolerance=0.0).value
        for steps in range(1, LAYERS + 1)
    ]
    set_out = lambda weights: per_layer(weights, LAYERS) if own else weights
    found = lista.lista(set_out(lista.init_lista(params, WEIGHT, bound)), y, LAYERS)
    np.testing.assert_allclose(found.every, wanted, atol=1e-12)
    np.testing.assert_array_equal(found.last, found.every[-1])
    found = lista.coupled(params, set_out(lista.init_coupled(params, WEIGHT, bound)), y, LAYERS)
    np.testing.assert_allclose(found.every, wanted, atol=1e-12)
    assert np.count_nonzero(found.last) < 20


@pytest.mark.slow
def test_the_bound_defaults_to_the_dictionarys_own():
    bound = sparse_coding.lipschitz(PARAMS)
    for init in (lista.init_lista, lista.init_coupled):
        for default, given in zip(init(PARAMS, WEIGHT), init(PARAMS, WEIGHT, bound), strict=True):
            np.testing.assert_array_equal(default, given)


@pytest.mark.slow
@pytest.mark.parametrize(("init", "infer"), NETWORKS)
@pytest.mark.parametrize("own", [False, True])
def test_gradients_through_the_scan_are_those_of_a_python_loop(x64, init, infer, own):
    y = jnp.asarray(Y, jnp.float64)
    noise = np.random.default_rng(2)
    weights = init(sparse_coding.Params(jnp.asarray(PARAMS.dictionary, jnp.float64)), WEIGHT)
    weights = per_layer(weights, LAYERS) if own else weights
    weights = jax.tree.map(lambda leaf: leaf + 0.02 * noise.random(leaf.shape), weights)
    target = jnp.asarray(noise.normal(size=20))

    def unrolled(weights):
        z = jnp.zeros(20)
        for k in range(LAYERS):
            layer = jax.tree.map(lambda leaf: leaf[k], weights) if own else weights
            if isinstance(layer, lista.Lista):
                z = shrink(layer.encoder @ y + layer.lateral @ z, layer.threshold)
            else:
                z = shrink(z + layer.encoder.T @ (y - PARAMS.dictionary.astype(y.dtype) @ z), layer.threshold)
        return z

    def scanned(weights):
        double = sparse_coding.Params(PARAMS.dictionary.astype(y.dtype))
        if isinstance(weights, lista.Lista):
            return lista.lista(weights, y, LAYERS).last
        return lista.coupled(double, weights, y, LAYERS).last

    sum_of = lambda network: lambda weights: jnp.sum(network(weights) * target)
    for found, wanted in zip(jax.grad(sum_of(scanned))(weights), jax.grad(sum_of(unrolled))(weights), strict=True):
        assert np.abs(wanted).max() > 0
        np.testing.assert_allclose(found, wanted, atol=1e-10)


@pytest.mark.slow
def test_some_weights_may_be_shared_and_others_not():
    weights = lista.init_lista(PARAMS, WEIGHT)
    mixed = weights._replace(threshold=jnp.linspace(0.5, 2.0, LAYERS)[:, None] * weights.threshold[None])
    all_own = per_layer(weights, LAYERS)._replace(threshold=mixed.threshold)
    np.testing.assert_allclose(lista.lista(mixed, Y).every, lista.lista(all_own, Y).every, atol=1e-6)
    assert not np.allclose(lista.lista(mixed, Y).last, lista.lista(weights, Y, LAYERS).last, atol=1e-3)


def _data(samples):
    codes_key, support_key = jax.random.split(jax.random.key(3))
    shape = (samples, 20)
    codes = jnp.where(jax.random.bernoulli(support_key, 0.1, shape), jax.random.normal(codes_key, shape), 0.0)
    return codes @ PARAMS.dictionary.T, codes


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize(("init", "infer"), NETWORKS)
@pytest.mark.parametrize("own", [False, True])
def test_training_on_codes_halves_the_error_of_ista(init, infer, own):
    y, codes = _data(512)
    weights = init(PARAMS, 0.1)
    weights = per_layer(weights, LAYERS) if own else weights
    loss = energy_loss(inferred_codes.supervised(lambda weights, y: infer(weights, y, LAYERS).last))
    run = jax.jit(lambda key: train(key, gradient(loss, optax.adam(3e-3)), weights, (y, codes), 64, 20))
    trained = run(jax.random.key(4))
    assert trained.metrics.finite.all()
    assert float(loss(trained.params, (y, codes))) < 0.5 * float(loss(weights, (y, codes)))


@pytest.mark.slow
@pytest.mark.optax
def test_training_on_the_energy_comes_nearer_to_the_least():
    y, _ = _data(512)
    energy = partial(sparse_coding.energy, PARAMS, l1(0.1))
    weights = lista.init_lista(PARAMS, 0.1)
    loss = energy_loss(inferred_codes.unsupervised(lambda weights, y: lista.lista(weights, y, 3).last, energy))
    trained = jax.jit(lambda key: train(key, gradient(loss, optax.adam(1e-3)), weights, y, 64, 30))(jax.random.key(5))
    exact = lambda y: proximal.fista_restarted(
        partial(sparse_coding.misfit, PARAMS, y), l1(0.1), jnp.zeros(20), sparse_coding.lipschitz(PARAMS)
    )
    least = float(jax.vmap(exact)(y).energy.mean())
    before, after = (float(loss(params, y)) - least for params in (weights, trained.params))
    assert 0 < after < before / 2


@pytest.mark.slow
def test_the_nth_largest_is_that_of_a_sort(x64):
    random = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        values = np.abs(random.normal(size=50) * 10.0 ** random.integers(-30, 30, 50)).astype(dtype)
        values[:5] = values[7]
        found = jax.vmap(lambda count: nth_largest(jnp.asarray(values), count))(jnp.arange(1, 51))
        np.testing.assert_array_equal(found, np.sort(values)[::-1])
        assert nth_largest(jnp.asarray(values), 0) == jnp.inf
        assert nth_largest(jnp.asarray(values), 51) == 0


def test_the_selected_entries_pass_whole_and_the_others_do_not():
    z = jax.random.normal(jax.random.key(6), (40,))
    order = np.argsort(-np.abs(z))
    for count in (0, 3, 40):
        found = shrink_but_largest(z, 0.7, count)
        wanted = np.asarray(shrink(z, 0.7)).copy()
        chosen = [i for i in order[:count] if abs(float(z[i])) > 0.7]
        wanted[chosen] = np.asarray(z)[chosen]
        np.testing.assert_array_equal(found, wanted)
    assert growing_support(500, 16, 0.012, 0.13).tolist() == [min(6 * k, 65) for k in range(1, 17)]


def test_selection_lets_the_gradient_through():
    """An unshrunk entry has derivative one in z and zero in the threshold; a shrunk one has both; a zero neither."""
    z = jnp.array([3.0, -2.0, 0.5])
    slope, of_threshold = jax.jacobian(lambda z, threshold: shrink_but_largest(z, threshold, 1), (0, 1))(
        z, jnp.array(1.0)
    )
    np.testing.assert_array_equal(slope, np.diag([1.0, 1.0, 0.0]))
    np.testing.assert_array_equal(of_threshold, [0.0, 1.0, 0.0])


def test_support_is_used_layer_by_layer():
    weights = per_layer(lista.init_coupled(PARAMS, WEIGHT), 3)
    found = lista.coupled(PARAMS, weights, Y, support=jnp.array([0, 2, 4]))
    z = jnp.zeros(20)
    for k, count in enumerate((0, 2, 4)):
        moved = z + weights.encoder[k].T @ (Y - PARAMS.dictionary @ z)
        z = shrink_but_largest(moved, weights.threshold[k], count)
        np.testing.assert_allclose(found.every[k], z, atol=1e-6)


def test_one_compilation_serves_all_weights():
    traced = []

    @jax.jit
    def run(weights):
        traced.append(None)
        return lista.lista(weights, Y, LAYERS)

    for weight in (0.1, 0.2):
        assert isinstance(run(lista.init_lista(PARAMS, weight)), Codes)
    assert len(traced) == 1


def test_bad_input_is_refused_by_name():
    shared, own = lista.init_lista(PARAMS, WEIGHT), per_layer(lista.init_lista(PARAMS, WEIGHT), 4)
    coupled = lista.init_coupled(PARAMS, WEIGHT)
    for match, call in (
        ("y: got shape", lambda: lista.lista(shared, jnp.zeros(9), 3)),
        ("y: got shape", lambda: lista.coupled(PARAMS, coupled, jnp.zeros(9), 3)),
        ("layers: got None", lambda: lista.lista(shared, Y)),
        ("layers: got 0", lambda: lista.lista(shared, Y, 0)),
        ("drive: got 4 layers, wanted 5", lambda: lista.lista(own, Y, 5)),
        ("threshold: got 3 layers, wanted 4", lambda: lista.lista(own._replace(threshold=jnp.zeros((3, 20))), Y)),
        ("support: got shape", lambda: lista.coupled(PARAMS, coupled, Y, 3, jnp.array([1, 2]))),
        ("weight: got -1", lambda: lista.init_lista(PARAMS, -1.0)),
        ("lipschitz: got 0", lambda: lista.init_coupled(PARAMS, 1.0, 0.0)),
        ("layers: got 0", lambda: per_layer(shared, 0)),
        ("rate: got 2", lambda: growing_support(5, 3, 2.0, 0.1)),
        ("limit: got -1", lambda: growing_support(5, 3, 0.1, -1.0)),
        ("atoms: got 0", lambda: growing_support(0, 3, 0.1, 0.1)),
        ("threshold: got 3 axes", lambda: _odd_rank(shared)),
    ):
        with pytest.raises(ValueError, match=match):
            call()


def _odd_rank(weights):
    layer = lambda own, index, z: (z, z)
    return unroll(layer, weights._replace(threshold=jnp.zeros((2, 2, 2))), (2, 2, 1), Y, 3)
