"""The table of entries: every public function × every argument × every kind of input, each "right" or "refused".

    python -m tests.entries [MODULE ...]

The call that a docstring shows is the example. Each of its arguments is replaced in turn by other kinds of the same
thing: NumPy arrays, lists, integers, halves, other byte orders, foreign containers, raw keys, dicts for records,
numbers for functions. A cell is

    right       the value is that of the same numbers as a float32 array
    refused     a ValueError or TypeError, whose message begins with the name of the argument
    wrong       anything else; these are printed

It is a script, because the tests' own type checks would refuse before the library does.
"""

import collections
import contextlib
import doctest
import functools
import importlib
import inspect
import io
import pkgutil
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

import ebmjax

NUMBERS: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": lambda x: x,
    "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.astype(np.float16),
    "bfloat16": lambda x: jnp.asarray(x, jnp.bfloat16),
    "big endian": lambda x: x.astype(">f4"),
    "not contiguous": lambda x: np.stack([x, x], -1)[..., 0],
    "list": lambda x: x.tolist(),
    "int32": lambda x: jnp.asarray(np.rint(x), jnp.int32),
    "int8": lambda x: np.rint(x).astype(np.int8),
    "uint8": lambda x: np.abs(np.rint(x)).astype(np.uint8),
    "bool": lambda x: x > 0,
}
"""Kinds of numbers, each made from a float32 NumPy array: converted, or refused."""

FOREIGN: dict[str, Callable[[np.ndarray], Any]] = {
    "strings": lambda x: x.astype(str),
    "text": lambda x: "text",
    "None": lambda x: None,
    "sparse": lambda x: scipy.sparse.csr_matrix(np.ravel(x)[None]),
    "key": lambda x: jax.random.key(0),
}
"""What is no array of real numbers: refused."""


INNER = {
    "ebmjax.learn.dictionaries.dead_atoms": "called by the dictionary learners",
    "ebmjax.learn.fingerprint": "called by checkpoint",
    "ebmjax.learn.leaves": "the conversion itself",
    "ebmjax.learn.on_disk": "called by checkpoint",
    "ebmjax.learn.stored": "called by checkpoint",
    "ebmjax.learn.wrapped": "takes the states of learners",
    "ebmjax.marginalize.density_of_states.walkers": "called by the runs, which check",
    "ebmjax.marginalize.elimination.summing_out": "called by the steps of an elimination",
    "ebmjax.marginalize.elimination.tables": "called by exact and draws, which check",
    "ebmjax.marginalize.reweighting.pair": "called by the estimators, with checked draws",
    "ebmjax.marginalize.reweighting.solve": "called by the estimators, with checked draws",
    "ebmjax.minimize.codes.certificate": "called by the solvers, in their loops",
    "ebmjax.minimize.codes.rounds": "called by coordinate descent",
    "ebmjax.minimize.outer_gradients": "takes any function",
    "ebmjax.numerics": "products of arrays that are converted already",
    "ebmjax.problems.laws.problem": "called by the laws, with their own numbers",
    "ebmjax.problems.laws.quadrature": "called by the laws, with their own numbers",
    "ebmjax.problems.laws.regressions": "called by the laws, with their own numbers",
    "ebmjax.records": "shows anything",
    "ebmjax.sample.gradient_state": "called by the kernels, in their steps",
    "ebmjax.sample.trees": "called by the kernels, in their steps",
    "ebmjax.sample.units": "called by the kernels, in their steps",
    "ebmjax.states": "called by phases and loops, with any kernel",
}
"""Modules whose functions get what others have converted, and why."""

INNER_FUNCTIONS = {
    "as_example",  # its `like` is a parameter of the library
    "compiled",  # decorates functions of the library
    "unchanged",  # these two take any unknown
    "unregularized",
    "advance",  # goes on from what `begin` returned
    "run_if",  # inside the wrappers of learners
    "block_coordinate_sweep",  # inside the dictionary learners
    "updates_of",  # inside the learners and descent
    "first_states",  # these two take the parameters of any model
    "next_states",
    "begun_chains",  # these three inside the estimators along paths
    "log_mean",
    "result_of_weights",
    "fit_ladder",  # these six inside the estimators of reweighting
    "mixture_of",
    "estimate_of",
    "result_for",
    "means",
    "variance_of_mean",
    "beta_quantile",  # these eleven inside the diagnostics
    "deviations",
    "ess_of_chains",
    "ess_of_quantile",
    "mean",
    "median_distance",
    "normal_scores",
    "of_quantities",
    "r_hat_of_chains",
    "split",
    "standardized",
    "energy_of",  # inside the elimination
    "sublattice_beside",  # these two inside the kernels of lattices, with numbers of their own
    "sublattices_in_turn",
    "is_coldest",  # these two take anything
    "is_static",
    "is_forbidden",  # these two inside the kernels
    "leapfrog",
    "position_of",
    "restore",  # these two compare with any pytree
    "load_params",
}

