"""The command line: `python -m experiments list | NAME [options] | all [options] | compare RUN RUN`.

With no name, the flagship runs.

The experiments stand in `catalogue`. Each is a module with a frozen dataclass `Config` (its options), `QUICK` (a
`Config` for a run of under 20 s) and `run(config, report)`. Only the modules that are asked for are imported.

The exit status is 0 after success, 1 if an experiment of `all` failed, 2 for an error that the user can correct, 130
after an interruption, and 143 after SIGTERM. Tyro prints what is wrong with an option, in a box on standard error; it
treats every ValueError of a `Config` in this way. Every other `ArgumentError` becomes one line there. All other
exceptions are bugs and keep their tracebacks; `all` writes them into the folder of the run.
"""

import difflib
import importlib
import os
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Generic, TypeVar

import jax
import tyro

from ebmjax.checks import ArgumentError
from experiments.application import (
    comparison,
    compilation_cache,
    events,
    everything,
    gallery,
    interruptions,
    new,
    options,
    processes,
)
from experiments.application.catalogue import EXPERIMENTS, FLAGSHIP
from experiments.application.console import Reporter
from experiments.application.formatting import number
from experiments.application.records import PAGE, is_finished
from experiments.application.report import Report, config_record
from experiments.application.streams import forgiving
from experiments.drawing import plots

C = TypeVar("C")

# With this flag jax 0.10 compiles a nest of small loops to one kernel, as jax 0.12 does by default. XLA reads its flags
# once, before the first compilation of the process.
ONE_KERNEL = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000000"

# A quick run compiles for longer than it computes. Without optimization it compiles in half the time or less. On a CPU
# jax 0.10 has two generators of the code of fused loops, of which the older one is quicker; other versions of jax do
# not know this flag, and would stop.
QUICKLY_COMPILED = ("--xla_backend_optimization_level=0",) + (
    ("--xla_cpu_use_fusion_emitters=false",) if jax.__version_info__[:2] == (0, 10) else ()
)


@dataclass(frozen=True)
class Common:
    """Options of every experiment."""

    out: Path
    """Output folder. It must be new or empty, unless --resume or --overwrite is given."""
    seed: Annotated[int, options.Between(0, 2**32 - 1)] = 0
    """Seed of all random numbers."""
    quick: bool = False
    """Run a small version that takes less than 20 s: the experiment's own options have other defaults, and programs are
    compiled without optimization, which takes longer than they run."""
    resume: bool = False
    """Continue an unfinished run of the same configuration in the output folder, from its last checkpoint if it saved
    one. A finished run is left as it is."""
    overwrite: bool = False
    """Replace the files of an earlier run in the output folder. Other files there are kept."""
    tensorboard: bool = False
    """Write the metrics for TensorBoard too, in the folder `tensorboard` of the run (extra `tensorboard`)."""
    processes: Annotated[int, options.Between(1, 1024)] = 1
    """Processes on this machine, which share the members of the sweeps of the experiment."""

    def __post_init__(self):
        options.check(self)
        if self.resume and self.overwrite:
            raise ArgumentError("--resume and --overwrite: got both, wanted at most one of them")


@dataclass(frozen=True)
class _Options(Generic[C]):
    """The options of one experiment, on one flat command line; --help prints the two fields as groups."""

    experiment: C
    common: Common


