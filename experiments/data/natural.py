"""Natural pictures as floats from 0 to 1, a filter that whitens them, and random patches.

Nine pictures are part of scikit-image's package, in the public domain or under CC0: nothing is downloaded. Other sets
are read from the subfolder `natural/` of the folder that the environment variable EBMJAX_DATA names.
"""

import enum
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, Key
from matplotlib.image import imread
from PIL import Image
from skimage import color, data, util

from ebmjax.checks import ArgumentError, check_above_zero
from experiments.data import folders
from experiments.data.images import FOLDER, data_folder

CUTOFF = 0.4
"""The frequency at which `whiten` begins to suppress noise, in cycles per pixel: Olshausen and Field's 200 cycles in
512 pixels."""
BORDER = 4
"""Width in pixels of the edge of a whitened picture that patches leave out, because the filter is periodic there."""
VARIANCE = 0.1
"""The variance of the pixels of a whitened picture, as in Olshausen's `sparsenet`."""


class Natural(enum.Enum):
    """The sets that `load` knows, by their names on the command line."""

    SKIMAGE = "skimage"
    KODAK = "kodak"
    BSD = "bsd"


_GREY = (data.camera, data.brick, data.grass, data.gravel, data.coins)
_COLOR = (data.astronaut, data.coffee, data.chelsea, data.rocket)
# Folder, number of pictures, whether they have colour.
_FOLDERS = {Natural.KODAK: ("kodak24_crops", 24, True), Natural.BSD: ("bsd68_gray", 68, False)}


def load(natural: Natural) -> list[Float32[np.ndarray, "_ _"]]:
    """Read one set in grey; pictures in colour are converted to their luminance.

    - SKIMAGE: camera, brick, grass, gravel, coins, astronaut, coffee, chelsea, rocket, of 300 to 512 rows.
    - KODAK: 24 crops of 500 × 500 from the Kodak PhotoCD, which may be used without restriction.
    - BSD: 68 test pictures of 481 × 321 of the Berkeley Segmentation Data Set, **for non-commercial research: no patch
      of them may be part of a published figure.** What is learned from them may.

    Raises:
        ArgumentError: one line that names the folder or file that is missing or not as it should be.

    >>> [picture.shape for picture in load(Natural.SKIMAGE)][:2]
    [(512, 512), (512, 512)]
    """
    if natural is Natural.SKIMAGE:
        return [_unit(picture()) for picture in _GREY] + [_grey(picture) for picture in load_color(natural)]
    return [_grey(picture) if picture.ndim == 3 else picture for picture in _read(natural)]


def load_color(natural: Natural) -> list[Float32[np.ndarray, "_ _ 3"]]:
    """Read the pictures of a set that have colour, as red, green and blue; of SKIMAGE these are the last four.

    Raises:
        ArgumentError: a set in grey. Other errors as in `load`.

    >>> load_color(Natural.SKIMAGE)[0].shape
    (512, 512, 3)
    """
    if natural is Natural.SKIMAGE:
        return [_unit(picture()) for picture in _COLOR]
    if not _FOLDERS[natural][2]:
        raise ArgumentError(f"natural: got {natural.value}, whose pictures are grey, wanted a set in colour")
    return _read(natural)


def own(folder: Path, least: int) -> list[Float32[np.ndarray, "_ _ *channels"]]:
    """The pictures of a user's folder, grey or in colour, for patches.

    Args:
        folder: of PNG or JPEG files.
        least: the smallest number of rows and columns that a picture may have.

    Raises:
        ArgumentError: a picture that is smaller, or of a single shade. Other errors as in `folders.read`.
    """
    pictures = folders.read(folder)
    for path, pixels in pictures:
        rows, columns = pixels.shape[:2]
        if min(rows, columns) < least:
            raise ArgumentError(
                f"--images: got {path}, {columns} × {rows} pixels, wanted at least {least} on both sides"
            )
        if not pixels.std() > 1e-4:
            raise ArgumentError(f"--images: got {path}, which has a single shade, wanted at least two shades")
    return [picture.pixels for picture in pictures]


def own_grey(folder: Path, least: int) -> list[Float32[np.ndarray, "_ _"]]:
    """As `own`, with the luminance of pictures in colour. Errors are those of `own`."""
    return [folders.grey(pixels) for pixels in own(folder, least)]


def own_color(folder: Path, least: int) -> list[Float32[np.ndarray, "_ _ 3"]]:
    """As `own`, with three equal channels for grey pictures. Errors are those of `own`."""
    return [pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2) for pixels in own(folder, least)]


