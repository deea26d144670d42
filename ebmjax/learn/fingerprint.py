"""A fingerprint of what determines a training: its arrays, and its functions with all that they have captured.

Two trainings with the same fingerprint compute the same. The converse does not hold: two functions that are written in
different ways differ, as do those of two versions of Python.
"""

import functools
import hashlib
import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8


def fingerprint(tree: Any) -> UInt8[np.ndarray, "32"]:
    """The SHA-256 of a pytree of arrays, numbers and functions.

    Of an object of a class unknown to JAX only the class counts.

    >>> of = lambda rate: fingerprint(lambda w: w * rate).tolist()
    >>> of(0.1) == of(0.1), of(0.1) == of(0.2)
    (True, False)
    """
    digest = hashlib.sha256()
    _add(digest, tree, ())
    return np.frombuffer(digest.digest(), np.uint8)


def _add(digest: Any, tree: Any, inside: tuple[int, ...]) -> None:
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        digest.update(jax.tree_util.keystr(path).encode())
        if isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
            is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            array: Any = leaf
            content = np.asarray(jax.random.key_data(array) if is_key else array)
            digest.update(f"{getattr(leaf, 'dtype', content.dtype)}{content.shape}".encode())
            digest.update(content.tobytes())
        elif isinstance(leaf, str | bytes):
            digest.update(repr(leaf).encode())
        elif isinstance(leaf, functools.partial):
            _add(digest, (leaf.func, leaf.args, leaf.keywords), inside)
        elif isinstance(leaf, types.MethodType):
            _add(digest, (leaf.__func__, leaf.__self__), inside)
        elif isinstance(leaf, types.FunctionType) and "jaxtyping" in leaf.__code__.co_filename:
            _add(digest, getattr(leaf, "__wrapped__", None), inside)  # the shape checks of the tests
        elif isinstance(leaf, types.FunctionType) and id(leaf) not in inside:
            _add_code(digest, leaf.__code__)
            cells = [cell.cell_contents for cell in leaf.__closure__ or () if cell != types.CellType()]
            _add(digest, (cells, leaf.__defaults__, leaf.__kwdefaults__), (*inside, id(leaf)))
        else:
            named = leaf if hasattr(leaf, "__qualname__") else type(leaf)
            digest.update(f"{named.__module__}.{named.__qualname__}".encode())


def _add_code(digest: Any, code: types.CodeType) -> None:
    digest.update(code.co_code + repr((code.co_name, code.co_names)).encode())
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            _add_code(digest, constant)
        else:
            # a frozenset has no order that is the same in every process
            digest.update(repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant).encode())