@dataclass(frozen=True)
class _Job:
    """One experiment, ready to run."""

    name: str
    module: ModuleType = field(repr=False)
    config: Any
    folder: Path
    above: str = ""
    """The page that shows the run among others, from its report."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with these arguments (default: those of the process).

    Returns:
        The exit status.

    Raises:
        SystemExit: raised by tyro, with status 0 after --help and 2 after a wrong option.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if "--quick" in arguments or (arguments[:1] == ["all"] and "--full" not in arguments):
        for flag in QUICKLY_COMPILED:
            _ask_compiler(flag)
    with forgiving(), interruptions.raised():
        try:
            processes.join()
            return _dispatch(arguments)
        except (KeyboardInterrupt, interruptions.Terminated) as error:
            asked = isinstance(error, interruptions.Terminated)
            why = "terminated" if asked else "interrupted"
            print(f"{why}: --resume continues the run, from its last checkpoint if it saved one", file=sys.stderr)
            return interruptions.STATUS if asked else 130
        except ArgumentError as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            return 2


def _dispatch(arguments: list[str]) -> int:
    if arguments[:1] in (["--help"], ["-h"], ["help"]):
        print(_usage())
        return 0
    named = bool(arguments) and not arguments[0].startswith("-")
    name, rest = (arguments[0], arguments[1:]) if named else (FLAGSHIP, arguments)
    if name == "list":
        if rest:
            raise ArgumentError(f"list: got {' '.join(rest)}, wanted no options")
        print(_listing())
    elif name == "all":
        return _run_all(rest)
    elif name == "compare":
        default = comparison.Options((), _default_folder("compare"))
        print(f"page: {comparison.compare(_parse(name, rest, comparison.DESCRIPTION, comparison.Options, default))}")
    elif name == "new":
        new.main(rest)
    elif name in EXPERIMENTS:
        return _run_one(name, rest)
    else:
        near = difflib.get_close_matches(name.replace("-", "_"), [*EXPERIMENTS, "list", "all", "compare", "new"], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ArgumentError(
            f"NAME: got {name!r}, wanted the name of an experiment{hint} (`python -m experiments list` shows all names)"
        )
    return 0


def _run_one(name: str, arguments: list[str]) -> int:
    experiment = EXPERIMENTS[name]
    if experiment.small_loops:
        _ask_compiler(ONE_KERNEL)
    module = importlib.import_module(experiment.module_name)
    # The defaults must be known before the options are parsed, and they depend on --quick.
    default = module.QUICK if "--quick" in arguments else tyro.MISSING_NONPROP
    defaults = _Options(default, Common(_default_folder(name)))
    chosen = _parse(name, arguments, experiment.title, _Options[module.Config], defaults)
    common = chosen.common
    with processes.folder(common.out) as out:
        if not processes.is_first():
            common = replace(common, out=out, resume=False, overwrite=False)
        for job in _unfinished([_Job(name, module, chosen.experiment, out)], common):
            if common.processes > 1 and not processes.is_one_of_several():
                return processes.run([name, *arguments, "--out", str(out)], common.processes)
            _perform(job, common, Reporter())
    return 0


def _ask_compiler(flag: str) -> None:
    """Add a flag to those of the environment, unless the user has given it another value there."""
    flags = os.environ.get("XLA_FLAGS", "")
    if flag.partition("=")[0] not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {flag}".strip()


def _run_all(arguments: list[str]) -> int:
    chosen = _parse(
        "all", arguments, everything.DESCRIPTION, everything.Options, everything.Options(_default_folder("all"))
    )
    common = Common(
        chosen.out, chosen.seed, not chosen.full, chosen.resume, chosen.overwrite, tensorboard=chosen.tensorboard
    )
    shown = [experiment for experiment in EXPERIMENTS.values() if not experiment.needs_data]
    jobs = []
    for name in [experiment.name for experiment in shown]:
        module = importlib.import_module(EXPERIMENTS[name].module_name)
        config = module.QUICK if common.quick else module.Config()
        jobs.append(_Job(name, module, config, common.out / name, f"../{gallery.INDEX}"))
    if not (common.resume or common.overwrite):
        is_finished(common.out, {}, overwrite=False, resume=False)  # refuses a folder with anything in it
    left = {job.name: partial(_perform, job, common) for job in _unfinished(jobs, common)}
    records = {job.name: config_record(job.name, job.config, common.seed, common.quick) for job in jobs}
    failed = everything.run_all(common.out, shown, left, records, chosen.command())
    print(f"page: {common.out / gallery.INDEX}", flush=True)
    if failed:
        print(f"{len(failed)} of {len(left)} failed: {', '.join(failed)}; --resume tries them again", file=sys.stderr)
    return 1 if failed else 0


def _unfinished(jobs: Sequence[_Job], common: Common) -> list[_Job]:
    """The runs that are to be done; the others are told to be finished."""
    if common.tensorboard:
        events.require()
    # All folders are checked before the first run, so that none is refused after an hour of work.
    finished = {
        job.name: is_finished(
            job.folder, config_record(job.name, job.config, common.seed, common.quick), common.overwrite, common.resume
        )
        for job in jobs
    }
    compilation_cache.enable()
    for job in jobs:
        if finished[job.name]:
            print(f"{job.name}: this run is finished already, see {job.folder / PAGE}")
    return [job for job in jobs if not finished[job.name]]


def _perform(job: _Job, common: Common, reporter: Reporter) -> None:
    report = Report(job.folder, job.name, job.config, common.seed, common.quick, job.module, common.resume, reporter)
    report.above = job.above
    report.progress(f"{job.name}: {EXPERIMENTS[job.name].title}")
    try:
        followed = events.following(report) if common.tensorboard else nullcontext()
        with plots.house_style(), report.running(), followed:
            job.module.run(job.config, report)
        results = report.finish()
    except BaseException:
        report.discard()
        raise
    headline = {key: value for key, value in results.items() if key not in Report.RESERVED}
    width = max(map(len, headline), default=0)
    for key, value in headline.items():
        print(f"  {key.ljust(width)}  {number(value)}")
    print(f"compiled in {results['seconds_compile']:.1f} s, ran in {results['seconds_run']:.1f} s")
    print(f"report: {job.folder / PAGE}", flush=True)


def _default_folder(name: str) -> Path:
    return Path("results") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _parse(name: str, arguments: list[str], description: str, kind: type[C], default: C) -> C:
    """The options of one command line, as an instance of the dataclass `kind`.

    Raises:
        SystemExit: with status 0 after --help; with status 2, and tyro's message on standard error, for an option that
            does not exist, or a value that tyro or the dataclass refuses.
    """
    chosen = tyro.cli(
        kind,
        default=default,
        args=arguments,
        prog=f"python -m experiments {name}",
        description=description,
        config=(
            tyro.conf.OmitArgPrefixes,
            tyro.conf.FlagCreatePairsOff,
            tyro.conf.EnumChoicesFromValues,
        ),
    )
    return options.at_home(chosen)


def _listing() -> str:
    width = max(map(len, EXPERIMENTS))
    return "\n".join(f"{name.ljust(width)}  {experiment.title}" for name, experiment in EXPERIMENTS.items())


def _usage() -> str:
    return (
        "usage: python -m experiments [NAME] [options]\n"
        f"       python -m experiments                  runs {FLAGSHIP}\n"
        "       python -m experiments list             lists the experiments\n"
        "       python -m experiments NAME --help      explains the options of an experiment\n"
        "       python -m experiments all              runs all that need no data file, small or --full, on one page\n"
        "       python -m experiments compare RUN RUN  lays the folders of runs side by side on one page\n"
        "       python -m experiments new NAME         writes an experiment of your own to start from, with its test\n"
        "\nexperiments:\n" + "\n".join(f"  {line}" for line in _listing().splitlines())
    )
