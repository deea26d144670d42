"""Standard output and standard error that cannot end a run: what cannot be printed becomes `?`, or is dropped.

A redirect on Windows has the encoding cp1252, a container often ASCII. A reader such as `head -1` closes its pipe after
the first line, and a disk may be full. The results of a run are in its folder, so that it goes on without its output.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


class _Forgiving:
    """A text stream that drops what cannot be written."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            self._close()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            self._close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _close(self) -> None:
        # Python writes what is left in the buffer once more when it ends, and fails with status 120 if it cannot.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


@contextlib.contextmanager
def forgiving() -> Iterator[None]:
    """A context manager in which no output to the two standard streams raises an error."""
    before: tuple[Any, Any] = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    now: list[Any] = [None if stream is None else _Forgiving(stream) for stream in before]
    sys.stdout, sys.stderr = now
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before
