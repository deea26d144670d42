"""The command line: what it runs, what it refuses, and that a refusal says what was wrong and changes nothing."""

import json
import os
import re
from pathlib import Path

import jax
import pytest

from experiments.application import cli
from tests.experiments.application.fakes import assert_refused, assert_refused_by_tyro, contents


def test_list_names_every_experiment_without_importing_any(capsys, monkeypatch):
    def forbidden(name):
        raise AssertionError(f"list imported {name}")

    monkeypatch.setattr(cli.importlib, "import_module", forbidden)
    assert cli.main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(cli.EXPERIMENTS)
    assert all(len(line.split()) > 2 for line in lines)


def test_help_explains_the_command_and_every_option(fake, capsys):
    assert cli.main(["--help"]) == 0
    assert "ellipse_training" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        cli.main(["fake", "--help"])
    assert stop.value.code == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for text in ("--points INT", "How many points there are.", "default: 4", "--betas", "--fail", "--out", "--seed"):
        assert text in said
    for text in ("--quick", "--resume", "--overwrite", "Seed of all random numbers."):
        assert text in said
    with pytest.raises(SystemExit):
        cli.main(["fake", "--quick", "--help"])
    assert "default: 2" in capsys.readouterr().out


def test_a_run_leaves_its_record_and_says_its_figures(fake, capsys):
    assert cli.main(["fake", "--out", "deep/run", "--seed", "7", "--points", "3"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"squares +0, 1, 4\n", said)
    assert re.search(r"compiled in \d+\.\d s, ran in \d+\.\d s\n", said)
    assert said.endswith(f"report: {Path('deep/run/report.html')}\n")
    names = {path.name for path in Path("deep/run").iterdir()}
    assert names == {"config.json", "metrics.jsonl", "summary.json", "report.html", "other_curve.png"}
    record = json.loads(Path("deep/run/config.json").read_text())
    assert record == {
        "experiment": "fake",
        "seed": 7,
        "quick": False,
        "config": {"points": 3, "betas": [0.1, "inf"], "fail": ""},
    }
    assert json.loads(Path("deep/run/summary.json").read_text())["squares"] == [0, 1, 4]


def test_the_default_folder_is_dated(fake, capsys):
    assert cli.main(["fake"]) == 0
    (folder,) = Path("results").iterdir()
    assert re.fullmatch(r"fake-\d{8}-\d{6}", folder.name)


def test_coders_of_patches_ask_for_loops_in_one_kernel(fake, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=")
    assert cli.main(["fake", "--out", "a"]) == 0
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to="
    monkeypatch.setitem(cli.EXPERIMENTS, "fake", cli.EXPERIMENTS["fake"]._replace(small_loops=True))
    for folder in ("b", "c"):
        assert cli.main(["fake", "--out", folder]) == 0
        assert os.environ["XLA_FLAGS"] == f"--xla_dump_to= {cli.ONE_KERNEL}"


def test_quick_runs_ask_for_quick_compiling(fake, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    assert cli.main(["fake", "--out", "a"]) == 0
    assert os.environ["XLA_FLAGS"] == ""
    assert cli.main(["fake", "--quick", "--out", "b"]) == 0
    assert os.environ["XLA_FLAGS"].split() == list(cli.QUICKLY_COMPILED)
    assert len(cli.QUICKLY_COMPILED) == (2 if jax.__version_info__[:2] == (0, 10) else 1)
    of_the_user = "--xla_backend_optimization_level=2"
    monkeypatch.setenv("XLA_FLAGS", of_the_user)
    assert cli.main(["fake", "--quick", "--out", "c"]) == 0
    assert os.environ["XLA_FLAGS"].split() == [of_the_user, *cli.QUICKLY_COMPILED[1:]]


def test_quick_changes_defaults_and_explicit_options_win(fake, capsys):
    assert cli.main(["fake", "--quick", "--out", "a"]) == 0
    assert cli.main(["fake", "--points", "9", "--quick", "--out", "b", "--betas", "1", "inf"]) == 0
    assert [(config.points, quick) for config, _, quick in fake.RUNS] == [(2, True), (9, True)]
    assert fake.RUNS[1][0].betas == (1.0, float("inf"))


def test_without_a_name_the_flagship_runs(fake, capsys, monkeypatch):
    monkeypatch.setattr(cli, "FLAGSHIP", "fake")
    assert cli.main([]) == 0
    assert cli.main(["--out", "here", "--seed", "3"]) == 0
    assert [seed for _, seed, _ in fake.RUNS] == [0, 3]


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["horn_swep"], ("NAME: got 'horn_swep', wanted", "did you mean horn_sweep?")),
        (["ellipse-inference"], ("did you mean ellipse_inference?",)),
        (["zzzzzz"], ("NAME: got 'zzzzzz', wanted", "list")),
        (["list", "extra"], ("list: got extra, wanted",)),
        (["fake", "--fail", "check"], ("file.csv, row 3: got 'a', wanted a number",)),
        (["fake", "--fail", "inside jit"], ("x: got shape (3,), wanted ()",)),
    ],
    ids=" ".join,
)
def test_bad_input_is_one_line_and_leaves_nothing(fake, capsys, arguments, fragments):
    assert_refused(capsys, arguments, *fragments)


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["fake", "--pionts", "3"], ("--pionts", "--points")),
        (["fake", "stray"], ("stray",)),
        (["fake", "--points", "three"], ("--points", "'three'", "--points INT")),
        (["fake", "--points"], ("--points",)),
        (["fake", "--betas", "1", "x"], ("--betas", "'x'")),
        (["fake", "--points", "0"], ("--points: got 0, wanted at least 1",)),
        (["fake", "--seed", "-1"], ("--seed: got -1, wanted a number from 0 to 4294967295",)),
        (["fake", "--seed", str(2**32)], ("--seed: got 4294967296, wanted a number from 0 to 4294967295",)),
        (["fake", "--seed", "1.5"], ("--seed", "'1.5'", "--seed INT")),
        (["fake", "--resume", "--overwrite"], ("--resume and --overwrite: got both, wanted at most one",)),
        (["all", "--points", "3"], ("--points",)),
    ],
    ids=" ".join,
)
def test_a_bad_option_is_explained_by_tyro_and_leaves_nothing(fake, capsys, arguments, fragments):
    assert_refused_by_tyro(capsys, arguments, *fragments)
    assert fake.RUNS == []


