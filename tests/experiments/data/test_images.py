"""Data sets of pictures: what is read, where it comes from, and one line for whatever is wrong."""

import gzip
import hashlib
import http.server
import json
import os
import threading
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.checks import ArgumentError
from experiments.application.records import plain
from experiments.data import images
from experiments.data.images import FOLDER, Images, binarize, load, read_idx, sample_binary

needs_data = pytest.mark.skipif(FOLDER not in os.environ, reason=f"needs {FOLDER}, the folder with MNIST and its kin")


def idx(values):
    values = np.asarray(values, np.uint8)
    sizes = np.asarray(values.shape, ">u4").tobytes()
    return bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes()


def one_line(error):
    return "\n" not in str(error.value)


def test_digits_come_with_a_package():
    split = load(Images.DIGITS)
    assert split.train.shape == (1437, 8, 8)
    assert split.test.shape == (360, 8, 8)
    assert (split.train.dtype, split.train_labels.dtype) == (np.float32, np.int32)
    assert (split.train.min(), split.train.max()) == (0, 1)
    np.testing.assert_array_equal(split.train * 16, np.round(split.train * 16))
    # A shuffled split: every class in about its share of 36 of 360 (one of size 20 or less once in 10^2, so fixed).
    counts = np.bincount(split.test_labels, minlength=10)
    assert counts.sum() == 360
    assert counts.min() > 20
    np.testing.assert_array_equal(load(Images.DIGITS).test, split.test)
    everything = np.concatenate([split.train, split.test]).reshape(1797, 64)
    raw = images.load_digits()
    np.testing.assert_array_equal(np.sort(everything.sum(1)), np.sort(raw.data.astype(np.float32).sum(1) / 16))


@needs_data
@pytest.mark.parametrize(
    ("name", "mean", "first"),
    [(Images.MNIST, 0.1306604762, [5, 0, 4, 1, 9]), (Images.FASHION_MNIST, 0.2860405969, [9, 0, 0, 3, 0])],
)
def test_grey_sets_are_the_published_ones(name, mean, first):
    """The mean pixel of each training set, which everybody normalizes by, and its first labels."""
    split = load(name)
    assert (split.train.shape, split.test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert (split.train.dtype, split.test_labels.dtype) == (np.float32, np.int32)
    np.testing.assert_allclose(split.train.mean(dtype=np.float64), mean, rtol=1e-6)
    assert split.train_labels[:5].tolist() == first
    assert (split.train.min(), split.train.max()) == (0, 1)


@needs_data
def test_binarized_mnist_is_shuffled_and_fixed():
    split = load(Images.BINARIZED_MNIST)
    assert (split.train.shape, split.test.shape) == ((50_000, 28, 28), (10_000, 28, 28))
    assert split.train_labels is None
    assert split.test_labels is None
    assert set(np.unique(split.test).tolist()) == {0.0, 1.0}
    # Sorted by class, the ink of 1,000 neighbours would differ: ones have about half the ink of zeros.
    ink = split.test.mean((1, 2)).reshape(10, 1000).mean(1)
    assert ink.max() / ink.min() < 1.1
    with np.load(Path(os.environ[FOLDER]) / "binarized_mnist/binarized_mnist.npz") as archive:
        published = archive["test"].reshape(10_000, 28, 28)
    raw_ink = published.mean((1, 2)).reshape(10, 1000).mean(1)
    assert raw_ink.max() / raw_ink.min() > 1.5  # sorted, as published
    np.testing.assert_array_equal(split.test.sum(0), published.sum(0))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"no archive", "got a damaged file or one of another kind"),
        (gzip.compress(idx(np.ones((3, 4))))[:-12], "got a file that ends too early"),
        (gzip.compress(idx(np.ones((3, 4))))[:20] + b"xxxx", "got a damaged file or one of another kind"),
        (gzip.compress(b""), "got nothing at the beginning"),
        (gzip.compress(b"\0\0\x0d\2" + idx(np.ones((3, 4)))[4:]), "got 00000d02 at the beginning, and not 00000802"),
        (gzip.compress(idx(np.ones((3, 4, 1)))), "got 00000803 at the beginning"),
        (gzip.compress(idx(np.ones((4, 3)))), "got a file of 4 x 3 bytes"),
        (gzip.compress(idx(np.ones((3, 4)))[:-1]), "got 11 bytes"),
        (gzip.compress(idx(np.ones((3, 4)))[:9]), "got a file that ends too early"),
        (None, "got no file of this name"),
    ],
    ids=range(10),
)
def test_a_bad_file_is_named_in_one_line(tmp_path, content, fault):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArgumentError, match="wanted a gzipped IDX file of 3 x 4 bytes") as error:
        read_idx(path, (3, 4))
    assert one_line(error)
    assert str(error.value).startswith(f"{path}: {fault}")


def test_a_good_file_is_read(tmp_path):
    values = np.arange(24).reshape(2, 3, 4)
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(values)))
    np.testing.assert_array_equal(read_idx(tmp_path / "a.gz", (2, 3, 4)), values)