SAID_AS = {
    "ebmjax.learn.": ("params", "loss", "folder"),  # what a learner or a folder says of parameters and data
    "ebmjax.energies.composition.": ("energies",),
    "ebmjax.energies.convolutional_encoder.": ("params",),
    "ebmjax.checks.": ("energy", "weight"),  # the name that the example gives
}
"""Other names under which an argument is refused."""

TREES = {
    "per_layer": "weights",
    "repeat": "state",
    "from_layer_before": "weights",
    "warm_up": "position",
    "adaptive_tempering": "position",
    "to_units": "position",
    "from_units": "units",
}
"""Arguments that may be any pytree, lists and dicts among them."""


class Cell(collections.namedtuple("Cell", "function argument kind verdict detail")):
    """One cell of the table."""


def modules() -> list[str]:
    """Every public module of the library."""
    return [module.name for module in pkgutil.walk_packages(ebmjax.__path__, "ebmjax.")]


def calls(name: str) -> Iterator[tuple[Callable[..., Any], dict[str, Any]]]:
    """Every public function of a module, with the arguments of the first call in its docstring."""
    module = importlib.import_module(name)
    for test in doctest.DocTestFinder().find(module):
        function = getattr(module, test.name.removeprefix(name + "."), None)
        if (
            not isinstance(function, types.FunctionType)
            or function.__module__ != name
            or name in INNER
            or function.__name__ in INNER_FUNCTIONS
        ):
            continue
        seen: list[dict[str, Any]] = []

        @functools.wraps(function)
        def recorded(*args: Any, function: Any = function, seen: Any = seen, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            bound = inspect.signature(function).bind(*args, **kwargs).arguments
            if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(bound)):
                seen.append(dict(bound))
            return result

        test.globs[function.__name__] = recorded
        with contextlib.redirect_stdout(io.StringIO()):
            doctest.DocTestRunner(verbose=False).run(test, clear_globs=False)
        if seen:
            yield function, seen[0]


def is_key(value: Any) -> bool:
    return isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)


def is_numbers(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray) and not is_key(value)


def is_record(value: Any) -> bool:
    return isinstance(value, tuple) and type(value).__module__.startswith("ebmjax.") and hasattr(value, "_fields")


def outcome(function: Callable[..., Any], arguments: dict[str, Any]) -> tuple[Any, Exception | None]:
    try:
        bound = inspect.BoundArguments(inspect.signature(function), collections.OrderedDict(arguments))
        return function(*bound.args, **bound.kwargs), None
    except Exception as error:
        return None, error


def is_refusal(error: Exception | None, *names: str) -> bool:
    told = str(error).partition(":")[0]
    return isinstance(error, ValueError | TypeError) and any(name in told for name in names)


def same(a: Any, b: Any) -> bool:
    """Whether two results hold the same numbers; functions cannot be compared, and count as equal."""
    leaves = [jax.tree.leaves(tree) for tree in (a, b)]
    if len(leaves[0]) != len(leaves[1]):
        return False
    for one, two in zip(*leaves, strict=True):
        if is_numbers(one) and is_numbers(two):
            x, y = np.asarray(one, np.float64), np.asarray(two, np.float64)
            scale = np.max(np.abs(np.where(np.isfinite(y), y, 0)), initial=0.0)
            if x.shape != y.shape or not np.allclose(x, y, rtol=1e-4, atol=1e-5 * scale, equal_nan=True):
                return False
    return True


