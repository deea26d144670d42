"""Natural pictures: what the packages and the folder hold, whitening against a spectrum, and patches by hand."""

import subprocess
import sys

import jax
import numpy as np
import pytest
from skimage import io

from ebmjax.checks import ArgumentError
from experiments.data import natural
from experiments.data.images import FOLDER
from experiments.data.natural import Natural, centred, load, load_color, patches, whiten

KEY = jax.random.key(3)


@pytest.mark.slow
def test_pictures_come_with_a_package(monkeypatch, tmp_path):
    """Neither a folder nor a connection nor a cache is needed: a process of its own has none of them."""
    code = "from experiments.data.natural import *; print(*[p.shape for p in load(Natural.SKIMAGE)], sep=';')"
    nowhere = "http://127.0.0.1:1"
    environment = {
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
        "http_proxy": nowhere,
        "https_proxy": nowhere,
    }
    shapes = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert shapes.stdout.strip().split(";") == [
        *["(512, 512)"] * 4,
        *["(303, 384)", "(512, 512)", "(400, 600)", "(300, 451)", "(427, 640)"],
    ]


def test_grey_is_the_luminance_of_the_colours():
    grey, colors = load(Natural.SKIMAGE), load_color(Natural.SKIMAGE)
    assert (len(grey), len(colors)) == (9, 4)
    for picture in [*grey, *colors]:
        assert picture.dtype == np.float32
        assert 0 <= picture.min() < 0.3
        assert 0.7 < picture.max() <= 1
    weights = np.array([0.2125, 0.7154, 0.0721], np.float32)  # of Rec. 709, as scikit-image says
    for picture, coloured in zip(grey[5:], colors, strict=True):
        np.testing.assert_allclose(picture, coloured @ weights, atol=1e-6)


def folder(tmp_path, count, picture):
    place = tmp_path / "natural" / "kodak24_crops"
    place.mkdir(parents=True)
    for index in range(count):
        io.imsave(place / f"{index:02}.png", picture, check_contrast=False)
    return place


def test_the_folder_is_read(tmp_path, monkeypatch):
    picture = np.zeros((5, 4, 3), np.uint8)
    picture[2, 1] = 51, 102, 255
    folder(tmp_path, 24, picture)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    colors, grey = load_color(Natural.KODAK), load(Natural.KODAK)
    assert (len(colors), len(grey)) == (24, 24)
    np.testing.assert_allclose(colors[3][2, 1], [0.2, 0.4, 1.0], rtol=1e-6)
    np.testing.assert_allclose(grey[3][2, 1], 0.2 * 0.2125 + 0.4 * 0.7154 + 0.0721, rtol=1e-5)


@pytest.mark.parametrize(
    ("count", "shape", "fault"),
    [(0, (2, 2, 3), "got 0 pictures"), (23, (2, 2, 3), "got 23 pictures"), (24, (2, 2), "got shape")],
)
def test_a_wrong_folder_is_named_in_one_line(tmp_path, monkeypatch, count, shape, fault):
    folder(tmp_path, count, np.zeros(shape, np.uint8))
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with pytest.raises(ArgumentError, match=f"{fault}.*wanted the 24 pictures") as error:
        load(Natural.KODAK)
    assert "\n" not in str(error.value)


def test_a_missing_folder_and_a_damaged_file_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    with pytest.raises(ArgumentError, match=f"{FOLDER}: got no value, wanted a folder that holds the 68 pictures"):
        load(Natural.BSD)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    with pytest.raises(ArgumentError, match="bsd68_gray: got no folder of this name, wanted"):
        load(Natural.BSD)
    (folder(tmp_path, 24, np.zeros((2, 2, 3), np.uint8)) / "07.png").write_bytes(b"no picture")
    with pytest.raises(ArgumentError, match=r"07\.png: got a damaged file"):
        load(Natural.KODAK)


def test_grey_sets_have_no_colours():
    with pytest.raises(ArgumentError, match="natural: got bsd, whose pictures are grey"):
        load_color(Natural.BSD)


@pytest.mark.parametrize("cycles", [(3, 0), (0, 7), (5, 12), (20, 20)])
def test_whitening_multiplies_each_frequency_by_its_gain(cycles):
    """The ratio of two waves' amplitudes, one of which is the same in all cases, against the formula."""
    rows, columns = 64, 96
    row, column = np.mgrid[:rows, :columns]

    def wave(cycles):
        return np.cos(2 * np.pi * (cycles[0] * row / rows + cycles[1] * column / columns))

    def gain(cycles):
        frequency = np.hypot(cycles[0] / rows, cycles[1] / columns)
        return frequency * np.exp(-((frequency / 0.4) ** 4))

    first, other = wave((8, 8)), wave(cycles)
    whitened = whiten(0.5 + 0.2 * first + 0.2 * other)
    assert whitened.dtype == np.float32
    np.testing.assert_allclose(whitened.var(), 0.1, rtol=1e-5)
    assert abs(whitened.mean()) < 1e-6
    ratio = np.sum(whitened * other) / np.sum(whitened * first)
    np.testing.assert_allclose(ratio, gain(cycles) / gain((8, 8)), rtol=1e-4)


