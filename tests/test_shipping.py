"""What is shipped agrees with itself: one version, and a workflow that does what `.ci/run` does."""

import re
from pathlib import Path

import ebmjax

ROOT = Path(__file__).parents[1]
WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text()


def test_the_version_is_that_of_the_citation_and_the_newest_of_the_changelog():
    assert re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE)[1] == ebmjax.__version__
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    assert newest == ebmjax.__version__


def test_the_workflow_does_what_is_done_before_a_change_lands():
    """Each command of `.ci/run` that checks something, and every version and system that the README names."""
    run = (ROOT / ".ci/run").read_text()
    commands = [line for line in run.splitlines() if re.match(r"(ruff|codespell|python -m pytest) ", line)]
    assert len(commands) == 4
    for command in [*commands, 'python -m pytest -m "slow and not optimized"']:
        assert f"- run: {command}\n" in WORKFLOW, command
    for script in (".ci/run", ".ci/wheel dist"):
        assert f"- run: bash {script}\n" in WORKFLOW
    lowest, highest = map(int, re.search(r"Python 3\.(\d+) to 3\.(\d+)", (ROOT / "README.md").read_text()).groups())
    versions = ", ".join(f'"3.{minor}"' for minor in range(lowest, highest + 1))
    assert f"python: [{versions}]\n" in WORKFLOW
    assert "os: [ubuntu-latest, macos-latest, windows-latest]\n" in WORKFLOW


def test_nothing_is_released_but_from_a_tag_after_all_checks():
    release = WORKFLOW.partition("\n  release:\n")[2]
    assert "startsWith(github.ref, 'refs/tags/v')" in release
    assert "needs: [style, tests, documentation, wheel, everything]" in release
    assert WORKFLOW.count("id-token: write") == release.count("id-token: write") == 1
