"""What a network holds besides its weights: running statistics of batch normalization, counts and keys of dropout.

An NNX module is a pytree whose leaves are all its variables. Only those of the class `nnx.Param` are learned.
"""

from typing import Any

import jax
from flax import nnx
from flax.errors import TraceContextError

from ebmjax.checks import ArgumentError

CannotChangeError = TraceContextError
"""What Flax raises where a variable would change inside a transformation, such as `jax.vmap`, that it came from outside
of."""


def are_weights(params: Any) -> list[bool]:
    """For each leaf of a pytree, whether it may be learned: all but the variables of NNX that are no `nnx.Param`.

    Raises ArgumentError where two layers share a variable: as leaves of a pytree they would be learned apart.

    >>> are_weights({"layer": nnx.BatchNorm(2, rngs=nnx.Rngs(0)), "scale": 1.0})  # bias, mean, scale, var; scale
    [True, False, True, False, True]
    """
    is_variable = lambda node: isinstance(node, nnx.Variable)
    found, flags = {}, []
    for path, node in jax.tree_util.tree_flatten_with_path(params, is_leaf=is_variable)[0]:
        if is_variable(node) and found.setdefault(id(node), path) != path:
            both = " and ".join(f"params{jax.tree_util.keystr(where)}" for where in (found[id(node)], path))
            raise ArgumentError(f"params: got one variable at {both}, wanted layers that share none")
        flags += [isinstance(node, nnx.Param) or not is_variable(node)] * len(jax.tree.leaves(node))
    return flags
