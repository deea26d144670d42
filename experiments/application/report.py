"""The record of a run: its configuration, metrics, headline figures, pictures, and one page to read."""

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
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from ebmjax import memory, random_bits
from ebmjax.checks import ArgumentError
from experiments.application import lock, page, repeating
from experiments.application.compile_clock import CompileClock
from experiments.application.console import Advance, Reporter
from experiments.application.markdown import bare
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


class TooLargeError(ArgumentError):
    """A program needs more memory than there is."""


def config_record(name: str, config: Any, seed: int, quick: bool) -> dict[str, Any]:
    """The content of config.json: everything that determines what a run computes."""
    return {"experiment": name, "seed": seed, "quick": quick, "config": plain(config)}


class Report:
    """The record of one run, in one folder.

    Texts, tables and figures appear on the page in the order of the calls.

    Attributes:
        folder: where the files go.
        name: the experiment's name.
        config: its configuration.
        seed: the seed of `key()`.
        quick: whether this is the small version.
        resume: whether it continues from the checkpoints of an earlier run of the same configuration.
        compilations: how many programs `compiled` compiled.
        above: the path of the page that shows this run among others, from report.html; empty if there is none.
        listeners: functions that are told each line of metrics.jsonl, as a dictionary in the types of JSON.
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
        "pictures",
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
        reporter: Reporter | None = None,
    ) -> None:
        """Begin the record in `folder`, which is made if it does not exist.

        Runs that are parts of one command share a `reporter`, so that there is one display of their progress.

        The files of an earlier run stay there until this run has its first result, so that a run that is refused late,
        such as for a bad data file, has destroyed nothing.

        Raises:
            ArgumentError: no file can be written in the folder, or another run is at work there.
        """
        self.folder, self.name, self.config = Path(os.path.expanduser(folder)), name, config
        self.seed, self.quick = seed, quick
        self.resume = resume
        self.compilations = 0
        self._loops = 0
        self._title, self._lead = _title_and_lead(name, module)
        self._headline: dict[str, Any] = {}
        self._blocks: list[page.Block] = []
        self._figures: set[str] = set()
        self.above = ""
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self._module = module
        self._reporter = reporter or Reporter()
        self._clock = CompileClock()
        self._start = time.perf_counter()
        self._made = make_folder(self.folder)
        self._lock = lock.taken(self.folder)
        self._begun = self._has_results = False
        if not files_of_run(self.folder):
            self._begin()

    def key(self) -> jax.Array:
        """The random key of the run, the same at each call: split it once, at the beginning of `run`.

        Its numbers are those of `jax.random.key(seed)`; programs that draw them compile and run faster.
        """
        return random_bits.key(self.seed)

    @property
    def checkpoints(self) -> Path:
        """The folder for the checkpoints of an interrupted run; each training has a folder of its own in it.

            train_resumable(..., folder=report.checkpoints / "cold", ...)

        With --resume the folder holds what the earlier run saved; otherwise it is empty. `finish` removes it, unless
        the configuration has a field `keep_checkpoints` that is true.

        Raises:
            ArgumentError: the folder cannot be made, or exists and is not from a run of an experiment.
        """
        if not self._begun:
            self._begin()
        return make_checkpoints(self.folder)

    def next_loop(self) -> Path:
        """The folder for the checkpoints of the next loop of the run; it may not exist."""
        self._loops += 1
        return self.folder / CHECKPOINTS / f"loop_{self._loops}"

    def progress(self, message: str) -> None:
        """Print one line about the progress of the run."""
        self._reporter.line(message)

    def stage(self, message: str) -> AbstractContextManager[None]:
        """A context manager for a named part of the work: shows its name and its seconds."""
        return self._reporter.stage(message)

    def bar(self, message: str, total: int) -> AbstractContextManager[Advance]:
        """A stage with a progress bar, for `with ... as advance`: `advance(n)` counts n more of `total`.

        `advance(n, "loss 0.5")` shows the newest measurement beside the bar.
        """
        return self._reporter.bar(message, total)

    def compiled(self, function: Callable[..., Any], *args: Any) -> Any:
        """Compute `function(*args)`: compile first, so that both times are known, then run and wait for the result.

        Arrays come back as NumPy arrays: what is computed with them outside of compiled programs compiles nothing.

        Args:
            function: a function that JAX can trace; it may be jitted.
            args: pytrees of arrays.
        """
        return jax.tree.map(_on_host, self.program(function, *args)(*args))

    def program(self, function: Callable[..., Any], *args: Any) -> Callable[..., Any]:
        """Compile a function for arguments of these shapes; a line says how long that took, from a second on.

        Args:
            function, args: as in `compiled`.

        Raises:
            TooLargeError: the program would need more memory than there is.
        """
        start = time.perf_counter()
        jitted = function if hasattr(function, "lower") else jax.jit(function)
        with self._reporter.compiling():
            executable = jitted.lower(*args).compile()
        self._clock.add(start, time.perf_counter())
        self.compilations += 1
        need, left = memory.needed(executable), memory.left()
        beside = need.results + need.temporary  # the arguments are in memory already
        if beside > left:
            raise TooLargeError(
                f"memory: got {memory.size(beside)}, wanted at most the {memory.size(left)} that are left"
            )
        return executable

    def metrics(self, **values: Any) -> None:
        """Append one line to metrics.jsonl: numbers, arrays, and lists or dictionaries of them, under their names.

        Raises:
            TypeError: a value that JSON cannot hold.
        """
        line = dumps(values, indent=None)
        self._put_results()
        append(self.folder / METRICS, line)
        for listener in self.listeners:
            listener(plain(values))

    def summary(self, **values: Any) -> None:
        """Add headline figures under plain names: for summary.json, the top of the page and the terminal.

        Raises:
            ValueError: a name that was given before, or that the report uses itself.
            TypeError: a value that JSON cannot hold.
        """
        for name, value in values.items():
            if name in self._headline or name in self.RESERVED:
                raise ValueError(f"summary: got the name {name!r}, which is taken, wanted a new one")
            self._headline[name] = plain(value)

    def diverged(self, training: str, updates: int) -> None:
        """Report on the terminal, on the page and in the summary that a training diverged and was stopped.

        Its checkpoints, which hold the last good parameters, then stay in the folder.
        """
        self._headline.setdefault("diverged", []).append(training)
        message = (
            f"{training} diverged after {updates} updates; its last good parameters are in {CHECKPOINTS}/{training}"
        )
        self.progress(message)
        self.text(f"**{message}.**")

    def text(self, text: str) -> None:
        """Add text to the page, in Markdown (see `markdown`); blank lines separate paragraphs."""
        self._blocks.append(page.Text(text))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table to the page.

        Raises:
            ValueError: a row whose number of cells differs from the number of columns.
            TypeError: a cell that JSON cannot hold.
        """
        for index, row in enumerate(rows):
            if len(row) != len(columns):
                raise ValueError(f"table {title!r}: got {len(row)} cells in row {index}, wanted {len(columns)}")
        self._blocks.append(page.table(title, columns, [[plain(cell) for cell in row] for row in rows]))

    def figure(self, name: str, figure: Figure, caption: str = "") -> None:
        """Save a figure as NAME.png, add it to the page with its caption, and clear it.

        Args:
            name: lower-case letters, digits and underscores.
            figure: a figure that `pyplot` does not manage, see `experiments.drawing.plots`.
            caption: what the figure shows; screen readers read it aloud.

        Raises:
            ValueError: a name with other characters, or one that was given before.
        """
        if not re.fullmatch(r"[a-z0-9_]+", name) or name in self._figures:
            raise ValueError(f"figure: got the name {name!r}, wanted a new one of a-z, 0-9 and _")
        picture = io.BytesIO()
        figure.savefig(picture, format="png", dpi=150, bbox_inches="tight", metadata={"Software": SOFTWARE})
        figure.clear()
        self._put_results()
        write(self.folder / f"{name}.png", picture.getvalue())
        self._figures.add(name)
        data = base64.b64encode(picture.getvalue()).decode()
        self._blocks.append(page.Figure(name, data, caption))

    @contextmanager
    def running(self) -> Iterator[None]:
        """A context manager around the run, which measures its time and its time of compiling."""
        self._start = time.perf_counter()
        with self._clock.listening():
            yield

    def finish(self) -> dict[str, Any]:
        """Write report.html and summary.json; the run is then complete.

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
            "pictures": {one.name: bare(one.caption) for one in self._blocks if isinstance(one, page.Figure)},
        }
        self._put_results()
        record = config_record(self.name, self.config, self.seed, self.quick)
        command = repeating.command(record, self._module) if self._module else ""
        content = self._title, self._lead, self._headline, self._blocks
        html = page.document(*content, record, results, command, self.above)
        write(self.folder / PAGE, html)
        # The summary goes last, because its presence means that a run is finished.
        write(self.folder / SUMMARY, dumps(results) + "\n")
        if not (getattr(self.config, "keep_checkpoints", False) or "diverged" in self._headline):
            remove_checkpoints(self.folder)
        lock.released(self._lock)
        return results

    def discard(self) -> None:
        """Remove what a failed run has made, unless it has results or checkpoints."""
        lock.released(self._lock)
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
        # The configuration is replaced last and at once: it says which run the checkpoints belong to.
        write(self.folder / CONFIG, dumps(config_record(self.name, self.config, self.seed, self.quick)) + "\n")
        self._begun = True

    def _put_results(self) -> None:
        if not self._begun:
            self._begin()
        self._has_results = True


def _on_host(leaf: Any) -> Any:
    """An array as a NumPy array; random keys, which are none, stay."""
    return leaf if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else np.asarray(leaf)


def _title_and_lead(name: str, module: ModuleType | None) -> tuple[str, str]:
    """The title and the lead of a page: the first line of the docstring of an experiment, and the rest."""
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
