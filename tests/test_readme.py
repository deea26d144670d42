"""The README's example runs, and prints what the README says; its two commands stand alone on their lines."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

README = (Path(__file__).parents[1] / "README.md").read_text()


@pytest.mark.optax
def test_the_example_runs_and_finds_the_ellipse(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    with jax.numpy_rank_promotion("allow"):
        exec(compile(code, "README.md", "exec"), {})
    printed = re.findall(r"-?[\d.]+(?:e[+-]?\d+)?", capsys.readouterr().out)
    radii = np.abs(np.array(printed, float).reshape(4, 2))
    np.testing.assert_allclose(radii[0], 0, atol=0.05)
    np.testing.assert_allclose(radii[1:], README_RADII, atol=0.02)


README_RADII = [[1.48, 1.51], [1.87, 1.52], [1.93, 1.52]]


def test_two_commands():
    commands = [line.strip() for line in README.splitlines() if line.strip().startswith("python -m pip install")]
    assert commands[:2] == [
        'python -m pip install -e ".[experiments]" && python -m experiments',
        'python -m pip install -e ".[test]" && python -m pytest',
    ]


def test_pictures_exist():
    for path in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (Path(__file__).parents[1] / path).is_file(), path
