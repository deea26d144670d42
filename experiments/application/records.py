"""What a run writes to disk: strict JSON and complete files, in a folder of its own."""

import dataclasses
import enum
import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ebmjax.checks import ArgumentError
from experiments.application.lock import LOCK

CONFIG, METRICS, SUMMARY, PAGE = "config.json", "metrics.jsonl", "summary.json", "report.html"
FAILURE = "failure.txt"
"""The traceback of a run of `all` that failed."""
EVENTS = "tensorboard"
"""The folder of the files that TensorBoard reads."""
CHECKPOINTS = "checkpoints"
# This file marks a folder of checkpoints as ours, so that a user's own folder of that name is never removed.
_MARK = "README.txt"
_MARK_TEXT = "Checkpoints of an unfinished run of the ebmjax experiments; --resume goes on from them.\n"
# The PNG of every figure holds this text, so that a user's own picture in the same folder is never removed.
SOFTWARE = "ebmjax experiments"


def plain(value: Any) -> Any:
    """Convert `value` to the types of strict JSON.

    Arrays and tuples become lists, dataclasses become objects, paths become strings, and enums become their values.
    JSON has no infinity and no NaN: these become the strings "inf", "-inf" and "nan".

    Raises:
        TypeError: a value that cannot be converted.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.generic) or hasattr(value, "__array__"):
        array = np.asarray(value)
        if array.dtype.kind in "biuf":
            return plain(array.tolist())
        if array.dtype.kind not in "OV":  # bfloat16 and similar types are of kind V and are converted below
            raise TypeError(f"value: got an array of {array.dtype}, wanted what JSON can hold")
        return plain(array.astype(np.float64).tolist())
    raise TypeError(f"value: got {type(value).__name__}, wanted what JSON can hold")


def dumps(value: Any, indent: int | None = 2) -> str:
    """The strict JSON text of `plain(value)`.

    Raises:
        TypeError: a value that JSON cannot hold.
    """
    return json.dumps(plain(value), indent=indent, allow_nan=False)


def write(path: Path, content: str | bytes) -> None:
    """Write a complete file or leave the old one: a reader never sees half a file.

    Raises:
        ArgumentError: the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ArgumentError(f"{path}: got {_quoted(error)}, wanted to write this file") from error


def append(path: Path, line: str) -> None:
    """Add one line to a text file.

    Raises:
        ArgumentError: the file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise ArgumentError(f"{path}: got {_quoted(error)}, wanted to write this file") from error


def read_config(folder: Path) -> dict[str, Any] | None:
    """The config.json of the run in `folder`; None if there is none, or no experiment wrote it."""
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"experiment", "seed", "quick", "config"} <= found.keys() else None


def files_of_run(folder: Path) -> list[Path]:
    """The files in `folder` that an earlier run certainly wrote; none if its config.json is missing."""
    if read_config(folder) is None:
        return []
    named = [folder / name for name in (CONFIG, METRICS, SUMMARY, PAGE, FAILURE)]
    named += sorted((folder / EVENTS).glob("events.out.tfevents.*"))
    figures = [path for path in sorted(folder.glob("*.png")) if _is_figure(path)]
    return [path for path in named + figures if path.is_file()]


def make_checkpoints(folder: Path) -> Path:
    """The folder for the checkpoints of the run in `folder`; it is made if it does not exist.

    Raises:
        ArgumentError: the folder cannot be made, or exists and is not from a run of an experiment.
    """
    path = folder / CHECKPOINTS
    if path.exists() and not _are_ours(path):
        raise ArgumentError(_foreign(folder, CHECKPOINTS))
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise ArgumentError(f"{path}: got {_quoted(error)}, wanted to make this folder") from error
    write(path / _MARK, _MARK_TEXT)
    return path


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of the run in `folder`, if there are any and an experiment wrote them.

    Raises:
        ArgumentError: they cannot be removed.
    """
    path = folder / CHECKPOINTS
    if not path.exists() or not _are_ours(path):
        return
    try:
        for item in path.iterdir():
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            elif item.name != _MARK:
                item.unlink()
        # The mark goes last, so that what an interruption leaves is still known as ours.
        (path / _MARK).unlink(missing_ok=True)
        path.rmdir()
    except OSError as error:
        raise ArgumentError(f"{path}: got {_quoted(error)}, wanted to remove this folder") from error


