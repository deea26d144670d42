"""The report as one HTML file: it opens from disk, needs no network and no script, and prints well.

`page.html` beside this file is its jinja2 template, with the `parts.html` that all pages share, and `page.css` their
style.
"""

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from ebmjax.checks import ArgumentError
from experiments.application.formatting import number
from experiments.application.markdown import bare, inline, paragraphs
from experiments.application.records import SOFTWARE

# This line marks a page as ours, so that a user's own page of the same name is never replaced.
MARK = f'<meta name="generator" content="{SOFTWARE}">'


class Text(NamedTuple):
    """Paragraphs."""

    text: str
    """Markdown."""


class Column(NamedTuple):
    """The head of a column."""

    name: str
    """One line of Markdown."""
    numeric: bool
    """Whether all cells below are numbers: such a column is aligned at the right."""


class Table(NamedTuple):
    """A table with its title."""

    title: str
    """One line of Markdown."""
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    """Cells in the types of JSON, see `records.plain`."""


class Figure(NamedTuple):
    """A picture with its caption below."""

    name: str
    png: str
    """The PNG file in base64."""
    caption: str
    """One line of Markdown; may be empty."""


Block = Text | Table | Figure
"""What a page is made of, between its head and its foot."""


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    """A table whose columns of numbers are aligned at the right.

    >>> table("Radii", ("name", "radius"), [("a", 2.0), ("b", "inf")]).columns[1].numeric
    True
    """
    numeric = [bool(rows) and all(_is_numeric(row[index]) for row in rows) for index in range(len(columns))]
    return Table(title, list(map(Column, columns, numeric)), rows)


def document(
    title: str,
    lead: str,
    headline: Mapping[str, Any],
    blocks: Sequence[Block],
    record: Mapping[str, Any],
    results: Mapping[str, Any],
    command: str = "",
    above: str = "",
) -> str:
    """The HTML of the whole page.

    Args:
        title: one line of Markdown.
        lead: Markdown that says what the experiment shows.
        headline: the figures at the top, by their names.
        blocks: what follows.
        record: the content of config.json.
        results: the content of summary.json.
        command: the command line that repeats the run, if it is known.
        above: the path of the page that shows this run among others, if there is one.
    """
    config = record["config"]
    timing = {
        "device": results["device"],
        "compiling": f"{results['seconds_compile']:.1f} s",
        "running": f"{results['seconds_run']:.1f} s",
    }
    return rendered(
        "page.html",
        experiment=record["experiment"],
        quick=record["quick"],
        title=title,
        lead=lead,
        headline={name.replace("_", " "): value for name, value in headline.items()},
        blocks=blocks,
        settings={"seed": record["seed"]} | (dict(config) if isinstance(config, Mapping) else {}),
        run=timing | results["versions"],
        command=command,
        above=above,
    )


def rendered(template: str, **values: Any) -> str:
    """A page from one of the templates beside this file, in the style of all pages."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"bare": bare, "inline": inline, "number": number, "paragraphs": paragraphs}
    environment.tests |= {
        "a_text": lambda block: isinstance(block, Text),
        "a_table": lambda block: isinstance(block, Table),
    }
    environment.globals |= {"zip": zip}
    return environment.get_template(template).render(style=Markup(_read("page.css")), mark=Markup(MARK), **values)


def refuse_foreign(path: Path) -> None:
    """Raise ArgumentError if there is a page at this path that no experiment has written."""
    if path.exists() and (not path.is_file() or MARK not in path.read_text(encoding="utf-8", errors="replace")):
        raise ArgumentError(f"--out: got {path.parent}, whose {path.name} is another's, wanted another folder")


def _read(name: str) -> str:
    return (resources.files("experiments.application") / name).read_text(encoding="utf-8")


def _is_numeric(cell: Any) -> bool:
    # infinities and NaN are strings in JSON
    return not isinstance(cell, str) or cell in ("inf", "-inf", "nan")
