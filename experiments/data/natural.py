"""Natural pictures, as floats from 0 to 1, whitened ones, and patches of them.

Nine pictures come inside scikit-image's package, in the public domain or under CC0: nothing is downloaded. Other sets
are read from the folder `natural/` in the one that the environment variable EBMJAX_DATA names.
"""

import enum
import os
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Key
from matplotlib.image import imread
from skimage import color, data, util

from experiments.application.records import UserError
from experiments.data.images import FOLDER

CUTOFF = 0.4
"""Where `whiten` begins to suppress noise, in cycles per pixel: Olshausen and Field's 200 cycles in 512 pixels."""
BORDER = 4
"""Pixels along the edges of a whitened picture that patches leave out: there the filter joins opposite sides."""
VARIANCE = 0.1
"""Of the pixels of a whitened picture, as in Olshausen's `sparsenet`."""


class Natural(enum.Enum):
    """The sets that `load` knows, by the names that a command line takes."""

    SKIMAGE = "skimage"
    KODAK = "kodak"
    BSD = "bsd"


_GREY = (data.camera, data.brick, data.grass, data.gravel, data.coins)
_COLOR = (data.astronaut, data.coffee, data.chelsea, data.rocket)
# Folder, number of pictures, whether they have colour.
_FOLDERS = {Natural.KODAK: ("kodak24_crops", 24, True), Natural.BSD: ("bsd68_gray", 68, False)}


def load(natural: Natural) -> list[Float32[np.ndarray, "_ _"]]:
    """Read one set in grey (of colours their luminance).

    - SKIMAGE: camera, brick, grass, gravel, coins, astronaut, coffee, chelsea, rocket, of 300 to 512 rows.
    - KODAK: 24 crops of 500 × 500 from the Kodak PhotoCD, which may be used without restriction.
    - BSD: 68 test pictures of 481 × 321 of the Berkeley Segmentation Data Set, **for non-commercial research: no patch
      of them may stand in a published figure.** What is learned from them may.

    Raises:
        ValueError: in one line, which folder or file is missing, or not what it should be.

    >>> [picture.shape for picture in load(Natural.SKIMAGE)][:2]
    [(512, 512), (512, 512)]
    """
    if natural is Natural.SKIMAGE:
        return [_unit(picture()) for picture in _GREY] + [_grey(picture) for picture in load_color(natural)]
    return [_grey(picture) if picture.ndim == 3 else picture for picture in _read(natural)]


def load_color(natural: Natural) -> list[Float32[np.ndarray, "_ _ 3"]]:
    """Read the pictures of a set that have colour: red, green, blue. Of SKIMAGE these are the last four.

    Raises:
        ValueError: a set in grey, and what `load` raises.

    >>> load_color(Natural.SKIMAGE)[0].shape
    (512, 512, 3)
    """
    if natural is Natural.SKIMAGE:
        return [_unit(picture()) for picture in _COLOR]
    if not _FOLDERS[natural][2]:
        raise ValueError(f"natural is {natural.value}, whose pictures are grey, expected a set in colour")
    return _read(natural)


def whiten(picture: Float[np.ndarray, "rows columns"], cutoff: float = CUTOFF) -> Float32[np.ndarray, "rows columns"]:
    """A picture in which all spatial frequencies up to about the cutoff have like power.

    Its spectrum is multiplied by ρ exp(-(ρ/ρ₀)⁴), where ρ is the frequency in cycles per pixel and ρ₀ the cutoff:
    the rise undoes the 1/ρ of natural pictures, the fall keeps the noise of the highest frequencies out. The result has
    mean 0 and variance 0.1. The filter runs over the edges of the picture to the opposite side: leave a few pixels of
    border out (`patches`).

    Olshausen & Field (1997), "Sparse coding with an overcomplete basis set".

    Raises:
        ValueError: a picture that is not (rows, columns) or of one shade, a cutoff that is not positive.

    >>> whitened = whiten(load(Natural.SKIMAGE)[0])
    >>> whitened.shape, round(float(whitened.var()), 3), abs(float(whitened.mean())) < 1e-6
    ((512, 512), 0.1, True)
    """
    if picture.ndim != 2:
        raise ValueError(f"picture has the shape {picture.shape}, expected (rows, columns)")
    if not cutoff > 0:
        raise ValueError(f"cutoff is {cutoff}, expected a positive number of cycles per pixel")
    rows, columns = picture.shape
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    # double precision: the mean of a picture is much larger than what is left of it
    filtered = np.fft.irfft2(
        np.fft.rfft2(picture.astype(np.float64)) * frequency * np.exp(-((frequency / cutoff) ** 4)), (rows, columns)
    )
    deviation = filtered.std()
    if not deviation > 1e-9:
        raise ValueError("picture is of one shade, expected one with something to see")
    return (filtered * (np.sqrt(VARIANCE) / deviation)).astype(np.float32)


