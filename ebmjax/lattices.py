"""Lattices as graphs: the sites are the units, numbered row after row, and neighbours share an edge.

    hypercubic    chains, square, cubic and higher lattices, open or periodic along each axis
    triangular    six neighbours for each site

The energies on graphs take these: `energies.ising_on_graph`, `energies.potts`, `energies.xy`; `sample.cluster` does so
too.
"""

import math
from collections.abc import Sequence

import numpy as np

from ebmjax.checks import ArgumentError, check_count
from ebmjax.graphs import Graph, from_edges


def hypercubic(shape: Sequence[int], periodic: bool | Sequence[bool] = True) -> Graph:
    """The lattice of any dimension whose sites have one neighbour before and one after them along each axis.

    Args:
        shape: the number of sites along each axis, each at least 1: (n,) is a chain, (n, m) a square lattice.
        periodic: whether the last site and the first one along an axis are neighbours; one truth value, or one for each
            axis. A periodic side of two sites has two edges between them, and one of one site has none.

    Returns:
        a graph whose unit number i is the site `numpy.unravel_index(i, shape)`; the edges along the last axis come
        first, and each leads from a site to the next one.

    Raises:
        ValueError: no axis, a side below 1, another number of truth values than axes.

    >>> hypercubic((3,)).edges.tolist(), len(hypercubic((4, 4, 4)).edges), len(hypercubic((3, 3), False).edges)
    ([[0, 1], [1, 2], [2, 0]], 192, 12)
    """
    shape = _as_shape(shape)
    return _graph(shape, np.eye(len(shape), dtype=int)[::-1], _as_periodic(periodic, len(shape)))


def triangular(rows: int, columns: int, periodic: bool | Sequence[bool] = True) -> Graph:
    """The triangular lattice: the square one, with an edge along one diagonal of each square as well.

    Args:
        rows: at least 1.
        columns: at least 1.
        periodic: as in `hypercubic`, one truth value, or one for the rows and one for the columns.

    Returns:
        a graph with three edges for each site, less those across an open boundary.

    Raises:
        ValueError: a side below 1, another number of truth values than two.

    >>> len(triangular(3, 4).edges), triangular(2, 2, periodic=False).edges.tolist()
    (36, [[0, 1], [2, 3], [0, 2], [1, 3], [0, 3]])
    """
    check_count("rows", rows)
    check_count("columns", columns)
    return _graph((rows, columns), np.array([[0, 1], [1, 0], [1, 1]]), _as_periodic(periodic, 2))


def _graph(shape, steps, periodic):
    """The graph with an edge from each site to the one that each of the steps leads to."""
    sites, place = np.arange(math.prod(shape), dtype=np.int32).reshape(shape), np.indices(shape)
    pairs = []
    for step in steps:
        ahead = np.roll(sites, tuple(-step), tuple(range(len(shape))))
        kept = ahead != sites
        for axis, side in enumerate(shape):
            kept &= periodic[axis] or (place[axis] + step[axis] < side)
        pairs.append(np.stack([sites[kept], ahead[kept]], axis=-1))
    return from_edges(sites.size, np.concatenate(pairs))


def _as_shape(shape):
    if not isinstance(shape, Sequence) or isinstance(shape, str) or not len(shape):
        raise ArgumentError(f"shape: got {shape!r}, wanted the number of sites along each of at least one axis")
    for axis, side in enumerate(shape):
        check_count(f"shape[{axis}]", side)
    return tuple(int(side) for side in shape)


def _as_periodic(periodic, axes):
    flags = [periodic] * axes if isinstance(periodic, bool | np.bool_) else periodic
    if not isinstance(flags, Sequence) or len(flags) != axes or not all(isinstance(f, bool | np.bool_) for f in flags):
        raise ArgumentError(f"periodic: got {periodic!r}, wanted one truth value, or one for each of {axes} axes")
    return flags
