"""Parallel tempering: one chain at each of several temperatures, which exchange their temperatures.

    neighbours i, j swap with probability min(1, exp((beta_i - beta_j)(E_i - E_j)))

Hot chains cross barriers between minima that cold ones cannot cross; then they become cold themselves. Each rung of
this ladder has its own law exp(-beta_i E)/Z_i, whichever chain is there. Even and odd pairs take turns. In this
non-reversible scheme a chain, here called a replica, moves along the ladder faster than with pairs that are chosen at
random.

A replica keeps its position, which may be large, and its place in memory, which may be a device of its own. What a swap
changes is which replica is on which rung; for this the replicas tell each other nothing but their energies. Random
numbers belong to rungs, so that a run is the same one, bit by bit, on any number of devices.

`tempering` makes a kernel, whose position is that of all rungs; `annealing`, by contrast, runs one.

Swendsen and Wang (1986); Geyer (1991); Syed, Bouchard-Côté, Deligiannidis, Doucet (2022), "Non-reversible parallel
tempering".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from ebmjax.checks import ArgumentError, as_float, as_floats, check_betas, check_callable, check_key
from ebmjax.compiled import compiled
from ebmjax.records import record
from ebmjax.sample.metropolis import accepts, check_allowed, is_forbidden
from ebmjax.states import arranged, begun, continued
from ebmjax.temperature import reduced
from ebmjax.types import Energy, Kernel, KernelAtBeta


@record
class State(NamedTuple):
    """The states of the kernels of all replicas, which of them is on each rung, and which pairs are next."""

    replicas: Any
    """The states of the replicas' kernels, with the leading axis replicas: swaps do not change their order."""
    replica: Int[Array, "*chains rungs"]
    """The number of the replica on each rung; followed over a run, it shows how far replicas move."""
    turn: Int[Array, "*chains"]
    """0 if the pairs (0, 1), (2, 3) … are next, 1 if (1, 2), (3, 4) … are."""

    @property
    def position(self) -> PyTree[Array]:
        """The positions of the rungs: arrays with the leading axis rungs, in the order of the betas."""
        return _at(self.replica, self.replicas.position)

    def arranged(self, new: "State") -> "State":
        """A new state, made by `init` from positions of rungs, with the replicas in the order of this one's."""
        return new._replace(replicas=arranged(self.replicas, _at(_inverse(self.replica), new.replicas)))


@record
class Info(NamedTuple):
    """What happened in a step."""

    energy: Float[Array, " rungs"]
    """Energy on each rung after the swaps."""
    acceptance: Float[Array, " pairs"]
    """Probability of a swap of each pair, also of those whose turn it was not; `tune_ladder` takes its mean."""
    kernel: Any
    """Infos of the rungs' kernels, with the leading axis rungs."""
    forbidden: Bool[Array, " rungs"]
    """Whether the energy on a rung is +inf or NaN: it is there that a chain cannot be, and it can be stuck there."""


def tempering(energy: Energy, make_kernel: KernelAtBeta, betas: Any) -> Kernel:
    """Kernel of the whole ladder: one step of every rung's kernel, in one vmap, then swaps between neighbours.

    In a swap two replicas change their betas, and keep all that a kernel's state holds, such as momenta beside
    positions. What a kernel had computed from its beta, such as a log-density, is computed anew
    (`ebmjax.states.continued`), and nothing else: of a kernel that keeps E and its gradient, nothing at all.

    Args:
        energy: `energy(position) -> scalar`, the energy of the kernels.
        make_kernel: `beta -> Kernel`, called inside a vmap with a traced beta.
        betas: one for each rung, at least 2, in [0, inf], rising or falling; static or traced. At most one may be inf.

    Returns:
        A kernel whose positions have the leading axis rungs; `jax.tree.map(lambda x: x[i], state.position)` is a draw
        at betas[i]. Its info has `energy`, `acceptance`, `kernel` and `forbidden`, in the order of the betas as well.
        In the order of the replicas there is `state.replicas`; `state.replica` is the number of the one on each rung.

    Raises:
        ValueError: fewer than 2 betas, static ones that are negative or NaN; at `init`, a position without the leading
            axis rungs, or a static one whose energy is +inf or NaN on a rung.

    Swendsen and Wang (1986); Syed et al. (2022).

    >>> from ebmjax.sample.gibbs import systematic
    >>> energy = lambda s: -s[0] * s[1]
    >>> kernel = tempering(energy, lambda beta: systematic(energy, beta), jnp.array([0.0, 1.0, 2.0]))
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.ones((3, 2))))
    >>> state.position.shape, info.acceptance.shape
    ((3, 2), (2,))
    """
    check_callable("energy", energy)
    check_callable("make_kernel", make_kernel)
    check_betas(betas)
    betas = as_float("betas", betas)
    if len(betas) < 2:
        raise ArgumentError(f"betas: got {len(betas)} rung, wanted at least 2")

    def init(position: PyTree[Any], rng_key: Key[Array, ""] | None = None) -> State:
        position = as_floats("position", position)
        for leaf in jax.tree.leaves(position):
            if leaf.shape[:1] != betas.shape:
                wanted = f"the leading axis {len(betas)}, one for each rung"
                raise ArgumentError(f"position: got shape {leaf.shape}, wanted {wanted}")
        # a kernel that draws at the start, and is given no key, draws the same in every run
        return _init(energy, make_kernel, betas, position, jax.random.key(0) if rng_key is None else rng_key)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, energy, make_kernel, betas)

    return Kernel(init, step)


