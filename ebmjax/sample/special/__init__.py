"""Samplers that are fast because they know one energy, or run many chains as one array.

`dense`         all units of a Boltzmann machine, many chains at once, by matrix products
`single_site`   some units of a Boltzmann machine, one chain
`checkerboard`  an Ising lattice with a coupling for each bond
`multispin`     an Ising lattice with one coupling, 32 spins in a word
`restricted`    restricted Boltzmann machines, layer by layer
`many_walks`    random-walk Metropolis of many chains of few unknowns
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
