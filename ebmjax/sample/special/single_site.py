"""Gibbs sweeps of a Boltzmann machine over some of its spins, the others held.

    P(s_i = +1 | rest) = σ(2 beta (Ws + b)_i)

One row of W a visit, so that a sweep costs N² operations, where `gibbs.systematic` of any energy costs N³. For one
large machine and many chains, all of whose spins are free, `dense` is quicker still.

Ackley, Hinton, Sejnowski (1985), "A learning algorithm for Boltzmann machines".
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ebmjax.checks import ArgumentError, check_beta, check_shape, check_units
from ebmjax.energies import hopfield
from ebmjax.sample import gibbs
from ebmjax.temperature import reduced
from ebmjax.types import SPINS, Beta, Kernel


def sweep(params: hopfield.Params, beta: Beta, sites: Int[np.ndarray, " visits"] | None = None) -> Kernel:
    """Visit the spins of `sites` one after another, in this order, and draw each given all the others.

    Args:
        params: symmetric weights with zero diagonal, and biases.
        beta: inverse temperature in [0, inf].
        sites: static indices; spins that are not among them stay as they are. None is all, in order.

    Returns:
        A kernel of positions (units,), which leaves exp(-beta E)/Z given the held spins invariant; `info.changed` is
        the share of visits that turned a spin.

    Raises:
        ValueError: a bad beta, weights that are not symmetric with zero diagonal, no site or one outside the machine;
            at `init`, a position of another shape or with units other than -1 and +1.

    >>> params = hopfield.Params(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.zeros(2))
    >>> kernel = sweep(params, jnp.inf, np.array([1]))
    >>> kernel.step(jax.random.key(0), kernel.init(jnp.array([-1.0, 1.0])))[0].position.tolist()
    [-1.0, -1.0]
    """
    check_beta(beta)
    hopfield.check_params(params)
    units = params.bias.shape[0]
    sites = np.arange(units) if sites is None else np.asarray(sites)
    if sites.ndim != 1 or sites.size == 0 or sites.min() < 0 or sites.max() >= units:
        raise ArgumentError(f"sites: got {sites.tolist()}, wanted at least one index of 0 to {units - 1}")

    def init(position: Float[Array, " units"], rng_key: Key[Array, ""] | None = None) -> gibbs.State:
        check_shape("position", position, (units,))
        check_units("position", position, SPINS)
        return gibbs.State(position)

    def step(rng_key: Key[Array, ""], state: gibbs.State) -> tuple[gibbs.State, gibbs.Info]:
        # one draw of random numbers a sweep: a key a visit costs more than the visit
        dtype = state.position.dtype
        uniform = jax.random.uniform(rng_key, sites.shape, dtype) + jnp.asarray(2.0**-25, dtype)
        thresholds = jnp.log(uniform) - jnp.log1p(-uniform)

        def visit(spins, site_and_threshold):
            site, threshold = site_and_threshold
            field = jnp.dot(params.weights[site], spins, precision=jax.lax.Precision.HIGHEST) + params.bias[site]
            up = threshold < reduced(2 * field, beta)
            return spins.at[site].set(jnp.where(up, 1, -1).astype(dtype)), None

        spins, _ = jax.lax.scan(visit, state.position, (jnp.asarray(sites), thresholds))
        changed = jnp.sum(spins != state.position) / sites.size
        return gibbs.State(spins), gibbs.Info(changed)

    return Kernel(init, step)
