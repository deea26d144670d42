"""Informed proposals for discrete units: the gradient of the energy says which units are worth changing.

For units x and a change of one of them to another value, the energy decreases by about

    d = -∇E(x)ᵀ(x' - x)

which is exact where the energy is linear in each unit while the others are fixed. Every energy that can be
differentiated serves, neural ones too, for units of two values and for categories in one-hot rows.

    gibbs_with_gradients    changes one unit, chosen with probability ∝ exp(beta d / 2); accepted or refused
    langevin                changes each unit with probability ∝ exp(beta d / 2 - |x' - x|² / (2α)), all at once;
                            accepted or refused ("DMALA")
    unadjusted              the same, always accepted ("DULA")

and each of them `_of_categories`. The first two leave exp(-beta E)/Z invariant at every beta in [0, inf): proposals are
balanced for the law at this beta, by the square root of exp(-beta E). `unadjusted` has a bias, which vanishes with α
only where the energy is linear in each unit. A step evaluates energy and gradient once. Where it costs little to know
the conditional law of one unit, as in a Boltzmann machine, sweeps of `gibbs` move further for the same time.

Grathwohl et al. (2021), "Oops I took a gradient: scalable sampling for discrete distributions"; Zhang, Liu, Liu (2022),
"A Langevin-like sampler for discrete distributions"; Zanella (2020), "Informed proposals for local MCMC in discrete
spaces".
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ebmjax import random_bits
from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    check_callable,
    check_finite_beta,
    check_key,
    check_positive,
    check_record,
    check_units,
    is_static,
)
from ebmjax.compiled import compiled
from ebmjax.sample.gradient_state import Info, State, accept_or_stay, evaluate, is_finite, start
from ebmjax.sample.langevin import UnadjustedInfo
from ebmjax.sample.units import heat_bath
from ebmjax.temperature import reduced
from ebmjax.types import BITS, SPINS, Alphabet, Beta, Energy, Kernel, Scalar


def gibbs_with_gradients(energy: Energy, beta: Beta, alphabet: Alphabet = SPINS) -> Kernel:
    """Gibbs with gradients: one unit takes its other value, chosen by the gradient, accepted or refused.

        q(i|x) = exp(beta d_i / 2) / Σ_j exp(beta d_j / 2),    accepted with min(1, exp(-beta ΔE) q(i|x') / q(i|x))

    At beta = 0 a unit chosen uniformly always changes.

    Args:
        energy: `energy(units) -> scalar` of one array of any shape, differentiable between the two values as well.
        beta: inverse temperature in [0, inf); may be traced.
        alphabet: the two values of a unit, ±1 by default.

    Returns:
        Kernel whose info has `accepted`, `energy_error`, `diverged` and `forbidden`. One step changes one unit at most.

    Raises:
        ValueError: a bad or infinite beta; at `init`, static units outside the alphabet, or at an energy or gradient
            that is not finite.

    Grathwohl et al. (2021).

    >>> kernel = gibbs_with_gradients(lambda s: -s.sum(), 20.0)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.array([1.0, -1.0, 1.0])))
    >>> state.position.tolist(), bool(info.accepted)
    ([1.0, 1.0, 1.0], True)
    """
    return _kernel(energy, beta, None, alphabet, _step_of_one)


def gibbs_with_gradients_of_categories(energy: Energy, beta: Beta) -> Kernel:
    """Gibbs with gradients for categories: one unit takes another state; both are chosen by the gradient.

    Args:
        energy: `energy(one_hot) -> scalar` of an array (…, states) whose rows are 0 but for a 1 at the state of a unit;
            differentiable between them as well.
        beta: inverse temperature in [0, inf); may be traced.

    Returns:
        Kernel as that of `gibbs_with_gradients`.

    Raises:
        ValueError: a bad or infinite beta; at `init`, static rows that are not one-hot, or at an energy or gradient
            that is not finite.

    Grathwohl et al. (2021).

    >>> kernel = gibbs_with_gradients_of_categories(lambda x: -x[0, 2] - x[1, 0], 40.0)
    >>> state, _ = kernel.step(jax.random.key(0), kernel.init(jnp.array([[0, 0, 1], [0, 1, 0]])))
    >>> state.position.tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return _kernel(energy, beta, None, None, _step_of_one_category)


