"""Checkpoints: states come back bit for bit, and what cannot be saved or read is named."""

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.learn import on_disk
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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # orbax leaves open what it cannot read
def test_a_byte_that_has_changed_is_seen(tmp_path):
    """In any file of a checkpoint: refused, or the same state; without that checkpoint, the one before it is there."""
    rng, state = np.random.default_rng(0), {"w": np.arange(1000.0), "key": jax.random.key(3)}
    folder, refused = tmp_path / "run", 0
    save(folder, 2, {**state, "w": np.ones(1000)})
    save(folder, 3, state)
    files = [path for path in sorted((folder / "3").rglob("*")) if path.is_file() and path.stat().st_size]
    for path in files:
        content = path.read_bytes()
        for place in rng.integers(len(content), size=2):
            changed = bytearray(content)
            changed[place] ^= 1 << rng.integers(8)
            path.write_bytes(changed)
            try:
                found = restore(folder, state)
            except ValueError as error:
                assert str(error).startswith(f"folder: got {folder}"), error  # noqa: PT017
                refused += 1
            else:
                assert found is not None
                np.testing.assert_array_equal(found[1]["w"], state["w"])
                assert found[1]["key"] == state["key"]
        path.write_bytes(content)
    assert refused >= 3
    data = max(files, key=lambda path: path.stat().st_size)
    data.write_bytes(data.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"damaged .*; without .*run/3 it goes on from checkpoint 2"):
        restore(folder, state)
    shutil.rmtree(folder / "3")
    assert restore(folder, state)[0] == 2
    gc.collect()  # here, and not in another test


def test_a_changed_number_is_seen_where_its_file_is_whole(tmp_path, monkeypatch):
    """As an array whose stored bytes have changed without a trace."""
    folder = tmp_path / "run"
    whole = on_disk._digest
    with monkeypatch.context() as patch:
        patch.setattr(on_disk, "_digest", lambda stored, *rest: whole({"0": stored["0"] + 1}, *rest))
        save(folder, 1, np.ones(3))
    with pytest.raises(ValueError, match="checkpoint 1 is damaged: its content is not what was saved"):
        restore(folder, np.ones(3))


FULL_DISK = """
import resource, sys
import numpy as np
from ebmjax.learn import on_disk
from ebmjax.learn.checkpoint import restore, save
save(sys.argv[1], 1, np.ones(10))
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    save(sys.argv[1], 2, np.random.default_rng(0).random(100_000))
except ValueError as error:
    print(error)
print(restore(sys.argv[1], np.ones(10))[0])
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the limit of a file's size is one of POSIX")
def test_a_disk_that_is_full_leaves_the_checkpoint_before(tmp_path):
    """The system refuses to write more than so many bytes of a file, as where there is no room."""
    folder = tmp_path / "run"
    run = [sys.executable, "-c", FULL_DISK, str(folder)]
    process = subprocess.run(run, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    said = process.stdout.splitlines()
    assert len(said) == 2, process.stderr
    assert said[0].startswith(f"folder: got {folder}, where checkpoint 2 cannot be written (")
    assert "checkpoint 1 is kept" in said[0]
    assert said[1] == "1"


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