def _init(energy, make_kernel, betas, position, rng_key):
    replicas, energies = _first(energy, make_kernel, betas, position, rng_key)
    check_allowed("position", energies)
    return State(replicas, jnp.arange(len(betas), dtype=jnp.int32), jnp.int32(0))


@compiled
def _first(energy, make_kernel, betas, position, rng_key):
    start = lambda beta, position, key: begun(key, make_kernel(beta), position)
    replicas = jax.vmap(start)(betas, position, jax.random.split(rng_key, len(betas)))
    return replicas, jax.vmap(energy)(replicas.position)


@compiled
def _step(rng_key, state, energy, make_kernel, betas):
    steps_key, swaps_key, begin_key = jax.random.split(rng_key, 3)
    rung = _inverse(state.replica)
    walk = lambda beta, key, replica: make_kernel(beta).step(key, replica)
    replicas, info = jax.vmap(walk)(betas[rung], jax.random.split(steps_key, len(betas))[rung], state.replicas)
    energies, info = _at(state.replica, (jax.vmap(energy)(replicas.position), info))
    energies = energies if jnp.issubdtype(energies.dtype, jnp.floating) else energies.astype(float)
    # log of the acceptance ratio of a swap; at equal energies it is 0, also where both are inf, or where the difference
    # of betas is inf
    level = energies[:-1] == energies[1:]
    log_ratio = jax.vmap(reduced)(jnp.where(level, 0, energies[:-1] - energies[1:]), betas[:-1] - betas[1:])
    numbers = np.arange(len(betas), dtype=np.int32)
    swap = accepts(swaps_key, -log_ratio) & (numbers[:-1] % 2 == state.turn)
    edge = jnp.zeros(1, bool)
    up, down = jnp.concatenate([swap, edge]), jnp.concatenate([edge, swap])
    source = numbers + up.astype(jnp.int32) - down.astype(jnp.int32)
    energies, replica = energies[source], state.replica[source]
    rung = _inverse(replica)
    begin_keys = jax.random.split(begin_key, len(betas))[rung]
    renew = lambda key, beta, replica: continued(key, make_kernel, beta, replica)
    replicas = jax.vmap(renew)(begin_keys, betas[rung], replicas)
    acceptance = jnp.exp(jnp.minimum(jnp.where(jnp.isnan(log_ratio), -jnp.inf, log_ratio), 0))
    return State(replicas, replica, 1 - state.turn), Info(energies, acceptance, info, is_forbidden(energies))


def _at(numbers, tree):
    """What a tree has at these numbers of its axis of rungs, or of replicas; the axes before it are of chains."""
    take = lambda leaf, numbers: leaf[numbers]
    for _ in range(numbers.ndim - 1):
        take = jax.vmap(take)
    return jax.tree.map(lambda leaf: take(leaf, numbers), tree)


def _inverse(replica):
    """The rung of each replica, from the replica on each rung."""
    invert = lambda replica: jnp.zeros_like(replica).at[replica].set(jnp.arange(len(replica), dtype=replica.dtype))
    for _ in range(replica.ndim - 1):
        invert = jax.vmap(invert)
    return invert(replica)


def tune_ladder(betas: Any, acceptance: Any) -> Float[Array, " rungs"]:
    """A ladder with the same ends on which all pairs are refused equally often.

        Λ(beta_i) = Σ_{j < i} (1 - acceptance_j),    new betas at equal steps of Λ

    Λ is the communication barrier. Between the old betas it is interpolated linearly in beta; between a finite beta and
    inf, linearly in the temperature 1/beta. Repeat with the statistics of the new ladder until the betas no longer
    change.

    Args:
        betas: the ladder, (rungs,), at least 2, rising or falling. At most one may be inf, at an end.
        acceptance: mean probability of a swap of each pair, (rungs - 1,): `Info.acceptance` averaged over steps.

    Returns:
        the new ladder, (rungs,), in the same order.

    Raises:
        ValueError: fewer than 2 betas, static ones that are negative or NaN; a number of pairs that is not the number
            of rungs less one.

    Syed et al. (2022), section 5.1.

    >>> tune_ladder(jnp.array([0.0, 1.0, 2.0]), jnp.array([1.0, 0.5]))[0].item()
    0.0
    """
    check_betas(betas)
    betas, acceptance = as_float("betas", betas), as_float("acceptance", acceptance)
    if len(betas) < 2:
        raise ArgumentError(f"betas: got {len(betas)} rung, wanted at least 2")
    if acceptance.shape != (len(betas) - 1,):
        raise ArgumentError(f"acceptance: got shape {acceptance.shape}, wanted {(len(betas) - 1,)}, one for each pair")
    refused = jnp.maximum(1 - acceptance, 1e-6)  # Λ must rise, also over a pair that was never refused
    barrier = jnp.concatenate([jnp.zeros(1, refused.dtype), jnp.cumsum(refused)])
    at = jnp.linspace(0, barrier[-1], len(betas))[1:-1]
    pair = jnp.clip(jnp.searchsorted(barrier, at, side="right") - 1, 0, len(betas) - 2)
    share = jnp.clip((at - barrier[pair]) / refused[pair], 0, 1).astype(betas.dtype)
    below, above = betas[pair], betas[pair + 1]
    # of finite betas the temperatures are not used: 1/0 is inf
    finite = below * (1 - share) + above * share
    cold = 1 / ((1 - share) / below + share / above)
    between = jnp.where(jnp.isinf(below) | jnp.isinf(above), cold, finite)
    return jnp.concatenate([betas[:1], between, betas[-1:]])
