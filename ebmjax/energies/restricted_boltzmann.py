"""Restricted Boltzmann machine: binary visible and hidden units, with no coupling within a layer.

    E(v, h) = -aᵀv - bᵀh - vᵀWh,    v ∈ {0,1}^V, h ∈ {0,1}^H

Smolensky (1986); Hinton (2002), "Training products of experts".
"""

import math
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_example,
    as_float,
    as_params,
    check_above_zero,
    check_count,
    check_key,
    check_units,
)
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.temperature import reduced, softmin
from ebmjax.types import BITS, Beta, Numbers, Scalar


@record
class Params(NamedTuple):
    """Couplings and biases, in units of energy."""

    weights: Float[Array, "visible hidden"]
    """W."""
    visible_bias: Float[Array, " visible"]
    """a."""
    hidden_bias: Float[Array, " hidden"]
    """b."""


def init(key: Key[Array, ""], visible_mean: Annotated[Numbers, "visible"], hidden: int, scale: float = 0.01) -> Params:
    """Small Gaussian weights, hidden biases of zero, and visible biases that give each unit its mean in the data.

    Args:
        key: typed random key.
        visible_mean: mean of every visible unit in the data, clipped to [0.01, 0.99], so that no bias is infinite.
        hidden: number of hidden units.
        scale: standard deviation of the weights.

    Raises:
        ValueError: means that are no vector of numbers, hidden below 1.

    Hinton (2010), "A practical guide to training restricted Boltzmann machines", section 8.

    >>> init(jax.random.key(0), jnp.array([0.5, 0.5]), hidden=3).visible_bias.tolist()
    [0.0, 0.0]
    """
    check_key("key", key)
    check_count("hidden", hidden)
    mean = jnp.clip(as_float("visible_mean", visible_mean, (None,)), 0.01, 0.99)
    weights = scale * jax.random.normal(key, (len(mean), hidden), mean.dtype)
    return Params(weights, jnp.log(mean) - jnp.log1p(-mean), jnp.zeros(hidden, mean.dtype))


def check_visible(params: Params, visible: Annotated[Numbers, "*batch visible"]) -> None:
    """Raise ValueError for visible states of another length, or static ones with a value other than 0 and 1.

    Call it on the data before training: grey values between 0 and 1 are not states of binary units. The energies do not
    check, because a grey value may stand for a mean.

    >>> check_visible(Params(jnp.ones((2, 1)), jnp.zeros(2), jnp.zeros(1)), np.array([[0.0, 0.5]]))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: visible: got a unit of 0.5, wanted 0 or 1
    """
    units = params.visible_bias.shape[0]
    if np.shape(visible)[-1:] != (units,):
        raise ArgumentError(f"visible: got shape {np.shape(visible)}, wanted a last axis of {units} visible units")
    check_units("visible", visible, BITS)


def energy(params: Params, visible: Annotated[Numbers, "visible"], hidden: Annotated[Numbers, "hidden"]) -> Scalar:
    """E(v, h) of one joint state, a scalar. Raises ValueError for other parameters, or units of another number.

    >>> params = Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> float(energy(params, jnp.ones(3), jnp.ones(2)))
    -6.0
    """
    params = as_params(params, Params)
    visible, hidden = _visible(params, visible), _hidden(params, hidden)
    alone = matmul(visible, params.visible_bias) + matmul(hidden, params.hidden_bias)
    return -(alone + matmul(matmul(visible, params.weights), hidden))


def hidden_field(params: Params, visible: Annotated[Numbers, "visible"]) -> Float[Array, " hidden"]:
    """b + vᵀW: the energy gap E(h_j = 0) - E(h_j = 1) of each hidden unit.

    The conditional law of a hidden unit is P(h_j = 1 | v) = σ(beta · field_j). Raises ValueError for other parameters,
    or visible units of another number; `jax.vmap` takes a batch.

    >>> hidden_field(Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2)), jnp.ones(3)).tolist()
    [3.0, 3.0]
    """
    params = as_params(params, Params)
    return params.hidden_bias + matmul(_visible(params, visible), params.weights)


