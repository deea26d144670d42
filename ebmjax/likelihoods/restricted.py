"""Likelihoods of restricted Boltzmann machines of binary units, at any inverse temperature beta in [0, inf).

    log p(v) = beta aᵀv + Σ_j log(1 + exp(beta (b_j + vᵀw_j))) - log Z

`log_partition` and `draws` are exact for up to 28 units on one side. Beyond, `path` leads to the machine from
independent visible units with the biases c, the hidden units summed out:

    exp(-u(t, v)) = exp((1 - t) cᵀv) exp(t beta aᵀv) Π_j (1 + exp(t beta (b_j + vᵀw_j)))

Salakhutdinov and Murray (2008), "On the quantitative analysis of deep belief networks", eqs. 15 to 18, at beta = 1.
"""

from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import as_float
from ebmjax.compiled import compiled
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies.restricted_boltzmann import Params as Params
from ebmjax.likelihoods.paths import Path, independent, relative, warmed
from ebmjax.marginalize import enumeration
from ebmjax.marginalize.enumeration import exact_estimate
from ebmjax.numerics import matmul, sum_softplus
from ebmjax.sample.gibbs import alternate
from ebmjax.sample.units import draw
from ebmjax.types import BITS, Beta, Estimate, Numbers

MOST = enumeration.MOST
"""With at most so many units on one side log Z and draws are exact."""


def path(params: Params, beta: Beta, base: Annotated[Numbers, "visible"]) -> Path:
    """From independent visible units with the biases `base` to the machine; a position is the visible units.

    Args:
        params: the machine.
        beta: inverse temperature in [0, inf), static or traced.
        base: c, such as `paths.base_biases` of the data.

    Raises:
        ValueError: other parameters, a bad or infinite beta, a base of another shape than the visible biases.

    >>> way = path(Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2)), 0.5, jnp.zeros(3))
    >>> round(float(way.log_partition), 4), round(float(way.reduced_energy(1.0, jnp.zeros(3))), 4)  # 5 log 2, -2 log 2
    (3.4657, -1.3863)
    """
    machine = warmed(params, Params, beta)
    base = as_float("base", base, machine.visible_bias.shape)
    hidden = machine.hidden_bias.shape[0]

    # the fields of the weights at both neighbouring t and those of the next sweep are one matrix product, computed once
    def reduced_energy(t, visible):
        biases = (1 - t) * matmul(base, visible) + t * matmul(machine.visible_bias, visible)
        return -(biases + sum_softplus(t * rbm.hidden_field(machine, visible)))

    def make_kernel(t):
        def sweep(key, visible):
            up, down = jax.random.split(key)
            units = draw(up, t * rbm.hidden_field(machine, visible), 1.0, BITS)
            return draw(down, (1 - t) * base + t * rbm.visible_field(machine, units), 1.0, BITS)

        return alternate([sweep])

    starts = lambda key, chains: independent(key, base, chains)
    return Path(reduced_energy, make_kernel, starts, sum_softplus(base) + hidden * jnp.log(2.0))


def log_partition(params: Params, beta: Beta) -> Estimate:
    """log Z = log Σ_v Σ_h exp(-beta E(v, h)), exactly: all states of the smaller side, the other in closed form.

    Args:
        params: of a machine with at most 28 units on one side.
        beta: inverse temperature in [0, inf), static or traced.

    Returns:
        `Estimate` with a standard error of zero.

    Raises:
        ValueError: other parameters, a bad or infinite beta, more than 28 units on both sides.

    >>> params = Params(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> round(float(log_partition(params, 0.5).log_partition), 4)  # 5 log 2
    3.4657
    """
    return _log_partition(warmed(params, Params, beta))


@compiled
def _log_partition(machine):
    _, smaller = _smaller_side(machine)
    return enumeration.log_partition(lambda units: -_log_sum(smaller, units), smaller.visible_bias.shape[0], 1.0)


def draws(key: Key[Array, ""], params: Params, beta: Beta, count: int) -> Float[Array, "count visible"]:
    """Independent exact draws of the visible units of a machine with at most 28 units on one side.

    Args:
        key: typed random key.
        params, beta: as in `log_partition`, as are the errors.
        count: how many, at least 1.

    Raises:
        ValueError: a key that is not typed, a count below 1.

    >>> draws(jax.random.key(0), Params(jnp.zeros((2, 1)), jnp.array([-50.0, 50.0]), jnp.zeros(1)), 1.0, 2).tolist()
    [[0.0, 1.0], [0.0, 1.0]]
    """
    return _draws(key, warmed(params, Params, beta), count)


@compiled
def _draws(key, machine, count):
    states_key, visible_key = jax.random.split(key)
    turned, smaller = _smaller_side(machine)
    size = smaller.visible_bias.shape[0]
    states = enumeration.draws(states_key, lambda units: -_log_sum(smaller, units), size, 1.0, count)
    if not turned:
        return states
    return draw(visible_key, jax.vmap(lambda units: rbm.visible_field(machine, units))(states), 1.0, BITS)


def log_likelihoods(
    params: Params, visible: Annotated[Numbers, "samples visible"], beta: Beta, log_partition: Estimate
) -> Estimate:
    """log p(v) of every sample, in nats.

    Args:
        params: the machine.
        visible: states of the visible units.
        beta: inverse temperature in [0, inf), static or traced.
        log_partition: log Z of the machine at this beta, of `log_partition`, `paths.forward` or `paths.sandwiched`.

    Returns:
        `Estimate` with the axis samples. Its errors and bounds are those of log Z, the same for all samples.

    Raises:
        ValueError: other parameters, a bad or infinite beta, samples of another number of units.

    >>> params = Params(jnp.zeros((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> found = log_likelihoods(params, jnp.zeros((1, 3)), 0.5, log_partition(params, 0.5))
    >>> (found.log_partition + 3 * jnp.log(2)).round(4).tolist()
    [0.0]
    """
    machine = warmed(params, Params, beta)
    visible = as_float("visible", visible, (None, machine.visible_bias.shape[0]))
    return relative(_densities(machine, visible), log_partition)


@compiled
def _densities(machine, visible):
    return exact_estimate(jax.vmap(lambda one: _log_sum(machine, one))(visible))


def _log_sum(machine, visible):
    """log Σ_h exp(-E(v, h))."""
    return matmul(machine.visible_bias, visible) + sum_softplus(rbm.hidden_field(machine, visible))


def _smaller_side(machine):
    """Whether the hidden side is the smaller one, and the machine with the smaller side as its visible one."""
    visible, hidden = machine.weights.shape
    if visible < hidden:
        return False, machine
    return True, Params(machine.weights.T, machine.hidden_bias, machine.visible_bias)
