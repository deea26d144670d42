"""Shared by `vae` and `fuzzy_balls`: training, bounds and likelihoods of variational autoencoders of pictures."""

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
from ebmjax.types import Scalar
from experiments.application.report import Report
from experiments.application.watched import Watched, train_watched
from experiments.data.images import sample_binary

OBSERVATION = vae.bernoulli()
WATCHED_SAMPLES = 50  # samples of the importance-weighted bound that is measured during training


class Plan(NamedTuple):
    """How an autoencoder is trained in one stage."""

    samples: int
    """K of the importance-weighted bound; 1 for the evidence bound with its divergence in closed form."""
    kept: int
    """How many of the K samples get a gradient."""
    binarize: bool
    """Whether pictures are binarized at random, again in every batch."""
    batch_size: int
    """Pictures in an update."""
    rate: float
    """First learning rate."""
    final_rate: float
    """Last learning rate; the rate falls linearly."""
    epochs: int
    """Passes over the pictures."""
    segments: int
    """Number of measurements, evenly spaced; a divisor of the epochs."""


class Measures(NamedTuple):
    """Mean lower bounds of the log-likelihood, in nats per picture."""

    train_bound: Float[Array, ""]
    """Evidence bound of a part of the training set, as large as the test set."""
    test_bound: Float[Array, ""]
    """Evidence bound of the whole test set."""
    test_weighted: Float[Array, ""]
    """Importance-weighted bound of a random part of the test set, 1,000 pictures at most."""


def energy(params: vae.Params, y: Float[Array, " pixels"], z: Float[Array, " latent"]) -> Scalar:
    """-log p(y|z) - log p(z) of a binary picture."""
    return vae.energy(params, OBSERVATION, y, z)


def misfit(params: vae.Params, y: Float[Array, " pixels"], z: Float[Array, " latent"]) -> Scalar:
    """-log p(y|z) of a binary picture."""
    return vae.misfit(params, OBSERVATION, y, z)


def randomly_binarized(loss: StochasticLoss) -> StochasticLoss:
    """The loss of random binary pictures whose probabilities are the grey values of the batch."""

    def drawn(key: Key[Array, ""], params: Any, batch: Float[Array, "batch pixels"]) -> Array:
        pixels_key, loss_key = jax.random.split(key)
        return loss(loss_key, params, sample_binary(pixels_key, batch))

    return drawn


def objective(plan: Plan) -> StochasticLoss:
    """The loss of a plan: an upper bound of -log p(y), in nats per picture."""
    if plan.samples == 1:
        loss = evidence_bound(misfit, vae.encode)
    else:
        loss = doubly_reparameterized_bound(energy, vae.encode, plan.samples, plan.kept)
    return randomly_binarized(loss) if plan.binarize else loss


def train(
    report: Report,
    name: str,
    key: Key[Array, ""],
    plan: Plan,
    params: vae.Params,
    train_pictures: Float[Array, "n pixels"],
    test_pictures: Float[Array, "m pixels"],
) -> Watched:
    """Train one autoencoder, and measure it after each segment.

    The optimizer is Muon, whose updates of a matrix have singular values near 1, so that directions with small
    gradients are learned as fast as others. In the same time its loss falls some nats further than with Adam, and
    batches of a thousand pictures, which are efficient, do little harm.

    Args:
        report: the report of the run, which keeps the checkpoints.
        name: the name of this training, for its checkpoints.
        key: typed random key.
        plan: how to train.
        params: the first parameters.
        train_pictures: grey values in [0, 1] where `plan.binarize`, else the values to learn.
        test_pictures: the pictures to measure with, binary where the training pictures are.

    Raises:
        ValueError: training pictures with a value outside of [0, 1].

    Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks".
    """
    vae.check_unit_interval(train_pictures)
    train_key, measure_key, part_key, pixels_key = jax.random.split(key, 4)
    updates = plan.epochs * (len(train_pictures) // plan.batch_size)
    rates = optax.linear_schedule(plan.rate, plan.final_rate, updates)
    learner = stochastic_gradient(objective(plan), muon(rates))
    seen = train_pictures[: len(test_pictures)]
    seen = sample_binary(pixels_key, seen) if plan.binarize else seen
    some = test_pictures[jax.random.permutation(part_key, len(test_pictures))[:1000]]

    # one compilation for both sets, which usually have the same size
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
        Measures._asdict,
    )


def bounds(
    loss: StochasticLoss, key: Key[Array, ""], params: vae.Params, pictures: Float[Array, "n pixels"]
) -> Float[Array, " n"]:
    """The lower bound of log p(y) of every picture, in nats: minus a loss that bounds -log p(y) from above."""
    keys = jax.random.split(key, len(pictures))
    return map_chunks(lambda pair: -loss(pair[0], params, pair[1][None]), (keys, pictures), 10)


def log_likelihoods(
    report: Report, key: Key[Array, ""], params: vae.Params, pictures: Float[Array, "n pixels"], samples: int
) -> Float[np.ndarray, " n"]:
    """log p(y) of every picture in nats, by importance sampling from the encoder's law, in bounded memory."""

    @jax.jit
    def estimate(params, keys, pictures):
        def one(pair):
            key, y = pair
            proposal = vae.encode(params, y)
            return importance_sampling.estimate_log_partition(
                key, partial(energy, params, y), proposal, 1.0, samples, min(samples, 500)
            ).log_partition

        return map_chunks(one, (keys, pictures), 1)

    keys = jax.random.split(key, len(pictures))
    parts = math.ceil(len(pictures) / 500)
    values = []
    with report.bar(f"log-likelihoods of {len(pictures)} pictures, {samples} samples for each", parts) as advance:
        for rows in np.array_split(np.arange(len(pictures)), parts):
            values.append(np.asarray(estimate(params, keys[rows], pictures[rows])))
            advance(1)
    return np.concatenate(values)
