"""Part of the experiment `neural_density`: neural energies of the plane, five ways to learn them, and their divergence.

    p(y) = exp(-beta E(y))/Z,    E(y) = network(y) + w‖y‖²

No loss needs Z. In the plane Z is a sum over a grid, and so is the divergence KL(p‖model) from a known density p.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from ebmjax.energies import neural
from ebmjax.energies.penalties import regularized, squared_norm
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import contrastive_divergence, observed
from ebmjax.learn.contrast.replay import replay
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.learn.train import begin
from ebmjax.loops import map_chunks
from ebmjax.losses.noise_contrastive import noise_contrastive
from ebmjax.losses.score_matching import denoising_score_matching, sliced_score_matching
from ebmjax.marginalize.spaces import box
from ebmjax.sample.langevin import mala
from ebmjax.types import Energy, Learner, ModelEnergy
from experiments.application.report import Report
from experiments.application.shown import one_epoch, scan_shown

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
    """Learned energies, with a leading axis of densities, and the record of their updates."""

    params: neural.Params
    loss: Float[np.ndarray, "densities updates"]
    """The loss at every update."""
    diverged: Int[np.ndarray, " densities"]
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


def learn(
    report: Report,
    title: str,
    loss: Losses,
    training: Training,
    keys: Key[Array, " densities"],
    data: Float[Array, "densities samples 2"],
    write: Callable[[int, Float[np.ndarray, " densities"]], None],
) -> Learned:
    """Learn the energies of several densities from scratch.

    Args:
        report: the report of the run, which shows a bar.
        title: what is in front of the bar.
        loss, training: how to learn.
        keys: one for each density.
        data: samples of each density.
        write: called with the number of every update, from 0, and the losses in it.
    """
    epochs = max(1, training.updates * training.batch_size // data.shape[1])
    batches = data.shape[1] // training.batch_size
    learner = learner_by(loss, training, epochs * batches)

    def start(key):
        init_key, train_key = jax.random.split(key)
        params = neural.init(init_key, training.sizes)
        params = (params, jnp.log(4 * BOX**2)) if loss is Losses.NOISE_CONTRASTIVE else params
        return begin(train_key, learner, params, epochs)

    def step(progress, keys, data):
        one = lambda each: one_epoch(each[0], learner, each[1], each[2], training.batch_size)
        progress, metrics = jax.lax.map(one, (keys, progress, data))  # one density after the other
        negative = getattr(metrics.learner, "negative", None)
        diverged = jnp.zeros(len(data), jnp.int32) if negative is None else negative.diverged.sum(axis=1)
        return progress, (metrics.learner.loss, diverged)

    def tell(done, measured):
        losses = measured[0].swapaxes(1, 2).reshape(-1, len(data))
        for update, row in enumerate(losses, start=done * batches):
            write(update, row)
        return "losses " + ", ".join(f"{loss:.3g}" for loss in losses[-batches:].mean(axis=0))

    progress, epoch_keys = jax.jit(jax.vmap(start, out_axes=(0, 1)))(keys)
    progress, (losses, diverged) = scan_shown(report, title, step, progress, epoch_keys, data, tell=tell)
    params = progress.state.params
    params = params[0] if loss is Losses.NOISE_CONTRASTIVE else params
    return Learned(params, losses.swapaxes(0, 1).reshape(len(data), -1), diverged.sum(axis=0))


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
