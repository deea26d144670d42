"""One machine of pictures and labels: it draws, classifies and completes

The model is a restricted Boltzmann machine. Its visible units are a picture, binarized at one half, and a label of ten
units, exactly one of which is on. It learns the joint law P(picture, label) with persistent chains and centering.
Training does not fix which of the two will be predicted from the other. Afterwards

- with the label clamped, its Gibbs chains **draw** pictures of that label;
- with the picture clamped, the conditional law of the label is the softargmin of ten free energies, in closed form,
  and its most probable label **classifies** the picture;
- with the label and half of a picture clamped, it **completes** the other half.

The comparison is logistic regression on the same binarized pictures, which is trained only to classify.
"""

import math
import warnings
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies import restricted_boltzmann_labels as labels_rbm
from ebmjax.learn.contrast.phases import persistent
from ebmjax.loops import map_chunks, repeat
from ebmjax.sample import gibbs
from ebmjax.sample.special import restricted as sweeps
from experiments.application import options
from experiments.application.options import Count, Positive
from experiments.application.report import Report
from experiments.application.watched import Watched
from experiments.data.images import Images, binarize, load
from experiments.drawing import plots
from experiments.drawing.mosaics import flat, show
from experiments.spins.restricted_machines import PREFIX, Schedule, train_machine

CLASSES = 10
CLOTHES = ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    images: Images = Images.DIGITS
    """The pictures: digits, mnist or fashion-mnist, which have labels."""
    hidden: Count = 200
    """Number of hidden units."""
    chains: Count = 100
    """Number of persistent chains."""
    batch_size: Count = 100
    """Pictures in each update."""
    updates: Count = 12_000
    """Updates, rounded up to whole epochs between measurements."""
    rate: Positive = 0.1
    """The first learning rate; it falls linearly to zero."""
    sweeps: Count = 2000
    """Gibbs sweeps for each picture that is drawn or completed."""
    measured: Count = 10
    """Number of measurements during training."""

    def __post_init__(self):
        options.check(self)
        labelled = self.images is not Images.BINARIZED_MNIST
        options.require(labelled, "images", self.images.value, "digits, mnist or fashion-mnist, which have labels")


QUICK = Config(hidden=50, updates=1500, sweeps=300, measured=4)


class Set(NamedTuple):
    """Binarized pictures and their labels."""

    pictures: Float[Array, "n pixels"]
    labels: Int[Array, " n"]


class Measures(NamedTuple):
    """Shares of pictures that are classified wrong, and the gap between test and training free energies."""

    train_error: Float[Array, ""]
    test_error: Float[Array, ""]
    gap: Float[Array, ""]


def run(config: Config, report: Report) -> None:
    """Train the machine, and use it to classify, to draw and to complete pictures."""
    split = load(config.images)
    shape = split.train.shape[1:]
    train = Set(jnp.asarray(binarize(flat(split.train))), jnp.asarray(split.train_labels))
    test = Set(jnp.asarray(binarize(flat(split.test))), jnp.asarray(split.test_labels))
    names: list[str] = (
        list(CLOTHES) if config.images is Images.FASHION_MNIST else [str(label) for label in range(CLASSES)]
    )
    train_key, draw_key, complete_key = jax.random.split(report.key(), 3)
    with report.stage("training on pictures and labels"):
        machine = _train(config, report, train_key, train, test)
    with report.stage("fitting logistic regression"):
        logistic = _logistic(train, test)
    _summarize(report, machine, logistic, len(test.labels))
    _draw_errors(report, machine, logistic)
    with report.stage("drawing pictures of every label"):
        _draw_pictures(config, report, draw_key, machine.params, train, shape, names)
    with report.stage("completing halves"):
        _draw_completions(config, report, complete_key, machine.params, train, test, shape, names)
    _draw_confusions(report, machine.params, test, shape, names)


