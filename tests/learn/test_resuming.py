"""Trainings with checkpoints: a run that was killed ends as one that was not, and another run is refused by name."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import gradient, train
from ebmjax.energies import ellipse, neural
from ebmjax.learn.averaging import averaged
from ebmjax.learn.checkpoint import load_params, save, train_resumable
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.types import DIVERGED, STEP_LIMIT, Learner
from tests.learn.saved import same, steps

# A loss that draws, so that the keys matter, and an optimizer that remembers.
LEARNER = stochastic_gradient(
    lambda key, w, y: jnp.mean((w + 0.1 * jax.random.normal(key) - y) ** 2), optax.sgd(0.05, momentum=0.9)
)
ARGUMENTS = {
    "key": jax.random.key(0),
    "learner": LEARNER,
    "params": jnp.array(0.0),
    "data": jnp.linspace(0.0, 1.0, 10),
    "batch_size": 3,
    "epochs": 11,
    "every": 4,
}


def stop_at(segment):
    """A predicate that breaks the run off, after the segment, as an interruption would."""
    seen = []

    def healthy(params, metrics):
        seen.append(metrics)
        if len(seen) == segment:
            raise KeyboardInterrupt
        return True

    return healthy


@pytest.mark.slow
def test_a_broken_run_ends_with_the_bits_of_an_unbroken_one(tmp_path):
    whole = train_resumable(folder=tmp_path / "whole", **ARGUMENTS)
    assert whole.result == STEP_LIMIT
    assert steps(tmp_path / "whole") == [8, 11]
    for segment in (1, 2, 3):  # before any, in the second, in the last: the first call is for what is done
        with pytest.raises(KeyboardInterrupt):
            train_resumable(folder=tmp_path / "broken", **ARGUMENTS, healthy=stop_at(segment))
        assert not (tmp_path / "broken/11").exists()
    assert same(train_resumable(folder=tmp_path / "broken", **ARGUMENTS), whole)
    assert same(
        train_resumable(folder=tmp_path / "broken", **ARGUMENTS, healthy=stop_at(1)), whole
    )  # nothing left to do

    arguments = [value for name, value in ARGUMENTS.items() if name != "every"]
    at_once = train(*arguments)
    assert jax.tree.structure(at_once) == jax.tree.structure(whole.trained)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), at_once, whole.trained)


TRACES = []


def counted_update(key, state, batch):
    TRACES.append(batch)
    return LEARNER.update(key, state, batch)


@pytest.mark.slow
def test_all_full_segments_share_one_compilation(tmp_path):
    TRACES.clear()
    arguments = ARGUMENTS | {"learner": Learner(LEARNER.init, counted_update), "every": 3}
    train_resumable(folder=tmp_path, **arguments)
    assert len(TRACES) == 3  # for its fingerprint, for 3 epochs, three times, and for 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"key": jax.random.key(1)},
        {"params": jnp.array(1.0)},
        {"data": jnp.linspace(0.0, 2.0, 10)},
        {"batch_size": 5, "epochs": 11},
        {"params": jnp.zeros(1), "learner": gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.1))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_folder_of_another_run_is_refused(tmp_path, change):
    train_resumable(folder=tmp_path, **(ARGUMENTS | {"epochs": 11}))
    with pytest.raises(ValueError, match=r"folder: got .*|like: got .*"):
        train_resumable(folder=tmp_path, **(ARGUMENTS | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [({"every": 0}, "every: got 0"), ({"batch_size": 11}, "batch_size: got 11"), ({"epochs": 0}, "epochs: got 0")],
)
def test_bad_arguments_are_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        train_resumable(folder=tmp_path / "run", **(ARGUMENTS | change))
    assert not (tmp_path / "run").exists()


def exploding(rate):
    """Every update multiplies w, from 1 on, by 1 - 2 rate mean(y²): infinite after some epochs."""
    learner = gradient(lambda w, y: jnp.mean((w * y) ** 2), optax.sgd(rate))
    data = jnp.linspace(0.5, 1.0, 10)
    return ARGUMENTS | {"learner": learner, "params": jnp.array(1.0), "data": data, "epochs": 40, "every": 2}


@pytest.mark.slow
@pytest.mark.parametrize("loss_counts", [True, False])
def test_divergence_stops_and_leaves_the_last_good_parameters(tmp_path, loss_counts):
    """The loss overflows first, being the square; who accepts that is stopped by the weights."""
    arguments = exploding(10.0) | ({} if loss_counts else {"healthy": lambda params, metrics: True})
    ended = train_resumable(folder=tmp_path / "run", **arguments)
    assert ended.result == DIVERGED
    told = ended.trained.metrics
    bad = ~np.isfinite(told.learner.loss) if loss_counts else ~np.asarray(told.finite)
    assert bad[-2:].any()  # in the last segment,
    assert not bad[:-2].any()  # and in none before
    latest = steps(tmp_path / "run")[-1]
    assert 2 <= latest == len(bad) - 2 < 38
    assert jnp.isfinite(ended.trained.params)
    shorter = train_resumable(folder=tmp_path / "shorter", **(arguments | {"healthy": stop_after(latest // 2)}))
    assert same(shorter.trained.state, ended.trained.state)
    assert same(train_resumable(folder=tmp_path / "run", **arguments), ended)  # called again, the same end


def stop_after(segments):
    """Healthy for so many segments."""
    seen = []
    return lambda params, metrics: len(seen) < segments and not seen.append(params)


@pytest.mark.slow
def test_a_run_that_goes_on_is_told_of_the_epochs_that_are_done(tmp_path):
    told = []

    def healthy(params, metrics):
        told.append(metrics.loss)
        return True

    with pytest.raises(KeyboardInterrupt):
        train_resumable(folder=tmp_path, **ARGUMENTS, healthy=stop_at(2))
    run = train_resumable(folder=tmp_path, **ARGUMENTS, healthy=healthy)
    assert [len(loss) for loss in told] == [4, 4, 3]
    np.testing.assert_array_equal(np.concatenate(told), run.trained.metrics.learner.loss)


def test_one_may_say_what_is_healthy(tmp_path):
    ended = train_resumable(
        folder=tmp_path, **exploding(5.0), healthy=lambda w, told: abs(w) < 1e5 and told.loss.max() < 1e9
    )
    assert ended.result == DIVERGED
    assert 1 < abs(ended.trained.params) < 1e5
    assert ended.trained.metrics.finite.all()


def test_parameters_that_start_bad_are_not_saved(tmp_path):
    ended = train_resumable(folder=tmp_path / "run", **(ARGUMENTS | {"params": jnp.array(jnp.nan)}))
    assert ended.result == DIVERGED
    assert not (tmp_path / "run").exists() or steps(tmp_path / "run") == []


SCRIPT = """
import sys, time
import jax, jax.numpy as jnp, numpy as np, optax
from ebmjax.learn.checkpoint import train_resumable
from ebmjax.learn.gradient import stochastic_gradient

