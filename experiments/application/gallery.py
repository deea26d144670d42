"""The page of a folder of runs: a card for each experiment, with a picture, its figures, and the way to its report.

`gallery.html` beside this file is its template. The page stands beside the folders of the runs, and shows their
pictures from there: it reads from disk, and moves together with them.
"""

import json
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from experiments.application import page, repeating
from experiments.application.catalogue import Experiment
from experiments.application.directions import direction
from experiments.application.formatting import number
from experiments.application.records import FAILURE, PAGE, SUMMARY, read_config, write
from experiments.application.report import Report

INDEX = "index.html"
STATES = ("finished", "failed", "unfinished", "waiting")
FIGURES, LONGEST = 2, 48
"""How many headline figures a card has, and the most characters of one."""


class Card(NamedTuple):
    """What the page says of one experiment."""

    name: str
    room: str
    title: str
    state: str
    """One of `STATES`: unfinished is what has begun and left something, waiting what has left nothing."""
    picture: str = ""
    """The path of a PNG file from the page; empty if there is none."""
    alt: str = ""
    """What the picture shows."""
    figures: Mapping[str, str] = {}
    """Headline figures by their names."""
    failure: str = ""
    """One line that says what went wrong."""
    command: str = ""
    """The command line that repeats a finished run, or continues another."""


def write_index(folder: Path, experiments: Iterable[Experiment], command: str) -> None:
    """Write the page of a folder with the run of each experiment in a folder of its name.

    Args:
        folder: where the folders of the runs are.
        experiments: what the page shows, in this order.
        command: the command line that continues all of them.

    Raises:
        ArgumentError: the page cannot be written.
    """
    cards = [card(folder, experiment) for experiment in experiments]
    rooms = {each.room: [one for one in cards if one.room == each.room] for each in cards}
    counts = {state: count for state in STATES if (count := sum(one.state == state for one in cards))}
    done = set(counts) <= {"finished"}
    values = {"rooms": rooms, "counts": counts, "command": "" if done else command, "report": PAGE, "failure": FAILURE}
    write(folder / INDEX, page.rendered("gallery.html", **values))


def card(folder: Path, experiment: Experiment) -> Card:
    """The card of an experiment whose run, if there is one, is in the folder of its name."""
    run = folder / experiment.name
    blank = Card(experiment.name, experiment.room, experiment.title, "waiting")
    record = read_config(run)
    if record is None:
        return blank
    command = repeating.command(record, import_module(experiment.module_name))
    results = summary(run)
    if results is None:
        failure = first_line(run / FAILURE)
        state = "failed" if failure else "unfinished"
        return blank._replace(state=state, failure=failure, command=repeating.continuing(command, run))
    pictures = results.get("pictures", {})
    first = next((name for name in pictures if (run / f"{name}.png").is_file()), "")
    return blank._replace(
        state="finished",
        picture=f"{experiment.name}/{first}.png" if first else "",
        alt=pictures.get(first) or first.replace("_", " "),
        figures=headline(results),
        command=command,
    )


def summary(run: Path) -> dict[str, Any] | None:
    """The content of summary.json of a finished run; None for every other."""
    try:
        found = json.loads((run / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def headline(results: Mapping[str, Any]) -> dict[str, str]:
    """The first headline figures of a run that are short enough for a card, as a person reads them.

    Those of which it is known what is better come before the others, which often say how large the run was.

    >>> headline({"seeds": 4, "radii_rmse": 0.041234, "experiment": "horn", "radii": [1.5, 2.0]})
    {'radii rmse': '0.04123', 'seeds': '4'}
    """
    own = {name: number(value) for name, value in results.items() if name not in Report.RESERVED}
    short = [name for name, shown in own.items() if len(shown) <= LONGEST]
    short.sort(key=lambda name: not direction(results["experiment"], name))
    return {name.replace("_", " "): own[name] for name in short[:FIGURES]}


def first_line(path: Path) -> str:
    """The first line of failure.txt, which says what went wrong; empty if there is no such file."""
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, ValueError):
        return ""
