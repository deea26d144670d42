"""Part of the experiment `neural_digits`: a neural energy of pictures, its learner, its chains and its scores."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Key
from scipy.linalg import solve_triangular
from sklearn.metrics import pairwise_distances_argmin_min, roc_auc_score

from ebmjax.energies.clamp import clamp
from ebmjax.energies.neural import ConvolutionalParams, convolutional_energy
from ebmjax.energies.penalties import regularized, squared_norm
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import Phase, observed
from ebmjax.learn.contrast.replay import replay
from ebmjax.loops import repeat
from ebmjax.losses.contrast import penalized_contrast
from ebmjax.sample.langevin import unadjusted
from ebmjax.types import Energy, Learner, ModelEnergy

BETA = 1.0  # the choice does not matter, since the scale of the energy is learned
BOUND = 10.0  # largest absolute value of a pixel before a chain counts as diverged; paper is 0, ink is 1


def energy(
    scale: float, confinement: float, params: ConvolutionalParams, picture: Float[Array, "rows columns"]
) -> Float[Array, ""]:
    """E(y) = scale · network(y) + confinement · ‖y‖². Z is finite, since a network falls at most linearly."""
    return regularized(lambda y: scale * convolutional_energy(params, y), squared_norm, confinement)(picture)


def blurred(noise: float) -> Phase:
    """The phase of the data with normal noise on every pixel. Without noise the pictures would have no density."""
    blur = lambda key, batch: batch + noise * jax.random.normal(key, batch.shape, batch.dtype)
    return observed()._replace(sample=lambda key, params, memory, batch: (blur(key, batch), memory))


def chains_learner(
    energy: ModelEnergy,
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
    """Learn by contrasting pictures with persistent Langevin chains, some of which restart from noise at each update.

    Args:
        energy: `energy(params, picture)`.
        shape: (rows, columns) of a picture.
        noise: standard deviation of the noise on the pictures, in units of ink.
        step_size: ε of the Langevin steps.
        chains: number of chains.
        steps: steps of each chain in an update.
        restart: share of the chains that restart at an update.
        faintest: least strength of the noise that chains start from.
        penalty: weight of the mean squares of the energies.
        optimizer: an optax optimizer.
    """
    kernel = lambda params: unadjusted(partial(energy, params), BETA, step_size)
    negative = replay(kernel, partial(faded, shape, faintest), chains, steps, restart, BOUND)
    return contrastive(energy, blurred(noise), negative, optimizer, loss=partial(penalized_contrast, weight=penalty))


def uniform(shape: tuple[int, ...], key: Key[Array, ""]) -> Float[Array, "*shape"]:
    """A picture of uniform noise between paper (0) and ink (1)."""
    return jax.random.uniform(key, shape)


def faded(shape: tuple[int, ...], faintest: float, key: Key[Array, ""]) -> Float[Array, "*shape"]:
    """Uniform noise times a random strength in [faintest, 1].

    Chains that start at full strength rarely visit blank paper, and so the energy of blank paper would become far too
    low.
    """
    noise_key, strength_key = jax.random.split(key)
    return jax.random.uniform(strength_key, minval=faintest, maxval=1.0) * uniform(shape, noise_key)


def film(
    energy: Energy, step_size: float, key: Key[Array, ""], starts: Float[Array, "n *shape"], moments: tuple[int, ...]
) -> tuple[Float[Array, "moments n *shape"], Float[Array, "moments n"]]:
    """Positions and energies of Langevin chains after each of the given numbers of steps, which increase from 0."""
    kernel = unadjusted(energy, BETA, step_size)

    def leg(states, steps_and_key):
        steps, key = steps_and_key
        keys = lambda index: jax.random.split(jax.random.fold_in(key, index), len(starts))
        step = lambda index, states: jax.vmap(kernel.step)(keys(index), states)[0]
        states = jax.lax.fori_loop(0, steps, step, states)
        return states, (states.position, states.energy)

    # all legs use one loop whose length is traced, so that the step is compiled once
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
    """Pictures with the known pixels clamped and the others drawn from their conditional law, `draws` times each.

    The drawn pixels start from uniform noise and take `steps` Langevin steps.
    """

    def draw(key, picture):
        start_key, key = jax.random.split(key)
        kernel = unadjusted(clamp(energy, known, picture), BETA, step_size)
        start = uniform((int((~known).sum()),), start_key)
        free = repeat(key, kernel, kernel.init(start), steps).positions
        return picture.at[np.nonzero(~known)].set(free)

    keys = jax.random.split(key, (len(pictures), draws))
    return jax.vmap(lambda keys, picture: jax.vmap(lambda key: draw(key, picture))(keys))(keys, pictures)


def auroc(inside: Float[Array | np.ndarray, " inside"], outside: Float[Array | np.ndarray, " outside"]) -> float:
    """The area under the receiver operating characteristic (ROC) curve: P(outside > inside), where ties count half.

    >>> auroc(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    0.875
    """
    is_outside = np.repeat([False, True], [len(inside), len(outside)])
    return float(roc_auc_score(is_outside, np.concatenate([inside, outside])))


def gaussian_scores(
    train: Float[np.ndarray, "n rows columns"], noise: float, sets: list[Float[np.ndarray, "m rows columns"]]
) -> list[Float[np.ndarray, " m"]]:
    """½ (y - μ)ᵀ C⁻¹ (y - μ): the energy of a normal law with the mean and the covariance of pictures with noise."""
    rows = train.reshape(len(train), -1).astype(np.float64)
    mean = rows.mean(axis=0)
    covariance = rows.T @ rows / len(rows) - np.outer(mean, mean) + noise**2 * np.eye(rows.shape[1])
    factor = np.linalg.cholesky(covariance)

    def score(pictures):
        whitened = solve_triangular(factor, (pictures.reshape(len(pictures), -1) - mean).T, lower=True)
        return 0.5 * np.square(whitened).sum(axis=0)

    return [score(pictures) for pictures in sets]


def nearest(
    pictures: Float[np.ndarray, "n rows columns"], among: Float[np.ndarray, "m rows columns"]
) -> tuple[np.ndarray, Float[np.ndarray, " n"]]:
    """The row of the picture in `among` that is nearest to each picture, and its Euclidean distance."""
    which, distances = pairwise_distances_argmin_min(pictures.reshape(len(pictures), -1), among.reshape(len(among), -1))
    return which, distances
