"""Marginalize (warm, any beta in [0, inf]): free energies, posteriors and partition functions.

    F_beta = -1/beta log (1/|Z|) ∫ exp(-beta E(z)) dz

`free_energy`, `log_partition` and `posterior` take `(energy, space, beta)`. Which module to take:

few latent dimensions, or units that can be enumerated   `spaces` and `free_energy`: exact, or to the error of a grid
up to 28 binary units, or a machine with such a side     `enumeration`: exact, in bounded memory, with draws
peaks narrower than the grid                             `refine`, which returns a better space; `free_energy.marginal`
                                                         estimates the error of a grid
hundreds of units of few states on a sparse graph        `elimination`: exact, at every beta, with marginals and draws
many binary units                                        `mean_field`: an upper bound of the free energy
a latent vector with an approximate posterior            `importance_sampling`: an unbiased estimate of Z
any energy, and a kernel for each temperature            `annealed`: an unbiased estimate of Z, or a bound on each side
the same, with draws of the last law                     `population`: good chains replace bad ones on the way
a schedule for either                                    `population` adapts its own, `pilot` finds one for `annealed`
units of few states, at every beta, negative too         `density_of_states`: log Z from one run, also where chains at
                                                         one temperature are stuck in a phase
energies of draws at several temperatures                `reweighting`: log Z from any sampler, at any beta
the same with an order parameter, for a phase diagram    `thermodynamics`: F, U, C, S, |m|, chi and the Binder ratio

`points` has the energies of all points of a space, with which the first of them begin. `layers` has what `mean_field`
and the Gibbs samplers share: states that are tuples of layers. `schedules` has the step of an adaptive schedule,
`path_weights` what the weights of `annealed` say of log Z.
"""

from ebmjax.marginalize import (
    annealed,
    density_of_states,
    elimination,
    enumeration,
    free_energy,
    importance_sampling,
    layers,
    mean_field,
    path_weights,
    pilot,
    points,
    population,
    refine,
    reweighting,
    schedules,
    spaces,
    thermodynamics,
)

__all__ = [
    "annealed",
    "density_of_states",
    "elimination",
    "enumeration",
    "free_energy",
    "importance_sampling",
    "layers",
    "mean_field",
    "path_weights",
    "pilot",
    "points",
    "population",
    "refine",
    "reweighting",
    "schedules",
    "spaces",
    "thermodynamics",
]
