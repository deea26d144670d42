"""Parallel tempering that places its own temperatures, counts round trips, and says whether it can be trusted.

    Λ(beta) = ∫ r db,    r ≈ the rate at which swaps near b are refused: the communication barrier

With N rungs at equal steps of Λ every pair is refused about equally often, Λ / (N - 1) of the time. About 2Λ + 1 rungs
are best: then half of the swaps are refused. Rounds of doubling length move the rungs; the last one is used for draws.
If each rung explored its law at once, a replica would make round trips, from the hot end to the cold one and back, at
the rate

    1 / (2 + 2 Σ_pairs r/(1 - r))    for each step of the ladder

A much smaller rate shows that a rung itself does not mix, however well neighbours exchange. The draws of all rungs give
log Z, by stepping stones or MBAR.

Syed, Bouchard-Côté, Deligiannidis, Doucet (2022), "Non-reversible parallel tempering: a scalable highly parallel MCMC
scheme", sections 3.4, 4 and 5.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from ebmjax.checks import (
    ArgumentError,
    as_float,
    as_floats,
    check_betas,
    check_callable,
    check_count,
    check_key,
    is_static,
)
from ebmjax.compiled import compiled
from ebmjax.loops import Observe, iterate, position_of
from ebmjax.marginalize.reweighting.inefficiency import ladder_inefficiency
from ebmjax.marginalize.reweighting.stepping_stones import stepping_stones
from ebmjax.records import record
from ebmjax.sample.tempering import tempering, tune_ladder
from ebmjax.states import begun
from ebmjax.types import CONVERGED, NOT_MIXED, TOO_FEW_TEMPERATURES, Energy, Estimate, KernelAtBeta, Numbers

LEAST_ACCEPTED = 0.1
"""Pairs that swap less often than this are a gap in the ladder."""

LEAST_TRIPS = 0.25
"""Replicas make at least this share of the round trips that they would make if every rung mixed in one step."""


@record
class AdaptiveTempering(NamedTuple):
    """A run of parallel tempering on rungs that it has placed."""

    betas: Float[Array, " rungs"]
    """The rungs of the last round."""
    positions: PyTree[Array]
    """What `observe` returned in the last round, with the leading axis steps."""
    energies: Float[Array, "steps rungs"]
    """The energy on each rung."""
    state: Any
    """The state of the kernel `tempering(energy, make_kernel, betas)`, from which the run can be continued."""
    acceptance: Float[Array, " pairs"]
    """Mean probability of a swap of each pair."""
    barrier: Float[Array, ""]
    """Λ between the ends."""
    wanted_rungs: Int[Array, ""]
    """About 2Λ + 1: with so many rungs half of the swaps are refused."""
    round_trips: Int[Array, ""]
    """How often a replica went from the first rung to the last one and back."""
    expected_trips: Float[Array, ""]
    """How often it would have if every rung mixed in one step."""
    estimate: Estimate
    """log Z of each rung in the order of rising betas, relative to the smallest beta, by stepping stones. MBAR on
    `energies` has a smaller error."""
    result: Int[Array, ""]
    """`CONVERGED`: replicas move along the whole ladder; `TOO_FEW_TEMPERATURES`: a pair swaps in less than 0.1 of the
    steps, and `wanted_rungs` says how many rungs to take; `NOT_MIXED`: pairs swap, but replicas make less than a
    quarter of the round trips that are expected, or the draws of neighbours disagree or are too few for an error, so
    that the kernel of some rung moves too little, or the run is too short."""


def adaptive_tempering(
    key: Key[Array, ""],
    energy: Energy,
    make_kernel: KernelAtBeta,
    betas: Numbers,
    position: PyTree[Any],
    steps: int,
    rounds: int = 6,
    observe: Observe = position_of,
) -> AdaptiveTempering:
    """Run parallel tempering in rounds of doubling length, after each of which the rungs move.

    Args:
        key: typed random key.
        energy: `energy(position) -> scalar`, the energy of the kernels.
        make_kernel: `beta -> Kernel`, as for `tempering`.
        betas: the rungs to begin with, at least 2, finite, rising or falling; the ends stay.
        position: where the replicas start, with the leading axis rungs.
        steps: of the last round, static, at least 2 to the power of rounds. The rounds before have 1/2, 1/4, … of it.
        rounds: at least 1. With 1, the rungs stay as they are. Another number of rounds is the same program.
        observe: `observe(state)` is kept after each step of the last round; by default the positions of all rungs. It
            is computed in the rounds before as well, which share one loop with the last one.

    Returns:
        `AdaptiveTempering`.

    Raises:
        ValueError: as `tempering`; an infinite beta, steps below 2 to the power of rounds, rounds below 1.

    Syed et al. (2022), algorithms 2 and 3.

    >>> from ebmjax.sample.gibbs import systematic
    >>> energy, betas = lambda s: -s[0] * s[1], jnp.linspace(0, 3, 5)
    >>> kernel = lambda beta: systematic(energy, beta)
    >>> found = adaptive_tempering(jax.random.key(0), energy, kernel, betas, jnp.ones((5, 2)), 500)
    >>> found.positions.shape, bool(abs(found.estimate.log_partition[-1] - jnp.log(jnp.cosh(3.0))) < 0.3)
    ((500, 5, 2), True)
    """
    check_key("key", key)
    check_callable("energy", energy)
    check_callable("make_kernel", make_kernel)
    check_callable("observe", observe)
    check_betas(betas)
    betas = as_float("betas", betas, (None,))
    if is_static(betas) and not np.isfinite(np.asarray(betas)).all():
        raise ArgumentError("betas: got an infinite one, wanted finite betas")
    check_count("steps", steps)
    check_count("rounds", rounds)
    if steps < 2**rounds:
        raise ArgumentError(f"steps: got {steps}, wanted at least {2**rounds}, 2 to the power of rounds")
    begin_key, run_key = jax.random.split(key)
    state = begun(begin_key, tempering(energy, make_kernel, betas), as_floats("position", position))
    return _tempered(run_key, energy, make_kernel, betas, state, steps, jnp.int32(rounds), observe)


@compiled
def _tempered(key, energy, make_kernel, betas, state, steps, rounds, observe):
    def advance(key, betas, state):
        state, info = tempering(energy, make_kernel, betas).step(key, state)
        return state, info.acceptance, (observe(state), info.energy, state.replica)

    # the step of the ladder is in one loop for all rounds, so that it is compiled once: each round writes its draws
    # over those of the round before
    def round_of(carry):
        number, betas, state, seen = carry
        betas = jnp.where(number > 0, tune_ladder(betas, seen.acceptance), betas)
        round_key = jax.random.fold_in(key, number)

        def step(carry):
            state, seen = carry
            state, acceptance, draw = advance(jax.random.fold_in(round_key, seen.steps), betas, state)
            return state, _noted(seen, acceptance, state.replica, draw)

        state, seen = iterate(step, (state, _nothing(seen)), steps >> (rounds - 1 - number))
        return number + 1, betas, state, seen

    _, *shapes = jax.eval_shape(advance, key, betas, state)
    acceptance, draws = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    draws = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (steps, *leaf.shape)), draws)
    trips = _Trips(jnp.zeros(len(betas), jnp.int32), jnp.int32(0))
    seen = _Seen(jnp.int32(0), acceptance, trips, draws)
    _, betas, state, seen = iterate(round_of, (jnp.int32(0), betas, state, seen), rounds)
    (positions, energies, replicas), acceptance, trips = seen.draws, seen.acceptance, seen.trips
    refused = 1 - acceptance
    barrier = refused.sum()
    rate = 1 / (2 + 2 * jnp.sum(refused / jnp.maximum(acceptance, jnp.finfo(acceptance.dtype).tiny)))
    expected = steps * rate
    gap = jnp.any(acceptance < LEAST_ACCEPTED)
    rising = jnp.argsort(betas)
    ladder, by_rung = betas[rising], energies.T[rising]
    inefficiency = ladder_inefficiency(ladder, by_rung, replicas.T[rising])
    estimate = stepping_stones(ladder, by_rung, inefficiency=inefficiency)
    # the draws of neighbours also disagree, or are too few, where replicas are passed on but do not change
    few = trips.count.astype(expected.dtype) < LEAST_TRIPS * expected
    result = jnp.where(few | jnp.any(estimate.result != CONVERGED), NOT_MIXED, CONVERGED)
    result = jnp.where(gap, TOO_FEW_TEMPERATURES, result).astype(jnp.int32)
    wanted = jnp.ceil(2 * barrier).astype(jnp.int32) + 1
    return AdaptiveTempering(
        betas, positions, energies, state, acceptance, barrier, wanted, trips.count, expected, estimate, result
    )


@record
class _Seen(NamedTuple):
    """What a round has seen."""

    steps: Int[Array, ""]
    acceptance: Float[Array, " pairs"]
    """The mean of its steps."""
    trips: Any
    draws: Any
    """With the leading axis steps; rows behind those of its steps are of the round before."""


def _nothing(seen):
    """What a round has seen before its first step."""
    steps, acceptance, trips = jax.tree.map(jnp.zeros_like, seen[:3])
    return _Seen(steps, acceptance, trips, seen.draws)


def _noted(seen, acceptance, replica, draw):
    steps = seen.steps + 1
    # a mean that is moved, since a sum of ten million steps no longer grows
    mean = seen.acceptance + (acceptance - seen.acceptance) / steps.astype(acceptance.dtype)
    put = lambda rows, row: jax.lax.dynamic_update_index_in_dim(rows, jnp.asarray(row), seen.steps, 0)
    return _Seen(steps, mean, _count(seen.trips, replica), jax.tree.map(put, seen.draws, draw))


@record
class _Trips(NamedTuple):
    """Where each replica was last, at the first rung (1) or at the last one (2), after the first (0: not yet)."""

    last: Int[Array, " rungs"]
    count: Int[Array, ""]


def _count(trips, replica):
    first, last = replica[0], replica[-1]
    back = trips.last[first] == 2
    ends = trips.last.at[first].set(1)
    # only a replica that has been at the first rung is on its way
    ends = ends.at[last].set(jnp.where(ends[last] > 0, 2, 0))
    return _Trips(ends, trips.count + back.astype(jnp.int32))
