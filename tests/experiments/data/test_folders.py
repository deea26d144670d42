"""A user's own pictures: every kind of file that a camera or a scanner writes, or one line that names it."""

import numpy as np
import pytest
from PIL import Image

from ebmjax.checks import ArgumentError
from experiments.data import folders, natural
from experiments.data.images import load

SHADES = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
COLOURS = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
GREY = Image.fromarray(SHADES)
COLOUR = Image.fromarray(COLOURS)

READ = {
    "grey.png": (GREY, SHADES / 255),
    "sixteen.png": (Image.fromarray(SHADES.astype(np.uint16) * 257), SHADES / 255),
    "bits.png": (Image.fromarray(SHADES > 100), (SHADES > 100) * 1.0),
    "alpha.png": (Image.merge("LA", (GREY, Image.new("L", GREY.size, 255))), SHADES / 255),
    "equal.png": (Image.merge("RGB", (GREY,) * 3), SHADES / 255),
    "colour.PNG": (COLOUR, COLOURS / 255),
    "opaque.png": (COLOUR.convert("RGBA"), COLOURS / 255),
    "clear.png": (Image.new("RGBA", (60, 40), (10, 20, 30, 0)), np.ones((40, 60))),
}


@pytest.mark.parametrize("name", READ)
def test_every_kind_of_png_is_read(tmp_path, name):
    image, wanted = READ[name]
    image.save(tmp_path / name)
    ((path, pixels),) = folders.read(tmp_path)
    assert path.name == name
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels, wanted, atol=1e-5)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_every_kind_of_jpeg_is_read(tmp_path, mode):
    smooth = Image.fromarray(np.tile(np.linspace(0, 255, 64, dtype=np.uint8), (48, 1)))
    smooth.convert(mode).save(tmp_path / "a.jpeg", quality=95)
    ((_, pixels),) = folders.read(tmp_path)
    assert pixels.shape[:2] == (48, 64)
    np.testing.assert_allclose(folders.grey(pixels), np.asarray(smooth) / 255, atol=0.05)


def test_a_photograph_is_turned_upright_and_reduced(tmp_path):
    large = Image.new("RGB", (3000, 1500))
    large.paste("white", (0, 0, 1500, 1500))
    tags = large.getexif()
    tags[0x0112] = 6  # the camera was held on its side
    large.save(tmp_path / "photo.jpg", exif=tags)
    ((_, pixels),) = folders.read(tmp_path)
    assert pixels.shape == (1024, 512)
    assert pixels[100].mean() > 0.95
    assert pixels[900].mean() < 0.05


def test_other_files_are_left_out_and_the_rest_comes_in_order(tmp_path):
    for name in ("b.png", "a.jpg", ".hidden.png"):
        GREY.save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "more.png").mkdir()
    assert [picture.path.name for picture in folders.read(tmp_path)] == ["a.jpg", "b.png"]


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ArgumentError, match=r"--images: got .*none, which is no folder of this name"):
        folders.read(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArgumentError, match=r"--images: got .*empty, which holds none, wanted a folder of PNG or JPEG"):
        folders.read(tmp_path / "empty")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG no picture")
    with pytest.raises(ArgumentError, match=r"--images: got .*bad.png, which cannot be read"):
        folders.read(tmp_path)
    with pytest.raises(ArgumentError, match=r"bad.png, which is a file"):
        folders.read(tmp_path / "bad.png")


def test_a_folder_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "pictures").mkdir()
    GREY.save(tmp_path / "pictures/a.png")
    assert len(folders.read("~/pictures")) == 1


def test_pictures_of_all_sizes_become_small_squares_that_are_split(tmp_path):
    for index in range(11):
        GREY.resize((10 + 7 * index, 20 + 3 * index)).save(tmp_path / f"{index}.png")
    COLOUR.save(tmp_path / "colour.jpg")
    split = load(tmp_path)
    assert split.train.shape == (10, 28, 28)
    assert split.test.shape == (2, 28, 28)
    assert split.train_labels is split.test_labels is None
    assert split.train.dtype == np.float32
    assert 0 <= split.train.min() < split.train.max() <= 1
    for path in sorted(tmp_path.iterdir())[4:]:
        path.unlink()
    with pytest.raises(ArgumentError, match=r"--images: got 4 pictures in .*, wanted at least 5"):
        load(tmp_path)


def test_pictures_for_patches_in_grey_and_in_colour(tmp_path):
    GREY.save(tmp_path / "a.png")
    COLOUR.save(tmp_path / "b.png")
    grey, luminance = natural.own_grey(tmp_path, 24)
    np.testing.assert_allclose(grey, SHADES / 255, atol=1e-6)
    assert luminance.shape == (40, 60)
    assert [picture.shape for picture in natural.own_color(tmp_path, 24)] == [(40, 60, 3)] * 2
    with pytest.raises(ArgumentError, match=r"--images: got .*a.png, 60 × 40 pixels, wanted at least 41"):
        natural.own(tmp_path, 41)
    Image.new("L", (50, 50), 7).save(tmp_path / "c.png")
    with pytest.raises(ArgumentError, match=r"--images: got .*c.png, which has a single shade"):
        natural.own(tmp_path, 24)
