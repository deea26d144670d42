"""The standard problem is what it says, and the iterations to compare with are the library's."""

import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import l1
from ebmjax.minimize.codes import proximal
from ebmjax.minimize.codes.coordinate import coordinate_descent
from ebmjax.minimize.unrolled import lista
from ebmjax.minimize.unrolled.alista import analytic_weights
from ebmjax.minimize.unrolled.hyperlista import hyperlista, prepare
from ebmjax.minimize.unrolled.unroll import per_layer
from experiments.application.report import Report
from experiments.codes import unrolled_networks as training

PARAMS = sparse_coding.init(jax.random.key(0), 20, 30)
BOUND = sparse_coding.lipschitz(PARAMS)
DATA = training.draw(jax.random.key(1), PARAMS, 256, 0.1)
Y = DATA.observations[0]


@pytest.mark.slow
def test_the_data_are_sparse_and_as_noisy_as_asked_for():
    """7,680 draws of probability 0.1 have a standard error of 0.0034; five of them fail 6 times in 10 million."""
    assert abs(np.mean(DATA.codes != 0) - 0.1) < 5 * 0.0034
    np.testing.assert_allclose(DATA.observations, DATA.codes @ PARAMS.dictionary.T, atol=1e-5)
    noisy = training.draw(jax.random.key(1), PARAMS, 256, 0.1, 20.0)
    clean = noisy.codes @ PARAMS.dictionary.T
    ratio = 10 * np.log10(np.mean(np.square(clean)) / np.mean(np.square(noisy.observations - clean)))
    assert abs(ratio - 20) < 0.5


def test_the_error_is_in_decibels():
    truth = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    found = jnp.stack([truth, truth + jnp.array([[0.5, 0.0], [0.0, 0.0]]), jnp.zeros_like(truth)], axis=1)
    np.testing.assert_allclose(training.nmse_db(found, truth), [-np.inf, -20.0, 0.0], atol=1e-4)
    np.testing.assert_allclose(training.nmse_db(found[:, 1], truth), -20.0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ista", "fista"])
def test_the_iterations_are_the_librarys(name):
    steps = getattr(training, name)(PARAMS, 0.1, BOUND, 6)(Y)
    smooth = partial(sparse_coding.misfit, PARAMS, Y)
    for count in (1, 2, 6):
        wanted = getattr(proximal, name)(smooth, l1(0.1), jnp.zeros(30), BOUND, max_steps=count, tolerance=0.0)
        np.testing.assert_allclose(steps[count - 1], wanted.value, atol=1e-5)


@pytest.mark.slow
def test_sweeps_over_coordinates_end_at_the_least_energy():
    steps = training.coordinates(PARAMS, 0.1, 200)(Y)
    energy = jax.vmap(partial(sparse_coding.energy, PARAMS, l1(0.1), Y))(steps)
    assert (np.diff(energy) <= 1e-6).all()
    least = coordinate_descent(PARAMS, l1(0.1), Y, max_steps=500, tolerance=1e-6)
    np.testing.assert_allclose(energy[-1], least.energy, rtol=1e-4)
    np.testing.assert_allclose(steps[-1], training.exact(PARAMS, 0.1, Y[None])[0], atol=5e-3)


@pytest.mark.slow
def test_the_best_weight_is_none_of_the_others():
    make = lambda weight: training.ista(PARAMS, weight, BOUND, 10)
    best = training.best_weight(make, DATA)
    error = lambda weight: training.nmse_db(jax.vmap(lambda y: make(weight)(y)[-1])(DATA.observations), DATA.codes)
    assert all(error(best) <= error(float(other)) + 1e-4 for other in np.geomspace(0.005, 0.3, 8))


@pytest.mark.slow
def test_a_search_comes_near_to_the_best_numbers():
    """The code is that of y = a · code^b at a = 2, b = 0.5."""
    codes = jax.random.uniform(jax.random.key(2), (50, 3), minval=0.5, maxval=2.0)
    infer = lambda numbers, y: numbers[0] * y ** numbers[1]
    data = training.Samples(codes, 2.0 * jnp.sqrt(codes))
    numbers, error = training.search(jax.random.key(3), infer, (0.5, 0.1), (8.0, 4.0), data, 40)
    np.testing.assert_allclose(numbers, [2.0, 0.5], rtol=0.2)
    assert error < -25


@pytest.mark.slow
@pytest.mark.optax
def test_a_training_is_told_within_a_stage(tmp_path, capsys):
    report = Report(tmp_path, "lista", None, 0, False)
    infer = partial(lista.coupled, PARAMS)
    weights = per_layer(lista.init_coupled(PARAMS, 0.1, BOUND), 3)
    schedule = training.Schedule(64, 4, 3e-3, (1, 3))
    with training.told(report, "coupled LISTA", {"phases": 2 * training.PHASES}) as tell:
        training.fit(jax.random.key(5), training.on_codes(infer), weights, tuple(DATA), schedule, tell=tell["phases"])
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["phases"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert lines[-1]["loss"] < lines[0]["loss"]
    said = [line for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert [int(line.split("… ")[1].split("%")[0]) for line in said] == [16, 33, 50, 66, 83, 100]
    assert said[-1].endswith(f"loss {lines[-1]['loss']:.4g}")


@pytest.mark.slow
@pytest.mark.optax
def test_searched_and_trained_networks_beat_ista():
    error = lambda steps: float(training.nmse_db(jax.vmap(lambda y: steps(y)[-1])(DATA.observations), DATA.codes))
    ista = error(training.ista(PARAMS, 0.05, BOUND, 8))
    analytic = analytic_weights(PARAMS)
    weights, support = training.search_alista(jax.random.key(4), PARAMS, analytic, DATA, 8, 6, select=True)
    infer = training.infer_alista(PARAMS, analytic, support)
    searched = error(lambda y: infer(weights, y).every)
    schedule = training.Schedule(64, 16, 1e-2, (8,))
    loss = training.on_codes(infer)
    trained = training.fit(jax.random.key(5), loss, weights, tuple(DATA), schedule, copied=False)
    assert searched < ista - 3
    assert error(lambda y: infer(trained, y).every) < searched
    numbers = training.search_hyperlista(jax.random.key(6), prepare(PARAMS), DATA, 8, 6)
    assert error(lambda y: hyperlista(prepare(PARAMS), numbers, y, 8).every) < ista - 3
