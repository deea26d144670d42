"""Graphs of units that interact in pairs, and colourings of them.

    from_edges      the graph of a list of edges
    from_matrix     the graph of a dense or sparse matrix of couplings
    from_networkx   the graph of a networkx graph
    as_edges        the edges of a `Graph` or of a list, as the energies on graphs take them
    coloring        colours such that units with a common edge differ, for `sample.gibbs.chromatic`

Each is a `Graph` of numbered units; `lattices` has regular ones. The packages networkx and scipy are not imported:
their objects are known by their methods.
"""

import heapq
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ebmjax.checks import ArgumentError, as_float, check_count, is_static
from ebmjax.records import record


@record
class Graph(NamedTuple):
    """Units 0 … units - 1 and the pairs of them that have a term in the energy; known before tracing."""

    units: int
    """How many units there are; a unit without an edge is allowed."""
    edges: Int[np.ndarray, "edges 2"]
    """The two units of each edge. An edge may be repeated: it then has a factor for each time, and their sum counts."""
    weights: Float[np.ndarray, " edges"]
    """A number for each edge, such as its coupling; 1 where none is given."""
    labels: tuple[Any, ...]
    """What each unit is called: the nodes of a networkx graph, otherwise the numbers of the units."""


def from_edges(units: int, edges: Any, weights: Any = None) -> Graph:
    """The graph of a list of edges.

    Args:
        units: how many units there are, at least 1.
        edges: pairs of numbers of units, an integer array of shape (edges, 2) or a list of pairs; it may be empty.
        weights: a real number for each edge; 1 by default.

    Raises:
        ValueError: edges that are no pairs of integers, a number outside 0 … units - 1, an edge from a unit to itself,
            weights of another length or that are NaN.

    >>> from_edges(3, [(0, 1), (1, 2)]).edges.tolist()
    [[0, 1], [1, 2]]
    >>> from_edges(3, [(0, 3)])
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: edges: got the unit 3 in edge 0, wanted units from 0 to 2
    """
    check_count("units", units)
    pairs = _checked_pairs(units, edges)
    numbers = np.ones(len(pairs), np.float32) if weights is None else _as_weights(weights, len(pairs))
    return Graph(int(units), pairs, numbers, tuple(range(units)))


def from_matrix(matrix: Any) -> Graph:
    """The graph of a symmetric matrix of couplings: an edge for each entry above the diagonal that is not zero.

    Args:
        matrix: of shape (units, units), symmetric, with a zero diagonal: an array, or a scipy.sparse matrix.

    Raises:
        ValueError: a matrix that is traced, not square, not symmetric or not finite, or has a diagonal.

    >>> graph = from_matrix(np.array([[0, 2, 0], [2, 0, -1], [0, -1, 0]]))
    >>> graph.edges.tolist(), graph.weights.tolist()
    ([[0, 1], [1, 2]], [2.0, -1.0])
    """
    if hasattr(matrix, "tocoo"):
        entries = matrix.tocsr().tocoo()  # the way through rows adds up repeated entries
        shape, rows, columns, values = entries.shape, entries.row, entries.col, np.asarray(entries.data)
        if values.dtype.kind not in "biuf":
            raise ArgumentError(f"matrix: got entries of {values.dtype}, wanted real numbers")
    else:
        dense = _static("matrix", matrix)
        if dense.ndim != 2:
            raise ArgumentError(f"matrix: got shape {dense.shape}, wanted (units, units)")
        shape, (rows, columns) = dense.shape, np.nonzero(dense)
        values = dense[rows, columns]
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
        raise ArgumentError(f"matrix: got shape {shape}, wanted (units, units)")
    kept = values != 0
    rows, columns, values = rows[kept].astype(np.int64), columns[kept].astype(np.int64), values[kept]
    if not np.isfinite(values).all():
        raise ArgumentError("matrix: got an entry that is not finite, wanted couplings")
    if (rows == columns).any():
        unit = rows[rows == columns][0]
        raise ArgumentError(f"matrix: got a diagonal entry at unit {unit}, wanted a zero diagonal: fields are apart")
    order, mirrored = np.lexsort((columns, rows)), np.lexsort((rows, columns))
    same = (rows[order] == columns[mirrored]) & (columns[order] == rows[mirrored])
    if not (same & (values[order] == values[mirrored])).all():
        raise ArgumentError("matrix: got one that is not symmetric, wanted a symmetric one")
    upper = order[rows[order] < columns[order]]
    return from_edges(shape[0], np.stack([rows[upper], columns[upper]], axis=1), values[upper])


