"""Where the two sides of a likelihood gradient come from: positions under the data, positions under the model.

    ∇ mean -log p(v) / beta = <∇E>_data - <∇E>_model

A phase answers `sample(key, params, memory, batch) -> (positions, memory)`, with a leading axis of positions, and may
remember chains from one update to the next. Contrastive divergence, persistent and tempered chains, clamped sampling of
hidden units and mean fields are phases; which two are contrasted is what tells one way of learning from another.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from ebmjax.loops import repeat
from ebmjax.sample import tempering
from ebmjax.types import Energy, Kernel, Scalar, check_count, is_static

MakeKernel = Callable[[Any], Kernel]
"""`make_kernel(params) -> Kernel`, with the temperature chosen in it."""

Start = Callable[[Key[Array, ""], Any], Any]
"""`start(key, sample) -> position`: a whole position around one sample, such as hidden units drawn at random."""


class Phase(NamedTuple):
    """`init(key, params) -> memory`, `sample(key, params, memory, batch) -> (positions, memory)`.

    `report(memory)` is what a person wants to know of the chains: it goes into the metrics of every update.
    """

    init: Callable[[Key[Array, ""], Any], Any]
    sample: Callable[[Key[Array, ""], Any, Any, Any], tuple[Any, Any]]
    report: Callable[[Any], Any] = lambda memory: None


class ReplayReport(NamedTuple):
    """How many chains of a replay buffer had another start than their last position, at one update."""

    restarted: Int[Array, ""]  # begun anew before the steps
    diverged: Int[Array, ""]  # lost in the steps, and replaced


class Replay(NamedTuple):
    """Where the chains of a replay buffer stand, on a leading axis, and what became of them at the last update."""

    positions: PyTree[Array]
    report: ReplayReport


def observed() -> Phase:
    """The batch itself: the positive phase where the free energy of a sample has a closed form.

    >>> phase = observed()
    >>> phase.sample(jax.random.key(0), None, phase.init(jax.random.key(0), None), "batch")
    ('batch', None)
    """
    return Phase(lambda key, params: None, lambda key, params, memory, batch: (batch, memory))


def from_data(make_kernel: MakeKernel, start: Start, steps: int) -> Phase:
    """A short run from every sample of the batch.

    With a kernel of the model it is the negative phase of contrastive divergence, CD-k for k = `steps`: biased, since
    the chains have not left the data. With a kernel that holds the observed units it is the positive phase of a model
    with hidden units.

    Args:
        make_kernel: `params -> Kernel`.
        start: `start(key, sample) -> position`.
        steps: k, at least 1.

    Raises:
        ValueError: steps below 1.

    Hinton (2002), "Training products of experts by minimizing contrastive divergence".

    >>> from ebmjax.sample.gibbs import systematic
    >>> phase = from_data(lambda w: systematic(lambda s: -w * s.sum(), 1.0), lambda key, s: s, steps=3)
    >>> phase.sample(jax.random.key(0), 0.5, None, jax.numpy.ones((8, 2)))[0].shape
    (8, 2)
    """
    check_count("steps", steps)

    def sample(key: Key[Array, ""], params: Any, memory: None, batch: Any) -> tuple[Any, None]:
        kernel = make_kernel(params)

        def run(key, sample):
            start_key, steps_key = jax.random.split(key)
            return repeat(kernel.step, steps_key, kernel.init(start(start_key, sample)), steps)[0].position

        return jax.vmap(run)(jax.random.split(key, _size(batch)), batch), memory

    return Phase(lambda key, params: None, sample)


def persistent(make_kernel: MakeKernel, start: Callable[[Key[Array, ""]], Any], chains: int, steps: int) -> Phase:
    """Chains of the model that go on from update to update: as the parameters move slowly, they stay near their law.

    Args:
        make_kernel: `params -> Kernel`.
        start: `start(key) -> position` of one chain.
        chains: how many, at least 1.
        steps: steps an update, at least 1.

    Raises:
        ValueError: chains or steps below 1.

    Tieleman (2008), "Training restricted Boltzmann machines using approximations to the likelihood gradient".

    >>> from ebmjax.sample.gibbs import systematic
    >>> make_kernel = lambda w: systematic(lambda s: -w * s.sum(), 1.0)
    >>> phase = persistent(make_kernel, lambda key: jax.random.rademacher(key, (2,), float), chains=5, steps=1)
    >>> phase.init(jax.random.key(0), 0.5).shape
    (5, 2)
    """
    check_count("steps", steps)
    check_count("chains", chains)

    def init(key: Key[Array, ""], params: Any) -> Any:
        return jax.vmap(start)(jax.random.split(key, chains))

    def sample(key: Key[Array, ""], params: Any, memory: Any, batch: Any) -> tuple[Any, Any]:
        kernel = make_kernel(params)
        run = lambda key, position: repeat(kernel.step, key, kernel.init(position), steps)[0].position
        positions = jax.vmap(run)(jax.random.split(key, chains), memory)
        return positions, positions

    return Phase(init, sample)


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
        raise ValueError(f"restart: got {float(restart)}, wanted a share of the chains, 0 to 1")
    if is_static(bound) and not float(bound) > 0:
        raise ValueError(f"bound: got {float(bound)}, wanted a number above 0")
    starts = lambda key: jax.vmap(start)(jax.random.split(key, chains))

    def init(key: Key[Array, ""], params: Any) -> Replay:
        return Replay(starts(key), ReplayReport(jnp.int32(0), jnp.int32(0)))

    def sample(key: Key[Array, ""], params: Any, memory: Replay, batch: Any) -> tuple[Any, Replay]:
        restart_key, start_key, steps_key, heal_key = jax.random.split(key, 4)
        kernel = make_kernel(params)
        run = lambda key, position: repeat(kernel.step, key, kernel.init(position), steps)[0].position
        _check_positions(start, run, key, batch)
        fresh, anew = starts(start_key), jax.random.uniform(restart_key, (chains,)) < restart
        before = _choose(anew, fresh, memory.positions)
        after = jax.vmap(run)(jax.random.split(steps_key, chains), before)
        healthy = _within(after, bound)
        positions = _choose(healthy, after, _choose(healthy.any(), _drawn(heal_key, after, healthy), fresh))
        count = lambda flags: jnp.sum(flags, dtype=jnp.int32)
        return positions, Replay(positions, ReplayReport(count(anew), count(~healthy)))

    return Phase(init, sample, lambda memory: memory.report)


def tempered(
    energy: Callable[[Any], Energy],
    make_kernel: Callable[[Any, Any], Kernel],
    betas: Float[Array, " rungs"],
    start: Callable[[Key[Array, ""]], Any],
    chains: int,
    steps: int,
) -> Phase:
    """Persistent chains that are each a ladder of parallel tempering; those at the last beta are the samples.

    Args:
        energy: `params -> energy` of a position.
        make_kernel: `(params, beta) -> Kernel`.
        betas: the ladder, ending at the temperature of learning.
        start: `start(key) -> position` of one rung.
        chains: how many ladders, at least 1.
        steps: steps of the whole ladder an update, at least 1.

    Raises:
        ValueError: chains or steps below 1, a ladder of fewer than 2 rungs.

    Desjardins et al. (2010), "Tempered Markov chain Monte Carlo for training of restricted Boltzmann machines".

    >>> from ebmjax.sample.gibbs import systematic
    >>> of = lambda w: lambda s: -w * s.sum()
    >>> make_kernel = lambda w, beta: systematic(of(w), beta)
    >>> start = lambda key: jax.random.rademacher(key, (2,), float)
    >>> phase = tempered(of, make_kernel, jax.numpy.array([0.0, 1.0]), start, chains=5, steps=1)
    >>> phase.init(jax.random.key(0), 0.5).shape
    (5, 2, 2)
    """
    check_count("steps", steps)
    check_count("chains", chains)
    rungs = len(betas)

    def init(key: Key[Array, ""], params: Any) -> Any:
        return jax.vmap(jax.vmap(start))(jax.random.split(key, (chains, rungs)))

    def sample(key: Key[Array, ""], params: Any, memory: Any, batch: Any) -> tuple[Any, Any]:
        ladder = tempering.tempering(energy(params), lambda beta: make_kernel(params, beta), betas)
        run = lambda key, position: repeat(ladder.step, key, ladder.init(position), steps)[0].position
        positions = jax.vmap(run)(jax.random.split(key, chains), memory)
        return jax.tree.map(lambda leaf: leaf[:, -1], positions), positions

    return Phase(init, sample)


def viewed(phase: Phase, view: Callable[[Any, Any], Any]) -> Phase:
    """A phase whose positions are looked at through `view(params, position)`.

    Such as the visible units alone, or hidden units in place of which their means stand: where the energy is linear in
    them, its gradient then is the mean gradient, with less noise than any draw of them.

    >>> phase = viewed(observed(), lambda params, pair: params * pair[0])
    >>> phase.sample(jax.random.key(0), 2.0, None, (jax.numpy.ones(3), jax.numpy.zeros(3)))[0].tolist()
    [2.0, 2.0, 2.0]
    """

    def sample(key: Key[Array, ""], params: Any, memory: Any, batch: Any) -> tuple[Any, Any]:
        positions, memory = phase.sample(key, params, memory, batch)
        return jax.vmap(lambda position: view(params, position))(positions), memory

    return phase._replace(sample=sample)


def _size(batch):
    return len(jax.tree.leaves(batch)[0])


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
        raise ValueError(f"start: got positions of shape {show(begun)}, wanted that of a sample, {show(sample)}")
    stepped = jax.eval_shape(run, key, begun)
    if form(stepped) != form(begun):
        raise ValueError(f"make_kernel: got steps to the shape {show(stepped)}, wanted that of start, {show(begun)}")