def loss(key, w, y):
    return jnp.mean((jnp.tanh(y @ w) - y + 0.1 * jax.random.normal(key, y.shape)) ** 2)

def slowly(params, metrics):
    time.sleep(float(sys.argv[1]))
    return True

key = jax.random.key(0)
for folder in sys.argv[2:]:
    learner = stochastic_gradient(loss, optax.adam(1e-2))
    data, w = jax.random.normal(key, (64, 8)), jax.random.normal(key, (8, 8))
    run = train_resumable(key, learner, w, data, 16, 10, folder, every=2, healthy=slowly)
    np.savez(folder + ".npz", *jax.tree.leaves(run))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGKILL")
def test_a_killed_run_ends_with_the_bytes_of_one_that_was_not(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    running = subprocess.Popen([sys.executable, script, "0.3", broken], env=environment)
    try:
        patience = time.monotonic() + 300
        while not (broken / "2").exists():
            assert running.poll() is None, "it ended by itself"
            assert time.monotonic() < patience
            time.sleep(0.02)
    finally:
        running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert steps(broken)[-1] in (2, 4)
    subprocess.run([sys.executable, script, "0", broken, whole], env=environment, check=True, timeout=300)
    assert steps(broken) == steps(whole) == [8, 10]
    with np.load(f"{broken}.npz") as ended, np.load(f"{whole}.npz") as unbroken:
        assert len(ended.files) == len(unbroken.files) > 5
        for name in ended.files:
            assert ended[name].tobytes() == unbroken[name].tobytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 5}, "a run with batch_size 3 and not 5"),
        ({"data": np.zeros(10, np.float32)}, "a run with another data"),
        ({"params": jnp.zeros(3)}, "a run with another params"),
        ({"learner": stochastic_gradient(lambda key, w, y: jnp.mean((w - y) ** 2), optax.sgd(0.1))}, "another learner"),
        ({"learner": averaged(LEARNER, 0.5)}, "another learner"),
    ],
    ids=range(5),
)
def test_what_differs_from_the_run_in_a_folder_is_named(tmp_path, change, message):
    train_resumable(folder=tmp_path, **ARGUMENTS)
    with pytest.raises(ValueError, match=f"folder: got .*{message}"):
        train_resumable(folder=tmp_path, **(ARGUMENTS | change))


@pytest.mark.slow
@pytest.mark.optax
def test_another_rate_is_another_run(tmp_path):
    """The same functions, with another number in them."""
    learner = lambda rate: gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.adam(rate))
    train_resumable(folder=tmp_path, **(ARGUMENTS | {"learner": learner(0.1)}))
    train_resumable(folder=tmp_path, **(ARGUMENTS | {"learner": learner(0.1)}))
    with pytest.raises(ValueError, match="a run with another learner"):
        train_resumable(folder=tmp_path, **(ARGUMENTS | {"learner": learner(0.2)}))


