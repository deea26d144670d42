"""Compile a function once for all calls of the same form, whatever functions it is handed.

`jax.jit` knows arrays by their shapes, but a function only by its identity: a lambda that is made anew in every turn of
a Python loop is compiled anew in every turn, and the arrays that it has captured are written into the program as
constants. `compiled` looks into a function. Two functions of the same source are the same program, and the arrays that
they have captured (as closure variables, defaults, or arguments of `functools.partial`) are arguments of it.

The variables at the top level of a script, of a notebook and of a module of the user are captured as well: they may
change between two calls. Those of an installed package are taken for constants.

What a captured object can change without notice is not cached: a function that refers to an object of a class unknown
to JAX is traced and compiled at every call, as it would be without this file. Numbers, strings and NumPy arrays of
integers are part of the form, so that another number is another program.
"""

import dis
import enum
import functools
import itertools
import sys
import types
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar

import jax
import numpy as np

from ebmjax.records import record

P = ParamSpec("P")
R = TypeVar("R")

_FROM_THE_FIELD = ("jax", "jaxlib", "jaxtyping", "numpy", "optax", "flax", "builtins", "functools", "typing", "_thread")
"""Packages whose objects do not change what they compute once they are made."""


_OURS = ("ebmjax", "experiments")
"""Packages whose modules have constants at their top level, and no variables."""

_CHANGING = {"append", "extend", "insert", "add", "update", "setdefault", "pop", "clear"}
"""Methods that change a list, a dict or a set."""


class _OpaqueError(Exception):
    """Something was captured that can change without notice."""


