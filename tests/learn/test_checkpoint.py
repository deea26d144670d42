"""Checkpoints: states come back bit for bit, and what cannot be saved or read is named."""

import os
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.learn.checkpoint import restore, save
from ebmjax.random_bits import THREEFRY
from tests.learn.saved import same, steps

STATE = {
    "key": jax.random.key(1),
    "keys": (jax.random.split(jax.random.key(2, impl=THREEFRY), 3), jax.random.key(4, impl="rbg")),
    "half": jnp.array([1.0, jnp.nan], jnp.bfloat16),
    "float": jnp.array([[0.1, -0.0, jnp.inf]]),
    "empty": [jnp.zeros((0, 3)), jax.random.split(jax.random.key(0, impl=THREEFRY), 0)],
    "numpy": np.array([2**40, -1]),
    "flag": jnp.array(True),
}


@pytest.mark.parametrize("abstract", [False, True])
def test_every_kind_of_array_comes_back(tmp_path, abstract):
    save(tmp_path, 5, STATE)
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), STATE) if abstract else STATE
    if abstract:
        like["numpy"] = STATE["numpy"]  # 64 bits stand in a JAX array only where x64 is on
    step, state = restore(tmp_path, like)
    assert step == 5
    assert same(state, STATE)
    assert isinstance(state["numpy"], np.ndarray)
    assert isinstance(state["flag"], jax.Array)
    draw = lambda keys: np.asarray(jax.vmap(jax.random.normal)(keys))
    np.testing.assert_array_equal(draw(state["keys"][0]), draw(STATE["keys"][0]))


def test_the_last_two_are_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    for step in (0, 1, 2, 7):
        save("run", step, {"w": jnp.full(3, float(step))})
    save(tmp_path, 1, jnp.zeros(2))
    assert steps("run") == [2, 7]
    assert restore("run", {"w": jnp.zeros(3)})[1]["w"].tolist() == [7.0] * 3
    assert (tmp_path / "notes.txt").read_text() == "mine"
    for step in (7, 3, -1):
        with pytest.raises(ValueError, match=f"step: got {step}, wanted at least 8"):
            save("run", step, {"w": jnp.zeros(3)})
    with pytest.raises(ValueError, match="step: got -1, wanted at least 0"):
        save("new", -1, {"w": jnp.zeros(3)})


def test_nothing_saved_is_none(tmp_path):
    assert restore(tmp_path / "missing", STATE) is None
    assert not (tmp_path / "missing").exists()
    assert restore(tmp_path, STATE) is None


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    (tmp_path / "2.orbax-checkpoint-tmp").mkdir()
    (tmp_path / "2.orbax-checkpoint-tmp" / "piece").write_text("half")
    assert restore(tmp_path, jnp.zeros(2)) is None
    save(tmp_path, 3, jnp.ones(2))
    assert [path.name for path in tmp_path.iterdir()] == ["3"]


def test_half_a_checkpoint_is_not_one(tmp_path, monkeypatch):
    """Saving that ends between its last byte and the rename which gives the folder its name."""
    save(tmp_path, 1, {"w": jnp.ones(3)})

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(os, name, killed)
        with pytest.raises(KeyboardInterrupt):
            save(tmp_path, 2, {"w": jnp.zeros(3)})
    assert any("tmp" in path.name for path in tmp_path.iterdir())
    step, state = restore(tmp_path, {"w": jnp.zeros(3)})
    assert (step, state["w"].tolist()) == (1, [1.0] * 3)
    save(tmp_path, 3, {"w": jnp.zeros(3)})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3"]  # what was left of 2 is gone


@pytest.mark.parametrize(
    ("like", "message"),
    [
        ({"w": jnp.zeros(3)}, r"like: got float32\[3\] at \['w'\], wanted float32\[2\] at \['w'\]"),
        ({"w": jnp.zeros(2, int)}, r"like: got int32\[2\]"),
        ({"v": jnp.zeros(2)}, r"like: got float32\[2\] at \['v'\], wanted"),
        (jnp.zeros(2), r"like: got float32\[2\] at \., wanted"),
        ({"w": jnp.zeros(2)}, "like: got 1 arrays, wanted 2"),
        (
            {"w": jnp.zeros(2), "x": jax.random.key(0, impl=THREEFRY)},
            r"like: got key<eft>\[\] at \['x'\], wanted key<fry>\[\] at \['x'\], as in checkpoint 0",
        ),
    ],
    ids=range(6),
)
def test_another_structure_is_named(tmp_path, like, message):
    save(tmp_path, 0, {"w": jnp.zeros(2), "x": jax.random.key(0)})
    with pytest.raises(ValueError, match=message):
        restore(tmp_path, like)


@pytest.mark.parametrize("damage", ["empty", "foreign", "truncated", "missing"])
def test_a_damaged_or_foreign_checkpoint_is_named(tmp_path, damage):
    folder = tmp_path / "run"
    save(folder, 3, jnp.ones(1000))
    if damage == "empty":
        shutil.rmtree(folder / "3")
        (folder / "3").mkdir()
    elif damage == "foreign":
        (folder / "3/about/metadata").write_text('{"format": "another", "leaves": []}')
    elif damage == "truncated":
        for path in folder.rglob("d/*"):
            path.write_bytes(path.read_bytes()[:-5])
    else:
        shutil.rmtree(folder / "3/arrays")
    with pytest.raises(ValueError, match=r"folder: got .*run, whose checkpoint 3 .*was not made by `save`"):
        restore(folder, jnp.ones(1000))


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match="file, which is a file, wanted a folder"):
        save(tmp_path / "file", 0, STATE)
    with pytest.raises(ValueError, match="file, which is a file, wanted a folder"):
        restore(tmp_path / "file", STATE)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    save("~/run", 1, {"w": jnp.zeros(2)})
    assert restore("~/run", {"w": jnp.zeros(2)})[0] == 1
    assert restore(tmp_path / "home/run", {"w": jnp.zeros(2)})[0] == 1
    assert not Path("~").exists()


def test_what_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"state\['f'\]: got a .*, wanted an array"):
        save(tmp_path, 0, {"f": jnp.tanh})
    with pytest.raises(ValueError, match=r"step: got 1\.0, wanted a whole number"):
        save.__wrapped__(tmp_path, 1.0, {})
    with pytest.raises(ValueError, match="folder: got None"):
        save.__wrapped__(None, 1, {})
