"""Digits from a neural energy: Langevin chains draw and complete them, and the energy detects other pictures.

A convolutional network computes the energy of a picture, with the law p(y) = exp(-E(y))/Z. It learns by **contrast**:
the energy is lowered at training pictures (with a little noise on each pixel) and raised at the positions of
**persistent Langevin chains** of the present energy. At each update a few chains restart from noise; chains that
diverge are replaced and counted. Gradient and noise of a Langevin step belong to one temperature, so that the scale of
the energy is learned too.

The energy then answers three questions that it was not trained for. What do digits look like? (Chains from noise.) How
can this upper half be completed? (Chains with the known pixels **clamped**.) Is this a digit? (The energy as a score.)
"""

import math
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
from ebmjax.learn.averaging import averaged
from ebmjax.learn.checkpoint import all_finite, train_resumable
from ebmjax.loops import map_chunks
from ebmjax.types import DIVERGED, Energy
from experiments.application import options
from experiments.application.options import Count, NotNegative, Positive, Share
from experiments.application.report import Report
from experiments.data.images import Images, Pictures, Split, load
from experiments.drawing import plots
from experiments.drawing.mosaics import show
from experiments.networks.digit_energies import (
    auroc,
    chains_learner,
    completed,
    energy,
    film,
    gaussian_scores,
    nearest,
    uniform,
)

