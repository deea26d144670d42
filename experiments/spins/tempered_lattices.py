"""Helper of `phase_diagram`: a run of parallel tempering on an Ising lattice of a few hundred spins."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.energies import ising
from ebmjax.loops import Observe, Run, position_of, repeat, thinned, trajectory
from ebmjax.sample.special.checkerboard import checkerboard
from ebmjax.sample.tempering import tempering


def tempered(
    keys: tuple[Key[Array, ""], ...],
    params: ising.Params,
    betas: Float[Array, " betas"],
    side: int,
    draws: int,
    thin: int,
    observe: Observe = position_of,
) -> Run:
    """Draws of a square lattice at all betas, from random spins, after a fifth as many that are not kept.

    Args:
        keys: of the start, of the steps before the first draw, and of the run.
        params: of the lattice.
        betas: of the chains.
        side: of the lattice, an even number.
        draws: how many are kept.
        thin: sweeps between two of them.
        observe: what is kept of a state.
    """
    start_key, warm_key, run_key = keys
    energy = lambda parts: ising.energy(params, ising.join(parts))
    kernel = thinned(tempering(energy, lambda beta: checkerboard(params, beta, (side, side)), betas), thin)
    spins = jax.random.rademacher(start_key, (len(betas), side, side), jnp.float32)
    state = repeat(warm_key, kernel, kernel.init(jax.vmap(ising.split)(spins)), max(1, draws // 5)).state
    return trajectory(run_key, kernel, state.position, draws, observe=observe)
