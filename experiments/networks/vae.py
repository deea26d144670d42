"""A variational autoencoder of handwritten digits: its pictures, its bounds, and its likelihoods

The encoder maps a picture y to a normal law q(z|y) of its code z; the decoder maps a code to a picture. The energy
E(y, z) = -log p(y|z) - log p(z) has the free energy -log p(y) at inverse temperature 1. The training minimizes an upper
bound of this free energy: the negative **evidence bound**, which is the mean of E under q minus the entropy of q, or
the tighter **importance-weighted bound** with K samples.

With the opposite sign these are lower bounds of the log-likelihood log p(y). The log-likelihood is estimated by
importance sampling with thousands of codes for each picture of the test set. For codes of two dimensions it is also
integrated on a grid.
"""

import itertools
import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from jaxtyping import Array, Key
from scipy.special import ndtri

from ebmjax import free_energy, interval, product
from ebmjax.energies import variational_autoencoder as vae
from ebmjax.gaussian import reparameterize
from ebmjax.loops import map_chunks
from ebmjax.losses.evidence_bound import evidence_bound, importance_weighted_bound
from experiments.application import options
from experiments.application.options import Count, Positive
from experiments.application.report import Report
from experiments.application.watched import Watched
from experiments.data.images import Images, Pictures, load, sample_binary
from experiments.drawing import plots
from experiments.drawing.mosaics import flat, show
from experiments.networks.autoencoders import (
    OBSERVATION,
    WATCHED_SAMPLES,
    Plan,
    bounds,
    energy,
    log_likelihoods,
    misfit,
    train,
)

SHOWN = 12  # pictures in a row of the figures
GRID = (5.0, 301)  # for integration over codes of two dimensions: from -5 to 5, 301 points along each axis
INTEGRATED = 100  # pictures of the test set whose likelihoods are integrated


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Pictures = Images.DIGITS
    """The pictures: digits, mnist, binarized-mnist (a fixed binarization), fashion-mnist, or a folder of PNG or
    JPEG files."""
    grey: bool = False
    """Learn each grey value as the mean of a binary pixel. Otherwise pictures are binarized at random, with the grey
    values as probabilities, again in every batch. This option makes no difference for binary pictures."""
    hidden: tuple[Count, ...] = (200, 200)
    """Units of the hidden layers of the encoder and of the decoder."""
    tanh: bool = False
    """Use tanh units, as in the first papers, instead of SiLU."""
    latent: Count = 50
    """Dimensions of the code."""
    samples: tuple[Count, ...] = (1,)
    """K of the importance-weighted bound that is trained in each stage; 1 is the evidence bound."""
    epochs: tuple[Count, ...] = (200,)
    """Passes over the pictures in each stage."""
    kept: Count = 5
    """Largest number of the K samples that get a gradient. They are drawn by their weights, so that the mean of the
    gradient stays the same."""
    map_epochs: Count = 200
    """Passes over the pictures for the autoencoder with a code of two dimensions."""
    batch_size: Count = 100
    """Pictures in an update."""
    rate: Positive = 0.05
    """First learning rate of Muon. It falls linearly to zero over all stages."""
    measured: Count = 10
    """Passes between two measurements."""
    importance_samples: Count = 5000
    """Codes for each picture of the test set in the estimate of its likelihood."""
    tested: Count = 10_000
    """Pictures of the test set to measure with, chosen at random; all of them if there are fewer."""
    keep_checkpoints: bool = False
    """Keep the checkpoints, with the parameters, in the output folder."""

    def __post_init__(self):
        options.check(self)
        for name in ("hidden", "samples", "epochs"):
            options.require(len(getattr(self, name)) > 0, name, getattr(self, name), "at least one number")
        stages = len(self.epochs) == len(self.samples)
        options.require(stages, "epochs", self.epochs, f"one number for each of --samples {self.samples}")
        for epochs in (*self.epochs, self.map_epochs):
            options.require(epochs % self.measured == 0, "measured", self.measured, f"a divisor of {epochs} epochs")


QUICK = Config(
    grey=True,
    hidden=(100,),
    latent=10,
    epochs=(40,),
    map_epochs=40,
    batch_size=20,
    importance_samples=200,
    tested=200,
)


