"""The memory that a program is planned to need, and chunks that fit into what is left."""

import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import memory
from ebmjax.checks import ArgumentError
from ebmjax.loops import map_chunks

SIDE = 200


def sorted_products(x):
    """Sorting cannot be fused with what is before it, so each example needs a table."""
    return jnp.linalg.norm(jnp.sort(jnp.outer(x, x), axis=0))


EXAMPLES = jax.ShapeDtypeStruct((64, SIDE), jnp.float32)
TABLE = 4 * SIDE**2


def test_the_need_of_a_program_is_that_of_its_arrays():
    program = jax.jit(lambda x, y: (jnp.sort(x) @ y, y[0])).lower(jnp.ones((30, 40)), jnp.ones((40, 50))).compile()
    need = memory.needed(program)
    assert need.arguments == 4 * (30 * 40 + 40 * 50)
    assert 4 * (30 * 50 + 50) <= need.results <= 4 * (30 * 50 + 50) + 64  # and a table of two pointers
    assert 4 * 30 * 40 <= need.temporary <= 16 * 30 * 40
    assert sum(need) == need.arguments + need.results + need.temporary


def test_results_in_the_place_of_arguments_count_once():
    program = jax.jit(lambda x: x + 1, donate_argnums=0).lower(jnp.ones(1000)).compile()
    assert memory.needed(program)[:2] == (4000, 0)


@pytest.mark.parametrize("tables", [3.5, 8.0, 20.0, 250.0])
def test_as_many_examples_as_fit(tables):
    """Each takes three tables at most: the products, and the sorted ones with what sorting needs."""
    fit = memory.members_that_fit(sorted_products, EXAMPLES, 64, tables * TABLE)
    assert fit.needed <= fit.available == tables * TABLE
    assert min(64, max(1, math.floor(tables / 3 - 1) // 2)) <= fit.members <= min(64, tables)
    program = jax.jit(lambda x: map_chunks(sorted_products, x, fit.members)).lower(EXAMPLES).compile()
    assert sum(memory.needed(program)) == fit.needed


def test_chunks_that_fit_give_the_same_results():
    x = jax.random.normal(jax.random.key(0), (64, SIDE))
    fit = memory.members_that_fit(sorted_products, x, 64, 12 * TABLE)
    assert 1 < fit.members < 64
    expected = jax.lax.map(sorted_products, x)
    np.testing.assert_allclose(map_chunks(sorted_products, x, fit.members), expected, rtol=1e-5)


def test_keys_are_examples_and_more_than_there_are_is_all_of_them():
    keys = jax.random.split(jax.random.key(0), 10)
    assert memory.members_that_fit(jax.random.normal, keys, 64).members == 10


def test_what_does_not_fit_one_at_a_time_is_refused():
    with pytest.raises(
        ArgumentError, match=r"examples: got .* kB with one example at a time, wanted at most the 100 kB"
    ):
        memory.members_that_fit(sorted_products, EXAMPLES, 64, 1e5)


@pytest.mark.parametrize("available", [0, -1.0, math.nan, True, "1 GB"])
def test_a_number_of_bytes_that_is_none_is_refused(available):
    with pytest.raises(ArgumentError, match=r"available: got .*, wanted a number of bytes above 0"):
        memory.members_that_fit(sorted_products, EXAMPLES, 64, available)


class Device:
    """What a device tells of its memory."""

    def __init__(self, stats):
        self.memory_stats = lambda: stats


def test_memory_left_is_that_of_the_device_the_container_or_the_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(jax, "Device", Device)
    assert memory.left(Device({"bytes_limit": 100, "bytes_in_use": 30})) == 70
    machine, most, used = tmp_path / "meminfo", tmp_path / "max", tmp_path / "current"
    machine.write_text("MemTotal: 9000 kB\nMemAvailable:    2000 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", str(machine))
    monkeypatch.setattr(memory, "LIMITS", ((str(most), str(used)),))
    assert memory.left(Device(None)) == 2000 * 1024
    most.write_text("1000000\n")
    used.write_text("400000\n")
    assert memory.left(Device(None)) == 600_000
    most.write_text("max\n")  # a container without a limit
    assert memory.left(Device(None)) == 2000 * 1024
    machine.unlink()
    assert memory.left(Device(None)) == math.inf


PEAK = """
import sys
import jax, jax.numpy as jnp
from ebmjax import memory
from ebmjax.loops import map_chunks
from tests.test_memory import sorted_products

def peak():  # of this program; that of `resource` counts what the process was before
    lines = open("/proc/self/status").read().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])

x = jnp.ones((128, 500))
program = jax.jit(lambda x: map_chunks(sorted_products, x, int(sys.argv[1]))).lower(x).compile()
before = peak()
program(x).block_until_ready()
print(peak() - before, sum(memory.needed(program)))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read as Linux tells it")
@pytest.mark.parametrize("chunk", [64, 128])
def test_a_process_grows_by_what_was_planned(chunk):
    command = [sys.executable, "-c", PEAK, str(chunk)]
    grown, planned = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert 0.5 * planned < grown < 1.5 * planned
