"""Orders of elimination: in which order units are summed out decides how large the tables become.

Summing out a unit makes a table over its neighbours, which are neighbours of each other from then on. The width of an
order is the largest number of neighbours that a unit has at its turn. The least width of all orders, the treewidth, is
hard to find; the best of several simple orders is near it for lattices and sparse graphs.

    as numbered     good where units are numbered along the short side of a lattice, row after row
    breadth first   from a unit at the edge of the graph, inwards: the same for a lattice that is numbered anyhow
    min-degree      the unit with fewest neighbours is next
    min-fill        the unit is next whose neighbours miss fewest edges among each other; ties are broken at random

Rose (1972); Bodlaender, Koster (2010), "Treewidth computations I. Upper bounds", sections 3 and 4.
"""

import heapq
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from ebmjax.checks import ArgumentError, check_count
from ebmjax.graphs import Graph, check_graph
from ebmjax.records import record

WIDEST = 64
"""An order of a larger width is given up: no memory holds its tables."""

Adjacency = list[set[int]]
"""The neighbours of each unit."""


@record
class Order(NamedTuple):
    """An order of elimination, and how wide it is."""

    units: Int[np.ndarray, " units"]
    """The units in the order in which they are summed out."""
    neighbors: tuple[tuple[int, ...], ...]
    """For each unit, by its number: its neighbours at its turn, all of which are summed out later."""
    width: int
    """The largest number of neighbours at a turn."""


def adjacency(graph: Graph) -> Adjacency:
    """The set of neighbours of each unit. Errors are those of `check_graph`.

    >>> from ebmjax.graphs import from_edges
    >>> adjacency(from_edges(3, [(0, 1), (1, 0)]))
    [{1}, {0}, set()]
    """
    check_graph(graph)
    around: Adjacency = [set() for _ in range(graph.units)]
    for one, other in graph.edges.tolist():
        around[one].add(other)
        around[other].add(one)
    return around


def least_width(graph: Graph) -> int:
    """A lower bound of the width of every order: the largest degree that survives taking out units of least degree.

    This is the degeneracy of the graph, which is exact for complete graphs and for trees, and fast for any graph.
    Errors are those of `check_graph`.

    >>> from ebmjax.graphs import from_edges
    >>> least_width(from_edges(4, [(0, 1), (1, 2), (2, 3), (3, 0)]))
    2
    """
    around = adjacency(graph)
    heap = [(len(near), unit) for unit, near in enumerate(around)]
    heapq.heapify(heap)
    bound, gone = 0, [False] * graph.units
    while heap:
        degree, unit = heapq.heappop(heap)
        if gone[unit] or degree != len(around[unit]):
            continue
        gone[unit] = True
        bound = max(bound, degree)
        for other in around[unit]:
            around[other].discard(unit)
            heapq.heappush(heap, (len(around[other]), other))
    return bound


def given(graph: Graph, units: Any, widest: int | None = None) -> Order | None:
    """The order that eliminates these units one after the other; None where its width exceeds `widest`.

    Raises ValueError for units that are not every unit of the graph once, or widest below 1.

    >>> from ebmjax.graphs import from_edges
    >>> star = from_edges(4, [(0, 1), (0, 2), (0, 3)])
    >>> given(star, [1, 2, 3, 0]).width, given(star, [0, 1, 2, 3]).width, given(star, [0, 1, 2, 3], widest=2)
    (1, 3, None)
    """
    around = adjacency(graph)
    if widest is not None:
        check_count("widest", widest)
    try:
        sequence = np.asarray(units)
    except ValueError:
        sequence = np.zeros(0)
    if sequence.dtype.kind not in "iu" or sequence.ndim != 1 or sorted(sequence.tolist()) != list(range(graph.units)):
        raise ArgumentError(
            f"units: got an order of shape {sequence.shape}, wanted each of 0 to {graph.units - 1} once"
        )
    return _eliminated(around, [int(unit) for unit in sequence], graph.units if widest is None else widest)


