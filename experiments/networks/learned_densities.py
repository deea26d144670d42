"""Neural energies of the plane learned from samples, by losses that know nothing of Z, and measured by one that does.

    p(y) = exp(-beta E(y))/Z,    E(y) = network(y) + w‖y‖²

In the plane Z is a sum over a grid, so that the divergence KL(p‖model) from a known density p is exact up to the grid.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

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
from ebmjax.sample.langevin import mala
from ebmjax.types import Energy, Learner

BOX = 4.5  # where chains start, and what pictures show


class Losses(enum.Enum):
    """The ways of learning by name, for command lines."""

    CONTRASTIVE_DIVERGENCE = "contrastive_divergence"
    PERSISTENT_CHAINS = "persistent_chains"
    DENOISING = "denoising"
    SLICED = "sliced"
    NOISE_CONTRASTIVE = "noise_contrastive"


@dataclass(frozen=True)
class Training:
    """How an energy is learned, whatever the loss."""

    sizes: tuple[int, ...] = (2, 128, 128)
    beta: float = 1.0
    confinement: float = 0.05  # w, in units of the energy a squared unit of length
    batch_size: int = 500
    updates: int = 4000
    rate: float = 3e-3  # Adam's first; it falls to zero along a cosine
    step_size: float = 0.04  # of the Langevin steps, in squared units of length
    steps: int = 10  # Langevin steps an update
    restart: float = 0.0  # share of the persistent chains that start anew from noise at an update
    scale: float = 0.1  # of the noise of denoising score matching
    noise_width: float = 2.2  # of the Gaussian from which noise-contrastive estimation tells the data
    ratio: int = 3  # samples of that noise for each of the data


class Learned(NamedTuple):
    """The energy's parameters, the loss at every update, and how many persistent chains diverged."""

    params: neural.Params
    loss: Float[Array, " updates"]
    diverged: Any


class Grid(NamedTuple):
    """Midpoints of the cells of a square, and the area of one."""

    points: Float[Array, "cells 2"]
    area: float


def grid(half_width: float = 6.0, cells: int = 240) -> Grid:
    """The square [-half_width, half_width]², `cells` along an edge, the first coordinate changing slowest."""
    edge = (np.arange(cells) + 0.5) * (2 * half_width / cells) - half_width
    points = np.stack(np.meshgrid(edge, edge, indexing="ij"), axis=-1).reshape(-1, 2)
    return Grid(jnp.asarray(points, jnp.float32), (2 * half_width / cells) ** 2)


def model_energy(confinement: float) -> Callable[[neural.Params, Any], Any]:
    """`energy(params, y)`: the network, confined so that Z is finite."""
    return lambda params, y: regularized(partial(neural.energy, params), squared_norm, confinement)(y)


def log_densities(energy: Energy, beta: float, where: Grid) -> Float[Array, " cells"]:
    """log p of every cell's midpoint in nats, with Z summed over the grid."""
    reduced = -beta * map_chunks(energy, where.points, 2000)
    return reduced - jax.scipy.special.logsumexp(reduced) - jnp.log(where.area)


def divergence(log_true: Float[Array, " cells"], log_model: Float[Array, " cells"], where: Grid) -> Float[Array, ""]:
    """KL(true‖model) in nats, over the grid."""
    mass = jnp.exp(log_true) * where.area
    return jnp.sum(jnp.where(mass > 0, mass * (log_true - log_model), 0))


def learn(loss: Losses, training: Training, key: Key[Array, ""], data: Float[Array, "samples 2"]) -> Learned:
    """Learn an energy of the data from scratch, in one scan: to be jitted whole."""
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
    """The learner of one loss; `updates` is when the rate reaches zero."""
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
        # no momentum, a short memory: the chains answer to the energy as it is, not to where it has been going
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
