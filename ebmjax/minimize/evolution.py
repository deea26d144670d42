"""Evolution of a Hopfield network: every spin takes the sign of its field, one at a time or all at once.

    s_i ← sign((Ws + b)_i),    a spin whose field is zero (a tie) stays as it is

One at a time (asynchronous), no update raises the energy E(s) = -½ sᵀWs - bᵀs, so that the spins reach a fixed point.
A field that is zero up to the rounding of its sum counts as a tie; otherwise rounding could turn a spin back and forth
for ever. A sweep updates every unit once. It costs N² operations, because a spin that turns changes all fields by one
row of W. Solutions may be differentiated: the spins count as constants, and `energy` has the derivative ∂E/∂params.
Hopfield (1982); for the cycles of two states Goles-Chacc, Fogelman-Soulie & Pellegrin (1985).
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.checks import (
    ArgumentError,
    as_float,
    check_count,
    check_key,
    check_record,
    check_shape,
    check_units,
    is_static,
)
from ebmjax.compiled import compiled
from ebmjax.energies import hopfield
from ebmjax.energies.hopfield import Params
from ebmjax.loops import iterate, iterate_until
from ebmjax.records import record
from ebmjax.types import CONVERGED, DIVERGED, SPINS, STEP_LIMIT, TWO_CYCLE, Numbers, Solution


@record
class Trace(NamedTuple):
    """A record of the sweeps of an asynchronous evolution."""

    spins: Float[Array, "sweeps units"]
    """The spins after each sweep."""
    energies: Float[Array, "sweeps units"]
    """The energy after each update of a unit, in the order of the updates."""


def asynchronous(
    params: Params, spins: Annotated[Numbers, "units"], order: Annotated[Numbers, "units"], max_sweeps: int = 100
) -> Solution:
    """Update the units in one fixed order, sweep after sweep, until every spin has the sign of its field.

    Args:
        params: couplings and biases, in units of energy.
        spins: where to begin, -1 and +1.
        order: a permutation of range(units).
        max_sweeps: limit of the sweeps, at least 1.

    Returns:
        `Solution`: a fixed point (CONVERGED), or the last spins where the limit came first (STEP_LIMIT); DIVERGED where
        the energy is not finite. `steps` counts sweeps, 0 from a fixed point. The energy never exceeds that of the
        start.

    Raises:
        ValueError: spins or an order of another shape than the bias, max_sweeps below 1; static: spins other than -1
            and +1, weights that are not symmetric with a zero diagonal, an order that is no permutation.

    Hopfield (1982), eq. 1.

    >>> params = hopfield.hebbian(jnp.array([[1.0, 1.0, -1.0, -1.0, 1.0]]))
    >>> solution = asynchronous(params, jnp.array([1.0, -1.0, -1.0, -1.0, 1.0]), jnp.arange(5))
    >>> solution.value.tolist(), int(solution.steps), int(solution.result)
    ([1.0, 1.0, -1.0, -1.0, 1.0], 1, 0)
    """
    params, spins = _checked(params, spins)
    order = _checked_order(order, spins)
    check_count("max_sweeps", max_sweeps)
    return _settle(params, spins, lambda key: order, jax.random.key(0), max_sweeps)


def asynchronous_random(
    key: Key[Array, ""], params: Params, spins: Annotated[Numbers, "units"], max_sweeps: int = 100
) -> Solution:
    """Update the units as `asynchronous` does, in a new random order in each sweep.

    Args:
        key: typed random key, split once a sweep.
        params, spins, max_sweeps: as in `asynchronous`.

    Returns:
        `Solution`, as in `asynchronous`.

    Raises:
        ValueError: as in `asynchronous`.

    >>> params = hopfield.hebbian(jnp.array([[1.0, 1.0, -1.0, -1.0, 1.0]]))
    >>> solution = asynchronous_random(jax.random.key(0), params, jnp.array([1.0, -1.0, -1.0, -1.0, 1.0]))
    >>> solution.value.tolist()
    [1.0, 1.0, -1.0, -1.0, 1.0]
    """
    check_key("key", key)
    params, spins = _checked(params, spins)
    check_count("max_sweeps", max_sweeps)
    units = len(spins)
    return _settle(params, spins, lambda key: jax.random.permutation(key, units), key, max_sweeps)


def synchronous(params: Params, spins: Annotated[Numbers, "units"], max_sweeps: int = 100) -> Solution:
    """Update all spins at once, until a fixed point or a cycle of two states is reached.

    The energy may rise from one sweep to the next. For a symmetric W the limit is a fixed point or a cycle of two
    states (Goles-Chacc, Fogelman-Soulie & Pellegrin, 1985).

    Args:
        params, spins, max_sweeps: as in `asynchronous`.

    Returns:
        `Solution`: a fixed point (CONVERGED), the lower of the two states of a cycle (TWO_CYCLE), or the last spins
        where the limit came first (STEP_LIMIT); DIVERGED where the energy is not finite. `steps` counts sweeps.

    Raises:
        ValueError: as in `asynchronous`.

    >>> params = Params(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.zeros(2))
    >>> int(synchronous(params, jnp.array([1.0, -1.0])).result) == TWO_CYCLE
    True
    """
    params, spins = _checked(params, spins)
    check_count("max_sweeps", max_sweeps)
    return _together(params, spins, max_sweeps)


@compiled
def _together(params, spins, max_sweeps):
    params = jax.lax.optimization_barrier(params)
    frozen = jax.lax.stop_gradient(params)
    slack = _slack(frozen)
    turn = lambda spins: _turned(hopfield.field(frozen, spins), spins, slack)

    def step(state):
        _, now, after = state
        return now, after, turn(after)

    # The first state has no predecessor. Zeros stand in for it, because they differ from all spins.
    before, now, after = jnp.zeros_like(spins), spins, turn(spins)
    done = lambda state: jnp.all(state[2] == state[1]) | jnp.all(state[2] == state[0])
    (before, now, after), steps, _ = iterate_until(step, (before, now, after), done, max_sweeps)
    settled, cycles = jnp.all(after == now), jnp.all(after == before)
    other_is_lower = cycles & (hopfield.energy(frozen, after) < hopfield.energy(frozen, now))
    value = jnp.where(other_is_lower, after, now)
    return _solution(params, value, steps, jnp.where(settled, CONVERGED, jnp.where(cycles, TWO_CYCLE, STEP_LIMIT)))


def evolve(params: Params, spins: Annotated[Numbers, "units"], sweeps: int) -> Float[Array, " units"]:
    """The spins after a fixed number of asynchronous sweeps in the order 0 … N-1: contrasting states for a loss.

    Args:
        params, spins: as in `asynchronous`.
        sweeps: how many sweeps, at least 1.

    Raises:
        ValueError: as in `asynchronous`; sweeps below 1.

    >>> params = hopfield.hebbian(jnp.array([[1.0, 1.0, -1.0, -1.0, 1.0]]))
    >>> evolve(params, jnp.array([1.0, -1.0, -1.0, -1.0, 1.0]), 1).tolist()
    [1.0, 1.0, -1.0, -1.0, 1.0]
    """
    params, spins = _checked(params, spins)
    check_count("sweeps", sweeps)
    return _evolve(params, spins, sweeps)


@compiled
def _evolve(params, spins, sweeps):
    sweep = _sweeper(jax.lax.optimization_barrier(params))
    order = jnp.arange(len(spins))
    return iterate(lambda spins: sweep(spins, order)[0], spins, sweeps)


def energy_trace(
    params: Params, spins: Annotated[Numbers, "units"], order: Annotated[Numbers, "units"], sweeps: int
) -> Trace:
    """Run asynchronous sweeps; record the spins after each sweep and the energy after each update, which never rises.

    Args:
        params, spins, order: as in `asynchronous`.
        sweeps: how many sweeps, at least 1; those after a fixed point change nothing.

    Raises:
        ValueError: as in `asynchronous`; sweeps below 1.

    Returns:
        `Trace`; `energies[t, k]` is the energy after the visit to unit order[k] in sweep t.

    >>> params = hopfield.hebbian(jnp.array([[1.0, 1.0, -1.0, -1.0, 1.0]]))
    >>> trace = energy_trace(params, jnp.array([1.0, -1.0, -1.0, -1.0, 1.0]), jnp.arange(5), 1)
    >>> [round(float(height), 3) for height in trace.energies[0]]
    [-0.4, -2.0, -2.0, -2.0, -2.0]
    """
    params, spins = _checked(params, spins)
    order = _checked_order(order, spins)
    check_count("sweeps", sweeps)
    return _trace(params, spins, order, sweeps)


@compiled
def _trace(params, spins, order, sweeps):
    params = jax.lax.optimization_barrier(params)
    sweep = _sweeper(params)

    def step(carry, _):
        spins, height = carry
        spins, changes = sweep(spins, order)
        _, heights = jax.lax.scan(lambda height, change: (height + change,) * 2, height, changes)
        return (spins, heights[-1]), Trace(spins, heights)

    return jax.lax.scan(step, (spins, hopfield.energy(params, spins)), None, length=sweeps)[1]


@record
class _Walk(NamedTuple):
    spins: Array
    key: Array


@compiled
def _settle(params, spins, draw_order, key, max_sweeps):
    """Sweep until every spin has the sign of its field; each sweep draws its order with a key of its own."""
    # a compiler would compute with weights that it knows, which takes it many times as long as the evolution
    params = jax.lax.optimization_barrier(params)
    sweep, frozen = _sweeper(params), jax.lax.stop_gradient(params)
    slack = _slack(frozen)

    def step(walk):
        order_key, key = jax.random.split(walk.key)
        return _Walk(sweep(walk.spins, draw_order(order_key))[0], key)

    done = lambda walk: jnp.all(_turned(hopfield.field(frozen, walk.spins), walk.spins, slack) == walk.spins)
    walk, steps, settled = iterate_until(step, _Walk(spins, key), done, max_sweeps)
    return _solution(params, walk.spins, steps, jnp.where(settled, CONVERGED, STEP_LIMIT))


def _sweeper(params):
    """`sweep(spins, order) -> (spins, change of the energy at each update)`, without derivatives."""
    params = jax.lax.stop_gradient(params)
    slack = _slack(params)

    def visit(carry, site):
        spins, field = carry
        turned = _turned(field[site], spins[site], slack[site])
        change = turned - spins[site]
        fall = -change * field[site]
        return (spins.at[site].set(turned), field + change * params.weights[site]), fall

    def sweep(spins, order):
        # The field is summed anew once a sweep, so that the rounding errors of its updates do not add up.
        (spins, _), falls = jax.lax.scan(visit, (spins, hopfield.field(params, spins)), order)
        return spins, falls

    return sweep


def _turned(field, spins, slack):
    return jnp.where(jnp.abs(field) > slack, jnp.sign(field), spins)


def _slack(params):
    """How large a field may be and still count as zero: a few roundings of the sum of its terms."""
    size = jnp.sum(jnp.abs(params.weights), axis=1) + jnp.abs(params.bias)
    return 8 * jnp.finfo(size.dtype).eps * size


def _solution(params, spins, steps, result):
    spins = jax.lax.stop_gradient(spins)
    energy = hopfield.energy(params, spins)
    return Solution(
        spins, jnp.asarray(energy), steps, jnp.where(jnp.isfinite(energy), result, DIVERGED).astype(jnp.int32)
    )


def _checked(params, spins):
    """Parameters and spins as floats; a spin that is an integer would make every field one."""
    check_record("params", params, Params)
    params = Params(as_float("weights", params.weights), as_float("bias", params.bias))
    hopfield.check_params(params)
    spins = as_float("spins", spins, params.bias.shape)
    check_units("spins", spins, SPINS)
    return params, spins.astype(params.weights.dtype)


def _checked_order(order, spins):
    if not jnp.issubdtype(jnp.result_type(jnp.asarray(order)), jnp.integer):
        raise ArgumentError(f"order: got {jnp.asarray(order).dtype}, wanted whole numbers")
    check_shape("order", order, jnp.shape(spins))
    if is_static(order) and (np.sort(np.asarray(order)) != np.arange(len(spins))).any():
        raise ArgumentError(f"order: got {np.asarray(order).tolist()}, wanted each of 0 to {len(spins) - 1} once")
    return jnp.asarray(order, jnp.int32)
