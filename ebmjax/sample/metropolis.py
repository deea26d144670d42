"""Metropolis: walk by proposals, accept by the ratio in which Z cancels.

    x' = propose(key, x),   accepted with probability min(1, exp(-beta (E(x') - E(x))))

A refused move counts the old state again. Proposals have to be symmetric: q(x'|x) = q(x|x').

Metropolis et al. (1953), "Equation of state calculations by fast computing machines".
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from ebmjax.checks import check_beta, check_not_negative
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Energy, Kernel, Proposal, Scalar


class State(NamedTuple):
    """Where the walk is, and the energy there."""

    position: PyTree[Array]
    energy: Float[Array, ""]


class Info(NamedTuple):
    """What became of a proposal."""

    accepted: Bool[Array, ""]  # a refused move counts the old state again
    energy_change: Float[Array, ""]  # of the proposal, accepted or not


def metropolis(energy: Energy, beta: Beta, propose: Proposal) -> Kernel:
    """Kernel that leaves exp(-beta E)/Z invariant for any symmetric `propose(key, position)`.

    Args:
        energy: `energy(position) -> scalar`; +inf forbids a position.
        beta: inverse temperature in [0, inf]; at inf no move goes up.
        propose: a symmetric proposal, for spins, bits or continuous unknowns.

    Raises:
        ValueError: a bad beta.

    >>> kernel = metropolis(lambda s: -s.sum(), jnp.inf, flip_one)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(-jnp.ones(3)))
    >>> float(state.energy), bool(info.accepted)
    (1.0, True)
    """
    check_beta(beta)

    def init(position: PyTree[Array], rng_key: Key[Array, ""] | None = None) -> State:
        return State(position, jnp.asarray(energy(position)))

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        propose_key, accept_key = jax.random.split(rng_key)
        proposed = init(propose(propose_key, state.position))
        change = proposed.energy - state.energy
        # an exponential draw instead of exp(-beta change), which would underflow
        accepted = -jnp.log1p(-jax.random.uniform(accept_key, dtype=change.dtype)) >= reduced(change, beta)
        state = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), proposed, state)
        return state, Info(accepted, change)

    return Kernel(init, step)


def flip_one(key: Key[Array, ""], spins: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Proposal: one spin of ±1, chosen uniformly, turned over.

    >>> flip_one(jax.random.key(0), jnp.ones(1)).tolist()
    [-1.0]
    """
    return spins * (1 - 2 * _one_site(key, spins))


def flip_one_bit(key: Key[Array, ""], bits: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Proposal: one unit of {0, 1}, chosen uniformly, turned over.

    >>> flip_one_bit(jax.random.key(0), jnp.ones(1)).tolist()
    [0.0]
    """
    return jnp.where(_one_site(key, bits) == 1, 1 - bits, bits)


def gaussian_step(scale: Scalar) -> Callable[[Key[Array, ""], Float[Array, "*shape"]], Float[Array, "*shape"]]:
    """Proposal: x + scale · noise, for continuous unknowns: the random walk.

    Raises ValueError for a static negative scale.

    >>> gaussian_step(0.0)(jax.random.key(0), jnp.ones(2)).tolist()
    [1.0, 1.0]
    """
    check_not_negative("scale", scale)
    return lambda key, x: x + jnp.asarray(scale).astype(x.dtype) * jax.random.normal(key, x.shape, x.dtype)


def _one_site(key, units):
    site = jax.random.randint(key, (), 0, units.size)
    return (jnp.arange(units.size) == site).astype(units.dtype).reshape(units.shape)
