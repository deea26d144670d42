"""A variational autoencoder of handwritten digits: what it makes of pictures, and how likely it holds them

The encoder says of a picture y which codes z may stand behind it, a **fuzzy ball** q(z|y); the decoder makes pixels of
a code. The energy E(y, z) = -log p(y|z) - log p(z) has at inverse temperature 1 the free energy -log p(y), and what is
trained is a bound of it: the **evidence bound**, <E> under q less the entropy of q, or, with K samples, the tighter
**importance-weighted bound**.

The bound flatters nobody: it lies below the log-likelihood. That is estimated by importance sampling with thousands of
codes for each picture of the test set, and for codes of two dimensions, where a grid reaches, it is integrated.
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
from ebmjax.random_bits import unrolled
from experiments.application.report import Report
from experiments.application.watched import Watched
from experiments.data.images import Images, load, sample_binary
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
GRID = (5.0, 301)  # of two-dimensional codes that are integrated: from -5 to 5, points along each axis
INTEGRATED = 100  # pictures of the test set for which they are


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Images = Images.MNIST
    """The pictures: digits, mnist, binarized-mnist (a fixed binarization) or fashion-mnist."""
    grey: bool = False
    """Learn grey values themselves, as means. Otherwise every picture is binarized anew whenever it is seen, its grey
    values being probabilities. Pictures that are binary already are what they are in either case."""
    hidden: tuple[int, ...] = (200, 200)
    """Sizes of the dense layers, encoder and decoder alike."""
    tanh: bool = False
    """Units with tanh, as in the first papers, instead of SiLU."""
    latent: int = 50
    """Dimensions of the code."""
    samples: tuple[int, ...] = (1,)
    """K of the importance-weighted bound that is trained, 1 being the evidence bound: one for each stage."""
    epochs: tuple[int, ...] = (60,)
    """Passes over the pictures in each stage."""
    kept: int = 5
    """Of K > 1 samples, at most how many have a gradient: chosen by their weights, which leaves its mean as it is."""
    map_epochs: int = 30
    """Passes for the autoencoder with a code of two dimensions."""
    batch_size: int = 1000
    """Pictures an update."""
    rate: float = 0.05
    """The first learning rate, of Muon; it falls linearly to zero, through all stages."""
    measured: int = 10
    """Passes between two measurements."""
    importance_samples: int = 5000
    """Codes for each picture of the test set by which its likelihood is estimated."""
    tested: int = 10_000
    """How many pictures of the test set are judged, chosen at random; all of them if there are fewer."""
    keep_checkpoints: bool = False
    """Keep the last parameters when the run is finished."""

    def __post_init__(self):
        for name in ("latent", "kept", "map_epochs", "batch_size", "measured", "importance_samples", "tested"):
            if getattr(self, name) < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}, expected at least 1")
        for name in ("hidden", "samples", "epochs"):
            if not getattr(self, name) or min(getattr(self, name)) < 1:
                raise ValueError(f"--{name} is {getattr(self, name)}, expected numbers of at least 1")
        if len(self.samples) != len(self.epochs):
            raise ValueError(f"--epochs has {len(self.epochs)} stages, expected {len(self.samples)}, one for each K")
        for epochs in (*self.epochs, self.map_epochs):
            if epochs % self.measured:
                raise ValueError(f"--measured is {self.measured}, expected a divisor of {epochs}, the number of epochs")
        if not 0 < self.rate < math.inf:
            raise ValueError(f"--rate is {self.rate}, expected above 0 and finite")


QUICK = Config(
    images=Images.DIGITS,
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
    """Train an autoencoder and one with a code of two dimensions, judge and draw them."""
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
            "**These pictures are grey.** A grey value is learned as the mean of a binary pixel, and what is called a "
            "log-likelihood here is that mean's: it cannot be held against the likelihoods of binary pictures."
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
    """One a stage; the rate falls linearly through all of them."""
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
        axes, "updates", "nats a picture", "K = " + ", then ".join(str(stage) for stage in report.config.samples)
    )
    report.figure(
        "curves",
        figure,
        "Lower bounds of the log-likelihood while the autoencoder learns. What lies between the two of held-out "
        "pictures is the encoder's error; what lies between training set and held-out pictures is overfitting.",
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
    show(axes, np.stack(rows).reshape(3, SHOWN, *shape), down=["held out", "centre of q", "drawn from q"])
    report.figure(
        "reconstructions",
        figure,
        "Held-out pictures, what the decoder makes of the centre of the ball that the encoder gives them, and of a "
        "point drawn from it: the noise on the code changes little that matters.",
    )
    fantasies = mean(
        jax.vmap(lambda z: vae.decode(params, z))(jax.random.normal(prior_key, (6 * SHOWN, codes.mean.shape[1])))
    )
    figure, axes = plots.one(8.4, 4.4)
    show(axes, np.asarray(fantasies).reshape(6, SHOWN, *shape))
    report.figure(
        "samples",
        figure,
        "Codes drawn from the prior, decoded: samples of the model, shown as the pixels' probabilities.",
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
    show(axes[0, 0], np.asarray(decoded).reshape(side, side, *shape), "decoded, at equal steps of prior probability")
    panel = axes[0, 1]
    if labels is None:
        panel.plot(*centres.T, ".", markersize=2)
    else:
        for digit in np.unique(labels):
            color = matplotlib.colormaps["tab10"](digit % 10)
            panel.plot(*centres[labels == digit].T, ".", markersize=2, color=color, label=f"{digit}")
        panel.legend(markerscale=5, ncols=1, loc="center left", bbox_to_anchor=(1, 0.5), title="class")
    panel.set_aspect("equal")
    plots.label(panel, "z₁", "z₂", "centres of held-out pictures")
    report.figure(
        "map",
        figure,
        "A code of two dimensions as a map: what the decoder draws at each place, and where the encoder puts held-out "
        "pictures, coloured by their class, which it was never told.",
    )


def _tell_bounds(report: Report, key: Key[Array, ""], params: vae.Params, test: Array, samples: int) -> None:
    """The 2-D code's bounds beside the free energy that a grid gives."""
    some = test[:INTEGRATED]
    reach, points = GRID
    axis = interval(-reach, reach, points)
    space = product(axis, axis)

    @jax.jit
    def free(params):
        # the integral over the square in place of the mean over it
        one = lambda y: free_energy(lambda z: energy(params, y, jnp.stack(z)), space, 1.0) - space.log_volume
        return map_chunks(one, some, 10)

    exact = -np.asarray(free(params))
    sampled = log_likelihoods(report, key, params, some, samples)
    fast = unrolled(key)
    estimates = {
        "evidence bound": bounds(evidence_bound(misfit, vae.encode), fast, params, some),
        f"importance-weighted bound, {WATCHED_SAMPLES} samples": bounds(
            importance_weighted_bound(energy, vae.encode, WATCHED_SAMPLES), fast, params, some
        ),
        f"importance sampling, {samples} samples": sampled,
    }
    rows = [(name, float(np.mean(values)), float(np.mean(exact - values))) for name, values in estimates.items()]
    rows.append((f"integrated on {points} x {points} points", float(exact.mean()), 0.0))
    report.table(
        f"Two dimensions, {len(some)} held-out pictures: bounds and the truth, in nats a picture",
        ("how", "log p(y)", "gap"),
        rows,
    )
    report.summary(map_gap_of_bound=rows[0][2], map_gap_of_importance_sampling=rows[2][2])
