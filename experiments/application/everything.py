"""`python -m experiments all`: every experiment in turn, one display, and a page of all of them that is always true."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from ebmjax.checks import ArgumentError
from experiments.application import gallery, options, page
from experiments.application.catalogue import Experiment
from experiments.application.console import Reporter
from experiments.application.records import CONFIG, FAILURE, dumps, make_folder, read_config, write
from experiments.application.repeating import continuing

DESCRIPTION = (
    "Runs all experiments that need no data file, one after another, each in the folder OUT/NAME: small versions, or "
    "those of the documentation with --full. One that fails does not stop the others. OUT/index.html shows all of them."
)


@dataclass(frozen=True)
class Options:
    """Options of `all`."""

    out: Path
    """Output folder. It must be new or empty, unless --resume or --overwrite is given."""
    seed: Annotated[int, options.Between(0, 2**32 - 1)] = 0
    """Seed of all random numbers, the same for every experiment."""
    full: bool = False
    """Run the experiments as they are without --quick: this takes many hours."""
    quick: bool = False
    """Run small versions that take less than 20 s each. This is so without --full, and need not be said."""
    resume: bool = False
    """Leave finished runs of the output folder as they are, and continue the others."""
    overwrite: bool = False
    """Replace the files of earlier runs in the output folder. Other files there are kept."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard too, in the folder `tensorboard` of each run (extra `tensorboard`)."""

    def __post_init__(self):
        options.check(self)
        for one, other in (("resume", "overwrite"), ("quick", "full")):
            if getattr(self, one) and getattr(self, other):
                raise ArgumentError(f"--{one} and --{other}: got both, wanted at most one of them")

    def command(self) -> str:
        """The command line that continues this one.

        >>> Options(Path("mine"), full=True).command()
        'python -m experiments all --full --seed 0 --resume --out mine'
        """
        words = ["--full"] * self.full + ["--seed", str(self.seed)] + ["--tensorboard"] * self.tensorboard
        return continuing(f"python -m experiments all {' '.join(words)}", self.out)


def run_all(
    folder: Path,
    shown: Sequence[Experiment],
    jobs: Mapping[str, Callable[[Reporter], None]],
    records: Mapping[str, Mapping[str, Any]],
    command: str,
) -> list[str]:
    """Perform the jobs one after another, and write the page before the first and after each of them.

    An exception of a job is recorded in its folder and told in one line; the next job follows. An interruption ends all
    of them. The page is true in both cases.

    Args:
        folder: where the folders of the runs are, each under the name of its experiment.
        shown: the experiments on the page.
        jobs: what is performed, by the names of the experiments; it takes the display of progress to use.
        records: the content of config.json of each run.
        command: the command line that continues all of them.

    Returns:
        The names of the jobs that failed.

    Raises:
        ArgumentError: the folder cannot be written.
    """
    page.refuse_foreign(folder / gallery.INDEX)
    make_folder(folder)
    reporter, start, failed = Reporter(), time.perf_counter(), []
    gallery.write_index(folder, shown, command)
    with reporter.bar("all experiments", max(1, len(jobs))) as advance:
        for place, (name, perform) in enumerate(jobs.items(), 1):
            advance(0, f"{place} of {len(jobs)}: {name}, after {time.perf_counter() - start:.0f} s")
            try:
                perform(reporter)
            except Exception as error:
                said = in_one_line(error)
                record_failure(folder / name, records[name], said)
                reporter.line(f"{name} failed: {said}")
                failed.append(name)
            finally:
                gallery.write_index(folder, shown, command)
            advance(1)
    return failed


def record_failure(run: Path, record: Mapping[str, Any], said: str) -> None:
    """Write failure.txt, one line and then the traceback of the exception that is being handled, into a run's folder.

    Raises:
        ArgumentError: it cannot be written.
    """
    make_folder(run)
    if read_config(run) is None:
        write(run / CONFIG, dumps(record) + "\n")  # so that --resume knows the folder
    write(run / FAILURE, f"{said}\n\n{traceback.format_exc()}")


def in_one_line(error: Exception) -> str:
    """What went wrong, in a line of at most 300 characters.

    >>> in_one_line(ArgumentError("x: got 1,\\n wanted 2")), in_one_line(KeyError("x"))
    ('x: got 1, wanted 2', "KeyError: 'x'")
    """
    name = "" if isinstance(error, ArgumentError) else f"{type(error).__name__}: "
    return (name + " ".join(str(error).split()))[:300]
