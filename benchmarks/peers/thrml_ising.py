"""thrml's side of `spins` and `samplers`: a periodic Ising lattice in two blocks, the colours of the checkerboard.

This is its fastest form. All edges run from one colour to the other, so that each block has one group of neighbours.
There are no biases, which a program of spin factors can leave out and `IsingEBM` cannot. The schedule consists of
warm-up sweeps and one sample at the end, so that no other samples are kept. Many chains are vmapped.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from thrml import Block, BlockGibbsSpec, SamplingSchedule, SpinNode, sample_states
from thrml.factor import FactorSamplingProgram
from thrml.models import SpinEBMFactor, SpinGibbsConditional


def sampler(coupling: np.ndarray, beta: float, sweeps: int) -> tuple[Callable[[Any, Any], Any], Callable[[Any], Any]]:
    """`sweep(key, blocks) -> blocks` of one chain, and `lattice(blocks)`: the state as spins, (*lattice).

    A sweep draws every spin once from its conditional law given its neighbours, one colour after the other.

    Args:
        coupling: (axes, *lattice), the bonds to the next site along each axis; sides even.
        beta: inverse temperature.
        sweeps: number of sweeps in a call.
    """
    axes, *shape = coupling.shape
    sites = np.arange(coupling[0].size).reshape(shape)
    colour = np.indices(shape).sum(0).ravel() % 2
    ends = np.concatenate([np.stack([sites, np.roll(sites, -1, axis)], -1).reshape(-1, 2) for axis in range(axes)])
    ends = np.where(colour[ends[:, :1]] == 0, ends, ends[:, ::-1])  # from colour 0 to colour 1
    nodes = [SpinNode() for _ in range(sites.size)]
    blocks = [Block([nodes[site] for site in np.flatnonzero(colour == half)]) for half in range(2)]
    ends = [Block([nodes[site] for site in side]) for side in ends.T]
    # A factor's weight is -beta E: beta enters here and nowhere else (a test compares with the exact law).
    factor = SpinEBMFactor(ends, jnp.asarray(beta * coupling.reshape(-1), jnp.float32))
    program = FactorSamplingProgram(BlockGibbsSpec(blocks, []), [SpinGibbsConditional()] * 2, [factor], [])
    schedule = SamplingSchedule(n_warmup=sweeps, n_samples=1, steps_per_sample=1)

    def sweep(key, state):
        return [samples[0] for samples in sample_states(key, program, schedule, list(state), [], blocks)]

    order = np.argsort(np.argsort(colour, kind="stable"), kind="stable").reshape(shape)

    def lattice(state):
        return 2 * jnp.concatenate(state)[order].astype(jnp.int8) - 1

    return sweep, lattice


def start(key: Any, sites: int) -> list[Any]:
    """Both blocks with random spins."""
    return [jax.random.bernoulli(half, shape=(sites // 2,)) for half in jax.random.split(key)]
