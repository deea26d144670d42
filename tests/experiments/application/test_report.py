"""What a run leaves behind: strict JSON, whole files, and a page that stands on its own."""

import base64
import doctest
import json
import math
import sys
from html.parser import HTMLParser
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.checks import ArgumentError
from experiments.application import formatting, markdown, records
from experiments.application.records import dumps, plain
from experiments.application.report import Report
from experiments.drawing import plots
from tests.experiments.application.fakes import Config


def drawn():
    figure, axes = plots.one()
    axes.plot([0, 1], [1, 0])
    return figure


def strict(text):
    """Parse JSON as the standard has it: NaN and Infinity are errors."""

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


class Page(HTMLParser):
    """Reads a page, sees that its tags are balanced, and collects what the tests ask for."""

    VOID = ("meta", "img", "br", "link")

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (math.nan, "nan"),
        (np.float32(0.5), 0.5),
        (np.float32("inf"), "inf"),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (jnp.float32(2.0), 2.0),
        (jnp.array([1.0, jnp.nan]), [1.0, "nan"]),
        (jnp.array([1.5], jnp.bfloat16), [1.5]),
        (np.eye(2, dtype=int), [[1, 0], [0, 1]]),
        ({"a": (1, None, Path("b/c"))}, {"a": [1, None, "b/c"]}),
        (Config(), {"betas": [0.1, "inf"], "data": "points.csv"}),
    ],
)
def test_values_become_strict_json(value, expected):
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)
    assert strict(dumps(value)) == expected


@pytest.mark.parametrize("value", [object(), jax.random.key(0), np.array(["text"]), np.array([1j]), Config])
def test_what_has_no_json_form_is_refused(value):
    with pytest.raises(TypeError):
        dumps(value)


def test_config_is_written_at_the_start(report):
    record = strict((report.folder / "config.json").read_text())
    assert record["config"] == {"betas": [0.1, "inf"], "data": "points.csv"}
    assert (record["experiment"], record["seed"], record["quick"]) == ("fake", 3, True)


def test_metrics_are_lines_of_json(report):
    report.metrics(step=0, loss=jnp.inf, radii=jnp.ones(2))
    report.metrics(step=1, loss=np.float32("nan"), radii=[[1]])
    lines = (report.folder / "metrics.jsonl").read_text().splitlines()
    assert [strict(line) for line in lines] == [
        {"step": 0, "loss": "inf", "radii": [1.0, 1.0]},
        {"step": 1, "loss": "nan", "radii": [[1]]},
    ]


def test_summary_holds_the_headline_figures_and_how_they_came_about(report):
    report.summary(radii=jnp.array([2.0, 1.5]), noise_floor=0.0025)
    report.summary(gap=math.inf)
    returned = report.finish()
    summary = strict((report.folder / "summary.json").read_text())
    assert summary == returned
    assert (summary["radii"], summary["noise_floor"], summary["gap"]) == ([2.0, 1.5], 0.0025, "inf")
    assert (summary["experiment"], summary["seed"], summary["quick"]) == ("fake", 3, True)
    assert set(summary["versions"]) == {"python", "jax", "jaxlib", "flax", "optax", "numpy"}
    assert summary["versions"]["jax"] == jax.__version__
    assert summary["device"].startswith(jax.devices()[0].platform)


def test_a_name_is_given_once(report):
    report.summary(radii=1)
    report.figure("curve", drawn())
    for again in (lambda: report.summary(radii=2), lambda: report.summary(seed=1)):
        with pytest.raises(ValueError, match="which is taken, wanted a new one"):
            again()
    for name in ("curve", "Curve", "a/b", "../up", "a.png", ""):
        with pytest.raises(ValueError, match="figure: got the name"):
            report.figure(name, drawn())
    assert report.finish()["radii"] == 1


