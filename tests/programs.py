"""The equations of a traced program, those of inner programs included."""

from collections.abc import Callable, Iterator
from typing import Any

import jax


def equations(function: Callable[..., Any], *args: Any) -> list[Any]:
    """All equations that a function of these arguments is traced to."""
    return list(_within(jax.make_jaxpr(function)(*args).jaxpr))


def _within(program: Any) -> Iterator[Any]:
    is_program = lambda value: _program_of(value) is not None
    for equation in program.eqns:
        yield equation
        for inner in filter(is_program, jax.tree.leaves(list(equation.params.values()), is_leaf=is_program)):
            yield from _within(_program_of(inner))


def _program_of(value: Any) -> Any:
    value = getattr(value, "jaxpr", value)
    return value if hasattr(value, "eqns") else None