def test_whitening_flattens_the_spectrum_of_a_natural_picture():
    """Power at 1/32 cycles per pixel over that at 1/8, in octaves: large before, of order one after."""
    picture = load(Natural.SKIMAGE)[0]
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512))

    def power(values, centre):
        ring = (frequency > centre / 2**0.5) & (frequency < centre * 2**0.5)
        return np.mean(np.abs(np.fft.fft2(values))[ring] ** 2)

    assert power(picture, 1 / 32) > 10 * power(picture, 1 / 8)
    whitened = whiten(picture)
    assert 1 / 3 < power(whitened, 1 / 32) / power(whitened, 1 / 8) < 3


@pytest.mark.parametrize(
    ("picture", "cutoff", "name"),
    [
        (np.ones((8, 8)), 0.4, "picture: got one of a single shade"),
        (np.eye(8), 0.0, "cutoff: got 0.0"),
        (np.eye(8), np.nan, "cutoff: got nan"),
        (np.zeros((8, 8, 3)), 0.4, "picture: got shape"),
    ],
)
def test_whitening_refuses(picture, cutoff, name):
    with pytest.raises(ArgumentError, match=name):
        whiten(picture, cutoff)


def numbered(rows, columns, first=0):
    """Every pixel's value is its place."""
    return first + np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)


def test_patches_are_pieces_of_the_pictures():
    rows, columns = 6, 9
    for patch in patches(KEY, [numbered(rows, columns)], 3, 50):
        row, column = divmod(int(patch[0]), columns)
        np.testing.assert_array_equal(patch.reshape(3, 3), numbered(rows, columns)[row : row + 3, column : column + 3])
        assert row <= rows - 3
        assert column <= columns - 3


def test_all_pictures_and_all_places_are_equally_likely():
    """4 × 3 places in one picture, 1 in the other: each count within five standard errors of its expectation, of 13
    counts one is not once in 10^5."""
    count = 20_000
    corners = patches(KEY, [numbered(6, 5), numbered(3, 3, 100)], 3, count)[:, 0].astype(int)
    found = np.bincount(corners, minlength=101)
    expected = np.zeros(101)
    expected[[5 * row + column for row in range(4) for column in range(3)]] = count / 24
    expected[100] = count / 2
    assert set(np.flatnonzero(found)) == set(np.flatnonzero(expected))
    assert np.all(np.abs(found - expected) <= 5 * np.sqrt(expected))


def test_a_border_is_left_out():
    found = patches(KEY, [numbered(8, 8)], 2, 500, border=2)
    assert set(found[:, 0].astype(int)) == {8 * row + column for row in (2, 3, 4) for column in (2, 3, 4)}


def test_colours_lie_side_by_side():
    picture = np.stack([numbered(4, 4), numbered(4, 4, 100), numbered(4, 4, 200)], axis=-1)
    patch = patches(KEY, [picture], 4, 1)[0]
    np.testing.assert_array_equal(patch.reshape(4, 4, 3), picture)
    assert patch[:3].tolist() == [0, 100, 200]


def test_patches_depend_on_the_key_alone():
    pictures = [numbered(9, 9)]
    np.testing.assert_array_equal(patches(KEY, pictures, 2, 30), patches(KEY, pictures, 2, 30))
    assert not np.array_equal(patches(KEY, pictures, 2, 30), patches(jax.random.key(4), pictures, 2, 30))


def test_centred_patches():
    found = centred(patches(KEY, [numbered(9, 9)], 3, 30))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(1), 0, atol=1e-5)


@pytest.mark.parametrize(
    ("pictures", "size", "count", "border", "name"),
    [
        ([numbered(9, 9), numbered(7, 5)], 6, 1, 0, "size: got 6, wanted at most 5"),
        ([numbered(9, 9)], 8, 1, 1, "size: got 8, wanted at most 7"),
        ([numbered(9, 9)], 0, 1, 0, "size: got 0"),
        ([numbered(9, 9)], 1, 0, 0, "count: got 0"),
        ([numbered(9, 9)], 1, 1, -1, "border: got -1"),
        ([], 1, 1, 0, "pictures: got none"),
        ([numbered(9, 9), np.zeros((9, 9, 3))], 1, 1, 0, "pictures: got some in grey and some in colour"),
    ],
)
def test_patches_refuse(pictures, size, count, border, name):
    with pytest.raises(ArgumentError, match=name):
        patches(KEY, pictures, size, count, border)


@pytest.mark.parametrize("name", [Natural.KODAK, Natural.BSD])
def test_sets_of_the_folder(name):
    try:
        pictures = load(name)
    except ArgumentError as error:
        pytest.skip(str(error))
    assert len(pictures) == natural._FOLDERS[name][1]
    assert all(picture.min() >= 0 and picture.max() <= 1 and picture.ndim == 2 for picture in pictures)