def test_the_page_stands_on_its_own(report):
    report.summary(noise_floor=0.00253817, dead_seeds=0)
    report.figure("curve", drawn(), 'Is F < 1 & "cold"? See `y1`.')
    report.text("Between <script>alert(1)</script> the **figures**.")
    report.table("Radii <i>", ("β", "name"), [(math.inf, "<td>"), (jnp.float32(0.25), "b")])
    report.figure("no_caption", drawn())
    report.finish()
    text = (report.folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert not page.all("script")
    assert not page.all("link")
    pictures = page.all("img")
    assert [picture["alt"] for picture in pictures] == ['Is F < 1 & "cold"? See y1.', "no caption"]
    for picture, name in zip(pictures, ("curve", "no_caption"), strict=True):
        head, data = picture["src"].split(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data) == (report.folder / f"{name}.png").read_bytes()
    assert len(page.all("figcaption")) == 1
    assert page.all("html") == [{"lang": "en"}]
    words = " ".join(page.words)
    for said in ("A title with", "& <b>", "What it shows.", "F = -log Z < 0", "<script>alert(1)</script>", "Radii <i>"):
        assert said in words
    for said in ("noise floor", "0.002538", "dead seeds", "∞", "0.25", "<td>", "betas", "jax"):
        assert said in words
    order = [text.index(part) for part in ("noise floor", 'id="curve"', "Between", "Radii", 'id="no_caption"')]
    assert order == sorted(order)


def test_a_report_without_anything_in_it_is_still_a_page(tmp_path):
    bare = Report(tmp_path, "horn_data", None, seed=0, quick=False)
    bare.finish()
    assert "horn data" in " ".join(Page((tmp_path / "report.html").read_text()).words)


def test_a_table_of_uneven_rows_is_refused(report):
    with pytest.raises(ValueError, match="got 1 cells in row 1, wanted 2"):
        report.table("Radii", ("a", "b"), [(1, 2), (3,)])


def test_figures_are_pngs_that_say_who_drew_them(report):
    figure = drawn()
    report.figure("curve", figure)
    data = (report.folder / "curve.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert records.SOFTWARE.encode() in data
    assert figure.axes == []  # an experiment with many figures does not hold them all
    assert [path.name for path in records.files_of_run(report.folder)] == ["config.json", "curve.png"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    records.write(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.os, "replace", full)
    with pytest.raises(ArgumentError, match="no space left on device"):
        records.write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_checkpoints_lie_in_the_runs_folder_until_it_is_finished(report):
    folder = report.checkpoints
    assert folder == report.folder / "checkpoints"
    assert report.checkpoints == folder  # as often as one likes
    (folder / "cold").mkdir()
    (folder / "cold" / "weights").write_text("1")
    assert [path.name for path in records.files_of_run(report.folder)] == ["config.json"]
    report.discard()  # there is something to go on from
    assert (folder / "cold" / "weights").exists()
    resumed = Report(report.folder, "fake", Config(), seed=3, quick=True, resume=True)
    assert (resumed.checkpoints / "cold" / "weights").exists()
    resumed.finish()
    assert not folder.exists()


def test_a_run_that_does_not_resume_begins_without_checkpoints(report):
    (report.checkpoints / "cold").mkdir()
    report.discard()  # as a run that was interrupted
    again = Report(report.folder, "fake", Config(), seed=3, quick=True)
    assert (report.folder / "checkpoints" / "cold").exists()  # until there is something to put in their place
    assert not (again.checkpoints / "cold").exists()


def test_two_runs_at_once_in_one_folder_are_refused(report):
    files = sorted(report.folder.rglob("*"))
    with pytest.raises(ValueError, match=r"--out: got .*run, where another run is at work, wanted another folder"):
        Report(report.folder, "fake", Config(), seed=3, quick=True)
    assert sorted(report.folder.rglob("*")) == files
    report.discard()
    Report(report.folder, "fake", Config(), seed=3, quick=True).finish()
    assert not list(report.folder.glob(".*"))


def test_a_run_that_saved_nothing_leaves_nothing(report):
    assert report.checkpoints.is_dir()
    report.discard()
    assert not report.folder.exists()


def test_foreign_checkpoints_are_neither_used_nor_removed(report):
    folder = report.folder / "checkpoints"
    folder.mkdir()
    (folder / "weights").write_text("mine")
    with pytest.raises(ArgumentError, match="whose checkpoints is not from a run"):
        _ = report.checkpoints
    report.finish()
    assert (folder / "weights").read_text() == "mine"


@pytest.mark.skipif(sys.platform == "win32", reason="links need the rights of an administrator")
def test_a_link_is_not_ours(report, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (report.folder / "checkpoints").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArgumentError, match="whose checkpoints is not from a run"):
        _ = report.checkpoints
    report.finish()
    assert (report.folder / "checkpoints").is_symlink()


def test_the_key_is_typed_and_of_the_seed(report):
    assert jnp.issubdtype(report.key().dtype, jax.dtypes.prng_key)
    assert jax.random.key_data(report.key()).tolist() == jax.random.key_data(jax.random.key(3)).tolist()


@pytest.fixture
def stopped_clock(monkeypatch):
    """Stages take no time, however busy the machine is."""
    monkeypatch.setattr("experiments.application.console.time.perf_counter", lambda: 7.0)


@pytest.mark.usefixtures("stopped_clock")
def test_progress_is_plain_lines_where_there_is_no_terminal(report, capsys):
    report.progress("here [bold]and[/bold] there")
    with report.stage("outer"), report.stage("inner"):
        pass
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["here [bold]and[/bold] there", "outer …", "inner …", "inner: 0.0 s", "outer: 0.0 s"]


@pytest.mark.usefixtures("stopped_clock")
def test_a_stage_on_a_terminal_shows_a_spinner_and_ends_with_its_seconds(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # which is how rich is told that it writes to a terminal
    report = Report(tmp_path / "run", "fake", None, 0, False)
    with report.stage("training"), report.stage("inner"):
        report.progress("half way")
    with pytest.raises(RuntimeError), report.stage("failing"):
        raise RuntimeError
    with report.stage("again"):
        pass
    said = capsys.readouterr().out
    assert "\x1b[" in said
    for line in ("half way", "inner: 0.0 s", "training: 0.0 s", "again: 0.0 s"):
        assert line in said


@pytest.mark.usefixtures("stopped_clock")
def test_a_bar_is_a_line_at_every_tenth_or_moves_on_a_terminal(report, tmp_path, monkeypatch, capsys):
    with report.bar("coding", 40) as advance:
        for more in (1, 1, 2, 16):
            advance(more)
        advance(20, "loss 0.5")
    said = capsys.readouterr().out.splitlines()
    assert said == ["coding … 10%", "coding … 50%", "coding … 100%, loss 0.5", "coding: 0.0 s"]
    monkeypatch.setenv("FORCE_COLOR", "1")
    terminal = Report(tmp_path / "terminal", "fake", None, 0, False)
    with terminal.stage("outer"), terminal.bar("coding", 2) as advance:
        advance(1, "loss 0.5")
        advance(1, "loss 0.25")
    said = capsys.readouterr().out
    assert "coding" in said
    assert "loss 0.25" in said
    assert "coding … " not in said


def test_numbers_are_written_for_people():
    assert doctest.testmod(formatting) == (0, 2)
    cases = {
        "0": 0.0,
        "−0.25": -0.25,
        "12,345": 12345.4,
        "yes": True,
        "1, ∞": [1, "inf"],
        "1, 0; 0, 1": [[1, 0], [0, 1]],
        "9 values from 0 to 8": list(range(9)),
        "1, 2, 3, 4, 5, 6, 7, 8 …": [*range(1, 9), "inf"],
        "x 1, y not a number": {"x": 1, "y": math.nan},
        "–": None,
    }
    assert [formatting.number(value) for value in cases.values()] == list(cases)


def test_markdown_is_what_reports_use_and_nothing_else():
    assert doctest.testmod(markdown) == (0, 3)
    page = markdown.paragraphs(
        "Then\n\n- one\n  line\n- `two`\n\nEnd *so*.\n\n    F < 0\n    G\n\n# 1 > 0\n\n> K * Z * y_1 and y_2"
    )
    assert page.split("\n") == [
        "<p>Then</p>", "<ul>", "<li>one", "line</li>", "<li><code>two</code></li>", "</ul>", "<p>End <em>so</em>.</p>",
        "<pre><code>F &lt; 0", "G", "</code></pre>", "<p># 1 &gt; 0</p>", "<p>&gt; K * Z * y_1 and y_2</p>", "",
    ]  # fmt: skip
    assert markdown.inline("<script>") == "&lt;script&gt;"
    assert markdown.bare("") == markdown.inline("") == ""
