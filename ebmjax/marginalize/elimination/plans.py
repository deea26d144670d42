"""The plan of an elimination: which unit is summed out when, and where its table is kept.

Units are summed out one by one. The table of a unit, a function of its neighbours at its turn, is added to the table of
the first of these neighbours that is summed out. This makes a tree of units, and a stack of few tables suffices if the
branch that needs most of them comes first.

All tables have the same shape, so that one compiled step serves for every unit: they have an axis for each of width + 1
slots, and each unit has a slot that none of its neighbours has. A table is constant along the axes of slots that it
does not depend on.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from ebmjax.checks import ArgumentError, check_count, check_record, is_static
from ebmjax.graphs import Graph, check_graph
from ebmjax.marginalize.elimination.orders import WIDEST, Order, best, given, least_width
from ebmjax.records import record

MOST_ENTRIES = 2**22
"""No table is larger than this."""


@record
class Steps(NamedTuple):
    """One step for each unit, in chunks that are computed again for a gradient; the last steps sum out nothing."""

    unit: Int[np.ndarray, "chunks steps"]
    """The unit that is summed out; the number of units where there is none."""
    slot: Int[np.ndarray, "chunks steps"]
    """Its slot."""
    source: Int[np.ndarray, "chunks steps"]
    """The table of the stack that depends on this unit; -1 where there is none yet."""
    target: Int[np.ndarray, "chunks steps"]
    """The table of the stack where the result is stored."""
    adds: Bool[np.ndarray, "chunks steps"]
    """Whether it is added to what is there."""
    neighbors: Int[np.ndarray, "chunks steps places"]
    """The unit in each other slot; the number of units where there is none."""


@record
class Plan(NamedTuple):
    """How a graph is eliminated. It is known before tracing: a compiled function closes over it."""

    units: int
    edges: Int[np.ndarray, "edges 2"]
    states: int
    """How many states each unit has."""
    slots: int
    """How many axes a table has: one more than the width of the order."""
    depth: int
    """How many tables are kept at a time."""
    steps: Steps
    edge_step: Int[np.ndarray, "edges 2"]
    """The chunk and the step that takes up each edge."""
    edge_place: Int[np.ndarray, " edges"]
    """The place of its later unit among the neighbours of that step."""
    edge_turned: Bool[np.ndarray, " edges"]
    """Whether its second unit is summed out first."""


@record
class Size(NamedTuple):
    """What an elimination takes, in 32-bit numbers."""

    width: int
    """The width of the order: 1 for a tree, the short side for a lattice, units - 1 for a complete graph."""
    entries: int
    """The entries of one table: states ** (width + 1)."""
    depth: int
    """How many tables are kept at a time."""
    megabytes: float
    """The memory for a free energy."""
    gradient_megabytes: float
    """The memory for a gradient or for draws, which keep about 2 √units times the tables."""


def plan(graph: Graph, states: int = 2, order: Any = None) -> Plan:
    """A plan to eliminate a graph whose units have `states` states each.

    Nothing but the plan is allocated, whose size `size` says.

    Args:
        graph: see `graphs`.
        states: how many states each unit has, at least 2. A unit that has fewer gets the unary energy inf for others.
        order: the units in the order of their elimination; by default the best of several (see `orders`).

    Raises:
        ValueError: no `Graph`; states below 2; an order that is not each unit once; a graph that needs tables of more
            than 2^22 entries, with the number that it needs.

    >>> from ebmjax.graphs import from_edges
    >>> size(plan(from_edges(3, [(0, 1), (1, 2)]))).entries
    4
    >>> plan(from_edges(30, [(i, j) for i in range(30) for j in range(i)]))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: graph: got one that needs tables of 2^30 entries, wanted at most 4194304 (2^22)
    """
    check_graph(graph)
    check_count("states", states)
    if states < 2:
        raise ArgumentError(f"states: got {states}, wanted at least 2")
    states = int(states)
    least = least_width(graph) + 1
    if states**least > MOST_ENTRIES:
        needed = _entries_text(states, least)
        raise ArgumentError(f"graph: got one that needs tables of {needed} entries, wanted at most {_MOST}")
    found = best(graph) if order is None else _in_order(graph, order)
    if found is None:
        needed = _entries_text(states, WIDEST + 2)
        raise ArgumentError(f"graph: got one that needs tables of at least {needed} entries, wanted at most {_MOST}")
    if states ** (found.width + 1) > MOST_ENTRIES:
        which = "one that needs" if order is None else "an order of it that needs"
        needed = _entries_text(states, found.width + 1)
        raise ArgumentError(f"graph: got {which} tables of {needed} entries, wanted at most {_MOST}")
    return _planned(graph, states, found)


_MOST = f"{MOST_ENTRIES} (2^22)"


def size(plan: Plan) -> Size:
    """How large the tables of a plan are. Raises ValueError for what is no plan.

    >>> from ebmjax.graphs import from_edges
    >>> ring = [(i, (i + 1) % 100) for i in range(100)]
    >>> size(plan(from_edges(100, ring), states=3))
    Size(width=2, entries=27, depth=1, megabytes=0.000756, gradient_megabytes=0.006048)
    """
    check_plan(plan)
    entries = plan.states**plan.slots
    chunks, steps = plan.steps.unit.shape
    stack = 8e-6 * plan.depth * entries  # an energy and a logarithm of a count each
    # what the compiler needs beside the tables was read off its own account, for a lattice of 16 × 16 spins
    needs = stack + 20e-6 * entries, stack * (chunks + steps) + 64e-6 * entries
    return Size(plan.slots - 1, entries, plan.depth, *(round(need, 9) for need in needs))


def check_plan(plan: Plan) -> None:
    """Raise ValueError for anything but a `Plan` that is known before tracing.

    >>> from ebmjax.graphs import from_edges
    >>> check_plan(plan(from_edges(2, [(0, 1)])))
    """
    check_record("plan", plan, Plan)
    if not is_static(plan.states) or not is_static(plan.edges):
        raise ArgumentError("plan: got a traced one, wanted one that is known before tracing: close over it")


def _entries_text(states, slots):
    return f"{states}^{slots}"


def _in_order(graph: Graph, order: Any) -> Order | None:
    try:
        return given(graph, order, WIDEST)
    except ArgumentError as error:
        raise ArgumentError(str(error).replace("units:", "order:", 1)) from None


def _planned(graph: Graph, states: int, order: Order) -> Plan:
    units, neighbors = graph.units, order.neighbors
    turn = np.empty(units, np.int64)
    turn[order.units] = np.arange(units)
    colors = _colors(order)
    slots = max(colors) + 1
    visits, depth = _visits(order, turn)
    length = math.ceil(math.sqrt(units))
    chunks = math.ceil(units / length)
    # a step too many sums out a unit of its own, whose energy is zero
    blank = Steps(
        unit=np.full(chunks * length, units, np.int32),
        slot=np.zeros(chunks * length, np.int32),
        source=np.full(chunks * length, -1, np.int32),
        target=np.zeros(chunks * length, np.int32),
        adds=np.ones(chunks * length, bool),
        neighbors=np.full((chunks * length, slots - 1), units, np.int32),
    )
    when = np.empty(units, np.int64)
    for step, (unit, source, target, adds) in enumerate(visits):
        when[unit] = step
        blank.unit[step], blank.slot[step] = unit, colors[unit]
        blank.source[step], blank.target[step], blank.adds[step] = source, target, adds
        for near in neighbors[unit]:
            blank.neighbors[step, _place(colors, unit, near)] = near
    turned = turn[graph.edges[:, 0]] > turn[graph.edges[:, 1]]
    first = np.where(turned, graph.edges[:, 1], graph.edges[:, 0])
    second = np.where(turned, graph.edges[:, 0], graph.edges[:, 1])
    places = np.array([_place(colors, *pair) for pair in zip(first.tolist(), second.tolist(), strict=True)], np.int32)
    steps = Steps(*(array.reshape(chunks, length, *array.shape[1:]) for array in blank))
    at = np.stack(np.divmod(when[first], length), axis=1).astype(np.int32)
    return Plan(units, np.asarray(graph.edges, np.int32), states, slots, depth, steps, at, places, turned)


def _colors(order: Order) -> list[int]:
    """A slot for each unit: the first that none of its later neighbours has; width + 1 of them suffice."""
    colors = [-1] * len(order.units)
    for unit in reversed(order.units.tolist()):
        taken = {colors[near] for near in order.neighbors[unit]}
        colors[unit] = next(color for color in range(len(taken) + 1) if color not in taken)
    return colors


def _place(colors: list[int], unit: int, near: int) -> int:
    """The slot of a neighbour, numbered without the slot of the unit itself."""
    return colors[near] - (colors[near] > colors[unit])


def _visits(order: Order, turn: np.ndarray) -> tuple[list[tuple[int, int, int, bool]], int]:
    """(unit, source, target, adds) in the order of the steps, which needs few tables; and how many it needs."""
    size = len(order.units)
    root = size
    children: list[list[int]] = [[] for _ in range(size + 1)]
    need = [0] * (size + 1)  # how many tables a unit with all units below it needs for what is added up
    for unit in [*order.units.tolist(), root]:
        children[unit].sort(key=lambda child: -need[child])
        need[unit] = max([min(1, len(children[unit])), *(need[c] + (i > 0) for i, c in enumerate(children[unit]))])
        if unit != root:
            near = order.neighbors[unit]
            children[min(near, key=lambda other: turn[other]) if near else root].append(unit)
    visits: list[tuple[int, int, int, bool]] = []
    waiting: list[tuple[int, int, int, bool, bool]] = [(root, 0, 0, False, False)]
    while waiting:
        unit, place, target, adds, ready = waiting.pop()
        if ready:
            visits.append((unit, place if children[unit] else -1, target, adds))
            continue
        if unit != root:
            waiting.append((unit, place, target, adds, True))
        # the first child begins in the table where the sum will be, later ones need another
        below = [(child, place + (i > 0), place, i > 0, False) for i, child in enumerate(children[unit])]
        waiting += reversed(below)
    return visits, max(need[root], 1)
