"""dwave-samplers' side of exact elimination: tree decomposition of a spin glass."""

from collections.abc import Sequence

import dimod
import numpy as np
from dwave.samplers import TreeDecompositionSampler, TreeDecompositionSolver


def model(edges: Sequence[tuple[int, int]], couplings: np.ndarray) -> dimod.BinaryQuadraticModel:
    """E(s) = -Σ J s s' over the edges."""
    return dimod.BinaryQuadraticModel.from_ising(
        {}, {edge: -float(coupling) for edge, coupling in zip(edges, couplings, strict=True)}
    )


def log_partition(problem: dimod.BinaryQuadraticModel, order: Sequence[int] | None) -> float:
    """log Z at beta = 1, with one draw, which is the least that it takes; `order` None is its own order."""
    chosen = {} if order is None else {"elimination_order": list(order)}
    drawn = TreeDecompositionSampler().sample(problem, num_reads=1, beta=1.0, marginals=False, seed=1, **chosen)
    return float(drawn.info["log_partition_function"])


def ground_energy(problem: dimod.BinaryQuadraticModel, order: Sequence[int] | None) -> float:
    """The least energy, with a state of it."""
    chosen = {} if order is None else {"elimination_order": list(order)}
    return float(TreeDecompositionSolver().sample(problem, num_reads=1, **chosen).first.energy)