def from_networkx(graph: Any, weight: str = "weight") -> Graph:
    """The graph of a networkx graph; its nodes are numbered in the order in which it has them.

    Args:
        graph: an undirected networkx graph; a multigraph has an edge for each of its parallel ones.
        weight: the name of the attribute of an edge that holds its weight; an edge without it has the weight 1.

    Raises:
        ValueError: no networkx graph, a directed one, one without nodes, an edge from a node to itself, weights that
            are no numbers.

    >>> import networkx
    >>> path = networkx.path_graph(["left", "middle", "right"])
    >>> graph = from_networkx(path)
    >>> graph.edges.tolist(), graph.labels
    ([[0, 1], [1, 2]], ('left', 'middle', 'right'))
    """
    if not (hasattr(graph, "nodes") and hasattr(graph, "edges") and hasattr(graph, "is_directed")):
        raise ArgumentError(f"graph: got a {type(graph).__name__}, wanted a networkx graph")
    if not isinstance(weight, str):
        raise ArgumentError(f"weight: got a {type(weight).__name__}, wanted the name of an attribute")
    if graph.is_directed():
        raise ArgumentError("graph: got a directed graph, wanted an undirected one")
    labels = tuple(graph.nodes)
    if not labels:
        raise ArgumentError("graph: got no nodes, wanted at least one")
    number = {label: i for i, label in enumerate(labels)}
    ends = list(graph.edges(data=weight, default=1))
    pairs = [(number[one], number[other]) for one, other, _ in ends]
    weights = [value for _, _, value in ends]
    return from_edges(len(labels), pairs, weights)._replace(labels=labels)


def check_graph(graph: Graph) -> None:
    """Raise ValueError for anything but a `Graph`, or for one whose edges were made otherwise and do not fit.

    >>> check_graph(from_edges(2, [(0, 1)]))
    """
    if not isinstance(graph, Graph):
        raise ArgumentError(f"graph: got a {type(graph).__name__}, wanted {Graph.__module__}.Graph (see from_edges)")
    if not is_static(graph.units) or not is_static(graph.edges):
        raise ArgumentError("graph: got a traced one, wanted one that is known before tracing")
    from_edges(graph.units, graph.edges)


def as_edges(edges: Any, units: int | None = None) -> Int[Array | np.ndarray, "edges 2"]:
    """The edges of a graph of so many units, as the energies on graphs and the samplers of clusters take them.

    Args:
        edges: a `Graph` of so many units, or pairs of numbers of units as in `from_edges`. A traced array of integers
            passes, such as the many edges of a large lattice inside a compiled function; its numbers are not checked.
        units: how many units there are, at least 1; None where that is not known yet.

    Raises:
        ValueError: as in `from_edges`; a graph of another number of units.

    >>> as_edges([(0, 1)], 3).tolist()
    [[0, 1]]
    """
    if units is not None:
        check_count("units", units)
    pairs = edges
    if isinstance(edges, Graph):
        pairs = edges.edges
        units = edges.units if units is None else units
        if edges.units != units:
            raise ArgumentError(f"edges: got a graph of {edges.units} units, wanted one of {units}")
    if is_static(pairs):
        return _checked_pairs(units, pairs)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not jnp.issubdtype(pairs.dtype, jnp.integer):
        raise ArgumentError(f"edges: got a {pairs.dtype} array of shape {pairs.shape}, wanted pairs of integers")
    return pairs.astype(jnp.int32)


