"""Few labels: do features that were learned without any help a classifier?

All training pictures are seen without labels first. **Exact sparse codes**, two networks that foresee such codes
(**LISTA** and the encoder of **predictive sparse decomposition**) and the **pooled maps** of a convolutional encoder
are learned from them. Then some labels are drawn, and a linear classifier (multinomial logistic regression) is
trained on each kind of features; pixels are another kind, and so are pooled maps of random kernels. Beside them, a
perceptron and a small convolutional network are trained from scratch, from the same labels.

The strength of each classifier's regularization is the one with the least error, in the mean over draws, on other
pictures whose labels serve for nothing else: every method has this help alike. Who has ten labels in earnest has not.

Ranzato, Huang, Boureau and LeCun (2007); Jarrett, Kavukcuoglu, Ranzato and LeCun (2009), "What is the best multi-stage
architecture for object recognition?", for random kernels and pooling.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ebmjax.energies.regularizers import l1
from ebmjax.loops import map_chunks
from ebmjax.random_bits import unrolled
from experiments.application.report import Report
from experiments.codes import classifiers, features
from experiments.codes.features import Features
from experiments.codes.learned_dictionaries import code, learn, median_largest_weight, pictures, show_atoms
from experiments.data.images import Images, load
from experiments.drawing import plots

RIDGES = (1e-1, 1e-2, 1e-3, 1e-4)  # for features of mean square length one
DECAYS = (1.0, 0.01)
BATCH = 50  # pictures an update of the networks
COLORS = ("#777777", *(color for name, color in plots.PALETTE.items() if name != "yellow"))
SMALL = 8


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Images = Images.DIGITS
    """The pictures: digits, mnist or fashion-mnist."""
    training_pictures: int = 20_000
    """Training pictures at most, those set apart among them; the others are not looked at."""
    labels: tuple[int, ...] = (10, 100, 1000)
    """How many labels are drawn, as many of each class; all of them come last."""
    draws: int = 10
    """Draws of labels, the same for all methods."""
    validation: int = 200
    """Training pictures that are set apart to choose regularization with."""
    atoms: int | None = None
    """Atoms of the dictionary; without it, 128 for digits and 400 for larger pictures."""
    weight: float | None = None
    """λ of the codes, where a pixel goes from 0 to 1; without it, 0.15 for digits and 0.5 for larger pictures."""
    kernels: int = 16
    """Kernels of the convolutional code."""
    updates: int = 2000
    """Updates of the dictionary, of LISTA and of predictive sparse decomposition."""
    convolutional_updates: int = 300
    """Updates of the convolutional code, of 20 pictures each."""
    scratch_updates: int = 1000
    """Updates of the networks from scratch, of 50 pictures each; five times as many with all labels."""

    def __post_init__(self):
        if not self.labels or any(count < 10 or count % 10 for count in self.labels):
            raise ValueError(f"--labels is {self.labels}, expected multiples of 10")
        if self.draws < 2:
            raise ValueError(f"--draws is {self.draws}, expected at least 2: their spread is the error bar")
        for name in (
            "training_pictures",
            "validation",
            "atoms",
            "kernels",
            "updates",
            "convolutional_updates",
            "scratch_updates",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {value}, expected at least 1")
        if self.weight is not None and not 0 < self.weight < math.inf:
            raise ValueError(f"--weight is {self.weight}, expected a finite number above 0")


QUICK = Config(labels=(10, 100), draws=3, atoms=36, kernels=6, updates=60, convolutional_updates=10, scratch_updates=60)


class Data(NamedTuple):
    """Pictures to learn from, to choose with and to test with."""

    train: Float[Array, "train rows columns"]
    train_labels: Int[Array, " train"]
    validation: Float[Array, "validation rows columns"]
    validation_labels: Int[Array, " validation"]
    test: Float[Array, "test rows columns"]
    test_labels: Int[Array, " test"]


class Errors(NamedTuple):
    """Shares of wrong answers of one method with so many labels, at the regularization that was chosen."""

    test: Float[np.ndarray, " draws"]
    validation: float
    """Mean over draws."""
    strength: float
    """Ridge or decay."""


def run(config: Config, report: Report) -> None:
    """Learn features, draw labels, train classifiers and compare."""
    data = _data(config)
    unsupervised_key, draws_key, scratch_key = jax.random.split(unrolled(report.key()), 3)
    kinds = _features(config, report, unsupervised_key, data)
    draws = _draws(config, draws_key, data)
    with report.stage("turning all pictures into features"):
        inputs = _inputs(kinds, data)
    table: dict[str, list[Errors]] = {}
    for name, turned in inputs.items():
        with report.stage(f"linear classifiers of {name}"):
            table[name] = _linear(report, turned, data, draws)
    side = data.train.shape[1]
    scratch: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
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
        raise ValueError(f"--images is {config.images.value}, which has no labels, expected a set that has")
    order = np.random.default_rng(0).permutation(len(split.train))[: config.training_pictures]
    left = len(order) - config.validation
    if left < max(config.labels):
        raise ValueError(
            f"--validation is {config.validation}, which leaves {left} of {len(order)} pictures, expected at "
            f"least {max(config.labels)}, the most labels that are drawn"
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
        learned = learn(report, keys[0], flat, atoms, l1(size.weight), size.batch, passes)
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
    # those that are used the most
    used = np.argsort(-np.asarray(jnp.abs(coded.codes).sum(axis=0)))[: side * side]
    shape = data.train.shape[1:]
    show_atoms(panels[0, 0], pictures(learned.params, *shape)[used], side, f"{len(used)} of {atoms} atoms")
    show_atoms(panels[0, 1], np.asarray(kernels), math.ceil(math.sqrt(len(kernels))), "Kernels of the encoder")
    report.figure(
        "learned",
        figure,
        f"What was learned without labels, at λ = {size.weight:g} ({size.weight / largest:.3f} of λ_max, the weight "
        "from which on a picture's code is zero, in the median). Middle grey is zero.",
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
    """Samples whose labels are known: rows of the training set, of which the first `count` of each draw count."""

    rows: Int[Array, "draws padded"]
    count: int


def _draws(config: Config, key: Key[Array, ""], data: Data) -> list[Draws]:
    """Of each number of labels; those of few have one length, so that they share a compilation."""
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
    """Features of all pictures, scaled, of one width."""

    train: Float[Array, "train width"]
    validation: Float[Array, "validation width"]
    test: Float[Array, "test width"]


def _inputs(kinds: dict[str, Features], data: Data) -> dict[str, Inputs]:
    # all pictures at once: one shape, and so one compilation of each kind
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
    """Errors of linear classifiers on the validation and the test pictures, (draws, ridges), and their gaps."""

    def one(chosen):
        shares = jnp.where(jnp.arange(len(chosen)) < count, 1.0 / count, 0.0)
        weights, gaps = classifiers.ridge_path(
            inputs.train[chosen], data.train_labels[chosen], shares, jnp.array(RIDGES)
        )
        score = lambda inputs, labels: jax.vmap(lambda v: classifiers.wrong(inputs @ v, labels))(weights)
        return score(inputs.validation, data.validation_labels), score(inputs.test, data.test_labels), gaps

    return jax.lax.map(one, rows)  # a draw at a time: some converge in few steps


def _linear(report: Report, inputs: Inputs, data: Data, draws: list[Draws]) -> list[Errors]:
    found = []
    for rows, count in draws:
        choice, error, gaps = map(np.asarray, _classify(inputs, data, rows, jnp.array(count)))
        if gaps.max() > 2 * classifiers.TOLERANCE:
            report.progress(f"{count} labels: classifiers are within {100 * gaps.max():.1f}% of the least loss")
        found.append(_chosen(choice, error, RIDGES))
    return found


def _scratch(
    config: Config,
    key: Key[Array, ""],
    init: Callable[[Any], Any],
    scores: Callable[[Any, Any], Any],
    data: Data,
    draws: list[Draws],
) -> list[Errors]:
    @jax.jit
    def errors(keys, rows, count, updates, data):
        def one(key, chosen, decay):
            params = classifiers.train_from_scratch(
                key, init, scores, data.train, data.train_labels, chosen, count, BATCH, updates, decay
            )

            def error(pictures, labels):
                return classifiers.wrong(map_chunks(lambda picture: scores(params, picture), pictures, 500), labels)

            return error(data.validation, data.validation_labels), error(data.test, data.test_labels)

        every = lambda pair: jax.lax.map(lambda decay: one(pair[0], pair[1], decay), jnp.array(DECAYS))
        return jax.lax.map(every, (keys, rows))

    found = []
    most = len(draws[-1].rows[0])
    for rows, count in draws:
        keys = jax.random.split(jax.random.fold_in(key, count), len(rows))
        updates = config.scratch_updates * (5 if count == most else 1)
        # one length for all: fewer compilations
        padded = jnp.pad(rows, ((0, 0), (0, most - rows.shape[1])))
        choice, error = errors(keys, padded, jnp.array(count), jnp.array(updates), data)
        found.append(_chosen(np.asarray(choice), np.asarray(error), DECAYS))
    return found


def _chosen(
    validation: Float[np.ndarray, "draws strengths"],
    test: Float[np.ndarray, "draws strengths"],
    strengths: tuple[float, ...],
) -> Errors:
    """At the strength of the least mean error on the validation pictures: one for all draws."""
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
            f"**{count} labels:** {ours} errs on {_percent(table[ours][place])}, {theirs} on "
            f"{_percent(table[theirs][place])}: {best[str(count)]:+.1f}{spread} points in "
            "favour of what was learned without labels."
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
        "The best method that learned something without labels against the best that did not (pixels, random kernels, "
        "networks from scratch), each chosen by its error on the validation pictures:\n\n" + "\n\n".join(sentences)
    )


def _draw_errors(report: Report, table: dict[str, list[Errors]], counts: list[int], scratch: list[str]) -> None:
    figure, axes = plots.one(8.2, 4.8)
    for place, (name, column) in enumerate(table.items()):
        means = np.array([100 * errors.test.mean() for errors in column])
        spread = [100 * errors.test.std(ddof=1) if len(errors.test) > 1 else 0.0 for errors in column]
        shifted = np.array(counts) * 1.03 ** (place - len(table) / 2)  # so that bars do not lie on each other
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
    plots.label(axes, "labels", "test error", "Linear classifiers of features, and networks from scratch")
    report.figure(
        "errors",
        figure,
        "Test error against the number of labels: means, and standard deviations over draws of labels, which are the "
        "same for all methods. Solid: features learned from all pictures without labels; dotted: features that nobody "
        "learned; dashed: networks from scratch. With all labels there is one draw.",
    )