@pytest.mark.parametrize("folder", ["file", "file/below", "file/far/below"])
def test_a_folder_that_cannot_be_made_is_refused_before_computing(fake, capsys, folder):
    Path("file").write_text("mine")
    assert_refused(capsys, ["fake", "--out", folder], folder, "file")
    assert fake.RUNS == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root can write")
def test_a_folder_that_cannot_be_written_is_refused_before_computing(fake, capsys):
    assert_refused(
        capsys, ["fake", "--out", "/proc/self/run"], "--out: got /proc/self/run", "wanted a folder that can be written"
    )
    assert fake.RUNS == []


def test_a_folder_that_is_not_empty_is_refused(fake, capsys):
    assert cli.main(["fake", "--out", "run"]) == 0
    assert_refused(capsys, ["fake", "--out", "run"], "--out: got run, which is not empty", "--resume", "--overwrite")
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    assert_refused(capsys, ["fake", "--out", "mine"], "--out: got mine, which is not empty")
    assert_refused(capsys, ["fake", "--out", "mine", "--resume"], "holds no run to resume")
    assert len(fake.RUNS) == 1


def test_overwrite_replaces_the_earlier_run_and_nothing_else(fake, capsys):
    assert cli.main(["fake", "--out", "run"]) == 0
    picture = Path("run/curve.png").read_bytes()
    Path("run/holiday.png").write_bytes(picture.replace(b"ebmjax", b"camera"))
    Path("run/notes.txt").write_text("mine")
    assert cli.main(["fake", "--out", "run", "--overwrite", "--points", "3"]) == 0
    names = {path.name for path in Path("run").iterdir()}
    assert "curve.png" not in names
    assert names >= {"other_curve.png", "holiday.png", "notes.txt"}
    assert Path("run/notes.txt").read_text() == "mine"
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 1


def test_overwrite_spares_the_earlier_run_if_the_new_one_is_refused(fake, capsys):
    assert cli.main(["fake", "--out", "run"]) == 0
    assert_refused(capsys, ["fake", "--out", "run", "--overwrite", "--fail", "check"], "row 3")
    assert_refused_by_tyro(capsys, ["fake", "--out", "run", "--overwrite", "--points", "x"], "--points", "'x'")


def test_overwrite_spares_files_of_another_program(fake, capsys):
    Path("theirs").mkdir()
    Path("theirs/config.json").write_text('{"port": 80}')
    for option in ("--overwrite", "--resume"):
        assert_refused(
            capsys, ["fake", "--out", "theirs", option], "--out: got theirs, whose config.json is not from a run"
        )


def test_resume_leaves_a_finished_run_alone(fake, capsys):
    assert cli.main(["fake", "--out", "run"]) == 0
    before = contents("run")
    assert cli.main(["fake", "--out", "run", "--resume"]) == 0
    assert "this run is finished already" in capsys.readouterr().out
    assert contents("run") == before
    assert len(fake.RUNS) == 1


def test_resume_completes_an_unfinished_run(fake, capsys):
    assert cli.main(["fake", "--out", "run"]) == 0
    before = {name: data for name, data in contents("run").items() if not name.endswith((".html", "summary.json"))}
    Path("run/summary.json").unlink()
    assert cli.main(["fake", "--out", "run", "--resume"]) == 0
    after = contents("run")
    assert {name: after[name] for name in before} == before
    assert str(Path("run/summary.json")) in after
    assert cli.main(["fake", "--out", "new", "--resume"]) == 0  # nothing to resume from is a start


@pytest.mark.parametrize("option", [("--points", "3"), ("--seed", "1"), ("--betas", "1")])
def test_resume_refuses_another_configuration(fake, capsys, option):
    assert cli.main(["fake", "--out", "run"]) == 0
    assert_refused(
        capsys,
        ["fake", "--out", "run", "--resume", *option],
        "--resume: got the run in run",
        f"its {option[0].strip('-')} is",
    )


def test_what_a_run_found_before_it_failed_stays(fake, capsys):
    assert cli.main(["fake", "--out", "run", "--fail", "late"]) == 2
    assert capsys.readouterr().err == "error: late: got, wanted earlier\n"
    names = {path.name for path in Path("run").iterdir()}
    assert names == {"config.json", "metrics.jsonl", "curve.png"}


@pytest.mark.parametrize("bug", ["numpy bug", "jax bug", "own bug", "own type bug"])
def test_a_bug_keeps_its_traceback(fake, bug):
    with pytest.raises((ValueError, TypeError)):
        cli.main(["fake", "--out", "run", "--fail", bug])


def test_interrupting_is_one_line(fake, capsys):
    assert cli.main(["fake", "--out", "run", "--fail", "interrupt"]) == 130
    said = capsys.readouterr().err
    assert said.startswith("interrupted")
    assert said.count("\n") == 1
