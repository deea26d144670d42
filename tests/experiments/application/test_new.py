"""`python -m experiments new`: what it writes, what it refuses, and the whole way from a clone to a picture."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ebmjax.checks import ArgumentError
from experiments.application import new
from experiments.application.catalogue import EXPERIMENTS
from tests.experiments.application.fakes import assert_refused, contents

ROOT = Path(__file__).parents[3]
TOUCHED = ("experiments/application/catalogue.py", "experiments/horn/__init__.py", "docs/experiments.md", "README.md")


@pytest.fixture
def checkout(tmp_path):
    """The files that `new` edits, in a folder of their own."""
    for name in TOUCHED:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "tests/experiments").mkdir(parents=True)
    return tmp_path


def test_it_writes_two_files_and_adds_one_line_to_each_of_four(checkout):
    before = {name: (checkout / name).read_text().splitlines() for name in TOUCHED}
    new.write_all(new.planned(checkout, "cold_start", "horn"))
    compile((checkout / "experiments/horn/cold_start.py").read_text(), "cold_start.py", "exec")
    compile((checkout / "tests/experiments/horn/test_cold_start.py").read_text(), "test_cold_start.py", "exec")
    added = {name: set((checkout / name).read_text().splitlines()) - set(before[name]) for name in TOUCHED}
    assert all(len(lines) == 1 for lines in added.values())
    lines = {name: lines.pop() for name, lines in added.items()}
    assert f"the {len(EXPERIMENTS) + 1} experiments" in lines.pop("README.md")
    assert all("cold_start" in line for line in lines.values())
    with pytest.raises(ArgumentError, match="whose file does not exist"):
        new.planned(checkout, "cold_start", "horn")


@pytest.mark.parametrize(
    "name", ["horn_sweep", "new", "Cold", "2cold", "cold-start", "class", "match", "../x", "x" * 31]
)
def test_a_bad_name_is_refused_in_one_line(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(new, "write_all", lambda files: pytest.fail("something was written"))
    assert_refused(capsys, ["new", name], "NAME: got")


def test_an_installed_copy_says_so(tmp_path):
    with pytest.raises(ArgumentError, match="without docs and tests, wanted a checkout"):
        new.planned(tmp_path, "cold_start", "horn")


def test_nothing_stays_where_one_file_cannot_be_written(checkout, monkeypatch):
    before = contents(checkout)
    files = new.planned(checkout, "cold_start", "horn")

    def failing(path, text):
        if path.name == "README.md":
            raise ArgumentError(f"{path}: the disk is full")
        path.write_text(text)

    monkeypatch.setattr(new, "write", failing)
    with pytest.raises(ArgumentError, match="the disk is full"):
        new.write_all(files)
    assert contents(checkout) == before


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="there is nothing to clone")
def test_the_way_from_an_empty_folder_to_a_picture(tmp_path):
    """Clone, write a new experiment, check and run it: what CI does with it, in a process of its own each."""
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", ROOT.as_uri(), tmp_path / "clone"], check=True)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "clone")}

    def do(*command):
        ended = subprocess.run(command, cwd=tmp_path / "clone", env=environment, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    python = (sys.executable, "-m")
    assert "tests/experiments/spins/test_cold_start.py" in do(
        *python, "experiments", "new", "cold_start", "--family", "spins"
    )
    do(*python, "ruff", "format", "--check", ".")
    do(*python, "ruff", "check", ".")
    do(
        "codespell",
        "experiments/spins/cold_start.py",
        "tests/experiments/spins/test_cold_start.py",
        "docs/experiments.md",
    )
    do("pyright", "experiments/spins/cold_start.py")
    do(*python, "experiments", "cold_start", "--quick", "--out", "run")
    report = (tmp_path / "clone/run/report.html").read_text()
    assert (tmp_path / "clone/run/law.png").stat().st_size > 10_000
    assert report.count("data:image/png") == 1
    checks = (
        "tests/experiments/spins/test_cold_start.py",
        "tests/experiments/test_experiments.py",
        "tests/test_readme.py",
    )
    do(*python, "pytest", "-n", "0", "-q", "-m", "", *checks, "-k", "cold_start or catalogue or line")
