"""What is written to disk: strict JSON, whole files or none, in a folder that belongs to one run."""

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

CONFIG, METRICS, SUMMARY, PAGE = "config.json", "metrics.jsonl", "summary.json", "report.html"
CHECKPOINTS = "checkpoints"
# Says whose a folder of checkpoints is, so that a user's own of the same name is never taken for one of ours.
_MARK = "README.txt"
_MARK_TEXT = "Checkpoints of an unfinished run of the ebmjax experiments; --resume goes on from them.\n"
# Stands in every figure's PNG, so that a picture of the user's own in the same folder is never taken for one of ours.
SOFTWARE = "ebmjax experiments"


class UserError(ValueError):
    """Something the user asked for cannot be done; its message is one line and is all that is shown."""


def plain(value: Any) -> Any:
    """`value` in the types of strict JSON.

    Arrays and tuples become lists, dataclasses become objects, paths strings, enums their values; JSON has no infinity
    and no NaN, so these are written as the strings "inf", "-inf" and "nan".

    Raises:
        TypeError: a value that has no such form.
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
        if array.dtype.kind not in "OV":  # bfloat16 and its kin are kind V: they fall through to the float below
            raise TypeError(f"cannot be written as JSON: an array of {array.dtype}")
        return plain(array.astype(np.float64).tolist())
    raise TypeError(f"cannot be written as JSON: {type(value).__name__}")


def dumps(value: Any, indent: int | None = 2) -> str:
    """Strict JSON text of `plain(value)`."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)


def write(path: Path, content: str | bytes) -> None:
    """Write a whole file or leave what was there: a reader never sees half of it."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.partial")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {reason(error)}") from error


def append(path: Path, line: str) -> None:
    """Add one line to a text file."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise UserError(f"cannot write {path}: {reason(error)}") from error


def read_config(folder: Path) -> dict[str, Any] | None:
    """The config.json of the run in `folder`, None where there is none that an experiment wrote."""
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"experiment", "seed", "quick", "config"} <= found.keys() else None


def files_of_run(folder: Path) -> list[Path]:
    """The files in `folder` that an earlier run certainly wrote; none without its config.json."""
    if read_config(folder) is None:
        return []
    named = [folder / name for name in (CONFIG, METRICS, SUMMARY, PAGE)]
    figures = [path for path in sorted(folder.glob("*.png")) if _is_figure(path)]
    return [path for path in named + figures if path.is_file()]


def make_checkpoints(folder: Path) -> Path:
    """The folder for the checkpoints of the run in `folder`, made if need be.

    Raises:
        UserError: it cannot be made, or there is one that is not ours.
    """
    path = folder / CHECKPOINTS
    if path.exists() and not _are_ours(path):
        raise UserError(f"{path} is not from a run of an experiment: choose another --out")
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {path}: {reason(error)}") from error
    write(path / _MARK, _MARK_TEXT)
    return path


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of the run in `folder`, if there are any and they are ours."""
    path = folder / CHECKPOINTS
    if not path.exists() or not _are_ours(path):
        return
    try:
        for item in path.iterdir():
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            elif item.name != _MARK:
                item.unlink()
        # Last, so that what an interruption leaves is still known as ours.
        (path / _MARK).unlink(missing_ok=True)
        path.rmdir()
    except OSError as error:
        raise UserError(f"cannot remove {path}: {reason(error)}") from error


def has_checkpoints(folder: Path) -> bool:
    """Whether the run in `folder` has saved anything to go on from."""
    path = folder / CHECKPOINTS
    return path.is_dir() and any(item.name != _MARK for item in path.iterdir())


def is_finished(folder: Path, record: Mapping[str, Any], overwrite: bool, resume: bool) -> bool:
    """Whether `folder` already holds all of the run `record` (the content of its config.json).

    Nothing is touched. False means that the run may begin there.

    Raises:
        UserError: the folder holds something that the run must not replace.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise UserError(f"output folder {folder} is a file, expected a folder or a new name")
        if not folder.exists() or not any(folder.iterdir()):
            return False
    except OSError as error:
        raise UserError(f"cannot use output folder {folder}: {reason(error)}") from error
    if not (overwrite or resume):
        raise UserError(f"output folder {folder} is not empty: choose another --out, or say --resume or --overwrite")
    earlier = read_config(folder)
    foreign = [name for name in (CONFIG, METRICS, SUMMARY, PAGE) if (folder / name).exists()]
    if earlier is None and foreign:
        raise UserError(f"{folder / foreign[0]} is not from a run of an experiment: choose another --out")
    if (folder / CHECKPOINTS).exists() and not _are_ours(folder / CHECKPOINTS):
        raise UserError(f"{folder / CHECKPOINTS} is not from a run of an experiment: choose another --out")
    if overwrite:
        return False
    if earlier is None:
        raise UserError(f"output folder {folder} holds no run to resume: choose another --out, or say --overwrite")
    difference = _difference(earlier, plain(record))
    if difference:
        raise UserError(f"cannot resume the run in {folder}: {difference}; choose another --out, or say --overwrite")
    return (folder / SUMMARY).is_file()


def make_folder(folder: Path) -> list[Path]:
    """Make `folder` and see that it can be written.

    Returns:
        The folders that were made, innermost first.

    Raises:
        UserError: it cannot be made or written.
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
        raise UserError(f"cannot write to output folder {folder}: {reason(error)}") from error
    return made


def reason(error: OSError) -> str:
    """The system's words for an error, without the number and the path."""
    if error.errno == errno.ENOTDIR:
        return "a part of its path is a file, not a folder"
    return (error.strerror or str(error) or type(error).__name__).lower()


def _are_ours(checkpoints: Path) -> bool:
    """Whether a folder of checkpoints is empty or carries our mark; a link never is."""
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
    """The first entry in which two configurations differ, in words; empty where they agree."""
    for key in [*now, *(key for key in earlier if key not in now)]:
        old, new = earlier.get(key), now.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            if difference := _difference(old, new):
                return difference
        elif old != new:
            return f"its {key} is {dumps(old, indent=None)}, asked for is {dumps(new, indent=None)}"
    return ""
