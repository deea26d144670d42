"""What samplers that follow a gradient share: a position with its slope, the decision, and arithmetic on trees."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from ebmjax.types import Energy


class State(NamedTuple):
    """Where the walk is, and the energy and its gradient there: each step evaluates them once, at its end."""

    position: PyTree[Array]
    energy: Float[Array, ""]
    gradient: PyTree[Array]


class Info(NamedTuple):
    """What became of a proposal."""

    accepted: Bool[Array, ""]  # a refused move counts the old state again
    energy_error: Float[Array, ""]  # Δ: accepted with probability min(1, exp(-Δ)); 0 for a perfect integrator
    diverged: Bool[Array, ""]  # energy or gradient of the proposal is not finite


def locate(energy: Energy, position: PyTree[Array]) -> State:
    """A position with its energy and gradient.

    Raises TypeError for a position that holds anything but floats.

    >>> locate(lambda x: x**2, jnp.array(3.0)).gradient.item()
    6.0
    """
    position = jax.tree.map(jnp.asarray, position)
    for leaf in jax.tree.leaves(position):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(f"position: got dtype {leaf.dtype}, wanted floats, which have gradients")
    value, gradient = jax.value_and_grad(energy)(position)
    return State(position, value, gradient)


def is_finite(state: State) -> Bool[Array, ""]:
    """Whether energy and gradient are.

    >>> bool(is_finite(locate(jnp.sqrt, jnp.array(0.0))))
    False
    """
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((state.energy, state.gradient))]
    return jnp.stack(leaves).all()


def decide(key: Key[Array, ""], old: State, new: State, energy_error: Float[Array, ""]) -> tuple[State, Info]:
    """The new state with probability min(1, exp(-energy_error)), never one that is not finite; else the old.

    >>> start, end = locate(jnp.square, jnp.array(1.0)), locate(jnp.square, jnp.array(0.0))
    >>> bool(decide(jax.random.key(0), start, end, jnp.array(-1.0))[1].accepted)
    True
    """
    finite = is_finite(new)
    # an exponential draw instead of exp(-error), which would underflow; no comparison with NaN holds
    accepted = finite & (jax.random.exponential(key, dtype=energy_error.dtype) >= energy_error)
    state = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), new, old)
    return state, Info(accepted, energy_error, ~finite)
