"""Parallel tempering: one chain at each of several temperatures, which exchange their positions.

    neighbours i, j swap with probability min(1, exp((beta_i - beta_j)(E_i - E_j)))

Hot chains cross barriers between minima that cold ones cannot cross; the swaps bring their positions to the cold
chains. Each rung of this ladder keeps its own law exp(-beta_i E)/Z_i. Even and odd pairs take turns. In this
non-reversible scheme a replica moves along the ladder faster than with pairs that are chosen at random.

`tempering` makes a kernel, whose position is that of all rungs; `annealing`, by contrast, runs one.

Swendsen and Wang (1986); Geyer (1991); Syed, Bouchard-Côté, Deligiannidis, Doucet (2022), "Non-reversible parallel
tempering".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from ebmjax.checks import ArgumentError, check_betas
from ebmjax.sample.metropolis import accepts
from ebmjax.temperature import reduced
from ebmjax.types import Energy, Kernel, KernelAtBeta


class State(NamedTuple):
    """The positions of all rungs, which replica each has, and which pairs are next."""

    position: PyTree[Array]
    """Arrays with the leading axis rungs, in the order of the betas."""
    replica: Int[Array, " rungs"]
    """The number of the replica on each rung; followed over a run, it shows how far replicas move."""
    turn: Int[Array, ""]
    """0 if the pairs (0, 1), (2, 3) … are next, 1 if (1, 2), (3, 4) … are."""


class Info(NamedTuple):
    """What happened in a step."""

    energy: Float[Array, " rungs"]
    """Energy on each rung after the swaps."""
    acceptance: Float[Array, " pairs"]
    """Probability of a swap of each pair, also of those whose turn it was not; `tune_ladder` takes its mean."""
    kernel: Any
    """Infos of the rungs' kernels, with the leading axis rungs."""


def tempering(energy: Energy, make_kernel: KernelAtBeta, betas: Float[Array, " rungs"]) -> Kernel:
    """Kernel of the whole ladder: one step of every rung's kernel, in one vmap, then swaps between neighbours.

    Args:
        energy: `energy(position) -> scalar`, the energy of the kernels.
        make_kernel: `beta -> Kernel`, called inside a vmap with a traced beta. Its `init` is called before every step.
        betas: one for each rung, at least 2, in [0, inf], rising or falling; static or traced. At most one may be inf.

    Returns:
        A kernel whose positions have the leading axis rungs; `jax.tree.map(lambda x: x[i], state.position)` is a draw
        at betas[i]. Its info has `energy`, `acceptance` and `kernel`.

    Raises:
        ValueError: fewer than 2 betas, static ones that are negative or NaN; at `init`, a position without the leading
            axis rungs.

    Swendsen and Wang (1986); Syed et al. (2022).

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
                wanted = f"the leading axis {len(betas)}, one for each rung"
                raise ArgumentError(f"position: got shape {leaf.shape}, wanted {wanted}")
        return State(position, jnp.asarray(rungs, jnp.int32), jnp.int32(0))

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        steps_key, swaps_key = jax.random.split(rng_key)

        def walk(beta, key, position):
            kernel = make_kernel(beta)
            new, info = kernel.step(key, kernel.init(position))
            return new.position, info

        position, info = jax.vmap(walk)(betas, jax.random.split(steps_key, len(betas)), state.position)
        energies = jax.vmap(energy)(position)
        # log of the acceptance ratio of a swap; at equal energies it is 0, also where the difference of betas is inf
        log_ratio = reduced(energies[:-1] - energies[1:], betas[:-1] - betas[1:])
        swap = accepts(swaps_key, -log_ratio) & (rungs[:-1] % 2 == state.turn)
        edge = jnp.zeros(1, bool)
        up, down = jnp.concatenate([swap, edge]), jnp.concatenate([edge, swap])
        source = rungs + up.astype(jnp.int32) - down.astype(jnp.int32)
        position, energies, replica = jax.tree.map(lambda x: x[source], (position, energies, state.replica))
        acceptance = jnp.exp(jnp.minimum(log_ratio, 0))
        return State(position, replica, 1 - state.turn), Info(energies, acceptance, info)

    return Kernel(init, step)


def tune_ladder(betas: Float[Array, " rungs"], acceptance: Float[Array, " pairs"]) -> Float[Array, " rungs"]:
    """A ladder with the same ends on which all pairs are refused equally often.

        Λ(beta_i) = Σ_{j < i} (1 - acceptance_j),    new betas at equal steps of Λ

    Λ is the communication barrier; between the old betas it is interpolated linearly. Repeat with the statistics of the
    new ladder until the betas no longer change.

    Args:
        betas: the ladder, rising or falling.
        acceptance: mean probability of a swap of each pair: `Info.acceptance` averaged over steps.

    Returns:
        the new ladder, (rungs,), in the same order.

    Raises:
        ValueError: a number of pairs that is not the number of rungs less one.

    Syed et al. (2022), section 5.1.

    >>> tune_ladder(jnp.array([0.0, 1.0, 2.0]), jnp.array([1.0, 0.5]))[0].item()
    0.0
    """
    betas = jnp.asarray(betas)
    if acceptance.shape != (len(betas) - 1,):
        raise ArgumentError(f"acceptance: got shape {acceptance.shape}, wanted {(len(betas) - 1,)}, one for each pair")
    refused = jnp.maximum(1 - acceptance, 1e-6)  # Λ must rise, also over a pair that was never refused
    barrier = jnp.concatenate([jnp.zeros(1, refused.dtype), jnp.cumsum(refused)])
    return jnp.interp(jnp.linspace(0, barrier[-1], len(betas)), barrier, betas)
