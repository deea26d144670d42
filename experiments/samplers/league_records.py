"""The records of the leagues: what runs of them have measured, in `benchmarks/records/leagues`, and tables.

    python -m experiments sampler_league --out FOLDER
    python -m experiments.samplers.league_records FOLDER    writes its record, and the table of it in the docs

The table in docs/choosing.md stands under the comment `<!-- record: sampler_league -->`. A test fails where such a
table, there or in the README, says a number that is not in the records.
"""

import json
import sys
from pathlib import Path
from typing import Any

from experiments.application.records import CONFIG, METRICS, SUMMARY

ROOT = Path(__file__).parents[2]
FOLDER, DOCS = ROOT / "benchmarks" / "records" / "leagues", ROOT / "docs" / "choosing.md"
FIELDS = {
    "problem": "problem",
    "sampler": "sampler",
    "solver": "solver",
    "ESS for 1000 evaluations": "per_thousand",
    "ESS per second": "per_second",
    "evaluations to 0.1, mean": "mean_work",
    "evaluations to 0.1, worst": "worst_work",
    "R-hat": "r_hat",
    "largest |z|": "z",
    "sweeps to 99%": "sweeps",
    "from": "low",
    "to": "high",
}
"""The columns of tables in the docs, and the fields of records that they quote."""


def record_of(folder: Path) -> dict[str, Any]:
    """The record of a run that is finished."""
    kept, summary = (json.loads((folder / name).read_text()) for name in (CONFIG, SUMMARY))
    rows = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    peers = {name: summary[name] for name in ("blackjax", "thrml", "dwave_samplers") if name in summary}
    return {
        "experiment": kept["experiment"],
        "command": f"python -m experiments {kept['experiment']} --seed {kept['seed']}",
        "config": kept["config"],
        "device": summary["device"],
        "versions": summary["versions"] | peers,
        "rows": [{name: _rounded(value) for name, value in row.items() if name != "time"} for row in rows],
    }


def read(name: str) -> dict[str, Any]:
    """The record of a league."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def player(row: dict[str, Any]) -> str:
    """What tables call the sampler of a row."""
    if "solver" in row:
        return row["solver"]
    return row["sampler"] if row["package"] == "ebmjax" else f"{row['sampler']} ({row['package']})"


def says(row: dict[str, Any], column: str, cell: str) -> bool:
    """Whether a cell of a table in the docs quotes a row rightly: to half of its last digit.

    >>> says({"per_second": 1234.5}, "ESS per second", "1,230"), says({"per_second": 1234.5}, "ESS per second", "1,300")
    (True, False)
    """
    value = float(row[FIELDS[column]])
    text = cell.replace(",", "").strip()
    if text in ("inf", "-"):
        return value in (float("inf"),) or value != value
    digits = len(text.replace(".", "").lstrip("0"))
    trailing = len(text) - len(text.rstrip("0")) if "." not in text else 0
    unit = 10.0 ** (-len(text.partition(".")[2]) if "." in text else min(trailing, digits - 1))
    return abs(float(text) - value) <= unit / 2 * (1 + 1e-9)


def table(record: dict[str, Any]) -> str:
    """The best of ours and the best of the peers on every problem, of those that pass all gates, in Markdown."""
    lines = []
    if "solver" in record["rows"][0]:
        columns = ("problem", "solver", "sweeps to 99%", "from", "to")
        chosen = record["rows"]
    else:
        columns = ("problem", "sampler", "ESS for 1000 evaluations", "ESS per second")
        chosen = []
        for problem in dict.fromkeys(row["problem"] for row in record["rows"]):
            passed = [row for row in record["rows"] if row["problem"] == problem and not row["failures"]]
            for ours in (True, False):
                side = [row for row in passed if (row["package"] == "ebmjax") == ours]
                for field in ("per_thousand", "per_second"):
                    best = max(side, key=lambda row: row[field], default=None)
                    if best is not None and best not in chosen:
                        chosen.append(best)
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in chosen:
        cells = [row["problem"], player(row)]
        cells += [_written(row[FIELDS[column]]) for column in columns[2:]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _written(value: Any) -> str:
    """Three digits.

    >>> _written(1234567.0), _written(0.12345), _written("inf")
    ('1,230,000', '0.123', 'inf')
    """
    number = float(value)
    if number in (float("inf"),) or number != number:
        return "inf"
    return f"{float(f'{number:.3g}'):,.10g}"


def _rounded(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def renew(page: Path, name: str) -> None:
    """Put the table of a record under the comment that names it."""
    marker = f"<!-- record: {name} -->\n"
    before, _, after = page.read_text().partition(marker)
    lines = after.lstrip("\n").splitlines(keepends=True)
    rest = next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))
    page.write_text(f"{before}{marker}\n{table(read(name))}\n\n" + "".join(lines[rest:]).lstrip("\n"))


def main(folders: list[str]) -> None:
    """Write the records of these runs, and their tables."""
    for folder in folders:
        record = record_of(Path(folder))
        rows = ",\n".join(json.dumps(row) for row in record.pop("rows"))
        head = json.dumps(record)[:-1]
        (FOLDER / f"{record['experiment']}.json").write_text(f'{head}, "rows": [\n{rows}\n]}}\n')
        renew(DOCS, record["experiment"])


if __name__ == "__main__":
    main(sys.argv[1:])
