"""Cluster moves of ferromagnets: Swendsen-Wang and Wolff, for Ising and Potts units on any graph.

An edge whose two units are equal is open with probability p, independently of all others; other edges are closed.

    p = 1 - exp(-2 beta J)    for spins of ±1, `energies.ising_on_graph`
    p = 1 - exp(-beta J)      for units of q states, `energies.potts`

The units that open edges connect are a cluster. `swendsen_wang` gives every cluster a new value, uniformly; `wolff`
gives another value to the cluster of one unit, which is chosen uniformly. Both leave exp(-beta E)/Z invariant. Where
the order of a ferromagnet changes slowly under updates of single units, near its critical point, these moves are faster
by orders of magnitude. At beta = 0 the one draws independent units, and the other changes one unit.

The law holds for couplings of at least 0 without a field. Others are refused by name where they are known; where they
are traced, the chain stays where it is and its info says `served` = False. For the couplings of a spin glass there is
`isoenergetic`. Both kernels label all clusters of the graph in each step (`components`), so that a step costs the same
whatever the clusters are, and one of `wolff` as much as one of `swendsen_wang`, which moves more.

Swendsen and Wang (1987), "Nonuniversal critical dynamics in Monte Carlo simulations"; Wolff (1989), "Collective Monte
Carlo updating for spin systems".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt32

from ebmjax import random_bits
from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_example,
    as_params,
    check_callable,
    check_key,
    check_units,
    is_static,
)
from ebmjax.compiled import compiled
from ebmjax.energies import ising_on_graph, potts
from ebmjax.graphs import as_edges
from ebmjax.records import record
from ebmjax.sample.components import components
from ebmjax.sample.gibbs import State
from ebmjax.temperature import reduced
from ebmjax.types import SPINS, Beta, Kernel


@record
class Info(NamedTuple):
    """What happened in a step."""

    changed: Float[Array, ""]
    """Share of the units that changed."""
    clusters: Int[Array, ""]
    """How many clusters there were."""
    served: Bool[Array, ""]
    """Whether all couplings are at least 0 and all fields 0. The chain stays where it is if not."""


def swendsen_wang(
    params: ising_on_graph.Params | potts.Params,
    beta: Beta,
    edges: Any,
    bits: random_bits.RandomWords = random_bits.bits,
) -> Kernel:
    """Swendsen-Wang: every cluster takes a new value, each with the same probability.

    Args:
        params: of `energies.ising_on_graph`, for positions of ±1, or of `energies.potts`, for positions of the numbers
            0 … q - 1. Couplings are at least 0, and fields are 0.
        beta: inverse temperature in [0, inf]; may be traced.
        edges: a `Graph`, such as that of `ebmjax.lattices.hypercubic`, or pairs of numbers of units.
        bits: source of random words: `random_bits.bits`, or `random_bits.hashed` for speed.

    Returns:
        Kernel of positions (units,), whose info has `changed`, `clusters` and `served`.

    Raises:
        ValueError: a bad beta, a negative coupling, a field, edges that are none; at `init`, edges or parameters that
            do not fit the units, static units that are not ±1 or not whole numbers from 0 to q - 1.

    Swendsen and Wang (1987).

    >>> kernel = swendsen_wang(ising_on_graph.Params(jnp.array(1.0), jnp.array(0.0)), jnp.inf, [(0, 1), (1, 2)])
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.ones(3)))
    >>> abs(state.position.sum()).item(), int(info.clusters)
    (3.0, 1)
    """
    return _kernel(params, beta, edges, bits, _every_cluster)


def wolff(
    params: ising_on_graph.Params | potts.Params,
    beta: Beta,
    edges: Any,
    bits: random_bits.RandomWords = random_bits.bits,
) -> Kernel:
    """Wolff: the cluster of a unit that is chosen uniformly takes another value, of several each alike.

    One step moves one cluster, which has on average Σ_C |C|² / N units.

    Arguments and errors as in `swendsen_wang`.

    Wolff (1989).

    >>> kernel = wolff(ising_on_graph.Params(jnp.array(1.0), jnp.array(0.0)), jnp.inf, [(0, 1), (1, 2)])
    >>> kernel.step(jax.random.key(0), kernel.init(jnp.ones(3)))[0].position.tolist()
    [-1.0, -1.0, -1.0]
    """
    return _kernel(params, beta, edges, bits, _one_cluster)


def _kernel(params, beta, edges, bits, move):
    if not isinstance(params, ising_on_graph.Params | potts.Params):
        wanted = f"{ising_on_graph.Params.__module__}.Params or {potts.Params.__module__}.Params"
        raise ArgumentError(f"params: got a {type(params).__name__}, wanted {wanted}")
    check_callable("bits", bits)
    params, beta = as_params(params, type(params)), as_beta(beta)
    _check_served(params)
    if isinstance(params, potts.Params) and params.field.shape[-1:] > (2**16,):
        raise ArgumentError(f"field: got {params.field.shape[-1]} states, wanted at most {2**16}")
    # as an array of JAX, so that other edges of as many are the same program
    pairs = jnp.asarray(as_edges(edges))

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> State:
        position = as_example("position", position, params.coupling, (None,))
        as_edges(edges, len(position))
        if isinstance(params, potts.Params):
            potts.check_params(params, pairs, len(position))
            _check_states(position, params.field.shape[-1])
        else:
            ising_on_graph.check_params(params, pairs, len(position))
            check_units("position", position, SPINS)
        return State(position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, params, beta, pairs, bits, move)

    return Kernel(init, step)


def _check_served(params):
    """Refuse couplings and fields that are known and have another law."""
    for name, array, wrong, wanted in (
        ("coupling", params.coupling, lambda x: ~(x >= 0), "at least 0: the moves of a spin glass are `isoenergetic`"),
        ("field", params.field, lambda x: x != 0, "0: clusters do not see a field"),
    ):
        if is_static(array):
            values = np.asarray(array)
            foreign = values[wrong(values)]
            if foreign.size:
                raise ArgumentError(f"{name}: got {foreign.flat[0]}, wanted {wanted}")


def _check_states(position, states):
    if is_static(position):
        values = np.asarray(position)
        foreign = values[~((values >= 0) & (values < states) & (values == np.round(values)))]
        if foreign.size:
            raise ArgumentError(f"position: got a state of {foreign[0]}, wanted whole numbers from 0 to {states - 1}")


@compiled
def _step(rng_key, state, params, beta, pairs, bits, move):
    bonds_key, values_key = jax.random.split(rng_key)
    old = state.position
    spins = isinstance(params, ising_on_graph.Params)
    # what an open edge would cost if its units differed
    cost = jnp.broadcast_to(2 * params.coupling if spins else params.coupling, (len(pairs),))
    closed = jnp.exp(-reduced(cost, beta))
    # fine near 0, so that edges as good as certain are closed as rarely as they should be
    uniform = 2 * jnp.abs(random_bits.around_zero(bits(bonds_key, (len(pairs),)))).astype(closed.dtype)
    equal = old[pairs[:, 0]] == old[pairs[:, 1]]
    labels = components(pairs, equal & (uniform > closed), len(old))
    served = (params.coupling >= 0).all() & (params.field == 0).all()
    new = jnp.where(served, move(values_key, bits, old, labels, None if spins else params.field.shape[-1]), old)
    count = (labels == jnp.arange(len(old), dtype=labels.dtype)).sum(dtype=jnp.int32)
    return State(new), Info((new != old).mean(), count, served)


def _every_cluster(key, bits, old, labels, states):
    words = bits(key, old.shape)[labels]
    if states is None:
        return jnp.where(words >> np.uint32(31) == 1, old, -old)
    return _below(words, states).astype(old.dtype)


def _one_cluster(key, bits, old, labels, states):
    site_key, value_key = jax.random.split(key)
    moved = labels == labels[jax.random.randint(site_key, (), 0, len(old))]
    if states is None:
        return jnp.where(moved, -old, old)
    turn = 1 + _below(bits(value_key, ()), states - 1).astype(old.dtype)
    return jnp.where(moved, (old + turn) % states, old)


def _below(words: UInt32[Array, "*shape"], count: int) -> UInt32[Array, "*shape"]:
    """Uniform whole numbers below a count of at most 2¹⁶: ⌊word · count / 2³²⌋, without a product of 64 bits."""
    half = np.uint32(16)
    low = (words & np.uint32(0xFFFF)) * np.uint32(count) >> half
    return (words >> half) * np.uint32(count) + low >> half
