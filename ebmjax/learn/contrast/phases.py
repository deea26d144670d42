"""Where the two sides of a likelihood gradient come from: positions under the data, positions under the model.

    ∇ mean -log p(v) / beta = <∇E>_data - <∇E>_model

A phase answers `sample(key, params, memory, batch) -> (positions, memory)`, with a leading axis of positions, and may
remember chains from one update to the next. Contrastive divergence, persistent and tempered chains, clamped sampling
of hidden units and mean fields are phases; which two are contrasted is what tells one way of learning from another.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float, Key

from ebmjax.checks import check_beta, check_count
from ebmjax.loops import repeat
from ebmjax.marginalize.mean_field import mean_field
from ebmjax.sample import tempering
from ebmjax.types import BITS, Alphabet, Beta, Energy, Kernel

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


def observed() -> Phase:
    """The batch itself: the positive phase where the free energy of a sample has a closed form.

    >>> phase = observed()
    >>> phase.sample(jax.random.key(0), None, phase.init(jax.random.key(0), None), "batch")
    ('batch', None)
    """
    return Phase(lambda key, params: None, lambda key, params, memory, batch: (batch, memory))


def contrastive_divergence(make_kernel: MakeKernel, start: Start, steps: int) -> Phase:
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
    >>> phase = contrastive_divergence(lambda w: systematic(lambda s: -w * s.sum(), 1.0), lambda key, s: s, steps=3)
    >>> phase.sample(jax.random.key(0), 0.5, None, jax.numpy.ones((8, 2)))[0].shape
    (8, 2)
    """
    check_count("steps", steps)

    def sample(key: Key[Array, ""], params: Any, memory: None, batch: Any) -> tuple[Any, None]:
        kernel = make_kernel(params)

        def run(key, sample):
            start_key, steps_key = jax.random.split(key)
            return repeat(steps_key, kernel, kernel.init(start(start_key, sample)), steps).positions

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
        run = lambda key, position: repeat(key, kernel, kernel.init(position), steps).positions
        positions = jax.vmap(run)(jax.random.split(key, chains), memory)
        return positions, positions

    return Phase(init, sample)


def persistent_tempering(
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
    >>> phase = persistent_tempering(of, make_kernel, jax.numpy.array([0.0, 1.0]), start, chains=5, steps=1)
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
        run = lambda key, position: repeat(key, ladder, ladder.init(position), steps).positions
        positions = jax.vmap(run)(jax.random.split(key, chains), memory)
        return jax.tree.map(lambda leaf: leaf[:, -1], positions), positions

    return Phase(init, sample)


def variational(
    energy: Callable[[Any, Any], Any],
    start: Start,
    beta: Beta,
    blocks: Sequence[Sequence[int]],
    alphabet: Alphabet = BITS,
    max_sweeps: int = 30,
    tolerance: float = 1e-4,
) -> Phase:
    """The positive phase of a model with hidden units, each sample with the mean fields of what is hidden.

    Positions are means, not states. An energy that is linear in each unit is at the means what it is on average, so
    that the contrast of such positions with states of the model has the gradient of the bound.

    Args:
        energy: `energy(params, layers) -> scalar`, linear in each unit while the others are held.
        start: `start(key, sample) -> layers`: the sample, and means to begin with, such as ½.
        beta: inverse temperature in [0, inf].
        blocks: the hidden layers, as for `ebmjax.marginalize.mean_field`; a layer in no block is held: observed.
        alphabet: the two values of a unit.
        max_sweeps: limit, at least 1. Fewer than are needed still bound the likelihood, less tightly.
        tolerance: no more sweeps once no mean changes by more than this share of high - low.

    Raises:
        ValueError: a bad beta, max_sweeps below 1.

    >>> import jax.numpy as jnp
    >>> start = lambda key, v: (v, jnp.full(2, 0.5))
    >>> phase = variational(lambda w, s: -w * (s[0] @ s[1]), start, 1.0, ((1,),))
    >>> positions, _ = phase.sample(jax.random.key(0), 1.0, None, jnp.ones((5, 2)))
    >>> [layer.shape for layer in positions], round(float(positions[1][0, 0]), 3)
    ([(5, 2), (5, 2)], 0.731)
    """
    check_beta(beta)
    check_count("max_sweeps", max_sweeps)

    def sample(key: Key[Array, ""], params: Any, memory: None, batch: Any) -> tuple[Any, None]:
        def means(key, sample):
            known = lambda layers: energy(params, layers)
            return mean_field(known, start(key, sample), beta, blocks, alphabet, max_sweeps, tolerance).value

        return jax.vmap(means)(jax.random.split(key, _size(batch)), batch), memory

    return Phase(lambda key, params: None, sample)


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
