"""README and docs are true where a program can see it: the example prints what is said, names and links exist."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import ebmjax

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
README_RADII = [[1.48, 1.51], [1.87, 1.52], [1.93, 1.52]]


@pytest.mark.slow
@pytest.mark.optax
def test_the_example_runs_and_finds_the_ellipse(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    with jax.numpy_rank_promotion("allow"):
        exec(compile(code, "README.md", "exec"), {})
    printed = re.findall(r"-?[\d.]+(?:e[+-]?\d+)?", capsys.readouterr().out)
    radii = np.abs(np.array(printed, float).reshape(4, 2))
    np.testing.assert_allclose(radii[0], 0, atol=0.05)
    np.testing.assert_allclose(radii[1:], README_RADII, atol=0.02)


def test_it_begins_with_the_clone_line_and_two_commands():
    assert "git clone" in "\n".join(README.splitlines()[:6])
    commands = [line.strip() for line in README.splitlines() if line.strip().startswith("python -m pip install")]
    assert commands[:2] == [
        'python -m pip install -e ".[experiments]" && python -m experiments',
        'python -m pip install -e ".[test]" && python -m pytest',
    ]


def test_the_gallery_begins_after_two_screens():
    assert README.splitlines().index("## Gallery") < 80


def test_its_figures_are_those_of_the_page_of_measurements():
    measured = (ROOT / "docs/measured.md").read_text()
    table = README.partition("## Figures beside the published ones")[2].partition("\n\nCommands")[0]
    rows = [line.split("|")[2:4] for line in table.splitlines() if line.startswith("|")][2:]
    figures = [number for row in rows for cell in row for number in re.findall(r"-?\d+\.\d+", cell)]
    assert len(figures) >= 10
    assert [number for number in figures if number not in measured] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_exist(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:]+)\)", text) + re.findall(r'src="([^"]+)"', text):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_into_a_page_lead_to_a_heading(page):
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text()):
        headings = re.findall(r"^#+ (.*)$", ((page.parent / target) if target else page).read_text(), re.MULTILINE)
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
        assert anchor in slugs, f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_lead_somewhere(page):
    """`ebm.a.b` opens, files and folders that are named exist."""
    text = page.read_text()
    for name in re.findall(r"`ebm\.([\w.]+)`", text):
        thing = ebmjax
        for part in name.split("."):
            assert hasattr(thing, part), f"{page.name}: ebm.{name}"
            thing = getattr(thing, part)
    for name in re.findall(r"`((?:ebmjax|experiments|tests|benchmarks|docs)/[\w/.]*)`", text):
        if not re.search(r"NAME|FAMILY|GROUP", name):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_every_experiment_has_a_line():
    from experiments.application.catalogue import EXPERIMENTS

    said = (ROOT / "docs/experiments.md").read_text()
    for name in EXPERIMENTS:
        assert re.search(rf"`{name}[ `]", said), name
    assert f"the {len(EXPERIMENTS)} experiments" in (ROOT / "README.md").read_text()
