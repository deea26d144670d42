"""Whatever a user hands in is right or refused by name, and what is called twice compiles once: in plain processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.entries import modules

LONG = {
    f"ebmjax.{name}"
    for name in (
        "diagnostics",
        "energies",
        "learn",
        "likelihoods",
        "losses",
        "marginalize",
        "minimize",
        "networks",
        "problems",
        "sample",
    )
}
PACKAGES = [*(pytest.param(package, marks=pytest.mark.slow) for package in sorted(LONG)), "the rest"]
"""One process each."""


@pytest.mark.parametrize("package", PACKAGES)
def test_every_entry_is_right_or_refused_by_name_and_a_second_call_compiles_nothing(package):
    """One process for both, without the tests' type checks, since both run the examples of the docstrings."""
    long = lambda name: next((each for each in LONG if name == each or name.startswith(each + ".")), "the rest")
    names = [name for name in modules() if long(name) == package]
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from tests import entries, second_calls; "
            "sys.exit(second_calls.main(sys.argv[1:]) + entries.main(sys.argv[1:]))",
            *names,
        ],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"},
    )
    assert process.returncode == 0, process.stdout + process.stderr