def run(config: Config, report: Report) -> None:
    """Train an autoencoder and another one with a code of two dimensions, measure and draw both."""
    split = load(config.images)
    shape = split.train.shape[1:]
    keys = jax.random.split(report.key(), 7)
    train_pictures = jnp.asarray(flat(split.train))
    tested = np.asarray(jax.random.permutation(keys[0], len(split.test)))[: config.tested]
    test = jnp.asarray(flat(split.test[tested]))
    test = test if config.grey else sample_binary(keys[1], test)
    activation = jnp.tanh if config.tanh else jax.nn.silu
    params = vae.init(keys[2], train_pictures.shape[1], config.hidden, config.latent, activation)
    stages = []
    for index, plan in enumerate(_plans(config)):
        with report.stage(f"training {config.latent} dimensions, K = {plan.samples}, {plan.epochs} epochs"):
            stage_key = jax.random.fold_in(keys[3], index)
            watched = train(report, f"stage_{index}", stage_key, plan, params, train_pictures, test)
        stages.append(watched)
        params = watched.params
    values = log_likelihoods(report, keys[4], params, test, config.importance_samples)
    if not bool(((test == 0) | (test == 1)).all()):
        report.text(
            "**These pictures are grey.** A grey value is learned as the mean of a binary pixel, and the reported "
            "log-likelihoods are means over this pixel. They cannot be compared with likelihoods of binary pictures."
        )
    report.summary(
        log_likelihood=float(values.mean()),
        standard_error=float(values.std() / math.sqrt(len(values))),
        evidence_bound=float(stages[-1].measures.test_bound[-1]),
        train_evidence_bound=float(stages[-1].measures.train_bound[-1]),
        tested=len(values),
    )
    _draw_curves(report, stages)
    _draw_pictures(report, keys[5], params, test, shape)

    map_key, bounds_key = jax.random.split(keys[6])
    plan = Plan(1, 1, not config.grey, config.batch_size, config.rate, 0.0, config.map_epochs, 1)
    with report.stage(f"training 2 dimensions, {config.map_epochs} epochs"):
        start = vae.init(map_key, train_pictures.shape[1], config.hidden, 2, activation)
        charted = train(report, "map", map_key, plan, start, train_pictures, test).params
    labels = None if split.test_labels is None else split.test_labels[tested]
    _draw_map(report, charted, test, labels, shape)
    _tell_bounds(report, bounds_key, charted, test, config.importance_samples)


def _plans(config: Config) -> list[Plan]:
    """The plan of each stage. The learning rate falls linearly over all stages."""
    bounds = np.cumsum([0, *config.epochs]) / sum(config.epochs)
    rates = [float(rate) for rate in config.rate * (1 - bounds)]
    return [
        Plan(
            samples,
            min(config.kept, samples),
            not config.grey,
            config.batch_size,
            *stage_rates,
            epochs,
            epochs // config.measured,
        )
        for samples, epochs, stage_rates in zip(config.samples, config.epochs, itertools.pairwise(rates), strict=True)
    ]


def _draw_curves(report: Report, stages: list[Watched]) -> None:
    figure, axes = plots.one()
    before = np.cumsum([0, *(stage.updates[-1] for stage in stages)])
    updates = np.concatenate([stage.updates[1:] + start for stage, start in zip(stages, before, strict=False)])
    curves = (
        ("evidence bound, training set", "train_bound", "sky"),
        ("evidence bound, held out", "test_bound", "blue"),
        (f"importance-weighted, {WATCHED_SAMPLES} samples, held out", "test_weighted", "vermillion"),
    )
    for name, field, color in curves:
        values = np.concatenate([getattr(stage.measures, field)[1:] for stage in stages])
        axes.plot(updates, values, "o-", markersize=3, color=plots.PALETTE[color], label=name)
    for change in before[1:-1]:
        axes.axvline(change, color="0.7", linewidth=1)
    axes.legend()
    plots.label(
        axes, "updates", "nats per picture", "K = " + ", then ".join(str(stage) for stage in report.config.samples)
    )
    report.figure(
        "curves",
        figure,
        "Lower bounds of the log-likelihood during training. The gap between the two bounds of held-out pictures is "
        "part of the encoder's error. The gap between the training set and the held-out pictures is overfitting.",
    )


