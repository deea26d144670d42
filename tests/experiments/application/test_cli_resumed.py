"""The command line with checkpoints: runs that are broken off and resumed, and `all`."""

import json
from pathlib import Path

import pytest

from experiments.application import cli
from experiments.application.catalogue import Experiment
from tests.experiments.application.fakes import assert_refused, assert_refused_by_tyro, break_off, load, result


@pytest.mark.slow
@pytest.mark.parametrize(("segments", "killed"), [((1,), True), ((3, 2), False), ((5, 1), True)])
def test_a_run_that_was_broken_off_ends_as_one_that_was_not(training, capsys, monkeypatch, segments, killed):
    assert cli.main(["training", "--out", "whole"]) == 0
    assert len(training.SEGMENTS) == 6
    for number in segments:
        break_off(training, monkeypatch, number, ["training", "--out", "broken", "--resume"], killed)
        assert "interrupted: --resume continues the run" in capsys.readouterr().err
        assert Path("broken/config.json").exists()
        assert not Path("broken/summary.json").exists()
    assert cli.main(["training", "--out", "broken", "--resume"]) == 0
    # The segment that was broken into is lost, and no other; a training of three that is done is not done again.
    assert len(training.SEGMENTS) == 6 - sum(number - 1 for number in segments)
    assert result("broken") == result("whole")
    assert set(result("whole")[0]) == {"config.json", "metrics.jsonl", "first.png", "second.png"}


@pytest.mark.slow
def test_an_unfinished_run_is_refused_overwritten_or_resumed(training, capsys, monkeypatch):
    out = ["training", "--out", "run"]
    break_off(training, monkeypatch, 5, out, killed=True)
    capsys.readouterr()
    assert_refused(capsys, out, "--out: got run, which is not empty", "--resume")
    assert_refused(
        capsys, [*out, "--resume", "--rate", "0.2"], "--resume: got the run in run", "its rate is 0.1 and not 0.2"
    )
    assert_refused(capsys, [*out, "--resume", "--colour", "dark-blue"], 'its colour is "red"', '"dark-blue"')
    assert cli.main([*out, "--overwrite", "--rate", "0.2"]) == 0
    assert len(training.SEGMENTS) == 6
    assert cli.main(["training", "--out", "new", "--rate", "0.2"]) == 0
    assert result("run") == result("new")


@pytest.mark.slow
def test_checkpoints_stay_where_the_configuration_says_so(training, capsys, monkeypatch):
    assert cli.main(["training", "--out", "run", "--keep-checkpoints"]) == 0
    assert {path.name for path in Path("run/checkpoints").iterdir()} == {"README.txt", "first", "second"}
    assert cli.main(["training", "--out", "run", "--overwrite"]) == 0
    assert len(training.SEGMENTS) == 12  # begun anew
    assert not Path("run/checkpoints").exists()


@pytest.mark.slow
def test_a_folder_of_checkpoints_that_is_not_ours_is_refused(training, capsys, monkeypatch):
    assert cli.main(["training", "--out", "run"]) == 0
    Path("run/checkpoints").mkdir()
    Path("run/checkpoints/weights.npz").write_text("mine")
    for option in ("--overwrite", "--resume"):
        assert_refused(capsys, ["training", "--out", "run", option], "whose checkpoints is not from a run")
    assert len(training.SEGMENTS) == 6


@pytest.mark.slow
def test_enumerations_are_chosen_by_their_values(training, capsys):
    assert cli.main(["training", "--out", "run", "--colour", "dark-blue"]) == 0
    assert json.loads(Path("run/config.json").read_text())["config"]["colour"] == "dark-blue"
    assert_refused_by_tyro(capsys, ["training", "--colour", "DARK_BLUE"], "--colour", "dark-blue")


@pytest.fixture
def two(fake, tmp_path_factory, monkeypatch):
    """A table of two experiments and one that needs data."""
    folder = tmp_path_factory.mktemp("more")
    modules = {name: load(name, folder, monkeypatch) for name in ("first", "second")}
    table = [Experiment(name, name, f"Experiment {name}") for name in modules]
    table.append(Experiment("file", "ellipse", "This one needs a file", needs_data=True))
    monkeypatch.setattr(cli, "EXPERIMENTS", {experiment.name: experiment for experiment in table})
    return modules


def test_all_runs_each_into_its_own_folder(two, capsys):
    assert cli.main(["all", "--out", "run", "--quick", "--seed", "5"]) == 0
    assert {path.parent.name for path in Path("run").glob("*/summary.json")} == {"first", "second"}
    assert [(config.points, seed) for config, seed, _ in two["second"].RUNS] == [(2, 5)]
    assert_refused(capsys, ["all", "--out", "run", "--quick"], "--out: got run, which is not empty")
    assert cli.main(["all", "--out", "run", "--quick", "--seed", "5", "--resume"]) == 0
    assert capsys.readouterr().out.count("finished already") == 2


def test_all_judges_every_folder_before_it_runs_any(two, capsys):
    Path("run/second").mkdir(parents=True)
    Path("run/second/config.json").write_text("not ours")
    assert_refused(capsys, ["all", "--out", "run", "--overwrite"], "run/second", "not from a run")
    assert two["first"].RUNS == []
