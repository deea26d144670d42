"""Samplers that are faster than the general ones because each is made for one energy, or for many chains at once.

Three scans of a Boltzmann machine, E(s) = -½ sᵀWs - bᵀs; all visit the units in order and have one law:

`gibbs.systematic`    any energy, one chain; a sweep costs 2N energies
`single_site`         one chain, N² operations a sweep; all units, or some of them while the others are clamped
`dense`               many chains in one position, N² operations a chain and sweep, as matrix products: the fastest

Three scans of the square Ising lattice, all by the two colours of the checkerboard:

`gibbs.chromatic`     any energy and any colouring; one gradient of the energy for each colour
`checkerboard`        any couplings and fields, on four sublattices of spins
`multispin`           one coupling and no field, 32 spins in a machine word: the fastest

And samplers of other laws:

`restricted`          restricted Boltzmann machines, all hidden units at once and then all visible ones, some clamped
`many_walks`          random-walk Metropolis of many chains of few continuous unknowns, many chains in one position
"""

from ebmjax.sample.special import checkerboard, dense, many_walks, multispin, restricted, single_site

__all__ = [
    "checkerboard",
    "dense",
    "many_walks",
    "multispin",
    "restricted",
    "single_site",
]
