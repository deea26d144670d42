"""A run in several processes has the results of a run in one, and ends with all of them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.application import processes

ROOT = Path(__file__).parents[3]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="gloo is not built for Windows"),
]
SWEEP = ["horn_sweep", "--quick", "--betas", "5", "--seeds", "3", "--epochs", "20", "--held-out", "20"]
LONG = [*SWEEP[:-4], "--epochs", "1000", "--held-out", "20"]
MAP = ["hopfield_capacity", "--quick"]


def command(*arguments):
    return [sys.executable, "-m", "experiments", *map(str, arguments)]


def run(folder, *arguments):
    done = subprocess.run(command(*arguments, "--out", folder), cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done


def is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def same(one, other):
    """Numbers are equal to the rounding of a product over other numbers of members; all else is equal."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return np.allclose(one, other, rtol=1e-3, atol=1e-5) if isinstance(one, float) else one == other


@pytest.mark.parametrize("experiment", [SWEEP, MAP], ids=["members", "examples"])
def test_two_processes_have_the_results_of_one(tmp_path, experiment):
    run(tmp_path / "one", *experiment)
    run(tmp_path / "two", *experiment, "--processes", 2)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(
        path.name for path in (tmp_path / "two").iterdir()
    )
    assert same(metrics(tmp_path / "one"), metrics(tmp_path / "two"))
    one, two = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("one", "two"))
    assert one == two


def test_the_command_under_srun(tmp_path):
    """What srun gives to each of two tasks on one machine."""
    job = next(number for number in range(4096) if is_free(61440 + number))  # as JAX finds its port from the job
    started = []
    for number in range(2):
        slurm = {
            "SLURM_JOB_ID": str(job),
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_NTASKS": "2",
            "SLURM_PROCID": str(number),
            "SLURM_LOCALID": str(number),
        }
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        arguments = command(*SWEEP, "--out", tmp_path / "run")
        started.append(subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, **slurm}, **pipes))
    told = [process.communicate(timeout=300) for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    assert "report: " in told[0][0]
    assert "horns" in told[0][0]
    assert "horns" not in told[1][0]  # a line of gloo's own is there
    assert (tmp_path / "run/summary.json").exists()
    run(tmp_path / "one", *SWEEP)
    assert same(metrics(tmp_path / "one"), metrics(tmp_path / "run"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_all_processes(tmp_path, number, status):
    arguments = command(*LONG, "--processes", 2, "--out", tmp_path / "run")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(arguments, cwd=ROOT, **pipes)
    assert process.stdout is not None
    while "%" not in process.stdout.readline():  # until the sweep has begun
        assert process.poll() is None
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    assert len(children) == 2
    process.send_signal(number)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == status, told
    assert told.count("--resume continues the run") == 1
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_a_process_that_is_killed_ends_the_others(tmp_path):
    arguments = command(*LONG, "--processes", 2, "--out", tmp_path / "run")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(arguments, cwd=ROOT, **pipes)
    assert process.stdout is not None
    while "%" not in process.stdout.readline():
        assert process.poll() is None
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(children[1]), signal.SIGKILL)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "error: process 1 of 2 has ended with status -9" in told
    time.sleep(0.5)
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_options_are_refused_once_and_before_any_process_is_started(tmp_path):
    arguments = command("horn_sweep", "--processes", 2, "--epochs", 0, "--out", tmp_path / "run")
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert not (tmp_path / "run").exists()


SAVING = """
import sys, time
import jax, numpy as np
from experiments.application import processes, spread
from ebmjax.learn import checkpoint

processes.join()
folder, number = sys.argv[1], jax.process_index()
for step in range(3 - 2 * number):  # each at times of its own
    checkpoint.save(folder, step, {"place": np.array([number, step])})
spread.agreed(0)  # until both have saved
found = checkpoint.restore(folder, {"place": np.zeros(2, int)})
print(found[0], found[1]["place"], spread.agreed((number + 5, np.array([0.5 + number]))), file=sys.stderr)
"""


def test_the_first_process_saves_and_all_go_on_where_it_is(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    for number in range(2):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [sys.executable, "-c", SAVING, str(tmp_path)]
        environment = {**os.environ, processes.PLACE: f"{number} 2 {port}"}
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, **pipes))
    told = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    assert ["2 [0 2] (5, array([0.5]" in each for each in told] == [True, True], told


def test_an_error_of_all_processes_is_told_once(tmp_path):
    missing = tmp_path / "none.csv"
    arguments = command("fit", "--data", missing, "--processes", 2, "--out", tmp_path / "run")
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert [line for line in done.stderr.splitlines() if "error" in line] == done.stderr.splitlines()[-1:]
    assert str(missing) in done.stderr


def test_a_script_of_slurm_that_is_no_step_runs_alone(monkeypatch):
    for name in (processes.PLACE, *processes.SLURM):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    processes.join()
    assert processes.is_first()
    assert not processes.is_one_of_several()
