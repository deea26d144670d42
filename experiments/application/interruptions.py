"""What ends a run from outside: Ctrl-C, and the signal with which a cluster or `kill` asks a process to end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Terminated(BaseException):
    """The process was asked to end."""


STATUS = 128 + signal.SIGTERM
"""The exit status of a process that has ended for this reason, 143."""


@contextmanager
def raised() -> Iterator[None]:
    """A context manager in which SIGTERM raises `Terminated`, where it would end the process without a word.

    Python sees a signal between two steps of its own, not within a compiled program. A second signal ends the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number, frame):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise Terminated

    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
