"""Restricted Boltzmann machine: binary visible and hidden units, no edge inside a layer.

    E(v, h) = -aᵀv - bᵀh - vᵀWh,    v ∈ {0,1}^V, h ∈ {0,1}^H

Smolensky (1986); Hinton (2002), "Training products of experts".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, check_beta, check_units
from ebmjax.temperature import reduced, softmin
from ebmjax.types import BITS, Beta, Scalar


class Params(NamedTuple):
    """Couplings and biases, in units of energy."""

    weights: Float[Array, "visible hidden"]  # W
    visible_bias: Float[Array, " visible"]  # a
    hidden_bias: Float[Array, " hidden"]  # b


def init(key: Key[Array, ""], visible_mean: Float[Array, " visible"], hidden: int, scale: float = 0.01) -> Params:
    """Small Gaussian weights, no hidden bias, and visible biases that give each unit its mean in the data.

    Args:
        key: typed random key.
        visible_mean: mean of every visible unit, in [0, 1]; kept 0.01 off both ends, so that no bias is infinite.
        hidden: number of hidden units.
        scale: standard deviation of the weights.

    Hinton (2010), "A practical guide to training restricted Boltzmann machines", section 8.

    >>> init(jax.random.key(0), jnp.array([0.5, 0.5]), hidden=3).visible_bias.tolist()
    [0.0, 0.0]
    """
    mean = jnp.clip(visible_mean, 0.01, 0.99)
    weights = scale * jax.random.normal(key, (len(visible_mean), hidden))
    return Params(weights, jnp.log(mean) - jnp.log1p(-mean), jnp.zeros(hidden))


def check(params: Params, visible: Float[Array | np.ndarray, "*batch visible"]) -> None:
    """Raise ValueError for static visible states that are not 0 or 1, or not one for each visible unit.

    For data, before training: grey values, such as pictures from 0 to 1, are no states of binary units. The energies
    do not check, as there a grey value stands for a mean.

    >>> check(Params(jnp.ones((2, 1)), jnp.zeros(2), jnp.zeros(1)), np.array([[0.0, 0.5]]))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: visible: got a unit of 0.5, wanted 0 or 1
    """
    units = params.visible_bias.shape[0]
    if np.shape(visible)[-1:] != (units,):
        raise ArgumentError(f"visible: got shape {np.shape(visible)}, wanted a last axis of {units} visible units")
    check_units("visible", visible, BITS)


def energy(params: Params, visible: Float[Array, " visible"], hidden: Float[Array, " hidden"]) -> Scalar:
    """Energy of one joint state.

    >>> params = Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> float(energy(params, jnp.ones(3), jnp.ones(2)))
    -6.0
    """
    return -(visible @ params.visible_bias + hidden @ params.hidden_bias + visible @ params.weights @ hidden)


def hidden_field(params: Params, visible: Float[Array, " visible"]) -> Float[Array, " hidden"]:
    """b + vᵀW: how much energy each hidden unit gives back by being on. P(h=1|v) = σ(beta · field).

    >>> hidden_field(Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2)), jnp.ones(3)).tolist()
    [3.0, 3.0]
    """
    return params.hidden_bias + visible @ params.weights


def visible_field(params: Params, hidden: Float[Array, " hidden"]) -> Float[Array, " visible"]:
    """a + Wh: the same for the visible units.

    >>> visible_field(Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2)), jnp.ones(2)).tolist()
    [2.0, 2.0, 2.0]
    """
    return params.visible_bias + params.weights @ hidden


def free_energy(params: Params, visible: Float[Array, " visible"], beta: Beta) -> Scalar:
    """F_beta(v): the hidden units marginalized one by one, exact because v separates them.

    Each unit chooses between energy 0 and -field, so F is a sum of softmins: their mean when hot,
    -relu(field) when cold.

    >>> params = Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> [float(free_energy(params, jnp.ones(3), beta)) for beta in (0.0, jnp.inf)]
    [-3.0, -6.0]
    """
    check_beta(beta)
    field = hidden_field(params, visible)
    off_on = jnp.stack([jnp.zeros_like(field), -field])
    return -visible @ params.visible_bias + softmin(off_on, beta, axis=0).sum()


def with_hidden_means(
    params: Params, visible: Float[Array, " visible"], beta: Beta
) -> tuple[Float[Array, " visible"], Float[Array, " hidden"]]:
    """The position (v, <h>), with <h> = σ(beta · field): the energy there has the gradient of F_beta(v) in `params`.

    As E is linear in h, ∇E(v, <h>) with <h> held is the mean of ∇E over P(h|v). Learning from these positions costs two
    matrix products less than from free energies.

    >>> with_hidden_means(Params(jnp.ones((1, 1)), jnp.zeros(1), jnp.zeros(1)), jnp.ones(1), 0.0)[1].tolist()
    [0.5]
    """
    check_beta(beta)
    return visible, jax.nn.sigmoid(reduced(hidden_field(params, visible), beta))
