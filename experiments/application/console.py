"""The progress of a run on standard output: a live display on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol

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
    TimeRemainingColumn,
)
from rich.text import Text


class _Bar(BarColumn):
    """A progress bar only for stages of known length."""

    def render(self, task: Task):
        return Text() if task.total is None else super().render(task)


class _TimeLeft(TimeRemainingColumn):
    """The time left, for the same."""

    def render(self, task: Task):
        return Text() if task.total is None else super().render(task)


class Advance(Protocol):
    """Moves a bar."""

    def __call__(self, more: int, newest: str = "", /) -> None:
        """Count `more` of the total, and show the newest measurement beside the bar."""
        ...


class Reporter:
    """Prints on standard output what a run is doing; standard error is for errors."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._live: Progress | None = None

    def line(self, message: str) -> None:
        """Print one line that stays."""
        if self._console.is_terminal:
            self._console.print(message)
        else:
            # flushed, so that a pipe or a log shows at once how far a long run is
            print(message, flush=True)

    @contextmanager
    def stage(self, message: str) -> Iterator[None]:
        """A context manager for a named part of the work: shows its name and its seconds. Stages may nest."""
        start = time.perf_counter()
        if self._console.is_terminal:
            with self._spinner(message):
                yield
        else:
            self.line(f"{message} …")
            yield
        self.line(f"{message}: {time.perf_counter() - start:.1f} s")

    @contextmanager
    def bar(self, message: str, total: int) -> Iterator[Advance]:
        """A stage of known length: it yields a function that is called with the amount of work just done.

        Without a terminal, it prints a line at each measurement, and at every tenth.
        """
        start, done = time.perf_counter(), 0
        with self._spinner(message, total) if self._console.is_terminal else nullcontext() as task:

            def advance(more: int, newest: str = "", /) -> None:
                nonlocal done
                before, done = done, done + more
                if task is not None and self._live is not None:
                    self._live.update(task, advance=more, newest=newest, refresh=True)
                elif newest or 10 * before // total < 10 * done // total:
                    self.line(f"{message} … {100 * done // total}%{', ' * bool(newest)}{newest}")

            yield advance
        self.line(f"{message}: {time.perf_counter() - start:.1f} s")

    @contextmanager
    def compiling(self) -> Iterator[None]:
        """A context manager for a compilation: shown while it lasts, and told from a second on."""
        start = time.perf_counter()
        with self._spinner("compiling") if self._console.is_terminal else nullcontext():
            yield
        seconds = time.perf_counter() - start
        if seconds >= 1:
            self.line(f"compiled in {seconds:.1f} s")

    @contextmanager
    def _spinner(self, message: str, total: int | None = None) -> Iterator[TaskID]:
        # A terminal shows one live display at a time, so inner stages join the display of the outer one.
        outermost = self._live is None
        live = self._live or Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            _Bar(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            _TimeLeft(),
            TextColumn("{task.fields[newest]}", markup=False),
            console=self._console,
            transient=True,
        )
        self._live = live
        task = live.add_task(message, total=total, newest="")
        if outermost:
            live.start()
        try:
            yield task
        finally:
            live.remove_task(task)
            if outermost:
                live.stop()
                self._live = None
