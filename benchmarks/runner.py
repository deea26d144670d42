"""The runner: times our side and its peers in turn, checks that they agree, prints a table and writes JSON.

Sides are compared at equal work. Every side returns its result and an objective, and a peer with another result is an
error. The ratio of times is the median of the ratios of neighbouring runs, so that a machine whose speed drifts does
not change it.
"""

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

from benchmarks.cli import Options

PEERS = (
    *("torch", "scipy", "sklearn", "thrml", "blackjax", "spams", "celer"),
    *("sporco", "pymbar", "dwave", "numpy", "numba", "c", "naive-vmap", "python-loop"),
    *("mcising", "peapods", "wolff", "single-flips", "tempering"),
)

WIDE = {"xla_cpu_prefer_vector_width": 512}
"""Compiler options: on processors with AVX-512, XLA uses 256-bit vectors by default. The user of the library makes this
choice, not the library; peers in JAX are compiled with it too."""


class Outcome(NamedTuple):
    """What one call of a side returns."""

    result: Any
    """What is compared with the other sides."""
    objective: float
    """How good the result is, for the table."""


@dataclass(frozen=True)
class Side:
    """One implementation."""

    prepare: Callable[[], Callable[[], Outcome]]
    """Compiles, and returns the callable that is timed."""
    version: str = ""
    """The version of the peer's package."""
    per_call: float = 1.0
    """Units of work in one call; sides are compared by seconds per unit."""
    name: str = ""
    """The name in the table, where it differs from the name in the record."""


@dataclass(frozen=True)
class Case:
    """One comparison at equal work."""

    name: str
    unit: str
    """The unit of work, such as "sweep", "step" or "draw"."""
    ours: Side
    peers: dict[str, Side]
    """By name: one of `PEERS`, with a suffix after ":" for variants. Sides of other names are not recorded."""
    agree: Callable[[Outcome, Outcome], None]
    """`agree(ours, peer)` raises AssertionError where the two outcomes differ."""
    note: str = ""
    """A line for the table: sizes, data, and what the objective is."""
    missing: tuple[str, ...] = field(default=())
    """Peers whose package is not installed."""


class Record(NamedTuple):
    """One row of the table; `ours` and `peer` are seconds per unit of work, `ratio` is peer / ours."""

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


def run(group: str, cases: Sequence[Case], options: Options, core: str) -> int:
    """Run the chosen cases, print the table, and write the records.

    Returns:
        0, or 1 where a peer disagreed.

    Raises:
        ValueError: the name of no case contains the words asked for.
    """
    chosen = [case for case in cases if options.case in case.name]
    if not chosen:
        raise ValueError(f"--case: got {options.case!r}, wanted words of one of: {'; '.join(c.name for c in cases)}")
    print(f"{machine()}; {core}; python {platform.python_version()}, jax {jax.__version__}; {options.repeats} repeats")
    records, failed = [], False
    for case in chosen:
        for missing in case.missing:
            print(f"{case.name}: {missing} is not installed, its row is skipped")
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
    """Time all sides of one case in turn, and print its rows.

    Raises:
        AssertionError: the outcome of a peer differs from ours.
    """
    sides = {"ours": case.ours, **case.peers}
    timed, prepared = {}, {}
    for name, side in sides.items():
        start = time.perf_counter()
        timed[name] = side.prepare()
        prepared[name] = time.perf_counter() - start
    outcomes = {name: call() for name, call in timed.items()}  # also the warm-up
    for name in case.peers:
        case.agree(outcomes["ours"], outcomes[name])
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, call in timed.items():
            start = time.perf_counter()
            call()
            seconds[name].append((time.perf_counter() - start) / sides[name].per_call)
    ours = statistics.median(seconds["ours"])
    print(f"\n{case.name}: ours {_time(ours)} per {case.unit}, compiled in {prepared['ours']:.1f} s")
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
    """The name of the processor and the number of its cores."""
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0]}, {len(names)} cores" if names else platform.processor() or platform.machine()


def compiled(function: Callable[..., Any], arguments: tuple, options: dict | None = None) -> Callable[[], Any]:
    """A jitted function, compiled ahead for these arguments; a call runs it and waits for the result."""
    executable = jax.jit(function, compiler_options=options).lower(*arguments).compile()
    return lambda: jax.block_until_ready(executable(*arguments))


def _time(seconds: float) -> str:
    exponent = min(0, max(-3, math.floor(math.log10(seconds) / 3))) if seconds > 0 else 0
    return f"{seconds * 1000.0**-exponent:.3g} {('s', 'ms', 'us', 'ns')[-exponent]}"