class OnHost:
    """A function that a compiled program calls on the host, to print or to write: it is known by its identity.

    >>> OnHost(len)("abc")
    3
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        """Call the function."""
        return self.function(*args)


@record
class _Known(NamedTuple):
    """An object that is known by its identity, and kept alive by its form, so that no other takes its place."""

    thing: Any

    def __hash__(self):
        return id(self.thing)

    def __eq__(self, other):
        return isinstance(other, _Known) and self.thing is other.thing


@record
class _Module(NamedTuple):
    """A module of the user, whose variables may change, and those of them that a function may read."""

    module: Any
    variables: dict[str, Any]


@record
class _Form(NamedTuple):
    """Everything of an object but its arrays: hashable, and equal for objects that make the same program."""

    kind: str
    details: Any
    parts: tuple["_Form", ...] = ()


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """`jax.jit(function)` for arguments that are, or hold, arrays, numbers and functions.

    Args:
        function: a function of positional arguments, each a pytree of arrays, plain numbers and functions. It is pure:
            its value depends on its arguments alone.

    Returns:
        A function of the same value, which compiles once for all arguments that differ in their arrays alone.

    >>> traces = []
    >>> @compiled
    ... def apply(function, x):
    ...     traces.append(1)
    ...     return function(x)
    >>> [float(apply(lambda x: slope * x, 2.0)) for slope in jax.numpy.array([1.0, 3.0])], len(traces)
    ([2.0, 6.0], 1)
    """
    uncompiled: set[_Form] = set()
    whole: Callable[..., Any] = function

    @functools.partial(jax.jit, static_argnums=0)
    def program(form: _Form, arrays: list[Any]) -> Any:
        args, kwargs = _join(form, iter(arrays))
        return whole(*args, **kwargs)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        arrays: list[Any] = []
        try:
            form = _split((args, kwargs), arrays, ())
            hash(form)
        except (_OpaqueError, TypeError, ValueError):  # ValueError: a dict whose keys JAX cannot sort
            return function(*args, **kwargs)
        if form in uncompiled:
            return function(*args, **kwargs)
        try:
            return program(form, arrays)
        except jax.errors.JAXTypeError:
            # Python code that reads the value of a captured array: it is right only where arrays are not traced
            result = function(*args, **kwargs)
            uncompiled.add(form)
            return result

    return call


def _split(tree: Any, arrays: list[Any], inside: tuple[int, ...]) -> _Form:
    """The form of a pytree; its arrays are added to `arrays`, in order."""
    leaves, structure = jax.tree.flatten(tree, is_leaf=lambda node: isinstance(node, functools.partial))
    return _Form("tree", structure, tuple(_split_leaf(leaf, arrays, inside) for leaf in leaves))


def _split_leaf(leaf: Any, arrays: list[Any], inside: tuple[int, ...]) -> _Form:
    if isinstance(leaf, jax.Array):
        arrays.append(leaf)
        return _Form("array", None)
    if isinstance(leaf, np.ndarray | np.generic):
        return _split_numpy(leaf, arrays)
    if isinstance(leaf, functools.partial):
        return _Form("partial", None, (_split((leaf.func, leaf.args, leaf.keywords), arrays, inside),))
    if isinstance(leaf, types.MethodType):
        return _Form("method", None, (_split((leaf.__func__, leaf.__self__), arrays, inside),))
    if isinstance(leaf, types.FunctionType):
        # the shape checks of the tests wrap every function that is annotated, with a new wrapper each time it is made
        checked = "jaxtyping" in leaf.__code__.co_filename
        return _split_function(getattr(leaf, "__wrapped__", leaf) if checked else leaf, arrays, inside)
    if isinstance(leaf, float | complex):
        return _Form("value", (type(leaf), repr(leaf), _Known(leaf) if leaf != leaf else leaf))
    if isinstance(leaf, bool | int | str | bytes | enum.Enum | np.dtype | slice | type(...)):
        return _Form("value", (type(leaf), repr(leaf) if isinstance(leaf, slice) else leaf, leaf))
    if isinstance(leaf, types.ModuleType | type | types.BuiltinFunctionType | OnHost):
        return _Form("known", _Known(leaf))
    if type(leaf).__module__.partition(".")[0] in _FROM_THE_FIELD:
        return _Form("known", _Known(leaf))
    raise _OpaqueError


def _split_numpy(array: Any, arrays: list[Any]) -> _Form:
    """Numbers of floating type are data. Integers and truth values, unless they are many, describe a structure."""
    if array.dtype.kind in "iub" and array.size <= 4096:
        return _Form("numpy", (type(array), array.dtype, array.shape, array.tobytes()))
    if array.dtype.kind not in "iubf":
        raise _OpaqueError
    arrays.append(array.astype(array.dtype.newbyteorder("="), copy=False))  # JAX reads other byte orders wrongly
    return _Form("array", None)


def _split_function(function: types.FunctionType, arrays: list[Any], inside: tuple[int, ...]) -> _Form:
    of_user = _of_user(function.__module__)
    if not of_user and getattr(sys.modules.get(function.__module__), function.__qualname__, None) is function:
        return _Form("known", _Known(function))
    if id(function) in inside or len(inside) > 100:
        raise _OpaqueError
    try:
        cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    except ValueError:
        raise _OpaqueError from None
    # what a script, a notebook or a module of the user has at its top level is not constant: it is captured
    names = _names(function.__code__)
    globals_read = tuple(sorted((names & function.__globals__.keys()) - _logs(function, names))) if of_user else ()
    if any(isinstance(cell, list | dict | set) for cell in cells) and names & _CHANGING:
        raise _OpaqueError  # it keeps a log, say, and must be given that very list
    variables = [_variable(function.__globals__[name], names) for name in globals_read]
    captured = (cells, function.__defaults__, function.__kwdefaults__, variables)
    details = (function.__code__, _Known(function.__globals__), globals_read, function.__name__, function.__qualname__)
    return _Form("function", details, (_split(captured, arrays, (*inside, id(function))),))


def _of_user(name: str | None) -> bool:
    """Whether what stands at the top level of this module may change: it is not ours, and it is not installed."""
    if name in ("__main__", "builtins", None):
        return True
    if name.partition(".")[0] in (*_OURS, *sys.stdlib_module_names):
        return False
    file = getattr(sys.modules.get(name), "__file__", None) or ""
    return "site-packages" not in file and "dist-packages" not in file


def _variable(value: Any, names: set[str]) -> Any:
    """A variable that a function with these names in it may read, with the variables of a module of the user."""
    if isinstance(value, types.ModuleType) and _of_user(value.__name__):
        read = sorted(names & vars(value).keys())
        return _Module(value, {name: _variable(vars(value)[name], names - {name}) for name in read})
    return value


def _value(variable: Any) -> Any:
    """A variable as the function reads it; a module is a copy with the variables that were captured."""
    if not isinstance(variable, _Module):
        return variable
    module = types.ModuleType(variable.module.__name__)
    vars(module).update(vars(variable.module), **{name: _value(each) for name, each in variable.variables.items()})
    return module


def _logs(function: types.FunctionType, names: set[str]) -> set[str]:
    """Lists, dicts and sets at the top level of a module that the function with these names changes: it keeps them."""
    containers = {name for name in names if isinstance(function.__globals__.get(name), list | dict | set)}
    return containers & _changed(function.__code__) if containers and names & _CHANGING else set()


def _changed(code: types.CodeType) -> set[str]:
    """The names of which a method is called that changes a container."""
    pairs = itertools.pairwise(dis.get_instructions(code))
    own = {before.argval for before, after in pairs if after.argval in _CHANGING and isinstance(before.argval, str)}
    nested = [_changed(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return own.union(*nested)


def _names(code: types.CodeType) -> set[str]:
    nested = [_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(itertools.chain(code.co_names, *nested))


def _join(form: _Form, arrays: Any) -> Any:
    """The object of a form, with other arrays."""
    if form.kind == "tree":
        return jax.tree.unflatten(form.details, [_join(part, arrays) for part in form.parts])
    if form.kind == "array":
        return next(arrays)
    if form.kind == "numpy":
        of_type, dtype, shape, content = form.details
        array = np.frombuffer(content, dtype).reshape(shape)
        return array if of_type is np.ndarray else array[()]
    if form.kind == "value":
        return form.details[-1].thing if isinstance(form.details[-1], _Known) else form.details[-1]
    if form.kind == "known":
        return form.details.thing
    if form.kind == "partial":
        function, args, keywords = _join(form.parts[0], arrays)
        return functools.partial(function, *args, **keywords)
    if form.kind == "method":
        return types.MethodType(*_join(form.parts[0], arrays))
    code, known, names, name, qualified_name = form.details
    cells, defaults, keyword_defaults, values = _join(form.parts[0], arrays)
    variables = {**known.thing, **dict(zip(names, map(_value, values), strict=True))} if names else known.thing
    function = types.FunctionType(code, variables, name, defaults, tuple(types.CellType(cell) for cell in cells))
    function.__kwdefaults__ = keyword_defaults
    function.__qualname__ = qualified_name
    return function
