"""A file imports only what stands above it in the design's list."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "ebmjax"
ORDER = [
    "types",
    "checks",
    "numerics",
    "temperature",
    "loops",
    "random_bits",
    "gaussian",
    "networks",
    "energies",
    "minimize",
    "marginalize",
    "sample",
    "losses",
    "learn",
    "diagnostics",
    "problems",
]
FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py")


def place(module: str) -> int:
    """Where a module (`a/b/c`, below the package) stands in the list."""
    return next(i for i, name in enumerate(ORDER) if module == name or module.startswith(name + "/"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_upwards(path):
    module = str(path.relative_to(ROOT).with_suffix(""))
    for name in imported(path):
        below = name.removeprefix("ebmjax.").replace(".", "/")
        if not name.startswith("ebmjax.") or not (ROOT / f"{below}.py").exists():
            continue
        same_folder = place(below) == place(module)
        assert place(below) < place(module) or same_folder, f"{module} imports {below}, which stands below it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_flax_and_outsiders_stay_out(path):
    allowed = {"ebmjax", "jax", "jaxtyping", "numpy", "optax", "flax", "scipy"}
    allowed |= {"collections", "typing", "functools", "math", "itertools", "dataclasses"}
    if path.name == "checkpoint.py":  # what it needs besides is an extra
        allowed |= {"orbax", "pathlib", "hashlib", "shutil"}
    roots = {name.partition(".")[0] for name in imported(path)}
    assert roots <= allowed
    assert "flax" not in roots or path.parent.name == "networks"
    assert not any("_src" in name for name in imported(path)), "private modules of jax move"
