"""Training with a bar gives the numbers of `train`, and its metrics while it goes on."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import gradient, train
from experiments.application.report import Report
from experiments.application.shown import train_shown

LEARNER = gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.1, momentum=0.9))
DATA = jnp.linspace(0, 3, 12)


def shown(folder, epochs, every=5):
    report = Report(folder, "training", None, 0, False)
    write = lambda step, told: report.metrics(step=step, loss=told.loss)
    return train_shown(jax.random.key(0), report, LEARNER, jnp.array(0.0), DATA, 4, epochs, every, write)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("epochs", [3, 45])
def test_the_numbers_are_those_of_train(tmp_path, epochs):
    ours = shown(tmp_path, epochs)
    plain = train(jax.random.key(0), LEARNER, jnp.array(0.0), DATA, 4, epochs)
    assert jax.tree.structure(ours) == jax.tree.structure(plain)
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-6), ours, plain)


def test_lines_of_metrics_are_the_first_update_and_every_fifth(tmp_path):
    trained = shown(tmp_path, 7)
    losses = trained.metrics.learner.loss.ravel()
    assert [line["step"] for line in lines(tmp_path)] == [1, 5, 10, 15, 20]
    assert [line["loss"] for line in lines(tmp_path)] == [float(losses[step - 1]) for step in (1, 5, 10, 15, 20)]


def test_the_share_done_is_told_with_the_newest_loss(tmp_path, capsys):
    shown(tmp_path, 40)
    told = [line for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert told[0].startswith("40 passes over the data … 10%, loss ")
    assert told[-1].startswith("40 passes over the data … 100%, loss ")


def test_metrics_are_there_before_the_end(tmp_path):
    class StoppedError(Exception):
        pass

    def interrupted(step, told):
        report.metrics(step=step)
        if step == 10:
            raise StoppedError

    report = Report(tmp_path, "training", None, 0, False)
    with pytest.raises(StoppedError):
        train_shown(jax.random.key(0), report, LEARNER, jnp.array(0.0), DATA, 4, 40, 5, interrupted)
    assert [line["step"] for line in lines(tmp_path)] == [1, 5, 10]
