"""Dictionary learning: the update against one atom at a time, a planted dictionary, unit columns, dead atoms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import l1
from ebmjax.energies.sparse_coding import Params
from ebmjax.learn.dictionaries import dictionary
from ebmjax.learn.train import train
from ebmjax.minimize.codes import coordinate

FIND = coordinate.solve_batch, l1(0.05)
ENCODE = lambda params, batch: coordinate.solve_batch(params, l1(0.05), batch)
LEARNERS = {
    "online": dictionary.online(*FIND),
    "alternate": dictionary.alternate(*FIND, sweeps=3),
    "descent": dictionary.descent(*FIND, optax.sgd(0.5)),
}


def planted(key, samples, observed=16, atoms=24):
    """Sums of few atoms of a random dictionary, and it."""
    keys = jax.random.split(key, 3)
    truth = sparse_coding.init(keys[0], observed, atoms)
    codes = jax.random.normal(keys[1], (samples, atoms))
    codes = jnp.where(jax.random.bernoulli(keys[2], 0.1, (samples, atoms)), codes, 0)
    return truth, codes @ truth.dictionary.T


def one_at_a_time(atoms, statistics):
    """The textbook's loop."""
    atoms = atoms.copy()
    for j in range(len(atoms)):
        if statistics.codes[j, j] > 0:
            step = (statistics.samples[j] - statistics.codes[j] @ atoms) / statistics.codes[j, j]
            target = atoms[j] + step
            atoms[j] = target / np.linalg.norm(target)
    return atoms


@pytest.mark.parametrize("atoms", [5, 16, 37])
def test_blocks_are_one_atom_after_the_other(x64, atoms):
    generator = np.random.default_rng(0)
    codes = generator.normal(size=(50, atoms)) * (generator.random((50, atoms)) < 0.3)
    codes[:, 2] = 0  # an atom that is not used stays
    samples = generator.normal(size=(50, 7))
    statistics = dictionary.Statistics(codes.T @ codes, codes.T @ samples)
    start = generator.normal(size=(atoms, 7))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    moved = dictionary.block_coordinate_sweep(jnp.asarray(start), jax.tree.map(jnp.asarray, statistics))
    np.testing.assert_allclose(moved, one_at_a_time(start, statistics), atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_the_energy_falls_and_columns_keep_unit_length(name):
    _, data = planted(jax.random.key(0), 512)
    params = sparse_coding.init(jax.random.key(1), 16, 24)
    batch_size, epochs = (512, 20) if name == "alternate" else (64, 10)
    trained = train(jax.random.key(2), LEARNERS[name], params, data, batch_size, epochs)
    metrics = trained.metrics.learner
    assert metrics.energy[-1].mean() < 0.7 * metrics.energy[0, 0]
    assert (metrics.converged == 1).all()
    np.testing.assert_allclose(jnp.linalg.norm(trained.params.dictionary, axis=0), 1, rtol=1e-5)
    if name == "alternate":  # each half of it is a minimization, the codes to a relative gap of 1e-3
        energies = metrics.energy.ravel()
        assert (energies[1:] <= energies[:-1] * 1.001).all()


@pytest.mark.slow
def test_a_planted_dictionary_is_found():
    truth, data = planted(jax.random.key(0), 4000)
    params = sparse_coding.from_data(jax.random.key(1), data, 24)
    overlap = lambda params: jnp.abs(truth.dictionary.T @ params.dictionary).max(axis=1)
    learner = dictionary.online(coordinate.solve_batch, l1(0.2))
    trained = train(jax.random.key(2), learner, params, data, 100, 8)
    assert (overlap(trained.params) > 0.97).all()
    assert (overlap(params) > 0.97).mean() < 0.5


@pytest.mark.slow
def test_the_first_online_update_is_alternation_on_the_batch():
    _, data = planted(jax.random.key(0), 64)
    params = sparse_coding.init(jax.random.key(1), 16, 24)
    update = lambda learner: learner.update(jax.random.key(0), learner.init(jax.random.key(0), params), data)[0].params
    first = update(dictionary.online(*FIND, sweeps=2))
    np.testing.assert_array_equal(first.dictionary, update(dictionary.alternate(*FIND, sweeps=2)).dictionary)


@pytest.mark.slow
def test_forgetting_weighs_the_past():
    _, data = planted(jax.random.key(0), 64)
    params = sparse_coding.init(jax.random.key(1), 16, 24)
    for forgetting, kept in ((0.0, 1.0), (2.0, 0.25)):
        learner = dictionary.online(*FIND, forgetting)
        first, _ = learner.update(jax.random.key(0), learner.init(jax.random.key(0), params), data)
        second, _ = learner.update(jax.random.key(0), first, data)
        codes = ENCODE(first.params, data).value
        np.testing.assert_allclose(
            second.statistics.codes, kept * first.statistics.codes + codes.T @ codes, rtol=1e-4, atol=1e-5
        )


@pytest.mark.slow
def test_a_gradient_step_is_that_of_the_energy():
    _, data = planted(jax.random.key(0), 8)
    params = sparse_coding.init(jax.random.key(1), 16, 24)
    codes = ENCODE(params, data).value
    energy = lambda params: jax.vmap(partial(sparse_coding.misfit, params))(data, codes).mean()
    expected = sparse_coding.normalized(Params(params.dictionary - 0.3 * jax.grad(energy)(params).dictionary))
    learner = dictionary.descent(*FIND, optax.sgd(0.3))
    state, _ = learner.update(jax.random.key(0), learner.init(jax.random.key(0), params), data)
    np.testing.assert_allclose(state.params.dictionary, expected.dictionary, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make", [dictionary.online, lambda *args, **kw: dictionary.descent(*args, optax.sgd(0.1), **kw)]
)
def test_dead_atoms_become_badly_coded_samples(make):
    # data in the first two directions, an atom in the third
    data = jnp.zeros((6, 3)).at[:, 0].set(jnp.arange(1.0, 7.0)).at[:3, 1].set(2.0)
    params = Params(jnp.eye(3)[:, [0, 2]])
    learner = make(*FIND, patience=3)
    state = learner.init(jax.random.key(0), params)
    for expected in (0, 0, 1, 0):
        before = ENCODE(state.params, data)
        state, metrics = learner.update(jax.random.key(0), state, data)
        assert int(metrics.replaced) == expected
        if expected:
            worst = data[jnp.argmax(before.energy)]
            np.testing.assert_allclose(state.params.dictionary[:, 1], worst / jnp.linalg.norm(worst), atol=1e-6)
    assert metrics.density > 0.5


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="forgetting: got -1"):
        dictionary.online(*FIND, forgetting=-1.0)
    with pytest.raises(ValueError, match="sweeps: got 0"):
        dictionary.alternate(*FIND, sweeps=0)
    with pytest.raises(ValueError, match="patience: got 0"):
        dictionary.descent(*FIND, optax.sgd(0.1), patience=0)
    params = sparse_coding.init(jax.random.key(0), 4, 3)
    with pytest.raises(ValueError, match="data: got batches of shape"):
        train(jax.random.key(0), dictionary.online(*FIND), params, jnp.ones((8, 5)), 4, 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["online", "descent", "alternate"])
