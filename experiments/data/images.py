"""Small pictures of digits and clothes, as floats from 0 to 1.

The 1,797 digits are part of scikit-learn. The other sets are read from the folder that the environment variable
EBMJAX_DATA names (`mnist/train-images-idx3-ubyte.gz` …, `fashion_mnist/` with the same four names,
`binarized_mnist/binarized_mnist.npz`). Without that variable they are downloaded once, checked, and kept in the user's
cache.
"""

import enum
import gzip
import hashlib
import math
import os
import zlib
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import pooch
from jaxtyping import Array, Float, Float32, Int32, Key, UInt8
from sklearn.datasets import load_digits

from ebmjax.checks import ArgumentError
from experiments.data import archives, folders

FOLDER = "EBMJAX_DATA"
"""The environment variable that may name a folder with the data."""


class Images(enum.Enum):
    """The sets that `load` knows, by their names on the command line."""

    DIGITS = "digits"
    MNIST = "mnist"
    BINARIZED_MNIST = "binarized-mnist"
    FASHION_MNIST = "fashion-mnist"


Pictures = Images | Path
"""What an option takes: a set by its name, or a user's folder of PNG or JPEG files."""

SIDE = 28
"""Rows and columns to which the pictures of a user's folder are resized."""


class Split(NamedTuple):
    """Pictures to train on and pictures to test with; labels are None where the set has none."""

    train: Float32[np.ndarray, "train rows columns"]
    train_labels: Int32[np.ndarray, " train"] | None
    test: Float32[np.ndarray, "test rows columns"]
    test_labels: Int32[np.ndarray, " test"] | None


ADDRESSES = {
    Images.MNIST: "https://ossci-datasets.s3.amazonaws.com/mnist/",
    Images.FASHION_MNIST: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    Images.BINARIZED_MNIST: "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",
}