def _draw_pictures(
    report: Report, key: Key[Array, ""], params: vae.Params, test: Array, shape: tuple[int, ...]
) -> None:
    mean = OBSERVATION.mean
    chosen = test[:SHOWN]
    code_key, prior_key = jax.random.split(key)
    codes = jax.vmap(lambda y: vae.encode(params, y))(chosen)
    drawn = reparameterize(codes, jax.random.normal(code_key, codes.mean.shape))
    rows = [chosen, *(mean(jax.vmap(lambda z: vae.decode(params, z))(z)) for z in (codes.mean, drawn))]
    figure, axes = plots.one(8.4, 2.5)
    show(axes, np.stack(rows).reshape(3, SHOWN, *shape), down=["held out", "mean of q", "draw from q"])
    report.figure(
        "reconstructions",
        figure,
        "Held-out pictures, the decoder's pictures of the mean of q(z|y), and of a draw from q(z|y). The noise of the "
        "code changes little.",
    )
    fantasies = mean(
        jax.vmap(lambda z: vae.decode(params, z))(jax.random.normal(prior_key, (6 * SHOWN, codes.mean.shape[1])))
    )
    figure, axes = plots.one(8.4, 4.4)
    show(axes, np.asarray(fantasies).reshape(6, SHOWN, *shape))
    report.figure(
        "samples",
        figure,
        "Samples of the model: codes drawn from the prior, decoded and shown as probabilities of the pixels.",
    )


def _draw_map(
    report: Report, params: vae.Params, test: Array, labels: np.ndarray | None, shape: tuple[int, ...]
) -> None:
    side = 18
    levels = ndtri((np.arange(side) + 0.5) / side).astype(np.float32)
    across, down = np.meshgrid(levels, levels[::-1])
    decoded = OBSERVATION.mean(jax.vmap(lambda z: vae.decode(params, z))(jnp.stack([across.ravel(), down.ravel()], 1)))
    centres = np.asarray(jax.vmap(lambda y: vae.encode(params, y).mean)(test))
    figure, axes = plots.panels(1, 2, width=5.2, height=5.2)
    show(
        axes[0, 0],
        np.asarray(decoded).reshape(side, side, *shape),
        "decoded codes, at equal steps of prior probability",
    )
    panel = axes[0, 1]
    if labels is None:
        panel.plot(*centres.T, ".", markersize=2)
    else:
        for digit in np.unique(labels):
            color = matplotlib.colormaps["tab10"](digit % 10)
            panel.plot(*centres[labels == digit].T, ".", markersize=2, color=color, label=f"{digit}")
        panel.legend(markerscale=5, ncols=1, loc="center left", bbox_to_anchor=(1, 0.5), title="class")
    panel.set_aspect("equal")
    plots.label(panel, "z₁", "z₂", "codes (mean of q) of held-out pictures")
    report.figure(
        "map",
        figure,
        "A code of two dimensions as a map. Left: the decoder's picture at each point. Right: the codes of held-out "
        "pictures. The colours are their classes, which were not used in training.",
    )


def _tell_bounds(report: Report, key: Key[Array, ""], params: vae.Params, test: Array, samples: int) -> None:
    """Compare the bounds of the autoencoder with a code of two dimensions to the likelihood integrated on a grid."""
    some = test[:INTEGRATED]
    reach, points = GRID
    axis = interval(-reach, reach, points)
    space = product(axis, axis)

    @jax.jit
    def free(params):
        # the integral over the square instead of the mean over it
        one = lambda y: free_energy(lambda z: energy(params, y, jnp.stack(z)), space, 1.0) - space.log_volume
        return map_chunks(one, some, 10)

    exact = -np.asarray(free(params))
    sampled = log_likelihoods(report, key, params, some, samples)
    estimates = {
        "evidence bound": bounds(evidence_bound(misfit, vae.encode), key, params, some),
        f"importance-weighted bound, {WATCHED_SAMPLES} samples": bounds(
            importance_weighted_bound(energy, vae.encode, WATCHED_SAMPLES), key, params, some
        ),
        f"importance sampling, {samples} samples": sampled,
    }
    rows = [(name, float(np.mean(values)), float(np.mean(exact - values))) for name, values in estimates.items()]
    rows.append((f"integrated on {points} x {points} points", float(exact.mean()), 0.0))
    report.table(
        f"Code of two dimensions, {len(some)} held-out pictures: bounds and exact log-likelihood, in nats per picture",
        ("method", "log p(y)", "gap to the exact value"),
        rows,
    )
    report.summary(map_gap_of_bound=rows[0][2], map_gap_of_importance_sampling=rows[2][2])