def has_checkpoints(folder: Path) -> bool:
    """Whether the run in `folder` has saved a checkpoint."""
    path = folder / CHECKPOINTS
    return path.is_dir() and any(item.name != _MARK for item in path.iterdir())


def is_finished(folder: Path, record: Mapping[str, Any], overwrite: bool, resume: bool) -> bool:
    """Whether `folder` already holds the finished run of this configuration; False means that the run may begin there.

    Nothing in the folder is changed.

    Args:
        folder: the output folder.
        record: what the config.json of the run holds.
        overwrite: whether the run may replace an earlier one.
        resume: whether the run may continue an earlier one.

    Raises:
        ArgumentError: the folder holds something that the run must not replace.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise ArgumentError(f"--out: got {folder}, which is a file, wanted a folder or a new name")
        if not folder.exists() or not any(path.name != LOCK for path in folder.iterdir()):
            return False
    except OSError as error:
        raise ArgumentError(f"--out: got {folder} ({_quoted(error)}), wanted a folder that can be used") from error
    if not (overwrite or resume):
        raise ArgumentError(
            f"--out: got {folder}, which is not empty, wanted another folder, or --resume or --overwrite"
        )
    earlier = read_config(folder)
    foreign = [name for name in (CONFIG, METRICS, SUMMARY, PAGE) if (folder / name).exists()]
    if earlier is None and foreign:
        raise ArgumentError(_foreign(folder, foreign[0]))
    if (folder / CHECKPOINTS).exists() and not _are_ours(folder / CHECKPOINTS):
        raise ArgumentError(_foreign(folder, CHECKPOINTS))
    if overwrite:
        return False
    if earlier is None:
        raise ArgumentError(f"--out: got {folder}, which holds no run to resume, wanted another folder, or --overwrite")
    difference = _difference(earlier, plain(record))
    if difference:
        raise ArgumentError(
            f"--resume: got the run in {folder}, but {difference}; wanted the same run, another --out, or --overwrite"
        )
    return (folder / SUMMARY).is_file()


def make_folder(folder: Path) -> list[Path]:
    """Make `folder` and check that files can be written there.

    Returns:
        The folders that did not exist before, innermost first.

    Raises:
        ArgumentError: it cannot be made, or no file can be written there.
    """
    made = []
    try:
        for path in (folder, *folder.parents):
            if path.exists():
                break
            made.append(path)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        for path in made:
            if path.is_dir():
                path.rmdir()
        raise ArgumentError(f"--out: got {folder} ({_quoted(error)}), wanted a folder that can be written") from error
    return made


def _quoted(error: OSError) -> str:
    """The system's message, without the number and the path."""
    if error.errno == errno.ENOTDIR:
        return "'a part of its path is a file, not a folder'"
    return repr((error.strerror or str(error) or type(error).__name__).lower())


def _foreign(folder: Path, name: str) -> str:
    return f"--out: got {folder}, whose {name} is not from a run of an experiment, wanted another folder"


def _are_ours(checkpoints: Path) -> bool:
    """Whether a folder of checkpoints is empty or holds our mark, and is no symbolic link."""
    if checkpoints.is_symlink():
        return False
    try:
        if not any(checkpoints.iterdir()):
            return True
        return (checkpoints / _MARK).read_text(encoding="utf-8") == _MARK_TEXT
    except (OSError, ValueError):
        return False


def _is_figure(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        return False
    return head.startswith(b"\x89PNG") and b"Software\x00" + SOFTWARE.encode() in head


def _difference(earlier: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> str:
    """A clause that names the first entry in which two configurations differ; empty if they agree."""
    for key in [*now, *(key for key in earlier if key not in now)]:
        old, new = earlier.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            if difference := _difference(old, new):
                return difference
        elif old != new:
            return f"its {key} is {dumps(old, indent=None)} and not {dumps(new, indent=None)}"
    return ""