# SHA-256 of the files, in the order of _FILES.
_SUMS = {
    Images.MNIST: (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    Images.FASHION_MNIST: (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
}
_FILES = {
    "train-images-idx3-ubyte.gz": (60_000, 28, 28),
    "train-labels-idx1-ubyte.gz": (60_000,),
    "t10k-images-idx3-ubyte.gz": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte.gz": (10_000,),
}

# SHA-256 of the pictures themselves, packed to bits and sorted: no checksum of the published text files is known, and
# in this form they can be compared with the archive of EBMJAX_DATA.
_BINARIZED = {
    "train": (50_000, "aae6de292e6b68d898acf52062a1ac62907fc7ab417c59582d6523a1da0f9a61"),
    "test": (10_000, "87ff96664646cc41575aeb3ae4fbbabc1475ca3d42be4659d7a829d9f22c845a"),
}


def load(images: Pictures) -> Split:
    """Read one set, or the pictures of a user's folder.

    - DIGITS: 8 × 8, the grey values 0 … 16 divided by 16. A fixed shuffle splits them, 1,437 to train and 360 to test.
    - MNIST, FASHION_MNIST: 28 × 28, grey values divided by 255, 60,000 to train and 10,000 to test, in their own order.
    - BINARIZED_MNIST: 28 × 28 of 0 and 1, without labels: Larochelle's fixed binarization (Salakhutdinov & Murray 2008;
      Larochelle & Murray 2011), its 50,000 to train and 10,000 to test; the 10,000 for validation are left out. The
      published test set is sorted by class, so that its first pictures are no random sample: both sets are sorted, then
      shuffled by a fixed permutation, so that the order does not depend on the source of the data.
    - A folder of PNG or JPEG files: 28 × 28, grey, the square in the middle of each picture, without labels. A fixed
      shuffle sets a fifth of them aside to test with.

    Raises:
        ArgumentError: one line that names the file that is missing, damaged, not as it should be, or cannot be
            downloaded.
    """
    if not isinstance(images, Images):
        return _of_folder(Path(images))
    if images is Images.DIGITS:
        return _digits()
    if images is Images.BINARIZED_MNIST:
        return Split(_binarized("train"), None, _binarized("test"), None)
    train, train_labels, test, test_labels = (
        read_idx(_path(images, name, f"sha256:{known}"), shape)
        for (name, shape), known in zip(_FILES.items(), _SUMS[images], strict=True)
    )
    return Split(_unit(train, 255), train_labels.astype(np.int32), _unit(test, 255), test_labels.astype(np.int32))


def binarize(
    images: Float[Array | np.ndarray, "*shape"], threshold: float = 0.5
) -> Float[Array | np.ndarray, "*shape"]:
    """1 where a picture is brighter than the threshold, else 0. Nothing is random.

    >>> binarize(np.array([0.2, 0.5, 0.9])).tolist()
    [0.0, 0.0, 1.0]
    """
    return (images > threshold).astype(images.dtype)


def sample_binary(key: Key[Array, ""], images: Float[Array | np.ndarray, "*shape"]) -> Float[Array, "*shape"]:
    """A random 0 or 1 for every pixel; the probability of 1 is the brightness of the pixel.

    >>> sample_binary(jax.random.key(0), np.array([0.0, 1.0], np.float32)).tolist()
    [0.0, 1.0]
    """
    return jax.random.bernoulli(key, images).astype(images.dtype)


def read_idx(path: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """Read a gzipped IDX file of bytes: two zeros, 8 (bytes), the number of axes, their sizes (big endian), the values.

    Raises:
        ArgumentError: one line that says what is wrong with the file and what was wanted.
    """
    wanted = f"wanted a gzipped IDX file of {' x '.join(map(str, shape))} bytes"
    try:
        with gzip.open(path) as file:
            content = file.read(4 + 4 * len(shape) + math.prod(shape) + 1)  # whatever it says, no more is unpacked
    except (OSError, EOFError, zlib.error) as error:
        raise ArgumentError(f"{path}: got {_fault(error)}, {wanted}") from None
    header = bytes([0, 0, 8, len(shape)])
    if content[:4] != header:
        start = content[:4].hex() or "nothing"
        raise ArgumentError(f"{path}: got {start} at the beginning, and not {header.hex()}, {wanted}")
    if len(content) < 4 + 4 * len(shape):
        raise ArgumentError(f"{path}: got a file that ends too early, {wanted}")
    found = tuple(np.frombuffer(content[4 : 4 + 4 * len(shape)], ">u4").tolist())
    if found != shape:
        raise ArgumentError(f"{path}: got a file of {' x '.join(map(str, found))} bytes, {wanted}")
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    if values.size != np.prod(shape):
        raise ArgumentError(f"{path}: got {values.size} bytes, {wanted}")
    return values.reshape(shape)


def data_folder() -> Path | None:
    """The folder that EBMJAX_DATA names, `~` being the home folder; None where it names none."""
    name = os.environ.get(FOLDER)
    return None if name is None else Path(os.path.expanduser(name))


def _of_folder(folder: Path) -> Split:
    pictures = folders.squares(folder, SIDE)
    if len(pictures) < 5:
        raise ArgumentError(f"--images: got {len(pictures)} pictures in {folder}, wanted at least 5, one to test with")
    pictures = pictures[_shuffle(len(pictures))]
    held_out = len(pictures) // 5
    return Split(pictures[held_out:], None, pictures[:held_out], None)


def _digits() -> Split:
    rows, labels = load_digits(return_X_y=True)
    order = _shuffle(1797)
    pictures, labels = _unit(np.asarray(rows), 16).reshape(1797, 8, 8)[order], np.asarray(labels, np.int32)[order]
    return Split(pictures[:1437], labels[:1437], pictures[1437:], labels[1437:])


def _binarized(part: str) -> Float32[np.ndarray, "n 28 28"]:
    count, known = _BINARIZED[part]
    wanted = f"wanted {count} pictures of 784 zeros and ones, Larochelle's binarized MNIST"
    if data_folder() is not None:
        path = _path(Images.BINARIZED_MNIST, "binarized_mnist.npz", None)
        bits = _archived(path, part, wanted)
    else:
        path = _path(Images.BINARIZED_MNIST, f"binarized_mnist_{part}.amat", None)
        wanted += " (delete the file to have it downloaded again)"
        bits = _digits_of_text(path, wanted)
    if bits.size != count * 784:
        raise ArgumentError(f"{path}: got {bits.size} values in {part!r}, {wanted}")
    if not ((bits == 0) | (bits == 1)).all():
        raise ArgumentError(f"{path}: got other values than 0 and 1 in {part!r}, {wanted}")
    packed = np.ascontiguousarray(np.packbits(bits.astype(np.uint8).reshape(count, 784), axis=1))
    packed = np.sort(packed.view("S98").ravel()).view(np.uint8).reshape(count, 98)
    if hashlib.sha256(packed.tobytes()).hexdigest() != known:
        raise ArgumentError(f"{path}: got other pictures in {part!r} than the published ones, {wanted}")
    pictures = np.unpackbits(packed[_shuffle(count)], axis=1)
    return pictures.astype(np.float32).reshape(count, 28, 28)


def _archived(path: Path, part: str, wanted: str) -> np.ndarray:
    try:
        return archives.read(path, wanted.removeprefix("wanted "))[part]
    except KeyError as error:
        raise ArgumentError(f"{path}: got {_fault(error)}, {wanted}") from None


def _digits_of_text(path: Path, wanted: str) -> np.ndarray:
    """The zeros and ones of a text file, with white space between them; `np.loadtxt` would take a minute."""
    try:
        text = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ArgumentError(f"{path}: got {_fault(error)}, {wanted}") from None
    values = text[text > ord(" ")]
    if not values.size:
        raise ArgumentError(f"{path}: got an empty file, {wanted}")
    return values - np.uint8(ord("0"))


def _path(images: Images, name: str, known: str | None) -> Path:
    """The path of a file of the set, which is downloaded first if it is not there."""
    folder = images.value.replace("-", "_")
    if (given := data_folder()) is not None:
        path = Path(given, folder, name)
        if not path.is_file():
            raise ArgumentError(
                f"{path}: got no file of this name, wanted a file of {images.value} in the folder of {FOLDER}"
            )
        return path
    address, cache = ADDRESSES[images] + name, Path(pooch.os_cache("ebmjax")) / folder
    # The log messages of pooch about checksums are for programmers.
    pooch.get_logger().setLevel("WARNING")
    try:
        return Path(pooch.retrieve(address, known, fname=name, path=cache))
    except OSError as error:  # the errors of requests are OSErrors
        why = f"an error of downloading ({type(error).__name__})"
    except ValueError:
        why = "a file with another checksum than the published one"
    raise ArgumentError(
        f"{address}: got {why}, wanted {images.value}; {FOLDER} can name a folder that holds it"
    ) from None


def _fault(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no file of this name"
    if isinstance(error, EOFError):
        return "a file that ends too early"
    if isinstance(error, KeyError):
        return "an archive without this part"
    return "a damaged file or one of another kind"


def _unit(values: np.ndarray, largest: int) -> Float32[np.ndarray, "..."]:
    return values.astype(np.float32) / np.float32(largest)


def _shuffle(count: int) -> np.ndarray:
    """A fixed permutation: NumPy guarantees that the numbers of this generator never change."""
    return np.random.RandomState(0).permutation(count)
