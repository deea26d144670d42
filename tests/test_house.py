"""The rules of the house that a program can see, each in one test over all files of the library.

A rule that is broken on purpose is named here, with its reason.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import ebmjax

ROOT = Path(__file__).parents[1] / "ebmjax"
FILES = sorted(ROOT.rglob("*.py"))
ORDER = [
    "records",
    "types",
    "checks",
    "compiled",
    "numerics",
    "temperature",
    "states",
    "loops",
    "random_bits",
    "sharding",
    "memory",
    "gaussian",
    "optimizers",
    "graphs",
    "lattices",
    "networks",
    "energies",
    "minimize",
    "marginalize",
    "sample",
    "likelihoods",
    "losses",
    "learn",
    "diagnostics",
    "problems",
]
OUTSIDERS = {"jax", "jaxtyping", "numpy", "optax"}
STANDARD = {"collections", "dataclasses", "functools", "itertools", "math", "typing"}
ALSO_ALLOWED = {
    "records.py": {"ast", "inspect", "textwrap"},  # reads the strings below fields
    "compiled.py": {"dis", "enum", "sys", "types"},  # looks into Python's functions
    "optimizers.py": {"inspect"},  # which keyword arguments an optimizer takes
    "graphs.py": {"heapq"},  # which unit is coloured next
    "marginalize/elimination/orders.py": {"heapq"},  # which unit is next
    "learn/leaves.py": {"enum", "types"},  # kinds of leaves that are no numbers
    "learn/fingerprint.py": {"hashlib", "re"},  # reads programs of JAX
    "diagnostics/export.py": {"arviz", "arviz_base"},  # an extra, imported when first used
    "learn/reporting.py": {"contextlib", "rich"},  # rich is an extra, imported when first used
    "learn/stored.py": {"importlib"},  # finds a record by its name
    "learn/checkpoint.py": {"pathlib"},
    "learn/on_disk.py": {
        "hashlib",
        "json",
        "orbax",
        "pathlib",
        "shutil",
    },  # orbax is an extra, imported when first used
    "networks/pickled.py": {"importlib"},  # finds a function by its name
    "states.py": {"inspect"},  # whether the `init` of somebody's kernel takes a key
    "problems/ising.py": {"scipy"},  # elliptic integrals; jax depends on it already
}

RAW_LOOPS = {
    "energies/hopfield.py": "storage rules visit the patterns one after the other: a scan over data",
    "learn/dictionaries/dictionary.py": "blocks of atoms and the atoms of a block, each by its place, tuned",
    "learn/train.py": "epochs and batches are scanned with their keys and rows, and their metrics are stacked",
    "marginalize/annealed.py": "every step of a path has another law and kernel, made from its t",
    "marginalize/density_of_states/walkers.py": "visits to units in order, with neighbours and uniforms of each, tuned",
    "marginalize/elimination/draws.py": "steps backwards through tables that are computed again, chunk by chunk",
    "marginalize/elimination/tables.py": "steps of an elimination are data, in chunks that a gradient computes again",
    "marginalize/importance_sampling.py": "chunks of draws add to running sums, each with a key of its own",
    "marginalize/reweighting/solve.py": "states of a small matrix are eliminated one after the other",
    "minimize/codes/certificate.py": "terms of a sum one by one, with what rounding takes from each",
    "minimize/codes/coordinate.py": "samples one after the other on a CPU, and a path of weights",
    "minimize/codes/rounds.py": "nested loops over active sets that become one compiled kernel, tuned",
    "minimize/evolution.py": "visits to units in an order that is data, with the energy after each",
    "minimize/unrolled/support.py": "bits of a threshold, each by its place",
    "minimize/unrolled/unroll.py": "layers are scanned with their own weights, and their codes are stacked",
    "sample/annealing.py": "every round has another kernel, made from its beta",
    "sample/gibbs.py": "visits to sites in an order that is data, each with a key of its own",
    "sample/warm_up.py": "windows of a warm-up, each of its own length, with the units of the one before",
    "sample/special/dense.py": "blocks of units and the units of a block, tuned",
    "sample/special/single_site.py": "visits to sites, each with a threshold that was drawn before",
}
"""Files that call `jax.lax.scan` and the like themselves, and why `ebmjax.loops` does not serve."""

LOOPS = {"scan", "while_loop", "fori_loop", "map", "associative_scan"}


def module_of(path: Path) -> str:
    """`a/b` for ebmjax/a/b.py and for ebmjax/a/b/__init__.py."""
    relative = path.relative_to(ROOT)
    return (relative.parent if path.name == "__init__.py" else relative.with_suffix("")).as_posix()


def place(module: str) -> int:
    """Where a module (`a/b/c`, below the package) stands in the list."""
    return next(i for i, name in enumerate(ORDER) if module == name or module.startswith(name + "/"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(tree: ast.AST) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def public_functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def parameters(function: ast.FunctionDef) -> list[ast.arg]:
    arguments = function.args
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def test_imports_point_upwards():
    wrong = []
    for path in FILES:
        module = module_of(path)
        if module == ".":
            continue
        for name in imported(parsed(path)):
            below = name.removeprefix("ebmjax.").replace(".", "/")
            if not name.startswith("ebmjax.") or not ((ROOT / f"{below}.py").exists() or (ROOT / below).is_dir()):
                continue
            if place(below) > place(module):
                wrong.append(f"{module} imports {below}, which stands below it")
    assert not wrong, "\n".join(wrong)


def test_outsiders_stay_out():
    wrong = []
    for path in FILES:
        relative = path.relative_to(ROOT).as_posix()
        names = imported(parsed(path))
        allowed = {"ebmjax"} | OUTSIDERS | STANDARD | ALSO_ALLOWED.get(relative, set())
        allowed |= {"flax"} if relative.startswith("networks/") else set()
        wrong += [f"{relative} imports {name}" for name in {name.partition(".")[0] for name in names} - allowed]
        wrong += [f"{relative} imports {name}: private modules of jax move" for name in names if "_src" in name]
    assert not wrong, "\n".join(wrong)


def test_every_file_is_one_short_idea_that_it_names():
    wrong = []
    for path in FILES:
        text = path.read_text()
        if len(text.splitlines()) > 400:
            wrong.append(f"{path}: more than 400 lines")
        if not ast.get_docstring(ast.parse(text)):
            wrong.append(f"{path}: no docstring")
    assert not wrong, "\n".join(wrong)


def test_public_names_are_documented():
    """Functions with a doctest and types of all arguments; classes and their public methods; constants by a string."""
    wrong = []
    for path in FILES:
        body = parsed(path).body
        for node, below in zip(body, [*body[1:], None], strict=True):
            name = getattr(node, "name", None)
            if isinstance(node, ast.FunctionDef) and not name.startswith("_"):
                where = f"{path.relative_to(ROOT)}: {name}"
                if ">>>" not in (ast.get_docstring(node) or ""):
                    wrong.append(f"{where}: no docstring with a doctest")
                wrong += [f"{where}: no type of {arg.arg}" for arg in parameters(node) if arg.annotation is None]
                if node.args.kwarg:
                    wrong.append(f"{where}: takes any keyword")
            elif isinstance(node, ast.ClassDef) and not name.startswith("_"):
                methods = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name != "__init__"]
                undocumented = [item for item in [node, *methods] if not ast.get_docstring(item)]
                wrong += [f"{path.relative_to(ROOT)}: {name}: {item.name} has no docstring" for item in undocumented]
            elif isinstance(node, ast.AnnAssign | ast.Assign):
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                is_alias = isinstance(target, ast.Name) and target.id[0].isupper() and not target.id.isupper()
                explained = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
                is_shape = "[" in ast.unparse(node.value or node) and "Callable" not in ast.unparse(node)
                if is_alias and not explained and not is_shape:
                    wrong.append(f"{path.relative_to(ROOT)}: {target.id} has no docstring below it")
    assert not wrong, "\n".join(wrong)


def test_keys_come_first():
    wrong = []
    for path in FILES:
        tree = parsed(path)
        methods = [item for node in tree.body if isinstance(node, ast.ClassDef) for item in node.body]
        for node in [*tree.body, *methods]:
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in parameters(node) if argument.arg not in ("self", "cls")]
                # a kernel's init has BlackJAX's order: the key is optional there
                keys = [name for name in names if name in ("key", "rng_key") and node.name not in ("init", "__call__")]
                if not node.name.startswith("_") and keys and names[0] not in ("key", "rng_key"):
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}({', '.join(names)})")
    assert not wrong, "\n".join(wrong)


def test_loops_go_through_the_loops_of_the_library():
    found = set()
    for path in FILES:
        relative = path.relative_to(ROOT).as_posix()
        for node in ast.walk(parsed(path)):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.fullmatch(r"(jax\.)?lax\.\w+", called) and called.rpartition(".")[2] in LOOPS:
                found.add(relative)
    assert found - {"loops.py"} == set(RAW_LOOPS)


def raised(function: ast.FunctionDef, helpers: dict[str, set[str]]) -> set[str]:
    """The exceptions that a function raises itself, in a function within it, or in a helper that it calls."""
    errors = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            called = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            errors.add(ast.unparse(called))
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            errors |= helpers.get(name, set())
            if name.startswith("check_"):
                errors.add("ArgumentError")
    return errors


def test_what_is_raised_is_documented():
    """In the function's own docstring, or by a reference to the one whose errors it has."""
    wrong = []
    for path in FILES:
        tree = parsed(path)
        private = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("_")]
        helpers: dict[str, set[str]] = {}
        for _ in range(3):  # helpers of helpers
            helpers = {node.name: raised(node, helpers) for node in private}
        for function in public_functions(tree):
            said = " ".join((ast.get_docstring(function) or "").split())
            if re.search(r"[Ee]rrors? ((and \w+ )?(are|is|as)|.*\b(as|are those) )", said):
                continue
            for error in raised(function, helpers):
                if error.startswith("_"):
                    continue  # caught in the same file
                name = "ValueError" if error == "ArgumentError" else error
                if not re.search(rf"[Rr]ais(es|e)?\b.*\b({name}|ArgumentError)", said):
                    wrong.append(f"{path.relative_to(ROOT)}: {function.name} raises {name} and does not say so")
    assert not wrong, "\n".join(wrong)


def test_beta_enters_in_inference_alone():
    """No `energy` takes a temperature; closed forms of free energies and conditional laws do: they are inference."""
    wrong = []
    for path in (ROOT / "energies").glob("*.py"):
        for function in public_functions(parsed(path)):
            if function.name == "energy" and "beta" in [argument.arg for argument in parameters(function)]:
                wrong.append(f"{path.name}: {function.name}")
    assert not wrong, "\n".join(wrong)


def test_packages_list_all_that_they_hold():
    for package in [path for path in FILES if path.name == "__init__.py" and path.parent != ROOT]:
        name = "ebmjax." + module_of(package).replace("/", ".")
        module = importlib.import_module(name)
        inside = {item.name for item in pkgutil.iter_modules(module.__path__)}
        assert inside <= set(module.__all__), f"{name}: {inside - set(module.__all__)} missing in __all__"
        unsaid = [item for item in inside if item not in inspect.getdoc(module)]
        assert not unsaid, f"{name}: the docstring does not say what {unsaid} are"


@pytest.mark.parametrize("name", ["minimize", "marginalize", "sample", "learn", "losses", "energies"])
def test_help_on_a_package_is_a_page(name):
    assert len(inspect.getdoc(getattr(ebmjax, name)).splitlines()) >= 8
