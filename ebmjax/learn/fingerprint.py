"""A fingerprint of what determines a training: its arrays, and the program of its update.

The program is what JAX traces: its operations, their parameters, and the numbers that it has captured. So it does not
depend on how the functions of a learner are written or where they stand, but on what they compute. Another version of
JAX or of a package may trace another program for the same mathematics.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
from jaxtyping import UInt8

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def fingerprint(tree: Any) -> UInt8[np.ndarray, "32"]:
    """The SHA-256 of a pytree of arrays and numbers: its structure, and their dtypes, shapes and bits.

    >>> of = lambda rate: fingerprint({"rate": rate}).tolist()
    >>> of(0.1) == of(0.1), of(0.1) == of(0.2)
    (True, False)
    """
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        digest.update(jax.tree_util.keystr(path).encode())
        _add_value(digest, leaf)
    return np.frombuffer(digest.digest(), np.uint8)


def program_fingerprint(function: Callable[..., Any], *args: Any) -> UInt8[np.ndarray, "32"]:
    """The SHA-256 of the program that a function of these arguments is traced to, and of the arrays that it captured.

    Args:
        function: a function of pytrees of arrays.
        args: arrays, or `jax.ShapeDtypeStruct`; of arrays only the shapes and dtypes count.

    >>> of = lambda rate: program_fingerprint(lambda w: w * rate, jnp.ones(2)).tolist()
    >>> of(0.1) == of(0.1), of(0.1) == of(0.2), of(jnp.array(0.1)) == of(jnp.array(0.2))
    (True, False, False)
    """
    digest = hashlib.sha256()
    _add_closed(digest, jax.make_jaxpr(function)(*args))
    return np.frombuffer(digest.digest(), np.uint8)


def _add_closed(digest: Any, program: ClosedJaxpr) -> None:
    for constant in program.consts:
        _add_value(digest, constant)
    _add_program(digest, program.jaxpr)


def _add_program(digest: Any, program: Jaxpr) -> None:
    places: dict[Any, int] = {}
    for variable in (*program.constvars, *program.invars):
        places[variable] = len(places)
        digest.update(f"{variable.aval}".encode())
    for equation in program.eqns:
        digest.update(equation.primitive.name.encode())
        _add_atoms(digest, equation.invars, places)
        for name, value in sorted(equation.params.items()):
            digest.update(name.encode())
            _add_parameter(digest, value)
        for variable in equation.outvars:
            places[variable] = len(places)
            digest.update(f"{variable.aval}".encode())
    _add_atoms(digest, program.outvars, places)


def _add_atoms(digest: Any, atoms: Any, places: dict[Any, int]) -> None:
    for atom in atoms:
        if isinstance(atom, Literal):
            _add_value(digest, atom.val)
        else:
            digest.update(f"{places[atom]}".encode())


def _add_parameter(digest: Any, value: Any) -> None:
    if isinstance(value, ClosedJaxpr):
        _add_closed(digest, value)
    elif isinstance(value, Jaxpr):
        _add_program(digest, value)
    elif isinstance(value, tuple | list):
        for part in value:
            _add_parameter(digest, part)
    elif isinstance(value, jax.Array | np.ndarray):
        _add_value(digest, value)
    elif callable(value):
        # a derivative rule, such as that of a custom function, whose value is in the program already
        digest.update(type(value).__name__.encode())
    else:
        digest.update(_ADDRESS.sub("", repr(value)).encode())


def _add_value(digest: Any, leaf: Any) -> None:
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    content = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
    digest.update(f"{getattr(leaf, 'dtype', content.dtype)}{content.shape}".encode())
    digest.update(content.tobytes())
