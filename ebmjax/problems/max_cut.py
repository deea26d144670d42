"""Max-cut: colour the units of a graph with two colours so that the edges between colours have the largest weight.

    cut(s) = ½ Σ_e w_e (1 - s_a(e) s_b(e)) = ½ Σ_e w_e - E(s),    E(s) = ½ Σ_e w_e s_a s_b

The largest cut is a ground state of an antiferromagnet on the same graph, J_e = -w_e / 2.

    graph = lattices.hypercubic((4, 4))
    params = max_cut.to_ising(graph)
    energy = partial(ising_on_graph.energy, params, graph)

Barahona, Grötschel, Jünger and Reinelt (1988), "An application of combinatorial optimization to statistical physics and
circuit layout design".
"""

from typing import Annotated

import jax.numpy as jnp

from ebmjax.checks import as_example
from ebmjax.energies import ising_on_graph
from ebmjax.graphs import Graph
from ebmjax.types import Numbers, Scalar


def to_ising(graph: Graph) -> ising_on_graph.Params:
    """The Ising model J_e = -w_e / 2 on a graph with weights w, whose states of least energy are the largest cuts.

    Raises ValueError for what is no graph.

    >>> from ebmjax.graphs import from_edges
    >>> to_ising(from_edges(3, [(0, 1), (1, 2)], [1.0, 3.0])).coupling.tolist()
    [-0.5, -1.5]
    """
    params = ising_on_graph.from_graph(graph)
    return params._replace(coupling=-params.coupling / 2)


def cut(graph: Graph, spins: Annotated[Numbers, "units"]) -> Scalar:
    """The weight of the edges between units of different spins, a scalar.

    Raises ValueError for what is no graph, or spins that do not fit it.

    >>> from ebmjax.graphs import from_edges
    >>> float(cut(from_edges(3, [(0, 1), (1, 2)], [1.0, 3.0]), jnp.array([1.0, 1.0, -1.0])))
    3.0
    """
    params = to_ising(graph)
    spins = as_example("spins", spins, params.coupling, (graph.units,))
    return -jnp.sum(params.coupling) - ising_on_graph.energy(params, graph, spins)
