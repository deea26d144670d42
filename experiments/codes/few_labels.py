"""Few labels: do features that were learned without labels help a classifier?

Features are learned from all training pictures, without their labels: **exact sparse codes**, two networks that
predict such codes (**LISTA** and the encoder of **predictive sparse decomposition**), and the **pooled maps** of a
convolutional encoder. Then a few labels are drawn, and a linear classifier (multinomial logistic regression) is trained
on each kind of features, and on two kinds that were not learned: the pixels, and pooled maps of random kernels. A
perceptron and a small convolutional network are trained from scratch on the same labels.

The strength of the regularization is chosen on validation pictures: it is the one with the least mean error over all
draws of labels. The labels of these pictures are used for nothing else. All methods have this help, which somebody who
really has only ten labels would not have.

Ranzato, Huang, Boureau and LeCun (2007); Jarrett, Kavukcuoglu, Ranzato and LeCun (2009), "What is the best multi-stage
architecture for object recognition?", for random kernels and pooling.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ebmjax.checks import ArgumentError
from ebmjax.energies.regularizers import l1
from ebmjax.loops import map_chunks
from experiments.application import options
from experiments.application.options import AtLeast, Count, Positive
from experiments.application.report import Report
from experiments.codes import classifiers, features
from experiments.codes.features import Features
from experiments.codes.learned_dictionaries import code, learn, median_largest_weight, pictures, show_atoms
from experiments.data.images import Images, load
from experiments.drawing import plots

RIDGES = (1e-1, 1e-2, 1e-3, 1e-4)  # for features whose mean square length is 1
DECAYS = (1.0, 0.01)  # weight decays of the networks
BATCH = 50  # pictures in an update of the networks
COLORS = ("#777777", *(color for name, color in plots.PALETTE.items() if name != "yellow"))
SMALL = 8


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Images = Images.DIGITS
    """The pictures: digits, mnist or fashion-mnist."""
    training_pictures: Count = 20_000
    """Largest number of training pictures, including those set apart for validation; the others are not used."""
    labels: tuple[Annotated[int, AtLeast(10)], ...] = (10, 100, 1000)
    """Numbers of labels that are drawn, equally many from each class. A last run uses all labels."""
    draws: Annotated[int, AtLeast(2)] = 10
    """Random draws of labels, the same for all methods. Their spread is the error bar."""
    validation: Count = 200
    """Training pictures that are set apart for choosing the regularization."""
    atoms: Count | None = None
    """Atoms of the dictionary. Default: 128 for digits and 400 for larger pictures."""
    weight: Positive | None = None
    """λ of the codes, for pixels between 0 and 1. Default: 0.15 for digits and 0.5 for larger pictures."""
    kernels: Count = 16
    """Kernels of the convolutional code."""
    updates: Count = 2000
    """Updates of the dictionary, of LISTA and of predictive sparse decomposition."""
    convolutional_updates: Count = 300
    """Updates of the convolutional code, with 20 pictures each."""
    scratch_updates: Count = 1000
    """Updates of the networks from scratch, with 50 pictures each. With all labels there are five times as many."""

    def __post_init__(self):
        options.check(self)
        multiples = len(self.labels) > 0 and all(count % 10 == 0 for count in self.labels)
        options.require(multiples, "labels", self.labels, "one or more multiples of 10")


QUICK = Config(labels=(10, 100), draws=3, atoms=36, kernels=6, updates=60, convolutional_updates=10, scratch_updates=60)


class Data(NamedTuple):
    """Pictures to learn from, to choose the regularization with and to test with, and their labels."""

    train: Float[Array, "train rows columns"]
    train_labels: Int[Array, " train"]
    validation: Float[Array, "validation rows columns"]
    validation_labels: Int[Array, " validation"]
    test: Float[Array, "test rows columns"]
    test_labels: Int[Array, " test"]


class Errors(NamedTuple):
    """Error rates of one method for one number of labels, at the chosen regularization."""

    test: Float[np.ndarray, " draws"]
    """On the test pictures, of each draw."""
    validation: float
    """On the validation pictures, the mean over draws."""
    strength: float
    """The chosen ridge or weight decay."""


def run(config: Config, report: Report) -> None:
    """Learn features, draw labels, train classifiers and compare."""
    data = _data(config)
    unsupervised_key, draws_key, scratch_key = jax.random.split(report.key(), 3)
    kinds = _features(config, report, unsupervised_key, data)
    draws = _draws(config, draws_key, data)
    with report.stage("turning all pictures into features"):
        inputs = _inputs(kinds, data)
    table: dict[str, list[Errors]] = {}
    for name, turned in inputs.items():
        with report.stage(f"linear classifiers of {name}"):
            table[name] = _linear(report, turned, data, draws)
    side = data.train.shape[1]
    scratch: dict[str, tuple[classifiers.Init, classifiers.Scores]] = {
        "perceptron from scratch": (
            lambda key: classifiers.perceptron(key, side * side, 128),
            classifiers.perceptron_scores,
        ),
        "convolutional network from scratch": (
            lambda key: classifiers.network(key, side, 16),
            classifiers.network_scores,
        ),
    }
    for (name, (init, scores)), key in zip(scratch.items(), jax.random.split(scratch_key), strict=True):
        with report.stage(name):
            table[name] = _scratch(config, key, init, scores, data, draws)
    counts = [count for _, count in draws]
    _tell(report, table, counts, list(scratch))
    _draw_errors(report, table, counts, list(scratch))


def _data(config: Config) -> Data:
    split = load(config.images)
    if split.train_labels is None or split.test_labels is None:
        raise ArgumentError(f"--images: got {config.images.value}, which has no labels, wanted a set with labels")
    order = np.random.default_rng(0).permutation(len(split.train))[: config.training_pictures]
    left = len(order) - config.validation
    options.require(
        left >= max(config.labels),
        "validation",
        config.validation,
        f"a number that leaves {max(config.labels)} of {len(order)} pictures, as many as the largest of --labels",
    )
    train, apart = order[:left], order[left:]
    arrays = (
        *(split.train[train], split.train_labels[train]),
        *(split.train[apart], split.train_labels[apart]),
        *(split.test, split.test_labels),
    )
    return Data(*map(jnp.asarray, arrays))


def _features(config: Config, report: Report, key: Key[Array, ""], data: Data) -> dict[str, Features]:
    small = data.train.shape[1] == SMALL
    size = features.Size(
        weight=config.weight or (0.15 if small else 0.5),
        kernels=config.kernels,
        width=3 if small else 7,
        pools=4,
        layers=3,
        updates=config.updates,
        convolutional_updates=config.convolutional_updates,
    )
    atoms = config.atoms or (128 if small else 400)
    keys = jax.random.split(key, 5)
    flat = features.pixels(data.train)
    passes = features.epochs(len(flat), size.batch, config.updates)
    with report.stage("learning a dictionary"):
        learned = learn(report, keys[0], flat, atoms, l1(size.weight), size.batch, passes, {"learned": "dictionary"})
    with report.stage("learning LISTA"):
        lista = features.lista(report, keys[1], learned.params, size, data.train)
    with report.stage("learning predictive sparse decomposition"):
        predicted = features.predicted(report, keys[2], learned.params, size, data.train)
    with report.stage("learning the convolutional code and its encoder"):
        maps, kernels = features.kernel_maps(report, keys[3], size, data.train)
    coded = code(learned.params, l1(size.weight), features.pixels(data.test[:500]))
    largest = median_largest_weight(learned.params, features.pixels(data.test[:500]))
    report.summary(weight=size.weight, weight_of_largest=size.weight / largest, nonzero=coded.nonzero)
    figure, panels = plots.panels(1, 2, width=4.4, height=4.6)
    side = math.isqrt(min(atoms, 100))
    # the atoms with the largest coefficients
    used = np.argsort(-np.asarray(jnp.abs(coded.codes).sum(axis=0)))[: side * side]
    shape = data.train.shape[1:]
    show_atoms(panels[0, 0], pictures(learned.params, *shape)[used], side, f"{len(used)} of {atoms} atoms")
    show_atoms(panels[0, 1], np.asarray(kernels), math.ceil(math.sqrt(len(kernels))), "Kernels of the encoder")
    report.figure(
        "learned",
        figure,
        f"What was learned without labels, at λ = {size.weight:g}. This is {size.weight / largest:.3f} of λ_max, the "
        "smallest weight at which a picture's code is zero (median over pictures). Middle grey is zero.",
    )
    return {
        "pixels": features.pixels,
        "exact sparse codes": features.codes(learned.params, size.weight),
        "LISTA": lista,
        "predictive encoder": predicted,
        "convolutional encoder, pooled": maps,
        "random kernels, pooled": features.random_maps(keys[4], size),
    }


class Draws(NamedTuple):
    """The labelled samples of every draw."""

    rows: Int[Array, "draws padded"]
    """Rows of the training set. Only the first `count` of each draw are used; the others are padding."""
    count: int
    """Labelled samples in a draw."""


def _draws(config: Config, key: Key[Array, ""], data: Data) -> list[Draws]:
    """The draws for each number of labels. Their rows are padded to one length, so that one compilation serves all."""
    padded = max(config.labels)
    found = []
    for count in config.labels:
        rows = [
            classifiers.balanced(draw_key, data.train_labels, count)
            for draw_key in jax.random.split(jax.random.fold_in(key, count), config.draws)
        ]
        found.append(Draws(jnp.pad(jnp.stack(rows), ((0, 0), (0, padded - count))), count))
    return [*found, Draws(jnp.arange(len(data.train))[None], len(data.train))]


class Inputs(NamedTuple):
    """Scaled features of all pictures. All kinds are padded to one width."""

    train: Float[Array, "train width"]
    validation: Float[Array, "validation width"]
    test: Float[Array, "test width"]


def _inputs(kinds: dict[str, Features], data: Data) -> dict[str, Inputs]:
    # all pictures at once: one shape, hence one compilation of each kind
    whole = jnp.concatenate([data.train, data.validation, data.test])
    ends = (len(data.train), len(data.train) + len(data.validation))
    turned = {name: turn(whole) for name, turn in kinds.items()}
    width = 1 + max(found.shape[1] for found in turned.values())
    scaled = {
        name: classifiers.scaled(classifiers.scale_of(found[: ends[0]]), found, width) for name, found in turned.items()
    }
    return {name: Inputs(*jnp.split(found, ends)) for name, found in scaled.items()}


@jax.jit
def _classify(inputs: Inputs, data: Data, rows: Int[Array, "draws padded"], count: Int[Array, ""]) -> Any:
    """Errors of linear classifiers on the validation and the test pictures, and their relative duality gaps.

    All three have the shape (draws, ridges).
    """

    def one(chosen):
        shares = jnp.where(jnp.arange(len(chosen)) < count, 1.0 / count, 0.0)
        weights, gaps = classifiers.ridge_path(
            inputs.train[chosen], data.train_labels[chosen], shares, jnp.array(RIDGES)
        )
        score = lambda inputs, labels: jax.vmap(lambda v: classifiers.wrong(inputs @ v, labels))(weights)
        return score(inputs.validation, data.validation_labels), score(inputs.test, data.test_labels), gaps

    return jax.lax.map(one, rows)  # one draw at a time: under vmap all would take the steps of the slowest


def _linear(report: Report, inputs: Inputs, data: Data, draws: list[Draws]) -> list[Errors]:
    found = []
    for rows, count in draws:
        choice, error, gaps = map(np.asarray, _classify(inputs, data, rows, jnp.array(count)))
        if gaps.max() > 2 * classifiers.TOLERANCE:
            report.progress(f"{count} labels: the loss of the classifiers is at most {100 * gaps.max():.1f}% too high")
        found.append(_chosen(choice, error, RIDGES))
    return found


def _scratch(
    config: Config,
    key: Key[Array, ""],
    init: classifiers.Init,
    scores: classifiers.Scores,
    data: Data,
    draws: list[Draws],
) -> list[Errors]:
    @jax.jit
    def errors(key, chosen, count, updates, data):
        def one(decay):
            params = classifiers.train_from_scratch(
                key, init, scores, data.train, data.train_labels, chosen, count, BATCH, updates, decay
            )

            def error(pictures, labels):
                return classifiers.wrong(map_chunks(lambda picture: scores(params, picture), pictures, 500), labels)

            return error(data.validation, data.validation_labels), error(data.test, data.test_labels)

        return jax.lax.map(one, jnp.array(DECAYS))

    found = []
    most = len(draws[-1].rows[0])
    for rows, count in draws:
        keys = jax.random.split(jax.random.fold_in(key, count), len(rows))
        updates = config.scratch_updates * (5 if count == most else 1)
        # one draw at a time, and one length for all: one compilation
        padded = jnp.pad(rows, ((0, 0), (0, most - rows.shape[1])))
        draw = lambda key, chosen: errors(key, chosen, jnp.array(count), jnp.array(updates), data)
        choice, error = zip(*map(draw, keys, padded), strict=True)
        found.append(_chosen(np.stack(choice), np.stack(error), DECAYS))
    return found


def _chosen(
    validation: Float[np.ndarray, "draws strengths"],
    test: Float[np.ndarray, "draws strengths"],
    strengths: tuple[float, ...],
) -> Errors:
    """The errors at the strength with the least mean error on the validation pictures, which is one for all draws."""
    best = int(np.argmin(validation.mean(axis=0)))
    return Errors(test[:, best], float(validation[:, best].mean()), strengths[best])


def _percent(errors: Errors) -> str:
    mean = f"{100 * errors.test.mean():.1f}%"
    return mean if len(errors.test) == 1 else f"{mean} ± {100 * errors.test.std(ddof=1):.1f}"


def _tell(report: Report, table: dict[str, list[Errors]], counts: list[int], scratch: list[str]) -> None:
    for name, column in table.items():
        for count, errors in zip(counts, column, strict=True):
            report.metrics(
                step=count,
                method=name,
                error=errors.test.mean(),
                errors=errors.test,
                validation=errors.validation,
                strength=errors.strength,
            )
    report.table(
        "Test error, mean and standard deviation over draws of labels",
        ("method", *(f"{count} labels" for count in counts)),
        [(name, *map(_percent, column)) for name, column in table.items()],
    )
    unsupervised = [name for name in table if name not in scratch and name != "pixels" and "random" not in name]
    without = ["pixels", "random kernels, pooled", *scratch]
    best, sentences = {}, []
    for place, count in enumerate(counts):
        ours, theirs = (min(names, key=lambda name: table[name][place].validation) for names in (unsupervised, without))
        gain = table[theirs][place].test - table[ours][place].test
        best[str(count)] = 100 * float(gain.mean())
        error = 100 * gain.std(ddof=1) / math.sqrt(len(gain)) if len(gain) > 1 else 0.0
        spread = f" ± {error:.1f} (standard error, same draws)" if len(gain) > 1 else ""
        sentences.append(
            f"**{count} labels:** {ours} has an error of {_percent(table[ours][place])}, {theirs} of "
            f"{_percent(table[theirs][place])}. The difference is {best[str(count)]:+.1f}{spread} percentage points; "
            "it is positive where learning without labels helps."
        )
    report.summary(
        gain_points=best,
        **{
            "error_" + "".join(letter if letter.isalnum() else "_" for letter in name): [
                100 * float(errors.test.mean()) for errors in column
            ]
            for name, column in table.items()
        },
    )
    report.text(
        "The best method that learned from unlabelled pictures, compared with the best that did not (pixels, random "
        "kernels, networks from scratch). Both are chosen by their error on the validation pictures.\n\n"
        + "\n\n".join(sentences)
    )


def _draw_errors(report: Report, table: dict[str, list[Errors]], counts: list[int], scratch: list[str]) -> None:
    figure, axes = plots.one(8.2, 4.8)
    for place, (name, column) in enumerate(table.items()):
        means = np.array([100 * errors.test.mean() for errors in column])
        spread = [100 * errors.test.std(ddof=1) if len(errors.test) > 1 else 0.0 for errors in column]
        shifted = np.array(counts) * 1.03 ** (place - len(table) / 2)  # so that the error bars do not overlap
        style = "--" if name in scratch else ":" if name == "pixels" or "random" in name else "-"
        color = COLORS[place % len(COLORS)]
        axes.errorbar(shifted, means, spread, fmt=f"{style}o", color=color, markersize=4, capsize=2.5, label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    apart = [count for count, after in zip(counts, [*counts[1:], math.inf], strict=True) if after > 1.6 * count]
    axes.set_xticks(apart, [f"{count:,}" for count in apart])
    low, high = axes.get_ylim()
    ticks = [tick for tick in (0.5, 1, 2, 3, 5, 10, 20, 30, 50, 70) if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}%" for tick in ticks])
    axes.minorticks_off()
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    plots.label(axes, "number of labels", "test error", "Linear classifiers of features, and networks from scratch")
    report.figure(
        "errors",
        figure,
        "Test error against the number of labels: mean and standard deviation over the draws of labels, which are the "
        "same for all methods. Solid lines: features learned from all pictures without labels. Dotted lines: features "
        "that were not learned. Dashed lines: networks trained from scratch. With all labels there is only one draw.",
    )
