"""`compare`: what differs, which figure is better, curves and figures against options, and what is refused."""

import json
import re
from pathlib import Path

import pytest

from experiments.application import cli, comparison_pictures
from experiments.application.catalogue import EXPERIMENTS
from experiments.application.comparison import differences, labelled, numeric, read, rows
from experiments.application.directions import HIGHER, LOWER, direction
from experiments.application.page import MARK
from tests.experiments.application.fakes import assert_refused

ROOT = Path(__file__).parents[3] / "experiments"


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """Three folders as runs of `horn` leave them: two temperatures, two seeds."""
    monkeypatch.chdir(tmp_path)
    for name, seed, rate, error in (("a", 0, 0.1, 0.25), ("b", 0, 0.01, 0.5), ("c", 1, 0.01, 0.75)):
        record = {"experiment": "horn", "seed": seed, "quick": True, "config": {"rate": rate, "hidden": [8, 8]}}
        summary = {"radii_rmse": error, "noise_floor": error, "note": "fine", "seconds_run": 1.0, "device": "cpu"}
        lines = [{"step": step, "loss": 10.0 ** (3 - step), "name": word} for word in "xy" for step in range(1, 4)]
        Path(name).mkdir()
        Path(name, "config.json").write_text(json.dumps(record))
        Path(name, "summary.json").write_text(json.dumps(summary | {"versions": {"jax": "0.10.1"}}))
        Path(name, "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_runs_stand_side_by_side_on_one_page(runs, capsys):
    Path("page").mkdir()
    Path("page/compare.html").write_text(MARK)  # an earlier page of ours is replaced
    assert cli.main(["compare", "a", "b", "c", "--out", "page"]) == 0
    assert capsys.readouterr().out == f"page: {Path('page/compare.html')}\n"
    page = Path("page/compare.html").read_text()
    assert re.search(r"rate</th><td>0\.1</td>\s*<td>0\.01</td>\s*<td>0\.01</td>", page)
    assert re.search(r"seed</th><td>0</td>\s*<td>0</td>\s*<td>1</td>", page)
    assert "hidden</th>" not in page
    assert [item.split(">")[1] for item in re.findall(r'<td class="number better">[^<]*', page)] == ["0.25 better"]
    assert "radii rmse ↓" in page
    assert 'href="../a/report.html"' in page
    ids = re.findall(r'<figure id="([^"]*)"', page)
    assert ids == ["sweep_radii_rmse", "sweep_noise_floor", "sweep_seconds_run", "curve_loss"]
    assert all(text not in page for text in ("<script", "http"))


def test_what_differs_and_what_is_better_are_known(runs):
    found = labelled([read(Path(name)) for name in "abc"])
    assert differences(found) == {"seed": [0, 0, 1], "rate": [0.1, 0.01, 0.01]}
    assert numeric(differences(found)) == {"rate": [0.1, 0.01, 0.01]}
    marks = {row.name: [cell.better for cell in row.cells] for row in rows(found)}
    assert marks["radii rmse"] == [True, False, False]
    assert marks["noise floor"] == marks["note"] == marks["seconds run"] == [False] * 3


def test_curves_share_their_panels_and_sweeps_join_what_agrees(runs, monkeypatch):
    figures = []
    embedded = comparison_pictures._embedded
    monkeypatch.setattr(comparison_pictures, "_embedded", lambda *parts: figures.append(parts[1]) or embedded(*parts))
    found = [read(Path(name)) for name in "abc"]
    comparison_pictures.curves(list("abc"), [run.lines for run in found])
    assert [(axes.get_title(), len(axes.lines), axes.get_yscale()) for axes in figures[0].axes] == [
        ("x", 3, "log"),
        ("y", 3, "log"),
    ]
    assert figures[0].axes[0].lines[0].get_xydata().tolist() == [[1, 100], [2, 10], [3, 1]]
    rate = [0.1, 0.01, 0.01]
    comparison_pictures.sweeps([{"e": 1.0}, {"e": 2.0}, {"e": 3.0}], {"rate": rate}, {"rate": rate, "seed": [0, 0, 1]})
    drawn = [line.get_xydata().tolist() for line in figures[1].axes[0].lines]
    assert drawn == [[[0.01, 2], [0.1, 1]], [[0.01, 3]]]


def test_what_cannot_be_compared_is_refused_in_one_line(runs, capsys):
    for name, text in (("half", None), ("torn", '{"a": '), ("other", None)):
        Path(name).mkdir()
        for file in ("config.json", "summary.json", "metrics.jsonl"):
            Path(name, file).write_text(Path("a", file).read_text())
        if text:
            Path(name, "metrics.jsonl").write_text('{"a": 1}\n' + text)
    Path("half/summary.json").unlink()
    record = json.loads(Path("a/config.json").read_text())
    Path("other/config.json").write_text(json.dumps(record | {"experiment": "vae"}))
    Path("page").mkdir()
    Path("page/compare.html").write_text("mine")
    for arguments, fragment in (
        (["a"], "RUN: got 1 folders, wanted two"),
        (["a", "nothing"], "RUN: got nothing, which is no folder"),
        (["a", "half"], "half/summary.json: got no such file, wanted"),
        (["a", "torn"], "torn/metrics.jsonl, line 2: got '{\"a\": ', wanted JSON"),
        (["a", "other"], "RUN: got runs of horn, vae, wanted runs of one experiment"),
        (["a", "b", "a"], "twice, wanted each run once"),
        (["a", "b", "--out", "page"], "whose compare.html is another's"),
    ):
        assert_refused(capsys, ["compare", *arguments], fragment)


@pytest.mark.parametrize("table", [LOWER, HIGHER], ids=["lower", "higher"])
def test_what_is_marked_as_better_is_a_figure_that_there_is(table):
    """The longest literal part of each pattern stands in the source of the experiment's room."""
    for experiment, patterns in table.items():
        source = "".join(path.read_text() for path in (ROOT / EXPERIMENTS[experiment].room).glob("*.py"))
        for pattern in patterns:
            assert max(pattern.split("*"), key=len) in source, f"{experiment}: {pattern}"
            assert direction(experiment, pattern) == (-1 if table is LOWER else 1)
