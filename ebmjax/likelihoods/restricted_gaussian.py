"""Likelihoods of restricted Boltzmann machines with Gaussian visible units, at any beta in (0, inf).

    log p(v) = -beta/2 ‖(v - a)/σ‖² + Σ_j log(1 + exp(beta field_j(v))) - log Z

At beta the machine is that with σ/√beta for σ, √beta W and beta b, at beta = 1. Its log Z is exact for up to 28 hidden
units: given h the visible units are integrated in closed form,

    ∫ exp(-E(v, h)) dv = Π_i σ_i √(2π) · exp(½ ‖Wh‖² + (a/σ)ᵀWh + bᵀh)

Beyond, `path` leads to the machine from a normal law N(m, s²) of independent visible units, the hidden units summed:

    u(t, v) = (1 - t)/2 ‖(v - m)/s‖² + t/2 ‖(v - a)/σ‖² - Σ_j log(1 + exp(t field_j(v)))

Salakhutdinov and Murray (2008), section 4.1, for binary units; Cho, Ilin, Raiko (2011) for the model.
"""

import math
from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import as_beta, as_float, as_params, check_above_zero, check_finite_beta, check_record
from ebmjax.compiled import compiled
from ebmjax.energies import restricted_boltzmann_gaussian as rbm
from ebmjax.energies.restricted_boltzmann_gaussian import Params as Params
from ebmjax.gaussian import Gaussian, reparameterize
from ebmjax.likelihoods.paths import Path, relative
from ebmjax.marginalize import enumeration
from ebmjax.marginalize.enumeration import exact_estimate
from ebmjax.numerics import matmul, sum_softplus
from ebmjax.sample.gibbs import alternate
from ebmjax.sample.units import draw
from ebmjax.types import BITS, Beta, Estimate, Numbers


def path(params: Params, beta: Beta, base: Gaussian) -> Path:
    """From independent normal visible units with the law `base` to the machine; a position is the visible units.

    Args:
        params: the machine.
        beta: inverse temperature in (0, inf), static or traced.
        base: mean m and log-variance log s² of every visible unit, such as those of the data.

    Raises:
        ValueError: other parameters, a beta that is not positive and finite, a base of another shape than the units.

    >>> params = Params(jnp.zeros((2, 3)), jnp.zeros(2), jnp.zeros(3), jnp.zeros(2))
    >>> way = path(params, 0.5, Gaussian(jnp.zeros(2), jnp.zeros(2)))
    >>> round(float(way.log_partition), 4)  # log 2π + 3 log 2
    3.9173
    """
    machine = _warmed(params, beta)
    check_record("base", base, Gaussian)
    shape = machine.visible_bias.shape
    mean, log_variance = (
        as_float("base.mean", base.mean, shape),
        as_float("base.log_variance", base.log_variance, shape),
    )
    scale = jnp.exp(machine.log_scale)

    def reduced_energy(t, visible):
        first = jnp.sum(jnp.square(visible - mean) * jnp.exp(-log_variance)) / 2
        return (1 - t) * first + t * _quadratic(machine, visible) - sum_softplus(t * rbm.hidden_field(machine, visible))

    def make_kernel(t):
        def sweep(key, visible):
            up, down = jax.random.split(key)
            units = draw(up, t * rbm.hidden_field(machine, visible), 1.0, BITS)
            first, last = (1 - t) * jnp.exp(-log_variance), t / jnp.square(scale)  # precisions
            centre = (first * mean + last * (machine.visible_bias + scale * matmul(machine.weights, units))) / (
                first + last
            )
            noise = jax.random.normal(down, visible.shape, visible.dtype)
            return reparameterize(Gaussian(centre, -jnp.log(first + last)), noise)

        return alternate([sweep])

    def starts(key, chains):
        noise = jax.random.normal(key, (chains, *shape), mean.dtype)
        return jax.vmap(lambda noise: reparameterize(Gaussian(mean, log_variance), noise))(noise)

    volume = jnp.sum(log_variance + math.log(2 * math.pi)) / 2
    return Path(reduced_energy, make_kernel, starts, volume + machine.hidden_bias.shape[0] * math.log(2))


