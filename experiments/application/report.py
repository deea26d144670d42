"""What a run leaves behind: its configuration, metrics, headline figures, pictures, and one page to read."""

import base64
import io
import os
import platform
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import jax
from matplotlib.figure import Figure

from experiments.application import page
from experiments.application.compile_clock import CompileClock
from experiments.application.console import Reporter
from experiments.application.records import (
    CHECKPOINTS,
    CONFIG,
    METRICS,
    PAGE,
    SOFTWARE,
    SUMMARY,
    append,
    dumps,
    files_of_run,
    has_checkpoints,
    make_checkpoints,
    make_folder,
    plain,
    remove_checkpoints,
    write,
)


def config_record(name: str, config: Any, seed: int, quick: bool) -> dict[str, Any]:
    """The content of config.json: all that decides what a run computes."""
    return {"experiment": name, "seed": seed, "quick": quick, "config": plain(config)}


class Report:
    """The record of one run, in one folder.

    Text, tables and figures stand on the page in the order in which they were given.

    Attributes:
        folder: where the files go.
        name: the experiment's name.
        config: its configuration.
        seed: the seed that `key()` is made of.
        quick: whether this is the small run.
        resume: whether it goes on from the checkpoints of an earlier run of the same configuration.
        compilations: how many programs `compiled` compiled.
    """

    RESERVED: ClassVar[tuple[str, ...]] = (
        "experiment",
        "seed",
        "quick",
        "device",
        "versions",
        "seconds_compile",
        "seconds_run",
        "compilations",
        "diverged",
    )

    def __init__(
        self,
        folder: Path,
        name: str,
        config: Any,
        seed: int,
        quick: bool,
        module: ModuleType | None = None,
        resume: bool = False,
    ) -> None:
        """Take possession of `folder`, which is made if need be.

        The files of an earlier run there stay until this one has something to put in their place, so that a run which
        is refused after all (a bad data file) has destroyed nothing.

        Raises:
            UserError: the folder cannot be written.
        """
        self.folder, self.name, self.config, self.seed, self.quick = Path(folder), name, config, seed, quick
        self.resume = resume
        self.compilations = 0
        self._title, self._lead = _title_and_lead(name, module)
        self._headline: dict[str, Any] = {}
        self._blocks: list[str] = []
        self._figures: set[str] = set()
        self._reporter = Reporter()
        self._clock = CompileClock()
        self._start = time.perf_counter()
        self._made = make_folder(self.folder)
        self._begun = self._has_results = False
        if not files_of_run(self.folder):
            self._begin()

    def key(self) -> jax.Array:
        """The run's random key, the same at each call: split it once, at the top of `run`."""
        return jax.random.key(self.seed)

    @property
    def checkpoints(self) -> Path:
        """A folder for what a run must not lose when it is broken off; one folder in it for each training.

            train_resumable(..., folder=report.checkpoints / "cold", ...)

        A run with --resume finds there what an earlier one saved, all others find it empty. `finish` removes it, unless
        the configuration has a field `keep_checkpoints` that is true.
        """
        if not self._begun:
            self._begin()
        return make_checkpoints(self.folder)

    def progress(self, message: str) -> None:
        """Say where the run is."""
        self._reporter.line(message)

    def stage(self, message: str) -> AbstractContextManager[None]:
        """A piece of work with a name, for `with`: shown while it goes on, with its seconds when it is done."""
        return self._reporter.stage(message)

    def bar(self, message: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A stage of known length, for `with ... as advance`: `advance(n)` says that n more of `total` are done."""
        return self._reporter.bar(message, total)

    def compiled(self, function: Callable[..., Any], *args: Any) -> Any:
        """`function(*args)`, compiled ahead so that compiling and running are timed apart; waits for the result.

        Args:
            function: a function that JAX can trace, jitted already or not.
            args: pytrees of arrays.
        """
        start = time.perf_counter()
        jitted = function if hasattr(function, "lower") else jax.jit(function)
        executable = jitted.lower(*args).compile()
        self._clock.add(start, time.perf_counter())
        self.compilations += 1
        return jax.block_until_ready(executable(*args))

    def metrics(self, **values: Any) -> None:
        """Append one line to metrics.jsonl: numbers, arrays and nestings of them, under their names."""
        line = dumps(values, indent=None)
        self._put_results()
        append(self.folder / METRICS, line)

    def summary(self, **values: Any) -> None:
        """Headline figures, under plain names, for summary.json, the top of the page and the terminal.

        Raises:
            ValueError: a name that is given already, or that the report uses itself.
        """
        for name, value in values.items():
            if name in self._headline or name in self.RESERVED:
                raise ValueError(f"summary: the name {name!r} is taken, expected a new one")
            self._headline[name] = plain(value)

    def diverged(self, training: str, updates: int) -> None:
        """Say, on the terminal, on the page and in the summary, that a training was stopped because it diverged.

        Its checkpoints, which hold the last good parameters, then stay in the folder.
        """
        self._headline.setdefault("diverged", []).append(training)
        message = (
            f"{training} diverged after {updates} updates; its last good parameters are in {CHECKPOINTS}/{training}"
        )
        self.progress(message)
        self.text(f"**{message}.**")

    def text(self, text: str) -> None:
        """Paragraphs on the page: blank lines separate them; `code`, **bold** and indented formulas are understood."""
        self._blocks.append(page.text(text))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table on the page.

        Raises:
            ValueError: a row with another number of cells than there are columns.
        """
        for index, row in enumerate(rows):
            if len(row) != len(columns):
                raise ValueError(f"table {title!r}: row {index} has {len(row)} cells, expected {len(columns)}")
        self._blocks.append(page.table(title, columns, [[plain(cell) for cell in row] for row in rows]))

    def figure(self, name: str, figure: Figure, caption: str = "") -> None:
        """Save a figure as NAME.png and put it on the page with its caption. The figure is cleared.

        Args:
            name: lower-case letters, digits and underscores.
            figure: a figure that no `pyplot` manages, see `experiments.drawing.plots`.
            caption: what one sees in it; also said to those who cannot see it.

        Raises:
            ValueError: a name that is no such name, or is given already.
        """
        if not re.fullmatch(r"[a-z0-9_]+", name) or name in self._figures:
            raise ValueError(f"figure: the name is {name!r}, expected a new one of a-z, 0-9 and _")
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=150, bbox_inches="tight", metadata={"Software": SOFTWARE})
        figure.clear()
        self._put_results()
        write(self.folder / f"{name}.png", picture.getvalue())
        self._figures.add(name)
        data = base64.b64encode(picture.getvalue()).decode()
        self._blocks.append(page.figure(name, data, caption))

    @contextmanager
    def running(self) -> Iterator[None]:
        """The time within is the run's: compiling and the rest are measured there."""
        self._start = time.perf_counter()
        with self._clock.listening():
            yield

    def finish(self) -> dict[str, Any]:
        """Write summary.json and report.html; the run is then complete.

        Returns:
            The content of summary.json.
        """
        total = time.perf_counter() - self._start
        results = self._headline | {
            "experiment": self.name,
            "seed": self.seed,
            "quick": self.quick,
            "device": _device(),
            "versions": _versions(),
            "seconds_compile": round(self._clock.seconds, 3),
            "seconds_run": round(max(0.0, total - self._clock.seconds), 3),
            "compilations": self.compilations,
        }
        self._put_results()
        record = config_record(self.name, self.config, self.seed, self.quick)
        html = page.document(self._title, self._lead, self._headline, self._blocks, record, results)
        write(self.folder / PAGE, html)
        # Last, because its presence is what says that a run is finished.
        write(self.folder / SUMMARY, dumps(results) + "\n")
        if not (getattr(self.config, "keep_checkpoints", False) or "diverged" in self._headline):
            remove_checkpoints(self.folder)
        return results

    def discard(self) -> None:
        """Undo the beginning of a run that came to nothing; once there are results or checkpoints, they stay."""
        if self._has_results or has_checkpoints(self.folder):
            return
        if self._begun:
            remove_checkpoints(self.folder)
            (self.folder / CONFIG).unlink(missing_ok=True)
        for folder in self._made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _begin(self) -> None:
        if not self.resume:
            remove_checkpoints(self.folder)
        for path in files_of_run(self.folder):
            if path.name != CONFIG:
                path.unlink()
        # Replaced last and at once: without it, nobody could tell whose the checkpoints are.
        write(self.folder / CONFIG, dumps(config_record(self.name, self.config, self.seed, self.quick)) + "\n")
        self._begun = True

    def _put_results(self) -> None:
        if not self._begun:
            self._begin()
        self._has_results = True


def _title_and_lead(name: str, module: ModuleType | None) -> tuple[str, str]:
    """An experiment's title and its paragraphs: the first line of its docstring, and the rest."""
    documentation = (module.__doc__ or "").strip() if module else ""
    first, _, rest = documentation.partition("\n")
    return first.strip().rstrip(".") or name.replace("_", " "), rest


def _device() -> str:
    device = jax.devices()[0]
    if device.platform == "cpu":
        return f"cpu ({platform.machine()}, {os.cpu_count()} cores)"
    return f"{device.platform} ({device.device_kind})"


def _versions() -> dict[str, str]:
    packages = ("jax", "jaxlib", "flax", "optax", "numpy")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}
