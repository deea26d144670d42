"""Files of machines and of states: read, or refused in a line that says what is wrong and what was wanted."""

import re

import numpy as np
import pytest

from ebmjax.checks import ArgumentError
from experiments.data import machines

GOOD = {"W": np.ones((3, 2)), "a": np.zeros(3), "b": np.zeros(2)}


def test_a_machine_and_its_states_are_read(tmp_path):
    np.savez(tmp_path / "machine.npz", **GOOD)
    params = machines.read(tmp_path / "machine.npz")
    assert params.weights.shape == (3, 2)
    np.save(tmp_path / "states.npy", np.eye(3, dtype=bool))
    np.testing.assert_array_equal(machines.read_states(tmp_path / "states.npy", 3), np.eye(3))
    np.savez(tmp_path / "pictures.npz", pictures=np.ones((4, 3, 1), np.uint8))
    assert machines.read_states(tmp_path / "pictures.npz", 3).shape == (4, 3)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"W": np.ones((2, 3))}, "W seems to be transposed"),
        ({"a": np.zeros(5)}, "got the shapes"),
        ({"b": np.array([0.0, np.nan])}, "got b with a number that is not finite"),
        ({"b": np.array(["x", "y"])}, "got b with the dtype"),
        ({"W": np.ones((3, 2), complex)}, "got W with the dtype complex"),
    ],
)
def test_bad_machines_are_refused(tmp_path, changed, said):
    np.savez(tmp_path / "machine.npz", **{**GOOD, **changed})
    with pytest.raises(ArgumentError, match=re.escape(said)):
        machines.read(tmp_path / "machine.npz")


def test_files_of_other_kinds_are_refused(tmp_path):
    np.savez(tmp_path / "names.npz", weights=np.ones((3, 2)), a=np.zeros(3), b=np.zeros(2))
    np.save(tmp_path / "one.npy", np.ones(3))
    (tmp_path / "text.npz").write_text("no numbers")
    for name, said in (
        ("names.npz", "got the arrays a, b, weights"),
        ("one.npy", "got one array"),
        ("text.npz", "cannot read"),
        ("none.npz", "no such file"),
    ):
        with pytest.raises(ArgumentError, match=said):
            machines.read(tmp_path / name)
    np.save(tmp_path / "grey.npy", np.full((2, 3), 0.5))
    for name, said in (
        ("grey.npy", "got a unit of 0.5"),
        ("one.npy", "got the shape"),
        ("names.npz", "got the arrays"),
    ):
        with pytest.raises(ArgumentError, match=said):
            machines.read_states(tmp_path / name, 3)