def test_the_atoms_that_changed_are_those_that_are_reported(name):
    """Eight dead atoms, and two samples of which one is zero, or none: as many are replaced as there are samples."""
    make = {
        "online": dictionary.online,
        "descent": lambda *args, **kw: dictionary.descent(*args, optax.sgd(0.1), **kw),
        "alternate": dictionary.alternate,
    }[name]
    params = sparse_coding.init(jax.random.key(0), 6, 8)
    data = jax.random.normal(jax.random.key(1), (2, 6))
    learner = make(coordinate.solve_batch, l1(50.0), patience=1)
    for batch, expected in ((data, 2), (data.at[0].set(0), 1), (0 * data, 0), (1e-25 * data, 2)):
        state, metrics = learner.update(jax.random.key(2), learner.init(jax.random.key(3), params), batch)
        changed = (jnp.abs(state.params.dictionary - params.dictionary) > 1e-6).any(axis=0)
        assert int(metrics.replaced) == int(changed.sum()) == expected
        np.testing.assert_array_equal(state.idle == 0, changed)
        np.testing.assert_allclose(jnp.linalg.norm(state.params.dictionary, axis=0), 1, rtol=1e-6)


@pytest.mark.slow
def test_bytes_teach_what_floats_teach():
    data = np.random.default_rng(0).integers(0, 256, (12, 6))
    params = sparse_coding.init(jax.random.key(0), 6, 4)
    for make in (dictionary.online, dictionary.alternate):
        learner = make(coordinate.solve_batch, l1(20))
        update = lambda batch, learner=learner: learner.update(
            jax.random.key(2), learner.init(jax.random.key(3), params), batch
        )
        ours, truth = update(jnp.asarray(data, jnp.uint8)), update(jnp.asarray(data, jnp.float32))
        jax.tree.map(np.testing.assert_array_equal, ours, truth)