@pytest.mark.parametrize("name", [Images.MNIST, Images.FASHION_MNIST, Images.BINARIZED_MNIST])
def test_a_folder_without_the_file_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with pytest.raises(ArgumentError, match="got no file of this name, wanted a file of") as error:
        load(name)
    assert one_line(error)
    assert str(tmp_path / name.value.replace("-", "_")) in str(error.value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"no archive", "got a damaged file or one of another kind"),
        ({"test": np.zeros((2, 784))}, "got an archive without this part"),
        ({"train": np.zeros((50_000, 784), np.uint8)}, "got other pictures in 'train' than the published ones"),
        ({"train": np.full((50_000, 784), 2, np.uint8)}, "got other values than 0 and 1 in 'train'"),
        ({"train": np.zeros((3, 784), np.uint8)}, "got 2352 values"),
        ({"train": np.zeros((0, 784), np.uint8)}, "got 0 values"),
    ],
    ids=range(6),
)
def test_a_bad_binarized_set_is_named_in_one_line(tmp_path, monkeypatch, content, fault):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    path = tmp_path / "binarized_mnist" / "binarized_mnist.npz"
    path.parent.mkdir()
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez_compressed(path, **content)
    with pytest.raises(ArgumentError, match="Larochelle's binarized MNIST") as error:
        load(Images.BINARIZED_MNIST)
    assert one_line(error)
    assert str(path) in str(error.value)
    assert fault in str(error.value)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A mirror of our own: its folder; nothing is in the user's cache, and no folder is named."""
    (tmp_path / "mirror").mkdir()
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "mirror")))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setattr(images, "ADDRESSES", dict.fromkeys(images.ADDRESSES, address))
    yield tmp_path / "mirror"
    server.shutdown()
    server.server_close()


def test_what_cannot_be_downloaded_is_one_line(mirror):
    with pytest.raises(
        ArgumentError, match=f"got an error of downloading .HTTPError.*{FOLDER} can name a folder"
    ) as error:
        load(Images.MNIST)
    assert one_line(error)
    (mirror / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.ones((2, 28, 28)))))
    with pytest.raises(ArgumentError, match=f"got a file with another checksum.*{FOLDER} can name a folder") as error:
        load(Images.MNIST)
    assert one_line(error)
    (mirror / "binarized_mnist_train.amat").write_bytes(b"0 1 two\n")
    with pytest.raises(ArgumentError, match=r"binarized_mnist_train.amat: got 5 values.*delete the file") as error:
        load(Images.BINARIZED_MNIST)
    assert one_line(error)


@pytest.mark.slow
def test_downloads_are_checked_and_kept(mirror, monkeypatch):
    """Sets of our own, of the full size, in place of the published ones."""
    content = {name: gzip.compress(idx(np.full(shape, 51)), 1) for name, shape in images._FILES.items()}
    for name, data in content.items():
        (mirror / name).write_bytes(data)
    sums = tuple(hashlib.sha256(data).hexdigest() for data in content.values())
    monkeypatch.setitem(images._SUMS, Images.FASHION_MNIST, sums)
    split = load(Images.FASHION_MNIST)
    assert split.train.shape == (60_000, 28, 28)
    np.testing.assert_allclose(split.test[0], 0.2)
    for name in content:
        (mirror / name).unlink()
    np.testing.assert_array_equal(load(Images.FASHION_MNIST).test_labels, 51)


def test_downloaded_text_gives_the_pictures_of_the_archive(mirror, monkeypatch):
    """Three pictures of our own: the same result from either form, in whatever order the rows stand."""
    rows = np.random.default_rng(0).integers(0, 2, (3, 784), np.uint8)
    packed = np.sort(np.packbits(rows, axis=1).view("S98").ravel()).tobytes()
    for part in ("train", "test"):
        monkeypatch.setitem(images._BINARIZED, part, (3, hashlib.sha256(packed).hexdigest()))
        text = "\n".join(" ".join(map(str, row)) for row in rows) + "\n"
        (mirror / f"binarized_mnist_{part}.amat").write_text(text)
    downloaded = load(Images.BINARIZED_MNIST)
    folder = mirror / "binarized_mnist"
    folder.mkdir()
    np.savez(folder / "binarized_mnist.npz", train=rows[::-1], test=rows)
    monkeypatch.setenv(FOLDER, str(mirror))
    archived = load(Images.BINARIZED_MNIST)
    np.testing.assert_array_equal(downloaded.train, archived.train)
    np.testing.assert_array_equal(np.sort(downloaded.test.reshape(3, 784).sum(1)), np.sort(rows.sum(1)))


def test_binary_pictures():
    grey = np.array([[0.0, 0.5], [0.51, 1.0]], np.float32)
    assert binarize(grey).tolist() == [[0, 0], [1, 1]]
    assert binarize(grey, 0.2).tolist() == [[0, 1], [1, 1]]
    assert binarize(jnp.asarray(grey)).dtype == np.float32
    draws = sample_binary(jax.random.key(0), np.broadcast_to(grey, (10_000, 2, 2)))
    assert draws.dtype == np.float32
    assert set(np.unique(draws).tolist()) == {0.0, 1.0}
    # Standard error 0.005: outside five of them less than once in 10^6.
    np.testing.assert_allclose(draws.mean(0), grey, atol=0.025)


def test_a_set_is_written_by_its_name():
    assert json.dumps(plain({"images": Images.FASHION_MNIST})) == '{"images": "fashion-mnist"}'
