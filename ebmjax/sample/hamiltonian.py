"""Hamiltonian Monte Carlo: give the unknown a push, let it roll over the energy for a while, accept where it got.

    H(x, p) = beta E(x) + p²/2,    x' = p,  p' = -beta ∇E(x)

The leapfrog integrator is reversible and keeps volume, so that Metropolis has to make up only for its error in H, which
falls as the square of the step size. The mass is one for every coordinate, and momentum is standard normal at every
temperature: beta scales the slope alone.

Duane, Kennedy, Pendleton and Roweth (1987), "Hybrid Monte Carlo"; Neal (2011), "MCMC using Hamiltonian dynamics".
"""

import jax
from jaxtyping import Array, Key, PyTree

from ebmjax.checks import check_count, check_finite_beta, check_positive
from ebmjax.sample.gradient_state import Info, State, decide, locate
from ebmjax.sample.trees import add_scaled, inner_product, normal_like
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Energy, Kernel, Scalar


def hamiltonian(energy: Energy, beta: Beta, step_size: Scalar, steps: int) -> Kernel:
    """Kernel that leaves exp(-beta E)/Z invariant: leapfrog from a fresh momentum, then accept or refuse.

        accepted with probability min(1, exp(-Δ)),    Δ = H(x', p') - H(x, p)

    Args:
        energy: `energy(position) -> scalar`, differentiable, of a pytree of floats; a position where it or its gradient
            is not finite is never entered, and counts as a divergence.
        beta: inverse temperature in [0, inf[; may be traced.
        step_size: h, positive, in units of position; may be traced. About 0.65 accepted is best in many dimensions.
        steps: leapfrog steps of one move, static, at least 1.

    Returns:
        Kernel whose info has `accepted`, `energy_error` = Δ and `diverged`.

    Raises:
        ValueError: a bad or infinite beta, a step size that is not positive, steps below 1.
        TypeError: at `init`, a position of integers or booleans.

    Neal (2011), section 5.3.2.

    >>> import jax.numpy as jnp
    >>> kernel = hamiltonian(lambda x: x**2 / 2, 2.0, 0.2, steps=5)
    >>> state, info = kernel.step(jax.random.key(0), kernel.init(jnp.array(1.0)))
    >>> bool(info.accepted), bool(jnp.abs(info.energy_error) < 0.1)
    (True, True)
    """
    check_finite_beta(beta)
    check_positive("step_size", step_size)
    check_count("steps", steps)

    def step(rng_key: Key[Array, ""], state: State) -> tuple[State, Info]:
        momentum_key, accept_key = jax.random.split(rng_key)
        momentum = normal_like(momentum_key, state.position)
        new, final = leapfrog(energy, beta, step_size, steps, state, momentum)
        dtype = new.energy.dtype
        # (p' - p)ᵀ(p' + p) / 2 instead of the difference of two squares
        kinetic = inner_product(add_scaled(final, momentum, -1), add_scaled(final, momentum, 1), dtype) / 2
        return decide(accept_key, state, new, reduced(new.energy - state.energy, beta) + kinetic)

    return Kernel(lambda position, rng_key=None: locate(energy, position), step)


def leapfrog(
    energy: Energy, beta: Beta, step_size: Scalar, steps: int, state: State, momentum: PyTree[Array]
) -> tuple[State, PyTree[Array]]:
    """Integrate Hamilton's equations: kicks of half a step at both ends, whole ones between, drifts in turn with them.

    Reversible: from its end with the momentum turned round it leads back to the start.

    Args:
        energy: as in `hamiltonian`, as are beta, step_size and steps.
        beta: inverse temperature.
        step_size: h.
        steps: static, at least 1.
        state: position with energy and gradient, as of `gradients.locate`.
        momentum: of the shape of the position.

    Returns:
        The last state and momentum.

    Raises:
        ValueError: steps below 1.

    >>> import jax.numpy as jnp
    >>> hill = lambda x: x**2 / 2
    >>> state, momentum = leapfrog(hill, 1.0, jnp.pi / 50, 100, locate(hill, jnp.array(1.0)), jnp.array(0.0))
    >>> bool(abs(state.position - 1) < 1e-3)  # once around
    True
    """
    check_count("steps", steps)

    def kick(momentum, state, share):
        return add_scaled(momentum, state.gradient, -share, beta, step_size)

    def move(_, walker):
        state, momentum = walker
        state = locate(energy, add_scaled(state.position, momentum, step_size))
        return state, kick(momentum, state, 1)

    state, momentum = jax.lax.fori_loop(0, steps, move, (state, kick(momentum, state, 0.5)))
    return state, kick(momentum, state, -0.5)  # half of the last kick was too much