def visible_field(params: Params, hidden: Annotated[Numbers, "hidden"]) -> Float[Array, " visible"]:
    """a + Wh: the energy gap E(v_i = 0) - E(v_i = 1) of each visible unit; P(v_i = 1 | h) = σ(beta · field_i).

    Raises ValueError for other parameters, or hidden units of another number.

    >>> visible_field(Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2)), jnp.ones(2)).tolist()
    [2.0, 2.0, 2.0]
    """
    params = as_params(params, Params)
    return params.visible_bias + matmul(params.weights, _hidden(params, hidden))


def free_energy(params: Params, visible: Annotated[Numbers, "visible"], beta: Beta) -> Scalar:
    """F_beta(v) = -aᵀv + Σ_j softmin_beta(0, -field_j): the free energy over all hidden states, in closed form.

    Given v, the hidden units are independent, so that each is marginalized alone. A softmin is -field_j / 2 at beta = 0
    and -relu(field_j) at beta = inf. It is an average over the two states of each hidden unit, as all free energies of
    this library: `log_partition` of it is log Z - hidden · log 2. `summed_free_energy` is the field's own convention.

    Args:
        params: the machine.
        visible: v, one state, or means of the units.
        beta: inverse temperature in [0, inf], in units of 1/energy.

    Raises:
        ValueError: other parameters, visible units of another number; beta negative, NaN or not a scalar.

    >>> params = Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> [float(free_energy(params, jnp.ones(3), beta)) for beta in (0.0, jnp.inf)]
    [-3.0, -6.0]
    """
    params = as_params(params, Params)
    visible = _visible(params, visible)
    field = hidden_field(params, visible)
    off_on = jnp.stack([jnp.zeros_like(field), -field])
    return matmul(-visible, params.visible_bias) + softmin(off_on, beta, axis=0).sum()


def summed_free_energy(params: Params, visible: Annotated[Numbers, "visible"], beta: Beta) -> Scalar:
    """-aᵀv - 1/beta Σ_j log(1 + exp(beta field_j)): the free energy of the literature, a sum over the hidden states.

    It is `free_energy` less hidden · log 2 / beta, a constant for every v, so that both have the same law, gradients
    and posterior. `log_partition` of this one is the machine's log Z, a sum over all visible and hidden states:

        log_partition(partial(summed_free_energy, params, beta=beta), binary_cube(visible), beta)

    Arguments and errors as in `free_energy`, but beta is above 0: at 0 the sum is infinite, -inf for a traced beta.

    Hinton (2010), "A practical guide to training restricted Boltzmann machines", section 16.1, at beta = 1.

    >>> params = Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> round(float(summed_free_energy(params, jnp.zeros(3), 1.0)), 4)  # -2 log 2
    -1.3863
    """
    check_above_zero("beta", beta)
    value = jnp.asarray(free_energy(params, visible, beta))
    return value - summed_units(params.hidden_bias.shape[0], beta, value.dtype)


def summed_units(units: int, beta: Beta, dtype: DTypeLike) -> Float[Array, ""]:
    """units · log 2 / beta: by how much a mean over states of {0, 1} is above their sum, as a free energy.

    Raises ValueError for an argument of another kind.

    >>> round(float(summed_units(2, 0.5, jnp.float32)), 4)
    2.7726
    """
    check_count("units", units)
    beta = jnp.asarray(as_beta(beta)).astype(dtype)
    return units * math.log(2) / beta


def with_hidden_means(
    params: Params, visible: Annotated[Numbers, "visible"], beta: Beta
) -> tuple[Float[Array, " visible"], Float[Array, " hidden"]]:
    """The position (v, <h>), where <h> = σ(beta · field) is the mean of the hidden units given v.

    With <h> as a constant, the gradient of E(v, <h>) with respect to the parameters is that of F_beta(v), because E is
    linear in h. Learning from these positions needs two matrix products less than learning from free energies.

    Raises ValueError for other parameters, visible units of another number, and a beta that is negative, NaN or not a
    scalar.

    >>> with_hidden_means(Params(jnp.ones((1, 1)), jnp.zeros(1), jnp.zeros(1)), jnp.ones(1), 0.0)[1].tolist()
    [0.5]
    """
    params = as_params(params, Params)
    visible = _visible(params, visible)
    return visible, jax.nn.sigmoid(reduced(hidden_field(params, visible), beta))


def _visible(params, visible):
    return as_example("visible", visible, params.weights, params.visible_bias.shape)


def _hidden(params, hidden):
    return as_example("hidden", hidden, params.weights, params.hidden_bias.shape)
