"""Centering: a preconditioner with which restricted and deep Boltzmann machines learn faster.

It takes the gradient in units that are measured from their means. With x - μ for the units of one layer and y - λ for
those of the next one in the energy, the gradient in the plain parameters becomes

    ∇W = d<(x - μ)(y - λ)ᵀ>,    ∇a = d<x> - ∇W λ,    ∇b = d<y> - ∇Wᵀ μ

where d<·> is the difference of the two phases; the biases of an inner layer lose a term for each neighbour. It is a
linear map of the plain gradient. With it, learning does not depend on which of the two values of a unit is called 1,
and a deep machine learns without pretraining.

    centering        of `restricted_boltzmann.Params`
    deep_centering   of `deep_boltzmann.Params`

Montavon and Müller (2012), "Deep Boltzmann machines and the centering trick"; Melchior, Fischer, Wiskott (2016), "How
to center deep Boltzmann machines".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float, check_record, check_shape, check_share
from ebmjax.energies import deep_boltzmann
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.learn.contrast.contrastive import Preconditioner
from ebmjax.records import record
from ebmjax.types import Scalar


@record
class Means(NamedTuple):
    """Running means under the data."""

    visible: Float[Array, " visible"]
    """μ"""
    hidden: Float[Array, " hidden"]
    """λ"""


def centering(visible_mean: Any, decay: Scalar = 0.99) -> Preconditioner:
    """Centering for `restricted_boltzmann.Params`, for positives that are visible states.

    λ follows the hidden means at beta = 1; any λ gives a direction of descent.

    Args:
        visible_mean: mean of the data, (visible,), where μ starts; λ starts at ½.
        decay: weight of the old means at each update, in [0, 1].

    Raises:
        ValueError: a decay outside [0, 1], a mean that is not one array of numbers; at `init`, one of another size than
            the visible bias.

    >>> apply = centering(jnp.array([0.5])).apply
    >>> params = rbm.Params(jnp.zeros((1, 1)), jnp.zeros(1), jnp.zeros(1))
    >>> slope = rbm.Params(jnp.array([[1.0]]), jnp.array([2.0]), jnp.array([2.0]))
    >>> float(apply(params, Means(jnp.array([0.5]), jnp.array([0.5])), slope, jnp.ones((4, 1)))[0].weights[0, 0]) < 0
    True
    """
    check_share("decay", decay)
    visible_mean, decay = as_float("visible_mean", visible_mean, (None,)), as_float("decay", decay, ())

    def init(params: rbm.Params) -> Means:
        check_record("params", params, rbm.Params)
        check_shape("visible_mean", visible_mean, jnp.shape(params.visible_bias))
        return Means(visible_mean, jnp.full(jnp.shape(params.hidden_bias), 0.5, visible_mean.dtype))

    def apply(params: rbm.Params, means: Means, slope: rbm.Params, positives: Any) -> tuple[rbm.Params, Means]:
        positives = as_float("positives", positives, (None, len(means.visible)))
        hidden = jax.nn.sigmoid(jax.vmap(lambda visible: rbm.hidden_field(params, visible))(positives))
        new = Means(_mixed(decay, means.visible, positives), _mixed(decay, means.hidden, hidden))
        (weights,), biases = _centred((slope.weights,), (slope.visible_bias, slope.hidden_bias), new)
        return rbm.Params(weights, *biases), new

    return Preconditioner(init, apply)


def deep_centering(visible_mean: Any, decay: Scalar = 0.99) -> Preconditioner:
    """Centering for `deep_boltzmann.Params`, for positives that are states or means of all layers.

    These are the positions of `ebmjax.learn.contrast.phases.variational`. The memory is the running mean of each layer,
    which starts at ½ in the hidden layers; any means give a direction of descent.

    Args:
        visible_mean, decay: as in `centering`.

    Raises:
        ValueError: as `centering`; when it is applied, positives of another number of layers.

    Montavon and Müller (2012), section 2.

    >>> apply = deep_centering(jnp.array([0.5])).apply
    >>> params = deep_boltzmann.Params((jnp.zeros((1, 1)),), (jnp.zeros(1), jnp.zeros(1)))
    >>> slope = deep_boltzmann.Params((jnp.array([[1.0]]),), (jnp.array([2.0]), jnp.array([2.0])))
    >>> means = jnp.array([0.5]), jnp.array([0.5])
    >>> float(apply(params, means, slope, (jnp.ones((4, 1)), jnp.ones((4, 1))))[0].weights[0][0, 0]) < 0
    True
    """
    check_share("decay", decay)
    visible_mean, decay = as_float("visible_mean", visible_mean, (None,)), as_float("decay", decay, ())

    def init(params: deep_boltzmann.Params) -> deep_boltzmann.Layers:
        check_record("params", params, deep_boltzmann.Params)
        check_shape("visible_mean", visible_mean, jnp.shape(params.biases[0]))
        return visible_mean, *(jnp.full(jnp.shape(bias), 0.5, visible_mean.dtype) for bias in params.biases[1:])

    def apply(
        params: deep_boltzmann.Params, means: deep_boltzmann.Layers, slope: deep_boltzmann.Params, positives: Any
    ) -> tuple[deep_boltzmann.Params, deep_boltzmann.Layers]:
        if not isinstance(positives, tuple | list) or len(positives) != len(means):
            kind = type(positives).__name__
            raise ArgumentError(f"positives: got {kind}, wanted one array for each of {len(means)} layers")
        layers = [as_float("positives", layer, (None, len(mean))) for layer, mean in zip(positives, means, strict=True)]
        new = tuple(_mixed(decay, mean, layer) for mean, layer in zip(means, layers, strict=True))
        return deep_boltzmann.Params(*_centred(slope.weights, slope.biases, new)), new

    return Preconditioner(init, apply)


def _mixed(decay, old, units):
    share = decay.astype(old.dtype)
    return share * old + (1 - share) * units.mean(axis=0).astype(old.dtype)


def _centred(weights, biases, means):
    """The gradient of the weights and of the biases of a chain of layers, with these means."""
    # d<(x - μ)(y - λ)ᵀ>: the products of means cancel between the phases
    centred = tuple(
        slope - jnp.outer(means[level], biases[level + 1]) - jnp.outer(biases[level], means[level + 1])
        for level, slope in enumerate(weights)
    )
    shifted = list(biases)
    for level, slope in enumerate(centred):
        shifted[level] = shifted[level] - slope @ means[level + 1]
        shifted[level + 1] = shifted[level + 1] - means[level] @ slope
    return centred, tuple(shifted)
