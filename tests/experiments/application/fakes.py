"""Fake experiments for the tests of the command line, and what these tests ask of a run."""

import importlib.util
import json
import math
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments.application import cli
from experiments.application.catalogue import Experiment


@dataclass(frozen=True)
class Config:
    """Options with values that JSON does not have."""

    betas: tuple[float, ...] = (0.1, math.inf)
    data: Path = Path("points.csv")


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
    done = dict(first=0, second=0)

    def healthy(params, metrics):
        done[name] += len(metrics.loss)
        if (report.checkpoints / name / str(done[name])).exists():
            return True  # a training that goes on tells first what it has done already
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
