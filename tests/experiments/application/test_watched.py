"""Training that is watched: what diverges is stopped, kept and said."""

import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.learn import checkpoint
from ebmjax.learn.train import begin
from ebmjax.types import DIVERGED, STEP_LIMIT, Learner
from experiments.application.report import Report
from experiments.application.watched import train_watched


class Grown(NamedTuple):
    params: jax.Array


def growing(factor):
    """A learner whose one parameter is multiplied at each update."""
    return Learner(lambda key, params: Grown(params), lambda key, state, batch: (Grown(state.params * factor), None))


def watched(tmp_path, factor):
    report = Report(tmp_path, "growth", None, 0, False)
    learner, start, data = growing(factor), jnp.array(1.0), jnp.ones((4, 1))
    measure = lambda params: {"value": params, "too large to sum": jnp.nan}
    row_of = lambda measured: {"value": measured["value"]}
    return report, train_watched(jax.random.key(0), report, "growing", learner, start, data, 2, 3, 5, measure, row_of)


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_sound_training_runs_to_its_end(tmp_path):
    report, result = watched(tmp_path, 1.1)
    assert result.result == STEP_LIMIT
    assert result.updates.tolist() == [0, 6, 12, 18, 24, 30]
    np.testing.assert_allclose(result.measures["value"], 1.1**result.updates, rtol=1e-5)
    summary = report.finish()
    assert "diverged" not in summary
    assert not (tmp_path / "checkpoints").exists()


def test_an_explosion_is_stopped_kept_on_disk_and_said(tmp_path, capsys):
    report, result = watched(tmp_path, 2.0)  # 64, then 4096
    assert result.result == DIVERGED
    assert result.updates.tolist() == [0, 6]
    assert result.measures["value"].tolist() == [1, 64]
    assert float(result.params) == 64
    assert lines(tmp_path) == [{"training": "growing", "step": step, "value": 2**step} for step in (0, 6)]
    assert "growing diverged after 6 updates" in capsys.readouterr().out
    report.finish()
    assert json.loads((tmp_path / "summary.json").read_text())["diverged"] == ["growing"]
    assert "diverged after 6 updates" in (tmp_path / "report.html").read_text()
    progress, _ = begin(jax.random.key(0), growing(2.0), jnp.array(1.0), 15)
    found = checkpoint.restore(
        tmp_path / "checkpoints" / "growing",
        (progress, {"value": np.zeros(6, np.float32), "too large to sum": np.zeros(6)}),
    )
    assert found is not None
    step, (saved, _) = found
    assert (step, float(saved.state.params)) == (1, 64)


def test_metrics_grow_with_the_training_and_are_right_after_a_kill_and_a_resume(tmp_path):
    learner, start, data, value_of = (
        growing(1.5),
        jnp.array(1.0),
        jnp.ones((4, 1)),
        lambda measured: {"value": measured},
    )
    seen = []

    def measure(params):
        seen.append(len(lines(tmp_path)) if (tmp_path / "metrics.jsonl").exists() else 0)
        if len(seen) == kill_at:
            raise KeyboardInterrupt
        return params

    def run(resume):
        report = Report(tmp_path, "growth", None, 0, False, resume=resume)
        return train_watched(jax.random.key(0), report, "growing", learner, start, data, 2, 1, 4, measure, value_of)

    kill_at = 4
    with pytest.raises(KeyboardInterrupt):
        run(resume=False)
    assert seen == [0, 1, 2, 3]
    kill_at = None
    result = run(resume=True)
    assert [(line["step"], line["value"]) for line in lines(tmp_path)] == [
        (2 * row, 1.5 ** (2 * row)) for row in range(5)
    ]
    assert result.updates.tolist() == [0, 2, 4, 6, 8]
