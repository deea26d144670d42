"""Greedy pretraining: the copies are what one machine with shared weights is, and the whole beats a random one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import binary_cube, log_partition
from ebmjax.energies import deep_boltzmann as dbm
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast.greedy import Copies, compose, copied_machine, copies_of, hidden_means, pretrain, tied

DATA = np.repeat([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]], 8, axis=0)


def log_likelihood(params, beta=1.0):
    """Mean log p(v) of the data, in nats, by enumeration."""
    sizes = [len(bias) for bias in params.biases]
    energy = lambda units: dbm.energy(params, tuple(jnp.split(units, np.cumsum(sizes)[:-1])))
    given = lambda v, hidden: energy(jnp.concatenate([v, hidden]))
    kinds = jnp.asarray(DATA[::8], float)  # each kind as often
    hidden = binary_cube(sum(sizes[1:]))
    joint = jax.vmap(lambda v: log_partition(partial(given, v), hidden, beta))(kinds)
    return float(joint.mean() - log_partition(energy, binary_cube(sum(sizes)), beta))


def random_machine(seed, visible=3, hidden=2):
    random = np.random.default_rng(seed)
    return rbm.Params(*(jnp.asarray(random.normal(size=s)) for s in ((visible, hidden), visible, hidden)))


@pytest.mark.parametrize("copies", [Copies(2, 1), Copies(1, 2), Copies(1, 1)])
def test_copies_share_their_weights(copies, x64):
    """The energy of the whole machine is the sum over all pairs of copies, each of which has the same weights."""
    params = random_machine(0)
    random = np.random.default_rng(1)
    visible = jnp.asarray(random.integers(0, 2, (copies.visible, 3)), float)
    hidden = jnp.asarray(random.integers(0, 2, (copies.hidden, 2)), float)
    expected = -sum(v @ params.visible_bias for v in visible) - sum(h @ params.hidden_bias for h in hidden)
    expected -= sum(v @ params.weights @ h for v in visible for h in hidden)
    whole = tied(params, copies)
    np.testing.assert_allclose(rbm.energy(whole, visible.ravel(), hidden.ravel()), expected, atol=1e-12)


@pytest.mark.parametrize("copies", [Copies(2, 1), Copies(1, 2), Copies(1, 1)])
@pytest.mark.parametrize("beta", [0.3, 1.7])
def test_hidden_means_are_those_of_the_whole_machine(copies, beta, x64):
    params = random_machine(2)
    visible = binary_cube(3).points
    whole = tied(params, copies)
    field = jax.vmap(lambda v: rbm.hidden_field(whole, jnp.tile(v, copies.visible)))(visible)
    expected = jax.nn.sigmoid(beta * field)[:, :2]
    np.testing.assert_allclose(hidden_means(params, visible, beta, copies), expected, atol=1e-12)


def test_every_machine_hears_one_side_double():
    assert [copies_of(level, 2) for level in range(2)] == [(2, 1), (1, 2)]
    assert [copies_of(level, 4) for level in range(4)] == [(2, 1), (1, 1), (1, 1), (1, 2)]
    assert copies_of(0, 1) == (1, 1)


def test_a_layer_hears_half_of_both_machines_that_it_is_in(x64):
    """Its field in the deep machine is the mean of the fields that the two restricted ones give it."""
    machines = [random_machine(3, 3, 4), random_machine(4, 4, 5), random_machine(5, 5, 2)]
    params = compose(machines)
    random = np.random.default_rng(6)
    layers = tuple(jnp.asarray(random.integers(0, 2, n), float) for n in (3, 4, 5, 2))
    wholes = [tied(machine, copies_of(level, 3)) for level, machine in enumerate(machines)]
    fields = dbm.fields(params, layers)
    from_below = [
        rbm.hidden_field(wholes[0], jnp.tile(layers[0], 2)),
        rbm.hidden_field(wholes[1], layers[1]),
        rbm.hidden_field(wholes[2], layers[2])[:2],
    ]
    from_above = [
        rbm.visible_field(wholes[0], layers[1])[:3],
        rbm.visible_field(wholes[1], layers[2]),
        rbm.visible_field(wholes[2], jnp.tile(layers[3], 2)),
    ]
    np.testing.assert_allclose(fields[0], from_above[0], atol=1e-12)
    for level in (1, 2):
        np.testing.assert_allclose(fields[level], (from_below[level - 1] + from_above[level]) / 2, atol=1e-12)
    np.testing.assert_allclose(fields[3], from_below[2], atol=1e-12)


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("sizes", [(5,), (5, 4), (4, 4, 3)])
def test_the_pretrained_machine_is_likelier_than_a_random_one(sizes):
    learner_of_layer = lambda copies: copied_machine(copies, 1.0, optax.sgd(0.1, momentum=0.9))
    run = lambda key: pretrain(key, learner_of_layer, sizes, 1.0, jnp.asarray(DATA, float), batch_size=16, epochs=400)
    params = jax.jit(run)(jax.random.key(0))
    dbm.check_params(params)
    assert [len(bias) for bias in params.biases] == [6, *sizes]
    random = dbm.init(jax.random.key(1), jnp.asarray(DATA, float).mean(axis=0), sizes)
    # independent pixels of the right means reach -3.9 nats, four kinds of sample -1.39
    assert log_likelihood(params) > log_likelihood(random) + 0.8


def test_bad_arguments_are_refused_by_name():
    learner_of_layer = lambda copies: copied_machine(copies, 1.0, optax.sgd(0.1))
    for sizes in ((), (2, 0)):
        with pytest.raises(ValueError, match="sizes: got"):
            pretrain(jax.random.key(0), learner_of_layer, sizes, 1.0, jnp.ones((4, 3)), 2, 1)
    with pytest.raises(ValueError, match=r"beta: got -1\.0"):
        pretrain(jax.random.key(0), learner_of_layer, (2,), -1.0, jnp.ones((4, 3)), 2, 1)
    with pytest.raises(ValueError, match=r"machines\[1\]: got 3 visible units, wanted 2"):
        compose([random_machine(0), random_machine(1)])
