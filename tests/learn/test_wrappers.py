"""Wrappers of learners: measured, kept best, stopped early, reported; alone, in any sensible order, and under vmap."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import gradient, train
from ebmjax.learn import averaging, keeping, measuring, reporting, stopping
from ebmjax.learn.averaging import averaged
from ebmjax.learn.keeping import keeping_best
from ebmjax.learn.measuring import measured
from ebmjax.learn.reporting import progress_bar, reported
from ebmjax.learn.stopping import stopped_early
from ebmjax.learn.wrapped import params_of, state_of
from ebmjax.loops import run_if

KEY = jax.random.key(0)
DATA = np.full(8, 3.0, np.float32)
HELD_OUT = np.array([1.5, 2.5], np.float32)


def loss(w, y):
    return jnp.mean((w - y) ** 2)


def plain(rate=0.1):
    return gradient(loss, optax.sgd(rate))


def held_out(w):
    return loss(w, HELD_OUT)


def best_of(state):
    return state_of(keeping.State, state).best


def path_of(rate, updates):
    """The parameters of gradient descent on the data, from 0, by hand."""
    return np.array([3 - 3 * (1 - 2 * rate) ** n for n in range(updates + 1)])


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrap",
    [
        lambda learner: measured(learner, held_out, every=3),
        lambda learner: keeping_best(measured(learner, held_out, every=3)),
        lambda learner: stopped_early(keeping_best(measured(learner, held_out, every=3)), patience=100),
        lambda learner: reported(learner, lambda updates, metrics: None, every=3),
        lambda learner: measured(averaged(learner, 0.5), held_out, every=3),
    ],
    ids=["measured", "best", "stopped", "reported", "averaged"],
)
def test_wrappers_do_not_change_what_is_learned(wrap):
    alone, wrapped = (train(KEY, learner, 0.0, DATA, 4, 5) for learner in (plain(), wrap(plain())))
    np.testing.assert_allclose(wrapped.params, alone.params, rtol=1e-6)
    members = jax.vmap(lambda key: train(key, wrap(plain()), 0.0, DATA, 4, 5).params)(jax.random.split(KEY, 3))
    np.testing.assert_allclose(members, alone.params, rtol=1e-6)


@pytest.mark.slow
def test_measurements_are_those_of_the_path():
    metrics = train(KEY, measured(plain(), held_out, every=3), 0.0, DATA, 4, 5).metrics.learner
    assert (metrics.updates.ravel() == np.arange(1, 11)).all()
    assert (metrics.fresh.ravel() == (np.arange(1, 11) % 3 == 0)).all()
    expected = np.square(path_of(0.1, 10)[:, None] - HELD_OUT).mean(axis=1)
    np.testing.assert_allclose(metrics.value[metrics.fresh], expected[3:10:3], rtol=1e-5)
    np.testing.assert_allclose(metrics.value.ravel()[:2], expected[0], rtol=1e-5)  # of the start, until the first


def test_a_measurement_may_be_a_pytree_and_of_the_averaged_parameters():
    learner = measured(
        averaged(plain(), 0.5), lambda w: {"loss": held_out(w), "twice": (2 * w, w > 0)}, 1, lambda state: state.mean
    )
    trained = train(KEY, learner, 0.0, DATA, 4, 5)
    mean = state_of(averaging.State, trained.state).mean
    np.testing.assert_allclose(trained.state.value["loss"], held_out(mean), rtol=1e-6)
    assert trained.metrics.learner.value["twice"][0].shape == (5, 2)


@pytest.mark.slow
def test_the_best_parameters_are_kept():
    learner = keeping_best(measured(plain(), held_out, every=1))
    trained = train(KEY, learner, 0.0, DATA, 4, 10)
    path = path_of(0.1, 20)
    place = np.argmin(np.square(path - 2.0))
    np.testing.assert_allclose(trained.state.best, path[place], rtol=1e-5)
    assert int(trained.state.since) == 20 - place
    worst = keeping_best(measured(plain(), held_out, every=1), score=lambda value: -value)
    assert float(train(KEY, worst, 0.0, DATA, 4, 10).state.best) == 0.0  # the start is the farthest from 2


def test_a_measurement_of_nan_is_never_the_best():
    learner = keeping_best(measured(plain(), lambda w: jnp.where(w > 2, jnp.nan, held_out(w)), every=1))
    state = train(KEY, learner, 0.0, DATA, 4, 10).state
    path = path_of(0.1, 20)
    np.testing.assert_allclose(state.best, path[path <= 2].max(), rtol=1e-5)
    never = keeping_best(measured(plain(), lambda w: w * jnp.nan, every=1))
    state = train(KEY, never, 0.0, DATA, 4, 10).state
    assert (float(state.best), float(state.score)) == (0.0, np.inf)


@pytest.mark.slow
@pytest.mark.parametrize("many", [False, True])
def test_each_member_stops_for_itself(many):
    """With a rate of 1/10 the best is at update 5, with 1/5 at update 2; with 1/1000 it is not reached."""
    rates = np.array([0.1, 0.2, 0.001], np.float32)

    def run(rate):
        learner = gradient(loss, optax.sgd(rate))
        return train(KEY, stopped_early(keeping_best(measured(learner, held_out, 1)), patience=3), 0.0, DATA, 4, 10)

    runs = [run(rate) for rate in rates] if not many else None
    state = jax.vmap(run)(rates).state if many else jax.tree.map(lambda *leaves: jnp.stack(leaves), *runs).state
    expected = [int(np.argmin(np.square(path_of(rate, 20) - 2.0))) + 3 for rate in rates[:2]]
    assert state.updates.tolist() == [*expected, 20]
    assert state.stopped.tolist() == [True, True, False]
    np.testing.assert_allclose(state.params[0], path_of(0.1, expected[0])[-1], rtol=1e-5)


def test_updates_that_were_not_carried_out_say_so():
    learner = stopped_early(keeping_best(measured(plain(0.2), held_out, 1)), patience=2)
    metrics = train(KEY, learner, 0.0, DATA, 4, 10).metrics.learner
    stopped = np.asarray(metrics.stopped).ravel()
    assert np.isnan(np.asarray(metrics.learner.learner.loss).ravel()[stopped]).all()
    assert not np.isnan(np.asarray(metrics.learner.learner.loss).ravel()[~stopped]).any()
    assert not metrics.learner.fresh.ravel()[stopped].any()


@pytest.mark.slow
def test_reports_come_while_it_runs_and_not_under_vmap():
    seen = []
    learner = reported(plain(), lambda updates, metrics: seen.append((updates, float(metrics.loss))), every=4)
    train(KEY, learner, 0.0, DATA, 4, 5)
    jax.effects_barrier()
    expected = np.square(3 - path_of(0.1, 9))
    assert [updates for updates, _ in seen] == [4, 8]
    np.testing.assert_allclose([value for _, value in seen], expected[[3, 7]], rtol=1e-5)
    seen.clear()
    jax.vmap(lambda key: train(key, learner, 0.0, DATA, 4, 5).params)(jax.random.split(KEY, 2)).block_until_ready()
    jax.effects_barrier()
    assert not seen


def test_a_bar_without_a_terminal_is_lines(capsys):
    with progress_bar("learning", updates=10) as show:
        train(KEY, reported(measured(plain(), held_out, 1), show, every=5), 0.0, DATA, 4, 5)
        jax.effects_barrier()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["learning: 5 of 10 updates", "learning: 10 of 10 updates"]
    assert "loss " in lines[0]
    assert "value " in lines[0]


def test_a_state_is_found_below_its_wrappers():
    learner = reported(stopped_early(keeping_best(measured(averaged(plain(), 0.5), held_out, 1)), 2), print, 100)
    state = train(KEY, learner, 0.0, DATA, 4, 1).state
    for kind in (reporting.State, stopping.State, keeping.State, measuring.State, averaging.State):
        assert isinstance(state_of(kind, state), kind)
    assert params_of(state) is state.params
    with pytest.raises(ValueError, match=r"state: got a State without a measuring.State inside"):
        state_of(measuring.State, plain().init(KEY, 0.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measured(plain(), held_out, 0), "every: got 0"),
        (lambda: keeping_best(plain()).init(KEY, 0.0), "without a measuring.State inside"),
        (lambda: stopped_early(measured(plain(), held_out, 1), 2).init(KEY, 0.0), "without a keeping.State inside"),
        (lambda: stopped_early(plain(), 0), "patience: got 0"),
        (lambda: reported(plain(), print, 0), "every: got 0"),
        (lambda: keeping_best(measured(plain(), lambda w: (w, w), 1)).init(KEY, 0.0), "score: got "),
        (lambda: run_if(jnp.array(True), lambda: jnp.zeros(2), jnp.zeros(3)), "otherwise: got"),
    ],
)
def test_bad_wrappers_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_due_for_nobody_is_not_computed():
    """Not even under vmap, where a plain conditional computes both branches for all."""
    calls = []

    def scan(start, offset):
        def step(carry, place):
            x, value = carry
            measure = lambda: (jax.debug.callback(lambda: calls.append(1)), x * 2)[1]
            return (x + 1, run_if((place + offset) % 10 == 0, measure, value)), None

        return jax.lax.scan(step, (start, jnp.zeros_like(start)), jnp.arange(100))[0]

    starts = jnp.arange(4.0)
    for offsets, axis in ((0, None), (jnp.zeros(4, jnp.int32), 0)):
        calls.clear()
        _, values = jax.vmap(scan, (0, axis))(starts, offsets)
        jax.effects_barrier()
        np.testing.assert_array_equal(values, 2 * (starts + 90))
        assert len(calls) == 10
    _, values = jax.vmap(scan)(starts, jnp.arange(4))  # each at its own step
    np.testing.assert_array_equal(values, 2 * (starts + jnp.array([90.0, 99.0, 98.0, 97.0])))
