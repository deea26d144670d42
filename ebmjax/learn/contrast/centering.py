"""Centering: a preconditioner with which restricted Boltzmann machines learn faster.

It takes the gradient in units that are measured from their means. With v - μ and h - λ in the energy, the gradient in
the plain parameters becomes

    ∇W = d<(v - μ)(h - λ)ᵀ>,    ∇a = d<v> - ∇W λ,    ∇b = d<h> - ∇Wᵀ μ

where d<·> is the difference of the two phases. It is a linear map of the plain gradient. With it, learning does not
depend on which of the two values of a visible unit is called 1.

Montavon and Müller (2012), "Deep Boltzmann machines and the centering trick"; Melchior, Fischer, Wiskott (2016), "How
to center deep Boltzmann machines".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import as_float, check_record, check_shape, check_share
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

    def mixed(old: Array, new: Array) -> Array:
        share = decay.astype(old.dtype)
        return share * old + (1 - share) * new.astype(old.dtype)

    def apply(params: rbm.Params, means: Means, slope: rbm.Params, positives: Any) -> tuple[rbm.Params, Means]:
        positives = as_float("positives", positives, (None, len(means.visible)))
        hidden = jax.nn.sigmoid(jax.vmap(lambda visible: rbm.hidden_field(params, visible))(positives))
        visible_mean = mixed(means.visible, positives.mean(axis=0))
        hidden_mean = mixed(means.hidden, hidden.mean(axis=0))
        # d<(v - μ)(h - λ)ᵀ>: the products of means cancel between the phases
        weights = (
            slope.weights - jnp.outer(visible_mean, slope.hidden_bias) - jnp.outer(slope.visible_bias, hidden_mean)
        )
        centred = rbm.Params(
            weights, slope.visible_bias - weights @ hidden_mean, slope.hidden_bias - visible_mean @ weights
        )
        return centred, Means(visible_mean, hidden_mean)

    return Preconditioner(init, apply)
