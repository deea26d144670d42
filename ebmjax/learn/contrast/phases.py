"""Phases: where the positions of the two averages of a likelihood gradient come from.

    ∇ mean -log p(v) / beta = <∇E>_data - <∇E>_model

A phase draws positions by `sample(key, params, memory, batch) -> (positions, memory)`, stacked along a leading axis. It
may remember chains from one update to the next: the whole states of their kernels, of which only what was computed from
the parameters is computed anew (`ebmjax.states.continued`). The learner `ebmjax.learn.contrast.contrastive` takes one
phase for each average:

`observed`                 positive: the data themselves
`contrastive_divergence`   negative: short runs from the data (CD-k); positive: hidden units sampled, the data clamped
`variational`              positive: hidden units as mean fields, the data clamped
`persistent`               negative: chains that go on from update to update
`persistent_tempering`     negative: the same with parallel tempering
`viewed`                   any phase, through a function of its positions
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jaxtyping import Array, Key

from ebmjax.checks import (
    as_beta,
    as_float,
    as_floats,
    check_betas,
    check_callable,
    check_count,
    check_key,
    check_record,
    leading_axis,
)
from ebmjax.compiled import compiled
from ebmjax.learn.contrast.chains import MakeKernel, StartChain, first_states, next_states
from ebmjax.loops import repeat
from ebmjax.marginalize.mean_field import mean_field
from ebmjax.records import record
from ebmjax.sample import tempering
from ebmjax.states import begun
from ebmjax.types import BITS, Alphabet, AnyKernel, Beta, ModelEnergy, Scalar


@runtime_checkable
class MakeKernelAtBeta(Protocol):
    """The kernel of a model at any temperature."""

    def __call__(self, params: Any, beta: Any, /) -> AnyKernel:
        """The kernel at this inverse temperature, which is traced."""
        ...


@runtime_checkable
class Start(Protocol):
    """How a run from a sample begins."""

    def __call__(self, key: Key[Array, ""], sample: Any, /) -> Any:
        """A whole position that contains one sample, such as with hidden units drawn at random."""
        ...


@runtime_checkable
class View(Protocol):
    """A function of a position, for `viewed`."""

    def __call__(self, params: Any, position: Any, /) -> Any:
        """What stands for one position in the contrast."""
        ...


@runtime_checkable
class InitPhase(Protocol):
    """What a phase remembers before the first update."""

    def __call__(self, key: Key[Array, ""], params: Any, /) -> Any:
        """The memory, any pytree of arrays; None for a phase that remembers nothing."""
        ...


@runtime_checkable
class SamplePhase(Protocol):
    """How a phase draws its positions."""

    def __call__(self, key: Key[Array, ""], params: Any, memory: Any, batch: Any, /) -> tuple[Any, Any]:
        """`(positions, memory)`: the positions stacked along a leading axis, and the next memory."""
        ...


@runtime_checkable
class ReportPhase(Protocol):
    """What a phase says of its chains."""

    def __call__(self, memory: Any, /) -> Any:
        """A pytree of scalars for the metrics of every update; None for nothing."""
        ...


def _no_memory(key: Key[Array, ""], params: Any) -> None:
    """For phases that remember nothing."""


def _no_report(memory: Any) -> None:
    """For phases that report nothing."""


@record
class Phase(NamedTuple):
    """Where positions come from: `sample` draws them, `init` and `report` are for what it remembers."""

    init: InitPhase
    sample: SamplePhase
    report: ReportPhase = _no_report


def observed() -> Phase:
    """The batch itself: the positive phase where the free energy of what is observed has a closed form.

    >>> phase = observed()
    >>> phase.sample(jax.random.key(0), None, phase.init(jax.random.key(0), None), "batch")
    ('batch', None)
    """
    return Phase(_no_memory, _batch_itself)


def _batch_itself(key: Key[Array, ""], params: Any, memory: Any, batch: Any) -> tuple[Any, Any]:
    return batch, memory


def contrastive_divergence(make_kernel: MakeKernel, start: Start, steps: int) -> Phase:
    """Contrastive divergence: a short run from every sample of the batch.

    With a kernel of the model it is the negative phase of CD-k for k = `steps`. The gradient is biased, since the
    chains are still close to the data. With a kernel that leaves the observed units clamped it is the positive phase of
    a model with hidden units. Every run begins at a sample, and so with a new state of the kernel.

    Args:
        make_kernel: `params -> Kernel`.
        start: `start(key, sample) -> position`.
        steps: k, at least 1.

    Raises:
        ValueError: steps below 1; when it samples, a batch without a leading axis.

    Hinton (2002), "Training products of experts by minimizing contrastive divergence".

    >>> from ebmjax.sample.gibbs import systematic
    >>> phase = contrastive_divergence(lambda w: systematic(lambda s: -w * s.sum(), 1.0), lambda key, s: s, steps=3)
    >>> phase.sample(jax.random.key(0), 0.5, None, jax.numpy.ones((8, 2)))[0].shape
    (8, 2)
    """
    check_callable("make_kernel", make_kernel)
    check_callable("start", start)
    check_count("steps", steps)

    def sample(key: Key[Array, ""], params: Any, memory: None, batch: Any) -> tuple[Any, None]:
        check_key("key", key)
        leading_axis("batch", batch)
        return _runs_from(key, params, as_floats("batch", batch), make_kernel, start, steps), memory

    return Phase(_no_memory, sample)


@compiled
def _runs_from(key, params, batch, make_kernel, start, steps):
    kernel = make_kernel(params)

    def run(key, sample):
        start_key, steps_key = jax.random.split(key)
        return repeat(steps_key, kernel, begun(start_key, kernel, start(start_key, sample)), steps).positions

    return jax.vmap(run)(jax.random.split(key, leading_axis("batch", batch)), batch)


def persistent(make_kernel: MakeKernel, start: StartChain, chains: int, steps: int) -> Phase:
    """Persistent chains of the model, which go on from update to update.

    They stay close to the law of the model as long as the parameters change slowly.

    Args:
        make_kernel: `params -> Kernel`.
        start: `start(key) -> position` of one chain.
        chains: how many, at least 1.
        steps: steps an update, at least 1.

    Returns:
        A phase whose memory is the state of the kernel, stacked along a leading axis of chains.

    Raises:
        ValueError: chains or steps below 1.

    Tieleman (2008), "Training restricted Boltzmann machines using approximations to the likelihood gradient".

    >>> from ebmjax.sample.gibbs import systematic
    >>> make_kernel = lambda w: systematic(lambda s: -w * s.sum(), 1.0)
    >>> phase = persistent(make_kernel, lambda key: jax.random.rademacher(key, (2,), float), chains=5, steps=1)
    >>> phase.init(jax.random.key(0), 0.5).position.shape
    (5, 2)
    """
    check_callable("make_kernel", make_kernel)
    check_callable("start", start)
    check_count("steps", steps)
    check_count("chains", chains)

    def init(key: Key[Array, ""], params: Any) -> Any:
        check_key("key", key)
        return first_states(key, params, make_kernel, start, chains)

    def sample(key: Key[Array, ""], params: Any, memory: Any, batch: Any) -> tuple[Any, Any]:
        check_key("key", key)
        return next_states(key, params, memory, make_kernel, steps)

    return Phase(init, sample)


def persistent_tempering(
    energy: ModelEnergy,
    make_kernel: MakeKernelAtBeta,
    betas: Any,
    start: StartChain,
    chains: int,
    steps: int,
) -> Phase:
    """Persistent chains with parallel tempering: each is a ladder of temperatures, whose last rung gives the samples.

    Args:
        energy: `energy(params, position) -> scalar`.
        make_kernel: `(params, beta) -> Kernel`.
        betas: inverse temperatures of the rungs, (rungs,), in [0, inf]; the last one is that of learning.
        start: `start(key) -> position` of one rung.
        chains: how many ladders, at least 1.
        steps: steps of the whole ladder an update, at least 1.

    Raises:
        ValueError: chains or steps below 1, a bad beta; when it begins, fewer than 2 rungs.

    Desjardins et al. (2010), "Tempered Markov chain Monte Carlo for training of restricted Boltzmann machines".

    >>> from ebmjax.sample.gibbs import systematic
    >>> energy = lambda w, s: -w * s.sum()
    >>> make_kernel = lambda w, beta: systematic(partial(energy, w), beta)
    >>> start = lambda key: jax.random.rademacher(key, (2,), float)
    >>> phase = persistent_tempering(energy, make_kernel, jax.numpy.array([0.0, 1.0]), start, chains=5, steps=1)
    >>> phase.init(jax.random.key(0), 0.5).position.shape
    (5, 2, 2)
    """
    check_callable("energy", energy)
    check_callable("make_kernel", make_kernel)
    check_callable("start", start)
    check_betas(betas)
    betas = as_float("betas", betas)
    rungs = len(betas)

    def ladder(params: Any) -> AnyKernel:
        return tempering.tempering(partial(energy, params), partial(make_kernel, params), betas)

    whole = persistent(ladder, lambda key: jax.vmap(start)(jax.random.split(key, rungs)), chains, steps)

    def sample(key: Key[Array, ""], params: Any, memory: Any, batch: Any) -> tuple[Any, Any]:
        positions, memory = whole.sample(key, params, memory, batch)
        return jax.tree.map(lambda leaf: leaf[:, -1], positions), memory

    return Phase(whole.init, sample)


def variational(
    energy: ModelEnergy,
    start: Start,
    beta: Beta,
    blocks: Sequence[Sequence[int]],
    alphabet: Alphabet = BITS,
    max_sweeps: int = 30,
    tolerance: Scalar = 1e-4,
) -> Phase:
    """Mean fields: the positive phase of a model with hidden units, each replaced by its mean given the sample.

    Positions are means, not states. Where the energy is linear in each unit, its value at the means is the mean energy.
    The contrast of these positions with states of the model then has the gradient of the variational bound on the
    likelihood.

    Args:
        energy: `energy(params, layers) -> scalar`, linear in each unit when the others are fixed.
        start: `start(key, sample) -> layers`: the sample, and initial means of the hidden layers, such as ½.
        beta: inverse temperature in [0, inf].
        blocks: the hidden layers, as for `ebmjax.marginalize.mean_field`; a layer in no block is clamped to the sample.
        alphabet: the two values of a unit.
        max_sweeps: limit, at least 1. With too few sweeps the bound still holds, but is less tight.
        tolerance: the sweeps end once no mean changes by more than this share of high - low.

    Raises:
        ValueError: a bad beta, max_sweeps below 1; when it samples, a batch without a leading axis, or arguments that
            `ebmjax.marginalize.mean_field` refuses.

    Salakhutdinov and Hinton (2009), "Deep Boltzmann machines", section 2.2.

    >>> import jax.numpy as jnp
    >>> start = lambda key, v: (v, jnp.full(2, 0.5))
    >>> phase = variational(lambda w, s: -w * (s[0] @ s[1]), start, 1.0, ((1,),))
    >>> positions, _ = phase.sample(jax.random.key(0), 1.0, None, jnp.ones((5, 2)))
    >>> [layer.shape for layer in positions], round(float(positions[1][0, 0]), 3)
    ([(5, 2), (5, 2)], 0.731)
    """
    check_callable("energy", energy)
    check_callable("start", start)
    beta = as_beta(beta)
    check_count("max_sweeps", max_sweeps)
    blocks = tuple(tuple(int(layer) for layer in members) for members in blocks)

    def means(params: Any, key: Key[Array, ""], sample: Any) -> Any:
        known = partial(energy, params)
        return mean_field(known, start(key, sample), beta, blocks, alphabet, max_sweeps, tolerance).value

    def sample(key: Key[Array, ""], params: Any, memory: None, batch: Any) -> tuple[Any, None]:
        check_key("key", key)
        leading_axis("batch", batch)
        return _of_each(key, partial(means, params), as_floats("batch", batch)), memory

    return Phase(_no_memory, sample)


@compiled
def _of_each(key, function, batch):
    return jax.vmap(function)(jax.random.split(key, leading_axis("batch", batch)), batch)


def viewed(phase: Phase, view: View) -> Phase:
    """The phase whose positions are `view(params, position)` of those of another.

    A view can be the visible units alone. It can also put the means of the hidden units in place of their values: where
    the energy is linear in them, the gradient is then the mean gradient, with less noise than at any draw.

    Args:
        phase: any; its memory and its report stay as they are.
        view: `view(params, position)` of one position.

    Raises ValueError for an argument of another kind.

    >>> phase = viewed(observed(), lambda params, pair: params * pair[0])
    >>> phase.sample(jax.random.key(0), 2.0, None, (jax.numpy.ones(3), jax.numpy.zeros(3)))[0].tolist()
    [2.0, 2.0, 2.0]
    """
    check_record("phase", phase, Phase)
    check_callable("view", view)

    def sample(key: Key[Array, ""], params: Any, memory: Any, batch: Any) -> tuple[Any, Any]:
        positions, memory = phase.sample(key, params, memory, batch)
        return _viewed(view, params, positions), memory

    return phase._replace(sample=sample)


@compiled
def _viewed(view, params, positions):
    return jax.vmap(lambda position: view(params, position))(positions)
