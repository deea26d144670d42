"""Isoenergetic cluster moves of pairs of replicas (Houdayer), for spin glasses and any other units on a graph.

Two chains of one law, at one temperature, are at a and b. Where they differ, the edges of the graph between differing
units make clusters. A move exchanges the values of a and b on one cluster, that of a unit chosen uniformly among those
that differ:

    a'_i = b_i, b'_i = a_i  on the cluster,    E(a') + E(b') = E(a) + E(b)

Around a cluster a and b are equal, so that the sum of their energies stays as it is for every energy whose terms are of
single units and of pairs that share an edge, with fields and with couplings of any sign. The move is always accepted,
leaves the product of both laws invariant, and moves many units at once across barriers that single units do not pass.

`isoenergetic` makes a kernel of pairs out of a kernel of one replica. Inside parallel tempering, where it helps most,
give it the kernel of the whole ladder: pairs then meet on every rung, and each of the two swaps along its own ladder.

    kernel = isoenergetic(energy, tempering(energy, make_kernel, betas), edges)    # positions (2, rungs, units)

The clusters are small enough to be of use only where the graph does not percolate through them, as on square and other
lattices of two dimensions; on cubic ones they are so at low temperatures, where a and b differ in few places.

Houdayer (2001), "A cluster Monte Carlo algorithm for 2-dimensional spin glasses"; Zhu, Ochoa, Katzgraber (2015),
"Efficient cluster algorithm for spin glasses in any space dimension".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax import random_bits
from ebmjax.checks import (
    ArgumentError,
    as_float,
    as_scalar,
    check_callable,
    check_key,
    check_record,
    check_units,
    is_static,
)
from ebmjax.compiled import compiled
from ebmjax.graphs import as_edges
from ebmjax.loops import check_kernel
from ebmjax.records import record
from ebmjax.sample.components import components
from ebmjax.states import begun, moved
from ebmjax.types import SPINS, Alphabet, AnyKernel, Energy, Kernel


@record
class State(NamedTuple):
    """The states of the two replicas."""

    replicas: Any
    """The states of the kernel, with the leading axis 2."""

    @property
    def position(self) -> Float[Array, "..."]:
        """The positions of both replicas, (2, …, units)."""
        return self.replicas.position


@record
class Info(NamedTuple):
    """What happened in a step."""

    exchanged: Float[Array, "*rungs"]
    """Share of the units that the pair exchanged."""
    different: Float[Array, "*rungs"]
    """Share of the units in which the pair differs, which the exchange does not change."""
    kernel: Any
    """Infos of the kernel, with the leading axis 2."""


def isoenergetic(energy: Energy, kernel: AnyKernel, edges: Any, alphabet: Alphabet = SPINS) -> Kernel:
    """Kernel of pairs of replicas: a step of the given kernel for each of the two, then an exchange of one cluster.

    Args:
        energy: `energy(units) -> scalar` of one replica, of terms of single units and of pairs that share an edge.
        kernel: of one replica, with positions (units,), or of several at once, such as those of `tempering`, with
            positions (rungs, units). At equal places of the leading axes both replicas have the same temperature.
        edges: a `Graph`, or pairs of numbers of units.
        alphabet: the two values of a unit, ±1 by default.

    Returns:
        Kernel of positions (2, …, units), whose info has `exchanged`, `different` and `kernel`.

    Raises:
        ValueError: what is no kernel, edges that are none; at `init`, a position without the leading axis 2, edges that
            do not fit the units, static units outside the alphabet, or an energy that an exchange changes where its
            parameters are static: the graph lacks edges that the energy has.

    Houdayer (2001).

    >>> from ebmjax.sample.gibbs import systematic
    >>> energy = lambda s: -s[0] * s[1] + s[1] * s[2]
    >>> kernel = isoenergetic(energy, systematic(energy, 1.5), [(0, 1), (1, 2)])
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.ones((2, 3))))
    >>> state.position.shape, info.exchanged.shape
    ((2, 3), ())
    """
    check_callable("energy", energy)
    check_record("alphabet", alphabet, Alphabet)
    check_kernel(kernel)
    pairs = jnp.asarray(as_edges(edges))

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> State:
        position = as_float("position", position)
        if position.ndim < 2 or len(position) != 2:
            wanted = "(2, …, units): two replicas"
            raise ArgumentError(f"position: got shape {position.shape}, wanted {wanted}")
        as_edges(edges, position.shape[-1])
        check_units("position", position, alphabet)
        _check_conserved(energy, position, pairs, alphabet)
        keys = jax.random.split(jax.random.key(0) if rng_key is None else rng_key)
        return State(_begin(kernel, position, keys))

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, kernel, pairs)

    return Kernel(init, step)


@compiled
def _begin(kernel, position, keys):
    return jax.vmap(lambda position, key: begun(key, kernel, position))(position, keys)


@compiled
def _step(rng_key, state, kernel, pairs):
    walk_key, exchange_key, begin_key = jax.random.split(rng_key, 3)
    replicas, infos = jax.vmap(kernel.step)(jax.random.split(walk_key), state.replicas)
    position = replicas.position
    one, other = position.reshape(2, -1, position.shape[-1])
    chosen = jax.vmap(_cluster, (0, 0, 0, None))(jax.random.split(exchange_key, len(one)), one, other, pairs)
    exchanged = jnp.stack([jnp.where(chosen, other, one), jnp.where(chosen, one, other)]).reshape(position.shape)
    renew = lambda key, replica, position: moved(key, kernel, replica, position)
    replicas = jax.vmap(renew)(jax.random.split(begin_key), replicas, exchanged)
    rungs = position.shape[1:-1]
    return State(replicas), Info(chosen.mean(-1).reshape(rungs), (one != other).mean(-1).reshape(rungs), infos)


def _cluster(key, one, other, pairs):
    """The cluster of differing units around a random one of them; no unit where none differ."""
    differ = one != other
    labels = components(pairs, differ[pairs[:, 0]] & differ[pairs[:, 1]], len(one))
    lot = random_bits.midpoints(jax.random.bits(key, one.shape, jnp.uint32))
    return differ & (labels == labels[jnp.argmax(jnp.where(differ, lot, 0))])


def _check_conserved(energy, like, pairs, alphabet):
    """Raise if an exchange changes the sum of the energies of some random pairs, as where an edge is missing.

    All clusters of a pair are exchanged or not, at random. A pair shows a missing edge with a probability of about 0.1,
    so that one is missed once in 10⁹ times on a small graph, and in 20 on one of over 30,000 units. Traced parameters
    and edges cannot be checked.
    """
    if not is_static(pairs):
        return
    random = np.random.default_rng(0)
    units = like.shape[-1]
    before = random.choice(np.asarray(alphabet), (min(256, max(32, 2**20 // units)), 2, units))
    after = before.copy()
    for pair in after:
        differ = pair[0] != pair[1]
        labels = _components(np.asarray(pairs), differ)
        chosen = differ & (random.random(len(labels)) < 0.5)[labels]
        pair[:, chosen] = pair[::-1, chosen]
    with jax.ensure_compile_time_eval():
        energies = _energies(energy, jnp.asarray(np.stack([before, after]), like.dtype))
        if not is_static(energies):
            return
    sums = np.asarray(energies, np.float64).sum(axis=2)
    change, scale = np.abs(sums[1] - sums[0]).max(), np.abs(energies).max()
    if np.isfinite(sums).all() and change > 1e-5 * scale:
        wanted = "a graph with an edge for each pair of units that the energy joins"
        raise ArgumentError(
            f"edges: got ones whose exchanges change the energy, by up to {change:.3g}, wanted {wanted}"
        )


@compiled
def _energies(energy, units):
    return jax.vmap(jax.vmap(jax.vmap(lambda units: as_scalar("energy", energy(units)))))(units)


def _components(pairs, differ):
    """What `components` computes, before anything is compiled."""
    ends = pairs[differ[pairs].all(axis=1)]
    labels, old = np.arange(len(differ)), None
    while old is None or (labels != old).any():
        old = labels.copy()
        np.minimum.at(labels, labels[ends].max(axis=1), old[ends].min(axis=1))
        labels = labels[labels]
    return labels
