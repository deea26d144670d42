"""A user's own points, read from a CSV file."""

import csv
import io
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from ebmjax.checks import ArgumentError

_LARGEST = float(np.finfo(np.float32).max)
ELLIPSE, HORN = ("y1", "y2"), ("x", "y1", "y2")
_COLUMNS = "the columns y1,y2 (an ellipse) or x,y1,y2 (a horn)"


class Points(NamedTuple):
    """The content of a file."""

    columns: tuple[str, ...]
    """`ELLIPSE` or `HORN`."""
    values: Float32[np.ndarray, "rows columns"]


def read(path: Path | str) -> Points:
    """Read points from a CSV file with a header.

    The columns may come in any order. Quotes, a byte-order mark, Windows line ends, spaces around a cell and empty
    lines at the end are allowed.

    Args:
        path: a file of comma-separated values with the columns y1,y2 or x,y1,y2 and at least 3 rows.

    Returns:
        The columns, in the order named above, and their values as float32.

    Raises:
        ArgumentError: one line that says what is wrong with the file, in which row (the header is row 1), and what was
            wanted.
    """
    path = Path(os.path.expanduser(path))
    records = _records(path, _decoded(path))
    if not records:
        raise ArgumentError(f"{path}: got an empty file, wanted {_COLUMNS} in its first row")
    (header_row, header), body = records[0], records[1:]
    columns = _columns(path, header_row, header)
    values = np.empty((len(body), len(columns)), np.float32)
    for index, (row, cells) in enumerate(body):
        if len(cells) != len(header):
            raise ArgumentError(f"{path}, row {row}: got {len(cells)} cells, wanted {len(header)} as in the header")
        for name, cell in zip(header, cells, strict=True):
            values[index, columns.index(name)] = _finite(path, row, name, cell)
    if len(body) < 3:
        raise ArgumentError(f"{path}: got {len(body)} rows of data, wanted at least 3")
    return Points(columns, values)


def _decoded(path: Path) -> str:
    try:
        if path.is_dir():
            raise ArgumentError(f"{path}: got a folder, wanted a CSV file")
        if not path.exists():
            raise ArgumentError(f"{path}: got no file of this name, wanted a CSV file")
        if not (path.is_file() or path.is_fifo()):  # a device such as /dev/zero has no end
            raise ArgumentError(f"{path}: got a device, wanted a regular CSV file")
        content = path.read_bytes()
    except OSError as error:
        raise ArgumentError(f"{path}: got an error of reading ({error.strerror}), wanted a CSV file") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content[: error.start].count(b"\n") + 1
        raise ArgumentError(
            f"{path}, row {row}: got byte {error.start}, which is not UTF-8, wanted a CSV file"
        ) from error
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        raise ArgumentError(f"{path}, row {row}: got a NUL byte, wanted a CSV file of text")
    return text


def _records(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """Rows with their line numbers, cells without spaces around them, without the empty lines at the end."""
    reader = csv.reader(io.StringIO(text, newline=None), skipinitialspace=True)
    records = []
    start = 1
    try:
        for cells in reader:
            records.append((start, [cell.strip() for cell in cells]))
            start = reader.line_num + 1
    except csv.Error as error:
        raise ArgumentError(f"{path}, row {start}: got {error}, wanted comma-separated values") from error
    while records and records[-1][1] in ([], [""]):
        records.pop()
    return records


def _columns(path: Path, row: int, header: list[str]) -> tuple[str, ...]:
    for columns in (ELLIPSE, HORN):
        if sorted(header) == sorted(columns):
            return columns
    missing = [name for name in ELLIPSE if name not in header]
    extra = [name for name in header if name not in HORN]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if missing:
        problem = f"lacks {' and '.join(missing)}"
    elif extra:
        problem = f"also has {_quoted(', '.join(extra))}"
    else:
        problem = f"repeats {' and '.join(repeated)}"
    raise ArgumentError(
        f"{path}, row {row}: got the header {_quoted(','.join(header))}, which {problem}, wanted {_COLUMNS}"
    )


def _finite(path: Path, row: int, name: str, cell: str) -> float:
    where = f"{path}, row {row}, column {name}"
    if not cell:
        raise ArgumentError(f"{where}: got an empty cell, wanted a number")
    try:
        # Python reads 1_000 as a number; in a data file it is more likely an error.
        value = float("no" if "_" in cell else cell)
    except ValueError:
        raise ArgumentError(f"{where}: got {_quoted(cell)}, wanted a number") from None
    if not abs(value) <= _LARGEST:  # false for NaN as well
        raise ArgumentError(f"{where}: got {_quoted(cell)}, wanted a finite number (float32)")
    return value


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
