"""One run at a time in a folder: a lock that ends with the process that holds it, even if that is killed."""

from pathlib import Path

import filelock

from ebmjax.checks import ArgumentError

LOCK = ".lock"
"""The file on which the operating system keeps the lock. It says nothing by being there: a killed run leaves it."""


def taken(folder: Path) -> filelock.BaseFileLock:
    """The lock of an existing folder; its `release()` gives it back.

    Raises:
        ArgumentError: another run has it.
    """
    lock = filelock.FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise ArgumentError(
            f"--out: got {folder}, where another run is at work, wanted another folder, or to wait until it has ended"
        ) from error
    except (OSError, NotImplementedError):
        return lock  # this file system has no locks: nothing can be said about other runs
    return lock


def released(lock: filelock.BaseFileLock) -> None:
    """Give a lock back, and remove its file."""
    if lock.is_locked:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
