"""Digits as sums of strokes: sparse codes of pictures, and what the weight of sparsity costs

Three dictionaries are learned from pictures of digits by sparse coding:

    E(y, z) = ½‖y - Wz‖² + λ Σ|z_i|

The first has codes of either sign. The second has codes without negative entries, z ≥ 0, so that atoms are only added.
In the third the atoms have no negative entries either, W ≥ 0, so that ink is only added: its atoms become **strokes**,
and a digit is the sum of a few of them. Codes at a sequence of weights λ show how the error grows as the number of
strokes falls.

Hoyer (2002), "Non-negative sparse coding", for codes and atoms without negative entries; Ranzato, Poultney, Chopra and
LeCun (2006), "Efficient learning of sparse representations with an energy-based model", for the strokes of handwritten
digits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import Regularizer, l1, non_negative
from ebmjax.types import Learner
from experiments.application import options
from experiments.application.options import Count, Positive
from experiments.application.report import Report
from experiments.codes.learned_dictionaries import (
    Codes,
    Learned,
    code,
    exact_codes,
    learn,
    learning_curves,
    median_largest_weight,
    pictures,
    without_negatives,
)
from experiments.data.images import Images, Pictures, load
from experiments.drawing import plots
from experiments.drawing.mosaics import flat, mosaic, show

SMALL = 8  # rows of the pictures that come with scikit-learn
TERMS = 8  # terms of each sum that are drawn
SUMS = 5  # digits that are drawn as sums


class Kind(NamedTuple):
    """One way of coding."""

    file: str
    """The name in names of files."""
    name: str
    """The name in titles and tables."""
    regularizer: Callable[[float], Regularizer]
    """The regularizer of a weight λ."""
    constrain: Callable[[Learner], Learner] = lambda learner: learner
    """Adds a constraint on the atoms to the learner."""


KINDS = (
    Kind("signed", "signed codes", l1),
    Kind("adding", "non-negative codes", non_negative),
    Kind("strokes", "non-negative codes and atoms", non_negative, without_negatives),
)


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Pictures = Images.DIGITS
    """The pictures: digits, mnist, binarized-mnist, fashion-mnist, or a folder of PNG or JPEG files."""
    atoms: Count | None = None
    """Atoms of each dictionary. Default: 100 for digits and 256 for larger pictures."""
    weight: Positive | None = None
    """λ, for pixels between 0 and 1. Default: 0.1 for digits and 0.2 for larger pictures."""
    batch_size: Count = 100
    """Pictures in an update."""
    updates: Count = 1800
    """Updates, rounded up to whole passes over the pictures."""
    measured: Count = 1000
    """Largest number of held-out pictures to measure with."""
    path: Count = 12
    """Number of weights λ at which the held-out pictures are coded."""

    def __post_init__(self):
        options.check(self)


QUICK = Config(atoms=36, updates=84, measured=100, path=4)


class Result(NamedTuple):
    """The dictionary of one kind, its atoms in the order of their use."""

    kind: Kind
    learned: Learned
    largest_weight: float
    """Median λ_max over held-out pictures."""
    codes: Codes
    """Codes of the held-out pictures."""


class Path(NamedTuple):
    """Means over held-out pictures at each weight."""

    weights: Float[np.ndarray, " weights"]
    """λ."""
    nonzero: Float[np.ndarray, " weights"]
    """Number of coefficients that are not zero."""
    error: Float[np.ndarray, " weights"]
    """Σ‖y - Wz‖² / Σ‖y‖²."""


def run(config: Config, report: Report) -> None:
    """Learn the dictionaries, code held-out pictures, draw sums and paths."""
    split = load(config.images)
    shape = split.train.shape[1:]
    data = jnp.asarray(flat(split.train))
    small = shape[0] == SMALL
    atoms = config.atoms or (100 if small else 256)
    weight = config.weight or (0.1 if small else 0.2)
    # a random part, since test sets need not be in random order
    order = np.random.default_rng(0).permutation(len(split.test))[: config.measured]
    held_out = jnp.asarray(flat(split.test)[order])
    epochs = math.ceil(config.updates / max(1, len(data) // config.batch_size))
    results = []
    keys = jax.random.split(report.key(), len(KINDS))
    for kind, key in zip(KINDS, keys, strict=True):
        start_key, key = jax.random.split(key)
        start, regularizer = _noise(start_key, data, atoms, signed=kind.regularizer is l1), kind.regularizer(weight)
        with report.stage(f"learning {atoms} atoms, {kind.name}"):
            about = {"codes": kind.name}
            learned = learn(
                report, key, data, atoms, regularizer, config.batch_size, epochs, about, kind.constrain, start
            )
        with report.stage("coding held-out pictures"):
            codes = code(learned.params, regularizer, held_out)
        used = np.argsort(-np.asarray(jnp.abs(codes.codes).sum(axis=0)), kind="stable")
        learned = learned._replace(params=learned.params._replace(dictionary=learned.params.dictionary[:, used]))
        codes = codes._replace(codes=codes.codes[:, used])
        largest = median_largest_weight(learned.params, held_out)
        results.append(Result(kind, learned, largest, codes))
    with report.stage("coding at a sequence of weights"):
        paths = [_path(config, result, weight, held_out) for result in results]
    _tell(report, weight, results)
    _draw_strokes(report, results, shape)
    labels = None if split.test_labels is None else split.test_labels[order]
    for result in results:
        _draw_sums(report, result, np.asarray(held_out).reshape(-1, *shape), _chosen(labels, len(held_out)))
    _draw_path(report, results, paths, weight)
    _draw_codes(report, results, labels)
    _draw_learning(report, results)


def _noise(key: Key[Array, ""], data: Array, atoms: int, signed: bool) -> sparse_coding.Params:
    """Atoms of noise, each pixel as large as in the data. Atoms that start as whole digits stay whole for long."""
    scale = jnp.sqrt(jnp.mean(jnp.square(data), axis=0))[:, None]
    draw = jax.random.normal if signed else jax.random.uniform
    return sparse_coding.Params(scale * draw(key, (data.shape[1], atoms)))


def _path(config: Config, result: Result, weight: float, held_out: Array) -> Path:
    """Codes at a sequence of weights, from large to small, with the dictionary that was learned at `weight`."""
    params, data = result.learned.params, np.asarray(held_out)
    weights = np.geomspace(result.largest_weight, weight / 8, config.path, dtype=data.dtype)
    codes = [exact_codes(params, result.kind.regularizer(one), held_out) for one in weights]
    left = [np.sum(np.square(data - each @ np.asarray(params.dictionary).T)) for each in codes]
    nonzero = [np.mean(np.sum(each != 0, axis=1)) for each in codes]
    return Path(weights, np.array(nonzero), np.array(left) / np.sum(np.square(data)))


def _negative(learned: Learned) -> float:
    """The share of the negative pixels in the power of an atom, or of the positive ones if smaller; mean over atoms."""
    power = np.square(np.asarray(learned.params.dictionary))
    below = np.sum(power * (np.asarray(learned.params.dictionary) < 0), axis=0) / np.sum(power, axis=0)
    return float(np.mean(np.minimum(below, 1 - below)))


def _tell(report: Report, weight: float, results: list[Result]) -> None:
    report.table(
        "Held-out pictures, coded with each dictionary: means per picture",
        (
            "codes",
            "energy E",
            "½‖y - Wz‖²",
            "nonzero coefficients",
            "explained variance",
            "negative share of the atoms' power",
            "λ / λ_max",
        ),
        [
            (
                result.kind.name,
                result.codes.energy,
                result.codes.misfit,
                f"{result.codes.nonzero:.1f}",
                f"{result.codes.explained:.3f}",
                f"{_negative(result.learned):.2f}",
                f"{weight / result.largest_weight:.3f}",
            )
            for result in results
        ],
    )
    report.summary(
        weight=weight,
        weight_of_largest=[weight / result.largest_weight for result in results],
        strokes=[result.codes.nonzero for result in results],
        explained=[result.codes.explained for result in results],
        energy=[result.codes.energy for result in results],
        negative_power=[_negative(result.learned) for result in results],
        replaced=[result.learned.replaced for result in results],
        finite=all(result.learned.finite for result in results),
    )
    report.text(
        f"λ = {weight:g}, for pixels between 0 (paper) and 1 (ink). The best code of a picture is zero if λ is at "
        "least λ_max = ‖Wᵀy‖_∞. The median of λ_max over held-out pictures is "
        + " and ".join(f"{result.largest_weight:.2f} ({result.kind.name})" for result in results)
        + ". The summary lists its numbers in this order."
    )


def _chosen(labels: np.ndarray | None, count: int) -> list[int]:
    """The places of one picture of each of some classes, or of the first pictures where there are no labels."""
    if labels is None:
        return list(range(min(SUMS, count)))
    wanted = (2, 3, 5, 8, 4, *range(10))
    found = [int(np.flatnonzero(labels == label)[0]) for label in dict.fromkeys(wanted) if (labels == label).any()]
    return found[:SUMS]


def _draw_strokes(report: Report, results: list[Result], shape: tuple[int, ...]) -> None:
    atoms = [pictures(result.learned.params, *shape) for result in results]
    side = math.isqrt(len(atoms[0]))
    figure, panels = plots.panels(1, len(results), width=5.2, height=5.4)
    for panel, result, every in zip(panels[0], results, atoms, strict=True):
        # with signed codes the sign of an atom is arbitrary: its largest value is shown as ink
        turned = every * np.where(np.abs(every.min(axis=(1, 2))) > every.max(axis=(1, 2)), -1, 1)[:, None, None]
        shown = turned if result.kind.regularizer is l1 else every
        show(panel, shown[: side * side].reshape(side, side, *shape), result.kind.name.capitalize(), weights=True)
    report.figure(
        "strokes",
        figure,
        f"The {side * side} atoms with the largest coefficients in held-out pictures, in the order of their use. Red "
        "adds ink, blue removes it; each atom has a scale of its own. An atom with blue pixels removes ink that other "
        "atoms have added. Where neither codes nor atoms can be negative, most atoms are strokes.",
    )


def _draw_sums(report: Report, result: Result, held_out: np.ndarray, chosen: list[int]) -> None:
    shape = held_out.shape[1:]
    atoms = pictures(result.learned.params, *shape)
    rows, down = [], []
    for index in chosen:
        z = np.asarray(result.codes.codes[index])
        largest = np.argsort(-np.abs(z))[:TERMS]
        terms = z[largest, None, None] * atoms[largest]
        whole = np.tensordot(z, atoms, 1)
        rows.append(np.stack([held_out[index], *terms, whole - terms.sum(axis=0)]))
        rows.append(np.stack([np.full(shape, np.nan), *np.cumsum(terms, axis=0), whole]))
        down += [f"{np.count_nonzero(z)} atoms", ""]
    figure, axes = plots.one(8.6, 8.6 * 2 * len(chosen) / (TERMS + 2) + 0.6)
    names = ["digit", *[f"{rank}." for rank in range(1, TERMS + 1)], "rest, all"]
    grid = np.stack(rows)
    show(axes, np.zeros_like(grid), down=down, across=names)
    image = axes.images[0]
    image.set_data(mosaic(grid))
    image.set_cmap("RdBu_r")
    image.set_clim(-1, 1)
    axes.set_facecolor("white")
    report.figure(
        f"sums_{result.kind.file}",
        figure,
        f"Held-out digits as sums, {result.kind.name}. Upper row of each pair: the digit, its {TERMS} largest terms "
        "z_i w_i, and the sum of the remaining terms. Lower row: the sum of the terms so far, and of all terms. Red is "
        "ink, blue is negative ink, on one scale.",
    )


def _draw_path(report: Report, results: list[Result], paths: list[Path], weight: float) -> None:
    figure, panels = plots.panels(1, 3, width=4.0, height=3.6)
    for result, path, color in zip(results, paths, plots.PALETTE.values(), strict=False):
        fraction = path.weights / result.largest_weight
        panels[0, 0].loglog(fraction, np.maximum(path.nonzero, 1e-2), "-o", color=color, markersize=3.5)
        panels[0, 1].semilogx(fraction, path.error, "-o", color=color, markersize=3.5)
        panels[0, 2].semilogx(path.nonzero, path.error, "-o", color=color, markersize=3.5, label=result.kind.name)
        for panel in panels[0, :2]:
            panel.axvline(weight / result.largest_weight, color=color, linestyle=":", linewidth=1.2)
    panels[0, 2].legend()
    plots.label(panels[0, 0], "λ / $λ_{max}$", "nonzero coefficients", "Sparsity")
    plots.label(panels[0, 1], "λ / $λ_{max}$", "‖y - Wz‖² / ‖y‖²", "Error")
    plots.label(panels[0, 2], "nonzero coefficients", "‖y - Wz‖² / ‖y‖²", "Error against sparsity")
    for panel in panels[0, 1:]:
        panel.set_ylim(0, 1.02)
    report.figure(
        "path",
        figure,
        "Codes of held-out pictures at a sequence of weights λ, with the dictionaries that were learned at the dotted "
        "one. λ_max is the smallest weight at which a picture's code is zero (median over pictures).",
    )


def _draw_codes(report: Report, results: list[Result], labels: np.ndarray | None) -> None:
    figure, panels = plots.panels(1, 2, width=5.0, height=3.6)
    for place, (result, color) in enumerate(zip(results, plots.PALETTE.values(), strict=False)):
        used = np.asarray(result.codes.codes != 0)
        count = used.sum(axis=1)
        if labels is None:
            panels[0, 0].hist(
                count, np.arange(count.max() + 2) - 0.5, histtype="step", color=color, label=result.kind.name
            )
        else:
            means = [count[labels == label].mean() if (labels == label).any() else np.nan for label in range(10)]
            panels[0, 0].bar(np.arange(10) + 0.27 * (place - 1), means, 0.25, color=color, label=result.kind.name)
        panels[0, 1].plot(np.arange(1, used.shape[1] + 1), np.sort(used.mean(axis=0))[::-1], color=color)
    if labels is None:
        plots.label(panels[0, 0], "nonzero coefficients", "pictures", "Atoms in the code of a picture")
    else:
        panels[0, 0].set_xticks(range(10))
        plots.label(panels[0, 0], "class", "nonzero coefficients, mean", "Atoms in the code of a picture")
    panels[0, 1].legend(*panels[0, 0].get_legend_handles_labels(), loc="upper right")
    panels[0, 1].set_ylim(bottom=0)
    plots.label(panels[0, 1], "rank of the atom", "share of pictures", "Use of each atom")
    report.figure(
        "codes",
        figure,
        "Codes of held-out pictures. Left: how many coefficients are not zero. Right: the share of the pictures that "
        "use an atom, from the most used atom to the least used.",
    )


def _draw_learning(report: Report, results: list[Result]) -> None:
    learned = {result.kind.name: result.learned for result in results}
    report.figure(
        "learning",
        learning_curves(learned, "energy per picture", "nonzero coefficients per picture"),
        "Means over the pictures of each update, coded before it.",
    )
