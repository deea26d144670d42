"""Damaged and hostile files: an error of ours or a right answer, whatever the bytes are.

`EBMJAX_FUZZ=4000 python -m pytest -n0 tests/experiments/data/test_fuzz.py` tries 4,000 files of each of the five kinds.
"""

import gzip
import io
import os
import struct
import zipfile
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from ebmjax.checks import ArgumentError
from experiments.application.records import CONFIG, read_config
from experiments.data import archives, csv_points, folders
from experiments.data.images import read_idx


def _picture():
    picture = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(picture, "PNG")
    return picture.getvalue()


def _archive():
    archive = io.BytesIO()
    np.savez(archive, W=np.ones((2, 3)), a=np.ones(2))
    return archive.getvalue()


VALID = {
    "a.gz": gzip.compress(bytes([0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 4]) + bytes(12), mtime=0),
    "a.npz": _archive(),
    "a.csv": b"y1,y2\n1,2\n3,4\n5,6\n",
    "a.png": _picture(),
    CONFIG: b'{"experiment": "ellipse", "seed": 0, "quick": true, "config": {"beta": [1.0]}}',
}
READERS = {
    "a.gz": lambda path: read_idx(path, (3, 4)),
    "a.npz": lambda path: archives.read(path, "arrays"),
    "a.csv": csv_points.read,
    "a.png": lambda path: folders.read(path.parent),
    CONFIG: lambda path: read_config(path.parent),
}
EXAMPLES = int(os.environ.get("EBMJAX_FUZZ", "400"))


@st.composite
def damaged(draw, valid):
    """A valid file with pieces cut out, put in, or replaced; now and then any bytes."""
    content = valid
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)))
        stop = draw(st.integers(start, min(len(content), start + 8)))
        content = content[:start] + draw(st.binary(max_size=8)) + content[stop:]
    return draw(st.sampled_from([content, content, content, draw(st.binary(max_size=64))]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", VALID)
def test_no_file_ends_a_reader_in_any_other_way(name, tmp_path):
    @seed(0)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    @given(damaged(VALID[name]))
    def read(content):
        (tmp_path / name).write_bytes(content)
        try:
            found = READERS[name](tmp_path / name)
        except ArgumentError as error:
            said.append(str(error))
        else:
            if found is None:  # how the reader of config.json says that it is none of ours
                said.append("nothing")

    (tmp_path / name).write_bytes(VALID[name])
    assert READERS[name](tmp_path / name) is not None
    said = []
    read()
    assert said
    assert not [line for line in said if "\n" in line]


def _huge_picture():
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(60_001))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _huge_archive():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("W.npy", bytes(2**20))
    # the size that the directory at the end promises
    content = bytearray(archive.getvalue())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 2**32 - 2)
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.gz", gzip.compress(bytes([0, 0, 8, 2, 0, 0, 0, 3, 0, 0, 0, 4]) + bytes(2**24)), "got 13 bytes"),
        ("a.npz", _huge_archive(), "got 4,294,967,294 bytes when unpacked"),
        ("a.png", _huge_picture(), "3600000000 pixels"),
    ],
)
def test_a_bomb_is_refused_by_its_size(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ArgumentError, match=message):
        READERS[name](tmp_path / name)
