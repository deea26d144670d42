"""Likelihoods: log p(x) in nats of models whose log Z no grid and no enumeration can reach, one file a family.

    log p(x) = log p*(x) - log Z,    p* the unnormalized density exp(-beta F)

A family has a `path` of laws from one whose log Z is known to the model, and functions for what is exact. `paths` runs
chains along any path, and returns log Z with its error and bounds, as an `Estimate`. Which module to take:

binary units in two layers                  `restricted`: exact for up to 28 units on one side
Gaussian visible units                      `restricted_gaussian`: exact for up to 28 hidden units
pictures with labels                        `restricted_labels`; log p(label | picture) is always exact
binary units in more layers                 `deep`: log Z, and log p(v) by mean fields (a bound) or by annealing
a network as the energy, many dimensions    `continuous`: any differentiable energy, by Hamiltonian Monte Carlo
a decoder, such as that of a VAE            `decoders`: the code of every example is annealed to its posterior

`paths` has what all of them share. Everything holds at any finite beta.
"""

from ebmjax.likelihoods import (
    continuous,
    decoders,
    deep,
    paths,
    restricted,
    restricted_gaussian,
    restricted_labels,
)

__all__ = ["continuous", "decoders", "deep", "paths", "restricted", "restricted_gaussian", "restricted_labels"]
