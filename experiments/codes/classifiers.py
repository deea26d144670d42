"""Part of the experiment `few_labels`: linear classifiers of given features, and networks trained from scratch."""

import math
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from ebmjax.checks import ArgumentError
from ebmjax.energies.regularizers import elastic_net
from ebmjax.learn.gradient import gradient
from ebmjax.loops import iterate
from ebmjax.minimize.codes.proximal import fista_restarted
from ebmjax.types import Solution

CLASSES = 10
STEPS = 300  # at most, of FISTA for one linear classifier
TOLERANCE = 3e-3  # relative duality gap at which FISTA stops


@runtime_checkable
class Init(Protocol):
    """How the parameters of a network are initialized."""

    def __call__(self, key: Key[Array, ""], /) -> Any:
        """The parameters, a pytree of arrays."""
        ...


@runtime_checkable
class Scores(Protocol):
    """A network that classifies pictures."""

    def __call__(self, params: Any, picture: Float[Array, "rows columns"], /) -> Float[Array, " classes"]:
        """One score for each class; the largest one is the answer."""
        ...


class Scale(NamedTuple):
    """A shift and a scale of features."""

    mean: Float[Array, " features"]
    """The mean of each feature."""
    factor: Float[Array, ""]
    """1 / root mean square length of the centred features, one factor for all of them."""


def scale_of(features: Float[Array, "n features"]) -> Scale:
    """The shift and the scale that give these features mean 0 and mean square length 1.

    >>> scale_of(jnp.array([[0.0, 4.0], [0.0, 0.0]])).factor.item()
    0.5
    """
    mean = features.mean(axis=0)
    power = jnp.mean(jnp.sum(jnp.square(features - mean[None]), axis=1))
    return Scale(mean, 1 / jnp.sqrt(jnp.maximum(power, 1e-12)))


def scaled(scale: Scale, features: Float[Array, "n features"], width: int) -> Float[Array, "n width"]:
    """Centred and scaled features, then a constant 1, whose weights are the biases, then zeros up to `width` columns.

    The zeros change no classifier. They give all kinds of features one width, and hence one compilation.
    """
    moved = (features - scale.mean[None]) * scale.factor
    padding = jnp.zeros((len(moved), width - moved.shape[1] - 1), moved.dtype)
    return jnp.concatenate([moved, jnp.ones((len(moved), 1), moved.dtype), padding], axis=1)


def logistic(
    inputs: Float[Array, "n inputs"],
    labels: Int[Array, " n"],
    shares: Float[Array, " n"],
    ridge: Float[Array, ""],
    start: Float[Array, "inputs classes"],
) -> Solution:
    """Multinomial logistic regression: the weights V that minimize Σ s (-log p(label)) + ½ρ‖V‖², by FISTA.

    The shares s of the samples add up to 1; a sample with share 0 has no influence. Biases are penalized like the other
    weights. scikit-learn's regression has a smaller tolerance, and would change published test errors by 0.1 points.
    """
    targets = jax.nn.one_hot(labels, start.shape[1], dtype=inputs.dtype)
    # the curvature of the log-sum-exp is at most one half
    curvature = _largest_eigenvalue(inputs.T @ (inputs * shares[:, None])) / 2

    def loss(weights):
        scores = inputs @ weights
        return jnp.sum(shares * (jax.nn.logsumexp(scores, axis=1) - jnp.sum(scores * targets, axis=1)))

    return fista_restarted(loss, elastic_net(0.0, ridge), start, curvature, max_steps=STEPS, tolerance=TOLERANCE)


def ridge_path(
    inputs: Float[Array, "n inputs"],
    labels: Int[Array, " n"],
    shares: Float[Array, " n"],
    ridges: Float[Array, " ridges"],
) -> tuple[Float[Array, "ridges inputs classes"], Float[Array, " ridges"]]:
    """Weights for each ridge in turn, each started from the weights before, and their relative duality gaps."""
    start = jnp.zeros((inputs.shape[1], CLASSES), inputs.dtype)

    def next_one(weights, ridge):
        solution = logistic(inputs, labels, shares, ridge, weights)
        return solution.value, (solution.value, solution.gap / solution.energy)

    return jax.lax.scan(next_one, start, ridges)[1]


def _largest_eigenvalue(gram: Float[Array, "n n"]) -> Float[Array, ""]:
    """A bound from above: the largest absolute row sum, or power iteration with a margin where that is smaller.

    `sparse_coding.lipschitz` is sharper, but other step sizes end at other points within the tolerance of `logistic`,
    which changes the reported errors by single pictures.
    """
    vector = jnp.ones(len(gram), gram.dtype)
    vector = iterate(lambda v: gram @ v / jnp.linalg.norm(gram @ v), vector, 30)
    return jnp.minimum(1.1 * jnp.linalg.norm(gram @ vector), jnp.max(jnp.sum(jnp.abs(gram), axis=1)))


def wrong(scores: Float[Array, "n classes"], labels: Int[Array, " n"]) -> Float[Array, ""]:
    """The error rate: the share of pictures whose largest score is not that of their label.

    >>> float(wrong(jnp.array([[1.0, 0.0], [1.0, 0.0]]), jnp.array([0, 1])))
    0.5
    """
    return jnp.mean(jnp.argmax(scores, axis=1) != labels, dtype=scores.dtype)


class Dense(NamedTuple):
    """A dense layer."""

    kernel: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]


