"""What every experiment in the table must have."""

import ast
import dataclasses
import importlib
import inspect
import itertools

import pytest

from experiments.application import cli
from experiments.application.catalogue import EXPERIMENTS, FLAGSHIP


def explained(config):
    """Names of the fields under which a docstring stands: that is what --help prints."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(config)).body if isinstance(node, ast.ClassDef))
    return {
        statement.target.id
        for statement, below in itertools.pairwise(body)
        if isinstance(statement, ast.AnnAssign)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
    }


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_keeps_the_contract(name, capsys):
    module = importlib.import_module(EXPERIMENTS[name].module_name)
    assert "\n" in (module.__doc__ or "").strip(), "a title, and what it shows"
    assert isinstance(module.QUICK, module.Config)
    assert module.Config.__dataclass_params__.frozen
    own = {field.name for field in dataclasses.fields(module.Config)}
    assert not own & {field.name for field in dataclasses.fields(cli.Common)}
    assert own <= explained(module.Config)
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert all(f"--{option.replace('_', '-')}" in said for option in own)


def test_the_catalogue_is_sound():
    assert FLAGSHIP in EXPERIMENTS
    assert not {"list", "all", "help", "new"} & set(EXPERIMENTS)
    assert [experiment.name for experiment in EXPERIMENTS.values()] == list(EXPERIMENTS)
    assert [name for name in EXPERIMENTS if EXPERIMENTS[name].needs_data] == ["log_partition", "fit"]
    coders = ["natural_patches", "million_patches", "sparse_mnist", "few_labels"]
    assert [name for name in EXPERIMENTS if EXPERIMENTS[name].small_loops] == coders