def patches(
    key: Key[Array, ""], pictures: Sequence[Float[np.ndarray, "..."]], size: int, count: int, border: int = 0
) -> Float32[np.ndarray, "count pixels"]:
    """Square patches, row after row (of colour pictures with red, green, blue of each pixel side by side).

    Each is from one of the pictures, all equally likely, at a place that is equally likely anywhere in it, `border`
    pixels or more from its edges. Their means are left in: `centred` takes them out.

    Raises:
        ValueError: no pictures, sizes or counts below 1, a negative border, patches that do not fit into the smallest
            picture, pictures in grey and in colour together.

    >>> patches(jax.random.key(0), load(Natural.SKIMAGE), 12, 100).shape
    (100, 144)
    """
    for name, value, least in (("size", size, 1), ("count", count, 1), ("border", border, 0)):
        if value < least:
            raise ValueError(f"{name} is {value}, expected at least {least}")
    if not pictures:
        raise ValueError("pictures is empty, expected at least one")
    if len({picture.shape[2:] for picture in pictures}) > 1:
        raise ValueError("pictures are in grey and in colour, expected only one kind")
    room = min(min(picture.shape[:2]) for picture in pictures) - 2 * border
    if size > room:
        raise ValueError(f"size is {size}, expected at most {room}, which fits into the smallest picture")
    # NumPy draws and cuts at once what would be a gather from pictures of unequal sizes
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    chosen = random.integers(len(pictures), size=count)
    places = random.random((count, 2))
    cut = np.empty((count, size, size, *pictures[0].shape[2:]), np.float32)
    for patch, index, place in zip(cut, chosen, places, strict=True):
        picture = pictures[index]
        free = np.array(picture.shape[:2]) - 2 * border - size + 1
        row, column = border + (place * free).astype(int)
        patch[...] = picture[row : row + size, column : column + size]
    return cut.reshape(count, -1)


def centred(patches: Float[np.ndarray, "count pixels"]) -> Float[np.ndarray, "count pixels"]:
    """Each patch less its own mean.

    >>> centred(np.array([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """
    return patches - patches.mean(axis=1, keepdims=True)


def _read(natural: Natural) -> list[np.ndarray]:
    name, count, has_color = _FOLDERS[natural]
    expected = f"expected the {count} pictures of the set {natural.value}"
    if FOLDER not in os.environ:
        raise UserError(f"{FOLDER} is not set, {expected} in the folder natural/{name} of the one that it names")
    folder = Path(os.environ[FOLDER], "natural", name)
    if not folder.is_dir():
        raise UserError(f"{folder} does not exist, {expected} in the folder of {FOLDER}")
    paths = sorted(folder.glob("*.png"))
    if len(paths) != count:
        raise UserError(f"{folder} holds {len(paths)} pictures (.png), {expected}")
    pictures = []
    for path in paths:
        try:
            picture = np.asarray(imread(path), np.float32)  # matplotlib divides the values of PNG files by 255
        except (OSError, ValueError, SyntaxError):
            raise UserError(f"{path} is damaged or of another kind, {expected}") from None
        if picture.shape[2:] != ((3,) if has_color else ()):
            raise UserError(f"{path} has the shape {picture.shape}, {expected} in {'colour' if has_color else 'grey'}")
        pictures.append(picture)
    return pictures


def _unit(picture: np.ndarray) -> Float32[np.ndarray, "..."]:
    return util.img_as_float32(picture)


def _grey(picture: Float32[np.ndarray, "rows columns 3"]) -> Float32[np.ndarray, "rows columns"]:
    return color.rgb2gray(picture).astype(np.float32)
