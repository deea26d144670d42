"""No output ends a run: other encodings, a pipe that closes after its first line, and a full disk."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.application import cli
from experiments.application.streams import forgiving

ROOT = Path(__file__).parents[3]
SCRIPT = """
import sys
from experiments.application.streams import forgiving
with forgiving():
    for _ in range(20_000):
        print("λ = ‖y‖ …")
        print("λ", file=sys.stderr)
open(sys.argv[1], "w").write("done")
"""


def run(tmp_path, shell):
    """The exit status of the script in a shell command, and whether it came to its end."""
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    python = f"PYTHONPATH={ROOT} {sys.executable} {tmp_path}/script.py {tmp_path}/end"
    command = shell.replace("SCRIPT", python)
    status = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    return status, (tmp_path / "end").exists()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_what_cannot_be_printed_is_a_question_mark(tmp_path, encoding):
    status, ended = run(tmp_path, f"PYTHONIOENCODING={encoding} SCRIPT")
    assert (status.returncode, ended) == (0, True)
    line = status.stdout.splitlines()[0]
    assert line == "λ = ‖y‖ …".encode(encoding, errors="replace")


@pytest.mark.parametrize(
    "shell",
    [
        "SCRIPT | head -1; exit ${PIPESTATUS[0]}",
        "SCRIPT 2>&1 | head -1; exit ${PIPESTATUS[0]}",
        "SCRIPT > /dev/full 2>&1",
        "SCRIPT >&- 2>&-",
    ],
)
def test_a_closed_pipe_or_a_full_disk_ends_nothing(tmp_path, shell):
    status, ended = run(tmp_path, shell)
    assert (status.returncode, ended) == (0, True)


def test_the_streams_are_put_back():
    before = sys.stdout, sys.stderr
    with pytest.raises(KeyError), forgiving():
        raise KeyError
    assert (sys.stdout, sys.stderr) == before


def test_a_run_whose_output_breaks_is_finished(fake, monkeypatch):
    class Broken(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", Broken())
        assert cli.main(["fake", "--out", "run"]) == 0
    assert Path("run/summary.json").exists()


def test_a_tilde_is_the_home_folder(fake, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cli.main(["fake", "--out=~/runs/a"]) == 0
    assert (tmp_path / "home/runs/a/report.html").exists()
    assert not Path("~").exists()
