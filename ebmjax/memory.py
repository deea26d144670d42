"""Memory: what a compiled program needs, and how many examples fit into a device together.

    needed            the bytes that a compiled program needs
    left              the bytes that a device has left
    members_that_fit  how many examples `ebmjax.loops.map_chunks` may evaluate together
    size              bytes in words

XLA plans the memory of a program when it compiles it. So the plan is known before anything is computed, and a sweep
that would end without memory after an hour can be cut into smaller chunks before it begins. The plan is a lower bound
where XLA hands a part of a program to a library with memory of its own, as jax 0.12 does with products of matrices on a
CPU.
"""

import math
from typing import Any, NamedTuple

import jax

from ebmjax.checks import ArgumentError, as_number, check_arrays, check_callable, check_count, leading_axis
from ebmjax.loops import map_chunks
from ebmjax.records import record

SHARE = 0.8
"""The part of the memory left that a program may take: other programs, and XLA itself, need some too."""

MEMINFO = "/proc/meminfo"
LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
"""Files with the limit and the use of memory of a Linux container, of both generations."""


@record
class Need(NamedTuple):
    """The bytes that a compiled program needs on one device; their sum is what it needs in all."""

    arguments: int
    results: int
    """Those that do not take the place of donated arguments."""
    temporary: int
    """Values between arguments and results."""


@record
class Fit(NamedTuple):
    """How many examples fit into memory together."""

    members: int
    """Examples that are evaluated together."""
    needed: int
    """Bytes that the program needs then."""
    available: float
    """Bytes that it may take; infinite where the machine does not tell."""


def needed(program: jax.stages.Compiled) -> Need:
    """The memory of a compiled program, on one device.

    Args:
        program: from `jax.jit(function).lower(*arguments).compile()`.

    Returns:
        `Need`, in bytes; zeros where a backend does not tell.

    Raises:
        ValueError: something that is no compiled program.

    >>> import jax.numpy as jnp
    >>> need = needed(jax.jit(jnp.sum).lower(jnp.ones(1000)).compile())
    >>> need.arguments, need.results
    (4000, 4)
    """
    if not isinstance(program, jax.stages.Compiled):
        got = type(program).__name__
        raise ArgumentError(f"program: got a {got}, wanted one from `jax.jit(function).lower(*arguments).compile()`")
    plan = program.memory_analysis()
    if plan is None:
        return Need(0, 0, 0)
    results = max(0, plan.output_size_in_bytes - plan.alias_size_in_bytes)
    return Need(plan.argument_size_in_bytes, results, plan.temp_size_in_bytes)


def left(device: Any = None) -> float:
    """The bytes of memory that a device has left; on a CPU those of the machine or of its container.

    Args:
        device: by default the first device of this process.

    Returns:
        Bytes; infinite where neither the device nor the operating system tells, as on macOS and Windows.

    Raises:
        ValueError: something that is no device.

    >>> left() > 0
    True
    """
    device = jax.local_devices()[0] if device is None else device
    if not isinstance(device, jax.Device):
        raise ArgumentError(f"device: got {device!r:.100}, wanted a device, such as `jax.devices()[0]`")
    stats = device.memory_stats() or {}
    if "bytes_limit" in stats:
        return float(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    return min(_left_in_machine(), *(_left_in_container(*files) for files in LIMITS))


def members_that_fit(function: Any, examples: Any, most: int, available: Any = None) -> Fit:
    """The largest chunk, up to `most`, with which `map_chunks(function, examples, chunk)` fits into memory.

    Nothing is computed: the program is compiled and its plan of memory is read. Where `most` examples fit, this is one
    compilation in each call; otherwise there are a few more.

    Args:
        function: of one example.
        examples: a pytree of arrays and keys with one leading axis, or of `jax.ShapeDtypeStruct`s of them.
        most: the chunk that is wanted, at least 1.
        available: bytes that the program may take; by default 80% of what the first device has `left`.

    Returns:
        `Fit`: the chunk, what the program needs with it, and what was available.

    Raises:
        ValueError: examples that do not fit even one at a time, examples without a common leading axis, most below 1,
            available not above 0, or an argument of another kind.

    >>> import jax.numpy as jnp
    >>> ranked = lambda x: jnp.sort(jnp.outer(x, x)).sum(axis=0)  # a table of 4 MB for each example
    >>> examples = jax.ShapeDtypeStruct((64, 1000), jnp.float32)
    >>> members_that_fit(ranked, examples, 64, available=1e9).members
    64
    """
    check_callable("function", function)
    check_count("most", most)
    check_arrays("examples", jax.tree.map(lambda leaf: 0 if isinstance(leaf, jax.ShapeDtypeStruct) else leaf, examples))
    shapes = jax.eval_shape(lambda leaves: leaves, examples)
    most = min(int(most), leading_axis("examples", shapes))
    if available is None:
        available = SHARE * left()
    elif isinstance(available, bool) or not isinstance(available, (int, float)) or not available > 0:
        raise ArgumentError(f"available: got {available!r:.100}, wanted a number of bytes above 0")
    need = _need(function, shapes, most)
    if need <= available:
        return Fit(most, need, float(available))
    least = _need(function, shapes, 1)
    if least > available:
        raise ArgumentError(
            f"examples: got {size(least)} with one example at a time, wanted at most the {size(available)} available"
        )
    chunk = most
    while need > available:  # about linear in the chunk, but for a last chunk that is shorter
        each = max(1.0, (need - least) / (chunk - 1))
        chunk = max(1, min(chunk - 1, 1 + int((available - least) / each)))
        need = least if chunk == 1 else _need(function, shapes, chunk)
    return Fit(chunk, need, float(available))


def size(count: Any) -> str:
    """A number of bytes as a reader wants it: three digits, with a unit.

    Raises ValueError for what is no number.

    >>> size(1.5e9)
    '1.5 GB'
    """
    count = float(as_number("count", count))
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _need(function, shapes, chunk):
    program = jax.jit(lambda examples: map_chunks(function, examples, chunk)).lower(shapes).compile()
    return sum(needed(program))


def _left_in_machine():
    lines = _text(MEMINFO).splitlines()
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024.0 * int(found[0]) if found else math.inf


def _left_in_container(limit, used):
    most, now = _text(limit).strip(), _text(used).strip()
    return float(int(most) - int(now)) if most.isdecimal() and now.isdecimal() else math.inf


def _text(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
