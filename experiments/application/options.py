"""Types of options: the type of a `Config`'s field gives its range, and `check` refuses what is outside of it.

    @dataclass(frozen=True)
    class Config:
        samples: Count = 400
        rate: Positive = 1e-2
        betas: Annotated[int, AtLeast(3)] = 16
        sizes: tuple[Count, ...] = (8, 8)
        atoms: Count | None = None

        def __post_init__(self):
            options.check(self)

A range of a tuple holds for each of its entries, and None has no range. What depends on two options is said by
`require`.
"""

import dataclasses
import math
import os
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints

from ebmjax.checks import ArgumentError


class AtLeast(NamedTuple):
    """A finite number, at least `least`."""

    least: float

    def holds(self, value: float) -> bool:
        """Whether the value is in range."""
        return self.least <= value < math.inf

    def __str__(self) -> str:
        return f"at least {_written(self.least)}"


class Between(NamedTuple):
    """A number from `low` to `high`, both allowed."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the value is in range."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"a number from {_written(self.low)} to {_written(self.high)}"


class Inside(NamedTuple):
    """A number between `low` and `high`, neither of them allowed."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the value is in range."""
        return self.low < value < self.high

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"a finite number above {_written(self.low)}"
        return f"a number between {_written(self.low)} and {_written(self.high)}"


Count = Annotated[int, AtLeast(1)]
"""A number of things or steps."""

Positive = Annotated[float, Inside(0, math.inf)]
"""A finite number above 0, such as a rate, a width or a weight."""

NotNegative = Annotated[float, AtLeast(0)]
"""A finite number, 0 or above, such as a weight."""

Share = Annotated[float, Between(0, 1)]
"""A number from 0 to 1."""


def _written(limit: float) -> str:
    return f"{limit:.10g}"  # all digits of the largest seed


def check(config: Any) -> None:
    """Raise ArgumentError for the first field of a `Config` outside the range of its type.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...     batch_size: Count = 1
    ...     hidden: tuple[Count, ...] = (8,)
    ...     atoms: Count | None = None
    >>> check(Config(0))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: --batch-size: got 0, wanted at least 1
    >>> check(Config(hidden=(8, 0)))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: --hidden: got (8, 0), wanted at least 1
    """
    hints = get_type_hints(type(config), include_extras=True)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        entries = value if isinstance(value, tuple) else () if value is None else (value,)
        for rule in _rules(hints[field.name]):
            require(all(map(rule.holds, entries)), field.name, value, str(rule))


def at_home(config: Any) -> Any:
    """The same options, with the home folder for `~` at the start of every path, which not every shell puts there.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Config:
    ...     data: Path = Path("~/points.csv")
    >>> at_home(Config()).data == Path.home() / "points.csv"
    True
    """
    changed = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if isinstance(value, Path):
            changed[field.name] = Path(os.path.expanduser(value))
        elif dataclasses.is_dataclass(value):
            changed[field.name] = at_home(value)
    return dataclasses.replace(config, **changed)


def _rules(hint: Any) -> list[AtLeast | Between | Inside]:
    """The ranges of a type, those of the entries of a tuple and of the parts of a union among them."""
    own = [rule for rule in getattr(hint, "__metadata__", ()) if isinstance(rule, (AtLeast, Between, Inside))]
    return own + [rule for part in get_args(hint) for rule in _rules(part)]


def require(holds: bool, name: str, value: Any, wanted: str) -> None:
    """Raise ArgumentError, worded as for all options, unless something holds of the option `name`.

    >>> require(False, "small_hidden", 30, "at most 24, the most that are summed")
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: --small-hidden: got 30, wanted at most 24, the most that are summed
    """
    if not holds:
        raise ArgumentError(f"--{name.replace('_', '-')}: got {value}, wanted {wanted}")
