"""`all`: one failure does not stop the others, the page of all is always true, and commands repeat their runs."""

import json
import re
import shlex
from pathlib import Path

import pytest

from ebmjax.checks import ArgumentError
from experiments.application import cli, repeating
from experiments.application.catalogue import Experiment
from tests.experiments.application.fakes import assert_refused, assert_refused_by_tyro, contents, load

# Plain Python, so that a run takes no time.
TINY = '''"""A tiny experiment."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from experiments.application.report import Report


@dataclass(frozen=True)
class Config:
    rate: float = 0.5
    """A rate."""
    betas: tuple[float, ...] = (1.0,)
    """Inverse temperatures."""
    words: tuple[str, ...] = ("a",)
    """Words."""
    grey: bool = False
    """Whether it is grey."""
    sharp: bool = True
    """Whether it is sharp."""
    atoms: int | None = None
    """Atoms."""


QUICK = Config(rate=2.0)
RUNS = []


def run(config: Config, report: Report) -> None:
    RUNS.append((config, report.seed, report.quick))
    for step in range(3):
        report.metrics(training="cold", step=step, loss=config.rate / (1 + step))
    report.figure("first_one", Figure(), "A `curve` < 1.")
    report.figure("another", Figure())
    report.summary(error=config.rate, radius=float("inf"), third=3.0)
'''


@pytest.fixture
def three(tmp_path_factory, tmp_path, monkeypatch):
    """A table of three tiny experiments and one that needs data, and an empty current folder."""
    folder = tmp_path_factory.mktemp("modules")
    modules = {name: load(name, folder, monkeypatch, TINY) for name in ("one", "two", "three")}
    table = [Experiment(name, name, f"What `{name}` < shows") for name in modules]
    table.append(Experiment("file", "ellipse", "This one needs a file", needs_data=True))
    monkeypatch.setattr(cli, "EXPERIMENTS", {experiment.name: experiment for experiment in table})
    monkeypatch.chdir(tmp_path)
    return modules


def breaks(error):
    def run(config, report):
        raise error

    return run


def states():
    """The state of each experiment on the page, and every address on it, which must be that of a file beside it."""
    text = Path("run/index.html").read_text()
    addresses = re.findall(r'(?:href|src)="([^"]*)"', text)
    assert all(Path("run", address).is_file() for address in addresses), addresses
    assert "<script" not in text
    assert "http" not in text
    return {name: state for state, name in re.findall(r'class="card (\w+)" id="(\w+)"', text)}