def cells(function: Callable[..., Any], arguments: dict[str, Any]) -> Iterator[Cell]:
    """All cells of one function."""
    name = f"{function.__module__}.{function.__name__}"

    known: dict[Any, tuple[Any, Exception | None]] = {}

    def of_twin(argument: str, twin: Any) -> tuple[Any, Exception | None]:
        """The outcome for a twin, which several kinds of the same numbers share."""
        if not is_numbers(twin):
            return outcome(function, {**arguments, argument: twin})
        key = argument, twin.shape, np.asarray(twin).tobytes()
        if key not in known:
            known[key] = outcome(function, {**arguments, argument: twin})
        return known[key]

    def judge(argument: str, kind: str, value: Any, twin: Any = None, must_refuse: bool = False) -> Cell:
        result, error = outcome(function, {**arguments, argument: value})
        others = [other for start, names in SAID_AS.items() if name.startswith(start) for other in names]
        if is_refusal(error, argument, *others):
            return Cell(name, argument, kind, "refused", "")
        if error is not None:
            if twin is not None and of_twin(argument, twin)[1] is not None:
                return Cell(name, argument, kind, "refused", "as the float32 array")
            return Cell(name, argument, kind, "wrong", f"{type(error).__name__}: {str(error)[:120]!r}")
        if must_refuse:
            return Cell(name, argument, kind, "wrong", "accepted")
        right = twin is None or same(result, of_twin(argument, twin)[0])
        return Cell(name, argument, kind, "right" if right else "wrong", "" if right else "another value")

    parameters = inspect.signature(function).parameters
    for argument, value in arguments.items():
        optional = parameters[argument].default is None
        if is_key(value):
            yield judge(argument, "raw key", jax.random.PRNGKey(0), must_refuse=True)
            yield judge(argument, "seed", 0, must_refuse=True)
        elif is_numbers(value) and jnp.issubdtype(value.dtype, jnp.floating):
            plain = np.asarray(value, np.float32)
            for kind, make in NUMBERS.items():
                if kind == "list" and TREES.get(function.__name__) == argument:
                    continue
                given = make(plain)
                yield judge(argument, kind, given, jnp.asarray(np.asarray(given, np.float32)))
            for kind, make in {**FOREIGN, "complex": lambda x: x + 1j}.items():
                takes_any = ("ebmjax.loops.", "ebmjax.sharding.", "ebmjax.memory.", "ebmjax.learn.")
                if kind == "complex" and name.startswith(takes_any):
                    continue  # loops and devices take any arrays, and losses say what they take
                if not (kind == "None" and optional):
                    yield judge(argument, kind, make(plain), must_refuse=True)
        elif isinstance(value, bool):
            continue
        elif isinstance(value, int) and "int" in str(parameters[argument].annotation).partition("|")[0]:
            yield judge(argument, "float", value + 0.5, must_refuse=True)
            yield judge(argument, "text", "text", must_refuse=True)
        elif isinstance(value, int | float):
            for kind, make in (("numpy float64", np.float64), ("numpy float32", np.float32), ("array", jnp.float32)):
                yield judge(argument, kind, make(value), value)
            yield judge(argument, "text", "text", must_refuse=True)
        elif is_record(value):
            if not any(callable(leaf) for leaf in jax.tree.leaves(value)):
                for kind in ("numpy", "float64", "float16"):
                    make = lambda leaf, kind=kind: (
                        NUMBERS[kind](np.asarray(leaf, np.float32))
                        if is_numbers(leaf) and jnp.issubdtype(leaf.dtype, jnp.floating)
                        else leaf
                    )
                    given = jax.tree.map(make, value)
                    twin = jax.tree.map(
                        lambda leaf: (
                            jnp.asarray(leaf, jnp.float32)
                            if hasattr(leaf, "dtype") and np.asarray(leaf).dtype.kind in "fV"
                            else leaf
                        ),
                        given,
                    )
                    yield judge(argument, f"record of {kind}", given, twin)
            if TREES.get(function.__name__) != argument:
                yield judge(argument, "dict", value._asdict(), must_refuse=True)
        elif callable(value) and not isinstance(value, type):
            yield judge(argument, "number", 1.0, must_refuse=True)


def main(names: list[str]) -> int:
    """Print the wrong cells and the number of each verdict; the exit status is 1 if any is wrong."""
    jax.config.update("jax_enable_compilation_cache", False)
    warnings.simplefilter("ignore")  # of casts that overflow, which are meant
    total: collections.Counter[str] = collections.Counter()
    for name in names or modules():
        for function, arguments in calls(name):
            for cell in cells(function, arguments):
                total[cell.verdict] += 1
                if cell.verdict == "wrong":
                    print(f"{cell.function}({cell.argument}) of {cell.kind}: {cell.detail}")
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(total.items())))
    return int(total["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