SHOWN = 8  # chains that are drawn, and completions of each digit
FRACTIONS = (0, 0.004, 0.01, 0.02, 0.06, 0.2, 1)  # of all steps, after which a chain is drawn
FILMED = 32  # chains whose energies are followed
AMONG = 10_000  # training pictures that are searched for the nearest one
COLORS = ("blue", "vermillion", "green", "orange", "purple", "sky", "black")


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Pictures = Images.DIGITS
    """The pictures to learn: digits, mnist, binarized-mnist, fashion-mnist, or a folder of PNG or JPEG files."""
    channels: tuple[int, ...] = (32, 64)
    """Output channels of the network's convolutions, each of which halves rows and columns."""
    scale: Positive = 10.0
    """Factor of the network's output in the energy E(y) = scale · network(y) + confinement · |y|²."""
    confinement: Positive = 5.0
    """Weight of |y|² in the energy, which makes Z finite."""
    noise: Positive = 0.05
    """Standard deviation of the noise on each pixel of a training picture; paper is 0, ink is 1."""
    step_size: Positive = 5e-4
    """ε of the Langevin steps y - ε ∇E + √(2ε) ξ."""
    chains: Count = 64
    """Persistent chains."""
    steps: Count = 20
    """Langevin steps of each chain in an update."""
    restart: Share = 0.01
    """Share of the chains that restart from noise at each update."""
    faintest: Share = 0.0
    """Least strength of the noise that chains start from. Strength 1 is uniform from paper to ink, 0 is blank paper."""
    penalty: NotNegative = 1e-4
    """Weight of the mean squared energies in the loss."""
    batch_size: Count = 64
    """Pictures in an update."""
    epochs: Count = 100
    """Passes over the training pictures."""
    rate: Positive = 1e-3
    """First learning rate of Adam. It falls to a tenth along a cosine."""
    average: Share = 0.995
    """Decay of the running mean of the parameters. The mean is the model that is evaluated."""
    long_steps: Count = 5000
    """Langevin steps of the chains from noise that are evaluated."""
    completion_steps: Count = 1000
    """Langevin steps of a completion."""
    keep_checkpoints: bool = False
    """Keep the checkpoints, with the parameters, in the output folder."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(channels=(16, 32), epochs=10, long_steps=500, completion_steps=200)


class Model(NamedTuple):
    """The learned energy, with averaged parameters."""

    energy: Energy
    """The energy of one picture."""
    scores: Callable[[Array], Array]
    """The energies of many pictures, compiled once for each number of pictures."""
    chains: Float[Array, "chains rows columns"]
    """Positions of the persistent chains after the last update."""


def run(config: Config, report: Report) -> None:
    """Learn the energy, draw digits from it, complete digits, and score other pictures."""
    split = load(config.images)
    train_key, film_key, completion_key, sets_key = jax.random.split(report.key(), 4)
    model = _learn(config, report, train_key, split)
    _draw_samples(config, report, film_key, model, split)
    _draw_completions(config, report, completion_key, model, split)
    _tell_scores(config, report, model, split, outsiders(sets_key, config.images, split.test))


def _learn(config: Config, report: Report, key: Key[Array, ""], split: Split) -> Model:
    init_key, key = jax.random.split(key)
    shape = split.train.shape[1:]
    batches = len(split.train) // config.batch_size
    rate = optax.cosine_decay_schedule(config.rate, max(1, batches * config.epochs), 0.1)
    of_params = partial(energy, config.scale, config.confinement)
    learner = chains_learner(
        of_params,
        shape,
        config.noise,
        config.step_size,
        config.chains,
        config.steps,
        config.restart,
        config.faintest,
        config.penalty,
        optax.adam(rate, b1=0.0, b2=0.99),
    )
    params = neural.init_convolutional(init_key, shape, config.channels)
    window, done = _window(batches * config.epochs), [0]

    def healthy(params: Any, metrics: Any) -> bool:
        latest = jax.tree.map(lambda leaf: np.asarray(leaf)[-1].mean(), metrics)
        step(len(metrics.loss), f"contrast {latest.loss:.1f}, norm of the gradient {latest.gradient_norm:.1f}")
        for loss, norm in zip(np.ravel(metrics.loss), np.ravel(metrics.gradient_norm), strict=True):
            done[0] += 1
            if done[0] % window == 0:
                report.metrics(step=done[0], loss=loss, gradient_norm=norm)
        return all_finite(params, metrics)

    with report.bar("learning", config.epochs) as step:
        learned = train_resumable(
            key,
            averaged(learner, config.average),
            params,
            split.train,
            config.batch_size,
            config.epochs,
            report.checkpoints / "network",
            max(1, config.epochs // 10),
            healthy,
        )
    metrics = jax.tree.map(lambda leaf: np.asarray(leaf).ravel(), learned.trained.metrics.learner)
    if learned.result == DIVERGED:
        report.diverged("network", len(metrics.loss))
    _draw_learning(config, report, metrics)
    state = learned.trained.state
    learned_energy = partial(of_params, state.mean)
    many = jax.jit(lambda pictures: map_chunks(learned_energy, pictures, 500))
    return Model(learned_energy, many, state.inner.negative.positions)


def outsiders(
    key: Key[Array, ""], images: Pictures, inside: np.ndarray
) -> dict[str, Float[np.ndarray, "n rows columns"]]:
    """Sets of pictures of other kinds than the learned one, each as large as the test set."""
    noise_key, order_key = jax.random.split(key)
    count, *shape = inside.shape
    greys = np.linspace(0, 1, count, dtype=np.float32)[:, None, None]
    order = np.asarray(jax.random.permutation(order_key, math.prod(shape)))
    sets = {
        "shuffled pixels": inside.reshape(count, -1)[:, order].reshape(inside.shape),
        "inverted": 1 - inside,
        "uniform noise": np.asarray(jax.random.uniform(noise_key, inside.shape)),
        "one grey each": np.broadcast_to(greys, inside.shape),
    }
    if images is Images.DIGITS or not isinstance(images, Images):
        return sets
    other = Images.MNIST if images is Images.FASHION_MNIST else Images.FASHION_MNIST
    return {"clothes" if other is Images.FASHION_MNIST else "digits": load(other).test, **sets}


def _window(updates: int) -> int:
    """The updates from one line of metrics.jsonl to the next, and of one mean of the figure."""
    return max(1, updates // 200)


def _draw_learning(config: Config, report: Report, metrics: Any) -> None:
    window = _window(len(metrics.loss))
    whole = len(metrics.loss) // window * window
    smooth = lambda values: values[:whole].reshape(-1, window).mean(axis=1)
    updates = smooth(np.arange(1, len(metrics.loss) + 1, dtype=float))
    restarted, diverged = metrics.negative.restarted, metrics.negative.diverged
    figure, panels = plots.panels(1, 3, width=4.0, height=3.4)
    drawn = (
        (panels[0, 0], metrics.loss, "E(pictures) - E(chains) + penalty", "Contrast"),
        (panels[0, 1], metrics.gradient_norm, "norm", "Gradient of the contrast"),
    )
    for axes, values, unit, title in drawn:
        axes.plot(updates, smooth(values), color=plots.PALETTE["blue"])
        plots.label(axes, "updates", unit, title)
    panels[0, 2].plot(np.cumsum(restarted), color=plots.PALETTE["blue"], label="restarted from noise")
    panels[0, 2].plot(np.cumsum(diverged), color=plots.PALETTE["vermillion"], label="diverged and replaced")
    plots.label(panels[0, 2], "updates", "chains, cumulative", "Chains")
    panels[0, 2].legend()
    report.figure(
        "learning",
        figure,
        f"Stability of the training: means over {window} updates. The contrast is the difference of the mean energies "
        "of pictures and chains. It is negative because some chains have not yet come down from noise. All chains "
        f"together restarted {restarted.sum():,} times and diverged {diverged.sum():,} times in {len(metrics.loss):,} "
        "updates.",
    )
    report.summary(updates=len(metrics.loss), chains_diverged=diverged.sum(), chains_restarted=restarted.sum())


def _draw_samples(config: Config, report: Report, key: Key[Array, ""], model: Model, split: Split) -> None:
    shape = split.train.shape[1:]
    start_key, run_key, blur_key = jax.random.split(key, 3)
    side = math.isqrt(min(64, config.chains))
    figure, panels = plots.panels(1, 2, width=5.0, height=5.2)
    show(panels[0, 0], _grid(split.train[: side**2], side), "training pictures")
    show(panels[0, 1], _grid(model.chains[: side**2], side), "chains at the end of learning")
    report.figure(
        "chains",
        figure,
        "Left: training pictures, without the noise that is added in training. Right: the persistent chains after the "
        "last update, without selection or smoothing. Those that have just restarted are still noise.",
    )
    moments = tuple(sorted({round(fraction * config.long_steps) for fraction in FRACTIONS}))
    starts = jax.vmap(partial(uniform, shape))(jax.random.split(start_key, FILMED))
    with report.stage(f"{len(starts)} chains of {config.long_steps} steps from noise"):
        pictures, energies = report.compiled(
            partial(film, model.energy, config.step_size, moments=moments), run_key, starts
        )
    noisy = jnp.asarray(split.test) + config.noise * jax.random.normal(blur_key, split.test.shape)
    held_out = np.asarray(model.scores(noisy))
    figure, panels = plots.panels(1, 2, width=4.6, height=4.9)
    show(panels[0, 0], np.asarray(pictures).swapaxes(0, 1)[:SHOWN], across=[f"{moment:,}" for moment in moments])
    axes = panels[0, 1]
    low, high = np.percentile(held_out, [5, 95])
    axes.axhspan(low, high, color=plots.PALETTE["sky"], alpha=0.35, label="held-out pictures with noise, 5% to 95%")
    spread = np.percentile(np.asarray(energies)[1:], [5, 50, 95], axis=1)
    axes.errorbar(
        moments[1:],
        spread[1],
        [spread[1] - spread[0], spread[2] - spread[1]],
        color=plots.PALETTE["vermillion"],
        marker="o",
        capsize=3,
        label=f"{len(starts)} chains, median and 5% to 95%",
    )
    axes.set_xscale("log")
    # the energies of the first steps are far higher
    axes.set_ylim(min(low, spread.min()) - 0.2 * (high - low), high + 3 * (high - low))
    axes.legend(loc="upper right")
    plots.label(axes, "Langevin steps from noise", "energy E")
    report.figure(
        "film",
        figure,
        f"Left: new chains, which start from uniform noise, after the number of steps above. Right: the energies of "
        f"{FILMED} chains; the first ones may lie above the panel. If the model is right and the chains have reached "
        "its law, they have the same energies as held-out pictures. Chains with higher energies have not converged. "
        "Chains with lower energies have found pictures that the model takes to be likelier than digits.",
    )
    names, distances = nearest(np.asarray(pictures[-1]), split.train[:AMONG])
    reference = nearest(np.asarray(noisy[: len(starts)]), split.train[:AMONG])[1]
    measures = {
        "energy_of_chains": np.median(energies[-1]),
        "energy_of_held_out": np.median(held_out),
        "distance_of_chains": np.median(distances),
        "distance_of_held_out": np.median(reference),
    }
    if split.train_labels is not None:
        counts = np.bincount(split.train_labels[:AMONG][names], minlength=10)
        report.table(
            f"Labels of the training pictures that are nearest to {len(starts)} chains from noise: number of chains",
            [str(label) for label in range(len(counts))],
            [counts.tolist()],
        )
        measures["labels_in_chains"] = int((counts > 0).sum())
    report.summary(**measures)


def _draw_completions(config: Config, report: Report, key: Key[Array, ""], model: Model, split: Split) -> None:
    count, shape = 10, split.test.shape[1:]
    chosen = np.arange(count)
    if split.test_labels is not None:
        chosen = np.array([np.argmax(split.test_labels == label) for label in np.unique(split.test_labels)])
    known = np.broadcast_to((np.arange(shape[0]) < shape[0] // 2)[:, None], shape)
    blur_key, draw_key = jax.random.split(key)
    pictures = jnp.asarray(split.test[chosen])
    noisy = pictures + config.noise * jax.random.normal(blur_key, pictures.shape)
    with report.stage("completing upper halves"):
        drawn = report.compiled(
            lambda key, pictures: completed(
                model.energy, config.step_size, key, known, pictures, SHOWN, config.completion_steps
            ),
            draw_key,
            noisy,
        )
    given = jnp.where(jnp.asarray(known)[None], noisy, jnp.nan)
    rows = jnp.concatenate([pictures[:, None], given[:, None], drawn], axis=1)
    figure, axes = plots.one(6.4, 6.6)
    show(axes, rows, across=["held out", "clamped", *([""] * SHOWN)])
    report.figure(
        "completions",
        figure,
        "The upper half of a held-out picture, with its noise, is clamped. The lower half starts from uniform noise "
        f"and takes {config.completion_steps:,} Langevin steps, {SHOWN} times for each picture. The network was not "
        "trained for completion.",
    )


def _tell_scores(
    config: Config, report: Report, model: Model, split: Split, outside: dict[str, Float[np.ndarray, "n rows columns"]]
) -> None:
    with report.stage("scoring"):
        inside = np.asarray(model.scores(jnp.asarray(split.test)))
        ours = {name: np.asarray(model.scores(jnp.asarray(pictures))) for name, pictures in outside.items()}
        gauss = gaussian_scores(split.train, config.noise, [split.test, *outside.values()])
    ink = lambda pictures: pictures.reshape(len(pictures), -1).sum(axis=1)
    rows, areas = [], {}
    for index, (name, pictures) in enumerate(outside.items()):
        areas[name] = auroc(inside, ours[name])
        rows.append(
            (
                name,
                len(pictures),
                *(f"{x:.4f}" for x in (areas[name], auroc(gauss[0], gauss[index + 1]))),
                f"{auroc(ink(split.test), ink(pictures)):.4f}",
                ours[name].mean(),
            )
        )
    blank = float(model.energy(jnp.zeros(split.test.shape[1:])))
    report.table(
        f"Area under the ROC curve: {len(inside):,} held-out pictures (mean energy {inside.mean():.0f}) against others",
        ("others", "how many", "learned energy", "energy of a normal law", "amount of ink", "mean learned energy"),
        rows,
    )
    report.text(
        "The area is the probability that another picture has a higher score than a held-out one. The normal law has "
        "the mean and the covariance of the training pictures with noise. Where it reaches the same area, the area "
        "says little about the learned energy. Pictures are scored without noise. The energy of blank paper is "
        f"{blank:.0f}, which is lower than the energy of {np.mean(inside > blank):.0%} of the held-out pictures."
    )
    report.summary(**{f"auroc_{name.replace(' ', '_')}": area for name, area in areas.items()}, energy_of_blank=blank)
    _draw_scores(report, {"held-out pictures": inside, **ours})


def _draw_scores(report: Report, sets: dict[str, Float[np.ndarray, " n"]]) -> None:
    figure, panels = plots.panels(1, 2, width=5.4, height=3.8)
    inside, outside = list(sets.items())[:2]
    bins = np.linspace(min(inside[1].min(), outside[1].min()), np.percentile(outside[1], 99.5), 80)
    for (name, values), color in zip((inside, outside), COLORS, strict=False):
        panels[0, 0].hist(values, bins, density=True, color=plots.PALETTE[color], alpha=0.55, label=name)
    panels[0, 0].legend()
    panels[0, 0].set_yticks([])
    plots.label(panels[0, 0], "energy E", "density")
    for row, (values, color) in enumerate(zip(sets.values(), COLORS, strict=False)):
        least, low, middle, high, most = np.percentile(values, [1, 25, 50, 75, 99])
        panels[0, 1].plot([least, most], [row, row], color=plots.PALETTE[color], linewidth=1.4)
        panels[0, 1].plot([low, high], [row, row], color=plots.PALETTE[color], linewidth=7, solid_capstyle="butt")
        panels[0, 1].plot(middle, row, "o", color="white", markersize=4, markeredgecolor=plots.PALETTE[color])
    panels[0, 1].axvline(np.percentile(inside[1], 99), color="#777777", linestyle=":", linewidth=1.4)
    panels[0, 1].set_yticks(range(len(sets)), list(sets))
    panels[0, 1].invert_yaxis()
    panels[0, 1].set_xlabel("energy E")
    report.figure(
        "scores",
        figure,
        f"Energies of held-out pictures and of other kinds, none of which were trained on. Left: {inside[0]} and "
        f"{outside[0]}. Right: all kinds, with the median (dot), the middle half of the pictures (bar) and 1% to 99% "
        "(line). 99% of the held-out pictures are below the dotted line.",
    )


def _grid(pictures: Any, side: int) -> Float[np.ndarray, "side side rows columns"]:
    return np.asarray(pictures).reshape(side, side, *pictures.shape[1:])
