"""Tables of recorded runs, made from the JSON that the experiments wrote: no figure in them is typed by hand.

`python docs/recorded.py RUN_FOLDER ...` keeps the record of finished runs in `docs/records`, one file for each
experiment, and those of its pictures that the page of the lectures shows, made smaller, in `docs/pictures`. Sphinx
makes the tables of the page `measured.md` from the records.
"""

import json
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1] / "benchmarks/records"
RECORDS, PLACE = Path(__file__).with_name("records"), Path(__file__).with_name("pictures")
CONDITIONS = (
    "command",
    "config",
    "experiment",
    "seed",
    "quick",
    "device",
    "versions",
    "seconds_compile",
    "seconds_run",
    "compilations",
    "pictures",
)


PICTURES = {
    "ellipse_inference": ("cold_map", "cold_cross_section", "weights", "cross_sections", "limits"),
    "ellipse_training": ("arrows", "cross_sections", "contrast"),
    "horn_data": ("samples",),
    "horn": ("horns",),
    "hopfield_spurious": ("basins",),
    "boltzmann_learning": ("divergence",),
}
"""The pictures of each experiment that are kept, as `lecture_EXPERIMENT_PICTURE.png`."""

WIDEST, COLOURS = 900, 128
"""Pixels across, and colours, of a picture in the documentation."""


def keep(folder):
    """Keep what a run wrote: its configuration and its results, in `docs/records/EXPERIMENT.json`, and its pictures."""
    config, summary = (json.loads((folder / f"{name}.json").read_text()) for name in ("config", "summary"))
    RECORDS.mkdir(exist_ok=True)
    path = RECORDS / f"{summary['experiment']}.json"
    record = {"config": config["config"], **summary}
    path.write_text(json.dumps({"command": command(record), **record}, indent=1) + "\n")
    for name in PICTURES.get(record["experiment"], ()):
        make_small(folder / f"{name}.png", PLACE / f"lecture_{record['experiment']}_{name}.png")
    return path


def make_small(source, target):
    """Copy a picture with few colours, and no wider than the column of a page on a sharp screen."""
    from PIL import Image

    picture = Image.open(source).convert("RGB")
    size = (WIDEST, round(picture.height * WIDEST / picture.width))
    picture = picture if picture.width <= WIDEST else picture.resize(size, Image.Resampling.LANCZOS)
    picture.quantize(COLOURS).save(target, optimize=True)


def tables():
    """The text of all records, in Markdown: for each the command, where it ran, and its headline figures."""
    return "\n".join(table(json.loads(path.read_text())) for path in sorted(RECORDS.glob("*.json")))


def comparisons():
    """All records of benchmarks, in one table: the time of the peer over ours, in the same run."""
    lines = ["### `python -m benchmarks`", "", "| work | peer | ratio (smallest to largest) |", "|---|---|---|"]
    for path in sorted(BENCHMARKS.glob("*.json")):
        rows = json.loads(path.read_text())
        for row in rows if isinstance(rows, list) else []:
            peer = f"{row['peer_name']} {row['peer_version']}".strip()
            work = row["case"].replace("|", "\\|")
            ratios = "{:.3g} ({:.3g} to {:.3g})".format(*(row[name] for name in ("ratio", "ratio_min", "ratio_max")))
            lines += [f"| {work} | {peer} | {ratios} |"]
    return "\n".join([*lines, ""])


def growth():
    """How cost grows, from the record of the group `scaling`: exponents, and what several devices exchange."""
    record = json.loads((BENCHMARKS / "scaling.json").read_text())
    lines = [f"{record['machine']}.", ""]
    lines += ["| what grows | work | sizes | time | memory | compiling | operations |", "|---|---|---|---|---|---|---|"]
    for name, slopes in record["exponents"].items():
        rows = [row for row in record["rows"] if row["family"] == name]
        figures = " | ".join(f"{slopes[each]:.2f}" for each in ("seconds", "bytes", "seconds_compile", "operations"))
        lines += [f"| {name} | {rows[0]['what']} | {rows[0]['size']:,} to {rows[-1]['size']:,} | {figures} |"]
    lines += ["", "| on several devices | 2 | 4 | 8 | bytes exchanged |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(row["family"] for row in record["devices"]):
        rows = [row for row in record["devices"] if row["family"] == name and row["devices"] > 1]
        exchanged = max(row["exchanged"] for row in rows)
        for kind in ("strong", "weak"):
            lines += [f"| {name}, {kind} | {' | '.join(f'{row[kind]:.2f}' for row in rows)} | {exchanged} |"]
    return "\n".join([*lines, ""])


def table(record):
    """The text of one record."""
    versions = record["versions"]
    lines = [f"### `{record['experiment']}`", "", f"    {record['command']}", ""]
    where = f"{record['device']}, Python {versions['python']}, jax {versions['jax']}"
    lines += [f"{where}: {record['seconds_run']:.0f} s, and {record['seconds_compile']:.0f} s of compiling.", ""]
    lines += ["| figure | value |", "|---|---|"]
    for name, value in record.items():
        if name not in CONDITIONS:
            lines += [f"| {said(name)} | {shown(value)} |"]
    return "\n".join([*lines, ""])


def command(record):
    """The command line that repeats a run."""
    from importlib import import_module

    from experiments.application import repeating
    from experiments.application.catalogue import EXPERIMENTS

    return repeating.command(record, import_module(EXPERIMENTS[record["experiment"]].module_name))


def said(name):
    """A name as words."""
    return name.replace("_", " ")


def shown(value):
    """A figure with four digits, or several of them."""
    if isinstance(value, dict):
        return "; ".join(f"{said(str(name))}: {shown(entry)}" for name, entry in value.items())
    if isinstance(value, list):
        return ", ".join(shown(entry) for entry in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(keep(Path(argument)))
