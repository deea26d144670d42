"""The command line: what it runs, what it refuses, and that a refusal says what was wrong and changes nothing."""

import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import pytest

from ebmjax.checks import ArgumentError
from experiments.application import cli
from experiments.application.catalogue import Experiment

FAKE = '''"""A fake experiment.

It squares a number.
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

from ebmjax.checks import ArgumentError
from experiments.application import options
from experiments.application.report import Report


@dataclass(frozen=True)
class Config:
    points: options.Count = 4
    """How many points there are."""
    betas: tuple[float, ...] = (0.1, float("inf"))
    """Inverse temperatures."""
    fail: str = ""
    """The way in which the run goes wrong."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(points=2)
RUNS = []


def refuse(x):
    raise ArgumentError(f"x: got shape {x.shape}, wanted ()")


def run(config: Config, report: Report) -> None:
    RUNS.append((config, report.seed, report.quick))
    if config.fail == "check":
        raise ArgumentError("file.csv, row 3: got 'a',\\n wanted a number")
    if config.fail == "inside jit":
        jax.jit(refuse)(jnp.ones(3))
    if config.fail == "numpy bug":
        int("no number")
    if config.fail == "own bug":
        raise ValueError("this should not happen")
    if config.fail == "own type bug":
        raise TypeError("this should not happen")
    if config.fail == "jax bug":
        jnp.ones(3) @ jnp.ones(4)
    if config.fail == "interrupt":
        raise KeyboardInterrupt
    report.metrics(step=0, loss=1.5)
    report.figure("curve" if config.points == 4 else "other_curve", Figure())
    report.summary(squares=jnp.arange(config.points) ** 2)
    if config.fail == "late":
        raise ArgumentError("late: got, wanted earlier")
    report.summary(total=1)
'''


TRAINING = '''"""A fake that trains, and can be told to break off."""

import enum
from dataclasses import dataclass

import jax.numpy as jnp
import optax

from ebmjax.learn.checkpoint import train_resumable
from ebmjax.learn.gradient import gradient
from experiments.drawing import plots
from experiments.application.report import Report


class Colour(enum.Enum):
    RED = "red"
    DARK_BLUE = "dark-blue"


@dataclass(frozen=True)
class Config:
    rate: float = 0.1
    colour: Colour = Colour.RED
    keep_checkpoints: bool = False


QUICK = Config()
SEGMENTS = []
BREAK_AFTER = []


def run(config: Config, report: Report) -> None:
    def healthy(params, metrics):
        SEGMENTS.append(float(params))
        if BREAK_AFTER and len(SEGMENTS) == BREAK_AFTER[0]:
            raise KeyboardInterrupt
        return True

    learner = gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(config.rate))
    data = jnp.linspace(0.0, 1.0, 6)
    for name in ("first", "second"):
        trained, _ = train_resumable(
            report.key(), learner, jnp.array(0.0), data, 2, 6, report.checkpoints / name, every=2, healthy=healthy
        )
        for epoch, loss in enumerate(trained.metrics.learner.loss):
            report.metrics(training=name, epoch=epoch, loss=loss)
        figure, axes = plots.one()
        axes.plot(trained.metrics.learner.loss.ravel())
        report.figure(name, figure)
        report.summary(**{name: trained.params})
'''


def load(name, path, monkeypatch, source=FAKE):
    """Make the fake the experiment `name`; a real file, because option texts are read from the source."""
    path.mkdir(exist_ok=True)
    (path / f"{name}.py").write_text(source)
    spec = importlib.util.spec_from_file_location(f"experiments.{name}.{name}", path / f"{name}.py")
    monkeypatch.setitem(cli.EXPERIMENTS, name, Experiment(name, name, f"Experiment {name}"))
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, f"experiments.{name}.{name}", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake(tmp_path_factory, tmp_path, monkeypatch):
    """The fake experiment, and an empty current folder."""
    module = load("fake", tmp_path_factory.mktemp("modules"), monkeypatch)
    monkeypatch.chdir(tmp_path)
    return module


def contents(folder):
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def assert_refused(capsys, arguments, *fragments):
    """Exit status 2, one line on standard error that holds the fragments, and the current folder as it was."""
    before = contents(".")
    assert cli.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    assert said.endswith("\n")
    assert said.startswith("error: ")
    assert "Traceback" not in said
    for fragment in fragments:
        assert fragment in said
    assert contents(".") == before


def assert_refused_by_tyro(capsys, arguments, *fragments):
    """Exit status 2, tyro's box on standard error that holds the fragments, and the current folder as it was."""
    before = contents(".")
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.out == ""
    text = " ".join(re.sub("[╭╮╰╯│─]", " ", said.err).split())
    assert "Traceback" not in text
    assert f"python -m experiments {arguments[0]} --help" in text
    for fragment in fragments:
        assert fragment in text
    assert contents(".") == before


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


@pytest.fixture
def training(tmp_path_factory, tmp_path, monkeypatch):
    """The fake that trains, and an empty current folder."""
    module = load("training", tmp_path_factory.mktemp("modules"), monkeypatch, TRAINING)
    monkeypatch.chdir(tmp_path)
    return module


def result(folder):
    """What a run leaves, times and the page that tells them aside."""
    files = {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.name != "report.html"}
    summary = json.loads(files.pop("summary.json"))
    return files, {key: value for key, value in summary.items() if not key.startswith("seconds")}


def break_off(training, monkeypatch, segments, arguments, killed=False):
    """Run until so many segments are trained; a killed run has no chance to tidy up."""
    training.SEGMENTS.clear()
    training.BREAK_AFTER[:] = [segments]
    with monkeypatch.context() as patch:
        if killed:
            patch.setattr(cli.Report, "discard", lambda report: None)
        assert cli.main(arguments) == 130
    training.SEGMENTS.clear()
    training.BREAK_AFTER.clear()


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


def test_checkpoints_stay_where_the_configuration_says_so(training, capsys, monkeypatch):
    assert cli.main(["training", "--out", "run", "--keep-checkpoints"]) == 0
    assert {path.name for path in Path("run/checkpoints").iterdir()} == {"README.txt", "first", "second"}
    assert cli.main(["training", "--out", "run", "--overwrite"]) == 0
    assert len(training.SEGMENTS) == 12  # begun anew
    assert not Path("run/checkpoints").exists()


def test_a_folder_of_checkpoints_that_is_not_ours_is_refused(training, capsys, monkeypatch):
    assert cli.main(["training", "--out", "run"]) == 0
    Path("run/checkpoints").mkdir()
    Path("run/checkpoints/weights.npz").write_text("mine")
    for option in ("--overwrite", "--resume"):
        assert_refused(capsys, ["training", "--out", "run", option], "whose checkpoints is not from a run")
    assert len(training.SEGMENTS) == 6


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


def test_all_stops_at_the_first_failure_and_keeps_what_is_done(two, capsys, monkeypatch):
    def fails(config, report):
        raise ArgumentError("luck: got none, wanted some")

    monkeypatch.setattr(two["second"], "run", fails)
    assert cli.main(["all", "--out", "run"]) == 2
    assert capsys.readouterr().err == "error: luck: got none, wanted some\n"
    assert Path("run/first/summary.json").exists()
    assert not Path("run/second").exists()
