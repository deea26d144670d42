"""Variational autoencoders of pictures: how they are trained, watched and judged."""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Float, Key
from optax.contrib import muon

from ebmjax.energies import variational_autoencoder as vae
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.loops import map_chunks
from ebmjax.losses.evidence_bound import doubly_reparameterized_bound, evidence_bound, importance_weighted_bound
from ebmjax.losses.functional import StochasticLoss
from ebmjax.marginalize import importance_sampling
from ebmjax.random_bits import unrolled
from ebmjax.types import Scalar
from experiments.application.report import Report
from experiments.application.watched import Watched, train_watched
from experiments.data.images import sample_binary

OBSERVATION = vae.bernoulli()
WATCHED_SAMPLES = 50  # of the importance-weighted bound that is watched


class Plan(NamedTuple):
    """How an autoencoder is trained, or for one stage of it."""

    samples: int
    """K of the importance-weighted bound; 1 for the evidence bound with its divergence in closed form."""
    kept: int
    """Of these, how many have a gradient."""
    fresh: bool
    """Whether every picture is binarized anew whenever it is seen."""
    batch_size: int
    rate: float
    final_rate: float
    """The rate falls from the one to the other, linearly."""
    epochs: int
    segments: int
    """The autoencoder is measured after each; a divisor of the epochs."""


class Measures(NamedTuple):
    """Mean log-likelihoods, or what bounds them from below, in nats a picture."""

    train_bound: Float[Array, ""]
    """Evidence bound of as many pictures of the training set as the test set holds."""
    test_bound: Float[Array, ""]
    """Evidence bound of the whole test set."""
    test_weighted: Float[Array, ""]
    """Importance-weighted bound of a random part of the test set."""


def energy(params: vae.Params, y: Float[Array, " pixels"], z: Float[Array, " latent"]) -> Scalar:
    """-log p(y|z) - log p(z) of a binary picture."""
    return vae.energy(params, OBSERVATION, y, z)


def misfit(params: vae.Params, y: Float[Array, " pixels"], z: Float[Array, " latent"]) -> Scalar:
    """-log p(y|z) of a binary picture."""
    return vae.misfit(params, OBSERVATION, y, z)


def binarized_anew(loss: StochasticLoss) -> StochasticLoss:
    """The loss of pictures whose grey values are probabilities, drawn whenever they are seen."""

    def drawn(key: Key[Array, ""], params: Any, batch: Float[Array, "batch pixels"]) -> Array:
        pixels_key, loss_key = jax.random.split(key)
        return loss(loss_key, params, sample_binary(unrolled(pixels_key), batch))

    return drawn


def objective(plan: Plan) -> StochasticLoss:
    """What is minimized: a bound of -log p(y), in nats a picture."""
    if plan.samples == 1:
        loss = evidence_bound(misfit, vae.encode)
    else:
        loss = doubly_reparameterized_bound(energy, vae.encode, plan.samples, plan.kept)
    fast = lambda key, params, batch: loss(unrolled(key), params, batch)
    return binarized_anew(fast) if plan.fresh else fast


def train(
    report: Report,
    name: str,
    key: Key[Array, ""],
    plan: Plan,
    params: vae.Params,
    train_pictures: Float[Array, "n pixels"],
    test_pictures: Float[Array, "m pixels"],
) -> Watched:
    """Train one autoencoder, measured after each segment.

    The optimizer is Muon: an update of a matrix has all its singular values near one. For an equal number of seconds
    it ends nats below Adam here, since directions that have small gradients are learned as fast as the others, and it
    loses little with batches of a thousand, which processors like.

    Args:
        report: of the run, which keeps the checkpoints.
        name: of this training.
        key: typed random key.
        plan: how.
        params: to begin with.
        train_pictures: grey values in [0, 1] where `plan.fresh`, else as they are to be learned.
        test_pictures: as they are to be judged: binary.

    Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks".
    """
    vae.check_unit_interval(train_pictures)
    train_key, measure_key, part_key, pixels_key = jax.random.split(key, 4)
    updates = plan.epochs * (len(train_pictures) // plan.batch_size)
    rates = optax.linear_schedule(plan.rate, plan.final_rate, updates)
    learner = stochastic_gradient(objective(plan), muon(rates))
    seen = train_pictures[: len(test_pictures)]
    seen = sample_binary(pixels_key, seen) if plan.fresh else seen
    some = test_pictures[jax.random.permutation(part_key, len(test_pictures))[:1000]]

    # one program for both sets, which are of one size more often than not
    tight = jax.jit(partial(bounds, evidence_bound(misfit, vae.encode)))
    weighted = jax.jit(partial(bounds, importance_weighted_bound(energy, vae.encode, WATCHED_SAMPLES)))
    keys = jax.random.split(measure_key, 3)

    def measure(params: vae.Params) -> Measures:
        return Measures(
            tight(keys[0], params, seen).mean(),
            tight(keys[1], params, test_pictures).mean(),
            weighted(keys[2], params, some).mean(),
        )

    return train_watched(
        train_key,
        report,
        name,
        learner,
        params,
        train_pictures,
        plan.batch_size,
        plan.epochs // plan.segments,
        plan.segments,
        measure,
    )


def bounds(
    loss: StochasticLoss, key: Key[Array, ""], params: vae.Params, pictures: Float[Array, "n pixels"]
) -> Float[Array, " n"]:
    """The lower bound of log p(y) of every picture, in nats, of a loss that bounds it; a few pictures at a time."""
    keys = jax.random.split(key, len(pictures))
    return map_chunks(lambda pair: -loss(pair[0], params, pair[1][None]), (keys, pictures), 10)


def log_likelihoods(
    report: Report, key: Key[Array, ""], params: vae.Params, pictures: Float[Array, "n pixels"], samples: int
) -> Float[np.ndarray, " n"]:
    """log p(y) of every picture in nats, by importance sampling with the encoder's law, in bounded memory."""

    @jax.jit
    def estimate(params, keys, pictures):
        def one(pair):
            key, y = pair
            proposal = vae.encode(params, y)
            return importance_sampling.estimate_log_partition(
                unrolled(key), partial(energy, params, y), proposal, 1.0, samples, min(samples, 500)
            ).log_partition

        return map_chunks(one, (keys, pictures), 1)

    keys = jax.random.split(key, len(pictures))
    parts = math.ceil(len(pictures) / 500)
    values = []
    with report.bar(f"log-likelihoods of {len(pictures)} pictures, {samples} samples each", parts) as advance:
        for rows in np.array_split(np.arange(len(pictures)), parts):
            values.append(np.asarray(estimate(params, keys[rows], pictures[rows])))
            advance(1)
    return np.concatenate(values)