def test_parameters_are_read_without_the_learner_and_the_data(tmp_path):
    ended = train_resumable(folder=tmp_path, **ARGUMENTS)
    for loaded in (load_params(tmp_path), load_params(tmp_path, jnp.zeros(()))):
        assert (loaded.epochs, float(loaded.params)) == (11, float(ended.trained.params))
        assert loaded.key == ARGUMENTS["key"]
    with pytest.raises(ValueError, match=r"like: got float32\[2\] at \., wanted float32\[\]"):
        load_params(tmp_path, jnp.zeros(2))
    save(tmp_path / "other", 0, jnp.zeros(2))
    with pytest.raises(ValueError, match="was not made by `train_resumable`"):
        load_params(tmp_path / "other")
    with pytest.raises(ValueError, match="none, which holds no checkpoint"):
        load_params(tmp_path / "none")


@pytest.mark.slow
def test_parameters_come_back_in_another_program(tmp_path):
    """With their records, shapes and dtypes, and the key of the training, of whatever implementation."""
    params = {"ellipse": ellipse.Params(jnp.array([1.0, 2.0])), "others": (jnp.zeros((2, 3)), [jnp.ones(1)], None)}
    loss = lambda params, y: jnp.sum(params["ellipse"].radii ** 2) + jnp.sum(params["others"][0]) + 0 * jnp.sum(y)
    key = jax.random.key(3, impl="rbg")
    train_resumable(key, gradient(loss, optax.sgd(0.1)), params, np.ones(8, np.float32), 4, 2, tmp_path, 1)
    script = (
        "import jax, sys; from ebmjax.learn.checkpoint import load_params; loaded = load_params(sys.argv[1]);"
        "print(loaded.epochs, jax.random.key_impl(loaded.key), loaded.params['ellipse'].radii,"
        " jax.tree.map(lambda leaf: leaf.shape, loaded.params))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    printed = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, capture_output=True
    )
    assert printed.stdout.decode().split("\n")[0].startswith("2 rbg [0.4"), printed.stderr.decode()
    assert "'others': ((2, 3), [(1,)], None)" in printed.stdout.decode()


@pytest.mark.slow
def test_parameters_of_other_classes_need_an_example(tmp_path):
    params = neural.init(jax.random.key(0), (2, 4))
    loss = lambda params, y: jnp.mean(jax.vmap(lambda y: neural.energy(params, y))(y))
    train_resumable(
        jax.random.key(0), gradient(loss, optax.sgd(0.1)), params, np.ones((4, 2), np.float32), 4, 1, tmp_path, 1
    )
    with pytest.raises(
        ValueError, match=r"like: got None, wanted parameters like those of .*, which hold a .*networks"
    ):
        load_params(tmp_path)
    loaded = load_params(tmp_path, params).params
    assert jax.tree.structure(loaded) == jax.tree.structure(params)


@pytest.mark.slow
def test_more_epochs_continue(tmp_path):
    """And end as a run that had as many from the start, up to the rounding of a shorter segment."""
    whole = train_resumable(folder=tmp_path / "whole", **(ARGUMENTS | {"epochs": 15}))
    train_resumable(folder=tmp_path / "more", **ARGUMENTS)
    more = train_resumable(folder=tmp_path / "more", **(ARGUMENTS | {"epochs": 15, "every": 3}))
    np.testing.assert_allclose(more.trained.params, whole.trained.params, rtol=1e-6)
    np.testing.assert_allclose(
        more.trained.metrics.learner.loss, whole.trained.metrics.learner.loss, rtol=1e-4, atol=1e-6
    )
    with pytest.raises(ValueError, match=r"epochs: got 11, wanted at least 15, which .*more holds"):
        train_resumable(folder=tmp_path / "more", **ARGUMENTS)


def test_a_loss_that_is_written_in_another_way_is_the_same(tmp_path):
    """What counts is the program, not its source."""

    def written_out(weight, target):
        difference = weight - target
        return jnp.mean(difference**2)

    run = lambda loss: train_resumable(folder=tmp_path, **(ARGUMENTS | {"learner": gradient(loss, optax.sgd(0.1))}))
    first, again = run(lambda w, y: jnp.mean((w - y) ** 2)), run(written_out)
    assert float(first.trained.params) == float(again.trained.params)
    with pytest.raises(ValueError, match="a run with another learner"):
        run(lambda w, y: jnp.mean((w - y) ** 4))


@pytest.mark.slow
def test_functions_among_the_parameters_are_kept(tmp_path):
    loss = lambda params, y: jnp.mean((params["activation"](params["w"]) - y) ** 2)
    arguments = ARGUMENTS | {
        "learner": gradient(loss, optax.sgd(0.1)),
        "params": {"activation": jnp.tanh, "w": jnp.array(0.0)},
    }
    first, again = (train_resumable(folder=tmp_path, **arguments).trained.params for _ in range(2))
    assert first["activation"] is again["activation"] is jnp.tanh
    assert first["w"] == again["w"] != 0
