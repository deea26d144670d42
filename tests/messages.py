"""All error messages as one text, to be read as a user meets them: `python -m tests.messages [FOLDER ...]`.

A line is where the message is raised, and the message; what is filled in stands in braces.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("ebmjax", "experiments", "benchmarks")
OURS = {"ArgumentError", "ValueError", "TypeError", "RuntimeError"}


def messages(folders: tuple[str, ...] = FOLDERS) -> Iterator[tuple[str, str]]:
    """Where each message is raised, and its text."""
    for path in sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in OURS and node.args:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text(node.args[0])


def text(node: ast.expr) -> str:
    """The text of a string or an f-string; other expressions stand in braces."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return text(node.left) + text(node.right)
    return "{" + ast.unparse(node.value if isinstance(node, ast.FormattedValue) else node) + "}"


if __name__ == "__main__":
    for place, message in messages(tuple(sys.argv[1:]) or FOLDERS):
        print(f"{place}  {message}")
