"""Chains that a phase keeps from update to update, while the parameters of their law change.

Neal (1992), "Connectionist learning of belief networks", keeps such chains; Tieleman (2008) calls them persistent.
"""

from typing import Any, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Key

from ebmjax.checks import check_callable, check_count, check_key, leading_axis
from ebmjax.compiled import compiled
from ebmjax.loops import repeat
from ebmjax.states import begun, continued
from ebmjax.types import AnyKernel


@runtime_checkable
class MakeKernel(Protocol):
    """The kernel of a model, its temperature included. (`ebmjax.types.KernelAtBeta` is beta -> kernel.)"""

    def __call__(self, params: Any, /) -> AnyKernel:
        """The kernel whose law is that of the model with these parameters."""
        ...


@runtime_checkable
class StartChain(Protocol):
    """How a chain begins that does not depend on the data."""

    def __call__(self, key: Key[Array, ""], /) -> Any:
        """The position of one chain."""
        ...


@compiled
def first_states(key: Key[Array, ""], params: Any, make_kernel: MakeKernel, start: StartChain, chains: int) -> Any:
    """The states of new chains, each from a start of its own, stacked along a leading axis.

    Raises ValueError for an argument of another kind.

    >>> from ebmjax.sample.gibbs import systematic
    >>> make_kernel = lambda w: systematic(lambda s: -w * s.sum(), 1.0)
    >>> start = lambda key: jax.random.rademacher(key, (2,), float)
    >>> first_states(jax.random.key(0), 0.5, make_kernel, start, 5).position.shape
    (5, 2)
    """
    check_key("key", key)
    check_callable("make_kernel", make_kernel)
    check_callable("start", start)
    check_count("chains", chains)
    kernel = make_kernel(params)

    def first(key):
        start_key, begin_key = jax.random.split(key)
        return begun(begin_key, kernel, start(start_key))

    # without weak types, so that the first update is compiled for the states of all later ones
    strong = lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype)
    return jax.tree.map(strong, jax.vmap(first)(jax.random.split(key, chains)))


@compiled
def next_states(key: Key[Array, ""], params: Any, states: Any, make_kernel: MakeKernel, steps: int) -> tuple[Any, Any]:
    """`(positions, states)` of the chains after some steps of the kernel of these parameters.

    A state goes on from update to update: only what `init` computes from the parameters is computed anew. Raises
    ValueError for an argument of another kind.

    >>> from ebmjax.sample.gibbs import systematic
    >>> make_kernel = lambda w: systematic(lambda s: -w * s.sum(), 1.0)
    >>> states = first_states(jax.random.key(0), 0.5, make_kernel, lambda key: jax.numpy.ones(2), 5)
    >>> next_states(jax.random.key(1), 0.6, states, make_kernel, 3)[0].shape
    (5, 2)
    """
    check_key("key", key)
    check_callable("make_kernel", make_kernel)
    check_count("steps", steps)
    kernel = make_kernel(params)

    def run(key, state):
        begin_key, steps_key = jax.random.split(key)
        return repeat(steps_key, kernel, continued(begin_key, make_kernel, params, state), steps).state

    states = jax.vmap(run)(jax.random.split(key, leading_axis("memory", states)), states)
    return states.position, states
