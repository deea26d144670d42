"""Data from outside: a user's own points, and the picture of coins that comes with scikit-image."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8
from scipy import ndimage
from skimage import data, filters, measure, segmentation

_LARGEST = float(np.finfo(np.float32).max)
ELLIPSE, HORN = ("y1", "y2"), ("x", "y1", "y2")
_EXPECTED = "expected the columns y1,y2 (an ellipse) or x,y1,y2 (a horn)"


class Points(NamedTuple):
    """A user's points."""

    columns: tuple[str, ...]  # ("y1", "y2") or ("x", "y1", "y2")
    values: Float32[np.ndarray, "rows columns"]


class Coins(NamedTuple):
    """A photograph of coins and their outlines, in pixels: y1 to the right, y2 downwards."""

    picture: UInt8[np.ndarray, "height width"]
    contours: Float32[np.ndarray, "coins points 2"]


def read_points(path: Path | str) -> Points:
    """Read points from a CSV file with a header.

    The columns may stand in any order; quotes, a byte-order mark, Windows line ends, spaces around a cell and empty
    lines at the end are understood.

    Args:
        path: a file of comma-separated values with the columns y1,y2 or x,y1,y2 and at least 3 rows.

    Returns:
        The columns, in the order named above, and their values as float32.

    Raises:
        ValueError: in one line, what is wrong with the file, in which row (the header is row 1), and what was expected.
    """
    path = Path(path)
    records = _records(path, _decoded(path))
    if not records:
        raise ValueError(f"{path} is empty, {_EXPECTED} in its first row")
    (header_row, header), body = records[0], records[1:]
    columns = _columns(path, header_row, header)
    values = np.empty((len(body), len(columns)), np.float32)
    for index, (row, cells) in enumerate(body):
        if len(cells) != len(header):
            raise ValueError(f"{path}, row {row}: got {len(cells)} cells, expected {len(header)} as in the header")
        for name, cell in zip(header, cells, strict=True):
            values[index, columns.index(name)] = _finite(path, row, name, cell)
    if len(body) < 3:
        raise ValueError(f"{path} holds {len(body)} rows of data, expected at least 3")
    return Points(columns, values)


def coin_contours(points: int = 128) -> Coins:
    """Outlines of the 24 coins in scikit-image's picture, which lies in its package: nothing is downloaded.

    Coins are told from the background by a watershed of the gradient's size (scikit-image's gallery, "Comparing
    edge-based and region-based segmentation"): the light is uneven, so no single threshold would do.

    Args:
        points: points on each outline, evenly spaced along it.

    Raises:
        ValueError: fewer than 3 points.
    """
    if points < 3:
        raise ValueError(f"points is {points}, expected at least 3 on each outline")
    picture = np.asarray(data.coins())
    # Grey values that are background, and coin, beyond doubt; the watershed draws the line between them.
    markers = np.where(picture > 150, 2, np.where(picture < 30, 1, 0))
    coins = ndimage.binary_fill_holes(segmentation.watershed(filters.sobel(picture), markers) == 2)
    # The closing mends narrow breaks in a rim; the opening removes the whiskers that shadows leave on it, and specks.
    coins = ndimage.binary_closing(coins, structure=_disk(2))
    coins = ndimage.binary_opening(coins, structure=_disk(3))
    outlines = []
    for region in measure.regionprops(measure.label(segmentation.clear_border(coins))):
        if region.area > 500:
            # Slight blurring puts the contour between the pixels; it moves a rim of radius 20 by 0.03 pixels.
            mask = filters.gaussian(np.pad(region.image, 6).astype(float), sigma=1)
            loop = max(measure.find_contours(mask, 0.5), key=len)
            outlines.append(_evenly_spaced(loop[:, ::-1] - 6 + np.array(region.bbox[1::-1]), points))
    return Coins(picture, np.stack(outlines).astype(np.float32))


def _decoded(path: Path) -> str:
    try:
        if path.is_dir():
            raise ValueError(f"{path} is a folder, expected a CSV file")
        if not path.exists():
            raise ValueError(f"{path} does not exist, expected a CSV file")
        if not (path.is_file() or path.is_fifo()):  # a device such as /dev/zero has no end
            raise ValueError(f"{path} is not a regular file, expected a CSV file")
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}), expected a CSV file") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, row {row}: byte {error.start} is not UTF-8 text, expected a CSV file") from error
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"{path}, row {row}: holds a NUL byte, expected a CSV file of text")
    return text


def _records(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """Rows with their numbers in an editor, cells stripped, without the empty lines at the end."""
    reader = csv.reader(io.StringIO(text, newline=None), skipinitialspace=True)
    records = []
    start = 1
    try:
        for cells in reader:
            records.append((start, [cell.strip() for cell in cells]))
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}, row {start}: {error}, expected comma-separated values") from error
    while records and records[-1][1] in ([], [""]):
        records.pop()
    return records


def _columns(path: Path, row: int, header: list[str]) -> tuple[str, ...]:
    for columns in (ELLIPSE, HORN):
        if sorted(header) == sorted(columns):
            return columns
    got = f"got {_quoted(','.join(header))}"
    missing = [name for name in ELLIPSE if name not in header]
    extra = [name for name in header if name not in HORN]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if missing:
        problem = f"the header lacks {' and '.join(missing)}"
    elif extra:
        problem = f"the header has columns that are not wanted, {_quoted(', '.join(extra))}"
    else:
        problem = f"the header repeats {' and '.join(repeated)}"
    raise ValueError(f"{path}, row {row}: {problem} ({got}), {_EXPECTED}")


def _finite(path: Path, row: int, name: str, cell: str) -> float:
    where = f"{path}, row {row}, column {name}"
    if not cell:
        raise ValueError(f"{where}: the cell is empty, expected a number")
    try:
        # Python reads 1_000 as a number; in a data file it is more likely a slip.
        value = float("no" if "_" in cell else cell)
    except ValueError:
        raise ValueError(f"{where}: got {_quoted(cell)}, expected a number") from None
    if not abs(value) <= _LARGEST:  # false for NaN as well
        raise ValueError(f"{where}: got {_quoted(cell)}, expected a finite number (float32)")
    return value


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")


def _disk(radius: int) -> np.ndarray:
    steps = np.arange(-radius, radius + 1)
    return steps[:, None] ** 2 + steps**2 <= radius**2


def _evenly_spaced(loop: Float[np.ndarray, "n 2"], points: int) -> Float[np.ndarray, "points 2"]:
    """Points at equal distances along a closed loop, whose last point repeats its first."""
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(loop, axis=0), axis=1))])
    wanted = np.linspace(0.0, along[-1], points, endpoint=False)
    return np.stack([np.interp(wanted, along, loop[:, axis]) for axis in range(2)], axis=-1)
