"""XY model: spins that are angles on a graph, where neighbours that point the same way have a lower energy.

    E(θ) = -Σ_e J_e cos(θ_a(e) - θ_b(e)) - Σ_i h_i cos θ_i,    θ_i in radians

The edges are known before tracing: a `Graph` of `ebmjax.graphs` or `ebmjax.lattices`, or an integer array (edges, 2).
Angles are unknowns without ends: the energy has the period 2π in each, so that `sample.hamiltonian` and
`sample.langevin` draw them as they draw any other unknowns, and `marginalize.spaces.circle` integrates over one.

Kosterlitz and Thouless (1973), "Ordering, metastability and phase transitions in two-dimensional systems".
"""

from typing import Annotated, Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import as_example, as_params
from ebmjax.energies.ising_on_graph import Params, check_params
from ebmjax.graphs import as_edges
from ebmjax.types import Numbers, Scalar


def energy(params: Params, edges: Any, angles: Annotated[Numbers, "units"]) -> Scalar:
    """E(θ) of one state, a scalar.

    Args:
        params: couplings J, one number or one for each edge, and fields h along θ = 0, one number or one for each unit.
        edges: a `Graph`, or pairs of numbers of units; known before tracing.
        angles: θ, in radians.

    Raises:
        ValueError: edges, or parameters, that do not fit the units.

    >>> float(energy(Params(jnp.array(2.0), jnp.array(0.5)), [(0, 1)], jnp.zeros(2)))
    -3.0
    """
    params = as_params(params, Params)
    angles = as_example("angles", angles, params.coupling, (None,))
    edges = as_edges(edges, len(angles))
    check_params(params, edges, len(angles))
    along = jnp.cos(angles[edges[:, 0]] - angles[edges[:, 1]])
    return -(jnp.sum(params.coupling * along) + jnp.sum(params.field * jnp.cos(angles)))


def magnetization(angles: Annotated[Numbers, "units"]) -> Float[Array, "2"]:
    """The mean (cos θ, sin θ) of all spins; its length is 1 where all point the same way.

    Raises ValueError for angles that are not numbers, or not along one axis.

    >>> magnetization(jnp.zeros(3)).tolist()
    [1.0, 0.0]
    """
    angles = as_example("angles", angles, jnp.zeros(()), (None,))
    return jnp.stack([jnp.cos(angles).mean(), jnp.sin(angles).mean()])


def vorticity(angles: Annotated[Numbers, "rows columns"]) -> Float[Array, "rows columns"]:
    """The number of turns of the spins around every square of a periodic lattice: ±1 at a vortex, otherwise 0.

    Raises ValueError for angles that are no square lattice.

    >>> vorticity(jnp.zeros((2, 2))).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    angles = as_example("angles", angles, jnp.zeros(()), (None, None))
    turn = lambda difference: difference - 2 * jnp.pi * jnp.round(difference / (2 * jnp.pi))
    right = turn(jnp.roll(angles, -1, 1) - angles)
    down = turn(jnp.roll(angles, -1, 0) - angles)
    around = right + jnp.roll(down, -1, 1) - jnp.roll(right, -1, 0) - down
    return jnp.round(around / (2 * jnp.pi))
