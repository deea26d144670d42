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

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import check_beta
from ebmjax.numerics import matmul
from ebmjax.temperature import softmin
from ebmjax.types import Beta, Scalar


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
    visible_mean: Float[Array, " visible"],
    visible_deviation: Float[Array, " visible"],
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

    >>> params = init(jax.random.key(0), jnp.array([3.0, 4.0]), jnp.ones(2), hidden=3)
    >>> params.visible_bias.tolist(), params.log_scale.tolist()
    ([3.0, 4.0], [0.0, 0.0])
    """
    weights = scale * jax.random.normal(key, (len(visible_mean), hidden))
    log_scale = jnp.log(jnp.maximum(visible_deviation, 1e-3))
    return Params(weights, jnp.asarray(visible_mean), jnp.zeros(hidden), log_scale)


def energy(params: Params, visible: Float[Array, " visible"], hidden: Float[Array, " hidden"]) -> Scalar:
    """E(v, h) of one joint state, a scalar.

    >>> params = Params(jnp.ones((2, 3)), jnp.zeros(2), jnp.zeros(3), jnp.log(jnp.full(2, 2.0)))
    >>> float(energy(params, jnp.array([2.0, 2.0]), jnp.ones(3)))  # ½ (1 + 1) - 2 · 3
    -5.0
    """
    return _quadratic(params, visible) - matmul(hidden, hidden_field(params, visible))


def hidden_field(params: Params, visible: Float[Array, " visible"]) -> Float[Array, " hidden"]:
    """b + (v/σ)ᵀW: the energy gap E(h_j = 0) - E(h_j = 1) of each hidden unit.

    The conditional law of a hidden unit is P(h_j = 1 | v) = σ(beta · field_j), with the logistic function σ.

    >>> params = Params(jnp.ones((2, 3)), jnp.zeros(2), jnp.zeros(3), jnp.log(jnp.full(2, 2.0)))
    >>> hidden_field(params, jnp.array([2.0, 2.0])).tolist()
    [2.0, 2.0, 2.0]
    """
    return params.hidden_bias + matmul(visible * jnp.exp(-params.log_scale), params.weights)


def visible_law(
    params: Params, hidden: Float[Array, " hidden"], beta: Beta
) -> tuple[Float[Array, " visible"], Float[Array, " visible"]]:
    """The conditional law of the visible units given the hidden units: means a + σWh, standard deviations σ/√beta.

    The deviations are 0 at beta = inf, and infinite at beta = 0, where no law exists. Raises ValueError for a beta that
    is negative, NaN or not a scalar.

    >>> params = Params(jnp.ones((2, 3)), jnp.zeros(2), jnp.zeros(3), jnp.zeros(2))
    >>> [x.tolist() for x in visible_law(params, jnp.ones(3), beta=4.0)]
    [[3.0, 3.0], [0.5, 0.5]]
    """
    check_beta(beta)
    scale = jnp.exp(params.log_scale)
    mean = params.visible_bias + scale * matmul(params.weights, hidden)
    return mean, scale / jnp.sqrt(jnp.asarray(beta, scale.dtype))


def free_energy(params: Params, visible: Float[Array, " visible"], beta: Beta) -> Scalar:
    """F_beta(v) = ½ ‖(v - a)/σ‖² + Σ_j softmin_beta(0, -field_j): the free energy over all hidden states.

    As for binary visible units, it averages over the hidden states, which are independent given v. Arguments and errors
    as in `restricted_boltzmann.free_energy`.

    >>> params = Params(jnp.ones((2, 3)), jnp.zeros(2), jnp.zeros(3), jnp.zeros(2))
    >>> [float(free_energy(params, jnp.ones(2), beta)) for beta in (0.0, jnp.inf)]
    [-2.0, -5.0]
    """
    check_beta(beta)
    field = hidden_field(params, visible)
    off_on = jnp.stack([jnp.zeros_like(field), -field])
    return _quadratic(params, visible) + softmin(off_on, beta, axis=0).sum()


def _quadratic(params, visible):
    return 0.5 * jnp.sum(((visible - params.visible_bias) * jnp.exp(-params.log_scale)) ** 2)
