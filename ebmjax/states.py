"""The states of kernels: how a chain begins, and how it goes on where its law changes.

    begun       the state at a position
    continued   the state of a chain whose law has changed, such as by an update of the parameters
    moved       the state of a chain that something else than its kernel has moved
    arranged    a state that `init` has made, with its parts in the order of those of a state that goes on

A state holds two kinds of things. What was computed from the law, such as the energy at the position, is wrong as soon
as the law is another one. Everything else, such as whose turn it is, a momentum or a count of steps, belongs to the
chain, and goes on. `continued` tells them apart by what `init` computes from the law. It works for every kernel of the
protocol `init`, `step`, also for those of other packages.
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import Jaxpr, Literal
from jaxtyping import Array, Key

from ebmjax.types import AnyKernel

_CALLS = ("jit", "pjit", "closed_call", "core_call", "checkpoint", "remat2", "custom_jvp_call", "custom_vjp_call")
"""Primitives that call a function of theirs with their own arguments."""


def begun(key: Key[Array, ""], kernel: AnyKernel, position: Any) -> Any:
    """The state of a kernel at a position; the key is for kernels that draw at the start, such as a momentum.

    >>> from ebmjax.sample.gibbs import systematic
    >>> begun(jax.random.key(0), systematic(lambda s: -s.sum(), 1.0), jax.numpy.ones(2)).position.tolist()
    [1.0, 1.0]
    """
    return kernel.init(position, key) if _takes_key(kernel.init) else kernel.init(position)


def continued(key: Key[Array, ""], make_kernel: Callable[[Any], AnyKernel], law: Any, state: Any) -> Any:
    """The state of a chain under a new law: what `init` computes from the law is computed anew, all else is kept.

    Args:
        key: for kernels whose `init` draws.
        make_kernel: `law -> kernel`.
        law: what the kernel is made of, such as the parameters of a model, or beta.
        state: of a kernel of an earlier law.

    Returns:
        The state, of the structure, shapes and dtypes of the old one.

    >>> from typing import NamedTuple
    >>> from ebmjax.types import Kernel
    >>> class State(NamedTuple):
    ...     position: float
    ...     energy: float
    ...     count: int
    >>> begin = lambda slope: lambda position, rng_key=None: State(position, slope * position, 0)
    >>> make_kernel = lambda slope: Kernel(begin(slope), lambda key, state: (state, None))
    >>> old = State(*map(jax.numpy.asarray, (2.0, 6.0, 41)))
    >>> [leaf.item() for leaf in continued(jax.random.key(0), make_kernel, 5.0, old)]
    [2.0, 10.0, 41]
    """
    leaves, structure = jax.tree.flatten(law)
    of_law = [isinstance(leaf, jax.Array | np.ndarray | np.generic | float | int) for leaf in leaves]

    def init(numbers):
        remaining = iter(numbers)
        whole = [next(remaining) if number else leaf for number, leaf in zip(of_law, leaves, strict=True)]
        return begun(key, make_kernel(jax.tree.unflatten(structure, whole)), state.position)

    return _renewed(init, [leaf for number, leaf in zip(of_law, leaves, strict=True) if number], state)


def moved(key: Key[Array, ""], kernel: AnyKernel, state: Any, position: Any) -> Any:
    """The state of a chain at another position: what `init` computes from the position is computed anew, all else kept.

    Args:
        key: for kernels whose `init` draws.
        kernel: of the chain.
        state: of this kernel, at the old position.
        position: the new one, of the structure and shapes of the old one.

    Returns:
        The state, of the structure, shapes and dtypes of the old one.

    >>> from typing import NamedTuple
    >>> from ebmjax.types import Kernel
    >>> class State(NamedTuple):
    ...     position: float
    ...     energy: float
    ...     count: int
    >>> begin = lambda position, rng_key=None: State(position, 3.0 * position, 0)
    >>> old = State(*map(jax.numpy.asarray, (2.0, 6.0, 41)))
    >>> [leaf.item() for leaf in moved(jax.random.key(0), Kernel(begin, lambda key, state: (state, None)), old, 5.0)]
    [5.0, 15.0, 41]
    """
    return _renewed(lambda position: begun(key, kernel, position), jax.tree.map(jax.numpy.asarray, position), state)


def arranged(state: Any, new: Any) -> Any:
    """What `init` made of the position of a state, with its parts in the order of those of the state.

    Nearly all states have their parts in the order in which `init` puts them, and the new one is returned as it is. A
    state that has not, such as that of `tempering`, whose replicas keep their places while their temperatures change,
    has a method `arranged(new)`, which is called here, wherever this state is inside another one.

    Args:
        state: of a kernel, or of many, stacked along leading axes.
        new: what `init` of this kernel made of `state.position`, or of another position; of the same structure.

    >>> from typing import NamedTuple
    >>> class Reversed(NamedTuple):
    ...     position: jax.Array
    ...     arranged = lambda self, new: Reversed(new.position[::-1])
    >>> arranged((Reversed(jax.numpy.zeros(2)), 0), (Reversed(jax.numpy.arange(2)), 5))
    (Reversed(position=Array([1, 0], dtype=int32)), 5)
    """
    has_order = lambda node: hasattr(node, "arranged")
    arrange = lambda old, new: old.arranged(new) if has_order(old) else new
    return jax.tree.map(arrange, state, new, is_leaf=has_order)


def _renewed(init, given, state):
    """The state with all parts of `init(given)` that depend on what is given, and the rest as it was."""
    program, shapes = jax.make_jaxpr(init, return_shape=True)(given)
    stale = _dependent(program.jaxpr, [True] * len(program.jaxpr.invars))
    if not any(stale):
        return state
    stale = jax.tree.unflatten(jax.tree.structure(shapes), stale)
    renew = lambda stale, new, old: jax.lax.convert_element_type(new, old.dtype) if stale else old
    return jax.tree.map(renew, stale, arranged(state, init(given)), state)


def _takes_key(init: Callable[..., Any]) -> bool:
    """Whether the second argument is a key: it is called so, or must be given."""
    try:
        parameters = list(inspect.signature(init).parameters.values())
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) > 1 and (positional[1].name == "rng_key" or positional[1].default is inspect.Parameter.empty)


def _dependent(program: Jaxpr, inputs: list[bool]) -> list[bool]:
    """Which results of a program depend on its marked inputs; loops and conditionals are taken as a whole."""
    marked = {variable for variable, mark in zip(program.invars, inputs, strict=True) if mark}
    depends = lambda atom: not isinstance(atom, Literal) and atom in marked
    for equation in program.eqns:
        marks = [depends(atom) for atom in equation.invars]
        inner = _called(equation)
        results = _dependent(inner, marks) if inner is not None else [any(marks)] * len(equation.outvars)
        marked |= {variable for variable, mark in zip(equation.outvars, results, strict=True) if mark}
    return [depends(atom) for atom in program.outvars]


def _called(equation: Any) -> Jaxpr | None:
    """The function that an equation calls with its own arguments, if it is such a call."""
    for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if equation.primitive.name in _CALLS else ():
        inner = equation.params.get(name)
        inner = getattr(inner, "jaxpr", inner)
        if inner is not None and len(inner.invars) == len(equation.invars):
            return inner
    return None
