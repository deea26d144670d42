"""The command line that repeats a run, and the one that continues it."""

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import tyro

from experiments.application.records import plain


def command(record: Mapping[str, Any], module: ModuleType) -> str:
    """The command line that repeats a run: its seed, and those of its options that are not the defaults.

    Args:
        record: the content of config.json.
        module: the module of the experiment.
    """
    usual = defaults(module, record["quick"])
    changed = {name: value for name, value in record["config"].items() if name not in usual or value != usual[name]}
    words = ["python", "-m", "experiments", record["experiment"], *["--quick"] * record["quick"]]
    words += ["--seed", str(record["seed"])]
    return shlex.join(words + [word for name, value in changed.items() for word in option(name, value)])


def continuing(command: str, folder: Path) -> str:
    """The command line that continues a run in its folder.

    >>> continuing("python -m experiments horn --seed 0", Path("my results/horn"))
    "python -m experiments horn --seed 0 --resume --out 'my results/horn'"
    """
    return f"{command} {shlex.join(['--resume', '--out', str(folder)])}"


def defaults(module: ModuleType, quick: bool) -> dict[str, Any]:
    """The defaults of an experiment's options, in the types of JSON. Those that the user must give are not there."""
    fields = dataclasses.fields(module.Config)
    found = {field.name: getattr(module.QUICK, field.name) if quick else field.default for field in fields}
    missing = (dataclasses.MISSING, tyro.MISSING)
    return {name: plain(value) for name, value in found.items() if not any(value is one for one in missing)}


def option(name: str, value: Any) -> list[str]:
    """The words of one option on the command line.

    >>> option("betas", [0.1, "inf"]), option("grey", True), option("grey", False), option("data", None)
    (['--betas', '0.1', 'inf'], ['--grey'], ['--no-grey'], ['--data', 'None'])
    """
    dashed = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{dashed}" if value else f"--no-{dashed}"]
    return [f"--{dashed}", *map(str, value if isinstance(value, list) else [value])]
