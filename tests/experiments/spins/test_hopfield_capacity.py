"""The capacity of Hopfield networks: each load is told as soon as its networks are done."""

import json

import jax
import numpy as np
import pytest

from ebmjax.energies.hopfield import hebbian
from experiments.application.report import Report
from experiments.spins import hopfield_capacity


@pytest.mark.slow
def test_a_load_is_a_line_of_metrics_as_soon_as_its_networks_are_done(tmp_path, capsys):
    """Three networks at each of four loads, with two shares of flipped spins: pieces of one network."""
    config = hopfield_capacity.Config(recalled=2)
    loads, flips = (0.05, 0.1, 0.2, 1.0), {"stored": 0.0, "flipped": 0.1}
    report = Report(tmp_path, "hopfield_capacity", None, 0, False)
    path, lengths = tmp_path / "metrics.jsonl", []

    def row_of(overlaps):
        lengths.append(len(path.read_text().splitlines()) if path.exists() else 0)
        return {"mean": overlaps.mean()}

    overlaps = hopfield_capacity._measure(
        config, report, "measuring", jax.random.key(0), hopfield_capacity._plain(hebbian), 800, 3, loads, flips, row_of
    )
    assert overlaps.shape == (2, 4, 3, 2)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["rule"], line["load"]) for line in lines] == [(name, load) for name in flips for load in loads]
    np.testing.assert_allclose([line["mean"] for line in lines], overlaps.mean(axis=(2, 3)).ravel(), rtol=1e-6)
    assert lengths == list(range(8))
    said = [line for line in capsys.readouterr().out.splitlines() if "%" in line]
    assert len(said) == 24
    assert all("%, overlap " in line for line in said)
