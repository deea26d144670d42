"""The group `scaling`: how time, memory and compiling grow with size, and what is exchanged between devices.

Each family of work (see `scaling_families`) is compiled and timed at four sizes over two decades, on one core. The
exponent of a quantity is the slope of its logarithm against that of the size over the two largest sizes, where the
fixed costs of a call are small. It is to be compared with the exponent of the operations that XLA counts.

What can be laid over devices is also compiled for 1, 2, 4 and 8 devices that XLA simulates on the one core. They share
its time. So at a fixed size (strong scaling) the time would not change with their number if they cost nothing, and with
a fixed size a device (weak scaling) it would grow as their number: what is given is the time over that ideal. The bytes
that they exchange are counted in the compiled program.
"""

import json
import math
import platform
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks.cli import Options
from benchmarks.runner import machine
from benchmarks.scaling_families import Family, families
from ebmjax import memory, sharding

DEVICES = (1, 2, 4, 8)
COLLECTIVE = re.compile(r"= (.*?) (?:all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(")
ARRAY = re.compile(r"\b([a-z]+)(\d+)\[([\d,]*)\]")


class Row(NamedTuple):
    """One family at one size, on one device."""

    family: str
    what: str
    size: int
    seconds: float
    """Of one call, the median."""
    seconds_compile: float
    instructions: int
    """Of the program that XLA is handed."""
    bytes: int
    """That the compiled program needs."""
    operations: float
    """That XLA counts; those of a loop once."""


class Spread(NamedTuple):
    """One family on several simulated devices."""

    family: str
    devices: int
    strong: float
    """Time over that of one device, at the same size."""
    weak: float
    """The same over that of one device and of one device's part, times the number of devices."""
    exchanged: int
    """Bytes in the operations of the program that communicate."""


class Exponents(NamedTuple):
    """Slopes over the two largest sizes."""

    seconds: float
    seconds_compile: float
    instructions: float
    bytes: float
    operations: float


def run(options: Options, core: str) -> int:
    """Measure, print the tables, and write the records and their picture.

    Returns:
        0.

    Raises:
        ValueError: the name of no family contains the words asked for.
    """
    every = families(options.quick)
    chosen = [family for family in every if options.case in family.name]
    if not chosen:
        raise ValueError(f"--case: got {options.case!r}, wanted words of one of: {'; '.join(f.name for f in every)}")
    where = f"{machine()}; {core}; python {platform.python_version()}, jax {jax.__version__}"
    print(f"{where}; {options.repeats} repeats")
    rows, spreads = [], []
    for family in chosen:
        print(f"\n{family.name}: {family.what}")
        print("      size       time    compiled  instructions      memory")
        mine = [measured(family, size, options.repeats) for size in family.sizes]
        slopes = exponents(mine)
        print(
            f"  exponent  {slopes.seconds:8.2f}  {slopes.seconds_compile:8.2f}  {slopes.instructions:12.2f}"
            f"  {slopes.bytes:10.2f}   (operations {slopes.operations:.2f})"
        )
        rows += mine
        if family.spread:
            spreads += over_devices(family, options.repeats)
    if options.json is not None:
        record = {
            "machine": where,
            "repeats": options.repeats,
            "rows": [row._asdict() for row in rows],
            "exponents": {
                family.name: exponents([r for r in rows if r.family == family.name])._asdict() for family in chosen
            },
            "devices": [spread._asdict() for spread in spreads],
        }
        options.json.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        draw(rows, options.json.with_suffix(".png"))
    return 0


def measured(family: Family, size: int, repeats: int) -> Row:
    """Compile one family at one size, run it, and print its row."""
    work = family.make(size)
    start = time.perf_counter()
    lowered = jax.jit(work.function).lower(*work.arguments)
    program = lowered.compile()
    compiling = time.perf_counter() - start
    seconds = timed(program, work.arguments, repeats)
    instructions = sum(" = " in line for line in lowered.as_text().splitlines())
    row = Row(
        family.name,
        family.what,
        size,
        seconds,
        compiling,
        instructions,
        sum(memory.needed(program)),
        operations(program),
    )
    print(
        f"  {size:8d}  {1e3 * seconds:6.4g} ms  {compiling:8.2f} s  {instructions:12d}  {memory.size(row.bytes):>10}",
        flush=True,
    )
    return row


