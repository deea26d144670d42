"""Likelihoods of restricted Boltzmann machines of pictures and labels, at any inverse temperature beta in [0, inf).

    log p(c | v) = -beta F(v, c) - log Σ_c' exp(-beta F(v, c'))       in closed form
    log p(v, c)  = -beta F(v, c) - log Z

The visible units are the picture and the one-hot code e_c of its class, of which exactly one unit is 1. `log_partition`
is exact for up to 28 hidden units. Beyond, `path` leads to the machine from independent pixels with the biases c and a
class with the law softargmax(d), the hidden units summed out, as in `restricted`.

Larochelle and Bengio (2008), "Classification using discriminative restricted Boltzmann machines"; Salakhutdinov and
Murray (2008), "On the quantitative analysis of deep belief networks", for the path.
"""

import math
from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float
from ebmjax.compiled import compiled
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies import restricted_boltzmann_labels as labelled
from ebmjax.energies.restricted_boltzmann import Params as Params
from ebmjax.likelihoods.paths import Path, independent, relative, warmed
from ebmjax.marginalize import enumeration
from ebmjax.marginalize.enumeration import exact_estimate
from ebmjax.numerics import matmul, sum_softplus
from ebmjax.sample.gibbs import alternate
from ebmjax.sample.units import draw
from ebmjax.types import BITS, Beta, Estimate, Numbers


def path(params: Params, beta: Beta, base: Annotated[Numbers, "visible"], classes: int) -> Path:
    """From independent pixels and an independent class to the machine; a position is a picture and its one-hot code.

    Args:
        params: of a machine with pixels + classes visible units.
        beta: inverse temperature in [0, inf), static or traced.
        base: biases of the pixels, such as `paths.base_biases` of them, and logarithms of the shares of the classes.
        classes: C, static, at least 2.

    Raises:
        ValueError: other parameters, a bad or infinite beta, a base of another shape than the visible biases, fewer
            than 2 classes, or so many that no visible unit is left for a pixel.

    >>> way = path(Params(jnp.ones((5, 2)), jnp.zeros(5), jnp.zeros(2)), 0.5, jnp.zeros(5), classes=2)
    >>> round(float(way.log_partition), 4)  # 3 log 2 + log 2 + 2 log 2
    4.1589
    """
    machine = _checked(params, beta, classes)
    base = as_float("base", base, machine.visible_bias.shape)
    hidden = machine.hidden_bias.shape[0]

    def reduced_energy(t, visible):
        biases = (1 - t) * matmul(base, visible) + t * matmul(machine.visible_bias, visible)
        return -(biases + sum_softplus(t * rbm.hidden_field(machine, visible)))

    def make_kernel(t):
        def sweep(key, visible):
            up, pixels_key, label_key = jax.random.split(key, 3)
            units = draw(up, t * rbm.hidden_field(machine, visible), 1.0, BITS)
            field = (1 - t) * base + t * rbm.visible_field(machine, units)
            pixels = draw(pixels_key, field[:-classes], 1.0, BITS)
            return jnp.concatenate([pixels, _one_hot(label_key, field[-classes:])])

        return alternate([sweep])

    def starts(key, chains):
        pixels_key, label_key = jax.random.split(key)
        logits = jnp.broadcast_to(base[-classes:], (chains, classes))
        return jnp.concatenate([independent(pixels_key, base[:-classes], chains), _one_hot(label_key, logits)], axis=1)

    log_z = sum_softplus(base[:-classes]) + jax.nn.logsumexp(base[-classes:]) + hidden * math.log(2)
    return Path(reduced_energy, make_kernel, starts, log_z)


def log_partition(params: Params, beta: Beta, classes: int) -> Estimate:
    """log Z = log Σ_v Σ_c Σ_h exp(-beta E(v, c, h)), exactly, by all states of at most 28 hidden units.

    Args:
        params: of a machine with pixels + classes visible units.
        beta: inverse temperature in [0, inf), static or traced.
        classes: C, static, at least 2.

    Returns:
        `Estimate` with a standard error of zero.

    Raises:
        ValueError: other parameters, a bad or infinite beta, more than 28 hidden units, fewer than 2 classes, or so
            many that no visible unit is left for a pixel.

    >>> params = Params(jnp.zeros((5, 2)), jnp.zeros(5), jnp.zeros(2))
    >>> round(float(log_partition(params, 0.5, classes=2).log_partition), 4)  # 6 log 2
    4.1589
    """
    return _log_partition(_checked(params, beta, classes), classes)


