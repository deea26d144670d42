"""Fake experiments as fixtures: each is in the catalogue for the time of one test, in an empty current folder."""

import pytest

from tests.experiments.application.fakes import TRAINING, load


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
