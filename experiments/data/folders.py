"""A user's own pictures, read from a folder of PNG and JPEG files, grey or in colour, of any size."""

import os
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageOps

from ebmjax.checks import ArgumentError

SUFFIXES = (".png", ".jpg", ".jpeg")
LONGEST = 1024
"""Pixels of the longer side of a picture; a larger one is reduced to this size."""


class Picture(NamedTuple):
    """One picture and the file that it is from."""

    path: Path
    pixels: Float32[np.ndarray, "rows columns *channels"]
    """From 0 (black) to 1 (white): (rows, columns) where the picture is grey, with red, green and blue where it has
    colour."""


def read(folder: Path | str) -> list[Picture]:
    """All pictures of a folder, in the order of their names.

    They are turned upright as their camera says. What is transparent is white. A picture whose channels are equal is
    grey. Hidden files, files with other endings and subfolders are left out.

    Raises:
        ArgumentError: one line that names the folder or the file, and says what is wrong with it.
    """
    folder = Path(os.path.expanduser(folder))
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        why = "no folder of this name" if not folder.exists() else "a file" if folder.is_file() else f"{error}"
        raise ArgumentError(f"--images: got {folder}, which is {why}, wanted a folder of PNG or JPEG files") from None
    paths = [path for path in files if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    if not paths:
        raise ArgumentError(f"--images: got {folder}, which holds none, wanted a folder of PNG or JPEG files")
    return [Picture(path, _pixels(path)) for path in paths]


def squares(folder: Path | str, side: int) -> Float32[np.ndarray, "n side side"]:
    """The pictures of a folder in grey, each cut to the square in its middle and resized to `side` × `side` pixels.

    Errors are those of `read`.
    """
    resized = []
    for picture in read(folder):
        image = Image.fromarray(grey(picture.pixels))
        square = ImageOps.fit(
            image, (side, side), Image.Resampling.BICUBIC if min(image.size) < side else Image.Resampling.BOX
        )
        resized.append(np.clip(np.asarray(square, np.float32), 0, 1))
    return np.stack(resized)


def grey(pixels: Float32[np.ndarray, "rows columns *channels"]) -> Float32[np.ndarray, "rows columns"]:
    """The luminance of a picture in colour; a grey picture as it is.

    >>> grey(np.ones((1, 1, 3), np.float32)).tolist()
    [[1.0]]
    """
    # the weights of ITU-R BT.709, as in scikit-image
    weights = np.array([0.2125, 0.7154, 0.0721], np.float32)
    return pixels if pixels.ndim == 2 else (pixels @ weights).astype(np.float32)


def _pixels(path: Path) -> Float32[np.ndarray, "rows columns *channels"]:
    try:
        # Pillow refuses pictures of 179 million pixels and only warns of those of 89 million: here both are refused.
        warnings_as_errors = warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning)
        with warnings_as_errors, Image.open(path, formats=("PNG", "JPEG")) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith(("I", "F")):  # 16 bits of grey
                image = Image.fromarray(np.asarray(image, np.float32) * np.float32(255 / 65535))
            elif image.mode != "L":
                image = _without_transparency(image)
            image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
            pixels = np.clip(np.asarray(image, np.float32) / np.float32(255), 0, 1)
    except Exception as error:  # a damaged file makes Pillow raise errors of ten kinds
        raise ArgumentError(
            f"--images: got {path}, which cannot be read ({' '.join(str(error).split())}), wanted a PNG or JPEG file"
        ) from None
    equal = pixels.ndim == 3 and (pixels == pixels[..., :1]).all()
    return pixels[..., 0] if equal else pixels


def _without_transparency(image: Image.Image) -> Image.Image:
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        layers = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers).convert("RGB")
    return image.convert("RGB")
