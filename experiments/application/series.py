"""The lines of metrics.jsonl as curves: which numbers belong together, and over what they are drawn."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

PLACES = ("step", "update", "epoch", "sweep", "beta")
"""The fields that say where on its curve a line is; the first of them that it has counts."""
LONGEST = 16
"""The longest list whose entries become curves; longer ones are left out."""
NOT_FINITE = ("nan", "inf", "-inf")


class Point(NamedTuple):
    """One line of metrics.jsonl."""

    curve: str
    """Its words, such as the name of a training: lines with the same ones are one curve. Empty if it has none."""
    place: float
    """Where it is on the curve."""
    axis: str
    """The name of that field; `line` where the lines are counted."""
    values: dict[str, float]
    """The other numbers by their names; `name/0`, `name/key` for those of lists and dictionaries."""


def reader() -> Callable[[Mapping[str, Any]], Point]:
    """A function that turns lines, in their order, into points.

    A line without a place has its number within the curve, from 0. Where places do not rise any more, because the next
    of several trainings begins, a new curve begins, with a number after its name.

    >>> read = reader()
    >>> read({"training": "cold", "step": 5, "loss": {"a": 1.5}})
    Point(curve='cold', place=5.0, axis='step', values={'loss/a': 1.5})
    >>> read({"training": "cold", "step": 1, "loss": "inf"}).curve
    'cold (2)'
    >>> read({"loss": [1, 2]})
    Point(curve='', place=0.0, axis='line', values={'loss/0': 1.0, 'loss/1': 2.0})
    """
    lengths: dict[str, int] = {}
    last: dict[str, float] = {}
    begun: dict[str, int] = {}

    def read(line: Mapping[str, Any]) -> Point:
        words = [value for value in line.values() if isinstance(value, str) and value not in NOT_FINITE]
        curve = ", ".join(words)
        values = numbers({name: value for name, value in line.items() if value not in words})
        axis = next((name for name in PLACES if name in values), "line")
        lengths[curve] = lengths.get(curve, -1) + 1
        place = values.pop(axis, float(lengths[curve]))
        if not place > last.get(curve, -math.inf):
            begun[curve] = begun.get(curve, 1) + 1
        last[curve] = place
        number = begun.get(curve, 1)
        return Point(f"{curve} ({number})".strip() if number > 1 else curve, place, axis, values)

    return read


def numbers(tree: Any, name: str = "") -> dict[str, float]:
    """All single numbers of nested dictionaries and short lists, by their names.

    >>> numbers({"a": 1, "b": {"c": ["nan", 2.5]}, "d": True, "e": None, "f": "word"})
    {'a': 1.0, 'b/c/0': nan, 'b/c/1': 2.5}
    """
    if isinstance(tree, int | float) and not isinstance(tree, bool):
        return {name: float(tree)}
    if isinstance(tree, str) and tree in NOT_FINITE:
        return {name: float(tree)}
    if isinstance(tree, Mapping):
        items = tree.items()
    elif isinstance(tree, list) and len(tree) <= LONGEST:
        items = enumerate(tree)
    else:
        return {}
    found: dict[str, float] = {}
    for key, value in items:
        found |= numbers(value, f"{name}/{key}" if name else str(key))
    return found
