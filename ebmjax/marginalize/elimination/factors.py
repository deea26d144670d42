"""Energies that are sums of small factors on a graph, of units with a few states each.

    E(s) = Σ_i unary[i, s_i] + Σ_e pair[e, s_a(e), s_b(e)],    s_i ∈ {0, …, q - 1}

State 0 of a spin is -1 and state 1 is +1; state 0 of a bit is 0 and state 1 is 1. The edges are those of a plan.
"""

from typing import Annotated, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ebmjax.checks import ArgumentError, as_float, as_params, check_record, is_static
from ebmjax.energies import hopfield
from ebmjax.marginalize.elimination.plans import Plan, check_plan
from ebmjax.records import record
from ebmjax.types import Alphabet, Numbers, Scalar


@record
class Factors(NamedTuple):
    """The terms of an energy; or, as what `exact.marginals` returns, a probability for each of their entries."""

    unary: Float[Array, "units states"]
    """The energy of each state of each unit; +inf forbids a state."""
    pair: Float[Array, "edges states states"]
    """The energy of each pair of states of the two units of each edge; +inf forbids a pair."""


def as_factors(plan: Plan, factors: Factors) -> Factors:
    """Floating arrays of one dtype that fit a plan. Raises ValueError for other shapes, and for static NaN.

    >>> from ebmjax.marginalize.elimination import graphs, plans
    >>> plan = plans.plan(graphs.from_edges(2, [(0, 1)]))
    >>> as_factors(plan, Factors(np.zeros((3, 2)), np.zeros((1, 2, 2))))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: factors.unary: got shape (3, 2), wanted (2, 2)
    """
    check_plan(plan)
    check_record("factors", factors, Factors)
    unary = as_float("factors.unary", factors.unary, (plan.units, plan.states))
    pair = as_float("factors.pair", factors.pair, (len(plan.edges), plan.states, plan.states))
    for name, array in (("unary", unary), ("pair", pair)):
        if is_static(array) and np.isnan(np.asarray(array)).any():
            place = tuple(np.argwhere(np.isnan(np.asarray(array)))[0].tolist())
            raise ArgumentError(f"factors.{name}: got NaN at {place}, wanted energies")
    dtype = jnp.promote_types(unary.dtype, pair.dtype)
    return Factors(unary.astype(dtype), pair.astype(dtype))


def binary(alphabet: Alphabet, coupling: Annotated[Numbers, "edges"], field: Annotated[Numbers, "units"]) -> Factors:
    """The factors of E(s) = -Σ_e J_e s_a s_b - Σ_i h_i s_i, of spins or of bits.

    Args:
        alphabet: `ebmjax.types.SPINS` or `BITS`.
        coupling: J, one for each edge of the plan, in its order.
        field: h, one for each unit.

    Raises:
        ValueError: no `Alphabet`; arrays that are not numbers with one axis.

    >>> from ebmjax.types import SPINS
    >>> binary(SPINS, [2.0], [0.0, 1.0]).pair.tolist()
    [[[-2.0, 2.0], [2.0, -2.0]]]
    """
    check_record("alphabet", alphabet, Alphabet)
    coupling, field = as_float("coupling", coupling, (None,)), as_float("field", field, (None,))
    values = np.array([alphabet.low, alphabet.high])
    unary = -field[:, None] * jnp.asarray(values, field.dtype)[None]
    return Factors(unary, -coupling[:, None, None] * jnp.asarray(np.outer(values, values), coupling.dtype)[None])


def potts(coupling: Annotated[Numbers, "edges"], field: Annotated[Numbers, "units states"]) -> Factors:
    """The factors of E(s) = -Σ_e J_e [s_a = s_b] - Σ_i h_i[s_i], the Potts model.

    Args:
        coupling: J, one for each edge of the plan, in its order.
        field: h, one for each state of each unit; its last axis says how many states there are.

    Raises:
        ValueError: arrays that are not numbers, or have other axes.

    Potts (1952), "Some generalized order-disorder transformations".

    >>> potts([1.0], jnp.zeros((2, 3))).pair[0].tolist() == (-jnp.eye(3)).tolist()
    True
    """
    coupling, field = as_float("coupling", coupling, (None,)), as_float("field", field, (None, None))
    return Factors(-field, -coupling[:, None, None] * jnp.eye(field.shape[1], dtype=coupling.dtype)[None])