def coloring(graph: Graph) -> Int[np.ndarray, " units"]:
    """The colour of every unit, such that units with a common edge differ: few colours, not always the fewest.

    The unit that has seen the most different colours around it is next, of several the one with the most edges, and it
    takes the least colour that none of its neighbours has. Graphs that two colours suffice for, such as a lattice with
    even sides or a tree, get two.

    Args:
        graph: known before tracing.

    Returns:
        numbers from 0; never more than the largest number of neighbours, plus one.

    Raises:
        ValueError: what is no graph.

    Brélaz (1979), "New methods to color the vertices of a graph".

    >>> coloring(from_edges(4, [(0, 1), (1, 2), (2, 3), (3, 0)])).tolist()
    [0, 1, 0, 1]
    """
    check_graph(graph)
    neighbours: list[set[int]] = [set() for _ in range(graph.units)]
    for one, other in np.asarray(graph.edges).tolist():
        neighbours[one].add(other)
        neighbours[other].add(one)
    colors = np.full(graph.units, -1, np.int32)
    around: list[set[int]] = [set() for _ in range(graph.units)]
    # entries of the queue become stale where a unit has seen another colour since
    queue = [(0, -len(beside), unit) for unit, beside in enumerate(neighbours)]
    heapq.heapify(queue)
    while queue:
        seen, _, unit = heapq.heappop(queue)
        if colors[unit] >= 0 or -seen != len(around[unit]):
            continue
        color = next(color for color in range(graph.units) if color not in around[unit])
        colors[unit] = color
        for other in neighbours[unit]:
            if colors[other] < 0 and color not in around[other]:
                around[other].add(color)
                heapq.heappush(queue, (-len(around[other]), -len(neighbours[other]), other))
    return colors


def _checked_pairs(units: int | None, edges: Any) -> Int[np.ndarray, "edges 2"]:
    """Pairs of different units that exist."""
    pairs = _as_pairs(edges)
    outside = (pairs < 0) | (pairs >= (np.inf if units is None else units))
    if outside.any():
        edge, end = np.argwhere(outside)[0]
        wanted = "numbers of at least 0" if units is None else f"units from 0 to {units - 1}"
        raise ArgumentError(f"edges: got the unit {pairs[edge, end]} in edge {edge}, wanted {wanted}")
    loops = np.flatnonzero(pairs[:, 0] == pairs[:, 1])
    if loops.size:
        unit = pairs[loops[0], 0]
        raise ArgumentError(f"edges: got edge {loops[0]} from unit {unit} to itself, wanted edges of two units")
    return pairs


def _static(name: str, value: Any) -> np.ndarray:
    """Real numbers as a NumPy array of a floating dtype; what is traced is refused."""
    if not is_static(value):
        raise ArgumentError(f"{name}: got a traced array, wanted one that is known before tracing")
    array = as_float(name, value)
    return np.asarray(array)


def _as_weights(weights: Any, count: int) -> np.ndarray:
    numbers = _static("weights", weights if count else np.zeros(0))
    if numbers.shape != (count,):
        raise ArgumentError(f"weights: got shape {numbers.shape}, wanted ({count},), one for each edge")
    if np.isnan(numbers).any():
        raise ArgumentError(f"weights: got NaN at edge {np.flatnonzero(np.isnan(numbers))[0]}, wanted numbers")
    return numbers


def _as_pairs(edges: Any) -> Int[np.ndarray, "edges 2"]:
    if not is_static(edges):
        raise ArgumentError("edges: got a traced array, wanted edges that are known before tracing")
    if not isinstance(edges, Array | np.ndarray | list | tuple):
        raise ArgumentError(f"edges: got a {type(edges).__name__}, wanted pairs of units")
    try:
        pairs = np.asarray(edges) if len(edges) else np.zeros((0, 2), np.int32)
    except (ValueError, TypeError):
        raise ArgumentError(f"edges: got a {type(edges).__name__}, wanted pairs of units") from None
    if pairs.dtype.kind not in "iu" or pairs.ndim != 2 or pairs.shape[1] != 2:
        raise ArgumentError(f"edges: got a {pairs.dtype} array of shape {pairs.shape}, wanted pairs of integers")
    return np.asarray(pairs, np.int64).astype(np.int32)
