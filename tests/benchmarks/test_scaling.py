"""The group `scaling`: programs do not grow with the size, slopes and bytes are right, and a small run works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import accelerator, scaling
from benchmarks.scaling_families import families


def row(size, seconds, **others):
    known = {"family": "f", "what": "w", "seconds_compile": 1.0, "instructions": 10, "bytes": 4 * size}
    return scaling.Row(size=size, seconds=seconds, operations=float(size**2), **known | others)


def test_slopes_are_those_between_the_two_largest_sizes():
    found = scaling.exponents([row(1, 9.0), row(10, 0.1), row(100, 10.0)])
    np.testing.assert_allclose(found, (2, 0, 0, 1, 2), atol=1e-12)


def test_bytes_are_those_of_what_communicates():
    program = """
      %sum = f32[] all-reduce(f32[] %x), to_apply=%add
      %both = (f32[4,2]{1,0}, u32[8]{0}) all-gather(f32[1,2] %a, u32[2] %b), dimensions={0}
      %near = bf16[3]{0} collective-permute-start(bf16[3] %c), source_target_pairs={{0,1}}
      %not = f32[100]{0} add(f32[100] %d, f32[100] %e)
    """
    assert scaling.bytes_exchanged(program) == 4 + (32 + 32) + 6


def test_operations_of_a_product_are_counted():
    program = jax.jit(jnp.matmul).lower(jnp.ones((30, 40)), jnp.ones((40, 50))).compile()
    assert scaling.operations(program) == pytest.approx(2 * 30 * 40 * 50, rel=0.05)


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("family", families(False), ids=lambda family: family.name)
def test_a_program_does_not_grow_with_the_size(family):
    assert all(size % 8 == 0 for size in family.sizes)
    assert len(family.sizes) == 4
    assert family.sizes[-1] == 100 * family.sizes[0]
    programs = []
    for size in family.sizes[:2]:
        work = family.make(size)
        programs.append(jax.jit(work.function).lower(*work.arguments).as_text().count("\n"))
    assert abs(programs[1] - programs[0]) <= 0.01 * programs[0]  # lines; a shape that is odd takes one more


@pytest.mark.slow
def test_a_small_run_writes_its_record_and_its_picture(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "scaling", "--quick", "--case", "chains", "--repeats", "3"]
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "found.json")],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "found.json").read_text())
    assert [each["size"] for each in record["rows"]] == [64, 320]
    assert [each["devices"] for each in record["devices"]] == [1, 2, 4, 8]
    assert [each["exchanged"] for each in record["devices"]] == [0] * 4  # chains need nothing from each other
    assert record["exponents"]["chains"]["bytes"] == pytest.approx(1, abs=0.05)
    assert (tmp_path / "found.png").stat().st_size > 10_000


def test_a_case_that_is_none_is_refused():
    from benchmarks import cli

    with pytest.raises(ValueError, match="--case: got 'none', wanted words of one of: members; chains"):
        scaling.run(cli.Options("scaling", case="none"), "core 0")


@pytest.mark.slow
@pytest.mark.optax
@pytest.mark.parametrize("option", ["--small", "--lowered"])
def test_the_script_for_accelerators_runs_on_a_cpu(option, capsys):
    assert accelerator.main([option]) == 0
    told = capsys.readouterr().out
    assert told.count("lowers for cuda and tpu") == 4 * (option == "--lowered")
    assert told.count(", goal ") == 3 * (option == "--small")