@compiled
def _log_partition(machine, classes):
    def log_sum(units):
        field = rbm.visible_field(machine, units)
        given = sum_softplus(field[:-classes]) + jax.nn.logsumexp(field[-classes:])
        return given + matmul(machine.hidden_bias, units)

    return enumeration.log_partition(lambda units: -log_sum(units), machine.hidden_bias.shape[0], 1.0)


def log_likelihoods(
    params: Params,
    images: Annotated[Numbers, "samples pixels"],
    labels: Annotated[Numbers, "samples"],
    beta: Beta,
    classes: int,
    log_partition: Estimate,
) -> Estimate:
    """log p(v, c) of every picture with its label, in nats.

    Args:
        params, beta, classes: as in `log_partition`.
        images: states of the pixels.
        labels: their classes, integers from 0 to C - 1.
        log_partition: log Z of the machine at this beta, of `log_partition`, `paths.forward` or `paths.sandwiched`.

    Returns:
        `Estimate` with the axis samples. Its errors and bounds are those of log Z, the same for all samples.

    Raises:
        ValueError: as in `log_partition`; images of another number of pixels, labels of another number than images.

    >>> params = Params(jnp.zeros((5, 2)), jnp.zeros(5), jnp.zeros(2))
    >>> log_z = log_partition(params, 0.5, classes=2)
    >>> found = log_likelihoods(params, jnp.zeros((1, 3)), jnp.array([1]), 0.5, 2, log_z)
    >>> round(float(found.log_partition[0]), 4)  # -4 log 2
    -2.7726
    """
    machine = _checked(params, beta, classes)
    images = _images(machine, images, classes)
    return relative(exact_estimate(_of_labels(machine, images, _labels(labels, images), classes)), log_partition)


def image_log_likelihoods(
    params: Params, images: Annotated[Numbers, "samples pixels"], beta: Beta, classes: int, log_partition: Estimate
) -> Estimate:
    """log p(v) = log Σ_c p(v, c) of every picture, in nats. Arguments and errors as in `log_likelihoods`.

    >>> params = Params(jnp.zeros((5, 2)), jnp.zeros(5), jnp.zeros(2))
    >>> found = image_log_likelihoods(params, jnp.zeros((1, 3)), 0.5, 2, log_partition(params, 0.5, classes=2))
    >>> round(float(found.log_partition[0]), 4)  # -3 log 2
    -2.0794
    """
    machine = _checked(params, beta, classes)
    sums = jax.nn.logsumexp(_log_sums(machine, _images(machine, images, classes), classes), axis=1)
    return relative(exact_estimate(sums), log_partition)


def label_log_likelihoods(
    params: Params,
    images: Annotated[Numbers, "samples pixels"],
    labels: Annotated[Numbers, "samples"],
    beta: Beta,
    classes: int,
) -> Float[Array, " samples"]:
    """log p(c | v) of every label given its picture, in nats, in closed form: no log Z is needed.

    Arguments and errors as in `log_likelihoods`.

    >>> params = Params(jnp.zeros((5, 2)), jnp.zeros(5), jnp.zeros(2))
    >>> round(float(label_log_likelihoods(params, jnp.zeros((1, 3)), jnp.array([1]), 0.5, 2)[0]), 4)  # -log 2
    -0.6931
    """
    machine = _checked(params, beta, classes)
    images = _images(machine, images, classes)
    of_labels = _of_labels(machine, images, _labels(labels, images), classes)
    return of_labels - jax.nn.logsumexp(_log_sums(machine, images, classes), axis=1)


def _checked(params, beta, classes):
    machine = warmed(params, Params, beta)
    labelled.check_classes(machine, classes)
    return machine


def _images(machine, images, classes):
    return as_float("images", images, (None, machine.visible_bias.shape[0] - classes))


def _labels(labels, images):
    labels = jnp.asarray(labels)
    if labels.shape != images.shape[:1] or not jnp.issubdtype(labels.dtype, jnp.integer):
        got = f"{labels.dtype} of shape {labels.shape}"
        raise ArgumentError(f"labels: got {got}, wanted integers of shape {images.shape[:1]}, one an image")
    return labels


@compiled
def _of_labels(machine, images, labels, classes):
    return jnp.take_along_axis(_log_sums(machine, images, classes), labels[:, None], axis=1)[:, 0]


@compiled
def _log_sums(machine, images, classes):
    """log Σ_h exp(-E(v, c, h)) of all images with all classes."""
    free = jax.vmap(lambda image: labelled.label_free_energies(machine, image, 1.0, classes))(images)
    return machine.hidden_bias.shape[0] * math.log(2) - free


def _one_hot(key, logits):
    return jax.nn.one_hot(jax.random.categorical(key, logits), logits.shape[-1], dtype=logits.dtype)
