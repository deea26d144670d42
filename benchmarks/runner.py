"""Times our side and its peers in turn, checks that they agree, prints a table and writes JSON.

A ratio counts only at equal work: every side returns its result and an objective, a peer that disagrees is an error,
and the ratio is the median of the ratios of neighbouring runs, so that a machine that drifts does not decide it.
"""

import argparse
import json
import math
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax

PEERS = (
    *("torch", "scipy", "sklearn", "thrml", "blackjax", "spams", "celer"),
    *("sporco", "numpy", "numba", "c", "naive-vmap", "python-loop"),
)

WIDE = {"xla_cpu_prefer_vector_width": 512}
"""Compiler options: on processors with AVX-512 XLA uses half of it unless asked. A choice of whoever compiles, never of
the library; peers in JAX are compiled with it too."""


class Outcome(NamedTuple):
    """What one call of a side came to: a result to compare, and a number that says how good it is."""

    result: Any
    objective: float


@dataclass(frozen=True)
class Side:
    """One implementation: `prepare()` compiles and returns the callable that is timed."""

    prepare: Callable[[], Callable[[], Outcome]]
    version: str = ""
    per_call: float = 1.0
    """Units of work in one call; sides are compared by seconds a unit."""
    name: str = ""
    """For the table, where the peer's name in the record is not enough."""


@dataclass(frozen=True)
class Case:
    """One comparison at equal work."""

    name: str
    unit: str
    """What one unit of work is: "sweep", "step", "draw"."""
    ours: Side
    peers: dict[str, Side]
    """By the name in `PEERS`, a suffix after ":" telling variants apart; another name is printed and not recorded."""
    agree: Callable[[Outcome, Outcome], None]
    """Raises AssertionError where a peer's outcome is not ours."""
    note: str = ""
    missing: tuple[str, ...] = field(default=())
    """Peers whose package is not installed."""


class Record(NamedTuple):
    """One row of the table; `ours` and `peer` are seconds a unit of work, `ratio` is peer/ours."""

    group: str
    case: str
    ours: float
    peer: float
    peer_name: str
    peer_version: str
    ratio: float
    ratio_min: float
    ratio_max: float
    objective_ours: float
    objective_peer: float


def run(group: str, cases: Sequence[Case], options: argparse.Namespace, core: str) -> int:
    """Run the chosen cases, print, write.

    Returns:
        0, or 1 where a peer disagreed.

    Raises:
        ValueError: no case has the words asked for.
    """
    chosen = [case for case in cases if options.case in case.name]
    if not chosen:
        raise ValueError(f"--case: got {options.case!r}, wanted words of one of: {'; '.join(c.name for c in cases)}")
    print(f"{machine()}; {core}; python {platform.python_version()}, jax {jax.__version__}; {options.repeats} repeats")
    records, failed = [], False
    for case in chosen:
        for missing in case.missing:
            print(f"{case.name}: {missing} is not installed, its row is left out")
        try:
            records += compare(group, case, options.repeats)
        except AssertionError as error:
            print(f"{case.name}: DISAGREEMENT, no row: {' '.join(str(error).split())[:300]}")
            failed = True
    if options.json is not None:
        kept = [record._asdict() for record in records if record.peer_name in PEERS]
        options.json.write_text(json.dumps(kept, indent=2, allow_nan=False) + "\n")
    return int(failed)


def compare(group: str, case: Case, repeats: int) -> list[Record]:
    """Time all sides of one case, in turn, and print its rows.

    Raises:
        AssertionError: a peer came to something else.
    """
    sides = {"ours": case.ours, **case.peers}
    timed, prepared = {}, {}
    for name, side in sides.items():
        start = time.perf_counter()
        timed[name] = side.prepare()
        prepared[name] = time.perf_counter() - start
    outcomes = {name: call() for name, call in timed.items()}  # the warm-up too
    for name in case.peers:
        case.agree(outcomes["ours"], outcomes[name])
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, call in timed.items():
            start = time.perf_counter()
            call()
            seconds[name].append((time.perf_counter() - start) / sides[name].per_call)
    ours = statistics.median(seconds["ours"])
    print(f"\n{case.name}: ours {_time(ours)} a {case.unit}, compiled in {prepared['ours']:.1f} s")
    if case.note:
        print(f"  {case.note}")
    records = []
    for name, side in case.peers.items():
        ratios = [peer / mine for mine, peer in zip(seconds["ours"], seconds[name], strict=True)]
        record = Record(
            group,
            case.name,
            ours,
            statistics.median(seconds[name]),
            name.partition(":")[0],
            side.version,
            statistics.median(ratios),
            min(ratios),
            max(ratios),
            outcomes["ours"].objective,
            outcomes[name].objective,
        )
        records.append(record)
        print(
            f"  {(side.name or name).ljust(34)} {side.version.ljust(14)} {_time(record.peer).rjust(10)}   "
            f"{record.ratio:6.2f}x  ({record.ratio_min:.2f} to {record.ratio_max:.2f})   "
            f"objective {record.objective_ours:.6g} / {record.objective_peer:.6g}"
        )
    return records


def machine() -> str:
    """The processor's name, and how many there are."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor() or platform.machine()


def compiled(function: Callable[..., Any], arguments: tuple, options: dict | None = None) -> Callable[[], Any]:
    """A jitted function, compiled ahead for these arguments: what is timed is one run, waited for."""
    executable = jax.jit(function, compiler_options=options).lower(*arguments).compile()
    return lambda: jax.block_until_ready(executable(*arguments))


def _time(seconds: float) -> str:
    exponent = min(0, max(-3, math.floor(math.log10(seconds) / 3))) if seconds > 0 else 0
    return f"{seconds * 1000.0**-exponent:.3g} {('s', 'ms', 'us', 'ns')[-exponent]}"
