"""Fake experiments as fixtures: each is in the catalogue for the time of one test, in an empty current folder."""

import types

import pytest

from experiments.application.report import Report
from tests.experiments.application.fakes import TRAINING, Config, load


@pytest.fixture
def report(tmp_path):
    """The record of a run, whose experiment has a docstring."""
    module = types.ModuleType(
        "experiments.fake", "A title with `code` & <b>.\n\nWhat it shows.\n\n    F = -log Z < 0\n"
    )
    module.Config, module.QUICK = Config, Config()
    return Report(tmp_path / "run", "fake", Config(), seed=3, quick=True, module=module)


@pytest.fixture
def fake(tmp_path_factory, tmp_path, monkeypatch):
    """The fake experiment, and an empty current folder."""
    module = load("fake", tmp_path_factory.mktemp("modules"), monkeypatch)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.fixture
def training(tmp_path_factory, tmp_path, monkeypatch):
    """The fake that trains, and an empty current folder."""
    module = load("training", tmp_path_factory.mktemp("modules"), monkeypatch, TRAINING)
    monkeypatch.chdir(tmp_path)
    return module
