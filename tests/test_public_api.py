"""The public interface as a table: every signature, every record and its fields.

`tests/public_api.txt` is its golden file, so that a change of the interface is seen in review. After a change on
purpose, `python -m tests.test_public_api` writes the table anew.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1] / "ebmjax"
TABLE = Path(__file__).with_name("public_api.txt")


def lines():
    """One line a module, and one for each public function, class and field in it."""
    for path in sorted(ROOT.rglob("*.py")):
        rows = list(rows_of(ast.parse(path.read_text())))
        if path.name != "__init__.py" and rows:
            yield f"ebmjax.{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}"
            yield from (f"    {row}" for row in rows)


def rows_of(tree):
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield signature(node)
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            fields = [item for item in node.body if isinstance(item, ast.AnnAssign)]
            yield f"class {node.name}({', '.join(ast.unparse(base) for base in node.bases)})"
            yield from (f"    {ast.unparse(item)}" for item in fields)
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and (not item.name.startswith("_") or item.name == "__call__"):
                    yield f"    {signature(item)}"


def signature(node):
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({ast.unparse(node.args)}){returns}"


def test_the_public_interface_is_that_of_the_table():
    assert "\n".join(lines()) + "\n" == TABLE.read_text(), "the interface changed: python -m tests.test_public_api"


if __name__ == "__main__":
    TABLE.write_text("\n".join(lines()) + "\n")
