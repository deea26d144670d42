"""Ising model on a graph: spins of ±1, with a coupling for each edge of any graph.

    E(s) = -Σ_e J_e s_a(e) s_b(e) - Σ_i h_i s_i,    s ∈ {-1, +1}

Couplings above 0 make a ferromagnet, those below 0 an antiferromagnet, and random ones of both signs a spin glass. The
edges are known before tracing: a `Graph` of `ebmjax.graphs` or `ebmjax.lattices`, or an integer array (edges, 2). Time
and memory grow with the number of edges, where those of `boltzmann` grow with the square of the number of units;
`ising` is the same on a periodic lattice, and faster there. `sample.gibbs.chromatic` with `graphs.coloring` and
`sample.cluster` draw from its law.

Edwards and Anderson (1975), "Theory of spin glasses".
"""

from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ebmjax.checks import ArgumentError, as_example, as_params
from ebmjax.energies import hopfield
from ebmjax.graphs import Graph, as_edges, check_graph
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar


@record
class Params(NamedTuple):
    """Couplings and fields, in units of energy."""

    coupling: Float[Array, "*edges"]
    """J, a scalar, or one for each edge."""
    field: Float[Array, "*units"]
    """h, a scalar, or one for each unit."""


def from_graph(graph: Graph) -> Params:
    """The parameters whose couplings are the weights of a graph, without a field.

    Raises ValueError for what is no graph.

    >>> from ebmjax.graphs import from_edges
    >>> from_graph(from_edges(2, [(0, 1)], [0.5]))
    Params(coupling=Array([0.5], dtype=float32), field=Array(0., dtype=float32))
    """
    check_graph(graph)
    coupling = jnp.asarray(graph.weights)
    return Params(coupling, jnp.zeros((), coupling.dtype))


def check_params(params: Params, edges: Int[Array | np.ndarray, "edges 2"], units: int) -> None:
    """Raise ValueError unless couplings and fields fit a graph.

    >>> check_params(Params(jnp.ones(3), jnp.zeros(())), np.array([[0, 1]]), 2)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: coupling: got shape (3,), wanted () or (1,)
    """
    for name, array, full in (("coupling", params.coupling, (len(edges),)), ("field", params.field, (units,))):
        if jnp.shape(array) not in ((), full):
            raise ArgumentError(f"{name}: got shape {jnp.shape(array)}, wanted () or {full}")


def _prepared(params, edges, spins):
    """Floating parameters, edges, and the spins of one state."""
    params = as_params(params, Params)
    spins = as_example("spins", spins, params.coupling, (None,))
    edges = as_edges(edges, len(spins))
    check_params(params, edges, len(spins))
    return params, edges, spins


def energy(params: Params, edges: Any, spins: Annotated[Numbers, "units"]) -> Scalar:
    """E(s) of one state, a scalar.

    Raises ValueError for edges, or parameters, that do not fit the units.

    >>> float(energy(Params(jnp.array([1.0, -2.0]), jnp.array(0.5)), [(0, 1), (1, 2)], jnp.array([1.0, 1.0, -1.0])))
    -3.5
    """
    params, edges, spins = _prepared(params, edges, spins)
    bonds = spins[edges[:, 0]] * spins[edges[:, 1]]
    return -(jnp.sum(params.coupling * bonds) + jnp.sum(params.field * spins))


def local_field(params: Params, edges: Any, spins: Annotated[Numbers, "units"]) -> Float[Array, " units"]:
    """Σ_j J_ij s_j + h_i of every unit: half the energy gap E(s_i = -1) - E(s_i = +1).

    Errors are those of `energy`.

    >>> local_field(Params(jnp.array(2.0), jnp.array(0.5)), [(0, 1), (1, 2)], jnp.array([1.0, 1.0, -1.0])).tolist()
    [2.5, 0.5, 2.5]
    """
    params, edges, spins = _prepared(params, edges, spins)
    coupling = jnp.broadcast_to(params.coupling, (len(edges),))
    field = jnp.broadcast_to(params.field, spins.shape)
    field = field.at[edges[:, 0]].add(coupling * spins[edges[:, 1]])
    return field.at[edges[:, 1]].add(coupling * spins[edges[:, 0]])


def to_boltzmann(params: Params, edges: Any, units: int) -> hopfield.Params:
    """The same energy as a Boltzmann machine, whose W is a matrix with an entry for each pair of units.

    Errors are those of `energy`.

    >>> to_boltzmann(Params(jnp.array(2.0), jnp.array(0.0)), [(0, 1)], 2).weights.tolist()
    [[0.0, 2.0], [2.0, 0.0]]
    """
    params = as_params(params, Params)
    edges = as_edges(edges, units)
    check_params(params, edges, units)
    coupling = jnp.broadcast_to(params.coupling, (len(edges),))
    weights = jnp.zeros((units, units), coupling.dtype).at[edges[:, 0], edges[:, 1]].add(coupling)
    return hopfield.Params(weights + weights.T, jnp.broadcast_to(params.field, (units,)))
