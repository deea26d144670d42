"""`python -m experiments compare RUN RUN …`: runs of one experiment side by side on one page.

`compare.html` beside this file is its template, `comparison_pictures` draws the curves, and `directions` knows which
headline figures are better when they are lower or higher.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote

import tyro

from ebmjax.checks import ArgumentError
from experiments.application import comparison_pictures, page, repeating
from experiments.application.catalogue import EXPERIMENTS
from experiments.application.directions import direction
from experiments.application.formatting import number
from experiments.application.records import CONFIG, METRICS, PAGE, SUMMARY, make_folder, write
from experiments.application.report import Report
from experiments.application.series import numbers

COMPARISON = "compare.html"
DESCRIPTION = (
    "Lays finished runs of one experiment side by side on the page OUT/compare.html: what differs in their options, "
    "their headline figures, these figures against every number among the options that differ, and their curves."
)


@dataclass(frozen=True)
class Options:
    """Options of `compare`."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """The folders of two or more finished runs of the same experiment."""
    out: Path
    """The folder of the page. Other files there are kept."""


class Run(NamedTuple):
    """What a finished run has left."""

    folder: Path
    label: str
    """What it is called on the page."""
    record: dict[str, Any]
    """The content of config.json."""
    results: dict[str, Any]
    """The content of summary.json."""
    lines: list[dict[str, Any]]
    """Those of metrics.jsonl; empty if there is no such file."""


class Cell(NamedTuple):
    """A headline figure of one run."""

    value: Any
    better: bool
    """Whether no other run has a better one, as far as the digits on the page tell, and not all have the same."""


class Row(NamedTuple):
    """One headline figure of all runs."""

    name: str
    direction: int
    """As in `directions.direction`."""
    cells: list[Cell]


def compare(options: Options) -> Path:
    """Write the page, and return its path.

    Raises:
        ArgumentError: fewer than two runs, a run that cannot be read, runs of different experiments, or a folder that
            cannot be written.
    """
    runs = labelled([read(folder) for folder in options.runs])
    names = list(dict.fromkeys(run.record["experiment"] for run in runs))
    if len(runs) < 2:
        raise ArgumentError(f"RUN: got {len(runs)} folders, wanted two finished runs or more")
    if len(names) > 1:
        raise ArgumentError(f"RUN: got runs of {', '.join(names)}, wanted runs of one experiment")
    target = options.out / COMPARISON
    page.refuse_foreign(target)
    module = import_module(EXPERIMENTS[names[0]].module_name)
    options_that_differ = differences(runs)
    content = {
        "experiment": names[0],
        "runs": [(run.label, _link(run.folder / PAGE, options.out)) for run in runs],
        "differences": options_that_differ,
        "rows": rows(runs),
        "sweeps": comparison_pictures.sweeps(
            [numbers(figures(run)) for run in runs], numeric(options_that_differ), options_that_differ
        ),
        "curves": comparison_pictures.curves([run.label for run in runs], [run.lines for run in runs]),
        "commands": [repeating.command(run.record, module) for run in runs],
    }
    make_folder(options.out)
    write(target, page.rendered("compare.html", **content))
    return target


def read(folder: Path) -> Run:
    """The run in a folder.

    Raises:
        ArgumentError: a file that is missing, or is not what a finished run of an experiment leaves.
    """
    if not folder.is_dir():
        raise ArgumentError(f"RUN: got {folder}, which is no folder, wanted the folder of a finished run")
    record, results = (_json(folder / name) for name in (CONFIG, SUMMARY))
    if not {"experiment", "seed", "quick", "config"} <= record.keys() or record["experiment"] not in EXPERIMENTS:
        raise ArgumentError(f"{folder / CONFIG}: got another file, wanted the one of a run of an experiment")
    path = folder / METRICS
    lines = _text(path).splitlines() if path.exists() else []
    return Run(folder, folder.name, record, results, [_object(line, path, row) for row, line in enumerate(lines, 1)])


def labelled(runs: Sequence[Run]) -> list[Run]:
    """The runs, called by their folders' names, or by whole paths where two folders have the same name.

    Raises:
        ArgumentError: a folder that is given twice.
    """
    paths = [run.folder.resolve() for run in runs]
    for path in paths:
        if paths.count(path) > 1:
            raise ArgumentError(f"RUN: got {path} twice, wanted each run once")
    names = [path.name for path in paths]
    unique = len(set(names)) == len(names)
    return [run._replace(label=name if unique else str(run.folder)) for run, name in zip(runs, names, strict=True)]


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """What differs in the configurations, by the names of the options: the values of all runs.

    The device and the version of jax are told too where they differ.
    """
    settings = [
        {"seed": run.record["seed"], "quick": run.record["quick"]}
        | run.record["config"]
        | {"device": run.results.get("device"), "jax": run.results.get("versions", {}).get("jax")}
        for run in runs
    ]
    names = list(dict.fromkeys(name for each in settings for name in each))
    table = {name: [each.get(name) for each in settings] for name in names}
    return {name: values for name, values in table.items() if any(value != values[0] for value in values)}


def numeric(options: dict[str, list[Any]]) -> dict[str, list[float]]:
    """Those of the options that are a number in every run; the seed is none of them, because it only numbers draws.

    >>> numeric({"seed": [0, 1], "beta": [1, "inf"], "images": ["digits", "mnist"], "grey": [True, False]})
    {'beta': [1.0, inf]}
    """
    read = {name: [numbers(value).get("", math.nan) for value in values] for name, values in options.items()}
    return {name: values for name, values in read.items() if name != "seed" and not any(map(math.isnan, values))}


def figures(run: Run) -> dict[str, Any]:
    """The headline figures of a run, and its times."""
    own = {name: value for name, value in run.results.items() if name not in Report.RESERVED}
    return own | {name: run.results[name] for name in ("seconds_compile", "seconds_run") if name in run.results}


def rows(runs: Sequence[Run]) -> list[Row]:
    """The headline figures side by side. Entries of lists and dictionaries stand in rows of their own."""
    own = [figures(run) for run in runs]
    flat = [numbers(each) for each in own]
    words = [{name: value for name, value in each.items() if isinstance(value, str)} for each in own]
    tables = [
        one | {name: value for name, value in text.items() if name not in one}
        for one, text in zip(flat, words, strict=True)
    ]
    experiment = runs[0].record["experiment"]
    names = list(dict.fromkeys(name for each in tables for name in each))
    return [row(name, direction(experiment, name), [each.get(name) for each in tables]) for name in names]


def row(name: str, better: int, values: Sequence[Any]) -> Row:
    """One row, with the best values marked if it is known what is better, and if the page shows a difference.

    >>> [cell.better for cell in row("error", -1, [0.25, 0.5, 0.25]).cells]
    [True, False, True]
    >>> [cell.better for cell in row("error", -1, [0.25, float("nan")]).cells]
    [False, False]
    >>> [cell.better for cell in row("error", -1, [0.25, 0.2500001]).cells]
    [False, False]
    """
    known = [value for value in values if isinstance(value, float) and math.isfinite(value)]
    marked = bool(better) and len(set(map(number, known))) > 1
    best = number(max(known, key=lambda value: better * value)) if marked else ""
    return Row(name.replace("_", " "), better, [Cell(value, marked and number(value) == best) for value in values])


def _link(path: Path, start: Path) -> str:
    """The address of a file from a page in the folder `start`."""
    return quote(Path(os.path.relpath(path.resolve(), start.resolve())).as_posix())


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else "what cannot be read"
        raise ArgumentError(f"{path}: got {reason}, wanted the file of a finished run") from error


def _json(path: Path) -> dict[str, Any]:
    return _object(_text(path), path)


def _object(text: str, path: Path, row: int = 0) -> dict[str, Any]:
    where = f"{path}, line {row}" if row else str(path)
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ArgumentError(f"{where}: got {text[:40]!r}, wanted JSON") from error
    if not isinstance(found, dict):
        raise ArgumentError(f"{where}: got {number(str(found))[:40]!r}, wanted an object of JSON")
    return found
