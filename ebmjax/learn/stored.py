"""Leaves of a pytree as they are on disk: NumPy arrays, and a text that says what each of them is.

A random key is stored as its words. What is read comes back in the form of an example.
"""

import importlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax import random_bits
from ebmjax.checks import ArgumentError
from ebmjax.learn.leaves import is_array


def is_key(leaf: Any) -> bool:
    """Whether a leaf holds typed random keys.

    >>> is_key(jax.random.key(0)), is_key(jax.random.key_data(jax.random.key(0)))
    (True, False)
    """
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def to_disk(leaf: Any) -> np.ndarray:
    """A leaf as an array that a file can hold.

    >>> to_disk(jnp.array([1.0])).tolist()
    [1.0]
    """
    return np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf)


def from_disk(stored: np.ndarray | None, like: Any) -> Any:
    """A leaf in the form of its example; None means an array without elements.

    >>> bool(from_disk(to_disk(jax.random.key(3)), jax.random.key(0)) == jax.random.key(3))
    True
    """
    example = jnp.empty((), like.dtype) if is_key(like) else np.zeros((), _dtype(like))
    if stored is None:
        stored = np.zeros(np.shape(like) + to_disk(example).shape, to_disk(example).dtype)
    if is_key(like):
        return jax.random.wrap_key_data(jnp.asarray(stored), impl=jax.random.key_impl(example))
    return jnp.asarray(stored) if isinstance(like, jax.Array | jax.ShapeDtypeStruct) else stored


def of_text(stored: np.ndarray | None, text: str) -> Any:
    """A leaf as `described` says that it was.

    >>> of_text(np.array([1.0]), "float32[1]")
    Array([1.], dtype=float32)
    """
    dtype, _, shape = text.removesuffix("]").partition("[")
    shape = tuple(int(size) for size in shape.split(", ") if size)
    if dtype.startswith("key<"):
        keys = (
            jax.random.key(0),
            jax.random.key(0, impl="rbg"),
            jax.random.key(0, impl="unsafe_rbg"),
            random_bits.key(0),
        )
        like = next(key for key in keys if str(key.dtype) == dtype)
        return from_disk(stored, jnp.broadcast_to(like, shape))
    return from_disk(stored, jax.ShapeDtypeStruct(shape, jnp.dtype(dtype)))


def form_of(tree: Any) -> Any:
    """The structure of a pytree of records, dicts, tuples and lists, as JSON; of anything else its class.

    >>> form_of({"w": (1.0, None)})
    {'dict': {'w': {'tuple': [{'array': None}, {'none': None}]}}}
    """
    if tree is None:
        return {"none": None}
    if isinstance(tree, dict) and all(isinstance(name, str) for name in tree):
        return {"dict": {name: form_of(tree[name]) for name in sorted(tree)}}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        kind = type(tree)
        return {"record": [kind.__module__, kind.__qualname__, [form_of(part) for part in tree]]}
    if type(tree) in (tuple, list):
        return {type(tree).__name__: [form_of(part) for part in tree]}
    return {"array": None} if is_array(tree) else {"other": f"{type(tree).__module__}.{type(tree).__qualname__}"}


def of_form(form: Any, leaves: Sequence[Any], where: str) -> Any:
    """The pytree of a form, with other leaves.

    Raises ArgumentError for a class that cannot be made from its name.

    >>> of_form(form_of({"w": (1.0, None)}), [2.0], "")
    {'w': (2.0, None)}
    """
    remaining = iter(leaves)

    def built(form):
        ((kind, content),) = form.items()
        if kind == "none":
            return None
        if kind == "array":
            return next(remaining)
        if kind == "dict":
            return {name: built(part) for name, part in content.items()}
        if kind in ("tuple", "list"):
            return (tuple if kind == "tuple" else list)(built(part) for part in content)
        if kind == "other":
            raise ArgumentError(f"like: got None, wanted parameters like those of {where}, which hold a {content}")
        module, name, parts = content
        return _record(module, name, where)(*(built(part) for part in parts))

    return built(form)


def _record(module: str, name: str, where: str) -> Any:
    found: Any = None
    try:
        found = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        found = None
    if not (isinstance(found, type) and issubclass(found, tuple) and hasattr(found, "_fields")):
        raise ArgumentError(f"like: got None, wanted parameters like those of {where}, which hold a {module}.{name}")
    return found


def described(state: Any) -> list[list[str]]:
    """The path, the dtype and the shape of every leaf, as text.

    >>> described({"w": jnp.zeros(2)})
    [["['w']", 'float32[2]']]
    """
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return [[jax.tree_util.keystr(path), f"{_dtype(leaf)}{list(np.shape(leaf))}"] for path, leaf in leaves]


def check_arrays(name: str, state: Any) -> None:
    """Raise ArgumentError, naming the path, for a leaf that is no array.

    >>> check_arrays("state", {"f": len})
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: state['f']: got a builtin_function_or_method, wanted an array
    """
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        if not (is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)):
            where = f"{name}{jax.tree_util.keystr(path)}"
            raise ArgumentError(f"{where}: got a {type(leaf).__name__}, wanted an array")


def check_like(like: Any, saved: list[list[str]], where: str) -> None:
    """Raise ArgumentError, naming the first leaf, where a pytree is not as `described` says.

    >>> check_like({"w": jnp.zeros(3)}, described({"w": jnp.zeros(2)}), "as saved")
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: like: got float32[3] at ['w'], wanted float32[2] at ['w'], as saved
    """
    asked = described(like)
    for (path, kind), (saved_path, saved_kind) in zip(asked, saved, strict=False):
        if (path, kind) != (saved_path, saved_kind):
            raise ArgumentError(
                f"like: got {kind} at {path or '.'}, wanted {saved_kind} at {saved_path or '.'}, {where}"
            )
    if len(asked) != len(saved):
        raise ArgumentError(f"like: got {len(asked)} arrays, wanted {len(saved)}, {where}")


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