def timed(program: Any, arguments: tuple[Any, ...], repeats: int) -> float:
    """The median of the seconds of a call; the first one is not counted."""
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def operations(program: Any) -> float:
    """Floating-point operations by XLA's own count; NaN where it has none."""
    costs = program.cost_analysis()
    costs = costs[0] if isinstance(costs, Sequence) and costs else costs
    return float(costs.get("flops", math.nan)) if isinstance(costs, dict) else math.nan


def exponents(rows: Sequence[Row]) -> Exponents:
    """The slopes between the two largest sizes."""
    before, last = rows[-2:]
    step = math.log(last.size / before.size)
    slope = lambda name: math.log(max(getattr(last, name), 1e-30) / max(getattr(before, name), 1e-30)) / step
    return Exponents(*(slope(name) for name in Exponents._fields))


def over_devices(family: Family, repeats: int) -> list[Spread]:
    """On 1, 2, 4 and 8 simulated devices, at the second largest size in all, and at an eighth of it on each."""
    size = family.sizes[-2]
    part = size // DEVICES[-1]
    print("   devices   strong     weak   exchanged (times over the ideal)")
    found: list[Spread] = []
    alone: dict[str, float] = {}
    for count in DEVICES:
        if count > jax.device_count():
            print(f"  {count} devices: this process has {jax.device_count()}")
            break
        seconds, exchanged = {}, 0
        for name, members in (("strong", size), ("weak", part * count)):
            work = family.make(members)
            line = sharding.line(jax.devices()[:count])
            arguments = tuple(sharding.shard(argument, line) for argument in work.arguments)
            program = jax.jit(work.function).lower(*arguments).compile()
            seconds[name] = timed(program, arguments, repeats)
            exchanged = bytes_exchanged(program.as_text() or "")
        alone = alone or seconds
        ideal = {"strong": alone["strong"], "weak": alone["weak"] * count}
        found.append(
            Spread(
                family.name, count, *(seconds[name] / ideal[name] for name in ("strong", "weak")), exchanged=exchanged
            )
        )
        print(f"  {count:8d}  {found[-1].strong:7.2f}  {found[-1].weak:7.2f}  {exchanged:9d} bytes", flush=True)
    return found


def bytes_exchanged(program: str) -> int:
    """The bytes of the results of all operations of a compiled program that communicate; those of a loop once.

    >>> bytes_exchanged("  %a = f32[8,2]{1,0} all-gather(f32[1,2]{1,0} %b), dimensions={0}")
    64
    """
    found = 0
    for line in program.splitlines():
        for shapes in COLLECTIVE.findall(line):
            for _, bits, shape in ARRAY.findall(shapes):
                found += int(bits) // 8 * math.prod(int(axis) for axis in shape.split(",") if axis)
    return found


def draw(rows: Sequence[Row], path: Path) -> None:
    """Time and memory against size, both over their values at the smallest size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots(1, 2)
    largest = 1.0
    for name in dict.fromkeys(row.family for row in rows):
        mine = [row for row in rows if row.family == name]
        sizes = np.array([row.size for row in mine]) / mine[0].size
        largest = max(largest, sizes[-1])
        for panel, quantity in zip(axes, ("seconds", "bytes"), strict=True):
            values = np.array([getattr(row, quantity) for row in mine])
            panel.loglog(sizes, values / values[0], marker="o", markersize=4, label=name)
    for panel, title in zip(axes, ("Time of a call", "Memory of the program"), strict=True):
        panel.loglog([1, largest], [1, largest], color="0.6", linestyle="--", label="in proportion", zorder=0)
        panel.set(title=title, xlabel="size, over the smallest", ylabel="over that of the smallest")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
