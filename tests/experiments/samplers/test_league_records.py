"""What the README and docs quote of the leagues is in their records."""

import re
from pathlib import Path

import pytest

from experiments.samplers import league_records

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TABLE = re.compile(r"<!-- record: (\w+) -->\n+((?:\|.*\n)+)")


def tables():
    """The name of the record and the lines of every table that quotes one."""
    return [(page.name, name, lines.splitlines()) for page in PAGES for name, lines in TABLE.findall(page.read_text())]


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def wrong(name, lines):
    """The rows of a table that are not in the record."""
    rows, columns = league_records.read(name)["rows"], cells(lines[0])
    found = []
    for line in lines[2:]:
        quoted = dict(zip(columns, cells(line), strict=True))
        who = quoted.get("sampler", quoted.get("solver"))
        matching = [row for row in rows if (row["problem"], league_records.player(row)) == (quoted["problem"], who)]
        numbers = [column for column in columns if column not in ("problem", "sampler", "solver", "published")]
        right = matching and all(league_records.says(matching[0], column, quoted[column]) for column in numbers)
        found += [] if right else [line]
    return found


@pytest.mark.parametrize(("page", "name", "lines"), tables())
def test_every_number_of_a_table_is_in_the_record(page, name, lines):
    assert len(lines) > 2
    assert wrong(name, lines) == []


def test_a_number_that_is_not_in_the_record_is_found():
    _, name, lines = tables()[0]
    for digit in re.finditer(r"[1-9](?=[\d,.]* \|$)", lines[2]):
        other = str((int(digit.group()) + 1) % 9 + 1)
        changed = lines[2][: digit.start()] + other + lines[2][digit.end() :]
        assert wrong(name, [*lines[:2], changed]) == [changed]
    assert wrong(name, [*lines[:2], lines[2].replace("|", "| another", 1)])


def test_numbers_of_prose_about_the_leagues_have_a_table():
    """Each league has a table in docs/choosing.md."""
    assert {name for page, name, _ in tables() if page == "choosing.md"} == {
        "sampler_league",
        "spin_league",
        "ground_states",
    }
