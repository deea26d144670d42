"""The data of every experiment's default options are at hand on a machine without a network and without EBMJAX_DATA."""

import importlib
import socket

import pytest

from experiments.application.catalogue import EXPERIMENTS
from experiments.data import images, natural


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if not EXPERIMENTS[name].needs_data])
def test_default_data_need_no_network(name, monkeypatch, tmp_path):
    def refused(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.delenv("EBMJAX_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "socket", refused)
    module = importlib.import_module(EXPERIMENTS[name].module_name)
    for config in (module.Config(), module.QUICK):
        if isinstance(getattr(config, "images", None), images.Images):
            assert len(images.load(config.images).train) > 1000
        if isinstance(getattr(config, "pictures", None), natural.Natural):
            assert len(natural.load(config.pictures)) > 1
