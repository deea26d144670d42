"""The command line: `python -m experiments list | NAME [options] | all [options]`; with no name, the flagship.

Each experiment is a module of this package with a frozen dataclass `Config` (its options), `QUICK` (a `Config` that
runs in under 20 s) and `run(config, report)`. Only the module that is asked for is imported.

Exit status: 0 done, 2 for what the user can put right (one line on standard error), 130 interrupted. A bug keeps its
traceback.
"""

import contextlib
import difflib
import dis
import importlib
import io
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

import tyro

from experiments.application import compilation_cache
from experiments.application.formatting import number
from experiments.application.records import PAGE, UserError, is_finished
from experiments.application.report import Report, config_record
from experiments.drawing import plots

C = TypeVar("C")

FLAGSHIP = "horn_sweep"

EXPERIMENTS: dict[str, str] = {
    "ellipse_inference": "Free energies of the ellipse, from cold to hot",
    "ellipse_training": "Training the ellipse at zero temperature, by marginalization, and with contrasting samples",
    "horn_data": "The horn's training set",
    "horn": "The horn before and after training",
    "horn_generalized": "A horn that has to find the circle itself",
    "latent_collapse": "Too large a latent variable makes every energy zero, and a regularizer that keeps it from it",
    "horn_sweep": "Horns trained at 16 temperatures, from 16 seeds each, in one compiled call",
    "coins": "Ellipses fitted to the contours of a picture of coins",
    "hopfield_recall": "Pictures of digits recalled by Hopfield networks under three rules",
    "hopfield_capacity": "How many patterns a Hopfield network holds: loads, sizes and rules",
    "hopfield_spurious": "All attractors of small Hopfield networks, and how learning removes the spurious ones",
    "boltzmann_annealing": "Spin glasses cooled at once, slowly, and by parallel tempering",
    "boltzmann_learning": "Boltzmann machines that learn by the exact likelihood, from samples, and without either",
    "sampler_walk": "Five samplers walk over five wells: paths, acceptance, effective samples per second",
    "rbm": "Restricted Boltzmann machines by CD-1, CD-k and persistent chains, with their exact likelihood",
    "dbm": "A deep Boltzmann machine of pictures: pretrained layer by layer, then learned as one",
    "label_completion": "One machine of pictures and labels draws, classifies and completes digits",
    "natural_patches": "What natural pictures are made of: a dictionary of patches, and its Gabor functions",
    "million_patches": "A million patches of natural pictures, coded in little memory",
    "sparse_mnist": "Digits as sums of strokes: sparse codes of pictures, and what the weight of sparsity costs",
    "few_labels": "Few labels: do features that were learned without any help a classifier?",
    "lista": "Learned sparse inference: LISTA and what came of it, against ISTA, FISTA and coordinate descent",
    "convolutional_filters": "Convolutional kernels of natural pictures: 1, 4, 8 and 16, decoders and encoders",
    "convolutional_color": "Coloured kernels of natural pictures, and their sparse maps",
    "vae": "Variational autoencoders: pictures, bounds, and log-likelihoods by importance sampling",
    "neural_density": "A network as an energy: densities of the plane, learned by losses that never see Z",
    "composition": "Learned energies composed: and, or, not, and the path between them, against exact densities",
    "neural_digits": "Langevin chains of a neural energy draw and complete digits, and it tells them from clothes",
    "fuzzy_balls": "Fuzzy balls on springs: what noise, a spring and a control of size make of a code",
    "fit": "An ellipse or a horn fitted to your own points (--data FILE.csv)",
}

ROOMS = {
    "ellipse": ("ellipse_inference", "ellipse_training", "latent_collapse", "coins", "fit"),
    "horn": ("horn_data", "horn", "horn_generalized", "horn_sweep"),
    "spins": (
        "hopfield_recall",
        "hopfield_capacity",
        "hopfield_spurious",
        "boltzmann_annealing",
        "boltzmann_learning",
        "rbm",
        "dbm",
        "label_completion",
    ),
    "codes": (
        "natural_patches",
        "million_patches",
        "sparse_mnist",
        "few_labels",
        "lista",
        "convolutional_filters",
        "convolutional_color",
    ),
    "networks": ("sampler_walk", "vae", "neural_density", "composition", "neural_digits", "fuzzy_balls"),
}
"""The folder of each experiment's module."""


