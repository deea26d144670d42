"""The layered energy against double sums, its fields against differences, and the shapes that it refuses."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import deep_boltzmann, restricted_boltzmann
from ebmjax.energies.deep_boltzmann import Params, check_params, energy, fields, init, odd_even, odd_even_hidden

SIZES = (3, 4, 2, 3)


def random_params(seed, sizes=SIZES, scale=1.0):
    random = np.random.default_rng(seed)
    weights = [scale * random.normal(size=shape) for shape in zip(sizes, sizes[1:], strict=False)]
    return Params(
        tuple(jnp.asarray(w) for w in weights), tuple(jnp.asarray(scale * random.normal(size=n)) for n in sizes)
    )


def random_units(seed, sizes=SIZES):
    random = np.random.default_rng(seed)
    return tuple(jnp.asarray(random.integers(0, 2, n), jnp.result_type(float)) for n in sizes)


def test_energy_is_the_double_sum(x64):
    params = random_params(0)
    check_params(params)
    for seed in range(10):
        layers = random_units(seed)
        expected = -sum(b[i] * s[i] for b, s in zip(params.biases, layers, strict=True) for i in range(len(s)))
        for w, below, above in zip(params.weights, layers, layers[1:], strict=False):
            expected -= sum(below[i] * w[i, j] * above[j] for i in range(len(below)) for j in range(len(above)))
        np.testing.assert_allclose(energy(params, layers), expected, atol=1e-12)


def test_fields_are_what_a_unit_gives_back_by_being_on(x64):
    params, layers = random_params(1), random_units(2)
    of = fields(params, layers)
    for level, layer in enumerate(layers):
        for unit in range(len(layer)):
            low, high = ((*layers[:level], layer.at[unit].set(value), *layers[level + 1 :]) for value in (0.0, 1.0))
            np.testing.assert_allclose(of[level][unit], energy(params, low) - energy(params, high), atol=1e-12)


def test_two_layers_are_the_restricted_machine(x64):
    params, (visible, hidden) = random_params(3, (5, 4)), random_units(4, (5, 4))
    restricted = restricted_boltzmann.Params(params.weights[0], *params.biases)
    np.testing.assert_allclose(
        energy(params, (visible, hidden)), restricted_boltzmann.energy(restricted, visible, hidden), atol=1e-12
    )


@pytest.mark.slow
def test_layers_of_a_block_do_not_meet(x64):
    """The second derivative between any two units of a block is zero; between neighbours it is the weight."""
    params, layers = random_params(5), random_units(6)
    hessian = jax.hessian(partial(energy, params))(layers)
    for blocks in (odd_even(4), odd_even_hidden(4)):
        for members in blocks:
            assert all(not hessian[i][j].any() for i in members for j in members)
    np.testing.assert_allclose(hessian[1][2], -params.weights[1], atol=1e-12)


def test_blocks_name_every_layer_once():
    for layers in range(2, 7):
        assert sorted(sum(odd_even(layers), ())) == list(range(layers))
        assert sorted(sum(odd_even_hidden(layers), ())) == list(range(1, layers))
        assert odd_even(layers)[0][0] == 1
    for blocks in (odd_even, odd_even_hidden):
        with pytest.raises(ValueError, match="layers: got 1, wanted at least 2"):
            blocks(1)


@pytest.mark.slow
def test_init_has_the_mean_of_the_data_and_its_own_weights():
    mean = jnp.array([0.0, 0.25, 1.0])
    params = init(jax.random.key(0), mean, (400, 300), scale=0.1)
    check_params(params)
    np.testing.assert_allclose(jax.nn.sigmoid(params.biases[0]), [0.01, 0.25, 0.99], rtol=1e-5)
    assert not params.biases[1].any()
    # the standard error of a standard deviation of 120,000 draws is 0.0002
    np.testing.assert_allclose(params.weights[1].std(), 0.1, atol=1e-3)
    square = init(jax.random.key(0), jnp.full(3, 0.5), (3, 3))
    assert (square.weights[0] != square.weights[1]).all(), "one key for two layers"
    for sizes in ((), (3, 0)):
        with pytest.raises(ValueError, match=r"sizes: got .*, wanted at least one hidden layer"):
            init(jax.random.key(0), mean, sizes)


def test_bad_parameters_are_refused_by_name():
    good = random_params(7)
    for bad, message in [
        (good._replace(weights=()), "weights: got none"),
        (good._replace(biases=good.biases[:3]), "biases: got 3, wanted 4"),
        (good._replace(biases=(jnp.ones((3, 1)), *good.biases[1:])), r"biases\[0\]: got shape \(3, 1\)"),
        (good._replace(weights=(good.weights[0].T, *good.weights[1:])), r"weights\[0\]: got shape \(4, 3\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            check_params(bad)
    for function in (energy, fields):
        with pytest.raises(ValueError, match="layers: got 3, wanted 4"):
            function(good, random_units(0)[:3])
    assert deep_boltzmann.__doc__
