"""What becomes of the leaves of parameters and of data where learning begins: arrays of JAX, or refused by their path.

Parameters are any pytree, such as a record, a dict, or a network of Flax or Equinox. Its floating arrays are learned.
Everything else in it is carried along: integers, random keys, functions, and the variables of a Flax module that are
no weights.
"""

import enum
import types
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.checks import ArgumentError
from ebmjax.networks.modules import are_weights

_CARRIED = (str, bytes, enum.Enum, np.dtype, type, types.FunctionType, types.BuiltinFunctionType)
_FROM_THE_FIELD = ("jax", "jaxlib", "flax", "optax", "numpy", "functools")
_NUMBERS = (bool, int, float, complex, np.ndarray, np.generic)


def as_params(params: Any) -> Any:
    """Parameters as learning needs them: numbers are JAX arrays, floating ones of the computing dtype.

    Integers are floats in the records of this library, which hold parameters alone; elsewhere they stay integers.

    Raises ArgumentError, naming the path, for a leaf that is neither numbers nor what can be carried along, and where
    two layers of a module share a variable.

    >>> as_params({"weights": np.array([1.0, 2.0]), "steps": 3, "activation": jnp.tanh})["weights"]
    Array([1., 2.], dtype=float32)
    >>> as_params({"weights": object()})
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: params['weights']: got an object, wanted an array
    """
    are_weights(params)  # refuses shared variables, which a copy of the pytree would make two
    is_record = lambda node: isinstance(node, tuple) and type(node).__module__.partition(".")[0] == "ebmjax"

    def of_record(path, leaf):
        # a network in a record has counters that stay integers
        mine = all(isinstance(key, jax.tree_util.GetAttrKey | jax.tree_util.SequenceKey) for key in path[-2:])
        return _as_number(_named("params", path), leaf, floats=mine)

    def converted(path, leaf):
        if is_record(leaf):
            return jax.tree_util.tree_map_with_path(lambda below, leaf: of_record(path + below, leaf), leaf)
        return _as_number(_named("params", path), leaf, floats=False)

    return jax.tree_util.tree_map_with_path(converted, params, is_leaf=is_record)


def as_data(name: str, data: Any) -> Any:
    """Samples, or a batch of them, as JAX arrays: labels stay integers, masks truth values; half precision is float32.

    Integers of 8 or 16 bits are int32, so that no arithmetic of a loss wraps around. A list of numbers is one array.

    Raises ArgumentError for a leaf that is not numbers, and for integers that 32 bits do not hold.

    >>> as_data("data", (np.array([[1.5]], np.float16), np.array([7], np.uint8), [True]))
    (Array([[1.5]], dtype=float32), Array([7], dtype=int32), Array([ True], dtype=bool))
    """
    return jax.tree.map(widened, as_arrays(name, data))


def as_arrays(name: str, data: Any) -> Any:
    """As `as_data`, but small integers and half precision keep their dtype, so that they take little memory.

    Errors are those of `as_data`.

    >>> as_arrays("data", np.array([7], np.uint8)).dtype
    dtype('uint8')
    """
    named = lambda path, leaf: _array(_named(name, path), leaf)
    return jax.tree_util.tree_map_with_path(named, data, is_leaf=_is_list_of_numbers)


def widened(leaf: jax.Array) -> jax.Array:
    """One array in the dtype that a loss computes with: int32 for smaller integers, float32 for half precision.

    >>> widened(jnp.array([200], jnp.uint8)) + 100
    Array([300], dtype=int32)
    """
    if jnp.issubdtype(leaf.dtype, jnp.integer) and leaf.dtype.itemsize < 4:
        return leaf.astype(jnp.int32)
    return leaf.astype(jnp.float32) if _is_half(leaf.dtype) else leaf


