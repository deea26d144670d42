"""Sample: draws from exp(-beta E)/Z, at any beta in [0, inf].

A sampler is a function `(energy, beta, ...) -> Kernel(init, step)`; `ebmjax.trajectory` runs it. Which one to take:

binary units, any energy             `gibbs.systematic`; `gibbs.chromatic` where a colouring is known, `gibbs.block` for
                                     layers
any unknown, any symmetric proposal  `metropolis`
continuous, with a gradient          `hamiltonian` first; `langevin.mala` for cheap steps; `langevin.unadjusted` where a
                                     small bias does no harm
many valleys                         `tempering` around any of them
a low minimum instead of draws       `annealing` of any of them
one of a few special energies        the folder `special`, which is faster: Boltzmann machines by matrix products,
                                     lattices of spins, restricted machines, random walks of many chains

The unadjusted and the underdamped Langevin kernels have a bias that vanishes with the step size; all others leave
exp(-beta E)/Z invariant. BlackJAX's kernels have the same protocol. `gradient_state` and `trees` are what the
continuous samplers share.
"""

from ebmjax.sample import annealing, gibbs, gradient_state, hamiltonian, langevin, metropolis, special, tempering, trees

__all__ = [
    "annealing",
    "gibbs",
    "gradient_state",
    "hamiltonian",
    "langevin",
    "metropolis",
    "special",
    "tempering",
    "trees",
]
