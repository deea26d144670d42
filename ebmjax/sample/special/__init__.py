"""Samplers that are faster than the general ones because each is made for one energy, or for many chains at once.

Three scans of a Boltzmann machine, E(s) = -½ sᵀWs - bᵀs; all visit the units in order and have one law:

`gibbs.systematic`    any energy, one chain; a sweep costs 2N energies
`single_site`         one chain, N² operations a sweep; all units, or some of them while the others are clamped
`dense`               many chains in one position, N² operations a chain and sweep, as matrix products: the fastest

Five scans of the periodic Ising lattice, all by the two colours of the checkerboard:

`gibbs.chromatic`     any energy and any colouring; one gradient of the energy for each colour
`checkerboard`        any couplings and fields, in 2-D, 3-D and other dimensions, on sublattices of spins
`multispin`           square lattices, one coupling and no field, 32 spins in a machine word: the fastest
`multispin_halo`      the same for a lattice of which each device holds a part
`multispin_glass`     up to 3-D, couplings ±J and no field, 32 replicas of a glass in a machine word

And samplers of other laws:

`restricted`          restricted Boltzmann machines, all hidden units at once and then all visible ones, some clamped
`many_walks`          random-walk Metropolis of many chains of few continuous unknowns, many chains in one position

Of the two multispin samplers, `words` has the words that are random with chosen probabilities.
"""

from ebmjax.sample.special import (
    checkerboard,
    dense,
    many_walks,
    multispin,
    multispin_glass,
    multispin_halo,
    restricted,
    single_site,
    words,
)

__all__ = [
    "checkerboard",
    "dense",
    "many_walks",
    "multispin",
    "multispin_glass",
    "multispin_halo",
    "restricted",
    "single_site",
    "words",
]
