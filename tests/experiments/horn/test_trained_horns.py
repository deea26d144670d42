"""Many horns that are trained at once are those that are trained alone, and their metrics are there on the way."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import gradient, problems, train
from ebmjax.energies import horn
from experiments.application.report import Report
from experiments.horn.trained_horns import WEIGHT_PENALTY, train_horns

KEYS = jax.random.split(jax.random.key(0), 3)
BETAS = np.array([0.5, 1.0, 2.0], np.float32)
EPOCHS, BATCH, RATE = 30, 8, 1e-2


def free(params, sample, beta):
    """No free energy, but a smooth function of all that it is given."""
    x, y = sample
    return beta * jnp.sum((params.predictor(x) - y) ** 2)


def trained(folder, data, resume=False):
    report = Report(folder, "horns", None, 0, False, resume=resume)
    return train_horns(report, "training", KEYS, free, BETAS, data, BATCH, EPOCHS, RATE)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("own", [False, True])
def test_each_horn_is_that_of_a_training_of_its_own(tmp_path, own):
    data_keys = jax.random.split(jax.random.key(1), 3)
    every = jax.vmap(lambda key: problems.horn_data(key, 16))(data_keys)
    first = jax.tree.map(lambda leaf: leaf[0], every)
    params, finite = trained(tmp_path, every if own else first)
    assert finite.tolist() == [True] * 3
    schedule = optax.cosine_decay_schedule(RATE, EPOCHS * 2)
    for row, (key, beta) in enumerate(zip(KEYS, BETAS, strict=True)):
        data = jax.tree.map(lambda leaf, row=row: leaf[row], every) if own else first
        init_key, train_key = jax.random.split(key)

        def loss(params, batch, beta=beta):
            penalty = WEIGHT_PENALTY * optax.tree.norm(params, squared=True)
            return jax.vmap(lambda *sample: free(params, sample, beta))(*batch).mean() + penalty

        learner = gradient(loss, optax.adam(schedule))
        alone = train(train_key, learner, horn.init(init_key), tuple(data), BATCH, EPOCHS)
        ours = jax.tree.map(lambda leaf, row=row: leaf[row], params)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), ours, alone.params)


@pytest.mark.slow
@pytest.mark.optax
def test_metrics_grow_with_the_training_and_are_right_after_a_kill_and_a_resume(tmp_path, monkeypatch):
    data = problems.horn_data(jax.random.key(1), 16)
    trained(tmp_path / "whole", data)
    whole = lines(tmp_path / "whole")
    assert [line["epoch"] for line in whole] == list(range(1, EPOCHS + 1))
    assert whole[-1]["median_loss"] < whole[0]["median_loss"]
    write = Report.metrics

    def killed(report, **values):
        write(report, **values)
        if values["epoch"] == 5:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Report, "metrics", killed)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "broken", data)
    assert lines(tmp_path / "broken") == whole[:5]
    trained(tmp_path / "broken", data, resume=True)
    assert lines(tmp_path / "broken") == whole
