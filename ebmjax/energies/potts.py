"""Potts model: units of q states on a graph, where neighbours in the same state have a lower energy.

    E(s) = -Σ_e J_e [s_a(e) = s_b(e)] - Σ_i h_i[s_i],    s_i ∈ {0, …, q - 1}

The edges (a, b) are known before tracing: a `Graph` of `ebmjax.graphs` or `ebmjax.lattices`, or an integer array of
shape (edges, 2), such as that of `lattice`. There is one coupling for all edges or one for each, and one field for all
units or one for each. For q = 2 it is the Ising model of spins with the coupling J/2, up to a constant.

Potts (1952), "Some generalized order-disorder transformations"; Wu (1982), "The Potts model".
"""

import math
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ebmjax import lattices
from ebmjax.checks import ArgumentError, as_example, as_float, as_params, check_count
from ebmjax.graphs import as_edges
from ebmjax.records import record
from ebmjax.temperature import softargmin
from ebmjax.types import Beta, Numbers, Scalar


@record
class Params(NamedTuple):
    """Couplings and fields, in units of energy."""

    coupling: Float[Array, "*edges"]
    """J, a scalar, or one for each edge."""
    field: Float[Array, "*units states"]
    """h, of shape (states,) for the same field at all units, or (units, states). Its last axis says what q is."""


def critical_beta(states: int) -> float:
    """The inverse temperature of the transition of the infinite square lattice with J = 1: log(1 + √q).

    It is continuous for q ≤ 4 and of first order, with a latent heat, for q > 4. Raises ValueError for fewer than 2
    states. Baxter (1973), "Potts model at the critical temperature".

    >>> round(critical_beta(10), 6)
    1.426062
    """
    _check_states(states)
    return math.log1p(math.sqrt(states))


def lattice(rows: int, columns: int, periodic: bool = True) -> Int[np.ndarray, "edges 2"]:
    """The edges of a square lattice, whose units are numbered row after row.

    Args:
        rows, columns: at least 1.
        periodic: whether the last row and the first one are neighbours, and so for columns. A side of two units then
            has two edges between them, and a side of one unit none.

    Raises ValueError for a number of rows or columns below 1.

    >>> lattice(1, 3).tolist(), len(lattice(3, 3)), len(lattice(3, 3, periodic=False))
    ([[0, 1], [1, 2], [2, 0]], 18, 12)
    """
    check_count("rows", rows)
    check_count("columns", columns)
    return lattices.hypercubic((rows, columns), periodic).edges


def check_params(params: Params, edges: Int[Array | np.ndarray, "edges 2"], units: int) -> None:
    """Raise ValueError unless couplings and fields fit a graph, and there are at least 2 states.

    >>> check_params(Params(jnp.ones(3), jnp.zeros(2)), np.array([[0, 1]]), 2)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: coupling: got shape (3,), wanted () or (1,)
    """
    if jnp.shape(params.coupling) not in ((), (len(edges),)):
        raise ArgumentError(f"coupling: got shape {jnp.shape(params.coupling)}, wanted () or ({len(edges)},)")
    shape = jnp.shape(params.field)
    if len(shape) not in (1, 2) or shape[:-1] not in ((), (units,)):
        raise ArgumentError(f"field: got shape {shape}, wanted (states,) or ({units}, states)")
    if shape[-1] < 2:
        raise ArgumentError(f"field: got shape {shape}, wanted at least 2 states, the last axis")


def _check_states(states):
    if not isinstance(states, (int, np.integer)) or states < 2:
        raise ArgumentError(f"states: got {states!r}, wanted an integer of at least 2")


def _prepared(params, edges, state):
    """Floating parameters, edges, and the states as floats, which are compared and not computed with."""
    params = as_params(params, Params)
    state = as_example("state", state, params.field)
    if state.ndim != 1:
        raise ArgumentError(f"state: got shape {state.shape}, wanted one axis, the units")
    edges = as_edges(edges, len(state))
    check_params(params, edges, len(state))
    return params, edges, state


def energy(params: Params, edges: Any, state: Annotated[Numbers, "units"]) -> Scalar:
    """E(s) of the numbers 0 … q - 1 of the states of all units, a scalar.

    Raises ValueError for edges, or parameters, that do not fit the units.

    >>> float(energy(Params(jnp.array(2.0), jnp.array([0.0, 1.0, 0.0])), lattice(1, 3), jnp.array([1, 1, 2])))
    -4.0
    """
    params, edges, state = _prepared(params, edges, state)
    same = (state[edges[:, 0]] == state[edges[:, 1]]).astype(state.dtype)
    ones = _one_hot(params, state)
    return -(jnp.sum(params.coupling * same) + jnp.sum(jnp.broadcast_to(params.field, ones.shape) * ones))


def local_energies(params: Params, edges: Any, state: Annotated[Numbers, "units"]) -> Float[Array, "units states"]:
    """The energy of every state of every unit, up to one constant for each unit: -Σ_j J_ij [s_j = a] - h_i[a].

    Errors are those of `energy`.

    >>> local_energies(Params(jnp.array(2.0), jnp.zeros(3)), lattice(1, 3), jnp.array([1, 1, 2]))[0].tolist()
    [-0.0, -2.0, -2.0]
    """
    params, edges, state = _prepared(params, edges, state)
    coupling = jnp.broadcast_to(params.coupling, (len(edges),))[:, None]
    ones = _one_hot(params, state)
    around = jnp.zeros_like(ones)
    around = around.at[edges[:, 0]].add(coupling * ones[edges[:, 1]])
    around = around.at[edges[:, 1]].add(coupling * ones[edges[:, 0]])
    return -(around + jnp.broadcast_to(params.field, ones.shape))


def conditional(
    params: Params, edges: Any, state: Annotated[Numbers, "units"], beta: Beta
) -> Float[Array, "units states"]:
    """P(s_i = a | rest) of every unit at beta in [0, inf], which a Gibbs sampler draws from.

    Errors are those of `energy`, and of a bad beta.

    >>> conditional(Params(jnp.array(2.0), jnp.zeros(3)), lattice(1, 3), jnp.array([1, 1, 2]), jnp.inf)[0].tolist()
    [0.0, 0.5, 0.5]
    """
    return softargmin(local_energies(params, edges, state), beta)


def order_parameter(state: Annotated[Numbers, "units"], states: int) -> Float[Array, ""]:
    """m = (q max_a n_a/n - 1) / (q - 1): 1 where all units agree, near 0 where all states are equally frequent.

    Args:
        state: of n units, whole numbers from 0 to q - 1.
        states: q, at least 2.

    Raises:
        ValueError: a state that is no vector of numbers, fewer than 2 states.

    Wu (1982), section I.C.

    >>> [float(order_parameter(jnp.array(state), 2)) for state in ([1, 1, 1, 1], [0, 1, 0, 1])]
    [1.0, 0.0]
    """
    _check_states(states)
    state = as_float("state", state, (None,))
    kinds = jnp.arange(states, dtype=state.dtype)
    largest = jnp.mean((state[:, None] == kinds[None]).astype(state.dtype), axis=0).max()
    return (states * largest - 1) / (states - 1)


def _one_hot(params, state):
    numbers = jnp.arange(params.field.shape[-1]).astype(state.dtype)
    return (state[:, None] == numbers[None]).astype(state.dtype)
