"""Metropolis sampling, for any energy and any symmetric proposal.

    x' = propose(key, x),    accepted with probability min(1, exp(-beta (E(x') - E(x))))

If the proposal is refused, the old position counts once more. Z cancels in the ratio and need not be known. Proposals
must be symmetric, q(x'|x) = q(x|x'): here are flips of one spin (`flip_one`) or one bit (`flip_one_bit`), and Gaussian
steps of continuous unknowns (`gaussian_step`). For many chains of a few continuous unknowns, `special.many_walks` has
the law of `gaussian_step` and is faster; where the energy has a gradient, `hamiltonian` mixes better.

Metropolis et al. (1953), "Equation of state calculations by fast computing machines".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from ebmjax.checks import check_beta, check_not_negative
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Energy, Kernel, Proposal, Scalar


class State(NamedTuple):
    """A position and its energy, which is evaluated once a step."""

    position: PyTree[Array]
    energy: Float[Array, ""]


class Info(NamedTuple):
    """What happened to the proposal of a step."""

    accepted: Bool[Array, ""]
    """Whether the chain moved to the proposal."""
    energy_change: Float[Array, ""]
    """E(x') - E(x) of the proposal, accepted or not."""


def metropolis(energy: Energy, beta: Beta, propose: Proposal) -> Kernel:
    """Kernel that leaves exp(-beta E)/Z invariant for any symmetric `propose(key, position)`.

    Args:
        energy: `energy(position) -> scalar`; +inf forbids a position.
        beta: inverse temperature in [0, inf]; may be traced. At inf no move that raises the energy is accepted.
        propose: a symmetric proposal, `propose(key, position) -> position`, for spins, bits or continuous unknowns.

    Returns:
        Kernel whose info has `accepted` and `energy_change`.

    Raises:
        ValueError: a bad beta.

    Metropolis et al. (1953), section II.

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
        accepted = accepts(accept_key, reduced(change, beta))
        state = jax.tree.map(lambda new, old: jnp.where(accepted, new, old), proposed, state)
        return state, Info(accepted, change)

    return Kernel(init, step)


def accepts(key: Key[Array, ""], change: Float[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """The decision of Metropolis: True with probability min(1, exp(-change)), independently for each element.

    Args:
        key: typed random key.
        change: -log of the acceptance ratio, such as beta (E(x') - E(x)); NaN is never accepted.

    It compares an exponential random number with `change`, because exp(-change) could underflow.

    >>> accepts(jax.random.key(0), jnp.array([-1.0, 1e9, jnp.nan])).tolist()
    [True, False, False]
    """
    return jax.random.exponential(key, change.shape, change.dtype) >= change


def flip_one(key: Key[Array, ""], spins: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Proposal: one spin of ±1, chosen uniformly, changes its sign.

    >>> flip_one(jax.random.key(0), jnp.ones(1)).tolist()
    [-1.0]
    """
    return spins * (1 - 2 * _one_site(key, spins))


def flip_one_bit(key: Key[Array, ""], bits: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Proposal: one unit of {0, 1}, chosen uniformly, takes its other value.

    >>> flip_one_bit(jax.random.key(0), jnp.ones(1)).tolist()
    [0.0]
    """
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
    return lambda key, x: x + jnp.asarray(step_size).astype(x.dtype) * jax.random.normal(key, x.shape, x.dtype)


def _one_site(key, units):
    site = jax.random.randint(key, (), 0, units.size)
    return (jnp.arange(units.size) == site).astype(units.dtype).reshape(units.shape)