def log_partition(params: Params, beta: Beta) -> Estimate:
    """log Z = log ∫ Σ_h exp(-beta E(v, h)) dv, exactly, by all states of at most 28 hidden units.

    Args:
        params: the machine.
        beta: inverse temperature in (0, inf), static or traced.

    Returns:
        `Estimate` with a standard error of zero.

    Raises:
        ValueError: other parameters, a beta that is not positive and finite, more than 28 hidden units.

    >>> params = Params(jnp.zeros((2, 3)), jnp.zeros(2), jnp.zeros(3), jnp.zeros(2))
    >>> round(float(log_partition(params, 0.5).log_partition), 4)  # log 4π + 3 log 2
    4.6105
    """
    return _log_partition(_warmed(params, beta))


@compiled
def _log_partition(machine):
    energy = lambda units: _integrated(machine, units)
    found = enumeration.log_partition(energy, machine.hidden_bias.shape[0], 1.0).log_partition
    return exact_estimate(found + jnp.sum(machine.log_scale + math.log(2 * math.pi) / 2))


def draws(key: Key[Array, ""], params: Params, beta: Beta, count: int) -> Float[Array, "count visible"]:
    """Independent exact draws of the visible units of a machine with at most 28 hidden units.

    Args:
        key: typed random key.
        params, beta: as in `log_partition`, as are the errors.
        count: how many, at least 1.

    Raises:
        ValueError: a key that is not typed, a count below 1.

    >>> params = Params(jnp.zeros((2, 3)), jnp.zeros(2), jnp.zeros(3), jnp.zeros(2))
    >>> draws(jax.random.key(0), params, 0.5, 4).shape
    (4, 2)
    """
    return _draws(key, _warmed(params, beta), count)


@compiled
def _draws(key, machine, count):
    states_key, noise_key = jax.random.split(key)
    energy = lambda units: _integrated(machine, units)
    states = enumeration.draws(states_key, energy, machine.hidden_bias.shape[0], 1.0, count)
    mean, deviation = jax.vmap(lambda units: rbm.visible_law(machine, units, 1.0))(states)
    return mean + deviation * jax.random.normal(noise_key, mean.shape, mean.dtype)


def log_likelihoods(
    params: Params, visible: Annotated[Numbers, "samples visible"], beta: Beta, log_partition: Estimate
) -> Estimate:
    """log p(v) of every sample: the logarithm of a density, in nats, in the units of v.

    Args:
        params: the machine.
        visible: values of the visible units.
        beta: inverse temperature in (0, inf), static or traced.
        log_partition: log Z of the machine at this beta, of `log_partition`, `paths.forward` or `paths.sandwiched`.

    Returns:
        `Estimate` with the axis samples. Its errors and bounds are those of log Z, the same for all samples.

    Raises:
        ValueError: other parameters, a beta that is not positive and finite, samples of another number of units.

    >>> params = Params(jnp.zeros((1, 3)), jnp.zeros(1), jnp.zeros(3), jnp.zeros(1))
    >>> found = log_likelihoods(params, jnp.zeros((1, 1)), 0.5, log_partition(params, 0.5))
    >>> round(float(found.log_partition[0]), 4)  # -log √(4π)
    -1.2655
    """
    machine = _warmed(params, beta)
    visible = as_float("visible", visible, (None, machine.visible_bias.shape[0]))
    return relative(_densities(machine, visible), log_partition)


@compiled
def _densities(machine, visible):
    def log_sum(one):
        return sum_softplus(rbm.hidden_field(machine, one)) - _quadratic(machine, one)

    return exact_estimate(jax.vmap(log_sum)(visible))


def _warmed(params, beta):
    """The machine whose law at beta = 1 is that of these parameters at beta."""
    check_finite_beta(beta)
    check_above_zero("beta", beta)
    params = as_params(params, Params)
    beta = jnp.asarray(as_beta(beta)).astype(params.weights.dtype)
    weights, hidden_bias = jnp.sqrt(beta) * params.weights, beta * params.hidden_bias
    return Params(weights, params.visible_bias, hidden_bias, params.log_scale - jnp.log(beta) / 2)


def _quadratic(machine, visible):
    return jnp.sum(jnp.square((visible - machine.visible_bias) * jnp.exp(-machine.log_scale))) / 2


def _integrated(machine, units):
    """-log ∫ exp(-E(v, h)) dv without Π_i σ_i √(2π)."""
    pull = matmul(machine.weights, units)
    linear = matmul(machine.visible_bias * jnp.exp(-machine.log_scale), pull) + matmul(machine.hidden_bias, units)
    return -(jnp.sum(jnp.square(pull)) / 2 + linear)
