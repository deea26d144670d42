"""A replay buffer: persistent chains that start anew now and then, and that survive their own divergence.

Du and Mordatch (2019), "Implicit generation and modeling with energy-based models", section 3.2.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, PyTree

from ebmjax.checks import ArgumentError, check_count, is_static
from ebmjax.learn.contrast.phases import MakeKernel, Phase
from ebmjax.loops import repeat
from ebmjax.types import Scalar


class ReplayReport(NamedTuple):
    """How many chains of a replay buffer had another start than their last position, at one update."""

    restarted: Int[Array, ""]  # begun anew before the steps
    diverged: Int[Array, ""]  # lost in the steps, and replaced


class Replay(NamedTuple):
    """Where the chains of a replay buffer stand, on a leading axis, and what became of them at the last update."""

    positions: PyTree[Array]
    report: ReplayReport


def replay(
    make_kernel: MakeKernel,
    start: Callable[[Key[Array, ""]], Any],
    chains: int,
    steps: int,
    restart: Scalar,
    bound: Scalar = 1e6,
) -> Phase:
    """Persistent chains of which a few begin anew at each update, and which survive their own divergence.

    Each chain starts anew with probability `restart`: an energy that is learned grows new wells, which chains that have
    settled elsewhere never find. A chain that the steps lead beyond `bound`, or to what is not a number, is replaced
    by a healthy one, drawn with equal chances (by a new start if none is left): all that is handed out is finite.

    Args:
        make_kernel: `params -> Kernel`, such as of Langevin's steps.
        start: `start(key) -> position` of one chain, of the shape of one sample.
        chains: how many, at least 1.
        steps: steps an update, at least 1.
        restart: the share of chains that begin anew, in [0, 1].
        bound: |x| of any component beyond which a chain counts as diverged, above 0, in the units of the position.

    Returns:
        A phase whose memory is `Replay` and whose report is `ReplayReport`.

    Raises:
        ValueError: chains or steps below 1, restart outside [0, 1], a bound that is not above 0; when an update is
            traced, a start of another shape than the samples, a kernel that changes the shape of its position.

    Du and Mordatch (2019), "Implicit generation and modeling with energy-based models", sec. 3.2.

    >>> from ebmjax.sample.metropolis import gaussian_step, metropolis
    >>> make_kernel = lambda w: metropolis(lambda x: w * x @ x, 1.0, gaussian_step(0.5))
    >>> phase = replay(make_kernel, lambda key: jax.random.normal(key, (2,)), 5, steps=1, restart=0.05)
    >>> memory = phase.init(jax.random.key(0), 0.5)
    >>> positions, memory = phase.sample(jax.random.key(1), 0.5, memory, jnp.ones((8, 2)))
    >>> positions.shape, int(phase.report(memory).diverged)
    ((5, 2), 0)
    """
    check_count("steps", steps)
    check_count("chains", chains)
    if is_static(restart) and not 0 <= float(restart) <= 1:
        raise ArgumentError(f"restart: got {float(restart)}, wanted a share of the chains, 0 to 1")
    if is_static(bound) and not float(bound) > 0:
        raise ArgumentError(f"bound: got {float(bound)}, wanted a number above 0")
    starts = lambda key: jax.vmap(start)(jax.random.split(key, chains))

    def init(key: Key[Array, ""], params: Any) -> Replay:
        return Replay(starts(key), ReplayReport(jnp.int32(0), jnp.int32(0)))

    def sample(key: Key[Array, ""], params: Any, memory: Replay, batch: Any) -> tuple[Any, Replay]:
        restart_key, start_key, steps_key, heal_key = jax.random.split(key, 4)
        kernel = make_kernel(params)
        run = lambda key, position: repeat(key, kernel, kernel.init(position), steps).positions
        _check_positions(start, run, key, batch)
        fresh, anew = starts(start_key), jax.random.uniform(restart_key, (chains,)) < restart
        before = _choose(anew, fresh, memory.positions)
        after = jax.vmap(run)(jax.random.split(steps_key, chains), before)
        healthy = _within(after, bound)
        positions = _choose(healthy, after, _choose(healthy.any(), _drawn(heal_key, after, healthy), fresh))
        count = lambda flags: jnp.sum(flags, dtype=jnp.int32)
        return positions, Replay(positions, ReplayReport(count(anew), count(~healthy)))

    return Phase(init, sample, lambda memory: memory.report)


def _choose(flags: Bool[Array, "*chains"], chosen: Any, other: Any) -> Any:
    """Leaf by leaf and chain by chain."""
    spread = lambda leaf: flags.reshape(flags.shape + (1,) * (leaf.ndim - flags.ndim))
    return jax.tree.map(lambda a, b: jnp.where(spread(a), a, b), chosen, other)


def _within(positions: Any, bound: Scalar) -> Bool[Array, " chains"]:
    """Whether every component of a chain's position is a number of a sane size."""
    sane = lambda leaf: jnp.isfinite(leaf) & (jnp.abs(leaf) <= jnp.asarray(bound).astype(leaf.dtype))
    return jnp.stack([sane(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in jax.tree.leaves(positions)]).all(axis=0)


def _drawn(key: Key[Array, ""], positions: Any, healthy: Bool[Array, " chains"]) -> Any:
    """A healthy chain for each, with replacement; anything where none is."""
    places = jnp.cumsum(healthy, dtype=jnp.int32)
    ranks = jax.random.randint(key, healthy.shape, 0, jnp.maximum(places[-1], 1), jnp.int32)
    rows = jnp.minimum(jnp.searchsorted(places, ranks, side="right"), len(healthy) - 1)
    return jax.tree.map(lambda leaf: leaf[rows], positions)


def _check_positions(start, run, key, batch):
    """Raise ValueError where samples, starts and stepped positions are not of one form."""
    form = lambda tree: (jax.tree.structure(tree), [leaf.shape for leaf in jax.tree.leaves(tree)])
    show = lambda tree: str(jax.tree.map(lambda leaf: leaf.shape, tree))
    sample = jax.eval_shape(lambda batch: jax.tree.map(lambda leaf: leaf[0], batch), batch)
    begun = jax.eval_shape(start, key)
    if form(begun) != form(sample):
        raise ArgumentError(f"start: got positions of shape {show(begun)}, wanted that of a sample, {show(sample)}")
    stepped = jax.eval_shape(run, key, begun)
    if form(stepped) != form(begun):
        raise ArgumentError(f"make_kernel: got steps to the shape {show(stepped)}, wanted that of start, {show(begun)}")
