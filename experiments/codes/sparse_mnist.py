"""Digits as sums of strokes: sparse codes of pictures, and what the weight of sparsity costs

A dictionary is learned from pictures of digits by sparse coding,

    E(y, z) = ½‖y - Wz‖² + λR(z)

with R(z) = Σ|z_i|; a second one with codes that may only add, z ≥ 0; and a third whose atoms may only add as well,
W ≥ 0. Its atoms become **strokes**, and a digit is the sum of a few of them. A path of weights λ shows what fewer cost.

Hoyer (2002), "Non-negative sparse coding", for codes and atoms that add; Ranzato, Poultney, Chopra and LeCun (2006),
"Efficient learning of sparse representations with an energy-based model", for the strokes of handwritten digits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import Regularizer, l1, non_negative
from ebmjax.minimize.codes.coordinate import solve_batch
from ebmjax.random_bits import unrolled
from ebmjax.types import Learner
from experiments.application.report import Report
from experiments.codes.learned_dictionaries import (
    EXACT,
    Codes,
    Learned,
    code,
    learn,
    median_largest_weight,
    pictures,
    smoothed,
    without_negatives,
)
from experiments.data.images import Images, load
from experiments.drawing import plots
from experiments.drawing.mosaics import flat, mosaic, show

SMALL = 8  # rows of the pictures that come with scikit-learn
TERMS = 8  # strokes of a sum that are drawn
SUMS = 5  # digits that are drawn as sums
KINDS: tuple[tuple[str, str, Callable[[float], Regularizer], Callable[[Learner], Learner]], ...] = (
    ("signed", "signed codes", l1, lambda learner: learner),
    ("adding", "codes that add", non_negative, lambda learner: learner),
    ("strokes", "codes and atoms that add", non_negative, without_negatives),
)


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Images = Images.DIGITS
    """The pictures: digits, mnist, binarized-mnist or fashion-mnist."""
    atoms: int | None = None
    """Atoms of each dictionary; without it, 100 for digits and 256 for larger pictures."""
    weight: float | None = None
    """λ, where a pixel goes from 0 to 1; without it, 0.1 for digits and 0.2 for larger pictures."""
    batch_size: int = 100
    """Pictures an update."""
    updates: int = 1800
    """Updates, rounded up to whole passes over the pictures."""
    measured: int = 1000
    """Held-out pictures, at most, to measure with."""
    path: int = 12
    """Weights on the path."""

    def __post_init__(self):
        for name in ("atoms", "batch_size", "updates", "measured", "path"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {value}, expected at least 1")
        if self.weight is not None and not 0 < self.weight < math.inf:
            raise ValueError(f"--weight is {self.weight}, expected a finite number above 0")


QUICK = Config(atoms=36, updates=84, measured=100, path=4)


class Result(NamedTuple):
    """A dictionary of one kind of codes, atoms from the most used to the least."""

    kind: str
    """In names of files."""
    name: str
    """In titles."""
    regularizer: Callable[[float], Regularizer]
    learned: Learned
    largest_weight: float
    """Median λ_max over held-out pictures."""
    codes: Codes
    """Of held-out pictures."""


class Path(NamedTuple):
    """Means over held-out pictures at each weight."""

    weights: Float[np.ndarray, " weights"]
    nonzero: Float[np.ndarray, " weights"]
    error: Float[np.ndarray, " weights"]
    """Σ‖y - Wz‖² / Σ‖y‖²."""


def run(config: Config, report: Report) -> None:
    """Learn both dictionaries, code held-out pictures, draw sums and paths."""
    split = load(config.images)
    shape = split.train.shape[1:]
    data = jnp.asarray(flat(split.train))
    small = shape[0] == SMALL
    atoms = config.atoms or (100 if small else 256)
    weight = config.weight or (0.1 if small else 0.2)
    # no prefix of a test set need be a sample of it
    order = np.random.default_rng(0).permutation(len(split.test))[: config.measured]
    held_out = jnp.asarray(flat(split.test)[order])
    epochs = math.ceil(config.updates / max(1, len(data) // config.batch_size))
    results = []
    keys = jax.random.split(unrolled(report.key()), len(KINDS))
    for (kind, name, regularizer, constrain), key in zip(KINDS, keys, strict=True):
        start_key, key = jax.random.split(key)
        start = _noise(start_key, data, atoms, signed=regularizer is l1)
        with report.stage(f"learning {atoms} atoms, {name}"):
            learned = learn(report, key, data, atoms, regularizer(weight), config.batch_size, epochs, constrain, start)
        with report.stage("coding held-out pictures"):
            codes = code(learned.params, regularizer(weight), held_out)
        used = np.argsort(-np.asarray(jnp.abs(codes.codes).sum(axis=0)), kind="stable")
        learned = learned._replace(params=learned.params._replace(dictionary=learned.params.dictionary[:, used]))
        codes = codes._replace(codes=codes.codes[:, used])
        largest = median_largest_weight(learned.params, held_out)
        results.append(Result(kind, name, regularizer, learned, largest, codes))
    with report.stage("paths of weights"):
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
    """Independent pixels as large as those of the data. Atoms that begin as whole digits stay whole for long."""
    scale = jnp.sqrt(jnp.mean(jnp.square(data), axis=0))[:, None]
    draw = jax.random.normal if signed else jax.random.uniform
    return sparse_coding.Params(scale * draw(key, (data.shape[1], atoms)))


def _path(config: Config, result: Result, weight: float, held_out: Array) -> Path:
    """Codes at every weight, from large to small, of the dictionary that was learned at one of them."""
    weights = jnp.geomspace(result.largest_weight, weight / 8, config.path)
    nonzero, error = _along(result.regularizer, result.learned.params, weights, held_out)
    return Path(*(np.asarray(values) for values in (weights, nonzero, error)))


@partial(jax.jit, static_argnums=0)
def _along(
    regularizer: Callable[[Any], Regularizer], params: sparse_coding.Params, weights: Array, data: Array
) -> tuple[Array, Array]:
    power = jnp.sum(jnp.square(data))

    def step(codes, weight):
        codes = solve_batch(params, regularizer(weight), data, codes, tolerance=EXACT).value
        left = jnp.sum(jnp.square(data - codes @ params.dictionary.T))
        return codes, (jnp.mean(jnp.sum(codes != 0, axis=1, dtype=codes.dtype)), left / power)

    start = jnp.zeros((len(data), params.dictionary.shape[1]), data.dtype)
    return jax.lax.scan(step, start, weights)[1]


def _negative(learned: Learned) -> float:
    """The share of negative pixels in the power of the atoms, whose sign is turned to the smaller share."""
    power = np.square(np.asarray(learned.params.dictionary))
    below = np.sum(power * (np.asarray(learned.params.dictionary) < 0), axis=0) / np.sum(power, axis=0)
    return float(np.mean(np.minimum(below, 1 - below)))


def _tell(report: Report, weight: float, results: list[Result]) -> None:
    for result in results:
        for step, (energy, density) in enumerate(zip(result.learned.energy, result.learned.density, strict=True), 1):
            if step % 10 == 0 or step == 1:
                report.metrics(step=step, codes=result.name, energy=energy, density=density)
    report.table(
        "Held-out pictures, each coded with the dictionary learned for its kind of codes; means a picture",
        ("codes", "energy E", "½‖y - Wz‖²", "strokes (not zero)", "explained", "negative power of atoms", "λ / λ_max"),
        [
            (
                result.name,
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
        f"λ = {weight:g} where a pixel goes from 0 (paper) to 1 (ink). The best code is zero from λ_max = ‖Wᵀy‖_∞ on, "
        "whose median over held-out pictures is "
        + " and ".join(f"{result.largest_weight:.2f} ({result.name})" for result in results)
        + ". Headline figures stand in this order."
    )


def _chosen(labels: np.ndarray | None, count: int) -> list[int]:
    """One picture of each of some classes, or the first ones."""
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
        # a signed code may turn an atom over: ink is what is larger
        turned = every * np.where(np.abs(every.min(axis=(1, 2))) > every.max(axis=(1, 2)), -1, 1)[:, None, None]
        shown = turned if result.regularizer is l1 else every
        show(panel, shown[: side * side].reshape(side, side, *shape), result.name.capitalize(), weights=True)
    report.figure(
        "strokes",
        figure,
        f"The {side * side} atoms that held-out pictures use the most, in order of their use; red adds ink, blue takes "
        "it off, each on its own scale. An atom with blue in it corrects what others have laid too much of; where "
        "neither codes nor atoms may take ink off, most atoms are strokes.",
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
        f"sums_{result.kind}",
        figure,
        f"Held-out digits as sums, {result.name}. Upper rows: the digit, its {TERMS} largest terms z_i w_i, and the "
        "rest of the terms together. Lower rows: the sums so far, and of all terms. Red is ink, blue is ink taken off, "
        "on one scale.",
    )


def _draw_path(report: Report, results: list[Result], paths: list[Path], weight: float) -> None:
    figure, panels = plots.panels(1, 3, width=4.0, height=3.6)
    for result, path, color in zip(results, paths, plots.PALETTE.values(), strict=False):
        fraction = path.weights / result.largest_weight
        panels[0, 0].loglog(fraction, np.maximum(path.nonzero, 1e-2), "-o", color=color, markersize=3.5)
        panels[0, 1].semilogx(fraction, path.error, "-o", color=color, markersize=3.5)
        panels[0, 2].semilogx(path.nonzero, path.error, "-o", color=color, markersize=3.5, label=result.name)
        for panel in panels[0, :2]:
            panel.axvline(weight / result.largest_weight, color=color, linestyle=":", linewidth=1.2)
    panels[0, 2].legend()
    plots.label(panels[0, 0], "λ / $λ_{max}$", "strokes a picture", "Sparsity")
    plots.label(panels[0, 1], "λ / $λ_{max}$", "‖y - Wz‖² / ‖y‖²", "Error")
    plots.label(panels[0, 2], "strokes a picture", "‖y - Wz‖² / ‖y‖²", "What a stroke buys")
    for panel in panels[0, 1:]:
        panel.set_ylim(0, 1.02)
    report.figure(
        "path",
        figure,
        "Held-out pictures along a path of weights, with the dictionaries learned at the dotted one. λ_max is the "
        "median weight from which on a picture's code is zero.",
    )


def _draw_codes(report: Report, results: list[Result], labels: np.ndarray | None) -> None:
    figure, panels = plots.panels(1, 2, width=5.0, height=3.6)
    for place, (result, color) in enumerate(zip(results, plots.PALETTE.values(), strict=False)):
        used = np.asarray(result.codes.codes != 0)
        count = used.sum(axis=1)
        if labels is None:
            panels[0, 0].hist(count, np.arange(count.max() + 2) - 0.5, histtype="step", color=color, label=result.name)
        else:
            means = [count[labels == label].mean() if (labels == label).any() else np.nan for label in range(10)]
            panels[0, 0].bar(np.arange(10) + 0.27 * (place - 1), means, 0.25, color=color, label=result.name)
        panels[0, 1].plot(np.arange(1, used.shape[1] + 1), np.sort(used.mean(axis=0))[::-1], color=color)
    if labels is None:
        plots.label(panels[0, 0], "strokes", "pictures", "How many strokes a picture takes")
    else:
        panels[0, 0].set_xticks(range(10))
        plots.label(panels[0, 0], "class", "strokes, mean", "How many strokes a picture takes")
    panels[0, 1].legend(*panels[0, 0].get_legend_handles_labels(), loc="upper right")
    panels[0, 1].set_ylim(bottom=0)
    plots.label(panels[0, 1], "atoms, from the most used", "share of pictures", "How often an atom is used")
    report.figure("codes", figure, "Codes of held-out pictures.")


def _draw_learning(report: Report, results: list[Result]) -> None:
    figure, panels = plots.panels(1, 2, width=4.8, height=3.4)
    for result, color in zip(results, plots.PALETTE.values(), strict=False):
        width = max(1, len(result.learned.energy) // 100)
        steps, energy = smoothed(result.learned.energy, width)
        atoms = result.learned.params.dictionary.shape[1]
        panels[0, 0].plot(steps, energy, color=color, label=result.name)
        panels[0, 1].plot(steps, smoothed(result.learned.density, width)[1] * atoms, color=color)
    for panel in panels[0]:
        panel.set_xscale("log")
    panels[0, 0].legend()
    plots.label(panels[0, 0], "updates", "energy a picture", "Energy")
    plots.label(panels[0, 1], "updates", "strokes a picture", "Sparsity")
    report.figure("learning", figure, "Means over the pictures of an update, before it.")
