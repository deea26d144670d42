"""Types of options: the type of a `Config`'s field gives its range, and `check` refuses what is outside of it.

    @dataclass(frozen=True)
    class Config:
        samples: Count = 400
        rate: Positive = 1e-2
        betas: Annotated[int, AtLeast(3)] = 16

        def __post_init__(self):
            options.check(self)

The range of a tuple holds for each of its entries. `require` checks what depends on several options.
"""

import dataclasses
import math
from typing import Annotated, Any, NamedTuple, get_type_hints

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
    >>> check(Config(0))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: --batch-size: got 0, wanted at least 1
    """
    hints = get_type_hints(type(config), include_extras=True)
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        for rule in getattr(hints[field.name], "__metadata__", ()):
            if isinstance(rule, (AtLeast, Between, Inside)):
                entries = value if isinstance(value, tuple) else (value,)
                require(all(map(rule.holds, entries)), field.name, value, str(rule))


def require(holds: bool, name: str, value: Any, wanted: str) -> None:
    """Raise ArgumentError, worded as for all options, unless something holds of the option `name`.

    >>> require(False, "small_hidden", 30, "at most 24, the most that are summed")
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: --small-hidden: got 30, wanted at most 24, the most that are summed
    """
    if not holds:
        raise ArgumentError(f"--{name.replace('_', '-')}: got {value}, wanted {wanted}")
