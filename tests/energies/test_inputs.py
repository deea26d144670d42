"""Whatever is handed to an energy, a field or a law: it is computed in float32, or refused by name."""

import inspect
import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebmjax.energies import (
    boltzmann,
    deep_boltzmann,
    ellipse,
    generalized_horn,
    hopfield,
    horn,
    ising,
    modern_hopfield,
    neural,
    placed_ellipse,
    regularizers,
    sparse_coding,
)
from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies import restricted_boltzmann_gaussian as gaussian_rbm
from ebmjax.energies import restricted_boltzmann_labels as labels_rbm
from ebmjax.energies import variational_autoencoder as vae
from ebmjax.energies.clamp import clamp

KEY = jax.random.key(0)
BITS, SPINS = np.array([1, 0, 1]), np.array([1, -1, 1])
RBM = rbm.init(KEY, np.array([0.9, 0.2, 0.6]), 2, scale=1.0)
LABELS = rbm.init(KEY, np.full(5, 0.5), 2, scale=1.0)
GAUSSIAN = gaussian_rbm.init(KEY, np.zeros(3), np.ones(3), 2, scale=1.0)
DEEP = deep_boltzmann.init(KEY, np.full(3, 0.5), (3,), scale=1.0)
SPIN_GLASS = boltzmann.init(KEY, 3)
NETWORK = neural.init(KEY, (3, 4))
AUTOENCODER = vae.init(KEY, 3, (4,), 3)
DICTIONARY = sparse_coding.init(KEY, 3, 3)
KERNELS = coding.init(KEY, 2, (1, 2))
PLACED = placed_ellipse.Params(jnp.ones(2), jnp.ones(2), jnp.array(0.3))
PAIR = np.array([1, 0])
FIRST = np.array([True, False, False])

# a function of parameters and one array, the parameters, and the array
TAKES_ONE = {
    "rbm energy": (lambda p, v: rbm.energy(p, v, PAIR), RBM, BITS),
    "rbm free energy": (lambda p, v: rbm.free_energy(p, v, 0.7), RBM, BITS),
    "rbm summed": (lambda p, v: rbm.summed_free_energy(p, v, 0.7), RBM, BITS),
    "rbm hidden field": (rbm.hidden_field, RBM, BITS),
    "rbm visible field": (rbm.visible_field, RBM, PAIR),
    "rbm means": (lambda p, v: rbm.with_hidden_means(p, v, 0.7), RBM, BITS),
    "gaussian energy": (lambda p, v: gaussian_rbm.energy(p, v, PAIR), GAUSSIAN, BITS),
    "gaussian free energy": (lambda p, v: gaussian_rbm.free_energy(p, v, 0.7), GAUSSIAN, BITS),
    "gaussian summed": (lambda p, v: gaussian_rbm.summed_free_energy(p, v, 0.7), GAUSSIAN, BITS),
    "gaussian law": (lambda p, h: gaussian_rbm.visible_law(p, h, 0.7), GAUSSIAN, PAIR),
    "labels": (lambda p, v: labels_rbm.label_free_energies(p, v, 0.7, 2), LABELS, BITS),
    "label law": (lambda p, v: labels_rbm.label_law(p, v, 0.7, 2), LABELS, BITS),
    "label energies": (lambda p, h: labels_rbm.label_energies(p, h, 2), LABELS, PAIR),
    "deep": (lambda p, v: deep_boltzmann.energy(p, (v, v)), DEEP, BITS),
    "deep fields": (lambda p, v: deep_boltzmann.fields(p, (v, v)), DEEP, BITS),
    "hopfield": (hopfield.energy, SPIN_GLASS, SPINS),
    "hopfield field": (hopfield.field, SPIN_GLASS, SPINS),
    "boltzmann": (boltzmann.energy, SPIN_GLASS, SPINS),
    "modern": (lambda p, s: modern_hopfield.free_energy(p, s, 0.7), jnp.ones((2, 3)), SPINS),
    "modern, retrieved": (lambda p, s: modern_hopfield.retrieve(p, s, 0.7), jnp.ones((2, 3)), SPINS),
    "ellipse": (lambda p, y: ellipse.energy(p, y, 1), ellipse.init(KEY), PAIR),
    "placed ellipse": (lambda p, y: placed_ellipse.energy(p, y, 1), PLACED, PAIR),
    "horn": (lambda p, y: horn.energy(p, 1, y, 1), horn.init(KEY), PAIR),
    "generalized horn": (lambda p, y: generalized_horn.energy(p, 1, y, 1), generalized_horn.init(KEY), PAIR),
    "network": (neural.energy, NETWORK, BITS),
    "encoder": (lambda p, y: vae.encode(p, y).mean, AUTOENCODER, BITS),
    "decoder": (vae.decode, AUTOENCODER, BITS),
    "autoencoder": (lambda p, y: vae.energy(p, vae.bernoulli(), y, np.zeros(3)), AUTOENCODER, BITS),
    "dictionary": (sparse_coding.reconstruction, DICTIONARY, BITS),
    "code": (lambda p, y: sparse_coding.energy(p, regularizers.l1(1), y, BITS), DICTIONARY, BITS),
    "kernels": (coding.analysis, KERNELS, np.array([[1, 0, 1], [0, 0, 1]])),
    "clamped": (
        lambda p, s: clamp(partial(hopfield.energy, p), np.array([True, False, False]), SPINS)(s),
        SPIN_GLASS,
        PAIR,
    ),
}


def plain(name):
    """The function without the type checks of the tests, as a user has it."""
    function, params, array = TAKES_ONE[name]
    return inspect.unwrap(function), params, array


