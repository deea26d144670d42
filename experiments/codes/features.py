"""Part of the experiment `few_labels`: features that are learned from pictures without labels.

Sparse codes, networks that predict them, and pooled maps of convolutional encoders. Each function learns from pictures
alone and returns a function from pictures to rows of features.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from ebmjax.energies import convolutional_encoder, sparse_coding
from ebmjax.energies import convolutional_sparse_coding as convolutional
from ebmjax.energies.regularizers import l1
from ebmjax.learn.dictionaries import convolutional_dictionary
from ebmjax.learn.dictionaries import predictive_decomposition as predictive_learning
from ebmjax.learn.gradient import gradient
from ebmjax.loops import map_chunks
from ebmjax.losses import inferred_codes
from ebmjax.losses.energy import energy_loss
from ebmjax.minimize.codes import predictive
from ebmjax.minimize.codes.convolutional import convolutional_admm
from ebmjax.minimize.codes.find_code import by_proximal
from ebmjax.minimize.codes.proximal import fista_restarted
from ebmjax.minimize.unrolled import lista as networks
from ebmjax.minimize.unrolled.unroll import per_layer
from ebmjax.types import Learner
from experiments.application.report import Report
from experiments.application.shown import train_shown
from experiments.codes.learned_dictionaries import exact_codes

Features = Callable[[Array], Array]
"""Pictures (n, rows, columns) to features (n, features)."""

CHUNK = 1_000  # pictures that are computed together


@dataclass(frozen=True)
class Size:
    """Sizes of all models that are learned without labels."""

    weight: float
    """λ of the codes, for pixels between 0 and 1."""
    kernels: int
    """Number of kernels of the convolutional code."""
    width: int
    """Rows and columns of a kernel, in pixels."""
    pools: int
    """Maps are averaged over pools × pools fields."""
    layers: int
    """Layers of LISTA."""
    updates: int
    """Updates of LISTA and of predictive sparse decomposition."""
    convolutional_updates: int
    """Updates of the convolutional code."""
    batch: int = 100
    """Pictures in an update."""
    convolutional_batch: int = 20
    """Pictures in an update of the convolutional code."""


def epochs(samples: int, batch: int, updates: int) -> int:
    """The fewest passes over the samples that make at least this number of updates.

    >>> epochs(1000, 100, 25)
    3
    """
    return -(-updates // max(1, samples // batch))


def pixels(pictures: Float[Array, "n rows columns"]) -> Float[Array, "n pixels"]:
    """The pixels themselves."""
    return pictures.reshape(len(pictures), -1)


def codes(params: sparse_coding.Params, weight: float) -> Features:
    """Exact sparse codes by coordinate descent."""
    return lambda pictures: jnp.asarray(exact_codes(params, l1(weight), pixels(pictures)))


def lista(
    report: Report,
    key: Key[Array, ""],
    params: sparse_coding.Params,
    size: Size,
    pictures: Float[Array, "n rows columns"],
) -> Features:
    """Codes that a few layers of LISTA predict; they are trained on the exact codes."""
    data = pixels(pictures)
    targets = codes(params, size.weight)(pictures)
    start = per_layer(networks.init_lista(params, size.weight), size.layers)
    infer = lambda weights, y: networks.lista(weights, y).last
    learner = gradient(energy_loss(inferred_codes.supervised(infer)), optax.adam(1e-3))
    found = _trained(report, "LISTA", learner, key, start, (data, targets), size.batch, size.updates)
    return lambda pictures: map_chunks(lambda y: infer(found, y), pixels(pictures), CHUNK)


def predicted(
    report: Report,
    key: Key[Array, ""],
    params: sparse_coding.Params,
    size: Size,
    pictures: Float[Array, "n rows columns"],
) -> Features:
    """Codes that the encoder of predictive sparse decomposition predicts; it is learned together with a dictionary."""
    init_key, train_key = jax.random.split(key)
    find = by_proximal(partial(fista_restarted, max_steps=30, tolerance=1e-2), predictive.smooth_term)
    learner = predictive_learning.decomposition(find, l1(size.weight), 1.0, optax.adam(1e-3))
    start = predictive_learning.Params(params, predictive.init(init_key, params))
    found = _trained(report, "encoder", learner, train_key, start, pixels(pictures), size.batch, size.updates)
    return lambda pictures: map_chunks(partial(predictive.encode, found.encoder), pixels(pictures), CHUNK)


def kernel_maps(
    report: Report, key: Key[Array, ""], size: Size, pictures: Float[Array, "n rows columns"]
) -> tuple[Features, Float[Array, "kernels width width"]]:
    """Pooled maps of a convolutional encoder that is learned together with its decoder, and the encoder's kernels."""
    init_key, train_key = jax.random.split(key)
    decoder = convolutional.init(init_key, size.kernels, (size.width, size.width))
    solve = partial(convolutional_admm, max_steps=30, tolerance=1e-2)
    learner = convolutional_dictionary.predictive(solve, l1(size.weight), 1.0, optax.adam(3e-3))
    start = convolutional_dictionary.init_coder(decoder)
    batch, updates = size.convolutional_batch, size.convolutional_updates
    found = _trained(report, "kernels", learner, train_key, start, pictures, batch, updates)
    return pooled(found.encoder, size.pools), found.encoder.kernels


