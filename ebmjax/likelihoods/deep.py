"""Likelihoods of deep Boltzmann machines, at any inverse temperature beta in [0, inf).

    log p(v) = log Σ_h exp(-beta E(v, h)) - log Z

Given the odd layers, the units of the even layers are independent. So `path` has the odd layers as its position, with
the even ones, the visible layer among them, summed out; it begins at independent units. With at most 28 units on one
of the two sides `log_partition` is exact. The posterior sum over h is a log Z as well, that of the machine without its
visible layer (`clamped`), so that the same path estimates it. Two answers for log p(v):

    bounds            from below, by mean fields of the posterior: the published measure of these machines
    log_likelihoods   by annealing from the mean fields to the posterior: tighter, and unbiased for p*(v)

Salakhutdinov and Hinton (2009), "Deep Boltzmann machines", sections 3.1 and 3.2, eqs. 6 to 9; Salakhutdinov and Murray
(2008), "On the quantitative analysis of deep belief networks".
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, as_float, check_count
from ebmjax.compiled import compiled
from ebmjax.energies import deep_boltzmann as dbm
from ebmjax.energies.deep_boltzmann import Params as Params
from ebmjax.likelihoods.paths import Path, as_schedule, forward, independent, relative, warmed
from ebmjax.loops import map_chunks
from ebmjax.marginalize import enumeration
from ebmjax.marginalize.mean_field import mean_field
from ebmjax.numerics import matmul, sum_softplus
from ebmjax.sample.gibbs import alternate
from ebmjax.sample.units import draw
from ebmjax.types import BITS, Beta, Estimate, Numbers, Scalar


def path(params: Params, beta: Beta, base: Sequence[Numbers]) -> Path:
    """From independent units with the biases `base` to the machine; a position is a tuple of the odd layers.

    Args:
        params: a machine of at least two layers.
        beta: inverse temperature in [0, inf), static or traced.
        base: a vector of biases for each layer. For the visible layer `paths.base_biases` of the data, for hidden
            layers zeros, or the logits of their means.

    Raises:
        ValueError: other parameters, a bad or infinite beta, biases of other shapes than the layers.

    Salakhutdinov and Hinton (2009), section 3.3, for two hidden layers.

    >>> params = Params((jnp.ones((3, 2)), jnp.ones((2, 1))), (jnp.zeros(3), jnp.zeros(2), jnp.zeros(1)))
    >>> way = path(params, 0.5, (jnp.zeros(3), jnp.zeros(2), jnp.zeros(1)))
    >>> round(float(way.log_partition), 4)  # 6 log 2
    4.1589
    """
    machine = _checked(params, beta)
    base = _base(machine, base)
    odd, even = dbm.odd_even(len(base))

    # the products with the weights are the same at every t, so that neighbouring laws share them
    def mixed(t, layers, members):
        fields = dbm.fields(machine, _filled(machine, layers))
        return [(1 - t) * base[level] + t * fields[level] for level in members]

    def reduced_energy(t, position):
        own = [(1 - t) * base[level] + t * machine.biases[level] for level in odd]
        alone = [matmul(bias, units) for bias, units in zip(own, position, strict=True)]
        summed = [sum_softplus(field) for field in mixed(t, dict(zip(odd, position, strict=True)), even)]
        return -jnp.stack(alone + summed).sum()

    def make_kernel(t):
        def drawn(key, layers, members):
            keys = jax.random.split(key, len(members))
            return [draw(key, field, 1.0, BITS) for key, field in zip(keys, mixed(t, layers, members), strict=True)]

        def sweep(key, position):
            down, up = jax.random.split(key)
            others = drawn(down, dict(zip(odd, position, strict=True)), even)
            return tuple(drawn(up, dict(zip(even, others, strict=True)), odd))

        return alternate([sweep])

    def starts(key, chains):
        keys = jax.random.split(key, len(odd))
        return tuple(independent(key, base[level], chains) for key, level in zip(keys, odd, strict=True))

    return Path(reduced_energy, make_kernel, starts, jnp.stack([sum_softplus(biases) for biases in base]).sum())


def log_partition(params: Params, beta: Beta) -> Estimate:
    """log Z = log Σ exp(-beta E) over all layers, exactly: all states of the odd or of the even layers.

    Args:
        params: of a machine with at most 28 units in the odd layers, or in the even ones.
        beta: inverse temperature in [0, inf), static or traced.

    Returns:
        `Estimate` with a standard error of zero.

    Raises:
        ValueError: other parameters, a bad or infinite beta, more than 28 units on both sides.

    >>> params = Params((jnp.zeros((3, 2)), jnp.zeros((2, 1))), (jnp.zeros(3), jnp.zeros(2), jnp.zeros(1)))
    >>> round(float(log_partition(params, 0.5).log_partition), 4)  # 6 log 2
    4.1589
    """
    return _log_partition(_checked(params, beta))


@compiled
def _log_partition(machine):
    sizes = [bias.shape[0] for bias in machine.biases]
    sides = sorted(dbm.odd_even(len(sizes)), key=lambda side: sum(sizes[level] for level in side))
    few, many = sides
    edges = [sum(sizes[level] for level in few[:place]) for place in range(1, len(few))]

    def energy(units):
        layers = dict(zip(few, jnp.split(units, edges), strict=True))
        alone = [matmul(machine.biases[level], layers[level]) for level in few]
        fields = dbm.fields(machine, _filled(machine, layers))
        return -jnp.stack(alone + [sum_softplus(fields[level]) for level in many]).sum()

    return enumeration.log_partition(energy, sum(sizes[level] for level in few), 1.0)


def clamped(params: Params, visible: Annotated[Numbers, "visible"]) -> tuple[Params, Float[Array, ""]]:
    """The machine of the hidden layers given v, and the log-weight b₀ᵀv that their law does not see.

        E(v, h) = E_v(h) - b₀ᵀv

    The first hidden layer takes W₀ᵀv into its biases. So log Σ_h exp(-beta E(v, h)) is beta b₀ᵀv and log Z of the
    machine E_v at beta.

    Args:
        params: of a machine with at least two hidden layers.
        visible: v, one state.

    Raises:
        ValueError: other parameters, fewer than two hidden layers, visible units of another number.

    >>> params = Params((jnp.ones((3, 2)), jnp.ones((2, 1))), (jnp.ones(3), jnp.zeros(2), jnp.zeros(1)))
    >>> machine, weight = clamped(params, jnp.ones(3))
    >>> machine.biases[0].tolist(), float(weight)
    ([3.0, 3.0], 3.0)
    """
    params = _checked(params, 1.0)
    if len(params.weights) < 2:
        raise ArgumentError("params: got one hidden layer, wanted two; `likelihoods.restricted` is for one")
    visible = as_float("visible", visible, params.biases[0].shape).astype(params.biases[0].dtype)
    first = params.biases[1] + matmul(visible, params.weights[0])
    return Params(params.weights[1:], (first, *params.biases[2:])), matmul(params.biases[0], visible)


def bounds(
    params: Params,
    visible: Annotated[Numbers, "samples visible"],
    beta: Beta,
    log_partition: Estimate,
    max_sweeps: int = 100,
    tolerance: Scalar = 1e-5,
) -> Estimate:
    """Lower bounds of log p(v) by mean fields q of the posterior, for every sample, in nats.

        log p(v) ≥ -beta <E(v, h)>_q + H(q) - log Z

    Args:
        params: the machine.
        visible: states of the visible units.
        beta: inverse temperature in (0, inf), static or traced.
        log_partition: log Z of the machine at this beta, of `log_partition`, `paths.forward` or `paths.sandwiched`.
        max_sweeps, tolerance: as in `ebmjax.marginalize.mean_field.mean_field`, whose sweeps begin at means of ½.

    Returns:
        `Estimate` with the axis samples, whose `log_partition` is the bound itself, and whose `lower` also takes the
        upper bound of log Z. `result` is `STEP_LIMIT` where the means have not settled: the bound holds all the same.

    Raises:
        ValueError: other parameters, a bad or infinite beta, samples of another number of units, max_sweeps below 1, a
            negative tolerance.

    Salakhutdinov and Hinton (2009), eqs. 6 to 9, at beta = 1.

    >>> params = Params((jnp.zeros((3, 2)), jnp.zeros((2, 1))), (jnp.zeros(3), jnp.zeros(2), jnp.zeros(1)))
    >>> found = bounds(params, jnp.zeros((1, 3)), 0.5, log_partition(params, 0.5))
    >>> round(float(found.log_partition[0]), 4)  # -3 log 2
    -2.0794
    """
    machine = _checked(params, beta)
    visible = as_float("visible", visible, (None, machine.biases[0].shape[0]))
    check_count("max_sweeps", max_sweeps)
    return relative(_mean_fields(machine, visible, max_sweeps, as_float("tolerance", tolerance, ()))[0], log_partition)


@compiled
def _mean_fields(machine, visible, max_sweeps, tolerance):
    """Lower bounds of log Σ_h exp(-E(v, h)) at beta = 1 as estimates, and the means of the hidden layers."""
    hidden = machine.biases[1:]
    blocks = dbm.odd_even_hidden(len(machine.biases))

    def one(units):
        start = (units, *(jnp.full_like(bias, 0.5) for bias in hidden))
        found = mean_field(lambda layers: dbm.energy(machine, layers), start, 1.0, blocks, BITS, max_sweeps, tolerance)
        # the library's free energies are means over the states, a likelihood has their sum
        bound = sum(bias.shape[0] for bias in hidden) * math.log(2) - found.energy
        unknown = jnp.full_like(bound, jnp.nan)
        estimate = Estimate(bound, unknown, unknown, bound, jnp.full_like(bound, jnp.inf), found.result)
        return estimate, found.value[1:]

    return jax.vmap(one)(visible)


def log_likelihoods(
    key: Key[Array, ""],
    params: Params,
    visible: Annotated[Numbers, "samples visible"],
    beta: Beta,
    log_partition: Estimate,
    schedule: Annotated[Numbers, "laws"],
    chains: int,
    chunk: int = 10,
) -> Estimate:
    """log p(v) of every sample, the sum over its hidden states estimated by annealing from their mean fields.

    At t = 0 the hidden units are independent with the means of the mean field of v, at t = 1 they have their posterior.
    Even with few laws on the way the estimate is above the bound of `bounds` in the mean.

    Args:
        key: typed random key.
        params: of a machine with at least two hidden layers.
        visible: states of the visible units.
        beta: inverse temperature in (0, inf), static or traced.
        log_partition: log Z of the machine at this beta, of `log_partition`, `paths.forward` or `paths.sandwiched`.
        schedule: t of each law on the way, rising from 0 to 1.
        chains: how many for each sample, at least 2.
        chunk: how many samples are annealed together, at least 1.

    Returns:
        `Estimate` with the axis samples; `lower` is a bound of log p(v) in the mean, as far as the upper bound of
        `log_partition` is.

    Raises:
        ValueError: as in `clamped` and `paths.forward`; a bad or infinite beta, a chunk below 1.

    >>> params = Params((jnp.zeros((3, 2)), jnp.zeros((2, 1))), (jnp.zeros(3), jnp.zeros(2), jnp.zeros(1)))
    >>> log_z = log_partition(params, 0.5)
    >>> found = log_likelihoods(jax.random.key(0), params, jnp.zeros((1, 3)), 0.5, log_z, jnp.linspace(0, 1, 4), 10)
    >>> round(float(found.log_partition[0]), 4)  # -3 log 2
    -2.0794
    """
    machine = _checked(params, beta)
    visible = as_float("visible", visible, (None, machine.biases[0].shape[0]))
    clamped(machine, machine.biases[0])  # refuses a machine of one hidden layer before anything is traced
    check_count("chains", chains)
    check_count("chunk", chunk)
    return relative(_posteriors(key, machine, visible, as_schedule(schedule), chains, chunk), log_partition)


@compiled
def _posteriors(key, machine, visible, schedule, chains, chunk):
    _, means = _mean_fields(machine, visible, 100, jnp.asarray(1e-4))
    keys = jax.random.split(key, len(visible))

    def one(example):
        key, units, means = example
        rest, weight = clamped(machine, units)
        # not quite certain, so that a mean of 0 or 1 shuts no state out
        means = [jnp.clip(mean, 1e-4, 1 - 1e-4) for mean in means]
        way = path(rest, 1.0, tuple(jnp.log(mean) - jnp.log1p(-mean) for mean in means))
        found = forward(key, way, schedule, chains)
        at = lambda value: value + weight
        return found._replace(log_partition=at(found.log_partition), lower=at(found.lower), upper=at(found.upper))

    return map_chunks(one, (keys, visible, means), chunk)


def _checked(params, beta):
    machine = warmed(params, Params, beta)
    dbm.check_params(machine)
    return machine


def _base(machine, base):
    if not isinstance(base, tuple | list) or len(base) != len(machine.biases):
        got = f"{len(base)}" if isinstance(base, tuple | list) else f"a {type(base).__name__}"
        raise ArgumentError(f"base: got {got}, wanted a tuple of {len(machine.biases)} vectors, one a layer")
    return tuple(
        as_float(f"base[{level}]", biases, bias.shape)
        for level, (biases, bias) in enumerate(zip(base, machine.biases, strict=True))
    )


def _filled(machine: Params, layers: dict[int, Any]) -> tuple[Array, ...]:
    """All layers, those that are not given as zeros: the fields of the layers between them do not see these."""
    return tuple(layers.get(level, jnp.zeros_like(bias)) for level, bias in enumerate(machine.biases))
