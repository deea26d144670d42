"""Progress for a person: a spinner with its seconds on a terminal, plain lines everywhere else."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text


class _Bar(BarColumn):
    """No bar for what has no known end."""

    def render(self, task: Task):
        return Text() if task.total is None else super().render(task)


class Reporter:
    """Says on standard output what a run is doing; standard error is left to errors."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._live: Progress | None = None

    def line(self, message: str) -> None:
        """One line that stays."""
        if self._console.is_terminal:
            self._console.print(message)
        else:
            # Flushed, because the reader of a pipe or a log wants to see where a long run is.
            print(message, flush=True)

    @contextmanager
    def stage(self, message: str) -> Iterator[None]:
        """A piece of work with a name; its seconds are said when it is done. Stages may nest."""
        start = time.perf_counter()
        if self._console.is_terminal:
            with self._spinner(message):
                yield
        else:
            self.line(f"{message} …")
            yield
        self.line(f"{message}: {time.perf_counter() - start:.1f} s")

    @contextmanager
    def bar(self, message: str, total: int) -> Iterator[Callable[[int], None]]:
        """A stage of known length; what it yields is called with how much more of it is done.

        Where there is no terminal, a line at every tenth.
        """
        start, done = time.perf_counter(), 0
        with self._spinner(message, total) if self._console.is_terminal else nullcontext() as task:

            def advance(more: int) -> None:
                nonlocal done
                before, done = done, done + more
                if task is not None and self._live is not None:
                    self._live.advance(task, more)
                elif 10 * before // total < 10 * done // total:
                    self.line(f"{message} … {100 * done // total}%")

            yield advance
        self.line(f"{message}: {time.perf_counter() - start:.1f} s")

    @contextmanager
    def _spinner(self, message: str, total: int | None = None) -> Iterator[TaskID]:
        # A terminal carries one live display at a time, so inner stages join the outer one's.
        outermost = self._live is None
        live = self._live or Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            _Bar(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._live = live
        task = live.add_task(message, total=total)
        if outermost:
            live.start()
        try:
            yield task
        finally:
            live.remove_task(task)
            if outermost:
                live.stop()
                self._live = None