def random_maps(key: Key[Array, ""], size: Size) -> Features:
    """Pooled maps of an encoder with random kernels: what pooling does without learning."""
    return pooled(
        convolutional_encoder.init_encoder(convolutional.init(key, size.kernels, (size.width, size.width))), size.pools
    )


def pooled(encoder: convolutional_encoder.Encoder, pools: int) -> Features:
    """Means of |Enc(y)| over the fields of each map."""
    return lambda pictures: _pooled(encoder, pictures, pools)


@partial(jax.jit, static_argnums=2)
def _pooled(encoder: convolutional_encoder.Encoder, pictures: Array, pools: int) -> Array:
    def one(y: Float[Array, "rows columns"]) -> Float[Array, " features"]:
        return pool(jnp.abs(convolutional_encoder.encode(encoder, y)), pools).ravel()

    return map_chunks(one, pictures, CHUNK // 4)


def pool(maps: Float[Array, "maps rows columns"], pools: int) -> Float[Array, "maps pools pools"]:
    """Means over pools × pools fields, whose lengths differ by one pixel at most.

    >>> pool(jnp.arange(8.0).reshape(1, 2, 4), 2).tolist()
    [[[0.5, 2.5], [4.5, 6.5]]]
    """
    down, across = (_averages(length, pools) for length in maps.shape[1:])
    return jnp.einsum("pr,mrc,qc->mpq", down, maps, across)


def _averages(length: int, pools: int) -> Float[Array, "pools length"]:
    field = jnp.arange(length) * pools // length
    inside = (field[None, :] == jnp.arange(pools)[:, None]).astype(jnp.float32)
    return inside / jnp.maximum(inside.sum(axis=1, keepdims=True), 1)


def _trained(
    report: Report, name: str, learner: Learner, key: Key[Array, ""], start: Any, data: Any, batch: int, updates: int
) -> Any:
    samples = len(jax.tree.leaves(data)[0])
    count = epochs(samples, batch, updates)
    write = lambda step, told: report.metrics(step=step, learned=name, **_numbers(told))
    batch = min(batch, samples)
    every = max(1, count * (samples // batch) // 50)
    trained = train_shown(key, report, learner, start, data, batch, count, every, write)
    if not trained.metrics.finite.all():
        raise FloatingPointError("the training stopped at a loss or gradient that is not finite")
    return trained.params


def _numbers(metrics: Any) -> dict[str, Any]:
    """Single numbers among metrics, by their names."""
    return {name: leaf for name, leaf in metrics._asdict().items() if np.ndim(leaf) == 0}
