"""Metropolis sampling, for any energy and any symmetric proposal.

    x' = propose(key, x),    accepted with probability min(1, exp(-beta (E(x') - E(x))))

If the proposal is refused, the old position counts once more. Z cancels in the ratio and need not be known. Proposals
must be symmetric, q(x'|x) = q(x|x'): here are flips of one spin (`flip_one`) or one bit (`flip_one_bit`), and Gaussian
steps of continuous unknowns (`gaussian_step`). For many chains of a few continuous unknowns, `special.many_walks` has
the law of `gaussian_step` and is faster; where the energy has a gradient, `hamiltonian` mixes better.

Metropolis et al. (1953), "Equation of state calculations by fast computing machines".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, PyTree

from ebmjax import random_bits
from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    as_floats,
    as_scalar,
    check_callable,
    check_key,
    check_not_negative,
    is_static,
)
from ebmjax.compiled import compiled
from ebmjax.records import record
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Energy, Kernel, Proposal, Scalar


@record
class State(NamedTuple):
    """A position and its energy, which is evaluated once a step."""

    position: PyTree[Array]
    energy: Float[Array, ""]


@record
class Info(NamedTuple):
    """What happened to the proposal of a step."""

    accepted: Bool[Array, ""]
    """Whether the chain moved to the proposal."""
    energy_change: Float[Array, ""]
    """E(x') - E(x) of the proposal, accepted or not."""
    forbidden: Bool[Array, ""]
    """Whether the energy where the chain now is is +inf or NaN. There it cannot be, and it can be stuck there."""


def metropolis(energy: Energy, beta: Beta, propose: Proposal) -> Kernel:
    """Kernel that leaves exp(-beta E)/Z invariant for any symmetric `propose(key, position)`.

    A proposal that is forbidden, by an energy of +inf or NaN, is never accepted. From a forbidden position every other
    proposal is, at any beta.

    Args:
        energy: `energy(position) -> scalar`; +inf forbids a position.
        beta: inverse temperature in [0, inf]; may be traced. At inf no move that raises the energy is accepted.
        propose: a symmetric proposal, `propose(key, position) -> position`, for spins, bits or continuous unknowns.

    Returns:
        Kernel whose info has `accepted`, `energy_change` and `forbidden`. Its positions are of floats; integers stay
        integers where the energy refuses floats with a TypeError, such as for those that it takes as indices.

    Raises:
        ValueError: a bad beta; at `init`, a static position whose energy is +inf or NaN, an energy that is no scalar.

    Metropolis et al. (1953), section II.

    >>> kernel = metropolis(lambda s: -s.sum(), jnp.inf, flip_one)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(-jnp.ones(3)))
    >>> float(state.energy), bool(info.accepted)
    (1.0, True)
    """
    beta = as_beta(beta)
    check_callable("energy", energy)
    check_callable("propose", propose)

    def init(position: PyTree[Any], rng_key: Key[Array, ""] | None = None) -> State:
        position = _whole_or_floats(energy, position)
        height = _height(energy, position)
        check_allowed("position", height)
        return State(position, height)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, energy, beta, propose)

    return Kernel(init, step)


@compiled
def _height(energy, position):
    return as_scalar("energy", energy(position))


@compiled
def _step(rng_key, state, energy, beta, propose):
    propose_key, accept_key = jax.random.split(rng_key)
    proposed = propose(propose_key, state.position)
    new = State(proposed, as_scalar("energy", energy(proposed)).astype(state.energy.dtype))
    change = new.energy - state.energy
    left = is_forbidden(state.energy) & ~is_forbidden(new.energy)
    accepted = left | accepts(accept_key, reduced(change, beta))
    state = jax.tree.map(lambda new, old: jnp.where(accepted, new.astype(old.dtype), old), new, state)
    return state, Info(accepted, change, is_forbidden(state.energy))


