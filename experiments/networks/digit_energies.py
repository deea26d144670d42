"""Energies of pictures that networks learn from Langevin chains: the energy, its learner, its chains and its scores."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Key

from ebmjax.energies.clamp import clamp
from ebmjax.energies.neural import ConvolutionalParams, convolutional_energy
from ebmjax.energies.penalties import regularized, squared_norm
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import Phase, observed
from ebmjax.learn.contrast.replay import replay
from ebmjax.loops import repeat
from ebmjax.losses.contrast import penalized_contrast
from ebmjax.sample.langevin import unadjusted
from ebmjax.types import Energy, Learner

BETA = 1.0  # any other would do: the energy learns its own scale
BOUND = 10.0  # of a pixel; paper is 0 and ink 1


def energy(
    scale: float, confinement: float, params: ConvolutionalParams, picture: Float[Array, "rows columns"]
) -> Float[Array, ""]:
    """E(y) = scale · network(y) + confinement · ‖y‖²: a network falls like a line at most, so that Z is finite."""
    return regularized(lambda y: scale * convolutional_energy(params, y), squared_norm, confinement)(picture)


def blurred(noise: float) -> Phase:
    """The batch with normal noise on every pixel: without it the data have no density that an energy could be of."""
    blur = lambda key, batch: batch + noise * jax.random.normal(key, batch.shape, batch.dtype)
    return observed()._replace(sample=lambda key, params, memory, batch: (blur(key, batch), memory))


def chains_learner(
    energy: Any,
    shape: tuple[int, ...],
    noise: float,
    step_size: float,
    chains: int,
    steps: int,
    restart: float,
    faintest: float,
    penalty: float,
    optimizer: optax.GradientTransformation,
) -> Learner:
    """Contrast pictures with persistent Langevin chains, of which some start anew from noise.

    Args:
        energy: `energy(params, picture)`.
        shape: (rows, columns) of a picture.
        noise: on the pictures, in units of ink.
        step_size: ε of Langevin's steps.
        chains: how many.
        steps: of each chain, an update.
        restart: share of chains that start anew at an update.
        faintest: strength of the faintest noise that they start from.
        penalty: weight of the mean squares of the energies.
        optimizer: of optax.
    """
    kernel = lambda params: unadjusted(partial(energy, params), BETA, step_size)
    negative = replay(kernel, partial(faded, shape, faintest), chains, steps, restart, BOUND)
    return contrastive(energy, blurred(noise), negative, optimizer, loss=partial(penalized_contrast, weight=penalty))


def uniform(shape: tuple[int, ...], key: Key[Array, ""]) -> Float[Array, "*shape"]:
    """Every pixel anywhere between paper and ink."""
    return jax.random.uniform(key, shape)


def faded(shape: tuple[int, ...], faintest: float, key: Key[Array, ""]) -> Float[Array, "*shape"]:
    """Uniform noise of a random strength, from `faintest` to 1.

    Chains that start at full strength hardly come by blank paper, and leave a deep hole in the energy there.
    """
    noise_key, strength_key = jax.random.split(key)
    return jax.random.uniform(strength_key, minval=faintest, maxval=1.0) * uniform(shape, noise_key)


def film(
    energy: Energy, step_size: float, key: Key[Array, ""], starts: Float[Array, "n *shape"], moments: tuple[int, ...]
) -> tuple[Float[Array, "moments n *shape"], Float[Array, "moments n"]]:
    """Langevin chains, and their energies, after so many steps (increasing; 0 is the start)."""
    kernel = unadjusted(energy, BETA, step_size)

    def leg(states, steps_and_key):
        steps, key = steps_and_key
        keys = lambda index: jax.random.split(jax.random.fold_in(key, index), len(starts))
        step = lambda index, states: jax.vmap(kernel.step)(keys(index), states)[0]
        states = jax.lax.fori_loop(0, steps, step, states)
        return states, (states.position, states.energy)

    # all legs are one loop of a length that is not static, so that the step is compiled once
    legs = jnp.diff(jnp.array((0, *moments))), jax.random.split(key, len(moments))
    return jax.lax.scan(leg, jax.vmap(kernel.init)(starts), legs)[1]


def completed(
    energy: Energy,
    step_size: float,
    key: Key[Array, ""],
    known: Bool[np.ndarray, "rows columns"],
    pictures: Float[Array, "n rows columns"],
    draws: int,
    steps: int,
) -> Float[Array, "n draws rows columns"]:
    """Pictures of which the known pixels are held, and the others drawn given them, from noise, several times."""

    def draw(key, picture):
        start_key, key = jax.random.split(key)
        kernel = unadjusted(clamp(energy, known, picture), BETA, step_size)
        start = uniform((int((~known).sum()),), start_key)
        free = repeat(key, kernel, kernel.init(start), steps).positions
        return picture.at[np.nonzero(~known)].set(free)

    keys = jax.random.split(key, (len(pictures), draws))
    return jax.vmap(lambda keys, picture: jax.vmap(lambda key: draw(key, picture))(keys))(keys, pictures)


def auroc(inside: Float[Array | np.ndarray, " inside"], outside: Float[Array | np.ndarray, " outside"]) -> float:
    """The chance that one of `outside` scores higher than one of `inside`, where equals count half.

    That is the area under the receiver's operating characteristic.

    >>> auroc(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.875
    """
    ordered = np.sort(np.asarray(inside))
    below = np.searchsorted(ordered, np.asarray(outside), "left") + np.searchsorted(
        ordered, np.asarray(outside), "right"
    )
    return float(below.mean() / (2 * len(ordered)))


def gaussian_scores(
    train: Float[np.ndarray, "n rows columns"], noise: float, sets: list[Float[np.ndarray, "m rows columns"]]
) -> list[Float[np.ndarray, " m"]]:
    """½ (y - μ)ᵀ C⁻¹ (y - μ), the energy of a normal law with the mean and covariance of pictures and their noise."""
    rows = train.reshape(len(train), -1).astype(np.float64)
    mean = rows.mean(axis=0)
    covariance = rows.T @ rows / len(rows) - np.outer(mean, mean) + noise**2 * np.eye(rows.shape[1])
    whitener = np.linalg.inv(np.linalg.cholesky(covariance)).T.astype(np.float32)
    mean = mean.astype(np.float32)
    return [0.5 * np.square((pictures.reshape(len(pictures), -1) - mean) @ whitener).sum(axis=1) for pictures in sets]


def nearest(
    pictures: Float[np.ndarray, "n rows columns"], among: Float[np.ndarray, "m rows columns"]
) -> tuple[np.ndarray, Float[np.ndarray, " n"]]:
    """Which picture is the nearest to each, and at what Euclidean distance."""
    rows, others = pictures.reshape(len(pictures), -1), among.reshape(len(among), -1)
    squares = np.square(rows).sum(axis=1)[:, None] - 2 * rows @ others.T + np.square(others).sum(axis=1)[None]
    return squares.argmin(axis=1), np.sqrt(np.maximum(squares.min(axis=1), 0))
