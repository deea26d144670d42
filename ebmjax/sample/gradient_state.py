"""What the samplers that follow a gradient share: a position with its energy and gradient, and the decision to move.

    evaluate          energy and gradient at a position
    start             the same where a chain starts, which must be finite
    is_finite         whether both are finite there
    accept_or_stay    the decision of Metropolis between the old state and a proposed one

`langevin` and `hamiltonian` are made of these and of the arithmetic of `trees`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from ebmjax.checks import ArgumentError, as_floats, as_scalar, is_static
from ebmjax.compiled import compiled
from ebmjax.records import record
from ebmjax.sample.metropolis import accepts, check_allowed, is_forbidden
from ebmjax.types import Energy


@record
class State(NamedTuple):
    """A position, its energy and the gradient there: a step evaluates them at its end, and the next one uses them."""

    position: PyTree[Array]
    energy: Float[Array, ""]
    gradient: PyTree[Array]
    """∂E/∂position, without beta, of the structure of the position."""


@record
class Info(NamedTuple):
    """What happened to the proposal of a step."""

    accepted: Bool[Array, ""]
    """Whether the chain moved to the proposal."""
    energy_error: Float[Array, ""]
    """Δ of the acceptance probability min(1, exp(-Δ)): 0 for a perfect integrator."""
    diverged: Bool[Array, ""]
    """Whether energy or gradient of the proposal is not finite; such a proposal is refused."""
    forbidden: Bool[Array, ""]
    """Whether the energy where the chain now is is +inf or NaN. There it cannot be, and it can be stuck there."""


def evaluate(energy: Energy, position: PyTree[Any]) -> State:
    """The state at a position: energy and gradient, evaluated together.

    Args:
        energy: `energy(position) -> scalar`, differentiable.
        position: any pytree of arrays of numbers, which become floats.

    Raises:
        ValueError: a position that is not numbers, an energy that is no scalar.

    >>> evaluate(lambda x: x**2, jnp.array(3.0)).gradient.item()
    6.0
    """
    return _evaluate(energy, as_floats("position", position))


@compiled
def _evaluate(energy, position):
    value, gradient = jax.value_and_grad(lambda position: as_scalar("energy", energy(position)))(position)
    return State(position, value, gradient)


def start(energy: Energy, position: PyTree[Any]) -> State:
    """The state at which a chain starts: that of `evaluate`, where energy and gradient are finite.

    Raises:
        ValueError: as `evaluate`; static ones that are not finite.

    >>> start(jnp.log, jnp.array(0.0))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: position: got an energy of -inf there, wanted a finite energy and gradient
    """
    state = evaluate(energy, position)
    check_allowed("position", state.energy)
    finite = is_finite(state)
    if is_static(finite) and not finite:
        raise ArgumentError(f"position: got an energy of {state.energy} there, wanted a finite energy and gradient")
    return state


def is_finite(state: State) -> Bool[Array, ""]:
    """Whether the energy and every element of the gradient are finite.

    >>> bool(is_finite(evaluate(jnp.sqrt, jnp.array(0.0))))
    False
    """
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves((state.energy, state.gradient))]
    return jnp.stack(leaves).all()


def accept_or_stay(key: Key[Array, ""], old: State, new: State, energy_error: Float[Array, ""]) -> tuple[State, Info]:
    """The new state with probability min(1, exp(-energy_error)), otherwise the old one.

    A new state whose energy or gradient is not finite is always refused.

    Args:
        key: typed random key.
        old: the state before the step.
        new: the proposed state.
        energy_error: Δ, a scalar: -log of the acceptance ratio.

    Returns:
        `(state, info)`, which the step of a kernel returns.

    >>> start, end = evaluate(jnp.square, jnp.array(1.0)), evaluate(jnp.square, jnp.array(0.0))
    >>> bool(accept_or_stay(jax.random.key(0), start, end, jnp.array(-1.0))[1].accepted)
    True
    """
    finite = is_finite(new)
    # from where a chain cannot be, it takes every position where it can be
    accepted = finite & (is_forbidden(old.energy) | accepts(key, energy_error))
    state = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), new, old)
    return state, Info(accepted, energy_error, ~finite, is_forbidden(state.energy))