def best(graph: Graph, tries: int = 4) -> Order | None:
    """The order of least width among those that this file lists, with min-fill tried several times.

    Args:
        graph: the graph.
        tries: how often min-fill is tried, with ties broken at random by a fixed seed; at least 1.

    Returns:
        The order, or None where every one is wider than 64.

    Raises:
        ValueError: no `Graph`, tries below 1.

    >>> from ebmjax.graphs import from_edges
    >>> best(from_edges(4, [(0, 1), (1, 2), (2, 3), (3, 0)])).width
    2
    """
    check_count("tries", tries)
    around = adjacency(graph)
    bound = least_width(graph)
    if bound > WIDEST:
        return None
    found, limit = None, WIDEST
    rng = np.random.default_rng(0)
    copies: list[Callable[[int], Order | None]] = [
        lambda limit: _greedy([set(near) for near in around], limit, False, None),
        lambda limit: _eliminated([set(near) for near in around], range(graph.units), limit),
        lambda limit: _eliminated([set(near) for near in around], _inwards(around), limit),
        *[lambda limit: _greedy([set(near) for near in around], limit, True, rng)] * tries,
    ]
    for attempt in copies:
        order = attempt(limit)
        if order is not None:
            found, limit = order, order.width - 1
        if found is not None and found.width <= bound:
            break
    return found


def _eliminated(around: Adjacency, units: Sequence[int], widest: int) -> Order | None:
    """The order of these units; `around` is used up. None as soon as it is wider than `widest`."""
    neighbors: list[tuple[int, ...]] = [()] * len(around)
    for unit in units:
        near = around[unit]
        if len(near) > widest:
            return None
        neighbors[unit] = tuple(sorted(near))
        for other in near:
            around[other] |= near
            around[other] -= {unit, other}
    return Order(np.asarray(units, np.int32), tuple(neighbors), max(map(len, neighbors)))


def _greedy(around: Adjacency, widest: int, by_fill: bool, rng: np.random.Generator | None) -> Order | None:
    """Take the unit of least cost, again and again: its number of missing edges, or its degree."""
    size = len(around)
    ties = np.arange(size) if rng is None else rng.permutation(size)
    never = size * size

    def cost(unit: int) -> tuple[int, int]:
        degree = len(around[unit])
        # a unit with too many neighbours is not next, and to count what they miss would take long
        return (_missing(around, unit) if degree <= widest else never) if by_fill else 0, degree

    costs = [cost(unit) for unit in range(size)]
    heap = [(*costs[unit], int(ties[unit]), unit) for unit in range(size)]
    heapq.heapify(heap)
    order: list[int] = []
    neighbors: list[tuple[int, ...]] = [()] * size
    gone = [False] * size
    while heap:
        fill, degree, _, unit = heapq.heappop(heap)
        if gone[unit] or costs[unit] != (fill, degree):
            continue
        if degree > widest:
            return None
        gone[unit] = True
        order.append(unit)
        near = around[unit]
        neighbors[unit] = tuple(sorted(near))
        touched = set(near)
        for other in near:
            around[other].discard(unit)
        for other in near:
            new = near - around[other] - {other}
            for third in new:
                if by_fill:  # these have one missing edge fewer
                    touched |= around[other] & around[third]
            around[other] |= new
        for other in touched:
            now = cost(other)
            if now != costs[other]:
                costs[other] = now
                heapq.heappush(heap, (*now, int(ties[other]), other))
    return Order(np.asarray(order, np.int32), tuple(neighbors), max(map(len, neighbors)))


def _missing(around: Adjacency, unit: int) -> int:
    """How many edges the neighbours of a unit miss among each other."""
    near = around[unit]
    return sum(len(near) - 1 - len(near & around[other]) for other in near) // 2


def _inwards(around: Adjacency) -> list[int]:
    """The units by their distance from one at the edge of the graph, the last one that a search from anywhere finds."""
    order: list[int] = []
    seen = [False] * len(around)
    for start in range(len(around)):
        if not seen[start]:
            far = _breadth_first(around, _breadth_first(around, start)[-1])
            order += far
            for unit in far:
                seen[unit] = True
    return order


def _breadth_first(around: Adjacency, start: int) -> list[int]:
    found, seen = [start], {start}
    for unit in found:  # it grows meanwhile
        for other in sorted(around[unit] - seen, key=lambda near: (len(around[near]), near)):
            seen.add(other)
            found.append(other)
    return found