class Network(NamedTuple):
    """Two convolutions with stride 2 and ReLU, then a linear layer."""

    first: Float[Array, "height width 1 channels"]
    first_bias: Float[Array, " channels"]
    second: Float[Array, "height width channels more"]
    second_bias: Float[Array, " more"]
    last: Dense


def dense(key: Key[Array, ""], inputs: int, outputs: int) -> Dense:
    """A dense layer with He's initialization: normal weights of variance 2 / inputs, biases zero."""
    return Dense(jax.random.normal(key, (inputs, outputs)) * math.sqrt(2 / inputs), jnp.zeros(outputs))


def perceptron(key: Key[Array, ""], pixels: int, hidden: int) -> tuple[Dense, Dense]:
    """Initialize a perceptron with one hidden layer of ReLU units."""
    first_key, last_key = jax.random.split(key)
    return dense(first_key, pixels, hidden), dense(last_key, hidden, CLASSES)


def perceptron_scores(layers: tuple[Dense, Dense], picture: Float[Array, "rows columns"]) -> Float[Array, " classes"]:
    """The perceptron's scores of one picture."""
    first, last = layers
    return jax.nn.relu(picture.ravel() @ first.kernel + first.bias) @ last.kernel + last.bias


def network(key: Key[Array, ""], side: int, channels: int) -> Network:
    """Initialize a convolutional network: kernels of 5 × 5 (3 × 3 for small pictures), then 3 × 3, twice as many."""
    first_key, second_key, last_key = jax.random.split(key, 3)
    width = 5 if side > 12 else 3
    left = (side + 3) // 4  # after two strides of 2, each rounded up
    return Network(
        jax.random.normal(first_key, (width, width, 1, channels)) * math.sqrt(2 / width**2),
        jnp.zeros(channels),
        jax.random.normal(second_key, (3, 3, channels, 2 * channels)) * math.sqrt(2 / (9 * channels)),
        jnp.zeros(2 * channels),
        dense(last_key, left * left * 2 * channels, CLASSES),
    )


def network_scores(params: Network, picture: Float[Array, "rows columns"]) -> Float[Array, " classes"]:
    """The network's scores of one picture."""
    values = picture[..., None]
    for kernel, bias in ((params.first, params.first_bias), (params.second, params.second_bias)):
        values = jax.nn.relu(_convolved(values, kernel) + bias[None, None])
    return values.ravel() @ params.last.kernel + params.last.bias


def _convolved(values: Float[Array, "rows columns in"], kernel: Float[Array, "width width in out"]) -> Array:
    """A convolution of stride 2 with zero padding, as one matrix product of all patches.

    The gradient of a `lax.conv` with few channels is slow on a CPU.
    """
    width, half = kernel.shape[0], kernel.shape[0] // 2
    padded = jnp.pad(values, ((half, half), (half, half), (0, 0)))
    down, across = values.shape[0], values.shape[1]
    parts = [padded[i : i + down : 2, j : j + across : 2] for i in range(width) for j in range(width)]
    return jnp.concatenate(parts, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def train_from_scratch(
    key: Key[Array, ""],
    init: Init,
    scores: Scores,
    pictures: Float[Array, "n rows columns"],
    labels: Int[Array, " n"],
    rows: Int[Array, " padded"],
    count: Int[Array, ""],
    batch: int,
    updates: Int[Array, ""],
    decay: Float[Array, ""],
) -> Any:
    """Train a network by AdamW: the rate falls from 0.003 to zero along a cosine, and weight decay is decoupled.

    Args:
        key: typed random key.
        init: `init(key) -> params`.
        scores: `scores(params, picture)`, one number for each class.
        pictures: all training pictures.
        labels: their labels.
        rows: rows of the pictures to train on; only the first `count` are used.
        count: how many, which may be traced.
        batch: samples in an update, drawn with replacement.
        updates: number of updates, which may be traced.
        decay: weight decay.

    Returns:
        the trained params.
    """
    init_key, train_key = jax.random.split(key)

    def loss(params, samples):
        pictures, labels = samples
        logits = jax.vmap(lambda picture: scores(params, picture))(pictures)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    rate = lambda step: 3e-3 * (1 + jnp.cos(math.pi * step / updates)) / 2
    learner = gradient(loss, optax.adamw(rate, weight_decay=decay))

    def update(index, state):
        draw_key, update_key = jax.random.split(jax.random.fold_in(train_key, index))
        drawn = rows[jax.random.randint(draw_key, (batch,), 0, count)]
        return learner.update(update_key, state, (pictures[drawn], labels[drawn]))[0]

    return jax.lax.fori_loop(0, updates, update, learner.init(init_key, init(init_key))).params


def balanced(key: Key[Array, ""], labels: Int[Array, " n"], count: int) -> Int[Array, " count"]:
    """Rows of `count` random samples, equally many from each class.

    Raises:
        ValueError: a count that is no multiple of the number of classes, or a class with too few samples.
    """
    if count % CLASSES:
        raise ArgumentError(f"count: got {count}, wanted a multiple of {CLASSES}")
    each = count // CLASSES
    order = jax.random.permutation(key, len(labels))
    rows = []
    for label in range(CLASSES):
        found = order[labels[order] == label]
        if len(found) < each:
            raise ArgumentError(
                f"count: got {count}, wanted at most {CLASSES * len(found)}: class {label} has {len(found)} samples"
            )
        rows.append(found[:each])
    return jnp.concatenate(rows)