def are_learned(params: Any) -> list[bool]:
    """For each leaf of a pytree, whether it is learned: floating arrays that are no running statistics of a module.

    Raises ArgumentError where two layers of a module share a variable.

    >>> are_learned({"steps": jnp.array(3), "weights": jnp.ones(2)})
    [False, True]
    """
    return [
        weight and is_array(leaf) and jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
        for weight, leaf in zip(are_weights(params), jax.tree.leaves(params), strict=True)
    ]


def is_array(leaf: Any) -> bool:
    """Whether a compiled program can take a leaf as an argument: arrays, numbers and random keys, but no functions.

    >>> is_array(1.0), is_array(np.ones(2)), is_array(jnp.tanh)
    (True, True, False)
    """
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex)


def replaced(tree: Any, chosen: Sequence[bool], leaves: Sequence[Any]) -> Any:
    """A pytree with other leaves, in order, where `chosen`.

    >>> replaced({"a": 1, "b": 2, "c": 3}, [True, False, True], [10, 30])
    {'a': 10, 'b': 2, 'c': 30}
    """
    others = iter(leaves)
    old, structure = jax.tree.flatten(tree)
    return jax.tree.unflatten(structure, [next(others) if new else leaf for new, leaf in zip(chosen, old, strict=True)])


def arrays_of(tree: Any) -> list[Any]:
    """The leaves that a compiled program can take, in order: functions among the parameters are no part of one.

    >>> arrays_of({"weights": 1.0, "activation": jnp.tanh})
    [1.0]
    """
    return [leaf for leaf in jax.tree.leaves(tree) if is_array(leaf)]


def with_arrays(tree: Any, arrays: Sequence[Any]) -> Any:
    """A pytree with other arrays, in the order of `arrays_of`; its other leaves are kept.

    >>> with_arrays({"a": 1, "b": "text", "c": 3}, [10, 30])
    {'a': 10, 'b': 'text', 'c': 30}
    """
    return replaced(tree, [is_array(leaf) for leaf in jax.tree.leaves(tree)], arrays)


def _as_number(name: str, leaf: Any, floats: bool) -> Any:
    if not isinstance(leaf, (jax.Array, *_NUMBERS)):
        if isinstance(leaf, _CARRIED) or type(leaf).__module__.partition(".")[0] in _FROM_THE_FIELD:
            return leaf
        raise ArgumentError(f"{name}: got {_kind(leaf)}, wanted an array")
    array = _array(name, leaf)
    if floats and (jnp.issubdtype(array.dtype, jnp.integer) or array.dtype == bool):
        return array.astype(jnp.result_type(float))
    return array.astype(jnp.float32) if _is_half(array.dtype) else array


def _array(name: str, leaf: Any) -> jax.Array:
    if isinstance(leaf, jax.Array):
        return leaf
    if not (isinstance(leaf, _NUMBERS) or _is_list_of_numbers(leaf)) or isinstance(leaf, np.ma.MaskedArray):
        raise ArgumentError(f"{name}: got {_kind(leaf)}, wanted a JAX or NumPy array")
    array = np.asarray(leaf)
    if array.dtype.kind not in "biufcV" or array.dtype.names or (array.dtype.kind == "V" and not _is_half(array.dtype)):
        raise ArgumentError(f"{name}: got an array of {array.dtype}, wanted numbers")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    dtype = jax.dtypes.canonicalize_dtype(array.dtype)
    if dtype != array.dtype and array.dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise ArgumentError(f"{name}: got integers from {array.min()} to {array.max()}, wanted what {dtype} holds")
    return jnp.asarray(array, dtype)


def _is_list_of_numbers(node: Any) -> bool:
    if type(node) not in (list, tuple) or not node:
        return False
    return all(isinstance(item, bool | int | float | np.generic) or _is_list_of_numbers(item) for item in node)


def _is_half(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4


def _named(name: str, path: Any) -> str:
    return name + jax.tree_util.keystr(path)


def _kind(leaf: Any) -> str:
    name = type(leaf).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