def _train(config: Config, report: Report, key: Key[Array, ""], train: Set, test: Set) -> Watched:
    init_key, train_key = jax.random.split(key)
    data = jax.jit(jax.vmap(lambda image, label: labels_rbm.with_label(image, label, CLASSES)))(*train)
    mean = data.mean(axis=0)
    params = rbm.init(init_key, mean, config.hidden)

    def start(key):
        pixels_key, label_key = jax.random.split(key)
        pixels = jax.random.bernoulli(pixels_key, mean[:-CLASSES]).astype(data.dtype)
        label = jax.random.randint(label_key, (), 0, CLASSES)
        return labels_rbm.with_label(pixels, label, CLASSES), jnp.zeros(config.hidden)

    negative = persistent(lambda params: sweeps.labelled(params, 1.0, CLASSES), start, config.chains, steps=1)
    schedule = Schedule(config.batch_size, config.updates, config.rate, config.measured)
    prefix = jax.tree.map(lambda leaf: leaf[:PREFIX], train)
    measure = lambda params: _measure(params, prefix, test)
    return train_machine(train_key, report, "joint", negative, params, data, schedule, measure, Measures._asdict)


@jax.jit
def _free_energies(params: rbm.Params, pictures: Array) -> Float[Array, "n classes"]:
    return map_chunks(lambda image: labels_rbm.label_free_energies(params, image, 1.0, CLASSES), pictures, 500)


def _measure(params: rbm.Params, train: Set, test: Set) -> Measures:
    (train_error, of_train), (test_error, of_test) = _errors(params, train), _errors(params, test)
    return Measures(train_error, test_error, of_test - of_train)


def _errors(params: rbm.Params, part: Set) -> tuple[Array, Array]:
    """Share of the pictures that are classified wrong, and their mean free energy with the right label."""
    free = _free_energies(params, part.pictures)
    right = jnp.take_along_axis(free, part.labels[:, None], axis=1)
    return (free.argmin(axis=1) != part.labels).mean(), right.mean()


