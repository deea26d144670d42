"""Hamiltonian Monte Carlo, for continuous unknowns: the sampler to try first where the energy has a gradient.

    H(x, p) = beta E(x) + p²/2,    dx/dt = p,    dp/dt = -beta ∇E(x)

One step draws a momentum p, integrates these equations for a while, and accepts or refuses the end point: the unknown
gets a push and rolls over the energy. The leapfrog integrator is reversible and preserves volume, so that Metropolis
corrects only its error in H, which falls as the square of the step size. The mass is 1 for every coordinate. The
momentum is standard normal at every temperature, since beta multiplies the gradient alone.

Duane, Kennedy, Pendleton and Roweth (1987), "Hybrid Monte Carlo"; Neal (2011), "MCMC using Hamiltonian dynamics".
"""

from typing import Any

import jax
from jaxtyping import Array, Key, PyTree

from ebmjax.checks import (
    as_beta,
    as_float,
    check_callable,
    check_count,
    check_finite_beta,
    check_key,
    check_positive,
)
from ebmjax.compiled import compiled
from ebmjax.loops import iterate
from ebmjax.sample.gradient_state import Info, State, accept_or_stay, evaluate, start
from ebmjax.sample.trees import add_scaled, inner_product, normal_like
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Energy, Kernel, Scalar


def hamiltonian(energy: Energy, beta: Beta, step_size: Scalar, steps: int) -> Kernel:
    """Kernel that leaves exp(-beta E)/Z invariant: leapfrog steps from a fresh momentum, then accept or refuse.

        accepted with probability min(1, exp(-Δ)),    Δ = H(x', p') - H(x, p)

    Args:
        energy: `energy(position) -> scalar`, differentiable, of a pytree of floats. A position where it or its gradient
            is not finite is always refused, and counted as a divergence.
        beta: inverse temperature in [0, inf); may be traced.
        step_size: h of one leapfrog step, positive, in units of position; may be traced. In many dimensions the best
            one has about 0.65 of the moves accepted; `ebmjax.sample.warm_up` finds it.
        steps: leapfrog steps of one move, static, at least 1.

    Returns:
        Kernel whose info has `accepted`, `energy_error` = Δ, `diverged` and `forbidden`.

    Raises:
        ValueError: a bad or infinite beta, a step size that is not positive, steps below 1; at `init`, a static
            position where energy or gradient is not finite.

    Neal (2011), section 5.3.2.

    >>> import jax.numpy as jnp
    >>> kernel = hamiltonian(lambda x: x**2 / 2, 2.0, 0.2, steps=5)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.array(1.0)))
    >>> bool(info.accepted), bool(jnp.abs(info.energy_error) < 0.1)
    (True, True)
    """
    check_callable("energy", energy)
    check_finite_beta(beta)
    check_positive("step_size", step_size)
    check_count("steps", steps)
    beta, step_size, steps = as_beta(beta), as_float("step_size", step_size, ()), int(steps)

    def init(position: PyTree[Any], rng_key: Key[Array, ""] | None = None) -> State:
        return start(energy, position)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        check_key("rng_key", rng_key)
        return _step(rng_key, state, energy, beta, step_size, steps)

    return Kernel(init, step)


@compiled
def _step(rng_key, state, energy, beta, step_size, steps):
    momentum_key, accept_key = jax.random.split(rng_key)
    momentum = normal_like(momentum_key, state.position)
    new, final = leapfrog(energy, beta, step_size, steps, state, momentum)
    dtype = new.energy.dtype
    # (p' - p)ᵀ(p' + p) / 2 instead of the difference of two squares
    kinetic = inner_product(add_scaled(final, momentum, -1), add_scaled(final, momentum, 1), dtype) / 2
    return accept_or_stay(accept_key, state, new, reduced(new.energy - state.energy, beta) + kinetic)


def leapfrog(
    energy: Energy, beta: Beta, step_size: Scalar, steps: int, state: State, momentum: PyTree[Array]
) -> tuple[State, PyTree[Array]]:
    """Integrate Hamilton's equations by the leapfrog method.

        p ← p - h/2 beta ∇E(x),    x ← x + h p,    p ← p - h/2 beta ∇E(x)

    It is reversible: started at its end with the momentum -p, it returns to the start. It preserves volume in (x, p),
    and its error in H is of order h².

    Args:
        energy: as in `hamiltonian`, as are beta, step_size and steps.
        beta: inverse temperature.
        step_size: h.
        steps: static, at least 1.
        state: position with energy and gradient, as `gradient_state.evaluate` returns.
        momentum: of the structure of the position.

    Returns:
        The last state and momentum.

    Raises:
        ValueError: steps below 1.

    Neal (2011), section 5.2.3.3.

    >>> import jax.numpy as jnp
    >>> well = lambda x: x**2 / 2
    >>> state, momentum = leapfrog(well, 1.0, jnp.pi / 50, 100, evaluate(well, jnp.array(1.0)), jnp.array(0.0))
    >>> bool(abs(state.position - 1) < 1e-3)  # one whole period
    True
    """
    check_count("steps", steps)

    def kick(momentum, state, share):
        return add_scaled(momentum, state.gradient, -share, beta, step_size)

    def move(walker):
        state, momentum = walker
        state = evaluate(energy, add_scaled(state.position, momentum, step_size))
        return state, kick(momentum, state, 1)

    # the half kicks between two steps are joined to whole ones, and the last one is half of that too much
    state, momentum = iterate(move, (state, kick(momentum, state, 0.5)), steps)
    return state, kick(momentum, state, -0.5)
