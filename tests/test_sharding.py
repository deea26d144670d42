"""Many devices and processes: the same bits on any number of them, and what cannot be laid over them."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import memory, sharding

ROOT = Path(__file__).parents[1]


def started(file, devices, *process, each=1):
    """One process of `tests.sharded_runs`, with so many simulated devices of its own."""
    flags = f"--xla_force_host_platform_device_count={each} {os.environ.get('XLA_FLAGS', '')}"
    command = [sys.executable, "-m", "tests.sharded_runs", str(file), str(devices), *map(str, process)]
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def finished(processes):
    for process in processes:
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, said


@pytest.mark.slow
def test_runs_have_the_same_bits_on_any_number_of_devices_and_processes(tmp_path):
    """1, 2, 4 and 8 devices of one process, and 2 and 4 processes that talk over loopback."""
    for devices in (1, 2, 4, 8):
        finished([started(tmp_path / f"{devices} devices.npz", devices, each=devices)])
    for count in (2, 4):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        file = tmp_path / f"{count} processes.npz"
        finished([started(file, count, number, count, port) for number in range(count)])
    alone, *others = (
        np.load(tmp_path / f"{name}.npz")
        for name in ("1 devices", "2 devices", "4 devices", "8 devices", "2 processes", "4 processes")
    )
    assert len(alone.files) == 15
    for other in others:
        for name in alone.files:
            if "data parallel" in name:  # its gradients are sums over devices
                np.testing.assert_allclose(other[name], alone[name], rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(other[name], alone[name], err_msg=name)


def test_one_device_changes_nothing():
    one = sharding.line(jax.devices()[:1])
    tree = {"keys": jax.random.split(jax.random.key(0), 3), "numbers": np.arange(3.0, dtype=np.float32)}
    assert sharding.shard(tree, one) is tree
    assert sharding.replicate(tree, one) is tree
    found = sharding.map_over(lambda member: member["numbers"] + jax.random.uniform(member["keys"]), tree, one, 3)
    wanted = tree["numbers"] + jax.vmap(jax.random.uniform)(tree["keys"])
    np.testing.assert_array_equal(sharding.gather(found), wanted)


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ([], "devices: got 0"),
        (jax.devices()[:1] * 2, "devices: got 2, of which 1 differ"),
        (["cpu"], r"devices: got \['cpu'\]"),
        (jax.devices()[0], "devices: got CpuDevice"),
    ],
)
def test_devices_that_make_no_line_are_refused(devices, message):
    with pytest.raises(ValueError, match=message):
        sharding.line(devices)


def test_what_cannot_be_divided_is_refused():
    one = sharding.line(jax.devices()[:1])
    with pytest.raises(ValueError, match="examples: got 5 along the leading axis, wanted a multiple of the 2"):
        sharding.map_over(jnp.sum, jnp.ones((5, 2)), one, 2)
    with pytest.raises(ValueError, match="chunk: got 0"):
        sharding.map_over(jnp.sum, jnp.ones((5, 2)), one, 0)
    with pytest.raises(ValueError, match="tree: "):
        sharding.shard({"a": jnp.ones(3), "b": jnp.ones(4)}, one)
    with pytest.raises(ValueError, match="devices: got a list"):
        sharding.shard(jnp.ones(3), jax.devices())


def test_a_chunk_of_examples_is_computed_together():
    """Its tables are in memory together, and those of other examples are not."""
    table = lambda x: jnp.linalg.norm(jnp.sort(jnp.outer(x, x), axis=0))
    spread = lambda x, chunk: sharding.map_over(table, x, sharding.line(jax.devices()[:1]), chunk)
    needs = [
        memory.needed(jax.jit(spread, static_argnums=1).lower(jnp.ones((32, 100)), chunk).compile()).temporary
        for chunk in (1, 4, 16)
    ]
    one = needs[0]
    assert 2 * one < needs[1] < 6 * one
    assert 10 * one < needs[2] < 20 * one
