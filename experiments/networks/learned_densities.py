"""Part of the experiment `neural_density`: neural energies of the plane, five ways to learn them, and their divergence.

    p(y) = exp(-beta E(y))/Z,    E(y) = network(y) + w‖y‖²

No loss needs Z. In the plane Z is a sum over a grid, and so is the divergence KL(p‖model) from a known density p.
"""

import enum
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from ebmjax.energies import neural
from ebmjax.energies.penalties import regularized, squared_norm
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import contrastive_divergence, observed
from ebmjax.learn.contrast.replay import replay
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.learn.train import train
from ebmjax.loops import map_chunks
from ebmjax.losses.noise_contrastive import noise_contrastive
from ebmjax.losses.score_matching import denoising_score_matching, sliced_score_matching
from ebmjax.marginalize.spaces import box
from ebmjax.sample.langevin import mala
from ebmjax.types import Energy, Learner, ModelEnergy

BOX = 4.5  # half the width of the square that chains start in and that pictures show


class Losses(enum.Enum):
    """The ways of learning, by their names on the command line."""

    CONTRASTIVE_DIVERGENCE = "contrastive_divergence"
    PERSISTENT_CHAINS = "persistent_chains"
    DENOISING = "denoising"
    SLICED = "sliced"
    NOISE_CONTRASTIVE = "noise_contrastive"


@dataclass(frozen=True)
class Training:
    """How an energy is learned."""

    sizes: tuple[int, ...] = (2, 128, 128)
    """Units of the network's layers, the input first."""
    beta: float = 1.0
    """Inverse temperature of the law."""
    confinement: float = 0.05
    """w, in units of energy / length²."""
    batch_size: int = 500
    """Samples in an update."""
    updates: int = 4000
    """Number of updates."""
    rate: float = 3e-3
    """First learning rate of Adam; it falls to zero along a cosine."""
    step_size: float = 0.04
    """Step size ε of the Langevin chains, in units of length²."""
    steps: int = 10
    """Langevin steps in an update."""
    restart: float = 0.0
    """Share of the persistent chains that restart from noise at each update."""
    scale: float = 0.1
    """Standard deviation of the noise of denoising score matching."""
    noise_width: float = 2.2
    """Standard deviation of the Gaussian that noise-contrastive estimation compares the data with."""
    ratio: int = 3
    """Samples of this Gaussian for each sample of the data."""


class Learned(NamedTuple):
    """A learned energy, and the record of its updates."""

    params: neural.Params
    loss: Float[Array, " updates"]
    """The loss at every update."""
    diverged: Int[Array, ""] | int
    """Number of persistent chains that diverged and were restarted."""


class Grid(NamedTuple):
    """A square divided into cells."""

    points: Float[Array, "cells 2"]
    """The midpoints of the cells."""
    area: float
    """The area of a cell."""


def grid(half_width: float = 6.0, cells: int = 240) -> Grid:
    """The square [-half_width, half_width]² with `cells` × `cells` cells; the first coordinate changes slowest."""
    return Grid(box(-half_width, half_width, cells, 2).points, (2 * half_width / cells) ** 2)


def model_energy(confinement: float) -> ModelEnergy:
    """`energy(params, y)`: the network plus the confinement, which makes Z finite."""
    return lambda params, y: regularized(partial(neural.energy, params), squared_norm, confinement)(y)


def log_densities(energy: Energy, beta: float, where: Grid) -> Float[Array, " cells"]:
    """log p in nats at the midpoint of every cell, with Z summed over the grid."""
    reduced = -beta * map_chunks(energy, where.points, 2000)
    return reduced - jax.scipy.special.logsumexp(reduced) - jnp.log(where.area)


def divergence(log_true: Float[Array, " cells"], log_model: Float[Array, " cells"], where: Grid) -> Float[Array, ""]:
    """KL(true‖model) in nats, over the grid."""
    mass = jnp.exp(log_true) * where.area
    return jnp.sum(jnp.where(mass > 0, mass * (log_true - log_model), 0))


def learn(loss: Losses, training: Training, key: Key[Array, ""], data: Float[Array, "samples 2"]) -> Learned:
    """Learn an energy of the data from scratch, in one scan; pure, so that the whole can be jitted."""
    init_key, train_key = jax.random.split(key)
    params = neural.init(init_key, training.sizes)
    start = (params, jnp.log(4 * BOX**2)) if loss is Losses.NOISE_CONTRASTIVE else params
    epochs = max(1, training.updates * training.batch_size // len(data))
    updates = epochs * (len(data) // training.batch_size)
    learner = learner_by(loss, training, updates)
    trained = train(train_key, learner, start, data, training.batch_size, epochs)
    params = trained.params[0] if loss is Losses.NOISE_CONTRASTIVE else trained.params
    metrics = trained.metrics.learner
    negative = getattr(metrics, "negative", None)
    return Learned(params, metrics.loss.ravel(), 0 if negative is None else negative.diverged.sum())


def learner_by(loss: Losses, training: Training, updates: int) -> Learner:
    """The learner of one loss. The learning rate is zero after `updates` updates."""
    rates = optax.cosine_decay_schedule(training.rate, updates)
    optimizer = optax.adam(rates)
    energy, beta = model_energy(training.confinement), training.beta
    kernel = lambda params: mala(partial(energy, params), beta, training.step_size)
    if loss is Losses.CONTRASTIVE_DIVERGENCE:
        negative = contrastive_divergence(kernel, lambda key, y: y, training.steps)
        return contrastive(energy, observed(), negative, optimizer)
    if loss is Losses.PERSISTENT_CHAINS:
        start = lambda key: jax.random.uniform(key, (2,), minval=-BOX, maxval=BOX)
        negative = replay(kernel, start, training.batch_size, training.steps, training.restart)
        # No momentum and a short memory: chains follow the present energy, so old gradients would mislead.
        steady = optax.adam(rates, b1=0.0, b2=0.99)
        return contrastive(energy, observed(), negative, steady)
    if loss is Losses.DENOISING:
        return stochastic_gradient(denoising_score_matching(energy, beta, training.scale), optimizer)
    if loss is Losses.SLICED:
        return stochastic_gradient(sliced_score_matching(energy, beta), optimizer)
    width = training.noise_width
    log_noise = lambda y: -jnp.sum(y**2) / (2 * width**2) - jnp.log(2 * jnp.pi * width**2)
    draw = lambda key, count: width * jax.random.normal(key, (count, 2))
    return stochastic_gradient(noise_contrastive(energy, beta, log_noise, draw, training.ratio), optimizer)
