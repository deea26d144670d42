"""Runs that are ended from outside, at any moment, go on with --resume and end with the same bytes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.experiments.application.fakes import result

ROOT = Path(__file__).parents[3]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """Starts the experiment in a folder; its programs are compiled once for all runs."""
    cache = tmp_path_factory.mktemp("cache")

    def start(folder, *options):
        command = [sys.executable, "-m", "tests.experiments.application.saves_often", "--out", str(folder), *options]
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        with told(folder).open("w") as file:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=file)

    return start


@pytest.fixture(scope="module")
def whole(program, tmp_path_factory):
    """What a run leaves that nobody ends."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    process = program(folder)
    assert process.wait() == 0, told(folder).read_text()
    return result(folder)


def told(folder):
    """The file with what the last process in a folder has said on standard error."""
    return folder.with_suffix(".txt")


def saved(folder):
    """The numbers of the checkpoints that are complete."""
    return [int(path.name) for path in (folder / "checkpoints/line").glob("*") if path.name.isdecimal()]


def wait_for_more(process, folder, before):
    while max(saved(folder), default=-1) <= before:
        assert process.poll() is None, told(folder).read_text()
        time.sleep(0.005)


def test_a_run_killed_at_twenty_moments_ends_with_the_same_bytes(program, whole, tmp_path):
    """While it saves too: what it does is mostly saving."""
    folder, rng, unfinished = tmp_path / "run", np.random.default_rng(0), 0
    for _ in range(20):
        before = max(saved(folder), default=-1)
        process = program(folder, "--resume")
        wait_for_more(process, folder, before)
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        unfinished += any("tmp" in path.name for path in (folder / "checkpoints/line").iterdir())
    assert unfinished > 0, "no kill fell into a save"
    assert max(saved(folder)) < 80
    process = program(folder, "--resume")
    assert process.wait() == 0, told(folder).read_text()
    assert result(folder) == whole


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_ends_a_run_with_one_line_and_keeps_its_checkpoint(program, whole, tmp_path, number, status, said):
    folder = tmp_path / "run"
    process = program(folder)
    wait_for_more(process, folder, 2)
    process.send_signal(number)
    assert process.wait() == status
    message = told(folder).read_text()
    assert message.count("\n") == 1, message
    assert message.startswith(f"{said}: --resume continues the run")
    assert saved(folder)
    assert not (folder / "summary.json").exists()
    process = program(folder, "--resume")
    assert process.wait() == 0, told(folder).read_text()
    assert result(folder) == whole


def test_a_second_run_in_the_folder_of_one_at_work_is_refused(program, tmp_path):
    folder = tmp_path / "run"
    first = program(folder)
    wait_for_more(first, folder, 0)
    second = program(folder, "--overwrite")
    assert second.wait() == 2
    assert "where another run is at work" in told(folder).read_text()
    first.kill()
    first.wait()
    third = program(folder, "--resume")  # the lock has ended with the process that held it
    assert third.wait() == 0, told(folder).read_text()
