"""Every page of the documentation runs, and prints what it says.

Numbers, which other processors round otherwise, are compared within 10%, or one in the last digit that is shown.
"""

import json
import re
from pathlib import Path

import pytest

from tests.pages import BLOCK, ROOT, agree, run

DOCS = ROOT / "docs"
SHORT = {"idea.md", "training.md"}
"""Pages that run in a second or two, which `python -m pytest` runs as well."""
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if BLOCK.search(path.read_text())]


def marked(path: Path):
    name = path.relative_to(DOCS).as_posix()
    return pytest.param(path, id=name, marks=[pytest.mark.optax] + [pytest.mark.slow] * (name not in SHORT))


@pytest.mark.filterwarnings("default")  # other packages announce their next versions
@pytest.mark.parametrize("path", [marked(path) for path in PAGES if path.name != "training.md"])
def test_pages_run_and_print_what_they_say(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block, printed in run(path.read_text(), str(path.relative_to(DOCS))):
        if block["printed"] is not None:
            assert agree(block["printed"], printed), f"{path.name}: the page says\n{block['printed']}not\n{printed}"


@pytest.mark.optax
def test_the_page_about_training_runs(tmp_path, monkeypatch):
    """In ten lines each; how long a training takes until it stops is checked by what it is for."""
    monkeypatch.chdir(tmp_path)
    ran = list(run((DOCS / "training.md").read_text(), "training.md"))
    assert all(len([line for line in block["code"].splitlines() if line.strip()]) <= 10 for block, _ in ran)
    printed = "".join(text for _, text in ran)
    assert "learning: 400 of 400 updates, loss" in printed
    stopped, score = re.search(r"stopped after (\d+) updates; .* loss of ([\d.]+)", printed).groups()
    held_out = re.search(r"^\[([^]]*)\]", printed)[1].split()
    assert 8 < int(stopped) < 2000
    assert float(score) < float(held_out[-1])
    assert "100 (30,)" in printed
    assert float(printed.split()[-1]) < 0.5  # lbfgs reaches the least squares of 40 points


def test_what_is_printed_is_compared():
    assert agree("radii 1.93, 1.52\n", "radii 1.95, 1.50")
    assert agree("p = 0.01", "p = 0.02")
    assert not agree("radii 1.93", "radii 2.93")
    assert not agree("3 steps", "4 steps")
    assert not agree("3 steps", "3 sweeps")
    assert not agree("a 1 2", "a 1")


def test_every_public_name_is_in_the_reference(monkeypatch):
    """Each row of the golden table, by the code that writes the reference, which needs no Sphinx."""
    monkeypatch.syspath_prepend(DOCS)
    import reference_pages

    texts = {name: reference_pages.text_of_module(name) for name in reference_pages.modules()}
    shown = {name: set(re.findall(r"\.\. py:\w+:: (\w+)", text)) for name, text in texts.items()}
    written = "\n".join(reference_pages.pages().values())
    module = ""
    for line in (ROOT / "tests/public_api.txt").read_text().splitlines():
        if not line.startswith(" "):
            module = line
            assert texts[module] in written, module
        elif match := re.match(r"\s+(?:class )?(\w+)", line):
            assert match[1] in shown[module] | {"__call__"}, f"{module}: {match[1]}"


def test_a_name_of_a_page_leads_to_its_definition(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    from reference_pages import target_of

    assert target_of("ebm.free_energy") == "ebmjax.marginalize.free_energy.free_energy"
    assert target_of("ebm.diagnostics.r_hat") == "ebmjax.diagnostics.ranks.r_hat"
    assert target_of("ebm.sample.gibbs") == "ebmjax.sample.gibbs"
    assert target_of("ebm.sample.nothing") is None


def test_docstrings_become_text_that_sphinx_reads(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    from reference_pages import text_of

    lines = text_of("What `f`s is.\n\n    E = a*b\n\nArgs:\n    x: a number,\n        of any size.\n\n>>> 1 + 1\n2")
    assert lines[:5] == ["What ``f``\\ s is.", "", "::", "", "   E = a*b"]
    assert "   - ``x``: a number, of any size." in lines
    assert lines[-3:] == [">>> 1 + 1", "2", ""]
    assert text_of("|x| and a*b")[0] == r"\|x\| and a\*b"


def test_a_record_of_a_run_becomes_a_table(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    import recorded

    config = {"config": {"points": 7}}
    versions = {"python": "3.11.7", "jax": "0.10.1"}
    summary = {
        "error": 0.123456,
        "experiment": "coins",
        "seed": 3,
        "quick": True,
        "device": "cpu",
        "versions": versions,
    }
    summary |= {"seconds_compile": 1.6, "seconds_run": 20.0, "compilations": 4}
    for name, content in {"config": config, "summary": summary}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    monkeypatch.setattr(recorded, "RECORDS", tmp_path / "records")
    recorded.keep(tmp_path)
    lines = recorded.tables().splitlines()
    assert lines[0] == "### `coins`"
    assert lines[2] == "    python -m experiments coins --quick --seed 3 --points 7"
    assert "cpu, Python 3.11.7, jax 0.10.1: 20 s, and 2 s of compiling." in lines
    assert [line for line in lines if line.startswith("| ")][1:] == ["| error | 0.1235 |"]
    monkeypatch.setattr(recorded, "BENCHMARKS", tmp_path)
    for name in ("config", "summary"):
        (tmp_path / f"{name}.json").unlink()
    row = {"case": "|m|", "peer_name": "one", "peer_version": "2", "ratio": 3.14159, "ratio_min": 3, "ratio_max": 4}
    (tmp_path / "glass.json").write_text(json.dumps([row]))
    assert recorded.comparisons().splitlines()[-1] == r"| \|m\| | one 2 | 3.14 (3 to 4) |"


@pytest.mark.parametrize("path", sorted((DOCS / "records").glob("*.json")), ids=lambda path: path.stem)
def test_recorded_runs_are_of_experiments_that_there_are(path):
    from experiments.application.catalogue import EXPERIMENTS

    record = json.loads(path.read_text())
    assert record["experiment"] == path.stem
    assert path.stem in EXPERIMENTS


def test_the_cards_of_the_gallery_are_of_experiments_and_pictures_that_there_are(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    import cards

    text = cards.gallery()
    assert sorted(re.findall(r"grid-item-card} `(\w+)`", text)) == sorted(cards.PICTURES)
    assert text.count(":img-top:") == len(cards.PICTURES)
    assert [name for name in re.findall(r":img-top: (\S+)", text) if not (DOCS / name).is_file()] == []
    recorded_card = text.partition("`boltzmann_annealing`")[2].partition(":::\n")[0]
    assert "`python -m experiments boltzmann_annealing --seed 0`" in recorded_card
    assert "sk found quench: **0.3945**" in recorded_card
    assert "- a quick run" in text.partition("`ellipse_training`")[2].partition(":::\n")[0]