def module_name(name: str) -> str:
    """Where an experiment's module is, such as `experiments.horn.horn_sweep`."""
    room = next(room for room, names in ROOMS.items() if name in names)
    return f"experiments.{room}.{name}"


# What codes patches one by one. With this flag jax 0.10 makes one kernel of a nest of loops, as jax 0.12 does without;
# it counts only where nothing has been compiled yet.
SMALL_LOOPS = ("natural_patches", "million_patches", "sparse_mnist", "few_labels")
ONE_KERNEL = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000000"

# What `all` leaves out: an experiment on the user's own file cannot be run without one.
NEEDS_DATA = ("fit",)


@dataclass(frozen=True)
class Common:
    """Options of every experiment."""

    out: Path
    """Output folder. One that is not empty is refused."""
    seed: int = 0
    """Seed of every random number."""
    quick: bool = False
    """A small run of under 20 s: changes the defaults of the experiment's own options."""
    resume: bool = False
    """Complete the run in the output folder, if it is the same one, from its last checkpoint if it saved one.
    Nothing to do if it is finished."""
    overwrite: bool = False
    """Replace the files of an earlier run in the output folder; other files there stay."""

    def __post_init__(self):
        if not 0 <= self.seed < 2**32:
            raise UserError(f"--seed is {self.seed}, expected a whole number from 0 to 4294967295")
        if self.resume and self.overwrite:
            raise UserError("--resume and --overwrite exclude each other: expected at most one of them")


@dataclass(frozen=True)
class _Options(Generic[C]):
    """One flat command line; the names of its two parts head the groups of --help."""

    experiment: C
    common: Common