@pytest.mark.slow
@pytest.mark.parametrize("name", TAKES_ONE)
def test_numbers_of_every_dtype_are_those_of_float32(name):
    function, params, array = TAKES_ONE[name]
    wanted = function(params, jnp.asarray(array, jnp.float32))
    dtypes = [np.int8, np.int64, np.float16, np.float64, ">f4"]
    if (array >= 0).all():
        dtypes += [np.uint8, bool]
    for dtype in dtypes:
        jax.tree.map(np.testing.assert_array_equal, function(params, array.astype(dtype)), wanted)
        traced = jax.jit(function)(params, jnp.asarray(array.astype(np.dtype(dtype).newbyteorder("="))))
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), traced, wanted)
    jax.tree.map(np.testing.assert_array_equal, function(params, array.tolist()), wanted)


DTYPES = ["?", "i1", "i2", "<i4", ">i4", "<i8", "u1", "u2", "e", "<f4", ">f4", "<f8", ">f8"]
LAYOUTS = {
    "plain": lambda array: array,
    "reversed": lambda array: array[..., ::-1].copy()[..., ::-1],
    "every second": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "columns first": np.asfortranarray,
    "read only": lambda array: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TAKES_ONE)
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_any_numbers_in_any_layout(name, data):
    """Whole numbers that every dtype holds, in an array of any layout, give what they give in float32."""
    function, params, example = plain(name)
    dtype = data.draw(st.sampled_from(DTYPES))
    kind = "?" if name == "autoencoder" else dtype.lstrip("<>")[0]  # its pictures are in [0, 1]
    least, most = {"?": (0, 1), "u": (0, 3)}.get(kind, (-3, 3))
    numbers = st.lists(st.integers(least, most), min_size=example.size, max_size=example.size)
    array = np.array(data.draw(numbers), np.float32).reshape(example.shape)
    wanted = function(params, jnp.asarray(array))
    given_array = LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))](array.astype(dtype))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6), function(params, given_array), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", TAKES_ONE)
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(shape=st.lists(st.integers(0, 4), max_size=3).map(tuple))
def test_another_shape_is_refused_by_name(name, shape):
    function, params, example = plain(name)
    if name != "kernels" and shape != example.shape:  # pictures have many sizes
        with pytest.raises(ValueError, match=r"^[\w\[\]]+: got "):
            function(params, np.ones(shape, np.float32))


@pytest.mark.parametrize("name", TAKES_ONE)
def test_a_batch_is_refused_by_shape(name):
    function, params, array = plain(name)
    for batch in (np.stack([array] * 5), np.stack([array] * len(array))):
        with pytest.raises(ValueError, match=r"got (shape|a lattice|an? )"):
            function(params, batch)
    with pytest.raises(ValueError, match="got a str"):
        function(params, "pictures")


def test_the_couplings_of_an_ising_model_may_be_integers():
    lattice = np.ones((4, 4), np.int8)
    assert float(ising.energy(ising.Params(1.0, 0), lattice)) == -32
    assert ising.local_field(ising.Params(1, np.int8(1)), lattice)[0, 0] == 5


def test_storage_rules_take_integers():
    patterns = np.ones((200, 4), np.int8)  # whose products overflow
    assert hopfield.hebbian(patterns).weights[0, 1] == 50
    for rule in (hopfield.hebbian, hopfield.storkey, hopfield.pseudo_inverse):
        few = np.array([[1, 1, -1], [1, -1, 1]])
        np.testing.assert_allclose(rule(few).weights, rule(few.astype(np.float32)).weights)


def test_clamped_values_may_be_integers():
    energy = lambda s: s[0] + 10 * s[1] + 100 * s[2]
    assert float(clamp(energy, np.array([True, False, True]), np.array([1, 0, 3]))(jnp.array([2.7]))) == 328
    assert float(clamp(jnp.sum, np.array([True, False]), np.array([7, 0], np.uint8))(jnp.array([-1.5]))) == 5.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "thing",
    [
        NETWORK,
        AUTOENCODER,
        neural.init_convolutional(KEY, (8, 8), (4,)),
        vae.init_convolutional(KEY, (8, 8), 2),
        horn.init(KEY),
        vae.bernoulli(),
        vae.gaussian(0.5),
    ],
)
def test_models_can_be_pickled(thing):
    copy = pickle.loads(pickle.dumps(thing))
    assert jax.tree.structure(copy) == jax.tree.structure(thing) or callable(jax.tree.leaves(thing)[0])
    for new, old in zip(jax.tree.leaves(copy), jax.tree.leaves(thing), strict=True):
        assert new is old or bool((new == old).all())


@pytest.mark.slow
@pytest.mark.parametrize("unit", [1e-13, 1e-21, 1e9])
def test_regularizers_and_bounds_in_other_units(unit):
    slope = jnp.array([0.5, -0.9])
    for make in (regularizers.l1, partial(regularizers.group, size=2), lambda w: regularizers.elastic_net(w, w)):
        scaled, plain = make(0.3 * unit), make(0.3)
        np.testing.assert_allclose(
            scaled.conjugate(slope * unit, 2 * unit) / unit, plain.conjugate(slope, 2.0), rtol=1e-5
        )
    code = jnp.array([3.0, 4.0])
    np.testing.assert_allclose(regularizers.group(1.0, 2).value(code * unit), 5 * unit, rtol=1e-6)
    np.testing.assert_allclose(sparse_coding.normalized(sparse_coding.Params(jnp.eye(2) * unit)).dictionary, jnp.eye(2))
    root = np.float32(unit**0.5)
    np.testing.assert_allclose(sparse_coding.lipschitz(sparse_coding.Params(jnp.eye(2) * root)), unit, rtol=2e-3)