def test_one_failure_does_not_stop_the_others_and_resuming_tries_it_again(three, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(three["two"], "run", breaks(KeyError("lost <b>")))
        assert cli.main(["all", "--out", "run", "--seed", "5"]) == 1
    said = capsys.readouterr()
    assert "2 of 3: two" in said.out
    assert "two failed: KeyError: 'lost <b>'\n" in said.out
    assert said.err == "1 of 3 failed: two; --resume tries them again\n"
    assert states() == {"one": "finished", "two": "failed", "three": "finished"}
    assert "raise error\nKeyError" in Path("run/two/failure.txt").read_text()
    page = Path("run/index.html").read_text()
    for text in (
        "2 finished, 1 failed",
        "What <code>one</code> &lt; shows",
        'src="one/first_one.png" alt="A curve &lt; 1." loading="lazy"',
        "<dt>radius</dt><dd>∞</dd>",
        "KeyError: &#39;lost &lt;b&gt;&#39;",
        "python -m experiments two --quick --seed 5 --resume --out run/two",
        "python -m experiments one --quick --seed 5<",
        "python -m experiments all --seed 5 --resume --out run<",
    ):
        assert text in page, text
    assert '<a href="../index.html">All experiments</a>' in Path("run/one/report.html").read_text()
    before = contents("run/one")
    assert cli.main(["all", "--out", "run", "--seed", "5", "--resume"]) == 0
    assert states() == dict.fromkeys(three, "finished")
    assert contents("run/one") == before
    assert not Path("run/two/failure.txt").exists()
    assert "--resume" not in Path("run/index.html").read_text()
    assert [len(module.RUNS) for module in three.values()] == [1, 1, 1]


def test_the_page_is_true_after_an_interruption(three, capsys, monkeypatch):
    monkeypatch.setattr(three["two"], "run", breaks(KeyboardInterrupt()))
    assert cli.main(["all", "--out", "run"]) == 130
    assert states() == {"one": "finished", "two": "waiting", "three": "waiting"}
    assert "1 finished, 2 waiting" in Path("run/index.html").read_text()
    assert three["three"].RUNS == []


def test_all_is_quick_unless_it_is_full(three, capsys):
    assert cli.main(["all", "--out", "a"]) == cli.main(["all", "--out", "b", "--quick"]) == 0
    assert cli.main(["all", "--out", "c", "--full"]) == 0
    assert [(config.rate, quick) for config, _, quick in three["one"].RUNS] == [(2, True), (2, True), (0.5, False)]
    assert_refused_by_tyro(capsys, ["all", "--quick", "--full"], "--quick and --full: got both")
    Path("mine").mkdir()
    Path("mine/index.html").write_text("<h1>My holidays</h1>")
    assert_refused(capsys, ["all", "--out", "mine", "--overwrite"], "mine, whose index.html is another's")


@pytest.mark.parametrize(
    "options",
    [
        ["--rate", "0.125", "--betas", "0.1", "inf", "--grey", "--atoms", "3"],
        ["--quick", "--no-sharp", "--words", "with space", "$x", "--seed", "7"],
        ["--words", "--rate", "1e-09"],
    ],
    ids=" ".join,
)
def test_the_command_on_the_page_repeats_the_run(three, capsys, options):
    assert cli.main(["one", "--out", "first", *options]) == 0
    record = json.loads(Path("first/config.json").read_text())
    words = shlex.split(repeating.command(record, three["one"]))
    assert words[:3] == ["python", "-m", "experiments"]
    assert cli.main([*words[3:], "--out", "again"]) == 0
    assert Path("again/config.json").read_bytes() == Path("first/config.json").read_bytes()
    assert "To repeat it" in Path("first/report.html").read_text()
    assert "--sharp" not in words
    assert "--out" not in words


def test_metrics_are_events_of_tensorboard_too(three, capsys, monkeypatch):
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    assert cli.main(["one", "--out", "run", "--tensorboard"]) == 0
    (path,) = Path("run/tensorboard").iterdir()
    path.rename(path.with_name("events.out.tfevents.1.earlier"))  # by its name from another second
    assert cli.main(["one", "--out", "run", "--tensorboard", "--overwrite"]) == 0
    (path,) = Path("run/tensorboard").iterdir()
    data, found = path.read_bytes(), []
    while data:  # a record is its length in 8 bytes, 4 bytes, its content, 4 bytes
        length = int.from_bytes(data[:8], "little")
        event = proto.Event.FromString(data[12 : 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        data = data[16 + length :]
    assert found == [("cold/loss", step, pytest.approx(0.5 / (1 + step))) for step in range(3)]
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert_refused(capsys, ["two", "--out", "new", "--tensorboard"], "--tensorboard: got no package", "pip install")
    assert_refused(capsys, ["all", "--out", "new", "--tensorboard"], "--tensorboard: got no package")


def test_pandas_reads_metrics_in_one_line(three, capsys):
    pandas = pytest.importorskip("pandas")
    assert cli.main(["one", "--out", "run"]) == 0
    table = pandas.read_json("run/metrics.jsonl", lines=True)
    assert list(table.columns) == ["training", "step", "loss"]
    assert table.loss.sum() == pytest.approx(0.5 + 0.25 + 0.5 / 3)


def test_a_refusal_of_one_is_told_as_it_would_be_alone(three, capsys, monkeypatch):
    monkeypatch.setattr(three["one"], "run", breaks(ArgumentError("luck: got none,\n wanted some")))
    assert cli.main(["all", "--out", "run"]) == 1
    assert "one failed: luck: got none, wanted some\n" in capsys.readouterr().out
    assert Path("run/one/failure.txt").read_text().startswith("luck: got none, wanted some\n\nTraceback")