def whiten(picture: Float[np.ndarray, "rows columns"], cutoff: float = CUTOFF) -> Float32[np.ndarray, "rows columns"]:
    """A picture in which all spatial frequencies up to about the cutoff have similar power.

    Its spectrum is multiplied by ρ exp(-(ρ/ρ₀)⁴), where ρ is the frequency in cycles per pixel and ρ₀ the cutoff:
    the rise of the first factor cancels the 1/ρ of natural pictures, and the fall of the second suppresses the noise of
    the highest frequencies. The result has mean 0 and variance 0.1. The filter has a periodic boundary, which mixes
    opposite edges of the picture: leave a few pixels of border out (`patches`).

    Olshausen & Field (1997), "Sparse coding with an overcomplete basis set".

    Raises:
        ArgumentError: a picture that is not (rows, columns) or of one shade, or a cutoff that is not positive.

    >>> whitened = whiten(load(Natural.SKIMAGE)[0])
    >>> whitened.shape, round(float(whitened.var()), 3), abs(float(whitened.mean())) < 1e-6
    ((512, 512), 0.1, True)
    """
    if picture.ndim != 2:
        raise ArgumentError(f"picture: got shape {picture.shape}, wanted (rows, columns)")
    check_above_zero("cutoff", cutoff)
    rows, columns = picture.shape
    frequency = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None, :])
    # double precision, because the mean of a picture, which the filter removes, is much larger than the rest
    filtered = np.fft.irfft2(
        np.fft.rfft2(picture.astype(np.float64)) * frequency * np.exp(-((frequency / cutoff) ** 4)), (rows, columns)
    )
    deviation = filtered.std()
    if not deviation > 1e-9:
        raise ArgumentError("picture: got one of a single shade, wanted at least two shades")
    return (filtered * (np.sqrt(VARIANCE) / deviation)).astype(np.float32)


def patches(
    key: Key[Array, ""], pictures: Sequence[Float[np.ndarray, "..."]], size: int, count: int, border: int = 0
) -> Float32[np.ndarray, "count pixels"]:
    """Random square patches, flattened row by row; in colour, red, green and blue of a pixel are neighbours.

    Each patch comes from a random picture, uniformly, and from a random place in it, uniformly, at least `border`
    pixels from its edges. Patches keep their means: `centred` subtracts them.

    Raises:
        ArgumentError: no pictures, a size or count below 1, a negative border, patches that do not fit into the
            smallest picture, or pictures in grey and in colour together.

    >>> patches(jax.random.key(0), load(Natural.SKIMAGE), 12, 100).shape
    (100, 144)
    """
    for name, value, least in (("size", size, 1), ("count", count, 1), ("border", border, 0)):
        if value < least:
            raise ArgumentError(f"{name}: got {value}, wanted at least {least}")
    if not pictures:
        raise ArgumentError("pictures: got none, wanted at least one")
    if len({picture.shape[2:] for picture in pictures}) > 1:
        raise ArgumentError("pictures: got some in grey and some in colour, wanted one kind")
    room = min(min(picture.shape[:2]) for picture in pictures) - 2 * border
    if size > room:
        raise ArgumentError(f"size: got {size}, wanted at most {room}, which fits into the smallest picture")
    # NumPy, because the pictures have unequal sizes, which a gather of JAX does not allow
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
    """Each patch minus its own mean.

    >>> centred(np.array([[1.0, 3.0]])).tolist()
    [[-1.0, 1.0]]
    """
    return patches - patches.mean(axis=1, keepdims=True)


def _read(natural: Natural) -> list[np.ndarray]:
    name, count, has_color = _FOLDERS[natural]
    wanted = f"the {count} pictures of the set {natural.value}"
    given = data_folder()
    if given is None:
        raise ArgumentError(
            f"{FOLDER}: got no value, wanted a folder that holds {wanted} in its subfolder natural/{name}"
        )
    folder = Path(given, "natural", name)
    if not folder.is_dir():
        raise ArgumentError(f"{folder}: got no folder of this name, wanted {wanted} there, in the folder of {FOLDER}")
    paths = sorted(folder.glob("*.png"))
    if len(paths) != count:
        raise ArgumentError(f"{folder}: got {len(paths)} pictures (.png), wanted {wanted}")
    pictures = []
    for path in paths:
        try:
            picture = np.asarray(imread(path), np.float32)  # matplotlib divides the values of PNG files by 255
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            raise ArgumentError(f"{path}: got a damaged file or one of another kind, wanted {wanted}") from None
        if picture.shape[2:] != ((3,) if has_color else ()):
            kind = "colour" if has_color else "grey"
            raise ArgumentError(f"{path}: got shape {picture.shape}, wanted {wanted} in {kind}")
        pictures.append(picture)
    return pictures


def _unit(picture: np.ndarray) -> Float32[np.ndarray, "..."]:
    return util.img_as_float32(picture)


def _grey(picture: Float32[np.ndarray, "rows columns 3"]) -> Float32[np.ndarray, "rows columns"]:
    return color.rgb2gray(picture).astype(np.float32)
