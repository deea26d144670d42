"""Restricted Boltzmann machine for real numbers: Gaussian visible units and binary hidden units.

    E(v, h) = ½ ‖(v - a)/σ‖² - bᵀh - (v/σ)ᵀWh,    v ∈ ℝ^V, h ∈ {0,1}^H

Every visible unit has a scale σ of its own, learned as its logarithm, so that it stays positive. Visible units enter
the couplings as v/σ, the convention of Hinton and of Krizhevsky (Cho et al. write v/σ²): W and b are energies, a and σ
have the units of v. Given h, v is normal with mean a + σWh and standard deviation σ/√beta. Given v, the hidden units
have the conditional law P(h_j = 1 | v) = σ(beta · field_j), with the logistic function σ, as for binary visible units.

Hinton (2010), "A practical guide to training restricted Boltzmann machines", section 13.2; Krizhevsky (2009),
"Learning multiple layers of features from tiny images"; Cho, Ilin, Raiko (2011), "Improved learning of
Gaussian-Bernoulli restricted Boltzmann machines".
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import as_beta, as_example, as_float, as_params, check_above_zero, check_count, check_key
from ebmjax.energies.restricted_boltzmann import summed_units
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.temperature import softmin
from ebmjax.types import Beta, Numbers, Scalar


@record
class Params(NamedTuple):
    """Couplings and hidden biases in units of energy, visible biases and scales in those of the data."""

    weights: Float[Array, "visible hidden"]
    """W."""
    visible_bias: Float[Array, " visible"]
    """a."""
    hidden_bias: Float[Array, " hidden"]
    """b."""
    log_scale: Float[Array, " visible"]
    """log σ."""


def init(
    key: Key[Array, ""],
    visible_mean: Annotated[Numbers, "visible"],
    visible_deviation: Annotated[Numbers, "visible"],
    hidden: int,
    scale: float = 0.01,
) -> Params:
    """Small Gaussian weights, hidden biases of zero, and the means and standard deviations of the data.

    Args:
        key: typed random key.
        visible_mean: mean of every visible unit in the data.
        visible_deviation: standard deviation of every visible unit in the data; values below 1e-3 are raised to 1e-3.
        hidden: number of hidden units.
        scale: standard deviation of the weights.

    Raises:
        ValueError: means or deviations that are no vectors of numbers of one length, hidden below 1.

    >>> params = init(jax.random.key(0), jnp.array([3.0, 4.0]), jnp.ones(2), hidden=3)
    >>> params.visible_bias.tolist(), params.log_scale.tolist()
    ([3.0, 4.0], [0.0, 0.0])
    """
    check_key("key", key)
    check_count("hidden", hidden)
    mean = as_float("visible_mean", visible_mean, (None,))
    deviation = as_float("visible_deviation", visible_deviation, mean.shape).astype(mean.dtype)
    weights = scale * jax.random.normal(key, (len(mean), hidden), mean.dtype)
    return Params(weights, mean, jnp.zeros(hidden, mean.dtype), jnp.log(jnp.maximum(deviation, 1e-3)))


def energy(params: Params, visible: Annotated[Numbers, "visible"], hidden: Annotated[Numbers, "hidden"]) -> Scalar:
    """E(v, h) of one joint state, a scalar. Raises ValueError for other parameters, or units of another number.

    >>> params = Params(jnp.ones((2, 3)), jnp.zeros(2), jnp.zeros(3), jnp.log(jnp.full(2, 2.0)))
    >>> float(energy(params, jnp.array([2.0, 2.0]), jnp.ones(3)))  # ½ (1 + 1) - 2 · 3
    -5.0
    """
    params = as_params(params, Params)
    visible, hidden = _visible(params, visible), _hidden(params, hidden)
    return _quadratic(params, visible) - matmul(hidden, hidden_field(params, visible))


def hidden_field(params: Params, visible: Annotated[Numbers, "visible"]) -> Float[Array, " hidden"]:
    """b + (v/σ)ᵀW: the energy gap E(h_j = 0) - E(h_j = 1) of each hidden unit.

    The conditional law of a hidden unit is P(h_j = 1 | v) = σ(beta · field_j), with the logistic function σ.
    Raises ValueError for other parameters, or visible units of another number; `jax.vmap` takes a batch.

    >>> params = Params(jnp.ones((2, 3)), jnp.zeros(2), jnp.zeros(3), jnp.log(jnp.full(2, 2.0)))
    >>> hidden_field(params, jnp.array([2.0, 2.0])).tolist()
    [2.0, 2.0, 2.0]
    """
    params = as_params(params, Params)
    return params.hidden_bias + matmul(_visible(params, visible) * jnp.exp(-params.log_scale), params.weights)


def visible_law(
    params: Params, hidden: Annotated[Numbers, "hidden"], beta: Beta
) -> tuple[Float[Array, " visible"], Float[Array, " visible"]]:
    """The conditional law of the visible units given the hidden units: means a + σWh, standard deviations σ/√beta.

    The deviations are 0 at beta = inf, and infinite at beta = 0, where no law exists. Raises ValueError for other
    parameters, hidden units of another number, or a beta that is negative, NaN or not a scalar.

    >>> params = Params(jnp.ones((2, 3)), jnp.zeros(2), jnp.zeros(3), jnp.zeros(2))
    >>> [x.tolist() for x in visible_law(params, jnp.ones(3), beta=4.0)]
    [[3.0, 3.0], [0.5, 0.5]]
    """
    params, beta = as_params(params, Params), as_beta(beta)
    scale = jnp.exp(params.log_scale)
    mean = params.visible_bias + scale * matmul(params.weights, _hidden(params, hidden))
    return mean, scale / jnp.sqrt(jnp.asarray(beta, scale.dtype))


def free_energy(params: Params, visible: Annotated[Numbers, "visible"], beta: Beta) -> Scalar:
    """F_beta(v) = ½ ‖(v - a)/σ‖² + Σ_j softmin_beta(0, -field_j): the free energy over all hidden states.

    As for binary visible units, it averages over the hidden states, which are independent given v, so that
    `log_partition` of it is log Z - hidden · log 2; `summed_free_energy` sums them. Arguments and errors
    as in `restricted_boltzmann.free_energy`.

    >>> params = Params(jnp.ones((2, 3)), jnp.zeros(2), jnp.zeros(3), jnp.zeros(2))
    >>> [float(free_energy(params, jnp.ones(2), beta)) for beta in (0.0, jnp.inf)]
    [-2.0, -5.0]
    """
    params = as_params(params, Params)
    visible = _visible(params, visible)
    field = hidden_field(params, visible)
    off_on = jnp.stack([jnp.zeros_like(field), -field])
    return _quadratic(params, visible) + softmin(off_on, beta, axis=0).sum()


def summed_free_energy(params: Params, visible: Annotated[Numbers, "visible"], beta: Beta) -> Scalar:
    """½ ‖(v - a)/σ‖² - 1/beta Σ_j log(1 + exp(beta field_j)): the sum over the hidden states, as in the literature.

    It is `free_energy` less hidden · log 2 / beta, so that its `log_partition` is the machine's log Z. Arguments and
    errors as in `restricted_boltzmann.summed_free_energy`.

    >>> params = Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2), jnp.zeros(3))
    >>> round(float(summed_free_energy(params, jnp.zeros(3), 1.0)), 4)  # -2 log 2
    -1.3863
    """
    check_above_zero("beta", beta)
    value = jnp.asarray(free_energy(params, visible, beta))
    return value - summed_units(params.hidden_bias.shape[0], beta, value.dtype)


def _visible(params, visible):
    return as_example("visible", visible, params.weights, params.visible_bias.shape)


def _hidden(params, hidden):
    return as_example("hidden", hidden, params.weights, params.hidden_bias.shape)


def _quadratic(params, visible):
    return 0.5 * jnp.sum(((visible - params.visible_bias) * jnp.exp(-params.log_scale)) ** 2)