def langevin(energy: Energy, beta: Beta, step_size: Scalar, alphabet: Alphabet = SPINS) -> Kernel:
    """Discrete Langevin with the decision of Metropolis: all units at once, each by its own gradient.

        P(x'_i ≠ x_i) = σ(beta d_i / 2 - w² / (2α)),    w the difference of the two values

    Args:
        energy: as in `gibbs_with_gradients`.
        beta: inverse temperature in [0, inf); may be traced.
        step_size: α, positive, in units of w²; may be traced. Larger ones change more units, and are refused more
            often; about 0.57 of the steps accepted is a good choice (Sun, Dai, Schuurmans 2022).
        alphabet: the two values of a unit, ±1 by default.

    Returns:
        Kernel whose info has `accepted`, `energy_error`, `diverged` and `forbidden`.

    Raises:
        ValueError: a bad or infinite beta, a step size that is not positive; at `init` as in `gibbs_with_gradients`.

    Zhang, Liu, Liu (2022).

    >>> kernel = langevin(lambda s: -s.sum(), 20.0, 2.0)
    >>> kernel.step(jax.random.key(0), kernel.init(jnp.array([1.0, -1.0, -1.0])))[0].position.tolist()
    [1.0, 1.0, 1.0]
    """
    return _kernel(energy, beta, _checked_size(step_size), alphabet, _step_of_all)


def langevin_of_categories(energy: Energy, beta: Beta, step_size: Scalar) -> Kernel:
    """Discrete Langevin for categories with the decision of Metropolis: all units at once.

        P(unit i takes state j) ∝ exp(beta d_ij / 2 - [j is another state] / α)

    Arguments, result and errors as in `langevin` and `gibbs_with_gradients_of_categories`.

    Zhang, Liu, Liu (2022).

    >>> kernel = langevin_of_categories(lambda x: -x[0, 2] - x[1, 0], 40.0, 2.0)
    >>> kernel.step(jax.random.key(0), kernel.init(jnp.array([[1, 0, 0], [0, 1, 0]])))[0].position.tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return _kernel(energy, beta, _checked_size(step_size), None, _step_of_all)


def unadjusted(energy: Energy, beta: Beta, step_size: Scalar, alphabet: Alphabet = SPINS) -> Kernel:
    """Discrete Langevin without the decision of Metropolis: as `langevin`, always accepted, with a bias.

    The info has `energy_change` and `diverged`. Arguments and errors as in `langevin`.

    Zhang, Liu, Liu (2022).

    >>> kernel = unadjusted(lambda s: -s.sum(), 20.0, 2.0)
    >>> kernel.step(jax.random.key(0), kernel.init(jnp.array([1.0, -1.0, -1.0])))[0].position.tolist()
    [1.0, 1.0, 1.0]
    """
    return _kernel(energy, beta, _checked_size(step_size), alphabet, _step_unadjusted)


def unadjusted_of_categories(energy: Energy, beta: Beta, step_size: Scalar) -> Kernel:
    """Discrete Langevin for categories, always accepted, with a bias.

    The info has `energy_change` and `diverged`. Arguments and errors as in `langevin_of_categories`.

    Zhang, Liu, Liu (2022).

    >>> kernel = unadjusted_of_categories(lambda x: -x[0, 2] - x[1, 0], 40.0, 2.0)
    >>> kernel.step(jax.random.key(0), kernel.init(jnp.array([[1, 0, 0], [0, 1, 0]])))[0].position.tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    return _kernel(energy, beta, _checked_size(step_size), None, _step_unadjusted)


def _checked_size(step_size):
    check_positive("step_size", step_size)
    return as_float("step_size", step_size, ())


def _kernel(energy, beta, step_size, alphabet, step_of):
    """The kernel of units of an alphabet, or of categories where it is None."""
    check_callable("energy", energy)
    check_finite_beta(beta)
    beta = as_beta(beta)
    if alphabet is not None:
        check_record("alphabet", alphabet, Alphabet)

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> State:
        position = as_float("position", position)
        if alphabet is None:
            _check_one_hot(position)
        else:
            check_units("position", position, alphabet)
        return start(energy, position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info | UnadjustedInfo]:
        check_key("rng_key", rng_key)
        return step_of(rng_key, state, energy, beta, step_size, alphabet)

    return Kernel(init, step)


def _check_one_hot(position):
    if position.ndim == 0 or position.shape[-1] < 2:
        raise ArgumentError(f"position: got shape {position.shape}, wanted (…, states), rows of at least 2 states")
    if is_static(position):
        rows = np.asarray(position).reshape(-1, position.shape[-1])
        wrong = rows[~(((rows == 0) | (rows == 1)).all(axis=1) & (rows.sum(axis=1) == 1))]
        if len(wrong):
            raise ArgumentError(f"position: got a row of {wrong[0].tolist()}, wanted a single 1 and zeros: one-hot")


