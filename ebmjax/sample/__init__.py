"""Sample: draws from exp(-beta E)/Z, at any inverse temperature beta in [0, inf].

A sampler is a function `(energy, beta, ...) -> Kernel(init, step)`, and `ebmjax.trajectory` runs the kernel:

>>> import ebmjax, jax, jax.numpy as jnp
>>> kernel = ebmjax.sample.gibbs.systematic(lambda spins: -spins.sum(), beta=2.0)
>>> run = ebmjax.trajectory(jax.random.key(0), kernel, position=-jnp.ones(5), steps=100)
>>> run.positions.shape
(100, 5)

Which one to take, for any energy:

binary units                         `gibbs.systematic`; `gibbs.chromatic` if a colouring of the units is known,
                                     `gibbs.block` if the units form layers
binary units or categories, any      `informed`: Gibbs with gradients and discrete Langevin, for energies whose gradient
energy with a gradient               is cheap and whose conditional laws are not
ferromagnets on any graph            `cluster`: Swendsen-Wang and Wolff, for Ising and Potts units
spin glasses on any graph            `isoenergetic`, exchanges of clusters between two replicas, around `tempering`
continuous, with a gradient          `hamiltonian` first; `langevin.mala` if a step must be cheap; `langevin.unadjusted`
                                     or `langevin.underdamped` if a small bias is allowed
anything with a symmetric proposal   `metropolis`
the step size and the units          `warm_up` finds them, `rescaled` uses them
several separate minima              `tempering`, which makes one kernel of several at a ladder of temperatures;
                                     `adaptive_tempering` places them and says whether they suffice
a low minimum instead of draws       `annealing`, which runs a kernel while the temperature falls

For a few special energies the folder `special` has samplers of the same law that are faster:

E(s) = -½ sᵀWs - bᵀs                 `special.dense` for many chains, `special.single_site` if some units are clamped
square Ising lattice                 `special.multispin` for one coupling and no field, else `special.checkerboard`
restricted Boltzmann machine         `special.restricted`
many chains of few unknowns          `special.many_walks`

`langevin.unadjusted` and `langevin.underdamped` have a bias that vanishes with the step size; all others leave
exp(-beta E)/Z invariant. One step of a Gibbs sampler is a sweep: as many updates as there are units. A kernel is of one
chain, and `jax.vmap` runs many; only `dense`, `many_walks` and `multispin.chains` have many chains in one position.
BlackJAX's kernels have the same protocol: they run in these loops and ladders, and these kernels run in BlackJAX's.
`ebmjax.diagnostics` says how far the draws can be trusted.

The modules `gradient_state` and `trees` are what the samplers with a gradient have in common; `units` is what those of
binary units have, and `components` what those that move clusters have.
"""

from ebmjax.sample import (
    adaptive_tempering,
    annealing,
    cluster,
    components,
    gibbs,
    gradient_state,
    hamiltonian,
    informed,
    isoenergetic,
    langevin,
    metropolis,
    rescaled,
    special,
    tempering,
    trees,
    units,
    warm_up,
)

__all__ = [
    "adaptive_tempering",
    "annealing",
    "cluster",
    "components",
    "gibbs",
    "gradient_state",
    "hamiltonian",
    "informed",
    "isoenergetic",
    "langevin",
    "metropolis",
    "rescaled",
    "special",
    "tempering",
    "trees",
    "units",
    "warm_up",
]
