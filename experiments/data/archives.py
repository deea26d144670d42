"""NumPy's files from anywhere: nothing in them is unpickled, and their size is known before they are unpacked."""

import os
import zipfile
from pathlib import Path

import numpy as np

from ebmjax.checks import ArgumentError

LARGEST = 2**31
"""Bytes that the arrays of one archive may have: a small archive can promise any number of them."""


def read(path: Path, wanted: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by their names, or that of an .npy file under an empty name.

    Args:
        path: the file.
        wanted: what the file should be, for the message of an error.

    Raises:
        ArgumentError: one line that says what is wrong with the file.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > LARGEST:
                raise ArgumentError(
                    f"{path}: got {size:,} bytes when unpacked, wanted {wanted}, of at most {LARGEST:,}"
                )
            with np.load(path, allow_pickle=False) as found:
                return {name: found[name] for name in found.files}
        return {"": np.load(path, allow_pickle=False)}
    except ArgumentError:
        raise
    except FileNotFoundError:
        raise ArgumentError(f"{path}: got no such file, wanted {wanted}") from None
    except Exception as error:  # a damaged file makes NumPy and zipfile raise errors of twenty kinds
        raise ArgumentError(
            f"{path}: got a damaged file or one of another kind (NumPy cannot read it: {_in_short(error)}), wanted"
            f" {wanted}"
        ) from None


def _in_short(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return os.strerror(error.errno or 0).lower()
    return " ".join(f"{error}".split())[:100] or type(error).__name__