def _turned(position, alphabet):
    """Every unit with its other value."""
    return jnp.asarray(alphabet.low + alphabet.high, position.dtype) - position


def _half_gains(state, beta, alphabet):
    """beta d / 2 of every change: of a unit to its other value, or of a category to each state, its own included."""
    if alphabet is None:
        own = jnp.sum(state.position * state.gradient, axis=-1, keepdims=True)
        return reduced(own - state.gradient, beta) / 2
    return reduced(state.gradient * (state.position - _turned(state.position, alphabet)), beta) / 2


@compiled
def _step_of_one(rng_key, state, energy, beta, step_size, alphabet):
    choose_key, accept_key = jax.random.split(rng_key)
    logits = lambda state: jax.nn.log_softmax(_half_gains(state, beta, alphabet).ravel())
    forward = logits(state)
    site = jax.random.categorical(choose_key, forward)
    chosen = (jnp.arange(forward.size) == site).reshape(state.position.shape)
    new = evaluate(energy, jnp.where(chosen, _turned(state.position, alphabet), state.position))
    error = reduced(new.energy - state.energy, beta) + forward[site] - logits(new)[site]
    return accept_or_stay(accept_key, state, new, error)


@compiled
def _step_of_one_category(rng_key, state, energy, beta, step_size, alphabet):
    choose_key, accept_key = jax.random.split(rng_key)
    others = lambda state: jnp.where(state.position == 1, -jnp.inf, _half_gains(state, beta, alphabet))
    logits = lambda state: jax.nn.log_softmax(others(state).ravel())
    states = state.position.shape[-1]
    rows = state.position.reshape(-1, states)
    forward = logits(state)
    change = jax.random.categorical(choose_key, forward)
    unit, value = change // states, change % states
    old = jnp.argmax(rows[unit])
    turned = rows.at[unit].set((jnp.arange(states) == value).astype(rows.dtype))
    new = evaluate(energy, turned.reshape(state.position.shape))
    error = reduced(new.energy - state.energy, beta) + forward[change] - logits(new)[unit * states + old]
    return accept_or_stay(accept_key, state, new, error)


def _all_at_once(key, state, beta, step_size, alphabet):
    """A position with every unit drawn anew from the proposal at a state."""
    logits = _logits_of_all(state, beta, step_size, alphabet)
    if alphabet is None:
        drawn = jax.random.categorical(key, logits)
        return jax.nn.one_hot(drawn, logits.shape[-1], dtype=state.position.dtype)
    uniform = random_bits.around_zero(jax.random.bits(key, logits.shape, jnp.uint32))
    turns = heat_bath(uniform, logits, 1.0, BITS)
    return jnp.where(turns == 1, _turned(state.position, alphabet), state.position)


def _logits_of_all(state, beta, step_size, alphabet):
    """Log odds of turning each unit, or logits of all states of each category."""
    gains = _half_gains(state, beta, alphabet)
    size = step_size.astype(gains.dtype)
    if alphabet is None:
        return gains - (1 - state.position) / size
    return gains - (alphabet.high - alphabet.low) ** 2 / (2 * size)


def _log_probability(state, position, beta, step_size, alphabet):
    """log q(position | state)."""
    logits = _logits_of_all(state, beta, step_size, alphabet)
    if alphabet is None:
        return jnp.sum(jnp.where(position == 1, jax.nn.log_softmax(logits), 0))
    return jnp.sum(jax.nn.log_sigmoid(jnp.where(position == state.position, -logits, logits)))


@compiled
def _step_of_all(rng_key, state, energy, beta, step_size, alphabet):
    propose_key, accept_key = jax.random.split(rng_key)
    new = evaluate(energy, _all_at_once(propose_key, state, beta, step_size, alphabet))
    forward = _log_probability(state, new.position, beta, step_size, alphabet)
    backward = _log_probability(new, state.position, beta, step_size, alphabet)
    return accept_or_stay(accept_key, state, new, reduced(new.energy - state.energy, beta) + forward - backward)


@compiled
def _step_unadjusted(rng_key, state, energy, beta, step_size, alphabet):
    new = evaluate(energy, _all_at_once(rng_key, state, beta, step_size, alphabet))
    return new, UnadjustedInfo(new.energy - state.energy, ~is_finite(new))
