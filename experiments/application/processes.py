"""Several processes for one run: `python -m experiments NAME --processes N`, or the same line without it under srun.

All processes run the whole experiment, but share the members of its sweeps (see `spread`). The first one writes the
report; the others have a folder of their own, which goes with them, and say nothing. If one of them fails, all end.
"""

import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import jax

from experiments.application import interruptions

PLACE = "EBMJAX_PROCESS"
"""The environment variable that says to a process that this file has started which one it is: "number count port"."""

SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
"""What `srun` sets in each of its tasks. Without it, as in a script of sbatch itself, the step has no nodes."""

GRACE = 10.0
"""Seconds that the other processes have to end by themselves when one has ended."""

SAME = 2.0
"""Seconds within which all processes meet the same error."""


def join() -> None:
    """Join the others, if this process is one of several; call it before JAX looks for devices."""
    if PLACE in os.environ:
        number, count, port = map(int, os.environ[PLACE].split())
        _initialize(f"127.0.0.1:{port}", count, number, [number])  # on a machine with GPUs one for each
    elif all(name in os.environ for name in SLURM) and int(os.environ["SLURM_NTASKS"]) > 1:
        _initialize(None, None, None, None)  # JAX knows Slurm
    if not is_first():
        sys.stdout = io.StringIO()  # which nobody reads


def is_one_of_several() -> bool:
    """Whether this process has joined others."""
    return jax.distributed.is_initialized()


def is_first() -> bool:
    """Whether this process writes the report."""
    return not is_one_of_several() or jax.process_index() == 0


@contextmanager
def folder(chosen: Path) -> Iterator[Path]:
    """A context manager for the folder of the run: the chosen one for the first process, and for each other its own.

    The folders of the others are removed.
    """
    if is_first():
        yield chosen
    else:
        with tempfile.TemporaryDirectory(prefix="ebmjax-") as own:
            yield Path(own) / "run"


def run(arguments: Sequence[str], count: int) -> int:
    """Run this command line in `count` processes on this machine, and wait for them.

    Ctrl-C and SIGTERM reach all of them.

    Returns:
        The exit status of the first process; or that of another one which has failed.
    """
    command = [sys.executable, "-m", "experiments", *arguments]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    errors = tempfile.TemporaryDirectory(prefix="ebmjax-")
    told = [Path(errors.name) / str(number) for number in range(count)]
    started: list[subprocess.Popen] = []
    try:
        for number in range(count):
            environment = {**os.environ, PLACE: f"{number} {count} {port}"}
            # in sessions of their own, so that a Ctrl-C of the terminal reaches each of them once
            start = partial(subprocess.Popen, command, env=environment, start_new_session=True)
            if number == 0:
                started.append(start())
            else:
                with told[number].open("w") as file:
                    started.append(start(stdout=subprocess.DEVNULL, stderr=file))
        try:
            ended = _first_to_end(started)
        except (KeyboardInterrupt, interruptions.Terminated) as error:
            asked = signal.SIGTERM if isinstance(error, interruptions.Terminated) else signal.SIGINT
            for process in started:
                process.send_signal(asked)
            with suppress(subprocess.TimeoutExpired):
                return started[0].wait(GRACE)  # it has said what has happened
            raise
        status = started[ended].returncode
        if status and ended:
            with suppress(subprocess.TimeoutExpired):  # what all of them cannot do, the first one has said
                if started[0].wait(SAME) > 0:
                    return started[0].returncode
            last = [line for line in told[ended].read_text().splitlines() if line.strip()][-1:]
            print(f"error: process {ended} of {count} has ended with status {status}: {''.join(last)}", file=sys.stderr)
        return status if status >= 0 else 1
    finally:
        _end(started)
        errors.cleanup()


def leave(status: int) -> None:
    """End this process, if it is one of several and has failed: JAX would wait for the others, which wait for it."""
    if status and is_one_of_several():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _initialize(address: str | None, count: int | None, number: int | None, devices: list[int] | None) -> None:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, count, number, devices)


def _first_to_end(started: Sequence[subprocess.Popen]) -> int:
    """The number of the first process that fails, or else the first one of all when it has ended."""
    while True:
        failed = [number for number, process in enumerate(started) if process.poll()]
        if failed:
            return failed[0]
        if started[0].returncode == 0:
            return 0
        time.sleep(0.05)


def _end(started: Sequence[subprocess.Popen]) -> None:
    failed = any(process.poll() for process in started)
    until = time.monotonic() + (0 if failed else GRACE)
    for process in started:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.1, until - time.monotonic()))
        if process.poll() is None:
            process.kill()
            process.wait()