@dataclass(frozen=True)
class _Job:
    """One experiment, ready to run."""

    name: str
    module: ModuleType = field(repr=False)
    config: Any
    folder: Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with these arguments (default: the process's own).

    Returns:
        The exit status.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        _dispatch(arguments)
    except KeyboardInterrupt:
        print("interrupted: --resume completes the run, from its last checkpoint if it saved one", file=sys.stderr)
        return 130
    except (ValueError, TypeError) as error:
        if not _is_for_the_user(error):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _dispatch(arguments: list[str]) -> None:
    if arguments[:1] in (["--help"], ["-h"], ["help"]):
        print(_usage())
        return
    named = bool(arguments) and not arguments[0].startswith("-")
    name, options = (arguments[0], arguments[1:]) if named else (FLAGSHIP, arguments)
    if name == "list":
        if options:
            raise UserError(f"`list` takes no options, got {' '.join(options)}")
        print(_listing())
    elif name == "all":
        _run_all(options)
    elif name in EXPERIMENTS:
        _run_one(name, options)
    else:
        near = difflib.get_close_matches(name.replace("-", "_"), [*EXPERIMENTS, "list", "all"], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"unknown experiment {name!r}{hint} (`python -m experiments list` names them all)")


def _run_one(name: str, options: list[str]) -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    if name in SMALL_LOOPS and "xla_backend_extra_options" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {ONE_KERNEL}".strip()
    module = importlib.import_module(module_name(name))
    # The defaults must be known before the options are parsed, and --quick is what decides about them.
    default = module.QUICK if "--quick" in options else tyro.MISSING_NONPROP
    defaults = _Options(default, Common(_default_folder(name)))
    chosen = _parse(name, options, EXPERIMENTS[name], _Options[module.Config], defaults)
    _run([_Job(name, module, chosen.experiment, chosen.common.out)], chosen.common)


def _run_all(options: list[str]) -> None:
    description = "Every experiment but `fit`, one after another, each into OUT/NAME; stops at the first that fails"
    common = _parse("all", options, description, Common, Common(_default_folder("all")))
    jobs = []
    for name in EXPERIMENTS:
        if name not in NEEDS_DATA:
            module = importlib.import_module(module_name(name))
            jobs.append(_Job(name, module, module.QUICK if common.quick else module.Config(), common.out / name))
    if not (common.resume or common.overwrite):
        is_finished(common.out, {}, overwrite=False, resume=False)  # refuses a folder with anything in it
    _run(jobs, common)


def _run(jobs: Sequence[_Job], common: Common) -> None:
    # Every folder is judged before the first run begins: an hour of work must not end in a refusal.
    finished = {
        job.name: is_finished(
            job.folder, config_record(job.name, job.config, common.seed, common.quick), common.overwrite, common.resume
        )
        for job in jobs
    }
    compilation_cache.enable()
    for job in jobs:
        if finished[job.name]:
            print(f"{job.name}: finished already, see {job.folder / PAGE}")
        else:
            _perform(job, common)


def _perform(job: _Job, common: Common) -> None:
    title = EXPERIMENTS[job.name]
    report = Report(job.folder, job.name, job.config, common.seed, common.quick, job.module, common.resume)
    report.progress(f"{job.name}: {title}")
    try:
        with plots.house_style(), report.running():
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


def _parse(name: str, options: list[str], description: str, kind: type[C], default: C) -> C:
    """The options of one command line, as an instance of the dataclass `kind`.

    Raises:
        UserError: an option that does not exist, or a value that does not fit.
        SystemExit: with status 0, after --help.
    """
    # Tyro draws its complaints in a box on standard error, in ASCII where the stream's encoding is unknown.
    complaint = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(
                kind,
                default=default,
                args=options,
                prog=f"python -m experiments {name}",
                description=description,
                config=(
                    tyro.conf.OmitArgPrefixes,
                    tyro.conf.FlagCreatePairsOff,
                    tyro.conf.EnumChoicesFromValues,
                ),
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        complaint.seek(0)
        raise UserError(f"{name}: {_one_line(complaint.read())}") from None


def _one_line(box: str) -> str:
    """Tyro's complaint, several lines in a drawn box, as one line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", box)
    lines = [line.strip("│|╭╮╰╯ \t") for line in text.splitlines()]
    sections: list[list[str]] = [[]]
    for line in lines:
        if not line.strip("─-"):  # a rule between sections
            sections.append([])
        elif "─" not in line:  # the box's frame, with its title
            sections[-1].append(line)
    said = []
    for section in sections:
        text = re.sub(r"^Error parsing ((experiment|common): )?", "", " ".join(section))
        if text.startswith("Argument helptext:"):
            said.append(f"expected {section[1]}")
        elif text and not text.startswith("For full helptext"):
            said.append(text.rstrip("."))
    return f"{'; '.join(said)} (see --help)"


def _is_for_the_user(error: BaseException) -> bool:
    """Whether an error was raised on purpose, by a check of ours: then its message is all that the user needs.

    The innermost frame tells: our own code, stopped at a `raise`. The same ValueError out of numpy or JAX is a bug.
    """
    if isinstance(error, UserError):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_globals.get("__name__", "").split(".")[0] not in ("ebmjax", "experiments"):
        return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]


def _listing() -> str:
    width = max(map(len, EXPERIMENTS))
    return "\n".join(f"{name.ljust(width)}  {description}" for name, description in EXPERIMENTS.items())


def _usage() -> str:
    return (
        "usage: python -m experiments [NAME] [options]\n"
        f"       python -m experiments                  the flagship, {FLAGSHIP}\n"
        "       python -m experiments list             what there is\n"
        "       python -m experiments NAME --help      the options of one experiment\n"
        "       python -m experiments all              all of them, each into OUT/NAME\n"
        "\nexperiments:\n" + "\n".join(f"  {line}" for line in _listing().splitlines())
    )
