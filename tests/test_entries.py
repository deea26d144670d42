"""Whatever a user hands in is right or refused by name, and what is called twice compiles once: in plain processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.entries import modules

LONG = {f"ebmjax.{name}" for name in ("energies", "learn", "losses", "marginalize", "minimize", "networks", "sample")}
PACKAGES = [
    pytest.param(package, marks=[pytest.mark.slow] * (package in LONG))
    for package in sorted({".".join(name.split(".")[:2]) for name in modules()})
]
"""`ebmjax.energies`, `ebmjax.temperature`, …: one process each."""


def ended(script: str, package: str) -> subprocess.CompletedProcess[str]:
    """A script of this folder, run on the modules of one package without the tests' type checks."""
    names = [name for name in modules() if name == package or name.startswith(package + ".")]
    return subprocess.run(
        [sys.executable, "-m", f"tests.{script}", *names],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"},
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_every_entry_is_right_or_refused_by_name(package):
    process = ended("entries", package)
    assert process.returncode == 0, process.stdout + process.stderr


@pytest.mark.parametrize("package", PACKAGES)
def test_a_second_call_compiles_nothing(package):
    process = ended("second_calls", package)
    assert process.returncode == 0, process.stdout + process.stderr
