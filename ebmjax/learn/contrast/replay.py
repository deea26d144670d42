"""A replay buffer: persistent chains with random restarts, in which chains that diverge are replaced.

Du and Mordatch (2019), "Implicit generation and modeling with energy-based models", section 3.2.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key, PyTree

from ebmjax.checks import (
    ArgumentError,
    as_float,
    as_floats,
    check_above_zero,
    check_callable,
    check_count,
    check_key,
    check_share,
    leading_axis,
)
from ebmjax.compiled import compiled
from ebmjax.learn.contrast.chains import MakeKernel, StartChain, first_states
from ebmjax.learn.contrast.phases import Phase
from ebmjax.loops import repeat
from ebmjax.records import record
from ebmjax.states import begun, continued
from ebmjax.types import Scalar


@record
class Report(NamedTuple):
    """How many chains did not go on from their last position, at one update."""

    restarted: Int[Array, ""]
    """Chains that were restarted before the steps."""
    diverged: Int[Array, ""]
    """Chains that diverged in the steps and were replaced."""


@record
class Memory(NamedTuple):
    """What the phase remembers from one update to the next."""

    states: Any
    """The states of the chains' kernels, stacked along a leading axis."""
    report: Report
    """What happened at the last update."""

    @property
    def positions(self) -> PyTree[Array]:
        """The positions of the chains, stacked along a leading axis."""
        return self.states.position


def replay(
    make_kernel: MakeKernel,
    start: StartChain,
    chains: int,
    steps: int,
    restart: Scalar,
    bound: Scalar = 1e6,
) -> Phase:
    """Persistent chains of which a few are restarted at each update, and of which those that diverge are replaced.

    Each chain is restarted with probability `restart`: while the energy is learned it gets new minima, which chains in
    other minima do not find. A chain that diverges, beyond `bound` or to NaN, is replaced by a healthy one, drawn with
    equal probabilities, or by a new start where no chain is healthy. All positions of the phase are therefore finite.

    Args:
        make_kernel: `params -> Kernel`, such as `lambda params: mala(partial(energy, params), beta, step_size)`.
        start: `start(key) -> position` of one chain, of the shape of one sample.
        chains: how many, at least 1.
        steps: steps an update, at least 1.
        restart: the share of chains that are restarted, in [0, 1].
        bound: |x| of any component beyond which a chain counts as diverged, above 0, in the units of the position.

    Returns:
        A phase whose memory is `Memory` and whose report is `Report`.

    Raises:
        ValueError: chains or steps below 1, a static restart outside [0, 1], a static bound that is not above 0; when
            it samples, a start of another shape than the samples, a kernel that changes the shape of its position.

    Du and Mordatch (2019), "Implicit generation and modeling with energy-based models", sec. 3.2.

    >>> from ebmjax.sample.metropolis import gaussian_step, metropolis
    >>> make_kernel = lambda w: metropolis(lambda x: w * x @ x, 1.0, gaussian_step(0.5))
    >>> phase = replay(make_kernel, lambda key: jax.random.normal(key, (2,)), 5, steps=1, restart=0.05)
    >>> memory = phase.init(jax.random.key(0), 0.5)
    >>> positions, memory = phase.sample(jax.random.key(1), 0.5, memory, jnp.ones((8, 2)))
    >>> positions.shape, int(phase.report(memory).diverged)
    ((5, 2), 0)
    """
    check_callable("make_kernel", make_kernel)
    check_callable("start", start)
    check_count("steps", steps)
    check_count("chains", chains)
    check_share("restart", restart)
    check_above_zero("bound", bound)
    restart, bound = as_float("restart", restart, ()), as_float("bound", bound, ())

    def init(key: Key[Array, ""], params: Any) -> Memory:
        check_key("key", key)
        return Memory(first_states(key, params, make_kernel, start, chains), Report(jnp.int32(0), jnp.int32(0)))

    def sample(key: Key[Array, ""], params: Any, memory: Memory, batch: Any) -> tuple[Any, Memory]:
        check_key("key", key)
        memory = _sample(key, params, memory, as_floats("batch", batch), make_kernel, start, steps, restart, bound)
        return memory.positions, memory

    return Phase(init, sample, _report)


def _report(memory: Memory) -> Report:
    return memory.report


@compiled
def _sample(key, params, memory, batch, make_kernel, start, steps, restart, bound):
    restart_key, start_key, steps_key, heal_key = jax.random.split(key, 4)
    kernel, chains = make_kernel(params), leading_axis("memory", memory.states)

    def run(key, state):
        begin_key, walk_key = jax.random.split(key)
        return repeat(walk_key, kernel, continued(begin_key, make_kernel, params, state), steps).state

    _check_positions(kernel, start, key, batch)
    fresh = first_states(start_key, params, make_kernel, start, chains)
    restarted = jax.random.uniform(restart_key, (chains,)) < restart
    before = _choose(restarted, fresh, memory.states)
    after = jax.vmap(run)(jax.random.split(steps_key, chains), before)
    healthy = _within(after.position, bound)
    states = _choose(healthy, after, _choose(healthy.any(), _drawn(heal_key, after, healthy), fresh))
    count = lambda flags: jnp.sum(flags, dtype=jnp.int32)
    return Memory(states, Report(count(restarted), count(~healthy)))


def _choose(flags: Bool[Array, "*chains"], chosen: Any, other: Any) -> Any:
    """`chosen` where the flag of a chain is set, else `other`, for every leaf."""
    spread = lambda leaf: flags.reshape(flags.shape + (1,) * (leaf.ndim - flags.ndim))
    return jax.tree.map(lambda a, b: jnp.where(spread(a), a, b), chosen, other)


def _within(positions: Any, bound: Scalar) -> Bool[Array, " chains"]:
    """Whether every component of a chain's position is finite and within the bound."""
    within = lambda leaf: jnp.isfinite(leaf) & (jnp.abs(leaf) <= jnp.asarray(bound).astype(leaf.dtype))
    flags = [within(leaf).reshape(len(leaf), -1).all(axis=1) for leaf in jax.tree.leaves(positions)]
    return jnp.stack(flags).all(axis=0)


def _drawn(key: Key[Array, ""], positions: Any, healthy: Bool[Array, " chains"]) -> Any:
    """A healthy chain in place of each, drawn with replacement; any chains where none is healthy."""
    places = jnp.cumsum(healthy, dtype=jnp.int32)
    ranks = jax.random.randint(key, healthy.shape, 0, jnp.maximum(places[-1], 1), jnp.int32)
    rows = jnp.minimum(jnp.searchsorted(places, ranks, side="right"), len(healthy) - 1)
    return jax.tree.map(lambda leaf: leaf[rows], positions)


def _check_positions(kernel, start, key, batch):
    """Raise ArgumentError where samples, starts and stepped positions are not of one form."""
    form = lambda tree: (jax.tree.structure(tree), [leaf.shape for leaf in jax.tree.leaves(tree)])
    show = lambda tree: str(jax.tree.map(lambda leaf: leaf.shape, tree))
    sample = jax.eval_shape(lambda batch: jax.tree.map(lambda leaf: leaf[0], batch), batch)
    first = jax.eval_shape(start, key)
    if form(first) != form(sample):
        raise ArgumentError(f"start: got positions of shape {show(first)}, wanted that of a sample, {show(sample)}")
    stepped = jax.eval_shape(lambda key: kernel.step(key, begun(key, kernel, start(key)))[0].position, key)
    if form(stepped) != form(first):
        raise ArgumentError(f"make_kernel: got steps to the shape {show(stepped)}, wanted that of start, {show(first)}")