def is_forbidden(energy: Float[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """Whether an energy is +inf or NaN, where no chain can be.

    >>> is_forbidden(jnp.array([0.0, jnp.inf, -jnp.inf, jnp.nan])).tolist()
    [False, True, False, True]
    """
    return ~(energy < jnp.inf)


def check_allowed(name: str, energies: Float[Array, "*shape"]) -> None:
    """Raise ArgumentError, naming the position, for a static energy that is +inf or NaN: a chain cannot start there.

    >>> check_allowed("position", jnp.array([0.0, jnp.inf]))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: position: got an energy of inf there, wanted one below inf: a chain cannot start there
    """
    if is_static(energies):
        values = np.asarray(energies)
        wrong = values[~(values < np.inf)]
        if wrong.size:
            raise ArgumentError(
                f"{name}: got an energy of {wrong.flat[0]} there, wanted one below inf: a chain cannot start there"
            )


def accepts(key: Key[Array, ""], change: Float[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """The decision of Metropolis: True with probability min(1, exp(-change)), independently for each element.

    Args:
        key: typed random key.
        change: -log of the acceptance ratio, such as beta (E(x') - E(x)); NaN is never accepted.

    It compares an exponential random number with `change`, because exp(-change) could underflow. The largest of these
    numbers is 22.2, so that probabilities down to 2⁻³² are right.

    Raises:
        ValueError: what is no typed key, a change that is not numbers.

    >>> accepts(jax.random.key(0), jnp.array([-1.0, 1e9, jnp.nan])).tolist()
    [True, False, False]
    """
    check_key("key", key)
    change = as_float("change", change)
    uniform = 2 * jnp.abs(random_bits.around_zero(jax.random.bits(key, change.shape, jnp.uint32)))
    return -jnp.log(uniform).astype(change.dtype) >= change


def flip_one(key: Key[Array, ""], spins: Any) -> Array:
    """Proposal: one spin of ±1, chosen uniformly, changes its sign. Raises ValueError for what is no typed key.

    >>> flip_one(jax.random.key(0), jnp.ones(1)).tolist()
    [-1.0]
    """
    check_key("key", key)
    spins = _numbers("spins", spins)
    return spins * (1 - 2 * _one_site(key, spins))


def flip_one_bit(key: Key[Array, ""], bits: Any) -> Array:
    """Proposal: one unit of {0, 1}, chosen uniformly, takes its other value. Raises ValueError for what is no key.

    >>> flip_one_bit(jax.random.key(0), jnp.ones(1)).tolist()
    [0.0]
    """
    check_key("key", key)
    bits = _numbers("bits", bits)
    return jnp.where(_one_site(key, bits) == 1, 1 - bits, bits)


def gaussian_step(step_size: Scalar) -> Proposal:
    """Proposal of the random walk in continuous unknowns: x + step_size · ξ, with standard normal ξ.

    Args:
        step_size: standard deviation in each coordinate, in units of position, not negative; may be traced. In d
            dimensions 2.4/√d standard deviations of the law is best (Gelman, Roberts and Gilks 1996).

    Returns:
        a proposal for positions that are one array of floats.

    Raises:
        ValueError: a static step size that is negative.

    >>> gaussian_step(0.0)(jax.random.key(0), jnp.ones(2)).tolist()
    [1.0, 1.0]
    """
    check_not_negative("step_size", step_size)
    step_size = as_float("step_size", step_size, ())

    def propose(key: Key[Array, ""], x: Any) -> Float[Array, "*shape"]:
        check_key("key", key)
        x = as_float("x", x)
        return x + step_size.astype(x.dtype) * jax.random.normal(key, x.shape, x.dtype)

    return propose


def _one_site(key, units):
    site = jax.random.randint(key, (), 0, units.size)
    return (jnp.arange(units.size) == site).astype(units.dtype).reshape(units.shape)


def _numbers(name, units):
    """Units that can be computed with: signed integers as they are, all others as floats."""
    if isinstance(units, jax.Array) and jnp.issubdtype(units.dtype, jnp.signedinteger):
        return units
    return as_float(name, units)


def _whole_or_floats(energy, position):
    """The position in floats; or, if the energy does not take them, with the integers that it has."""
    floats = as_floats("position", position)
    is_whole = lambda leaf: jnp.issubdtype(leaf.dtype if hasattr(leaf, "dtype") else type(leaf), jnp.integer)
    if not any(is_whole(leaf) for leaf in jax.tree.leaves(position)):
        return floats
    try:
        jax.eval_shape(energy, floats)
    except TypeError:
        whole = lambda leaf, number: jnp.asarray(leaf, jnp.result_type(int)) if is_whole(leaf) else number
        return jax.tree.map(whole, position, floats)
    return floats