def _logistic(train: Set, test: Set) -> tuple[float, float]:
    """Train and test errors of scikit-learn's multinomial logistic regression: default penalty, at most 200 steps."""
    model = LogisticRegression(max_iter=200, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(np.asarray(train.pictures), np.asarray(train.labels))
    wrong = lambda part: float(1 - model.score(np.asarray(part.pictures), np.asarray(part.labels)))
    return wrong(Set(*(leaf[:PREFIX] for leaf in train))), wrong(test)


def _summarize(report: Report, machine: Watched, logistic: tuple[float, float], tested: int) -> None:
    train_error, test_error, gap = (float(leaf[-1]) for leaf in machine.measures)
    spread = lambda error: f"{error:.2%} ± {math.sqrt(error * (1 - error) / tested):.2%}"
    report.table(
        f"Pictures classified wrong, with the standard error of {tested} test pictures",
        ("classifier", "training", "test"),
        [
            ("restricted Boltzmann machine of the joint law", f"{train_error:.2%}", spread(test_error)),
            ("logistic regression (scikit-learn, default penalty)", f"{logistic[0]:.2%}", spread(logistic[1])),
        ],
    )
    report.summary(
        test_error=test_error,
        train_error=train_error,
        test_error_logistic_regression=logistic[1],
        free_energy_gap=gap,
    )


def _draw_errors(report: Report, machine: Watched, logistic: tuple[float, float]) -> None:
    figure, axes = plots.one()
    # without the untrained machine, whose error is that of guessing and would set the scale
    updates, measures = machine.updates[1:], machine.measures
    axes.plot(updates, 100 * measures.train_error[1:], "--", color=plots.PALETTE["blue"], label="training pictures")
    axes.plot(updates, 100 * measures.test_error[1:], "-o", color=plots.PALETTE["blue"], label="test pictures")
    axes.axhline(
        100 * logistic[1], color=plots.PALETTE["vermillion"], linestyle=":", label="logistic regression, test pictures"
    )
    axes.set_ylim(bottom=0)
    plots.label(axes, "updates", "classified wrong (%)")
    axes.legend()
    report.figure(
        "errors",
        figure,
        "Classification errors during training of the joint law; the predicted label is that of least free energy.",
    )


def _draw_pictures(
    config: Config,
    report: Report,
    key: Key[Array, ""],
    params: rbm.Params,
    train: Set,
    shape: tuple[int, ...],
    names: list[str],
) -> None:
    labels = jnp.repeat(jnp.arange(CLASSES), 10)
    mean = train.pictures.mean(axis=0)

    def draw(key, label):
        start_key, run_key = jax.random.split(key)
        noise = jax.random.bernoulli(start_key, mean).astype(mean.dtype)
        kernel = sweeps.label_clamped(params, 1.0, CLASSES)
        start = (labels_rbm.with_label(noise, label, CLASSES), jnp.zeros(config.hidden))
        state = repeat(run_key, kernel, kernel.init(start), config.sweeps).state
        return jax.nn.sigmoid(rbm.visible_field(params, state.position[1])[:-CLASSES])

    drawn = jax.jit(jax.vmap(draw))(jax.random.split(key, len(labels)), labels)
    figure, axes = plots.one(5.6, 5.6)
    show(axes, np.asarray(drawn).reshape(CLASSES, 10, *shape), down=names)
    report.figure(
        "drawn",
        figure,
        f"Pictures drawn for each label, in rows of ten independent chains. Each chain starts at noise and makes "
        f"{config.sweeps} sweeps with the label clamped. The pictures show the probabilities of the pixels, and no "
        "chain was left out.",
    )


def _draw_completions(
    config: Config,
    report: Report,
    key: Key[Array, ""],
    params: rbm.Params,
    train: Set,
    test: Set,
    shape: tuple[int, ...],
    names: list[str],
) -> None:
    chosen = np.asarray([np.flatnonzero(np.asarray(test.labels) == label)[0] for label in range(CLASSES)])
    pictures, labels = test.pictures[chosen], test.labels[chosen]
    pixels = pictures.shape[1]
    upper = np.arange(pixels) < pixels // 2
    mean = train.pictures.mean(axis=0)

    def complete(key, image, label, label_known):
        start_key, run_key = jax.random.split(key)
        noise = jax.random.bernoulli(start_key, mean).astype(mean.dtype)
        start = labels_rbm.with_label(jnp.where(upper, image, noise), label, CLASSES)
        mask = np.concatenate([upper, np.full(CLASSES, label_known)])
        draws = [sweeps.draw_hidden(params, 1.0), sweeps.clamped(sweeps.draw_labelled(params, 1.0, CLASSES), mask)]
        kernel = gibbs.alternate(draws)
        state = repeat(run_key, kernel, kernel.init((start, jnp.zeros(config.hidden))), config.sweeps).state
        visible, hidden = state.position
        lower = jax.nn.sigmoid(rbm.visible_field(params, hidden)[:-CLASSES])
        return jnp.where(upper, image, lower), visible[-CLASSES:].argmax()

    known_key, free_key, wrong_key = jax.random.split(key, 3)

    def many(key, labels, label_known):
        run = jax.vmap(lambda key, image, label: complete(key, image, label, label_known))
        return jax.jit(run)(jax.random.split(key, CLASSES), pictures, labels)

    known, _ = many(known_key, labels, True)
    wrong, _ = many(wrong_key, (labels + 1) % CLASSES, True)
    free, predicted = many(free_key, labels, False)
    given = jnp.where(upper, pictures, 0.0)
    report.summary(halves_labelled_right=int((predicted == labels).sum()), halves=CLASSES)
    rows = np.stack([pictures, given, known, free, wrong]).reshape(5, CLASSES, *shape)
    figure, axes = plots.one(7.6, 4.2)
    down = [
        "test picture",
        "given half",
        "completed, label clamped",
        "completed, label drawn",
        "completed, wrong label",
    ]
    show(axes, rows, down=down, across=names)
    report.figure(
        "completed",
        figure,
        "The first test picture of each label; its upper half, which is clamped; and lower halves completed with the "
        "right label clamped, with the label drawn together with the pixels, and with the next label clamped instead "
        "of the right one.",
    )


def _draw_confusions(report: Report, params: rbm.Params, test: Set, shape: tuple[int, ...], names: list[str]) -> None:
    predicted = np.asarray(_free_energies(params, test.pictures).argmin(axis=1))
    labels = np.asarray(test.labels)
    wrong = np.flatnonzero(predicted != labels)[:20]
    if len(wrong) == 0:
        report.text("No test picture was classified wrong.")
        return
    figure, panels = plots.panels(2, 10, width=1.0, height=1.25)
    for panel in panels.flat:
        panel.set_axis_off()
    for panel, row in zip(panels.flat, wrong, strict=False):
        panel.imshow(np.asarray(test.pictures[row]).reshape(shape), cmap="Greys", vmin=0, vmax=1)
        panel.set_title(f"{names[labels[row]]} → {names[predicted[row]]}", fontsize=9)
    report.figure(
        "wrong",
        figure,
        f"The first {len(wrong)} test pictures that were classified wrong: true label → predicted label.",
    )
