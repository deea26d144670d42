"""The command line: `python -m benchmarks list | GROUP [--json FILE] [--case WORDS] [--repeats N] [--quick]`.

Exit status: 0 done, 1 a peer disagreed, 2 what the user can put right (one line on standard error).
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

GROUPS = {
    "latent": "Free energies over many temperatures, horn training, random bits",
    "spins": "Ising lattices, dense and restricted Boltzmann machines, many temperatures at once",
    "sparse": "Sparse codes, exact and learned, dictionary learning, convolutional codes",
    "neural": "Training of a variational autoencoder, random walks of many chains",
}


FLAGS = {"sparse": "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000000"}
"""What a group adds to XLA_FLAGS: with it jax 0.10 makes one kernel of a nest of loops, as jax 0.12 does without."""


class _Parser(argparse.ArgumentParser):
    """Answers a bad option in one line."""

    def error(self, message):
        raise ValueError(message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one group and print its table.

    Returns:
        The exit status.
    """
    try:
        options = _parse(sys.argv[1:] if arguments is None else list(arguments))
        if options.group == "list":
            print("\n".join(f"{name}  {description}" for name, description in GROUPS.items()))
            return 0
        core = _pin()
        if options.group in FLAGS and not options.default_flags:
            os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAGS[options.group]}".strip()
        from benchmarks import runner  # imports jax, whose backend has to start on the pinned core

        group = importlib.import_module(f"benchmarks.{options.group}")
        return runner.run(options.group, group.cases(options.quick), options, core)
    except ValueError as error:
        if not str(error) or type(error) is not ValueError:
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m benchmarks", description="Ours against real peers, in one run.")
    parser.add_argument("group", help=f"one of {', '.join(GROUPS)}; or list")
    parser.add_argument("--json", type=Path, help="write the records to this file")
    parser.add_argument("--case", default="", help="only the cases whose name holds these words")
    parser.add_argument("--repeats", type=int, default=9, help="interleaved repeats of every side, at least 3")
    parser.add_argument(
        "--quick", action="store_true", help="small problems: a test of the benchmark, not of the speed"
    )
    parser.add_argument("--default-flags", action="store_true", help="leave XLA_FLAGS as it is")
    options = parser.parse_args(arguments)
    if options.group != "list" and options.group not in GROUPS:
        raise ValueError(f"group: got {options.group!r}, wanted one of {', '.join(GROUPS)}, or list")
    if options.repeats < 3:
        raise ValueError(f"--repeats: got {options.repeats}, wanted at least 3")
    if options.json is not None:
        try:  # before an hour of timing, not after it
            with options.json.open("a"):
                pass
        except OSError as error:
            raise ValueError(f"--json: cannot write {options.json} ({error.strerror})") from None
    return options


def _pin() -> str:
    """One core for everything, where the system lets us choose."""
    if not hasattr(os, "sched_setaffinity"):
        return "not pinned"
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return f"core {core}"
