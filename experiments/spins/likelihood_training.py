"""Helper of `rbm_likelihood` and `dbm_likelihood`: machines trained by five methods, plain or centered; their pictures.

The pictures are binarized by chance, afresh in every update: the brightness of a pixel is the probability of a one. A
picture of zeros and ones stays as it is. The parameters that are kept are running means of those of the last updates,
which move less at random.
"""

import enum
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.averaging import averaged
from ebmjax.learn.contrast.centering import centering
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import (
    Phase,
    contrastive_divergence,
    observed,
    persistent,
    persistent_tempering,
    viewed,
)
from ebmjax.sample.special import restricted as sweeps
from ebmjax.types import Learner
from experiments.application import options
from experiments.data.images import Images, Pictures, load, sample_binary
from experiments.drawing.mosaics import flat

KEPT = 0.9
"""Weight of the running mean of the parameters after one epoch."""


class Method(enum.Enum):
    """Where the samples of the model come from."""

    CD_1 = "cd-1"
    CD_3 = "cd-3"
    CD_25 = "cd-25"
    PCD = "pcd"
    TEMPERED_PCD = "tempered-pcd"


TITLES = {
    Method.CD_1: "CD-1",
    Method.CD_3: "CD-3",
    Method.CD_25: "CD-25",
    Method.PCD: "PCD",
    Method.TEMPERED_PCD: "tempered PCD",
}
"""The names of the methods in text."""


PUBLISHED = {
    (20, Method.CD_1): -164.5,
    (20, Method.CD_3): -150.1,
    (500, Method.CD_1): -125.5,
    (500, Method.CD_3): -105.5,
    (500, Method.CD_25): -86.34,
}
"""Salakhutdinov and Murray (2008), table 1: mean log-likelihood of the test pictures of binarized MNIST, in nats."""


class Gradient(enum.Enum):
    """The gradient of the likelihood itself, or centered: that of units from which their means are taken."""

    PLAIN = "plain"
    CENTERED = "centered"


DIVERGENCE = {Method.CD_1: 1, Method.CD_3: 3, Method.CD_25: 25}


class Plan(NamedTuple):
    """How a machine is trained."""

    batch_size: int
    updates: int
    """Least number of updates."""
    rate: float
    """First learning rate; it falls linearly to zero."""
    weight_decay: float
    """Weight of ½|W|² in the loss, in nats."""
    chains: int
    """Persistent chains."""
    sweeps: int
    """Gibbs sweeps of the persistent chains in every update."""
    rungs: int
    """Temperatures of the tempered chains, from beta = 0 to 1."""
    measured: int
    """Measurements, at equal distances, after the one before training."""


class Measures(NamedTuple):
    """What is known of a machine during training: mean log-likelihoods or bounds of them in nats, and log Z."""

    train: Float[Array, ""]
    test: Float[Array, ""]
    log_partition: Float[Array, ""]


class Sets(NamedTuple):
    """The pictures of a run."""

    data: Float[Array, "n pixels"]
    """To train on, grey or in black and white."""
    prefix: Float[Array, "most pixels"]
    """The first of them, binarized once, to measure on."""
    test: Float[Array, "m pixels"]
    """Held-out pictures, binarized once."""
    shape: tuple[int, ...]
    """Rows and columns."""


def check_fresh(fresh: bool, images: Pictures) -> None:
    """Raise ValueError for the option --fresh with other pictures than binarized-mnist."""
    options.require(not fresh or images is Images.BINARIZED_MNIST, "fresh", True, "--images binarized-mnist")


def load_sets(train_key: Key[Array, ""], test_key: Key[Array, ""], images: Pictures, fresh: bool, most: int) -> Sets:
    """Read the pictures.

    Args:
        train_key, test_key: typed random keys, for what is binarized once.
        images: which pictures.
        fresh: with binarized-mnist, train on the grey pictures of MNIST instead.
        most: training pictures to measure on.
    """
    split = load(images)
    grey = load(Images.MNIST).train if fresh else split.train
    data = jnp.asarray(flat(grey))
    test = sample_binary(test_key, jnp.asarray(flat(split.test)))
    return Sets(data, sample_binary(train_key, data[:most]), test, grey.shape[1:])


class Smoothed(NamedTuple):
    """The state of a learner whose parameters are the running means of those of the learner inside."""

    params: Any
    inner: Any


def learner(
    method: Method,
    gradient: Gradient,
    plan: Plan,
    mean: Float[Array, " visible"],
    hidden: int,
    updates: int,
    updates_an_epoch: int,
) -> Learner:
    """The learner of one machine.

    Args:
        method, gradient, plan: how it learns.
        mean: means of the pixels, for the first persistent chains and for centering.
        hidden: number of hidden units.
        updates: number of updates after which the rate is zero.
        updates_an_epoch: in one pass over the data.
    """
    free_energy = lambda params, visible: rbm.free_energy(params, visible, 1.0)
    negative = viewed(_samples(method, plan, mean, hidden), lambda params, position: position[0])
    couplings = lambda params: jax.tree.map(lambda leaf: leaf.ndim == 2, params)
    decay = optax.add_decayed_weights(plan.weight_decay, couplings)
    steps = optax.chain(decay, optax.sgd(optax.linear_schedule(plan.rate, 0.0, updates)))
    centered = centering(mean) if gradient is Gradient.CENTERED else None
    return binarized_afresh(smoothed(contrastive(free_energy, observed(), negative, steps, centered), updates_an_epoch))


def _samples(method: Method, plan: Plan, mean: Float[Array, " visible"], hidden: int) -> Phase:
    at_beta = sweeps.binary
    kernel = lambda params: at_beta(params, 1.0)
    nothing = jnp.zeros(hidden, mean.dtype)
    start = lambda key: (jax.random.bernoulli(key, mean).astype(mean.dtype), nothing)
    if method is Method.PCD:
        return persistent(kernel, start, plan.chains, plan.sweeps)
    if method is Method.TEMPERED_PCD:
        energy = lambda params, position: rbm.energy(params, *position)
        betas = jnp.linspace(0, 1, plan.rungs)
        return persistent_tempering(energy, at_beta, betas, start, plan.chains, plan.sweeps)
    return contrastive_divergence(kernel, lambda key, visible: (visible, nothing), DIVERGENCE[method])


def smoothed(learner: Learner, updates_an_epoch: int) -> Learner:
    """The learner whose parameters are running means over about the last ten epochs."""
    inside = averaged(learner, KEPT ** (1 / updates_an_epoch))

    def init(key: Key[Array, ""], params: Any) -> Smoothed:
        inner = inside.init(key, params)
        return Smoothed(inner.mean, inner)

    def update(key: Key[Array, ""], state: Smoothed, batch: Any) -> tuple[Smoothed, Any]:
        inner, metrics = inside.update(key, state.inner, batch)
        return Smoothed(inner.mean, inner), metrics

    return Learner(init, update)


def binarized_afresh(learner: Learner) -> Learner:
    """The learner of pictures that become zeros and ones by chance, with their brightness as the probability."""

    def update(key: Key[Array, ""], state: Any, batch: Any) -> tuple[Any, Any]:
        bits_key, key = jax.random.split(key)
        return learner.update(key, state, sample_binary(bits_key, batch))

    return Learner(learner.init, update)
