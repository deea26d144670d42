"""Langevin samplers, for continuous unknowns: steps down the gradient of the energy, plus Gaussian noise.

    unadjusted    x' = x - ε beta ∇E(x) + √(2ε) ξ, always accepted
    mala          the same as a proposal, which Metropolis and Hastings accept or refuse
    underdamped   with a momentum, which friction and noise renew: the splitting BAOAB, always accepted

`mala` has the law exp(-beta E)/Z exactly, for every ε. The law of `unadjusted` has a bias of O(ε). That of
`underdamped` has a bias of O(h²) in its time step h = √(2ε), and for quadratic energies none in the positions.

Positions are arrays of floats, or any pytree of them. beta must be finite: at beta = inf the noise would vanish beside
the gradient, and that is minimization. Where the energy or its gradient is not finite, `mala` refuses the proposal. The
other two cannot refuse; their info says `diverged`, and the caller has to start the chain again.

Rossky, Doll and Friedman (1978), "Brownian dynamics as smart Monte Carlo simulation"; Roberts and Tweedie (1996),
"Exponential convergence of Langevin distributions and their discrete approximations"; Leimkuhler and Matthews (2013),
"Rational construction of stochastic numerical methods for molecular sampling".
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from ebmjax.checks import (
    as_beta,
    as_float,
    check_callable,
    check_finite_beta,
    check_key,
    check_not_negative,
    check_positive,
)
from ebmjax.compiled import compiled
from ebmjax.records import record
from ebmjax.sample.gradient_state import Info, State, accept_or_stay, evaluate, is_finite, start
from ebmjax.sample.trees import add_scaled, inner_product, normal_like, scaled
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Energy, Kernel, Scalar


@record
class UnderdampedState(NamedTuple):
    """State of `underdamped`: the fields of `gradient_state.State`, and a momentum."""

    position: PyTree[Array]
    energy: Float[Array, ""]
    gradient: PyTree[Array]
    """∂E/∂position, without beta, of the structure of the position."""
    momentum: PyTree[Array]
    """Standard normal in equilibrium, of the structure of the position."""
    moving: Bool[Array, ""]
    """Whether there is a momentum: False before the first step, which draws it."""


@record
class UnadjustedInfo(NamedTuple):
    """What happened in a step that is always accepted."""

    energy_change: Float[Array, ""]
    """E(x') - E(x)."""
    diverged: Bool[Array, ""]
    """Whether energy or gradient at the new position is not finite."""


def unadjusted(energy: Energy, beta: Beta, step_size: Scalar) -> Kernel:
    """The unadjusted Langevin algorithm: x' = x - ε beta ∇E(x) + √(2ε) ξ, always accepted.

    Its stationary law is near exp(-beta E)/Z, with a bias of O(ε). For a quadratic energy, where beta ∇E = K (x - μ),
    it is the normal law of mean μ and covariance (K - ½ ε K²)⁻¹ instead of K⁻¹; for ε ≥ 2/λ_max(K) the chain has no
    stationary law.

    Args:
        energy: `energy(position) -> scalar`, differentiable.
        beta: inverse temperature in [0, inf); may be traced.
        step_size: ε, positive, in units of position²; may be traced.

    Returns:
        Kernel whose info has `energy_change` and `diverged`.

    Raises:
        ValueError: a bad or infinite beta, a step size that is not positive; at `init`, a static position where energy
            or gradient is not finite.

    Rossky, Doll and Friedman (1978), eq. 4; Roberts and Tweedie (1996), eq. 4.

    >>> kernel = unadjusted(lambda x: x**2 / 2, 2.0, 0.1)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.array(1.0)))
    >>> bool(info.energy_change == state.energy - 0.5), bool(info.diverged)
    (True, False)
    """
    beta, step_size = _checked(energy, beta, step_size)

    def init(position: PyTree[Any], rng_key: Key[Array, ""] | None = None) -> State:
        return start(energy, position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, UnadjustedInfo]:
        check_key("rng_key", rng_key)
        return _step_unadjusted(rng_key, state, energy, beta, step_size)

    return Kernel(init, step)


@compiled
def _step_unadjusted(rng_key, state, energy, beta, step_size):
    new = evaluate(energy, _langevin_move(state, normal_like(rng_key, state.position), beta, step_size))
    return new, UnadjustedInfo(new.energy - state.energy, ~is_finite(new))


def mala(energy: Energy, beta: Beta, step_size: Scalar) -> Kernel:
    """The Metropolis-adjusted Langevin algorithm, which leaves exp(-beta E)/Z invariant at any step size.

        x' = x - ε beta ∇E(x) + √(2ε) ξ,    accepted with probability min(1, exp(-Δ)),
        Δ = beta (E(x') - E(x)) + log q(x'|x) - log q(x|x')
          = beta (E(x') - E(x)) - √(ε/2) ξᵀ(g + g') + ε/4 ‖g + g'‖²,    g = beta ∇E

    The last line is the exact Hastings ratio, without the 1/ε that would lose digits where ε is small. `hamiltonian`
    with one leapfrog step of size √(2ε) is the same algorithm.

    Args:
        energy: `energy(position) -> scalar`, differentiable. A position where it or its gradient is not finite is
            always refused, and counted as a divergence.
        beta: inverse temperature in [0, inf); may be traced.
        step_size: ε, positive, in units of position²; may be traced. In many dimensions the best one has about 0.57 of
            the moves accepted.

    Returns:
        Kernel whose info has `accepted`, `energy_error` = Δ, `diverged` and `forbidden`.

    Raises:
        ValueError: a bad or infinite beta, a step size that is not positive; at `init`, a static position where energy
            or gradient is not finite.

    Rossky, Doll and Friedman (1978), eq. 7; Roberts and Tweedie (1996), section 1.4.1.

    >>> kernel = mala(lambda x: x**2 / 2, 2.0, 0.1)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.array(1.0)))
    >>> bool(info.accepted), bool(jnp.abs(info.energy_error) < 0.1)
    (True, True)
    """
    beta, step_size = _checked(energy, beta, step_size)

    def init(position: PyTree[Any], rng_key: Key[Array, ""] | None = None) -> State:
        return start(energy, position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        check_key("rng_key", rng_key)
        return _step_mala(rng_key, state, energy, beta, step_size)

    return Kernel(init, step)


@compiled
def _step_mala(rng_key, state, energy, beta, step_size):
    noise_key, accept_key = jax.random.split(rng_key)
    noise = normal_like(noise_key, state.position)
    new = evaluate(energy, _langevin_move(state, noise, beta, step_size))
    dtype = new.energy.dtype
    epsilon = step_size.astype(dtype)
    slopes = scaled(add_scaled(state.gradient, new.gradient, 1), beta)
    hastings = epsilon / 4 * inner_product(slopes, slopes, dtype) - jnp.sqrt(epsilon / 2) * inner_product(
        noise, slopes, dtype
    )
    return accept_or_stay(accept_key, state, new, reduced(new.energy - state.energy, beta) + hastings)


def underdamped(energy: Energy, beta: Beta, step_size: Scalar, friction: Scalar) -> Kernel:
    """Langevin dynamics with a momentum of unit mass, by the splitting BAOAB, always accepted.

        B  p ← p - h/2 beta ∇E(x)      A  x ← x + h/2 p      O  p ← c p + √(1 - c²) ξ,    c = exp(-friction h)

    The law of position and momentum is exp(-beta E(x) - p²/2)/Z up to a bias of O(h²); that of positions is exact where
    the energy is quadratic, for every h < 2/√λ_max(beta ∇²E). The first step after `init` draws the momentum, and has
    no part O. A momentum belongs to its position: in the swaps of `tempering` both stay, and their beta changes.

    Args:
        energy: `energy(position) -> scalar`, differentiable.
        beta: inverse temperature in [0, inf); may be traced.
        step_size: the time step h, positive, in units of position; may be traced.
        friction: rate at which the momentum decays, in units of 1/h, not negative; may be traced. At 0 it never decays.

    Returns:
        Kernel whose info has `energy_change` and `diverged`.

    Raises:
        ValueError: a bad or infinite beta, a step size that is not positive, a negative friction; at `init`, a static
            position where energy or gradient is not finite.

    Leimkuhler and Matthews (2013), table 1 and eq. 10.

    >>> kernel = underdamped(lambda x: x**2 / 2, 2.0, 0.1, friction=1.0)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.array(1.0)))
    >>> bool(state.moving), bool(info.diverged)
    (True, False)
    """
    beta, step_size = _checked(energy, beta, step_size)
    check_not_negative("friction", friction)
    friction = as_float("friction", friction, ())

    def init(position: PyTree[Any], rng_key: Key[Array, ""] | None = None) -> UnderdampedState:
        state = start(energy, position)
        return UnderdampedState(*state, momentum=jax.tree.map(jnp.zeros_like, state.position), moving=jnp.array(False))

    def step(rng_key: Key[Array, ""], state: UnderdampedState) -> tuple[UnderdampedState, UnadjustedInfo]:
        check_key("rng_key", rng_key)
        return _step_underdamped(rng_key, state, energy, beta, step_size, friction)

    return Kernel(init, step)


@compiled
def _step_underdamped(rng_key, state, energy, beta, step_size, friction):
    noise = normal_like(rng_key, state.position)
    forgotten = jnp.where(state.moving, friction * step_size.astype(friction.dtype), 0)
    momentum = jax.tree.map(lambda old, fresh: jnp.where(state.moving, old, fresh), state.momentum, noise)
    momentum = add_scaled(momentum, state.gradient, -0.5, beta, step_size)
    position = add_scaled(state.position, momentum, 0.5, step_size)
    momentum = add_scaled(scaled(momentum, jnp.exp(-forgotten)), noise, jnp.sqrt(-jnp.expm1(-2 * forgotten)))
    new = evaluate(energy, add_scaled(position, momentum, 0.5, step_size))
    momentum = add_scaled(momentum, new.gradient, -0.5, beta, step_size)
    info = UnadjustedInfo(new.energy - state.energy, ~is_finite(new))
    return UnderdampedState(*new, momentum=momentum, moving=jnp.array(True)), info


def _checked(energy, beta, step_size):
    check_callable("energy", energy)
    check_finite_beta(beta)
    check_positive("step_size", step_size)
    return as_beta(beta), as_float("step_size", step_size, ())


def _langevin_move(state, noise, beta, step_size):
    drifted = add_scaled(state.position, state.gradient, -1, beta, step_size)
    return add_scaled(drifted, noise, jnp.sqrt(2 * step_size))
