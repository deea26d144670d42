"""`python -m experiments new NAME [--family F]`: an experiment to start from, its test, and all lines that name it.

What it writes passes all checks as it is. It needs a checkout, and writes nothing at all if anything is refused.
"""

import enum
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Annotated

import tyro

from ebmjax.checks import ArgumentError
from experiments.application.catalogue import EXPERIMENTS
from experiments.application.records import write

TEMPLATES = Path(__file__).with_name("templates")
TITLE = "Draws from two wells, against their exact law"
LONGEST = 30
"""Letters of a name: its line in the catalogue then fits."""
COMMANDS = {"all", "compare", "help", "list", "new"}


class Family(enum.Enum):
    """The rooms that hold experiments."""

    ELLIPSE = "ellipse"
    HORN = "horn"
    SPINS = "spins"
    CODES = "codes"
    NETWORKS = "networks"
    SAMPLERS = "samplers"


@dataclass(frozen=True)
class Options:
    """Options of `new`."""

    name: Annotated[str, tyro.conf.Positional]
    """The name of the experiment and of its module, such as cold_start."""
    family: Family = Family.SAMPLERS
    """The room of the experiment: its folder in experiments/ and in tests/experiments/."""


def main(arguments: Sequence[str]) -> None:
    """Write a new experiment into this checkout, and say what was written and what to do next.

    Raises:
        ArgumentError: a name that is no name, too long or taken; a copy without docs and tests; what cannot be written.
        SystemExit: raised by tyro, with status 0 after --help and 2 after a wrong option.
    """
    chosen = tyro.cli(
        Options,
        args=arguments,
        prog="python -m experiments new",
        description="Writes an experiment to start from, its test, and the lines that name it. It passes all checks.",
        config=(tyro.conf.EnumChoicesFromValues,),
    )
    root = Path(__file__).parents[2]
    files = planned(root, chosen.name, chosen.family.value)
    write_all(files)
    print("\n".join(f"wrote {path.relative_to(root)}" for path in files))
    print(f"next: python -m experiments {chosen.name} --quick")
    print(f"then: python -m pytest -n 0 -m '' tests/experiments/{chosen.family.value}/test_{chosen.name}.py")


def planned(root: Path, name: str, room: str) -> dict[Path, str]:
    """The files of a new experiment with their new content, new ones first; nothing is written.

    Args:
        root: the checkout.
        name, room: of the experiment.

    Raises:
        ArgumentError: see `main`.
    """
    _check(name)
    new = {
        root / f"experiments/{room}/{name}.py": "experiment.txt",
        root / f"tests/experiments/{room}/test_{name}.py": "test.txt",
    }
    shows = TITLE[0].lower() + TITLE[1:]
    edited = {
        root / "experiments/application/catalogue.py": (
            r"(?<=\n)(?=\)\n\nEXPERIMENTS)",
            f'    Experiment("{name}", "{room}", "{TITLE}"),\n',
        ),
        root / f"experiments/{room}/__init__.py": (r'(?!\A)(?=""")', f"\n`{name}`: {shows}.\n"),
        root / "docs/experiments.md": (r"(?<= \|\n)(?!\|)", f"| `{name}` | {shows} |\n"),
        root / "README.md": (r"(?<=the )\d+(?= experiments)", str(len(EXPERIMENTS) + 1)),
    }
    absent = [path for path in edited if not path.is_file()]
    if absent or not (root / "tests/experiments").is_dir():
        raise ArgumentError(f"new: got a copy in {root} without docs and tests, wanted a checkout of the repository")
    taken = [path for path in [*(root / "experiments").glob(f"*/{name}.py"), *new] if path.exists()]
    if taken:
        raise ArgumentError(
            f"NAME: got {name!r}, wanted a name whose file does not exist: {taken[0].relative_to(root)}"
        )
    texts = {path: (TEMPLATES / template).read_text(encoding="utf-8") for path, template in new.items()}
    files = {path: Template(text).substitute(name=name, room=room, title=TITLE) for path, text in texts.items()}
    for path, (place, line) in edited.items():
        before = path.read_text(encoding="utf-8")
        files[path], places = re.subn(place, line, before, count=1)
        if not places:
            raise ArgumentError(
                f"{path.relative_to(root)}: got no place for a new experiment, wanted that of the repository"
            )
    return files


def write_all(files: dict[Path, str]) -> None:
    """Write all files, or none: what was written is taken back where one cannot be.

    Raises:
        ArgumentError: a file cannot be written.
    """
    before = {path: path.read_bytes() if path.exists() else None for path in files}
    written = []
    try:
        for path, text in files.items():
            if before[path] is None:
                path.parent.mkdir(parents=True, exist_ok=True)
            write(path, text)
            written.append(path)
    except (ArgumentError, OSError) as error:
        for path in written:
            old = before[path]
            path.unlink() if old is None else path.write_bytes(old)
        raise ArgumentError(str(error)) from error


def _check(name: str) -> None:
    wanted = f"a name of a-z, 0-9 and _ that begins with a letter, with at most {LONGEST} of them"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > LONGEST:
        raise ArgumentError(f"NAME: got {name!r}, wanted {wanted}")
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ArgumentError(f"NAME: got {name!r}, a word of Python's own, wanted {wanted}")
    if name in EXPERIMENTS or name in COMMANDS:
        raise ArgumentError(f"NAME: got {name!r}, which is taken, wanted a new name")
