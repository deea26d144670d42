"""Partition functions by annealed importance sampling: along a path of laws, from one that is known.

    p_t(x) ∝ exp(-u(t, x)),    log w = Σ_k u(t_k, x_k) - u(t_{k+1}, x_k),    E[w] = Z(t_K) / Z(t_0)

A chain begins with an exact draw x_0 of the law at t_0. At each step the law changes to the next one, and a kernel that
leaves this one invariant moves the chain. However short the chains are, the mean of the weights w is right; only their
spread depends on the number of temperatures and of steps.

`annealed`              runs the chains and returns their weights and last positions
`annealed_importance`   log Z from chains that begin at the known law: too low in the mean
`bidirectional`         the same, and chains that go back from draws of the law at the other end: a bound on each side
`both_ways`             the weights from which it is estimated
`tempered`              the path in inverse temperature, u(beta, x) = beta E(x)

`path_weights` has what they do with the weights, for those of several runs of `annealed` together.

Neal (2001), "Annealed importance sampling"; Grosse, Ghahramani & Adams (2015), "Sandwiching the marginal likelihood
using bidirectional Monte Carlo".
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from ebmjax.checks import (
    as_float,
    as_scalar,
    check_callable,
    check_count,
    check_key,
    leading_axis,
)
from ebmjax.compiled import compiled
from ebmjax.loops import repeat
from ebmjax.marginalize.path_weights import estimate_of_both, estimate_of_weights
from ebmjax.marginalize.schedules import as_chains, as_schedule
from ebmjax.numerics import added
from ebmjax.records import record
from ebmjax.states import begun, continued
from ebmjax.temperature import reduced
from ebmjax.types import (
    AnyKernel,
    Energy,
    Estimate,
    KernelAtBeta,
    Scalar,
)


@runtime_checkable
class ReducedEnergy(Protocol):
    """A path of laws: at t the law is exp(-u(t, x)) / Z(t)."""

    def __call__(self, t: Any, position: Any, /) -> Any:
        """u(t, x), a scalar without unit, such as beta E(x) at t = beta."""
        ...


@record
class Annealed(NamedTuple):
    """Chains at the end of a path."""

    log_weights: Float[Array, " chains"]
    """log w of each chain."""
    positions: PyTree[Array]
    """Where the chains are, with the leading axis chains; weighted by w they are draws of the last law."""


@record
class BothWays(NamedTuple):
    """log w of chains that go along a path, and of others that come back."""

    forward: Float[Array, " chains"]
    """log w of each chain from the start of the path to its end."""
    back: Float[Array, " ends"]
    """log w of each chain from its end to its start."""


def tempered(energy: Energy) -> ReducedEnergy:
    """The path u(beta, x) = beta E(x), with beta in [0, inf). Raises ValueError for an energy that is no function.

    For two energies at one beta, the path is `lambda t, x: beta * interpolated(first, second, t)(x)`, with
    `ebmjax.energies.composition.interpolated`.

    >>> float(tempered(lambda x: x**2)(0.5, jnp.array(4.0)))
    8.0
    """
    check_callable("energy", energy)
    return lambda beta, position: reduced(as_scalar("energy", energy(position)), beta)


def annealed(
    key: Key[Array, ""],
    path: ReducedEnergy,
    make_kernel: KernelAtBeta,
    schedule: Any,
    starts: PyTree[Any],
    steps: int = 1,
) -> Annealed:
    """Run chains along a path of laws, from the first t of the schedule to the last, and weigh them.

    Args:
        key: typed random key.
        path: `path(t, x) -> u`; `tempered(energy)` for inverse temperatures.
        make_kernel: `t -> Kernel`, which leaves exp(-u(t, x))/Z(t) invariant; it is called inside a scan.
        schedule: t_0, ..., t_K, at least 2 finite numbers, rising or falling; static or traced.
        starts: independent draws of the law at t_0, with the leading axis chains, at least 2.
        steps: of the kernel at each t, static, at least 1.

    Returns:
        `Annealed(log_weights, positions)`. A chain that meets a forbidden state has a weight of zero, and log w = -inf.

    Raises:
        ValueError: a path or a kernel that is no function, a static schedule that goes back, repeats or is not finite,
            fewer than 2 chains, steps below 1, a key that is not typed.

    Neal (2001), eqs. 3 and 5 to 7.

    >>> from ebmjax.sample.gibbs import systematic
    >>> energy = lambda s: -s.sum()
    >>> starts = jax.random.rademacher(jax.random.key(0), (50, 3), float)  # at beta = 0
    >>> kernel = lambda beta: systematic(energy, beta)
    >>> run = annealed(jax.random.key(1), tempered(energy), kernel, jnp.linspace(0, 1, 9), starts)
    >>> run.log_weights.shape, run.positions.shape
    ((50,), (50, 3))
    """
    schedule, starts = _checked(key, path, make_kernel, schedule, starts, steps)
    return _annealed(key, path, make_kernel, schedule, starts, steps)


@compiled
def _annealed(key, path, make_kernel, schedule, starts, steps):
    chains = leading_axis("starts", starts)
    first_key, key = jax.random.split(key)
    states = begun_chains(first_key, make_kernel(schedule[0]), starts)

    change, move = log_change(path), moved(make_kernel, steps)

    def step(carry, link):
        states, log_weights, lost = carry
        old, new, step_key = link
        term = jax.vmap(lambda state: change(old, new, state.position))(states)
        log_weights, lost = added(log_weights, lost, term.astype(log_weights.dtype))
        states = jax.vmap(lambda key, state: move(key, new, state))(jax.random.split(step_key, chains), states)
        return (states, log_weights, lost), None

    zeros = jnp.zeros(chains, schedule.dtype)  # with what rounding loses, since temperatures are many
    links = (schedule[:-1], schedule[1:], jax.random.split(key, len(schedule) - 1))
    (states, log_weights, _), _ = jax.lax.scan(step, (states, zeros, zeros), links)
    return Annealed(log_weights, states.position)


def begun_chains(key: Key[Array, ""], kernel: AnyKernel, starts: PyTree[Array]) -> Any:
    """The states of many chains at their starts, with the leading axis chains.

    >>> from ebmjax.sample.gibbs import systematic
    >>> begun_chains(jax.random.key(0), systematic(lambda s: -s.sum(), 1.0), jnp.ones((5, 2))).position.shape
    (5, 2)
    """
    keys = jax.random.split(key, leading_axis("starts", starts))
    return jax.vmap(lambda key, start: begun(key, kernel, start))(keys, starts)


def log_change(path: ReducedEnergy) -> Callable[[Any, Any, Any], Float[Array, ""]]:
    """`(old, new, x) -> u(old, x) - u(new, x)`, the logarithm of what a change of the law adds to the weight of x.

    Raises ValueError for a path that is no function.

    >>> float(log_change(tempered(lambda x: x))(0.5, 1.0, jnp.array(4.0)))
    -2.0
    """
    check_callable("path", path)

    def change(old, new, position):
        before, after = (as_scalar("path", path(t, position)) for t in (old, new))
        # from a state that is forbidden on both sides nothing can be learned: a weight of zero
        return jnp.where(after == jnp.inf, -jnp.inf, before - after)

    return change


def moved(make_kernel: KernelAtBeta, steps: int) -> Callable[[Key[Array, ""], Any, Any], Any]:
    """`(key, t, state) -> state`: some steps of the kernel at t, by a chain whose law was another one.

    Raises ValueError for a `make_kernel` that is no function, or steps below 1.

    >>> from ebmjax.sample.gibbs import systematic
    >>> make_kernel = lambda beta: systematic(lambda s: -s.sum(), beta)
    >>> state = make_kernel(0.5).init(-jnp.ones(3))
    >>> moved(make_kernel, 2)(jax.random.key(0), jnp.array(50.0), state).position.tolist()
    [1.0, 1.0, 1.0]
    """
    check_callable("make_kernel", make_kernel)
    check_count("steps", steps)

    def move(key, t, state):
        state = continued(key, make_kernel, t, state)
        return repeat(key, make_kernel(t), state, steps).state

    return move


def annealed_importance(
    key: Key[Array, ""],
    path: ReducedEnergy,
    make_kernel: KernelAtBeta,
    schedule: Any,
    starts: PyTree[Any],
    log_partition: Scalar,
    steps: int = 1,
) -> Estimate:
    """log Z at the end of a schedule, from exact draws at its start.

        log Z(t_K) ≈ log Z(t_0) + log 1/n Σ_i w_i

    Args:
        key, path, make_kernel, schedule, starts, steps: as in `annealed`.
        log_partition: log Z(t_0). At beta = 0 it is log |Z|, such as n log 2 for n spins.

    Returns:
        `Estimate`. The estimate is too low in the mean; it exceeds log Z by b with a probability of at most exp(-b).
        `lower` is 3 of its standard errors below it. `result` is `TOO_FEW_TEMPERATURES` where the weights spread too
        far for their own standard error, `NO_OVERLAP` where all of them are zero, `DIVERGED` where one is NaN or
        infinite.

    Errors are those of `annealed`.

    Neal (2001), eqs. 8 to 11.

    >>> from ebmjax.sample.gibbs import systematic
    >>> energy = lambda s: -s.sum()
    >>> starts = jax.random.rademacher(jax.random.key(0), (500, 3), float)
    >>> kernel = lambda beta: systematic(energy, beta)
    >>> schedule, volume = jnp.linspace(0, 0.7, 9), 3 * jnp.log(2)
    >>> found = annealed_importance(jax.random.key(1), tempered(energy), kernel, schedule, starts, volume)
    >>> bool(abs(found.log_partition - 3 * jnp.log(2 * jnp.cosh(0.7))) < 5 * found.standard_error)
    True
    """
    log_partition = as_float("log_partition", log_partition, ())
    return estimate_of_weights(annealed(key, path, make_kernel, schedule, starts, steps).log_weights, log_partition)


def bidirectional(
    key: Key[Array, ""],
    path: ReducedEnergy,
    make_kernel: KernelAtBeta,
    schedule: Any,
    starts: PyTree[Any],
    ends: PyTree[Any],
    log_partition: Scalar,
    steps: int = 1,
) -> Estimate:
    """log Z at the end of a schedule, between bounds: chains from draws at its start, and others back from its end.

    The mean weight of the chains that go forward is too low in the mean, that of those that go back too high: each with
    3 of its standard errors is a bound. The estimate between them is Bennett's, from the weights of both.

    Args:
        key, path, make_kernel, schedule, starts, log_partition, steps: as in `annealed_importance`.
        ends: independent draws of the law at t_K, with the leading axis chains, at least 2. With exact draws, such as
            data that were simulated from the model, or those of elimination, the upper bound holds. With draws of a
            chain that has not mixed it may be on the wrong side of log Z.

    Returns:
        `Estimate`. `result` is `TOO_FEW_TEMPERATURES` where the two directions have fewer than 10 weights in common,
        `NOT_MIXED` where the upper bound is below the lower one by more than their errors, `NO_OVERLAP` and `DIVERGED`
        as in `annealed_importance`.

    Errors are those of `annealed`.

    Grosse, Ghahramani & Adams (2015), section 3; Bennett (1976), eqs. 10 and 12.

    >>> from ebmjax.sample.gibbs import systematic
    >>> energy, kernel = lambda s: -s.sum(), lambda beta: systematic(lambda s: -s.sum(), beta)
    >>> starts = jax.random.rademacher(jax.random.key(0), (400, 3), float)
    >>> ends = 2.0 * jax.random.bernoulli(jax.random.key(2), jax.nn.sigmoid(1.4), (400, 3)) - 1
    >>> schedule, volume = jnp.linspace(0, 0.7, 5), 3 * jnp.log(2)
    >>> found = bidirectional(jax.random.key(1), tempered(energy), kernel, schedule, starts, ends, volume)
    >>> bool(abs(found.log_partition - 3 * jnp.log(2 * jnp.cosh(0.7))) < 5 * found.standard_error)
    True
    """
    log_partition = as_float("log_partition", log_partition, ())
    return estimate_of_both(*both_ways(key, path, make_kernel, schedule, starts, ends, steps), log_partition)


def both_ways(
    key: Key[Array, ""],
    path: ReducedEnergy,
    make_kernel: KernelAtBeta,
    schedule: Any,
    starts: PyTree[Any],
    ends: PyTree[Any],
    steps: int = 1,
) -> BothWays:
    """The weights of chains in both directions, from which `bidirectional` estimates log Z.

    `path_weights` has the estimates of each direction alone.

    Arguments and errors are those of `bidirectional`.

    >>> from ebmjax.sample.gibbs import systematic
    >>> energy, kernel = lambda s: -s.sum(), lambda beta: systematic(lambda s: -s.sum(), beta)
    >>> starts, ends = -jnp.ones((4, 3)), jnp.ones((5, 3))
    >>> found = both_ways(jax.random.key(0), tempered(energy), kernel, jnp.linspace(0, 0.7, 5), starts, ends)
    >>> found.forward.shape, found.back.shape
    ((4,), (5,))
    """
    schedule, starts = _checked(key, path, make_kernel, schedule, starts, steps)
    ends = as_chains("ends", ends)
    forward_key, back_key = jax.random.split(key)
    forward = _annealed(forward_key, path, make_kernel, schedule, starts, steps).log_weights
    return BothWays(forward, _annealed(back_key, path, make_kernel, schedule[::-1], ends, steps).log_weights)


def _checked(key, path, make_kernel, schedule, starts, steps):
    check_key("key", key)
    check_callable("path", path)
    check_callable("make_kernel", make_kernel)
    check_count("steps", steps)
    return as_schedule(schedule), as_chains("starts", starts)
