"""Parallel tempering: replicas at a ladder of temperatures that exchange places, so that the hot ones free the cold.

    neighbours i, j swap with probability min(1, exp((beta_i - beta_j)(E_i - E_j)))

Each rung keeps its own law exp(-beta_i E)/Z_i. Even and odd pairs take turns, the non-reversible scheme, in which a
replica travels the ladder faster than by random pairs.

Swendsen and Wang (1986); Geyer (1991); Syed, Bouchard-Côté, Deligiannidis, Doucet (2022), "Non-reversible parallel
tempering".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from ebmjax.checks import ArgumentError, check_betas
from ebmjax.temperature import reduced
from ebmjax.types import Energy, Kernel


class State(NamedTuple):
    """One position a rung, and whose turn it is."""

    position: PyTree[Array]
    """Leading axis: rungs, in the order of the betas."""
    replica: Int[Array, " rungs"]
    """Which replica stands on each rung: it counts how far they travel."""
    turn: Int[Array, ""]
    """0 where the pairs (0, 1), (2, 3) … are next, 1 for (1, 2), (3, 4) …"""


class Info(NamedTuple):
    """What happened in a step."""

    energy: Float[Array, " rungs"]
    """Of each rung after the swaps."""
    acceptance: Float[Array, " pairs"]
    """Chance that neighbours would swap, whether it was their turn or not: its mean over steps tunes the ladder."""
    kernel: Any
    """Info of each rung's kernel."""


def tempering(energy: Energy, make_kernel: Callable[[Any], Kernel], betas: Float[Array, " rungs"]) -> Kernel:
    """Kernel of the whole ladder: a step of every rung's kernel, all in one vmap, then the swaps.

    Args:
        energy: `energy(position) -> scalar`.
        make_kernel: `beta -> Kernel`, built inside a vmap with a traced beta.
        betas: one a rung, at least 2, in any order that makes neighbours close; static or traced. One may be inf.

    Returns:
        A kernel whose positions have the leading axis rungs; `jax.tree.map(lambda x: x[i], state.position)` is a draw
        at betas[i].

    Raises:
        ValueError: fewer than 2 betas, static ones that are negative or NaN.

    >>> from ebmjax.sample.gibbs import systematic
    >>> energy = lambda s: -s[0] * s[1]
    >>> kernel = tempering(energy, lambda beta: systematic(energy, beta), jnp.array([0.0, 1.0, 2.0]))
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.ones((3, 2))))
    >>> state.position.shape, info.acceptance.shape
    ((3, 2), (2,))
    """
    check_betas(betas)
    betas = jnp.asarray(betas)
    if len(betas) < 2:
        raise ArgumentError(f"betas: got {len(betas)} rung, wanted at least 2")
    rungs = np.arange(len(betas), dtype=np.int32)

    def init(position: PyTree[Array], rng_key: Key[Array, ""] | None = None) -> State:
        for leaf in jax.tree.leaves(position):
            if leaf.shape[:1] != betas.shape:
                raise ArgumentError(
                    f"position: got shape {leaf.shape}, wanted the leading axis {len(betas)}, one a rung"
                )
        return State(position, jnp.asarray(rungs, jnp.int32), jnp.int32(0))

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        steps_key, swaps_key = jax.random.split(rng_key)

        def walk(beta, key, position):
            kernel = make_kernel(beta)
            new, info = kernel.step(key, kernel.init(position))
            return new.position, info

        position, info = jax.vmap(walk)(betas, jax.random.split(steps_key, len(betas)), state.position)
        energies = jax.vmap(energy)(position)
        # the log-odds of a swap; two rungs at one energy always may
        odds = reduced(energies[:-1] - energies[1:], betas[:-1] - betas[1:])
        uniform = jax.random.uniform(swaps_key, odds.shape, odds.dtype)
        swap = (-jnp.log1p(-uniform) >= -odds) & (rungs[:-1] % 2 == state.turn)
        edge = jnp.zeros(1, bool)
        up, down = jnp.concatenate([swap, edge]), jnp.concatenate([edge, swap])
        source = rungs + up.astype(jnp.int32) - down.astype(jnp.int32)
        position, energies, replica = jax.tree.map(lambda x: x[source], (position, energies, state.replica))
        acceptance = jnp.exp(jnp.minimum(odds, 0))
        return State(position, replica, 1 - state.turn), Info(energies, acceptance, info)

    return Kernel(init, step)


def tune_ladder(betas: Float[Array, " rungs"], acceptance: Float[Array, " pairs"]) -> Float[Array, " rungs"]:
    """A ladder with the same ends on which every pair is refused equally often.

    The refusals, summed along the ladder, are the communication barrier Λ(beta); new rungs stand at equal steps of it,
    between the old ones by linear interpolation. Repeat with fresh statistics until the rungs stay.

    Args:
        betas: the ladder, rising or falling.
        acceptance: mean chance of a swap of each pair, as `Info.acceptance` averaged over steps.

    Raises:
        ValueError: another number of pairs than of rungs less one.

    Syed et al. (2022), section 5.1.

    >>> tune_ladder(jnp.array([0.0, 1.0, 2.0]), jnp.array([1.0, 0.5]))[0].item()
    0.0
    """
    betas = jnp.asarray(betas)
    if acceptance.shape != (len(betas) - 1,):
        raise ArgumentError(f"acceptance: got shape {acceptance.shape}, wanted {(len(betas) - 1,)}, one a pair")
    refused = jnp.maximum(1 - acceptance, 1e-6)  # a pair that never is refused must still keep its order
    barrier = jnp.concatenate([jnp.zeros(1, refused.dtype), jnp.cumsum(refused)])
    return jnp.interp(jnp.linspace(0, barrier[-1], len(betas)), barrier, betas)
