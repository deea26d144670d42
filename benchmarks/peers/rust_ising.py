"""The sides of mcising and peapods, both in Rust: a periodic square Ising lattice with J = 1, one thread.

mcising has sweeps of single flips, of Swendsen-Wang and of Wolff clusters, each alone. peapods makes its cluster
updates between sweeps of single flips, and never without these.
"""

from collections.abc import Callable

import numpy as np


def mcising(side: int, beta: float, algorithm: str, sweeps: int) -> tuple[Callable[[], None], Callable[[], float]]:
    """`advance()` and `energy()` per spin of one lattice; the algorithm is metropolis, swendsen_wang or wolff."""
    from mcising._core import IsingSimulation

    simulation = IsingSimulation(side, 1.0, 0.0, 0.0, 0.0, 1, algorithm)

    def advance():
        simulation.sweep(sweeps, temperature=1 / beta)

    return advance, simulation.energy


def peapods(side: int, beta: float, cluster: str | None, sweeps: int) -> tuple[Callable[[], None], Callable[[], float]]:
    """The same; each sweep of single flips is followed by a cluster update, "sw" or "wolff", or by none."""
    from peapods import Ising

    model, last = Ising((side, side), temperatures=np.array([1 / beta])), [0.0]
    every = 1 if cluster else None

    def advance():
        model.sample(
            sweeps, cluster_update_interval=every, cluster_mode=cluster or "sw", warmup_ratio=0.0, sequential=True
        )
        last[0] = -float(model.energies_avg[0])  # peapods leaves out the minus of the energy

    return advance, lambda: last[0]
