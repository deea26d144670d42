"""Exact draws and exact ground states, by going through an elimination backwards.

When all units are summed out, the last one has a known law. Each unit before it has a known law given its neighbours of
later turns, which have their states already: the law is in the table from which the unit was summed out. So a state of
all units is drawn at one go, independent of others, at any temperature; taking the likeliest state at beta = inf gives
a state of least energy.

Dechter (1999), "Bucket elimination", section 4; Dawid (1992), "Applications of a general propagation algorithm".
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from ebmjax.checks import as_beta, check_count, check_key
from ebmjax.compiled import compiled
from ebmjax.marginalize.elimination import factors as of_factors
from ebmjax.marginalize.elimination.factors import Factors, as_factors
from ebmjax.marginalize.elimination.plans import Plan
from ebmjax.marginalize.elimination.summing_out import log_shares
from ebmjax.marginalize.elimination.tables import advance, index_weights, on_device, terms, without_tables
from ebmjax.types import Beta, Solution, result_of


def sample(key: Key[Array, ""], plan: Plan, factors: Factors, beta: Beta, draws: int) -> Int[Array, "draws units"]:
    """Independent draws from exp(-beta E)/Z, exact at every beta in [0, inf].

    At beta = 0 all states are equally likely, at inf those of least energy. The memory is that of a gradient, see
    `plans.size`, and 4 · draws · units bytes.

    Args:
        key: typed random key.
        plan: see `plans.plan`; known before tracing.
        factors: the terms of the energy, which fit the plan.
        beta: inverse temperature in [0, inf].
        draws: how many, static, at least 1.

    Returns:
        The number 0 … q - 1 of the state of each unit; -1 for all where there is no law: an energy is NaN or -inf, no
        state is allowed, a traced beta is negative, or states are forbidden at beta = 0.

    Raises:
        ValueError: a key that is not typed, draws below 1; plan, factors and beta as in `exact.free_energy`.

    >>> from ebmjax.marginalize.elimination import factors, graphs, plans
    >>> pair = plans.plan(graphs.from_edges(2, [(0, 1)]))
    >>> drawn = sample(jax.random.key(0), pair, factors.potts([1.0], jnp.zeros((2, 2))), jnp.inf, draws=100)
    >>> drawn.shape, bool(jnp.all(drawn[:, 0] == drawn[:, 1])), bool(20 < drawn[:, 0].sum() < 80)
    ((100, 2), True, True)
    """
    check_key("key", key)
    check_count("draws", draws)
    factors = as_factors(plan, factors)
    beta = jnp.asarray(as_beta(beta)).astype(factors.unary.dtype)
    return _sample(key, on_device(plan), factors, jnp.where(beta >= 0, beta, jnp.nan), int(draws))


def ground_state(plan: Plan, factors: Factors) -> Solution:
    """A state of least energy, exact to rounding. Of several it is always the same one.

    Args:
        plan: see `plans.plan`; known before tracing.
        factors: the terms of the energy, which fit the plan.

    Returns:
        `Solution`: `value` has the number of the state of each unit, `gap` is how far its energy, a sum over all
        factors, lies above the least energy that the elimination has found, by rounding alone. The result is DIVERGED
        and the state -1 where no energy is finite.

    Raises:
        ValueError: plan and factors as in `exact.free_energy`.

    Bertelè, Brioschi (1972), "Nonserial dynamic programming".

    >>> from ebmjax.marginalize.elimination import factors, graphs, plans
    >>> from ebmjax.types import SPINS
    >>> chain = graphs.from_edges(3, [(0, 1), (1, 2)], weights=[1.0, -2.0])
    >>> found = ground_state(plans.plan(chain), factors.binary(SPINS, chain.weights, [0.1, 0.0, 0.0]))
    >>> factors.values(SPINS, found.value).tolist(), round(float(found.energy), 4)
    ([1.0, 1.0, -1.0], -3.1)
    """
    factors = as_factors(plan, factors)
    return _ground_state(on_device(plan), factors)


@compiled
def _sample(key, plan, factors, beta, draws):
    keys = jax.random.split(key, plan.steps.unit.shape)
    choose = lambda key, logits: jax.random.categorical(key, logits, axis=0)
    return _backwards(plan, factors, beta, choose, keys, draws)[0]


@compiled
def _ground_state(plan, factors):
    beta = jnp.asarray(jnp.inf, factors.unary.dtype)
    choose = lambda _, logits: jnp.argmax(logits, axis=0)
    states, least = _backwards(plan, factors, beta, choose, plan.steps.unit, 1)
    found = jnp.where(jnp.isfinite(least), of_factors.energy_of(plan, factors, states[0]), least)
    gap = jnp.where(jnp.isfinite(least), jnp.maximum(found - least, 0), jnp.inf)
    steps = jnp.asarray(plan.units, jnp.int32)
    return Solution(states[0], found, steps, result_of(jnp.isfinite(least), True), gap)


def _backwards(plan, factors, beta, choose, choices, draws):
    """States of all units, chosen from the last to the first by `choose(choice, logits)`; and the free energy."""
    weights = jnp.asarray(index_weights(plan))
    places = np.arange(plan.slots - 1, dtype=np.int32)
    inputs = (plan.steps, terms(plan, factors))

    def forwards(stack, inputs):
        end, moved = jax.lax.scan(lambda stack, inputs: advance(plan, beta, stack, *inputs)[:2], stack, inputs)
        return end, (stack, moved)

    def again(stack, inputs):
        stack, _, before = advance(plan, beta, stack, *inputs)
        return stack, before

    def chunk(states, inputs):
        start, inputs, choices = inputs
        _, before = jax.lax.scan(again, start, inputs)
        return jax.lax.scan(choose_one, states, (before, *inputs, choices), reverse=True)

    def choose_one(states, inputs):
        before, step, term, choice = inputs
        near = states[:, step.neighbors]
        index = jnp.sum(near * weights[None], axis=1, dtype=jnp.int32)
        energies, log_counts = before[:, :, index]
        beside = jnp.sum(term.beside[places[None], :, near], axis=1)
        logits = log_shares(energies + term.own[:, None] + beside.T, log_counts, beta)
        chosen = jnp.where(step.unit < plan.units, choose(choice, logits), 0)
        return states.at[:, step.unit].set(chosen.astype(jnp.int32)), None

    end, (starts, moved) = jax.lax.scan(forwards, without_tables(plan, factors.unary.dtype), inputs)
    free_energy = jnp.sum(moved[..., 0]) + end[0, 0, 0]
    # a column more than there are units stands for the neighbours that a step does not have
    states = jnp.zeros((draws, plan.units + 1), jnp.int32)
    states, _ = jax.lax.scan(chunk, states, (starts, inputs, choices), reverse=True)
    return jnp.where(jnp.isfinite(free_energy), states[:, : plan.units], -1), free_energy
