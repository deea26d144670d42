"""What a record shows of itself: a `repr` that fits a screen, and a `help` of its fields.

Records are NamedTuples. As such, `print` would write out all numbers of all arrays, and `help` the sixty lines of the
methods of a tuple, without a word about the fields. `record` decorates the class:

    @record
    class Trained(NamedTuple):
        \"\"\"What `train` returns.\"\"\"

        params: Any
        \"\"\"The last finite parameters.\"\"\"

It remains the tuple that it was, for JAX and for Python.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import jax
import jax.core
import numpy as np

R = TypeVar("R")

_WIDTH, _LINES, _ENTRIES, _NUMBERS = 110, 40, 12, 8
_OF_EVERY_RECORD = frozenset(NamedTuple("_Blank", [("field", int)]).__dict__) | {"__orig_bases__"}


class _RecordType(type):
    """The class of the classes of records. What `help` shows of a class is its docstring and what `dir` lists."""

    def __dir__(cls) -> list[str]:
        return [name for name in vars(cls) if name not in _OF_EVERY_RECORD or name in vars(cls)["_fields"]]

    @property
    def __doc__(cls) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The docstring of the class, then each field with its type, its default and the string below it."""
        own = inspect.cleandoc(vars(cls).get("__doc__") or "")
        return own + "\n\nFields:\n" + "\n".join(_told_fields(cls))


def record(cls: type[R]) -> type[R]:
    """The same NamedTuple, with a short `repr` and a `help` that says what its fields are.

    >>> @record
    ... class Point(NamedTuple):
    ...     place: Any
    ...     height: float = 0.0
    >>> Point(jax.numpy.ones((1000, 3)))
    Point(place=float32[1000,3], height=0.0)
    >>> dir(Point), Point(1).height
    (['height', 'place'], 0.0)
    """
    inside = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    inside.setdefault("__slots__", ())
    if "__repr__" not in vars(cls) or vars(cls)["__repr__"].__module__ != cls.__module__:
        inside["__repr__"] = brief
    made: Any = _RecordType(cls.__name__, cls.__bases__, inside)
    made.__qualname__ = cls.__qualname__
    return made


def brief(value: Any) -> str:
    """The text of a record, or of any pytree, on one screen: large arrays by their dtypes and shapes.

    >>> brief({"weights": jax.numpy.ones((784, 64)), "rate": 0.1})
    "{'weights': float32[784,64], 'rate': 0.1}"
    """
    lines = _lines(value, "", "")
    return "\n".join(lines if len(lines) <= _LINES else [*lines[: _LINES - 1], "…"])


def _lines(value: Any, before: str, after: str) -> list[str]:
    """The lines of a value, with a text before the first and one after the last."""
    opening, entries, closing = _parts(value)
    flat = before + opening + ", ".join(name + " ".join(_lines(entry, "", "")) for name, entry in entries) + closing
    if not entries or (len(flat) + len(after) <= _WIDTH and "\n" not in flat):
        return [flat + after]
    inner = [line for name, entry in entries for line in _lines(entry, name, ",")]
    return [before + opening, *(f"    {line}" for line in inner), closing + after]


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """What opens a value, its named entries, and what closes it."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = zip(getattr(value, "_fields"), value, strict=True)  # noqa: B009
        return f"{type(value).__name__}(", [(f"{name}=", entry) for name, entry in fields], ")"
    if type(value) is dict:
        return "{", _some([(f"{name!r}: ", entry) for name, entry in value.items()]), "}"
    if type(value) in (list, tuple):
        opening, closing = "[]" if type(value) is list else ("(", ",)" if len(value) == 1 else ")")
        return opening, _some([("", entry) for entry in value]), closing
    return _leaf(value), [], ""


def _some(entries: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    more = len(entries) - _ENTRIES
    return entries if more <= 0 else [*entries[:_ENTRIES], (f"… {more} more", _Nothing())]


class _Nothing:
    def __repr__(self) -> str:
        return ""


def _leaf(value: Any) -> str:
    is_array = isinstance(value, jax.Array | np.ndarray) and not isinstance(value, jax.core.Tracer)
    if is_array and value.size > _NUMBERS:
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    text = repr(value)
    if "\n" not in text and len(text) <= _WIDTH:
        return text
    if isinstance(value, Mapping) or jax.tree_util.all_leaves([value]):
        return f"{' '.join(text.split())[: _WIDTH - 2]} …"
    numbers = sum(getattr(leaf, "size", 1) for leaf in jax.tree.leaves(value))
    return f"{type(value).__name__}(… {numbers:,} numbers)"


def _told_fields(cls: Any) -> Iterator[str]:
    strings = _strings_below_fields(cls)
    hints = vars(cls).get("__annotations__", {})
    for name in vars(cls)["_fields"]:
        default = f" = {vars(cls)['_field_defaults'][name]!r}" if name in vars(cls)["_field_defaults"] else ""
        hint = hints.get(name, Any)
        written, string = strings.get(
            name, (hint if isinstance(hint, str) else getattr(hint, "__name__", str(hint)), "")
        )
        yield f"    {name}: {written}{default}"
        if string:
            yield textwrap.indent(inspect.cleandoc(string), " " * 8)


def _strings_below_fields(cls: Any) -> dict[str, tuple[str, str]]:
    """The type of each field as it is written, and the string below it; nothing where there is no source."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)).body
    found = {}
    for node, below in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            is_string = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            text = below.value.value if is_string and isinstance(below.value.value, str) else ""  # pyright: ignore
            found[node.target.id] = (ast.unparse(node.annotation), text)
    return found
