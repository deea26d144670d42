"""Helper of `phase_diagram`: a run of parallel tempering on Ising lattices of a few hundred spins."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.energies import ising
from ebmjax.loops import thinned
from ebmjax.sample.special.checkerboard import checkerboard
from ebmjax.sample.tempering import tempering
from experiments.application.report import Report
from experiments.application.shown import scan_shown


def tempered(
    report: Report,
    title: str,
    keys: tuple[Key[Array, " replicas"], ...],
    params: ising.Params,
    betas: Float[Array, " betas"],
    side: int,
    draws: int,
    thin: int,
    observe: Callable[[Any], Any],
) -> tuple[Float[np.ndarray, "draws replicas betas"], Any]:
    """Draws of square lattices at all betas, from random spins, after a fifth as many that are not kept.

    Args:
        report: the report of the run, which shows a bar with the newest energies.
        title: what is in front of the bar.
        keys: of the start, of the steps before the first draw, and of the run; one of each for every replica.
        params: of the lattice.
        betas: of the chains.
        side: of the lattice, an even number.
        draws: how many are kept.
        thin: sweeps between two of them.
        observe: what is kept of the spins of all replicas, halves of shape (replicas, betas, side, side / 2).

    Returns:
        the energies, and what `observe` returned, with a leading axis of draws.
    """
    start_keys, warm_keys, run_keys = keys
    warm = max(1, draws // 5)

    def kernel_of(params, betas):
        energy = lambda parts: ising.energy(params, ising.join(parts))
        return thinned(tempering(energy, lambda beta: checkerboard(params, beta, (side, side)), betas), thin)

    def begin(start_key, warm_key, run_key, params, betas):
        spins = jax.random.rademacher(start_key, (len(betas), side, side), jnp.float32)
        step_keys = jnp.concatenate([jax.random.split(warm_key, warm), jax.random.split(run_key, draws)])
        return kernel_of(params, betas).init(jax.vmap(ising.split)(spins)), step_keys

    def step(states, item, params, betas):
        keys, first = item
        kernel = kernel_of(params, betas)
        # the run begins anew where the spins are after the warm-up
        states = jax.lax.cond(first, lambda: jax.vmap(kernel.init)(states.position), lambda: states)
        states, infos = jax.vmap(kernel.step)(keys, states)
        return states, (infos.energy, observe(states.position))

    begins = jax.jit(jax.vmap(begin, (0, 0, 0, None, None), (0, 1)))
    states, step_keys = begins(start_keys, warm_keys, run_keys, params, betas)
    items = step_keys, np.arange(warm + draws) == warm
    middle = len(betas) // 2

    def tell(done, measured):
        newest = measured[0][-1, :, middle].mean() / side**2
        return f"energy {newest:.3g} per spin at beta = {float(betas[middle]):.3g}"

    _, measured = scan_shown(report, title, step, states, items, params, betas, tell=tell)
    return jax.tree.map(lambda leaf: leaf[warm:], measured)