def machine(plan: Plan, params: hopfield.Params, alphabet: Alphabet) -> Factors:
    """The factors of a Hopfield network or a Boltzmann machine, E(s) = -½ sᵀWs - bᵀs, on the edges of a plan.

    The couplings are those of the plan's edges: its graph is `graphs.from_matrix(W)`, or one with more edges. An Ising
    lattice of `energies.ising` becomes such a machine by its `to_boltzmann`. W and b may be traced.

    Args:
        plan: of units with two states.
        params: W, symmetric with a zero diagonal, and b.
        alphabet: `ebmjax.types.SPINS` or `BITS`.

    Raises:
        ValueError: no plan, one of more than two states, or one whose edges do not contain all couplings of a static W;
            parameters of another shape; no `Alphabet`.

    >>> from ebmjax.marginalize.elimination import graphs, plans
    >>> from ebmjax.types import BITS
    >>> params = hopfield.Params(jnp.array([[0.0, 3.0], [3.0, 0.0]]), jnp.zeros(2))
    >>> machine(plans.plan(graphs.from_matrix(params.weights)), params, BITS).pair.tolist()
    [[[-0.0, -0.0], [-0.0, -3.0]]]
    """
    check_plan(plan)
    params = as_params(params, hopfield.Params)
    if plan.states != 2:
        raise ArgumentError(f"plan: got one of {plan.states} states, wanted 2")
    for name, array, shape in (("weights", params.weights, (plan.units,) * 2), ("bias", params.bias, (plan.units,))):
        as_float(f"params.{name}", array, shape)
    if len(np.unique(np.sort(plan.edges, axis=1), axis=0)) < len(plan.edges):
        raise ArgumentError("plan: got one with repeated edges, wanted each pair of units once")
    one, other = plan.edges[:, 0], plan.edges[:, 1]
    if is_static(params.weights):
        left = np.array(params.weights)
        left[one, other] = left[other, one] = 0
        if left.any():
            where = tuple(np.argwhere(left)[0].tolist())
            raise ArgumentError(f"params.weights: got a coupling {where} that is no edge of the plan, wanted its edges")
    return binary(alphabet, params.weights[one, other], params.bias)


def energy(plan: Plan, factors: Factors, state: Annotated[Numbers, "units"]) -> Scalar:
    """The energy of one state, given by the number 0 … q - 1 of the state of each unit; a scalar.

    Raises ValueError for factors that do not fit the plan, a state of another length, or one that is not integers.

    >>> from ebmjax.marginalize.elimination import graphs, plans
    >>> plan = plans.plan(graphs.from_edges(2, [(0, 1)]), states=3)
    >>> float(energy(plan, potts([2.0], jnp.zeros((2, 3))), jnp.array([1, 1])))
    -2.0
    """
    factors = as_factors(plan, factors)
    state = as_state("state", state, (plan.units,))
    return energy_of(plan, factors, state)


def energy_of(plan: Plan, factors: Factors, state: Int[Array, " units"]) -> Float[Array, ""]:
    """`energy` of checked arguments.

    >>> from ebmjax.marginalize.elimination import graphs, plans
    >>> plan = plans.plan(graphs.from_edges(1, []))
    >>> float(energy_of(plan, Factors(jnp.array([[2.0, 3.0]]), jnp.zeros((0, 2, 2))), jnp.array([1])))
    3.0
    """
    unary = factors.unary[np.arange(plan.units, dtype=np.int32), state]
    ends = state[plan.edges]
    pair = factors.pair[np.arange(len(plan.edges), dtype=np.int32), ends[:, 0], ends[:, 1]]
    return jnp.sum(unary) + jnp.sum(pair)


def as_state(name: str, state: Numbers, shape: tuple[int | None, ...]) -> Int[Array, "..."]:
    """Numbers of states as integers. Raises ValueError for what is not whole numbers, or has another shape.

    >>> as_state("state", [1.0, 0.0], (2,)).tolist()
    [1, 0]
    """
    array = as_float(name, state, shape)
    if is_static(array) and (np.asarray(array) != np.rint(np.asarray(array))).any():
        raise ArgumentError(f"{name}: got numbers that are not whole, wanted numbers of states")
    return array.astype(jnp.int32)


def values(alphabet: Alphabet, state: Annotated[Numbers, "*units"]) -> Float[Array, "*units"]:
    """The spins or bits of units whose states are numbered 0 and 1. Raises ValueError for other numbers.

    >>> from ebmjax.types import SPINS
    >>> values(SPINS, jnp.array([0, 1])).tolist()
    [-1.0, 1.0]
    """
    check_record("alphabet", alphabet, Alphabet)
    array = as_float("state", state)
    if is_static(array) and not np.isin(np.asarray(array), (0, 1)).all():
        raise ArgumentError("state: got numbers other than 0 and 1, wanted states of binary units")
    return alphabet.low + array * (alphabet.high - alphabet.low)
