"""The command line: `python -m benchmarks list | GROUP [--json FILE] [--case WORDS] [--repeats N] [--quick]`.

Exit status: 0 done, 1 a peer disagreed, 2 wrong options (with a message on standard error).
"""

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from experiments.application.streams import forgiving

GROUPS = {
    "latent": "Free energies at many temperatures, horn training, random bits",
    "spins": "Ising lattices, dense and restricted Boltzmann machines, many temperatures at once",
    "sparse": "Sparse codes, exact and learned, dictionary learning, convolutional codes",
    "neural": "Training of a variational autoencoder, random walks of many chains",
    "free_energy": "Partition functions from draws, by annealing and by elimination",
    "samplers": "Spin glasses in 3-D, cluster moves, ground states, Hamiltonian Monte Carlo and MALA",
    "scaling": "How time, memory and compiling grow with size, and what devices exchange; no peers",
}


FLAGS = {
    "sparse": "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000000",
    "scaling": "--xla_force_host_platform_device_count=8",
}
"""What a group adds to XLA_FLAGS. With the first jax 0.10 compiles nested loops to one kernel, as jax 0.12 always does;
with the second a CPU counts as eight devices."""


@dataclass(frozen=True)
class Options:
    """Options of the benchmarks."""

    group: tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="GROUP")]]
    """One of latent, spins, sparse, neural, free_energy, samplers, scaling; or list, which says what each measures."""
    json: Path | None = None
    """Write the records to this file."""
    case: str = ""
    """Run only the cases whose names contain these words."""
    repeats: int = 9
    """Timed runs of every side, in turn; at least 3."""
    quick: bool = False
    """Run small problems, which test the benchmark and say nothing about speed."""
    default_flags: bool = False
    """Leave XLA_FLAGS unchanged."""

    def __post_init__(self):
        if self.group != "list" and self.group not in GROUPS:
            raise ValueError(f"group: got {self.group!r}, wanted one of {', '.join(GROUPS)}, or list")
        if self.repeats < 3:
            raise ValueError(f"--repeats: got {self.repeats}, wanted at least 3")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one group and print its table.

    Returns:
        the exit status.

    Raises:
        SystemExit: 2 for options that cannot be parsed, 0 after --help.
    """
    with forgiving():
        try:
            prog, description = "python -m benchmarks", "Time this library and its peers in one run."
            off = (tyro.conf.FlagCreatePairsOff,)
            options = tyro.cli(Options, prog=prog, description=description, args=arguments, config=off)
            if options.group == "list":
                print("\n".join(f"{name}  {description}" for name, description in GROUPS.items()))
                return 0
            if options.json is not None:
                path = Path(os.path.expanduser(options.json))
                options = replace(options, json=path)
                _check_writable(path)
            core = _pin()
            if options.group in FLAGS and not options.default_flags:
                os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS[options.group]}".strip()
            if options.group == "scaling":
                return importlib.import_module("benchmarks.scaling").run(options, core)
            from benchmarks import runner  # imports jax, whose backend has to start on the pinned core

            group = importlib.import_module(f"benchmarks.{options.group}")
            return runner.run(options.group, group.cases(options.quick), options, core)
        except ValueError as error:
            if not str(error) or type(error) is not ValueError:
                raise
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            return 2


def _check_writable(path: Path) -> None:
    """Before an hour of timing, not after it."""
    try:
        with path.open("a"):
            pass
    except OSError as error:
        raise ValueError(f"--json: got {path} ({error.strerror}), wanted a file that can be written") from None


def _pin() -> str:
    """Run everything on one core, where the system has such a setting."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned"
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"core {core}"
