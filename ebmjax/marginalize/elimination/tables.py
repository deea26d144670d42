"""Summing out all units of a plan: one scan, in which every step is the same program on tables of the same shape.

A table has an axis of q states for each slot, the first slot being the fastest axis. A step takes the table that
depends on its unit, adds the factors of this unit, and sums the unit out; its result has an axis less, is spread along
the axis of the unit again, and is stored or added. Each result is shifted to have its least entry at zero, so that
float32 keeps the differences.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.compiled import compiled
from ebmjax.marginalize.elimination.factors import Factors
from ebmjax.marginalize.elimination.plans import Plan, Steps
from ebmjax.marginalize.elimination.summing_out import summed_out
from ebmjax.records import record


@record
class Terms(NamedTuple):
    """The factors in the order of the steps: those of the unit that is summed out, with the neighbours it then has."""

    own: Float[Array, "chunks steps states"]
    """The energies of the states of the unit."""
    beside: Float[Array, "chunks steps places states states"]
    """The energy of its state (first) with the state of the unit in each place; zero where there is no edge."""


@record
class Whole(NamedTuple):
    """What is left when all units are summed out."""

    free_energy: Float[Array, ""]
    log_count: Float[Array, ""]
    """At beta = inf the logarithm of the share of states that have the least energy."""


def terms(plan: Plan, factors: Factors) -> Terms:
    """The factors of a plan in the order of its steps; those of an edge that is repeated are added up.

    >>> from ebmjax.marginalize.elimination import graphs, plans
    >>> plan = plans.plan(graphs.from_edges(2, [(0, 1), (1, 0)]))
    >>> terms(plan, Factors(jnp.zeros((2, 2)), jnp.arange(8.0).reshape(2, 2, 2))).beside[0, 0, 0].tolist()
    [[4.0, 7.0], [7.0, 10.0]]
    """
    unary, pair = factors
    nothing = jnp.zeros((1, plan.states), unary.dtype)
    own = jnp.concatenate([unary, nothing])[plan.steps.unit]
    oriented = jnp.where(jnp.asarray(plan.edge_turned)[:, None, None], jnp.swapaxes(pair, 1, 2), pair)
    chunks, steps, places = plan.steps.neighbors.shape
    beside = jnp.zeros((chunks, steps, places, plan.states, plan.states), unary.dtype)
    at = (plan.edge_step[:, 0], plan.edge_step[:, 1], plan.edge_place)
    return Terms(own, beside.at[at].add(oriented) if len(plan.edges) else beside)


def without_tables(plan: Plan, dtype: Any) -> Float[Array, "depth 2 table"]:
    """The stack of tables before the first step: energies, and logarithms of counts.

    >>> from ebmjax.marginalize.elimination import graphs, plans
    >>> without_tables(plans.plan(graphs.from_edges(2, [(0, 1)])), jnp.float32).shape
    (1, 2, 4)
    """
    return jnp.zeros((plan.depth, 2, plan.states**plan.slots), dtype)


def on_device(plan: Plan) -> Plan:
    """A plan whose arrays are arrays of JAX: plans of one shape then share a compiled program.

    >>> from ebmjax.marginalize.elimination import graphs, plans
    >>> on_device(plans.plan(graphs.from_edges(2, [(0, 1)]))).edges
    Array([[0, 1]], dtype=int32)
    """
    return jax.tree.map(lambda leaf: leaf if isinstance(leaf, int) else jnp.asarray(leaf), plan)


def eliminated(plan: Plan, factors: Factors, beta: Float[Array, ""]) -> Whole:
    """Sum out all units. A gradient computes each chunk again, and keeps about 2 √units stacks of tables.

    Args:
        plan: a checked plan.
        factors: checked factors.
        beta: inverse temperature, in the dtype of the factors.

    >>> from ebmjax.marginalize.elimination import graphs, plans
    >>> plan = plans.plan(graphs.from_edges(2, [(0, 1)]))
    >>> factors = Factors(jnp.array([[0.0, 1.0], [0.0, 1.0]]), jnp.zeros((1, 2, 2)))
    >>> float(eliminated(plan, factors, jnp.array(jnp.inf)).free_energy)
    0.0
    """
    return _eliminated(plan, factors, beta)


@compiled
def _eliminated(plan, factors, beta):
    @jax.checkpoint
    def chunk(stack, inputs):
        return jax.lax.scan(step, stack, inputs)

    @jax.checkpoint
    def step(stack, inputs):
        stack, moved, _ = advance(plan, beta, stack, *inputs)
        return stack, moved

    stack = without_tables(plan, factors.unary.dtype)
    stack, moved = jax.lax.scan(chunk, stack, (plan.steps, terms(plan, factors)))
    least, log_count = jnp.sum(moved, axis=(0, 1)) + stack[0, :, 0]
    return Whole(least, jax.lax.stop_gradient(log_count))


def advance(
    plan: Plan, beta: Float[Array, ""], stack: Float[Array, "depth 2 table"], step: Steps, term: Terms
) -> tuple[Float[Array, "depth 2 table"], Float[Array, "2"], Float[Array, "2 states rest"]]:
    """One step: the next stack, what was taken from all entries, and the tables before, by the state of the unit.

    `step` and `term` are those of one step. See `eliminated`.

    >>> from ebmjax.marginalize.elimination import graphs, plans
    >>> plan = plans.plan(graphs.from_edges(1, []))
    >>> of_unit = terms(plan, Factors(jnp.array([[3.0, 5.0]]), jnp.zeros((0, 2, 2))))
    >>> first = lambda tree: jax.tree.map(lambda array: jnp.asarray(array)[0, 0], tree)
    >>> stack, moved, _ = advance(plan, jnp.array(0.0), without_tables(plan, float), first(plan.steps), first(of_unit))
    >>> moved.tolist()
    [4.0, 0.0]
    """
    states, slots = plan.states, plan.slots
    rest = states ** (slots - 1)
    held = jnp.where(step.source >= 0, stack[jnp.maximum(step.source, 0)], 0)
    # a branch for each slot: a reshape is far faster than looking up entries
    before = jax.lax.switch(step.slot, [_opened(states, slot) for slot in range(slots)], held)
    total = before[0] + _added(term.own, term.beside, rest)
    result = jnp.stack(summed_out(total, before[1], beta))
    moved = jax.lax.stop_gradient(jnp.stack([jnp.min(result[0]), jnp.max(result[1])]))
    moved = jnp.where(jnp.isfinite(moved), moved, 0)
    spread = jax.lax.switch(step.slot, [_closed(states, slot) for slot in range(slots)], result - moved[:, None])
    kept = jnp.where(step.adds, stack[step.target], 0)
    return stack.at[step.target].set(kept + spread), moved, before


def _opened(states: int, slot: int):
    """The table of the unit in a slot, its states first: (2, table) -> (2, states, rest)."""
    low = states**slot

    def opened(table):
        return jnp.swapaxes(table.reshape(2, -1, states, low), 1, 2).reshape(2, states, -1)

    return opened


def _closed(states: int, slot: int):
    """A table without the unit in a slot, the same for all its states: (2, rest) -> (2, table)."""
    low = states**slot

    def closed(table):
        parts = table.reshape(2, -1, 1, low)
        return jnp.broadcast_to(parts, (2, parts.shape[1], states, low)).reshape(2, -1)

    return closed


def _added(own, beside, rest):
    """The factors of a unit as a table over its places, as the sum of two small tables: half of the places each."""
    places, states = beside.shape[0], own.shape[0]
    half = places // 2
    low, high = _outer_sum(beside[:half], jnp.zeros_like(own)), _outer_sum(beside[half:], own)
    return (high[:, :, None] + low[:, None, :]).reshape(states, rest)


def _outer_sum(beside, own):
    table = own[:, None]
    for place in range(beside.shape[0]):
        table = (beside[place][:, :, None] + table[:, None, :]).reshape(own.shape[0], -1)
    return table


def log_states(plan: Plan) -> float:
    """The logarithm of the number of states of all units.

    >>> from ebmjax.marginalize.elimination import graphs, plans
    >>> round(log_states(plans.plan(graphs.from_edges(3, []), states=3)), 4)
    3.2958
    """
    return plan.units * math.log(plan.states)


def index_weights(plan: Plan) -> np.ndarray:
    """What a state counts in each place, so that the sum is the index of an entry of a table without the unit.

    >>> from ebmjax.marginalize.elimination import graphs, plans
    >>> index_weights(plans.plan(graphs.from_edges(3, [(0, 1), (1, 2), (2, 0)]), states=3)).tolist()
    [1, 3]
    """
    return (plan.states ** np.arange(plan.slots - 1)).astype(np.int32)
