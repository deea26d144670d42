"""log Z and likelihoods of restricted Boltzmann machines of any size, from both sides.

    exp(-u(t, v)) = exp((1 - t) cᵀv) exp(t aᵀv) Π_j (1 + exp(t (b_j + vᵀw_j))),    t from 0 to 1

At t = 0 the visible units are independent with the biases c, and log Z is known; at t = 1 it is the machine.
Salakhutdinov and Murray (2008), "On the quantitative analysis of deep belief networks", eqs. 15 to 18, at beta = 1.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.loops import map_chunks, repeat
from ebmjax.marginalize import enumeration
from ebmjax.marginalize.annealed import ReducedEnergy, annealed, annealed_importance, bidirectional
from ebmjax.sample.gibbs import alternate
from ebmjax.sample.units import draw
from ebmjax.types import BITS, Estimate, KernelAtBeta

MOST_HIDDEN = 20
"""Of a machine with at most so many hidden units, log Z and draws are exact: all hidden states are enumerated."""


class Path(NamedTuple):
    """The laws of the visible units on the way, a sampler for each of them, and log Z of the first."""

    reduced_energy: ReducedEnergy
    make_kernel: KernelAtBeta
    log_partition: Float[Array, ""]


def path(params: rbm.Params, base: Float[Array, " visible"]) -> Path:
    """From independent units with the biases `base` to the machine.

    Args:
        params: the machine.
        base: c, such as the logits of the mean of the data; a path from there is shorter than one from c = 0.
    """
    hidden = params.hidden_bias.shape[0]

    def reduced_energy(t, visible):
        units = jax.nn.softplus(t * rbm.hidden_field(params, visible)).sum()
        return -((1 - t) * (base @ visible) + t * (params.visible_bias @ visible) + units)

    def make_kernel(t):
        def sweep(key, visible):
            up, down = jax.random.split(key)
            units = draw(up, t * rbm.hidden_field(params, visible), 1.0, BITS)
            return draw(down, (1 - t) * base + t * rbm.visible_field(params, units), 1.0, BITS)

        return alternate([sweep])

    return Path(reduced_energy, make_kernel, jax.nn.softplus(base).sum() + hidden * math.log(2))


def log_partition(params: rbm.Params) -> Float[Array, ""]:
    """log Σ_h Σ_v exp(-E(v, h)), the hidden states enumerated and the visible units summed in closed form.

    The hidden units are divided into two halves. The fields of all states of one half are computed once, and used for
    every state of the other half.
    """
    hidden = params.hidden_bias.shape[0]
    inner = hidden // 2
    states = lambda units: ((jnp.arange(2**units)[:, None] >> jnp.arange(units)[None]) & 1).astype(jnp.float32)
    fields, biases = states(inner) @ params.weights[:, :inner].T, states(inner) @ params.hidden_bias[:inner]

    def given(outer):
        field = params.visible_bias + params.weights[:, inner:] @ outer
        sums = jax.nn.softplus(fields + field[None]).sum(axis=1)
        return jax.nn.logsumexp(sums + biases) + params.hidden_bias[inner:] @ outer

    return jax.nn.logsumexp(map_chunks(given, states(hidden - inner), 1))


def ends(
    key: Key[Array, ""], params: rbm.Params, base: Float[Array, " visible"], chains: int, temperatures: int, sweeps: int
) -> Float[Array, "chains visible"]:
    """Draws of the machine: exact ones where its hidden units can be enumerated, else those of long chains.

    The long chains begin where annealed ones end, chosen in proportion to their weights.

    Args:
        key: typed random key.
        params: the machine.
        base: as in `path`.
        chains: how many draws.
        temperatures, sweeps: of the long chains.
    """
    few = params.hidden_bias.shape[0] <= MOST_HIDDEN
    return _exact_ends(key, params, chains) if few else _chained_ends(key, params, base, chains, temperatures, sweeps)


def _exact_ends(key, params, chains):
    turned = rbm.Params(params.weights.T, params.hidden_bias, params.visible_bias)
    free = lambda hidden: rbm.summed_free_energy(turned, hidden, 1.0)
    hidden_key, visible_key = jax.random.split(key)
    hidden = enumeration.draws(hidden_key, free, params.hidden_bias.shape[0], 1.0, chains)
    fields = jax.vmap(lambda units: rbm.visible_field(params, units))(hidden)
    return draw(visible_key, fields, 1.0, BITS)


def _chained_ends(key, params, base, chains, temperatures, sweeps):
    start_key, anneal_key, choose_key, chain_key = jax.random.split(key, 4)
    way = path(params, base)
    schedule = jnp.linspace(0, 1, temperatures)
    run = annealed(anneal_key, way.reduced_energy, way.make_kernel, schedule, starts_of(start_key, base, chains))
    chosen = run.positions[jax.random.categorical(choose_key, run.log_weights, shape=(chains,))]
    kernel = way.make_kernel(1.0)
    go_on = lambda key, visible: repeat(key, kernel, kernel.init(visible), sweeps).state.position
    return jax.vmap(go_on)(jax.random.split(chain_key, chains), chosen)


def starts_of(key: Key[Array, ""], base: Float[Array, " visible"], chains: int) -> Float[Array, "chains visible"]:
    """Exact draws of independent units with the biases `base`."""
    return draw(key, jnp.broadcast_to(base, (chains, len(base))), 1.0, BITS)


def sandwiched(
    key: Key[Array, ""],
    params: rbm.Params,
    base: Float[Array, " visible"],
    machine_draws: Float[Array, "chains visible"],
    temperatures: int,
) -> Estimate:
    """log Z between bounds: chains that go from independent units to the machine, and as many others that go back.

    Args:
        key: typed random key.
        params: the machine.
        base: as in `path`.
        machine_draws: of `ends`, where the way back begins.
        temperatures: laws on the way, equally spaced in t.
    """
    start_key, key = jax.random.split(key)
    way, schedule = path(params, base), jnp.linspace(0, 1, temperatures)
    starts = starts_of(start_key, base, len(machine_draws))
    return bidirectional(key, way.reduced_energy, way.make_kernel, schedule, starts, machine_draws, way.log_partition)


def forward(
    key: Key[Array, ""], params: rbm.Params, base: Float[Array, " visible"], chains: int, temperatures: int
) -> Estimate:
    """log Z from chains that go from independent units to the machine; arguments as in `sandwiched`."""
    start_key, key = jax.random.split(key)
    way, starts = path(params, base), starts_of(start_key, base, chains)
    schedule = jnp.linspace(0, 1, temperatures)
    return annealed_importance(key, way.reduced_energy, way.make_kernel, schedule, starts, way.log_partition)


def log_likelihoods(
    params: rbm.Params, visible: Float[Array, "samples visible"], log_partition: Float[Array, ""]
) -> Float[Array, " samples"]:
    """log p(v) = -F(v) - log Z in nats, for F of the literature, a sum over the hidden states."""
    free = jax.vmap(lambda v: jnp.asarray(rbm.summed_free_energy(params, v, 1.0)))(visible)
    return -free - log_partition
